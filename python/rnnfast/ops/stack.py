"""Stacked recurrent layers over whole sequences, with every option: one call forward, one backward.

Layers and their directions are numbered by k, layer-major: with two directions k = 2 is the forward direction
of the second layer. y of all directions of a layer, side by side, is the input of the next layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from rnnfast import _core

from .arrays import (
    Array,
    States,
    check_array,
    check_float,
    check_states,
    contiguous,
    shape_of,
    with_rows,
)
from .memory import TapeMemory
from .options import Zoneout, check_options, settings
from .weights import RecurrentWeights


class StackCall(NamedTuple):
    """What one forward call of a stack is given besides x.

    Nothing of it may be written to between forward and backward. Entries are as in `recurrent_forward`.

    Args:
        weights: for each k; all of one cell, size and dtype. As many as there are layers, or twice as many.
        state: for each k the initial states, a tuple of one array per state; None for zeros.
        reset_state: for each k what the states become at a cut; None for zeros.
        lengths: ``[N]``, int64, or None.
        resets: ``[N, T]``, bool, or None.
        input_masks: for each *layer*, which tells how many there are, factors of its input, ``[N, T, F]`` or
            ``[N, 1, F]``, or None for none.
        hidden_masks: for each k, None for none.
        zoneout: for each k, None for none.
        recompute: 0, or so many steps.
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
_Forward = tuple[list[Array], list[Array], list[list[Array]], StackTape | None]
_Backward = tuple[Array | None, list[Array], list[Array]]


def stack_forward(
    call: StackCall,
    x: Array,
    *,
    memory: TapeMemory | None = None,
    return_states: bool = False,
    name: str = "stack_forward",
) -> _Forward:
    """All layers over all steps.

    Args:
        call: weights and options.
        x: ``[N, T, I]``.
        memory: where the tapes take their memory from; with it the call is training, None keeps no tape.
        return_states: whether to return every step's states.
        name: who asks, for errors.

    Returns:
        (ys, finals, every, tape): y of every layer, ``[N, T, D*O]``, at inference without return_states of
        the last alone; the final states, one array ``[K, N, size]`` per state; for each k the states but h of
        every step, if asked for, ``[N, T, H]`` each.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    layers, count = len(call.input_masks), len(call.weights)
    if not count or not layers or count not in (layers, 2 * layers):
        raise ValueError(
            f"{name}: weights must be of one or two directions of every layer, "
            f"got {count} for {layers} layers"
        )
    directions = count // layers
    info, training = call.weights[0].info, memory is not None
    told = [
        settings(name, info, zoneout, k % directions == 1, training, call.recompute)
        for k, zoneout in enumerate(call.zoneout)
    ]
    variant = _core.active_variant()
    cores = [weights.core_of(variant) for weights in call.weights]

    def run(x: Array, call: StackCall) -> _Forward:
        return _core.stack_forward(
            cores,
            told,
            x,
            state=call.state,
            reset_state=call.reset_state,
            lengths=call.lengths,
            resets=call.resets,
            input_masks=call.input_masks,
            hidden_masks=call.hidden_masks,
            time_major=call.time_major,
            return_states=return_states,
            memory=memory,
        )

    _check_states(name, "state", call.state)
    _check_states(name, "reset_state", call.reset_state)
    try:
        return run(x, call)
    except (TypeError, ValueError):
        # Not as kernels read it: wrong, which is told in better words, or in need of a copy.
        with _in_the_name_of(name):
            return run(*_checked(name, x, call))


def stack_backward(
    tape: StackTape,
    dy: Array | None,
    dstate: Sequence[States] | None = None,
    *,
    targets: Sequence[Sequence[Array]],
    weight_masks: Sequence[Array | None],
    bound: float | None = None,
    with_reset_state: bool = False,
    with_dx: bool = True,
    name: str = "stack_backward",
) -> _Backward:
    """Gradients of `stack_forward`; those of the weights are added to arrays of the caller.

    Args:
        tape: from it; used up.
        dy: gradient of y of the last layer, None for zeros.
        dstate: gradients of the final states for each k, None for zeros.
        targets: for each k contiguous arrays that the gradients of its weights are added to: of weight_ih,
            weight_hh, and as far as there are such weights bias_ih, bias_hh, weight_ch, weight_hr, gamma_ih,
            gamma_hh, gamma_c, beta_c, gamma, beta. Those of one k share no memory with each other, and none
            does with what the call reads. Calls in several threads that have the same ones take turns.
        weight_masks: for each k what weight_hh was multiplied by, None for nothing.
        bound: as in `recurrent_backward`.
        with_reset_state: whether gradients of the states after cuts are wanted.
        with_dx: whether that of x is wanted.
        name: who asks, for errors.

    Returns:
        (dx, dstate, dreset_state): dx like x, or None; gradients of states are one array ``[K, N, size]`` per
        state.

    Raises:
        RuntimeError: the tape was used before.
        TypeError, ValueError: naming the argument.
    """

    def run(dy: Array | None, dstate: Sequence[States] | None) -> _Backward:
        return _core.stack_backward(
            tape,
            dy,
            dstate=dstate,
            bound=math.inf if bound is None else bound,
            with_reset_state=with_reset_state,
            with_dx=with_dx,
            targets=targets,
            weight_masks=weight_masks,
        )

    _check_states(name, "dstate", dstate)
    try:
        return run(dy, dstate)
    except (TypeError, ValueError):
        if not isinstance(tape, _core.StackTape):
            given = type(tape).__name__
            raise TypeError(f"{name}: tape must be that of stack_forward, got {given}") from None
        if tape.used:
            raise
    dy = None if dy is None else with_rows(_array(name, "dy", dy, 3))
    dstate = _contiguous(name, dstate)
    _check_sequence(name, "targets", targets)
    _check_sequence(name, "weight_masks", weight_masks)
    for k, own in enumerate(targets):
        _check_sequence(name, f"targets[{k}]", own)
    with _in_the_name_of(name):
        return run(dy, dstate)


@contextmanager
def _in_the_name_of(name: str) -> Iterator[None]:
    """Errors of the core name who called it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not str(error).startswith("_core: "):
            raise
        raise type(error)(str(error).replace("_core", name, 1)) from None


def _check_states(name: str, argument: str, states: Sequence[States] | None) -> None:
    """Arrays ``[K, N, size]`` as they are returned, one per state, would be read as those of k = 0, 1, …."""
    for parts in () if states is None else states:
        if isinstance(parts, np.ndarray):
            raise TypeError(
                f"{name}: {argument} must have for each k a tuple of one array per state, got an array; "
                f"pass [tuple(array[k] for array in {argument}) for k in range(K)]"
            )


def _check_sequence(name: str, argument: str, given: object) -> None:
    if not isinstance(given, Sequence):
        raise TypeError(f"{name}: {argument} must be a list or tuple, got {type(given).__name__}")


def _checked(name: str, x: Array, call: StackCall) -> tuple[Array, StackCall]:
    """x and the arrays of the call as kernels read them: copies where need be."""
    first = call.weights[0]
    batch, steps, _ = shape_of(name, "x", x, 3)
    check_array(name, "x", x, (batch, steps, first.weight_ih.shape[1]), first.dtype)
    for layer, mask in enumerate(call.input_masks):
        if mask is not None:
            check_float(name, f"input_masks[{layer}]", mask)
    shapes = tuple((batch, size) for size in first.state_sizes)
    cuts = tuple((size,) for size in first.state_sizes)

    def checked(argument: str, states: Sequence[States] | None, shapes: Any) -> list[States] | None:
        if states is None:
            return None
        names = first.info.states
        return [check_states(name, argument, parts, names, shapes, first.dtype) for parts in states]

    options = [
        check_options(name, first, batch, steps, call.lengths, call.resets, mask)
        for mask in call.hidden_masks
    ]
    return with_rows(x), call._replace(
        state=checked("state", call.state, shapes),
        reset_state=checked("reset_state", call.reset_state, cuts),
        lengths=options[0][0],
        hidden_masks=[mask for _, _, mask in options],
    )


def _array(name: str, argument: str, array: Array, axes: int) -> Array:
    shape_of(name, argument, array, axes)
    return array


def _contiguous(name: str, states: Sequence[States] | None) -> list[States] | None:
    """The states, copied where kernels could not read them."""
    if states is None:
        return None
    return [
        tuple(None if part is None else contiguous(_array(name, "dstate", part, 2)) for part in parts)
        for parts in states
    ]
