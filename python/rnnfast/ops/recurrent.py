"""One direction of one recurrent layer over whole sequences: packing, forward, backward, single steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np

from rnnfast import _core

from .arrays import (
    Array,
    States,
    check_array,
    check_float,
    check_states,
    contiguous,
    empty_like_sequence,
    shape_of,
    with_rows,
)


class CellInfo(NamedTuple):
    """What the registry knows of a cell: names, gates and states in order, sums per unit, its number."""

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    sums: int
    number: int


@cache
def cells() -> dict[str, CellInfo]:
    """All registered cells by name."""
    return {
        name: CellInfo(name, gates, states, sums, index)
        for index, (name, gates, states, sums) in enumerate(_core.cells())
    }


@dataclass(eq=False)
class RecurrentWeights:
    """Weights of one direction of one layer, with their packed forms, which are made when first needed.

    Args:
        cell: a name in ``cells()``, with G gates.
        weight_ih: ``[G*H, I]``.
        weight_hh: ``[G*H, H]``.
        bias_ih: ``[G*H]``, or None together with bias_hh.
        bias_hh: ``[G*H]``.

    Raises:
        TypeError: not float32 or float64 throughout.
        ValueError: an unknown cell or a wrong shape.
    """

    cell: str
    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None
    info: CellInfo = field(init=False, repr=False)
    _packed: dict[tuple[str, bool], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        where = "RecurrentWeights"
        if self.cell not in cells():
            raise ValueError(f"{where}: cell must be one of {', '.join(cells())}, got {self.cell!r}")
        self.info = cells()[self.cell]
        check_float(where, "weight_ih", self.weight_ih)
        rows, hidden = shape_of(where, "weight_hh", self.weight_hh, 2)
        if rows != len(self.info.gates) * hidden:
            gates = len(self.info.gates)
            raise ValueError(
                f"{where}: weight_hh must have shape (gates*H, H) with {gates} gates, got ({rows}, {hidden})"
            )
        if (self.bias_ih is None) != (self.bias_hh is None):
            raise ValueError(f"{where}: bias_ih and bias_hh must be given together, or neither")
        inputs = shape_of(where, "weight_ih", self.weight_ih, 2)[1]
        for name, shape in {
            "weight_ih": (rows, inputs), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)
        }.items():  # fmt: skip
            array = getattr(self, name)
            if array is not None:
                check_array(where, name, array, shape, self.weight_ih.dtype)
                setattr(self, name, contiguous(array))

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.weight_hh.shape[1])

    def is_like(self, other: RecurrentWeights) -> bool:
        """Whether the other weights are of the same cell, sizes and dtype, with or without biases alike."""
        return (
            self.cell == other.cell
            and self.weight_ih.shape == other.weight_ih.shape
            and self.weight_ih.dtype == other.weight_ih.dtype
            and (self.bias_ih is None) == (other.bias_ih is None)
        )

    def packed(self, for_backward: bool) -> Array:
        """The weights as the active variant reads them."""
        key = (_core.active_variant(), for_backward)
        if key not in self._packed:
            self._packed[key] = _core.recurrent_pack(
                self.info.number,
                for_backward=for_backward,
                weight_ih=self.weight_ih,
                weight_hh=self.weight_hh,
                bias_ih=self.bias_ih,
                bias_hh=self.bias_hh,
            )
        return self._packed[key]

    def refresh(self) -> None:
        """The arrays have been written to: pack them again at the next use."""
        self._packed.clear()


@dataclass(eq=False)
class RecurrentTape:
    """What one forward call leaves for one backward call. It refers to x and y: leave them unchanged."""

    weights: RecurrentWeights
    x: Array
    y: Array
    state: tuple[Array | None, ...]
    gates: Array | None
    states: Array
    reverse: bool


class RecurrentGradients(NamedTuple):
    """Gradients of everything that entered one layer in one direction."""

    dx: Array
    dstate: tuple[Array, ...]
    dweight_ih: Array
    dweight_hh: Array
    dbias_ih: Array | None
    dbias_hh: Array | None


def recurrent_forward(
    weights: RecurrentWeights,
    x: Array,
    state: States | None = None,
    *,
    reverse: bool = False,
    training: bool = False,
    out: Array | None = None,
    name: str = "recurrent_forward",
) -> tuple[Array, tuple[Array, ...], RecurrentTape | None]:
    """One direction of one recurrent layer over whole sequences: (h_t, …) = cell(x_t, h_{t-1}, …).

    Args:
        weights: cell and weights.
        x: ``[N, T, I]``.
        state: initial states, each ``[N, H]``, or None for zeros.
        reverse: run from the last step to the first.
        training: keep a tape for `recurrent_backward`.
        out: where to write y: ``[N, T, H]`` with a contiguous last axis, possibly part of a larger array.
        name: who asks, for errors.

    Returns:
        (y, states, tape): y ``[N, T, H]``; the states after the last step run, each ``[N, H]``; no tape
        if not training.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    info, hidden, dtype = weights.info, weights.hidden_size, weights.weight_ih.dtype
    batch, steps, _ = shape_of(name, "x", x, 3)
    check_array(name, "x", x, (batch, steps, weights.weight_ih.shape[1]), dtype)
    x = with_rows(x)
    state = check_states(name, "state", state, info.states, (batch, hidden), dtype)
    y = empty_like_sequence(x, hidden) if out is None else out
    if out is not None:
        check_array(name, "out", out, (batch, steps, hidden), dtype)
        if not out.flags.writeable or with_rows(out) is not out or (out.size and 0 in out.strides):
            raise ValueError(f"{name}: out must be writable, with a contiguous last axis and no stride of 0")
        if any(array is not None and np.may_share_memory(out, array) for array in (x, *state)):
            raise ValueError(f"{name}: out must not share memory with x or state")
    final = tuple(np.empty((batch, hidden), dtype) for _ in info.states)
    tape = None
    if training:
        row = _core.recurrent_tape_row(info.number, dtype=dtype.name, hidden=hidden)
        gates = np.empty((steps, batch, row), dtype)
        tape = RecurrentTape(
            weights,
            x,
            y,
            state,
            gates,
            np.empty((steps, batch, len(info.states) - 1, hidden), dtype),
            reverse,
        )
    _core.recurrent_forward(
        info.number,
        reverse=reverse,
        hidden=hidden,
        x=x,
        state=state,
        packed=weights.packed(False),
        y=y,
        final_state=final,
        tape_gates=None if tape is None else tape.gates,
        tape_states=None if tape is None else tape.states,
    )
    return y, final, tape


def recurrent_backward(
    weights: RecurrentWeights,
    tape: RecurrentTape,
    dy: Array | None,
    dstate: States | None = None,
    *,
    name: str = "recurrent_backward",
) -> RecurrentGradients:
    """Gradients of `recurrent_forward`: of x, the initial states, weights and biases.

    Args:
        weights: as in the forward call.
        tape: from the forward call; used up.
        dy: gradient of y ``[N, T, H]``, None for zeros.
        dstate: gradients of the final states, each ``[N, H]`` or None for zeros; None for zeros throughout.
        name: who asks, for errors.

    Raises:
        RuntimeError: the tape was used before.
        TypeError, ValueError: naming the argument.
    """
    if tape.gates is None:
        raise RuntimeError(
            f"{name}: tape was used before; a tape serves one backward call, run forward again"
        )
    info, hidden, dtype = weights.info, weights.hidden_size, weights.weight_ih.dtype
    if tape.weights is not weights and not tape.weights.is_like(weights):
        raise ValueError(
            f"{name}: tape must come from a forward call with these weights, got a tape of others"
        )
    batch, steps, inputs = tape.x.shape
    if dy is not None:
        check_array(name, "dy", dy, (batch, steps, hidden), dtype)
        dy = with_rows(dy)
    dfinal = check_states(name, "dstate", dstate, info.states, (batch, hidden), dtype)
    bias = weights.bias_ih is not None
    gates, tape.gates = tape.gates, None
    gradients = RecurrentGradients(
        dx=empty_like_sequence(tape.x, inputs),
        dstate=tuple(np.empty((batch, hidden), dtype) for _ in info.states),
        dweight_ih=np.empty(weights.weight_ih.shape, dtype),
        dweight_hh=np.empty(weights.weight_hh.shape, dtype),
        dbias_ih=np.empty(weights.weight_hh.shape[:1], dtype) if bias else None,
        dbias_hh=np.empty(weights.weight_hh.shape[:1], dtype) if bias else None,
    )
    _core.recurrent_backward(
        info.number,
        reverse=tape.reverse,
        x=tape.x,
        y=tape.y,
        state=tape.state,
        packed=weights.packed(True),
        tape_gates=gates,
        tape_states=tape.states,
        dy=dy,
        dfinal_state=dfinal,
        **gradients._asdict(),
    )
    return gradients


def recurrent_step(
    weights: RecurrentWeights, x: Array, state: States | None = None, *, name: str = "recurrent_step"
) -> tuple[Array, ...]:
    """One step: x ``[N, I]``, states each ``[N, H]`` -> new states; the first of them, h, is the output."""
    batch, inputs = shape_of(name, "x", x, 2)
    return recurrent_forward(weights, x.reshape(batch, 1, inputs), state, name=name)[1]
