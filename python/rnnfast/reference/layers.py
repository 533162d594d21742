"""A cell over time, and layers over each other, with every option.

One step, in this order: where a reset cuts, the states start anew; h' = h_{t-1}∘mask enters W_hh; the cell
gives candidates c̃, h̃; h̃ is projected; zoneout mixes candidates and old states; y_t = h_t. Rows that are past
their length keep their states and give y = 0. Not here: random numbers, every mask is an argument (``masks``
makes them).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .cells import CELLS, Cell, Inside
from .formulas import Array, layer_norm, linear


class Weights(NamedTuple):
    """Weights of one direction of one layer; None where an option is off.

    weight_ih [G*H, I], weight_hh [G*H, P or H], biases [G*H]; peepholes weight_ch [K*H]; projection weight_hr
    [P, H]; layer norm "split": gamma_ih, gamma_hh [G*H] and, where there is a c, gamma_c, beta_c [H]; layer
    norm "joint": gamma, beta [G*H].
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None
    weight_ch: Array | None = None
    weight_hr: Array | None = None
    gamma_ih: Array | None = None
    gamma_hh: Array | None = None
    gamma_c: Array | None = None
    beta_c: Array | None = None
    gamma: Array | None = None
    beta: Array | None = None


def _checked(cell: str, weights: Sequence[Any]) -> Weights:
    """The weights in float64; they must be those that the equations of the cell name."""
    arrays: Any = (None if array is None else np.asarray(array, np.float64) for array in weights)
    own = Weights(*arrays)
    info = CELLS[cell]
    kind = "split" if own.gamma_ih is not None else "joint" if own.gamma is not None else None
    if kind is not None and kind not in info.layer_norms:
        raise ValueError(
            f"reference.recurrent: {cell} takes layer norm {info.layer_norms}, got the weights of {kind!r}"
        )
    needed = {"weight_ch"} if info.peepholes else set()
    if kind == "split":
        needed |= {"gamma_ih", "gamma_hh"} | ({"gamma_c", "beta_c"} if info.output_state else set())
    elif kind == "joint":
        needed |= {"gamma", "beta"}
    free = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"} | ({"weight_hr"} if info.output_state else set())
    given = {name for name, array in own._asdict().items() if array is not None} - free
    if given != needed:
        raise ValueError(
            f"reference.recurrent: {cell} with layer norm {kind} takes {sorted(needed)} beside weight_ih, "
            f"weight_hh and biases, got {sorted(given)}"
        )
    return own


def _sums(x: Array, weight: Array, gamma: Array | None, bias: Array | None) -> Array:
    """γ∘norm(W x) + b, or W x + b without γ."""
    if gamma is None:
        return linear(x, weight, bias)
    normed = gamma * layer_norm(linear(x, weight))
    return normed if bias is None else normed + bias


def _candidates(
    cell: Cell, w: Weights, x: Array, state: Sequence[Array], mask: Array | None
) -> tuple[Array, ...]:
    """h̃ and c̃ of one step, from x [N, I] and the states before it."""
    gates = len(cell.gates)
    h = state[0] if mask is None else state[0] * mask
    p = _sums(x, w.weight_ih, w.gamma_ih, w.bias_ih)
    q = _sums(h, w.weight_hh, w.gamma_hh, w.bias_hh)
    if w.gamma is not None and w.beta is not None:
        p, q = w.gamma * layer_norm(p + q) + w.beta, np.zeros_like(q)

    def norm_c(c: Array) -> Array:
        return c if w.gamma_c is None or w.beta_c is None else w.gamma_c * layer_norm(c) + w.beta_c

    def reset_product(r: Array) -> Array:
        bias_hn = None if w.bias_hh is None else np.split(w.bias_hh, gates)[-1]
        return linear(r * h, np.split(w.weight_hh, gates)[-1], bias_hn)

    peepholes = [] if w.weight_ch is None else np.split(w.weight_ch, len(cell.peepholes))
    inside = Inside(peepholes, norm_c, reset_product)
    h, *others = cell.step(np.split(p, gates, axis=1), np.split(q, gates, axis=1), state, inside)
    return (h if w.weight_hr is None else linear(h, w.weight_hr), *others)


def recurrent(
    cell: str,
    x: Array,
    state: Sequence[Array] | None,
    weights: Sequence[Any],
    *,
    reverse: bool = False,
    lengths: Sequence[int] | Array | None = None,
    resets: Array | None = None,
    reset_state: Sequence[Array] | None = None,
    hidden_mask: Array | None = None,
    zoneout: Sequence[float | Array] | None = None,
    return_states: bool = False,
) -> tuple[Any, ...]:
    """One direction of one recurrent layer: (h_t, …) = cell(W_ih x_t + b_ih, W_hh h_{t-1} + b_hh, (h_{t-1},
    …)), then h_t ← m∘h_{t-1} + (1 - m)∘h_t, the same for c.

    Args:
        cell: a key of `CELLS`.
        x: shape (N, T, I).
        state: initial states, h of shape (N, P or H), c of shape (N, H); None for zeros.
        weights: `Weights`, or the first of them in that order. Which layer norm follows from the gammas.
        reverse: from the last step to the first; from the last true step of each row where there are lengths.
        lengths: true steps of each row, N integers in 0..T. Padding is not read, gives zeros and leaves the
            states alone.
        resets: bool, shape (N, T): true at [n, t] cuts between t - 1 and t. Going forward the states are
            replaced before step t, going backward before step t - 1.
        reset_state: what they are replaced by, shape (P or H,) or (H,) per state; None for zeros.
        hidden_mask: for recurrent dropout, what h_{t-1} is multiplied by where it enters W_hh, shape (N, P or
            H).
        zoneout: m per state, a number or an array of shape (N, T, size); None for zeros.
        return_states: also return all states after every step.

    Returns:
        (y, state): y of shape (N, T, P or H), the states after the last step taken; with `return_states`
        (y, state, states), each of states of shape (N, T, size), 0 on padding. float64.

    Raises:
        ValueError: if the weights are not those of the cell.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> weights = np.ones((16, 3)), np.ones((16, 4))
        >>> y, (h, c) = reference.recurrent("lstm", np.ones((2, 5, 3)), None, weights, lengths=[5, 3])
        >>> y.shape, c.shape, bool((h[1] == y[1, 2]).all())
        ((2, 5, 4), (2, 4), True)
    """
    info = CELLS[cell]
    own = _checked(cell, weights)
    x = np.asarray(x, np.float64)
    batch, steps, _ = x.shape
    rows, outputs = own.weight_hh.shape
    sizes = [outputs if name == "h" else rows // len(info.gates) for name in info.states]
    zeros = tuple(np.zeros((batch, size)) for size in sizes)
    current = zeros if state is None else tuple(np.asarray(part, np.float64) for part in state)
    fresh = zeros if reset_state is None else tuple(np.asarray(part, np.float64) for part in reset_state)
    ends = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    true = np.arange(steps) < ends[:, None]
    cuts = np.zeros((batch, steps), bool) if resets is None else np.asarray(resets, bool) & true
    # What stands on padding, NaN perhaps, goes into no sum.
    x = np.where(true[:, :, None], x, 0.0)
    states = tuple(np.zeros((batch, steps, size)) for size in sizes)
    for t in reversed(range(steps)) if reverse else range(steps):
        # The way into step t crosses cut t from t - 1, or cut t + 1 from t + 1.
        crossed = t + 1 if reverse else t
        if crossed < steps:
            cut = cuts[:, crossed, None]
            current = tuple(np.where(cut, anew, s) for anew, s in zip(fresh, current, strict=True))
        after = _candidates(info, own, x[:, t], current, hidden_mask)
        if zoneout is not None:
            at_t = (m if np.ndim(m) == 0 else np.asarray(m)[:, t] for m in zoneout)
            after = tuple(m * s + (1.0 - m) * new for m, s, new in zip(at_t, current, after, strict=True))
        here = true[:, t, None]
        current = tuple(np.where(here, new, s) for new, s in zip(after, current, strict=True))
        for every, s in zip(states, current, strict=True):
            every[:, t] = np.where(here, s, 0.0)
    return (states[0], current, states) if return_states else (states[0], current)


def recurrent_layers(
    cell: str,
    x: Array,
    state: Sequence[Array] | None,
    parameters: Mapping[str, Array],
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    masks: Sequence[Array] = (),
    input_masks: Sequence[Array] = (),
    hidden_masks: Sequence[Array] = (),
    weight_masks: Sequence[Array] = (),
    zoneout: Sequence[Sequence[float | Array]] = (),
    lengths: Sequence[int] | Array | None = None,
    resets: Array | None = None,
    return_states: bool = False,
) -> tuple[Any, ...]:
    """A stack of recurrent layers, as ``rnnfast.nn`` runs it: y of each layer is the input of the next.

    What comes once per layer and direction stands in a sequence of L*D, layer-major, as the states do; an
    empty sequence is the option switched off.

    Args:
        cell: a key of `CELLS`.
        x: shape (N, T, I).
        state: initial states, each of shape (L*D, N, size), layer-major; None for the parameters
            initial_h_l0, initial_c_l0, … of shape (size,), for zeros where there are none.
        parameters: arrays by name, weight_ih_l0, …, bias_hh_l1_reverse: the fields of `Weights` and the
            initial states, which are also what a reset puts in; those of options that are off are absent.
        num_layers: L.
        bidirectional: D = 2; y is [forward, backward] on the last axis.
        masks: for dropout between layers, what y of each layer but the last is multiplied by: L - 1 arrays of
            shape (N, T, D*size).
        input_masks: for input dropout, what the input of each layer is multiplied by, the same in both
            directions: L arrays of shape (N, 1, size of the input).
        hidden_masks: for recurrent dropout, L*D arrays as `hidden_mask` of `recurrent`.
        weight_masks: for dropped weights, what weight_hh is multiplied by: L*D arrays of its shape.
        zoneout: L*D entries as `zoneout` of `recurrent`.
        lengths, resets: as for `recurrent`, the same for all layers and directions.
        return_states: also return all states after every step.

    Returns:
        (y, state): y of shape (N, T, D*size), final states of shape (L*D, N, size); with `return_states` (y,
        state, states), each of states of shape (L*D, N, T, size). float64.

    Raises:
        ValueError: if the parameters are not those of the cell.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> parameters = {"weight_ih_l0": np.ones((3, 2)), "weight_hh_l0": np.ones((3, 3))}
        >>> parameters["initial_h_l0"] = np.array([0.1, 0.2, 0.3])
        >>> y, (h,) = reference.recurrent_layers("rnn_tanh", np.ones((4, 5, 2)), None, parameters)
        >>> y.shape, h.shape
        ((4, 5, 3), (1, 4, 3))
    """
    runs: list[tuple[Any, ...]] = []
    directions = [("", False), ("_reverse", True)] if bidirectional else [("", False)]
    for layer in range(num_layers):
        if len(input_masks):
            x = x * input_masks[layer]
        for suffix, reverse in directions:
            k = len(runs)
            own: list[Any] = [parameters.get(f"{name}_l{layer}{suffix}") for name in Weights._fields]
            weights = Weights(*own)
            if len(weight_masks):
                weights = weights._replace(weight_hh=weights.weight_hh * weight_masks[k])
            initial = [f"initial_{name}_l{layer}{suffix}" for name in CELLS[cell].states]
            trained = [parameters[name] for name in initial] if initial[0] in parameters else None
            start = trained and [np.tile(part, (len(x), 1)) for part in trained]
            run = recurrent(
                cell,
                x,
                start if state is None else [part[k] for part in state],
                weights,
                reverse=reverse,
                lengths=lengths,
                resets=resets,
                reset_state=trained,
                hidden_mask=hidden_masks[k] if len(hidden_masks) else None,
                zoneout=zoneout[k] if len(zoneout) else None,
                return_states=True,
            )
            runs.append(run)
        x = np.concatenate([y for y, _, _ in runs[-len(directions) :]], axis=2)
        if len(masks) and layer + 1 < num_layers:
            x = x * masks[layer]
    finals, states = (tuple(np.stack(s) for s in zip(*(run[k] for run in runs), strict=True)) for k in (1, 2))
    return (x, finals, states) if return_states else (x, finals)
