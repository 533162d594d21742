"""Single steps and small blocks of stacked recurrent layers at inference: one callable of the core, made anew
when the weights change.

It takes what is plain and leaves the rest to `Stepper.checked`, which raises the errors, or copies and
converts and then calls the same, and of blocks to `Stack.forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np

from .. import _core, ops
from .arguments import check_array
from .parameter import Array
from .stack import Stack
from .states import State


class Stepper:
    """Steps of stacked layers of one direction.

    Args:
        stack: the layers.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        # A state by names -> as callers see it.
        self.state_of: Callable[[dict[str, Array]], State] = itemgetter(*stack.states.names)
        # (x_t, state) -> (y_t, state), or None: not plain, or not up to date. Replaced as a whole.
        self.run: ops.Step = _not_made

    def block(self, x: Any, state: State) -> tuple[Array, State] | None:
        """(y, state) of some steps at inference; None where the block is not a small one, or not plain.

        Args:
            x: shape (N, B, I).
            state: as in `Recurrent.forward`.
        """
        options = self.stack.options
        if not options.batch_first:
            return None
        if state is None and options.trainable_state and _is_block(x):
            state = self.stack.initial_state(len(x))
        result = self.run(x, state, block=True)
        if result is None and _is_block(x) and x.dtype == options.dtype and not options.bidirectional:
            result = self._made()(x, state, block=True, unchanged=True)
        return result  # type: ignore[no-any-return]

    def stream(self, x: Any, state: State) -> Array | None:
        """y of a block of steps, with the next state in the arrays of `state`; None where the block is not a
        small one, or something is not plain, and then nothing has been written.

        Args:
            x: shape (N, B, I).
            state: of a layer of one direction.
        """
        if not self.stack.options.batch_first:
            return None
        y: Array | None = self.run(x, state, block=True, in_place=True)
        return y

    def checked(self, operation: str, x_t: Array, state: State, resets: Any) -> tuple[Array, State]:
        """A step from any arguments.

        Args:
            operation: who asks, for errors.
            x_t, state, resets: as in `Recurrent.step`.

        Raises:
            TypeError, ValueError: naming the argument.
        """
        if _no_reset(resets, x_t):  # most steps of an episode
            resets = None
            if (plain := self.run(x_t, state)) is not None:
                return plain  # type: ignore[no-any-return]
        if self.stack.options.bidirectional:
            raise ValueError(
                f"{operation}: bidirectional must be False, as one direction starts at the end, got True"
            )
        states, dtype = self.stack.states, self.stack.options.dtype
        sizes = (None, self.stack.input_size)
        check_array(operation, "x_t", x_t, dtype=dtype, axes=("N", "input_size"), sizes=sizes)
        batch = len(x_t)
        states.split(operation, "state", state, batch, -1)
        resets = self.stack.layout.check_resets(operation, resets, (batch,))
        if state is None:
            state = self.stack.initial_state(batch)
        else:
            parts = states.arrays(state)
            if resets is not None:
                fresh = states.arrays(self.stack.initial_state(batch))
                pairs = zip(fresh, parts, strict=True)
                parts = [np.where(resets[:, None], new, old) for new, old in pairs]
            state = states.public([np.array(part, dtype, order="C") for part in parts])
        x_t = np.array(x_t, dtype, order="C")
        result = self.run(x_t, state)
        if result is None:
            result = self._made()(x_t, state, unchanged=True)
        y_t, state = result
        return y_t, state

    def _made(self) -> ops.Step:
        """The callable for the weights as they are now."""
        mark, weights = self.stack.packed()
        guards = mark.stamps()
        run = ops.recurrent_stepper(
            weights,
            zoneout_rates=self.stack.options.zoneout,
            trainable_state=self.stack.options.trainable_state,
            guards=guards,
        )
        if all(stamp is not None for _, stamp in guards):
            self.run = run  # else somebody may write to the weights unseen: it is good for this step alone
        return run

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"run": _not_made}


def _is_block(x: Any) -> bool:
    """Whether it is an array of no more rows than a block may have."""
    return type(x) is np.ndarray and x.ndim == 3 and x.shape[0] * x.shape[1] <= _core.most_block_rows


def _no_reset(resets: Any, x_t: Any) -> bool:
    """Whether they are as they should be, bool of shape (N,), and none of them is set."""
    plain = type(resets) is np.ndarray and type(x_t) is np.ndarray and resets.dtype == np.bool_
    return plain and resets.shape == x_t.shape[:1] and not resets.any()


def _not_made(*arguments: Any, **flags: Any) -> None:
    return None
