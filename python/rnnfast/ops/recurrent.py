"""One direction of one recurrent layer over whole sequences, with every option: forward, backward, steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
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
from .memory import TapeMemory
from .options import Zoneout, call_options, zoneout_settings
from .tape import RecurrentGradients, RecurrentTape, tape_values
from .weights import RecurrentWeights


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
    memory: TapeMemory | None = None,
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
        memory: where tapes take their memory from and give it back; None for new memory every time.
        name: who asks, for errors.

    Returns:
        (y, states, tape): y ``[N, T, O]``; the states after each sample's last step; no tape if not training.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    info, dtype, sizes = weights.info, weights.weight_ih.dtype, weights.state_sizes
    batch, steps, _ = shape_of(name, "x", x, 3)
    check_array(name, "x", x, (batch, steps, weights.weight_ih.shape[1]), dtype)
    x = with_rows(x)
    shapes = tuple((batch, size) for size in sizes)
    state = check_states(name, "state", state, info.states, shapes, dtype)
    y = empty_like_sequence(x, sizes[0]) if out is None else out
    if out is not None:
        check_array(name, "out", out, (batch, steps, sizes[0]), dtype)
        _check_output(name, "out", out)
    others: tuple[Array | None, ...] = ()
    if states_out is not None:
        others = (None, *states_out)
        if len(others) != len(sizes):
            raise ValueError(f"{name}: states_out must have {len(sizes) - 1} arrays, got {len(states_out)}")
        for array in others[1:]:
            if array is None:
                continue
            check_array(name, "states_out", array, (batch, steps, weights.hidden_size), dtype)
            _check_output(name, "states_out", array)
    segment = min(recompute, steps) if recompute > 0 else steps
    call: dict[str, Any] = {
        "settings": {
            "reverse": reverse,
            "layer_norm": weights.layer_norm or "none",
            "segment": max(1, segment),
            **zoneout_settings(name, zoneout, info.states, training),
        },
        "state": state,
        "reset_state": check_states(
            name, "reset_state", reset_state, info.states, tuple((size,) for size in sizes), dtype
        ),
        "options": call_options(name, weights, batch, steps, lengths, resets, hidden_mask),
    }
    written = [array for array in (out, *others) if array is not None]
    _check_overlap(name, written, (x, *state, *call["reset_state"], *call["options"].values()))
    final = tuple(np.empty(shape, dtype) for shape in shapes)
    tape = None
    if training:
        checkpoints = None
        if segment < steps:
            count = -(-steps // segment)
            checkpoints = np.empty((count, len(sizes) - 1, batch, weights.hidden_size), dtype)
        values = None if segment < steps else tape_values(weights, call, batch, steps, segment, memory)
        tape = RecurrentTape(weights, x, y, values, checkpoints, call, reset_state is not None, memory)
    _core.recurrent_forward(
        info.number,
        **call,
        hidden=weights.hidden_size,
        projection=weights.projection,
        x=x,
        packed=weights.packed(False),
        y=y,
        final_state=final,
        states=others,
        tape=None if tape is None else tape.values,
        checkpoints=None if tape is None else tape.checkpoints,
    )
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
        weights: those of the forward call, the same object.
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
    info, sizes, dtype = weights.info, weights.state_sizes, weights.weight_ih.dtype
    if tape.weights is not weights:
        raise ValueError(
            f"{name}: tape must come from a forward call with these weights, got a tape of others; "
            f"pass tape.weights"
        )
    if bound is not None and not dtype.type(bound) > 0:
        raise ValueError(f"{name}: bound must be above 0 in {dtype}, or None for none, got {bound}")
    batch, steps, inputs = tape.x.shape
    if dy is not None:
        check_array(name, "dy", dy, (batch, steps, sizes[0]), dtype)
        dy = with_rows(dy)
    shapes = tuple((batch, size) for size in sizes)
    dfinal = check_states(name, "dstate", dstate, info.states, shapes, dtype)
    call = tape.call
    values, tape.values, tape.used = tape.values, None, True
    if values is None:
        values = tape_values(weights, call, batch, steps, call["settings"]["segment"], tape.memory)
    dx = empty_like_sequence(tape.x, inputs)
    doutputs = tuple(np.empty(shape, dtype) for shape in shapes)
    dreset = tuple(np.empty(shape, dtype) for shape in shapes) if tape.with_reset_state else None
    gradients = {key: np.empty_like(array) for key, array in weights.arrays().items()}
    _core.recurrent_backward(
        info.number,
        **call,
        hidden=weights.hidden_size,
        projection=weights.projection,
        x=tape.x,
        packed=weights.packed(False),
        packed_backward=weights.packed(True),
        y=tape.y,
        tape=values,
        checkpoints=tape.checkpoints,
        bound=math.inf if bound is None else bound,
        dy=dy,
        dfinal_state=dfinal,
        dx=dx,
        dstate=doutputs,
        dreset_state=dreset or (None,) * len(sizes),
        gradients=gradients,
    )
    if tape.memory is not None:
        tape.memory.give_back(values)
    return RecurrentGradients(
        dx, doutputs, dreset, **{f"d{key}": gradient for key, gradient in gradients.items()}
    )


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


def _check_output(name: str, argument: str, array: Array) -> None:
    steady = any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape, strict=True))
    if not array.flags.writeable or with_rows(array) is not array or steady:
        raise ValueError(
            f"{name}: {argument} must be writable, with a contiguous last axis and no stride of 0"
        )


def _check_overlap(name: str, written: list[Array], read: Iterable[Array | None]) -> None:
    for number, array in enumerate(written):
        if any(other is not None and np.may_share_memory(array, other) for other in read):
            raise ValueError(f"{name}: out and states_out must not share memory with x, state or options")
        if any(np.may_share_memory(array, other) for other in written[:number]):
            raise ValueError(f"{name}: out and states_out must not share memory with each other")
