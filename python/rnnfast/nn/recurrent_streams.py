"""Recurrent layers on live sequences: the state that passes from block to block.

Not here: the layers themselves (``recurrent``), what streams are (``streaming``).
"""

from __future__ import annotations

from typing import Any

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
        return self._states.named(type(self).__name__, self.init_state(batch_size), self.num_directions)

    def stream_process(self, x: Array, state: dict[str, Array]) -> Array:
        """As `forward` at inference, from and to `state`."""
        y: Array | None = self._stepper.stream(x, state)
        if y is not None:
            return y
        y, final, *_ = self._run(x, self._states.public(tuple(state.values())), None, None, False, False)
        for name, array in state.items():
            if not array.flags.writeable:
                raise ValueError(
                    f"{type(self).__name__}.stream_process: state must have arrays to write to, got {name!r} "
                    f"read-only; pass copies"
                )
        for array, part in zip(state.values(), self._states.arrays(final), strict=True):
            array[...] = part
        return y
