"""One vector per sequence: recurrent layers, then an affine map of the last state or of a mean or maximum."""

from __future__ import annotations

from typing import Any

from ..nn.parameter import Array
from .readout import LastState, MaxOverSteps, MeanOverSteps, Readout
from .sequence import SequenceModel

_POOLINGS = ("last", "mean", "max")


class Seq2Vec(SequenceModel):
    """Sequence to vector: y = W f + b, f read from stacked recurrent layers.

    f is the final state h of the last layer, or the mean or the maximum of h_t over the real steps of each
    sequence, which lets early steps count as much as late ones; of several equal maxima the first gets the
    gradient. For length 0 mean and maximum are 0, and the final state is the initial one.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        output_size: O, values that the head puts out per sequence.
        num_layers: L.
        pooling: "last" (the default), "mean" or "max".
        options: conv (None), cell ("gru"), bias (True), bidirectional (False), dropout (0.0), dtype
            (np.float32), seed (None) and all others of :class:`SequenceModel`.

    Raises:
        TypeError: if an argument is of another type, or the cell has no such option.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Vec(3, 8, 1, cell="lstm", pooling="max", seed=0)
        >>> model.predict(np.ones((2, 5, 3), np.float32), lengths=np.array([5, 2])).shape
        (2, 1)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_layers: int = 1,
        *,
        pooling: str = "last",
        **options: Any,
    ) -> None:
        if pooling not in _POOLINGS:
            raise ValueError(f"Seq2Vec: pooling must be 'last', 'mean' or 'max', got {pooling!r}")
        self.pooling = pooling
        super().__init__(input_size, hidden_size, output_size, num_layers, **options)
        if pooling != "last":
            self.arguments["pooling"] = pooling

    def _make_readout(self) -> Readout:
        if self.pooling == "last":
            return LastState(self.recurrent)
        return MeanOverSteps() if self.pooling == "mean" else MaxOverSteps()

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """What a stream remembers, see :class:`SequenceModel`."""
        self._check_last("stream_state")
        return super().stream_state(batch_size)

    def _check_pieces(self, method: str) -> None:
        super()._check_pieces(method)
        self._check_last(method)

    def _check_last(self, method: str) -> None:
        if self.pooling != "last":
            raise ValueError(
                f"{type(self).__name__}.{method}: pooling must be 'last' to run in pieces, as the state does "
                f"not carry what the pieces before put out, got {self.pooling!r}"
            )
