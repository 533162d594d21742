"""One direction of one recurrent layer over whole sequences, with every option: forward, backward, steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import (
    Array,
    States,
    check_array,
    check_states,
    empty_like_sequence,
    shape_of,
    with_rows,
)
from .options import Zoneout, check_options, settings
from .tape import RecurrentGradients, RecurrentTape
from .weights import UNIT_WEIGHTS, RecurrentWeights


def recurrent_forward(
    weights: RecurrentWeights,
    x: Array,
    state: States | None = None,
    *,
    reverse: bool = False,
    training: bool = False,
    lengths: Array | None = None,
    resets: Array | None = None,
    reset_state: States | None = None,
    hidden_mask: Array | None = None,
    zoneout: Zoneout | None = None,
    recompute: int = 0,
    states_out: States | None = None,
    out: Array | None = None,
    name: str = "recurrent_forward",
) -> tuple[Array, tuple[Array, ...], RecurrentTape | None]:
    """One direction of one recurrent layer over whole sequences: (h_t, …) = cell(x_t, h_{t-1}, …).

    Args:
        weights: cell and weights; O is the size of h.
        x: ``[N, T, I]``.
        state: initial states, ``[N, O]`` and ``[N, H]`` each, or None for zeros.
        reverse: run from a sample's last step to its first.
        training: keep a tape for `recurrent_backward`.
        lengths: ``[N]``, int64, steps of each sample, 0 to T: later ones are not computed, y is 0 there, and
            the reverse direction begins at the true last step. None: T for all.
        resets: ``[N, T]``, bool: a cut between t−1 and t, in both directions of time.
        reset_state: what the state becomes at a cut, ``[O]`` and ``[H]`` each; None for zeros.
        hidden_mask: ``[N, O]`` factors of h where it enters weight_hh (variational dropout).
        zoneout: None for none.
        recompute: 0, or k: keep only the states before every k-th step; backward computes the rest again,
            with the same bits.
        states_out: where to write the other states of every step: one array ``[N, T, H]`` for each but h.
        out: where to write y: ``[N, T, O]`` with a contiguous last axis, possibly part of a larger array.
        name: who asks, for errors.

    Returns:
        (y, states, tape): y ``[N, T, O]``; the states after each sample's last step; no tape if not training.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    told = settings(name, weights.info, zoneout, reverse, training, recompute)
    none = (None,) * len(weights.state_sizes)
    given: tuple[Any, ...] = (
        x,
        none if state is None else state,
        none if reset_state is None else reset_state,
        lengths,
        resets,
        hidden_mask,
    )
    try:
        call = _core.RecurrentCall(weights.core(), told, *given)
    except (TypeError, ValueError):
        # Not as kernels read it: wrong, which is told in better words, or in need of a copy.
        given = _checked(name, weights, x, state, reset_state, lengths, resets, hidden_mask)
        call = _core.RecurrentCall(weights.core(), told, *given)
    x = given[0]
    y = empty_like_sequence(x, weights.output_size) if out is None else out
    others = () if states_out is None else (None, *states_out)
    tape = None
    if training:
        tape = RecurrentTape(weights, call, x, y, reset_state is not None)
    try:
        final = _core.recurrent_forward(
            call,
            y,
            others,
            None if tape is None else tape.values,
            None if tape is None else tape.checkpoints,
        )
    except (TypeError, ValueError):
        _check_outputs(name, weights, given, out, others)
        raise
    return y, final, tape


def recurrent_backward(
    weights: RecurrentWeights,
    tape: RecurrentTape,
    dy: Array | None,
    dstate: States | None = None,
    *,
    bound: float | None = None,
    name: str = "recurrent_backward",
) -> RecurrentGradients:
    """Gradients of `recurrent_forward`: of x, the initial states and the state after a cut, and all weights.

    Args:
        weights: those of the forward call, the same object, not written to since: their form for backward may
            be made only now.
        tape: from the forward call; used up.
        dy: gradient of y ``[N, T, O]``, None for zeros; not read on padding.
        dstate: gradients of the final states or None for zeros; None for zeros throughout.
        bound: |dh_t| is cut to it, element by element, at every step before it enters the step.
        name: who asks, for errors.

    Returns:
        The gradients.

    Raises:
        RuntimeError: the tape was used before.
        TypeError, ValueError: naming the argument.
    """
    if tape.used:
        raise RuntimeError(
            f"{name}: tape was used before; a tape serves one backward call, run forward again"
        )
    if tape.weights is not weights:
        raise ValueError(
            f"{name}: tape must come from a forward call with these weights, got a tape of others; "
            f"pass tape.weights"
        )
    if bound is not None and not weights.dtype.type(bound) > 0:
        raise ValueError(f"{name}: bound must be above 0 in {weights.dtype}, or None for none, got {bound}")
    x, sizes = tape.x, weights.state_sizes
    dx = empty_like_sequence(x, x.shape[2])
    limit = math.inf if bound is None else bound
    given = (limit, dy, (None,) * len(sizes) if dstate is None else dstate, dx, tape.with_reset_state)
    call, y, checkpoints = tape.call, tape.y, tape.checkpoints
    values = tape.values if checkpoints is None else tape.room()
    assert values is not None  # as it was not used
    try:
        result = _core.recurrent_backward(call, y, values, checkpoints, *given)
    except (TypeError, ValueError):
        batch, steps, _ = x.shape
        if dy is not None:
            check_array(name, "dy", dy, (batch, steps, sizes[0]), weights.dtype)
            dy = with_rows(dy)
        shapes = tuple((batch, size) for size in sizes)
        dfinal = check_states(name, "dstate", dstate, weights.info.states, shapes, weights.dtype)
        given = (limit, dy, dfinal, dx, tape.with_reset_state)
        result = _core.recurrent_backward(call, y, values, checkpoints, *given)
    tape.used, tape.values = True, None
    doutputs, dreset, gradients = result
    return RecurrentGradients(dx, doutputs, dreset, *gradients)


def _checked(
    name: str,
    weights: RecurrentWeights,
    x: Array,
    state: States | None,
    reset_state: States | None,
    lengths: Array | None,
    resets: Array | None,
    hidden_mask: Array | None,
) -> tuple[Any, ...]:
    """The arrays of a call, as kernels read them: copies where need be.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    info, dtype, sizes = weights.info, weights.dtype, weights.state_sizes
    batch, steps, _ = shape_of(name, "x", x, 3)
    check_array(name, "x", x, (batch, steps, weights.weight_ih.shape[1]), dtype)
    shapes = tuple((batch, size) for size in sizes)
    cut = tuple((size,) for size in sizes)
    return (
        with_rows(x),
        check_states(name, "state", state, info.states, shapes, dtype),
        check_states(name, "reset_state", reset_state, info.states, cut, dtype),
        *check_options(name, weights, batch, steps, lengths, resets, hidden_mask),
    )


def _check_outputs(
    name: str, weights: RecurrentWeights, given: tuple[Any, ...], out: Array | None, others: States
) -> None:
    """What is wrong with the arrays that the caller gave to be written to, if anything is."""
    x, state, reset_state, *options = given
    front = x.shape[:2]
    if out is not None:
        check_array(name, "out", out, (*front, weights.output_size), weights.dtype)
        _check_output(name, "out", out)
    if others and len(others) != len(weights.state_sizes):
        raise ValueError(
            f"{name}: states_out must have {len(weights.state_sizes) - 1} arrays, got {len(others) - 1}"
        )
    for array in others[1:]:
        if array is not None:
            check_array(name, "states_out", array, (*front, weights.hidden_size), weights.dtype)
            _check_output(name, "states_out", array)
    written = [array for array in (out, *others) if array is not None]
    unit = (getattr(weights, unit_weight) for unit_weight in UNIT_WEIGHTS)
    read = [array for array in (x, *state, *reset_state, *options, *unit) if array is not None]
    for number, array in enumerate(written):
        if any(np.may_share_memory(array, other) for other in read):
            raise ValueError(f"{name}: out and states_out must not share memory with x, state or options")
        if any(np.may_share_memory(array, other) for other in written[:number]):
            raise ValueError(f"{name}: out and states_out must not share memory with each other")


def _check_output(name: str, argument: str, array: Array) -> None:
    steady = any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape, strict=True))
    if not array.flags.writeable or with_rows(array) is not array or steady:
        raise ValueError(
            f"{name}: {argument} must be writable, with a contiguous last axis and no stride of 0"
        )
