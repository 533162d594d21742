"""A model on a live stream: blocks of any size in, the numbers of the whole sequence out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..nn import Module
from ..nn.arguments import check_array, check_size
from ..nn.parameter import Array


@runtime_checkable
class Conditioned(Protocol):
    """A module whose blocks come with a condition."""

    condition_size: int

    def stream_process(self, x: Array, state: dict[str, Array], condition: Array | None = None) -> Array:
        """One block with its condition."""


class Stream:
    """Runs a causal model block by block, and remembers what the next block needs.

    The outputs of all blocks, one behind the other, are bit for bit those of the whole sequences at once,
    however these are cut. Made by `Model.stream`.

    Args:
        model: any module with a streaming form.
        batch_size: N, sequences that run side by side.

    Raises:
        TypeError: if the model has no streaming form.
        ValueError: if it has none as it is set up (bidirectional), or the batch size is below 1.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.WaveNet(1, 8, 1, dilations=(1, 2, 4), blocks=1, seed=0)
        >>> x = np.ones((1, 10, 1), np.float32)
        >>> stream = model.stream(1)
        >>> parts = [stream.process(x[:, :3]), stream.process(x[:, 3:])]
        >>> bool((np.concatenate(parts, axis=1) == model(x)).all())
        True
    """

    def __init__(self, model: Module, batch_size: int = 1) -> None:
        self._operation = f"{type(model).__name__}.stream"
        self.model = model
        self.batch_size = check_size(self._operation, "batch_size", batch_size)
        self._state = model.stream_state(self.batch_size)

    def process(self, block: Array, condition: Array | None = None) -> Array:
        """Run over one more block.

        Args:
            block: shape (N, B, …), B of 0 or more steps.
            condition: of the block, where the model has one.

        Returns:
            The outputs that are complete now: of models with one output per step B of them; a strided
            convolution in front may complete fewer, or none; of a Seq2Vec that of everything so far.

        Raises:
            TypeError: if the block has another dtype than the model.
            ValueError: if it has another shape, naming the argument.
        """
        if np.ndim(block) < 2 or len(block) != self.batch_size:
            raise ValueError(
                f"{self._operation}: block must have shape (N, B, …) with N={self.batch_size}, "
                f"got {np.shape(block)}; pass one sequence as block[None]"
            )
        if condition is None:
            return self.model.stream_process(block, self._state)
        if not isinstance(self.model, Conditioned):
            raise TypeError(f"{self._operation}: condition must be None, as the model has none")
        return self.model.stream_process(block, self._state, condition)

    def state(self) -> dict[str, Array]:
        """Everything the next block depends on: copies of plain arrays, by name."""
        return {name: array.copy() for name, array in self._state.items()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from a state that `state` returned, of this stream or one like it.

        Raises:
            ValueError: if a name is missing or left over, or an array has another shape or dtype; nothing is
                changed.
        """
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{self._operation}: state must be a dict of arrays, as state() returns, "
                f"got {type(state).__name__}"
            )
        if state.keys() != self._state.keys():
            raise ValueError(
                f"{self._operation}: state must have the names {sorted(self._state)}, got {sorted(state)}"
            )
        for name, own in self._state.items():
            got: Any = np.asarray(state[name])
            if got.shape != own.shape or got.dtype != own.dtype:
                raise ValueError(
                    f"{self._operation}: state {name} must have shape {own.shape} and dtype {own.dtype}, "
                    f"got {got.shape} and {got.dtype}"
                )
        for name, own in self._state.items():
            own[...] = state[name]

    def reset(self, rows: Array | None = None) -> None:
        """Start anew: the next block is the first of its sequences.

        Args:
            rows: bool, shape (N,), the sequences that start anew; None for all. Models with a convolution
                keep time for all rows together, and reset all or none.

        Raises:
            TypeError: if rows is not a bool array.
            ValueError: if it has another shape, or the model cannot reset single rows.
        """
        fresh = self.model.stream_state(self.batch_size)
        if rows is None:
            self._state = fresh
            return
        check_array(self._operation, "rows", rows, dtype=np.bool_, axes=("N",), sizes=(self.batch_size,))
        if any(array.ndim != 3 or array.shape[1] != self.batch_size for array in fresh.values()):
            raise ValueError(
                f"{self._operation}: rows must be None for a model with a convolution, whose rows keep time "
                f"together; run one stream per sequence, or reset all"
            )
        for name, own in self._state.items():
            own[:, rows] = fresh[name][:, rows]  # [layers, N, H], as recurrent layers have them
