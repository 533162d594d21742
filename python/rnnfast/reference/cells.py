"""One step of each cell, as its equation reads.

p = W_ih x_t + b_ih and q = W_hh h' + b_hh are tuples of [N, H] arrays, one per gate; h' is h_{t-1}, under its
dropout mask if there is one. `state` is what the last step left. The new states come back; the first is h.
Not here: layer norm of p and q, projection, zoneout, resets, lengths: they are the same for all cells and
stand in ``layers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .formulas import Array, sigmoid

Arrays = Sequence[Array]
States = tuple[Array, ...]


def _unchanged(v: Array) -> Array:
    return v


class Inside(NamedTuple):
    """What some equations have in the middle of a step, beside p, q and the states.

    weight_ch: the peephole weights, one [H] per gate of `Cell.peepholes`. norm_c: what is done to c_t before
    its tanh. reset_product: r -> W_hn (r∘h') + b_hn, which can only be taken once r is known.
    """

    weight_ch: Arrays = ()
    norm_c: Callable[[Array], Array] = _unchanged
    reset_product: Callable[[Array], Array] = _unchanged


NOTHING = Inside()


def rnn_tanh(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """Vanilla RNN (Elman 1990): h_t = tanh(p + q)."""
    return (np.tanh(p[0] + q[0]),)


def rnn_relu(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """Vanilla RNN: h_t = max(p + q, 0)."""
    return (np.maximum(p[0] + q[0], 0.0),)


def lstm(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000): c_t = f∘c_{t-1} + i∘g, h_t = o∘tanh(c_t)."""
    _, c = state
    i = sigmoid(p[0] + q[0])
    f = sigmoid(p[1] + q[1])
    g = np.tanh(p[2] + q[2])
    o = sigmoid(p[3] + q[3])
    c = f * c + i * g
    return o * np.tanh(inside.norm_c(c)), c


def lstm_peephole(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """LSTM whose gates see c (Gers & Schmidhuber 2000): i and f see c_{t-1}, o sees c_t."""
    _, c = state
    w_i, w_f, w_o = inside.weight_ch
    i = sigmoid(p[0] + q[0] + w_i * c)
    f = sigmoid(p[1] + q[1] + w_f * c)
    g = np.tanh(p[2] + q[2])
    c = f * c + i * g
    o = sigmoid(p[3] + q[3] + w_o * c)
    return o * np.tanh(inside.norm_c(c)), c


def lstm_coupled(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """LSTM that forgets what it takes in (Greff et al. 2017): c_t = (1 - i)∘c_{t-1} + i∘g, no gate f."""
    _, c = state
    i = sigmoid(p[0] + q[0])
    g = np.tanh(p[1] + q[1])
    o = sigmoid(p[2] + q[2])
    c = (1.0 - i) * c + i * g
    return o * np.tanh(inside.norm_c(c)), c


def lstm_peephole_coupled(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """LSTM with both: f = 1 - i, where i sees c_{t-1} and o sees c_t."""
    _, c = state
    w_i, w_o = inside.weight_ch
    i = sigmoid(p[0] + q[0] + w_i * c)
    g = np.tanh(p[1] + q[1])
    c = (1.0 - i) * c + i * g
    o = sigmoid(p[2] + q[2] + w_o * c)
    return o * np.tanh(inside.norm_c(c)), c


def gru(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """GRU (Cho et al. 2014), reset after the product: n = tanh(p_n + r∘q_n), h_t = (1 - z)∘n + z∘h_{t-1}."""
    (h,) = state
    r = sigmoid(p[0] + q[0])
    z = sigmoid(p[1] + q[1])
    n = np.tanh(p[2] + r * q[2])
    return ((1.0 - z) * n + z * h,)


def gru_reset_before(p: Arrays, q: Arrays, state: Arrays, inside: Inside = NOTHING) -> States:
    """GRU as in the paper, reset before the product: n = tanh(p_n + W_hn (r∘h') + b_hn); q_n is not used."""
    (h,) = state
    r = sigmoid(p[0] + q[0])
    z = sigmoid(p[1] + q[1])
    n = np.tanh(p[2] + inside.reset_product(r))
    return ((1.0 - z) * n + z * h,)


class Cell(NamedTuple):
    """One step of a recurrent layer: gates and states in order, the function, gates with a peephole in order,
    and the layer norms that the equations allow.
    """

    gates: tuple[str, ...]
    states: tuple[str, ...]
    step: Callable[[Arrays, Arrays, Arrays, Inside], States]
    peepholes: tuple[str, ...] = ()
    layer_norms: tuple[str, ...] = ("split", "joint")

    @property
    def output_state(self) -> bool:
        """Whether h is an output o∘tanh(c), which can be normalised and projected."""
        return "c" in self.states


# Joint norm needs the one sum p + q, which a GRU never forms: r acts on q_n alone. Split norm needs all of
# W_hh h' at once, of which a reset before the product leaves W_hn for later.
CELLS: Mapping[str, Cell] = {
    "rnn_tanh": Cell(("h",), ("h",), rnn_tanh),
    "rnn_relu": Cell(("h",), ("h",), rnn_relu),
    "lstm": Cell(("i", "f", "g", "o"), ("h", "c"), lstm),
    "lstm_peephole": Cell(("i", "f", "g", "o"), ("h", "c"), lstm_peephole, ("i", "f", "o")),
    "lstm_coupled": Cell(("i", "g", "o"), ("h", "c"), lstm_coupled),
    "lstm_peephole_coupled": Cell(("i", "g", "o"), ("h", "c"), lstm_peephole_coupled, ("i", "o")),
    "gru": Cell(("r", "z", "n"), ("h",), gru, layer_norms=("split",)),
    "gru_reset_before": Cell(("r", "z", "n"), ("h",), gru_reset_before, layer_norms=()),
}
