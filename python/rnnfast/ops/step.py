"""Single steps at inference: of one direction of one layer, and of a stack with everything ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rnnfast import _core

from .arrays import Array, States, shape_of
from .options import Zoneout
from .recurrent import recurrent_forward
from .weights import RecurrentWeights

# (x_t, state, block=False, unchanged=False, in_place=False) -> (y_t, state), or y_t in place, or None
Step = Callable[..., Any]


def recurrent_step(
    weights: RecurrentWeights,
    x: Array,
    state: States | None = None,
    *,
    zoneout: Zoneout | None = None,
    name: str = "recurrent_step",
) -> tuple[Array, ...]:
    """One step, with the bits of the whole sequence.

    Args:
        weights: cell and weights; O is the size of h.
        x: ``[N, I]``.
        state: states before the step, ``[N, O]`` and ``[N, H]`` each, or None for zeros.
        zoneout: its rates act as at inference; None for none.
        name: who asks, for errors.

    Returns:
        The states after the step; the first of them, h, is the output.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    batch, inputs = shape_of(name, "x", x, 2)
    return recurrent_forward(weights, x.reshape(batch, 1, inputs), state, zoneout=zoneout, name=name)[1]


def recurrent_stepper(
    layers: Sequence[RecurrentWeights],
    *,
    zoneout_rates: Sequence[float],
    trainable_state: bool = False,
    guards: Sequence[tuple[Any, Any]] = (),
) -> Step:
    """A step, or a block of them, of stacked layers as one callable, for callers that count microseconds.

    Args:
        layers: their weights as they are now, the first layer's first.
        zoneout_rates: one per state.
        trainable_state: whether there is no state None.
        guards: pairs of an object and its `stamp`: where an attribute `stamp` has become another, the
            weights have changed.

    Returns:
        step(x, state): (y, state) for x ``[N, I]`` and the state of all layers, ``[L, N, O]`` or a tuple of
        ``[L, N, O]`` and ``[L, N, H]``, or None for zeros. None where an array is not of the right type,
        dtype and shape and contiguous (x: in its rows), or a guard does not hold: whoever gets that finds out
        what it is. With block=True x is a block of steps ``[N, B, I]``; unchanged=True says that the guards
        need not be asked; with in_place=True the next state overwrites the arrays of the state, which must be
        given, and y is returned alone.
    """
    packed = [weights.core() for weights in layers]
    return _core.recurrent_stepper(
        layers=packed, zoneout_rates=zoneout_rates, trainable_state=trainable_state, guards=list(guards)
    )
