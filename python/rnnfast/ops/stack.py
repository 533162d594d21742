"""Stacked recurrent layers over whole sequences, with every option: one call forward, one backward.

Layers and their directions are numbered by k, layer-major: with two directions k = 2 is the forward direction
of the second layer. y of all directions of a layer, side by side, is the input of the next layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rnnfast import _core

from .arrays import Array, States, contiguous, with_rows
from .memory import TapeMemory
from .options import Zoneout, settings
from .weights import RecurrentWeights


class StackCall(NamedTuple):
    """What one forward call of a stack is given besides x; lists have one entry for each k, or None for none.

    Args:
        weights: of every k; all of one cell, size and dtype.
        state: initial states as for one direction; None for zeros.
        reset_state: what the states become at a cut; None for zeros.
        lengths: ``[N]``, int64, or None.
        resets: ``[N, T]``, bool, or None.
        input_masks: for each *layer* factors of its input, ``[N, T, F]`` or ``[N, 1, F]``, or None.
        hidden_masks: factors of h where it enters weight_hh, or None.
        zoneout: or None.
        recompute: as for one direction.
        time_major: whether y lies in memory as ``[T, N, F]``.
    """

    weights: Sequence[RecurrentWeights]
    state: Sequence[States] | None
    reset_state: Sequence[States] | None
    lengths: Array | None
    resets: Array | None
    input_masks: Sequence[Array | None]
    hidden_masks: Sequence[Array | None]
    zoneout: Sequence[Zoneout | None]
    recompute: int
    time_major: bool


StackTape = _core.StackTape


def stack_forward(
    call: StackCall,
    x: Array,
    *,
    memory: TapeMemory | None = None,
    return_states: bool = False,
    name: str = "stack_forward",
) -> tuple[list[Array], list[Array], list[list[Array]], StackTape | None]:
    """All layers over all steps.

    Args:
        call: weights and options.
        x: ``[N, T, I]``.
        memory: where the tapes take their memory from; with it the call is training, None keeps no tape.
        return_states: whether to return every step's states.
        name: who asks, for errors.

    Returns:
        (ys, finals, every, tape): y of every layer, ``[N, T, D*O]``; the final states, one array ``[K, N,
        size]`` per state; for each k the states but h of every step, if asked for, ``[N, T, H]`` each.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    directions = len(call.weights) // len(call.input_masks)
    info, training = call.weights[0].info, memory is not None
    told = [
        settings(name, info, zoneout, k % directions == 1, training, call.recompute)
        for k, zoneout in enumerate(call.zoneout)
    ]
    cores = [weights.core() for weights in call.weights]
    rest = call.lengths, call.resets, call.input_masks, call.hidden_masks, call.time_major, return_states
    try:
        return _core.stack_forward(cores, told, x, call.state, call.reset_state, *rest, memory)
    except (TypeError, ValueError):  # not as kernels read it: in need of a copy, or wrong
        state, reset_state = _contiguous(call.state), _contiguous(call.reset_state)
        return _core.stack_forward(cores, told, with_rows(x), state, reset_state, *rest, memory)


def stack_backward(
    tape: StackTape,
    dy: Array | None,
    dstate: Sequence[States] | None,
    *,
    bound: float | None = None,
    with_reset_state: bool = False,
) -> tuple[Array, list[Array], list[Array], list[tuple[Array | None, ...]]]:
    """Gradients of `stack_forward`.

    Args:
        tape: from it; used up.
        dy: gradient of y of the last layer, None for zeros.
        dstate: gradients of the final states for each k, None for zeros.
        bound: as for one direction.
        with_reset_state: whether gradients of the states after cuts are wanted.

    Returns:
        (dx, dstate, dreset_state, gradients): gradients of states are one array ``[K, N, size]`` per state;
        those of the weights, for each k, are in the order of `RecurrentGradients` from ``dweight_ih`` on.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    limit = math.inf if bound is None else bound
    try:
        return _core.stack_backward(tape, dy, dstate, limit, with_reset_state)
    except (TypeError, ValueError):
        dy = None if dy is None else with_rows(dy)
        return _core.stack_backward(tape, dy, _contiguous(dstate), limit, with_reset_state)


def _contiguous(states: Sequence[States] | None) -> list[States] | None:
    if states is None:
        return None
    return [tuple(None if part is None else contiguous(part) for part in parts) for parts in states]
