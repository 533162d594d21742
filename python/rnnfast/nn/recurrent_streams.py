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
        """As `forward` at inference, from and to `state`.

        Args:
            x: block, shape (N, B, I), or (B, N, I) where the layer is not `batch_first`.
            state: from `stream_state`; its arrays are overwritten, unless an error is raised.

        Returns:
            y of the block.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        try:
            y: Array | None = self._stepper.stream(x, state)
            before = self._stepper.state_of(state)
        except KeyError:
            raise ValueError(
                f"{type(self).__name__}.stream_process: state must have {', '.join(self._states.names)}, got "
                f"{', '.join(state) or 'nothing'}; pass what stream_state returned"
            ) from None
        if y is not None:
            return y
        y, after, *_ = self._run(x, before, None, None, False, False)
        arrays = self._states.arrays(before)
        for name, array in zip(self._states.names, arrays, strict=True):
            if not array.flags.writeable:
                raise ValueError(
                    f"{type(self).__name__}.stream_process: state must have arrays to write to, got {name!r} "
                    f"read-only; pass a dict of copies from now on"
                )
        for array, part in zip(arrays, self._states.arrays(after), strict=True):
            array[...] = part
        return y
