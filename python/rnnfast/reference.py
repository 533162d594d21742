"""The forwards of rnnfast in plain float64 NumPy, written from the equations: to read, and to check against.

Axes: N batch, T steps, I input size, H hidden size, G gates, L layers, D directions. Weights have PyTorch's
layout: weight_ih [G*H, I], weight_hh [G*H, H], bias_ih and bias_hh [G*H]. Slow on purpose: one line per line
of the paper. Imports NumPy alone. Not here: gradients, which the tests check against differences of these
forwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def sigmoid(v: Array) -> Array:
    """The logistic function 1 / (1 + exp(-v)), without overflow.

    Args:
        v: any shape.

    Returns:
        Like v, float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> reference.sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    e = np.exp(-np.abs(np.asarray(v, np.float64)))
    return np.where(np.asarray(v) >= 0, 1.0, e) / (1.0 + e)


# Cells: p = W_ih x_t + b_ih and q = W_hh h_{t-1} + b_hh, each a tuple of [N, H] arrays, one per gate; the new
# states come back. The first state is h, which is also what the layer returns as y.


def rnn_tanh(p: Sequence[Array], q: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
    """Vanilla RNN (Elman 1990): h_t = tanh(p + q)."""
    return (np.tanh(p[0] + q[0]),)


def rnn_relu(p: Sequence[Array], q: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
    """Vanilla RNN: h_t = max(p + q, 0)."""
    return (np.maximum(p[0] + q[0], 0.0),)


def lstm(p: Sequence[Array], q: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
    """LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000): c_t = f∘c_{t-1} + i∘g, h_t = o∘tanh(c_t)."""
    _, c = state
    i = sigmoid(p[0] + q[0])
    f = sigmoid(p[1] + q[1])
    g = np.tanh(p[2] + q[2])
    o = sigmoid(p[3] + q[3])
    c = f * c + i * g
    return o * np.tanh(c), c


def gru(p: Sequence[Array], q: Sequence[Array], state: Sequence[Array]) -> tuple[Array, ...]:
    """GRU (Cho et al. 2014), reset after the product: n = tanh(p_n + r∘q_n), h_t = (1 - z)∘n + z∘h_{t-1}."""
    (h,) = state
    r = sigmoid(p[0] + q[0])
    z = sigmoid(p[1] + q[1])
    n = np.tanh(p[2] + r * q[2])
    return ((1.0 - z) * n + z * h,)


class Cell(NamedTuple):
    """One step of a recurrent layer: names of gates and states in order, and the function."""

    gates: tuple[str, ...]
    states: tuple[str, ...]
    step: Callable[[Sequence[Array], Sequence[Array], Sequence[Array]], tuple[Array, ...]]


CELLS: Mapping[str, Cell] = {
    "rnn_tanh": Cell(("h",), ("h",), rnn_tanh),
    "rnn_relu": Cell(("h",), ("h",), rnn_relu),
    "lstm": Cell(("i", "f", "g", "o"), ("h", "c"), lstm),
    "gru": Cell(("r", "z", "n"), ("h",), gru),
}


class Weights(NamedTuple):
    """Weights of one direction of one layer: weight_ih [G*H, I], weight_hh [G*H, H], biases [G*H] or None."""

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None


def recurrent(
    cell: str,
    x: Array,
    state: Sequence[Array] | None,
    weights: Sequence[Any],
    *,
    reverse: bool = False,
) -> tuple[Array, tuple[Array, ...]]:
    """One direction of one recurrent layer: (h_t, …) = cell(W_ih x_t + b_ih, W_hh h_{t-1} + b_hh, (h_{t-1},
    …)).

    Args:
        cell: a key of `CELLS`.
        x: shape (N, T, I).
        state: initial states, each of shape (N, H); None for zeros.
        weights: (weight_ih, weight_hh) or (weight_ih, weight_hh, bias_ih, bias_hh), as `Weights`.
        reverse: from the last step to the first.

    Returns:
        (y, state): y of shape (N, T, H), the states after the last step taken; float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> weights = np.ones((16, 3)), np.ones((16, 4))
        >>> y, (h, c) = reference.recurrent("lstm", np.ones((2, 5, 3)), None, weights)
        >>> y.shape, c.shape
        ((2, 5, 4), (2, 4))
    """
    gates, states, step = CELLS[cell]
    weight_ih, weight_hh, bias_ih, bias_hh = (*weights, None, None)[:4]
    x = np.asarray(x, np.float64)
    batch, steps, _ = x.shape
    hidden = np.shape(weight_hh)[1]
    if state is None:
        state = [np.zeros((batch, hidden)) for _ in states]
    current: Sequence[Array] = [np.asarray(part, np.float64) for part in state]
    y = np.empty((batch, steps, hidden))
    for t in reversed(range(steps)) if reverse else range(steps):
        p = np.split(linear(x[:, t], weight_ih, bias_ih), len(gates), axis=1)
        q = np.split(linear(current[0], weight_hh, bias_hh), len(gates), axis=1)
        current = step(p, q, current)
        y[:, t] = current[0]
    return y, tuple(current)


def recurrent_layers(
    cell: str,
    x: Array,
    state: Sequence[Array] | None,
    parameters: Mapping[str, Array],
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    masks: Sequence[Array] = (),
) -> tuple[Array, tuple[Array, ...]]:
    """A stack of recurrent layers, as ``rnnfast.nn`` runs it: y of each layer is the input of the next.

    Args:
        cell: a key of `CELLS`.
        x: shape (N, T, I).
        state: initial states, each of shape (L*D, N, H), layer-major; None for zeros.
        parameters: arrays by PyTorch's names, weight_ih_l0, …, bias_hh_l1_reverse; biases may be absent.
        num_layers: L.
        bidirectional: D = 2; y is [forward, backward] on the last axis.
        masks: for dropout, what y of each layer but the last is multiplied by: L - 1 arrays of shape (N, T,
            D*H).

    Returns:
        (y, state): y of shape (N, T, D*H), final states of shape (L*D, N, H); float64.
    """
    finals = []
    directions = 2 if bidirectional else 1
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            names = [f"{name}{suffix}" for name in Weights._fields]
            k = layer * directions + direction
            y, final = recurrent(
                cell,
                x,
                None if state is None else [part[k] for part in state],
                [parameters.get(name) for name in names],
                reverse=direction == 1,
            )
            outputs.append(y)
            finals.append(final)
        x = np.concatenate(outputs, axis=2)
        if masks and layer + 1 < num_layers:
            x = x * masks[layer]
    return x, tuple(np.stack(parts) for parts in zip(*finals, strict=True))


def linear(x: Array, weight: Array | None, bias: Array | None = None) -> Array:
    """The affine map y = x Wᵀ + b over the last axis.

    Args:
        x: shape (..., I).
        weight: shape (O, I).
        bias: shape (O,), None for zero.

    Returns:
        y, shape (..., O), float64.
    """
    y = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    return y if bias is None else y + np.asarray(bias, np.float64)


# Philox4x32-10: multipliers of the two lanes and the constants (golden ratio, sqrt(3) - 1) that the key grows
# by each round.
_PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_PHILOX_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = np.uint64(0xFFFFFFFF)


def philox4x32(counter: Sequence[Any], key: Sequence[Any]) -> Array:
    """The counter-based generator Philox4x32-10.

    Args:
        counter: four arrays of 32-bit words that broadcast together.
        key: two such arrays.

    Returns:
        Four random 32-bit words per counter, shape (..., 4), uint32.

    Example:
        >>> from rnnfast import reference
        >>> [hex(word) for word in reference.philox4x32((0, 0, 0, 0), (0, 0)).tolist()]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']

    Reference:
        Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    shift = np.uint64(32)
    for _ in range(10):
        a = c0 * np.uint64(_PHILOX_MULTIPLIERS[0])
        b = c2 * np.uint64(_PHILOX_MULTIPLIERS[1])
        c0, c1, c2, c3 = (b >> shift) ^ c1 ^ k0, b & _WORD, (a >> shift) ^ c3 ^ k1, a & _WORD
        k0 = (k0 + np.uint64(_PHILOX_KEY_STEPS[0])) & _WORD
        k1 = (k1 + np.uint64(_PHILOX_KEY_STEPS[1])) & _WORD
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


# What a mask is for: the last part of the generator's key.
DROPOUT_PURPOSES: Mapping[str, int] = {
    "output": 0,
    "input": 1,
    "recurrent": 2,
    "weight": 3,
    "zoneout_h": 4,
    "zoneout_c": 5,
}


def dropout_mask(
    shape: tuple[int, int, int],
    rate: float,
    *,
    seed: int,
    call: int,
    layer: int = 0,
    direction: int = 0,
    what: str = "output",
) -> Array:
    """The dropout mask m[n, t, unit]: 0 with probability `rate`, else 1/(1 - rate).

    A pure function of its arguments. Word unit mod 4 of Philox4x32-10 at counter (unit div 4, t, n, 0) under
    the key (seed_low ^ (call · 0x9E3779B9 mod 2³²), seed_high ^ (layer << 16 | direction << 8 | what)) gives
    u; the unit is kept where (u >> 8) · 2⁻²⁴ >= rate.

    Args:
        shape: (N, T, units).
        rate: probability of a zero, in [0, 1).
        seed: 64 bits.
        call: number of the forward call.
        layer: number of the layer.
        direction: 0 forward, 1 backward in time.
        what: a key of `DROPOUT_PURPOSES`.

    Returns:
        The mask, of `shape`, float64.

    Example:
        >>> from rnnfast import reference
        >>> reference.dropout_mask((1, 1, 4), 0.5, seed=0, call=0).shape
        (1, 1, 4)
    """
    batch, steps, units = shape
    key = (
        (seed & 0xFFFFFFFF) ^ (call * 0x9E3779B9 & 0xFFFFFFFF),
        (seed >> 32 & 0xFFFFFFFF) ^ (layer << 16 | direction << 8 | DROPOUT_PURPOSES[what]),
    )
    n, t, block = np.ogrid[:batch, :steps, : -(-units // 4)]
    words = philox4x32((block, t, n, 0), key).reshape(batch, steps, 4 * block.size)[:, :, :units]
    uniform = (words >> np.uint32(8)) * 2.0**-24
    return np.where(uniform >= rate, 1.0 / (1.0 - rate), 0.0)
