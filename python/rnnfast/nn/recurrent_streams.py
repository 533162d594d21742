"""Recurrent layers on live sequences: the state that passes from block to block.

Not here: the layers themselves (``recurrent``), what streams are (``streaming``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .module import Module
from .parameter import Array
from .states import State, StateLayout
from .stepping import Stepper


class RecurrentStreams(Module):
    """What a stream asks of a module, for recurrent layers."""

    num_directions: int
    _states: StateLayout
    _stepper: Stepper

    def init_state(self, batch_size: int) -> State:
        raise NotImplementedError(f"{type(self).__name__}.init_state is not defined")

    def _run(self, *arguments: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._run is not defined")

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """The initial state, each of its arrays by name."""
        self._check_direction("stream_state")
        arrays = self._states.arrays(self.init_state(batch_size))
        return dict(zip(self._states.names, arrays, strict=True))

    def named_state(self, state: dict[str, Array], owner: Module | None = None) -> State:
        """A state as `forward` takes it, from its arrays by name.

        Args:
            state: from `stream_state`.
            owner: whose `stream_process` asks, for errors; None for its own.

        Raises:
            TypeError: if it is no dict.
            ValueError: if one of its arrays is not there.
        """
        try:
            return self._stepper.state_of(state)
        except (KeyError, TypeError, IndexError):
            operation = f"{type(owner or self).__name__}.stream_process"
            names, fix = ", ".join(self._states.names), "pass what stream_state returned"
            if not isinstance(state, dict):
                got = type(state).__name__
                raise TypeError(f"{operation}: state must be a dict of {names}, got {got}; {fix}") from None
            got = ", ".join(map(str, state)) or "nothing"
            raise ValueError(f"{operation}: state must have {names}, got {got}; {fix}") from None

    def stream_process(self, x: Array, state: dict[str, Array]) -> Array:
        """As `forward` at inference, from and to `state`.

        Args:
            x: block, shape (N, B, I), or (B, N, I) where the layer is not `batch_first`.
            state: from `stream_state`; its arrays are overwritten, unless an error is raised.

        Returns:
            y of the block.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        before = self.named_state(state)
        y: Array | None = self._stepper.stream(x, before)
        if y is not None:
            return y
        self._check_direction("stream_process")
        arrays = self._states.arrays(before)
        for name, array in zip(self._states.names, arrays, strict=True):
            if not isinstance(array, np.ndarray) or not array.flags.writeable:
                got = "it read-only" if isinstance(array, np.ndarray) else type(array).__name__
                raise ValueError(
                    f"{type(self).__name__}.stream_process: state must have arrays that can be written, got "
                    f"{got} for {name!r}; keep a dict of copies and pass that"
                )
        if len(arrays) > 1 and np.shares_memory(arrays[0], arrays[1]):
            raise ValueError(
                f"{type(self).__name__}.stream_process: state must have arrays of their own, got "
                f"{' and '.join(self._states.names)} that share memory; keep a dict of copies and pass that"
            )
        y, after, *_ = self._run("stream_process", x, before, None, None, False, False)
        for array, part in zip(arrays, self._states.arrays(after), strict=True):
            array[...] = part
        return y

    def _check_direction(self, method: str) -> None:
        if self.num_directions == 2:
            raise ValueError(
                f"{type(self).__name__}.{method}: bidirectional must be False, as one direction starts at "
                f"the end of the sequence, got True"
            )
