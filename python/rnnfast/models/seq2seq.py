"""A value for every step: recurrent layers, then an affine map on each step."""

from __future__ import annotations

from .readout import EveryStep, Readout
from .sequence import SequenceModel


class Seq2Seq(SequenceModel):
    """Sequence to sequence of the same length: y_t = W h_t + b, h_t from stacked recurrent layers.

    With `conv` in front the sequences are shortened first, and y has a step for each of theirs. The arguments
    are those of :class:`SequenceModel`; the head puts out O values per step.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        output_size: O, values per step.
        num_layers: L, 1 by default.
        options: conv (None), cell ("gru"), bias (True), bidirectional (False), dropout (0.0), dtype
            (np.float32), seed (None) and all others of :class:`SequenceModel`.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Seq(3, 8, 1, cell="lstm", seed=0)
        >>> model.predict(np.ones((2, 5, 3), np.float32)).shape
        (2, 5, 1)
    """

    def _make_readout(self) -> Readout:
        return EveryStep()
