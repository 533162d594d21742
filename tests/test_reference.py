"""The reference itself: against values worked out elsewhere, and against formulas written a second way.

No test here compares it with itself under the same option: scalars in plain Python, a second construction
that must come to the same numbers, or a part that can be run alone.
"""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from rnnfast import ops, reference

Array = np.ndarray[Any, np.dtype[Any]]

NAMES = list(reference.CELLS)
EVERY_CELL = pytest.mark.parametrize("name", NAMES)
LSTMS = [name for name in NAMES if "c" in reference.CELLS[name].states]
NORMS = [(name, kind) for name, info in reference.CELLS.items() for kind in (None, *info.layer_norms)]
REVERSE = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
ROUNDING = {"rtol": 1e-12, "atol": 1e-13}


def make_weights(
    name: str,
    inputs: int,
    hidden: int,
    *,
    projected: int | None = None,
    norm: str | None = None,
    seed: int = 0,
) -> reference.Weights:
    """Random weights, none zero, of everything the cell has under these options."""
    info = reference.CELLS[name]
    rows = len(info.gates) * hidden
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, inputs),
        "weight_hh": (rows, projected or hidden),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    if info.peepholes:
        shapes["weight_ch"] = (len(info.peepholes) * hidden,)
    if projected:
        shapes["weight_hr"] = (projected, hidden)
    if norm == "split":
        shapes |= {"gamma_ih": (rows,), "gamma_hh": (rows,)}
        if "c" in info.states:
            shapes |= {"gamma_c": (hidden,), "beta_c": (hidden,)}
    if norm == "joint":
        shapes |= {"gamma": (rows,), "beta": (rows,)}
    random = np.random.default_rng(seed)
    return reference.Weights(**{field: random.standard_normal(shape) for field, shape in shapes.items()})


def make_states(
    name: str, batch: int, hidden: int, projected: int | None = None, seed: int = 1
) -> list[Array]:
    random = np.random.default_rng(seed)
    sizes = [(projected or hidden) if state == "h" else hidden for state in reference.CELLS[name].states]
    return [random.standard_normal((batch, size)) for size in sizes]


def same(actual: Any, expected: Any) -> None:
    """(y, states, …) agree up to rounding."""
    np.testing.assert_allclose(actual[0], expected[0], **ROUNDING)
    for part, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(part, other, **ROUNDING)


def differ(actual: Any, expected: Any) -> None:
    """The option that makes the difference makes one."""
    assert np.abs(actual[0] - expected[0]).max() > 1e-3


# One step, in scalars.


def test_registry_and_reference_describe_the_same_cells() -> None:
    fields = "gates", "states", "unit_weights", "layer_norms", "output_state", "projectable"
    described = {name: tuple(getattr(info, field) for field in fields) for name, info in ops.cells().items()}
    assert described == {
        name: (
            cell.gates,
            cell.states,
            cell.peepholes,
            cell.layer_norms,
            cell.output_state,
            cell.output_state,
        )
        for name, cell in reference.CELLS.items()
    }


def scalar_sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


def scalar_step(
    name: str, sums: list[tuple[float, float]], state: list[float], w: list[float], q_n: Any
) -> Any:
    """One step of one unit in plain Python: (p, q) of each gate, peepholes w, q_n(r) for the reset before."""
    a = [p + q for p, q in sums]
    if name == "rnn_tanh":
        return [math.tanh(a[0])]
    if name == "rnn_relu":
        return [a[0] if a[0] > 0 else 0.0]
    if name.startswith("gru"):
        r, z = scalar_sigmoid(a[0]), scalar_sigmoid(a[1])
        hidden = q_n(r) if name == "gru_reset_before" else r * sums[2][1]
        return [(1 - z) * math.tanh(sums[2][0] + hidden) + z * state[0]]
    c = state[1]
    peephole = dict(zip(reference.CELLS[name].peepholes, w, strict=True))
    by_gate = dict(zip(reference.CELLS[name].gates, a, strict=True))
    i = scalar_sigmoid(by_gate["i"] + peephole.get("i", 0.0) * c)
    f = scalar_sigmoid(by_gate["f"] + peephole.get("f", 0.0) * c) if "f" in by_gate else 1 - i
    new_c = f * c + i * math.tanh(by_gate["g"])
    o = scalar_sigmoid(by_gate["o"] + peephole.get("o", 0.0) * new_c)
    return [o * math.tanh(new_c), new_c]


@EVERY_CELL
def test_layer_of_one_unit_written_out(name: str) -> None:
    """H = P = 1: every product is a number; with recurrent dropout, zoneout and a projection to one unit."""
    info = reference.CELLS[name]
    weights = make_weights(name, 1, 1, projected=1 if "c" in info.states else None)
    w_x, w_h = weights.weight_ih[:, 0].tolist(), weights.weight_hh[:, 0].tolist()
    b_x, b_h = weights.bias_ih.tolist(), weights.bias_hh.tolist()
    peepholes = [] if weights.weight_ch is None else weights.weight_ch.tolist()
    w_r = 1.0 if weights.weight_hr is None else weights.weight_hr.item()
    x, mask = [0.4, -1.5, 0.8], 1.25
    zoneout = [0.3, 0.15][: len(info.states)]
    state = [0.25, -0.8][: len(info.states)]
    start = [np.array([[s]]) for s in state]
    expected = []
    for value in x:
        h = mask * state[0]
        sums = [(w_x[k] * value + b_x[k], w_h[k] * h + b_h[k]) for k in range(len(info.gates))]
        new = scalar_step(name, sums, state, peepholes, lambda r, h=h: w_h[-1] * (r * h) + b_h[-1])
        new[0] *= w_r
        state = [m * old + (1 - m) * s for m, old, s in zip(zoneout, state, new, strict=True)]
        expected.append(state)
    y, final, states = reference.recurrent(
        name,
        np.array(x).reshape(1, 3, 1),
        start,
        weights,
        hidden_mask=np.array([[mask]]),
        zoneout=zoneout,
        return_states=True,
    )
    np.testing.assert_allclose(y[0, :, 0], [s[0] for s in expected], rtol=1e-14)
    np.testing.assert_allclose(np.stack([s[0, :, 0] for s in states], 1), expected, rtol=1e-14)
    np.testing.assert_allclose(np.ravel(final), expected[-1], rtol=1e-14)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_step_functions_take_the_sums_of_each_gate(name: str) -> None:
    """Called by themselves, as a reader of the equations would."""
    gates = len(reference.CELLS[name].gates)
    sums = [(0.3, -0.5), (-0.2, 0.4), (0.7, 0.2), (0.1, 0.6)][:gates]
    state = [0.25, -0.8][: len(reference.CELLS[name].states)]
    p, q = ([np.array([[pair[k]]]) for pair in sums] for k in range(2))
    new = getattr(reference, name)(p, q, [np.array([[s]]) for s in state])
    np.testing.assert_allclose(np.ravel(new), scalar_step(name, sums, state, [], None), rtol=1e-15)


# Options that come to something simpler.


@pytest.mark.parametrize(
    ("name", "plain"), [("lstm_peephole", "lstm"), ("lstm_peephole_coupled", "lstm_coupled")]
)
def test_peepholes_of_zero_are_none(name: str, plain: str) -> None:
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    without = reference.recurrent(plain, x, state, weights._replace(weight_ch=None))
    zeros = weights._replace(weight_ch=np.zeros_like(weights.weight_ch))
    same(reference.recurrent(name, x, state, zeros), without)
    differ(reference.recurrent(name, x, state, weights), without)


@pytest.mark.parametrize(
    ("name", "full"), [("lstm_coupled", "lstm"), ("lstm_peephole_coupled", "lstm_peephole")]
)
def test_coupled_gates_are_opposite_gates(name: str, full: str) -> None:
    """σ(-a) = 1 - σ(a): an LSTM whose f has the weights of i with the other sign forgets what it takes in."""
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))

    def with_f(array: Array | None) -> Array | None:
        return None if array is None else np.concatenate([array[:4], -array[:4], array[4:]])

    expected = reference.recurrent(full, x, state, [with_f(array) for array in weights])
    same(reference.recurrent(name, x, state, weights), expected)


def test_reset_before_and_after_agree_where_the_product_is_unit_by_unit() -> None:
    """W_hn (r∘h) = r∘(W_hn h) if W_hn is diagonal; b_hn must be zero, for after the product r scales it."""
    weights, state = make_weights("gru", 3, 4), make_states("gru", 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    diagonal = weights.weight_hh.copy()
    diagonal[8:] *= np.eye(4)
    no_bias = np.append(weights.bias_hh[:8], np.zeros(4))
    for weight_hh, bias_hh, check in (
        (diagonal, no_bias, same),
        (weights.weight_hh, no_bias, differ),
        (diagonal, weights.bias_hh, differ),
    ):
        own = weights._replace(weight_hh=weight_hh, bias_hh=bias_hh)
        after = reference.recurrent("gru", x, state, own)
        check(reference.recurrent("gru_reset_before", x, state, own), after)


@pytest.mark.parametrize("name", LSTMS)
def test_projection_is_a_product_moved_into_the_weights(name: str) -> None:
    """y = W_hr m, and what enters the gates is W_hh W_hr m: a plain LSTM over m with weight_hh W_hr."""
    weights, (m, c) = make_weights(name, 3, 5, projected=2), make_states(name, 2, 5)
    x = np.random.default_rng(2).standard_normal((2, 4, 3))
    w_hr = weights.weight_hr
    y, (h, final_c) = reference.recurrent(name, x, [m @ w_hr.T, c], weights)
    plain = weights._replace(weight_hh=weights.weight_hh @ w_hr, weight_hr=None)
    y_plain, (_, c_plain) = reference.recurrent(name, x, [m, c], plain)
    same((y, [final_c]), (y_plain @ w_hr.T, [c_plain]))
    assert h.shape == (2, 2)
    identity = plain._replace(weight_hr=np.eye(5))
    same(reference.recurrent(name, x, [m, c], identity), reference.recurrent(name, x, [m, c], plain))


@EVERY_CELL
def test_hidden_mask_is_a_scale_of_the_columns_of_weight_hh(name: str) -> None:
    """And of nothing else: z∘h_{t-1} of a GRU and the zoneout see h itself."""
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    mask = np.array([[0.0, 2.0, 0.0, 2.0], [2.0, 2.0, 0.0, 0.0]])
    y, final = reference.recurrent(name, x, state, weights, hidden_mask=mask)
    for n in range(2):
        scaled = weights._replace(weight_hh=weights.weight_hh * mask[n])
        alone = reference.recurrent(name, x[n : n + 1], [s[n : n + 1] for s in state], scaled)
        same((y[n : n + 1], [s[n : n + 1] for s in final]), alone)


# Layer norm.


def test_layer_norm_has_mean_zero_and_variance_one() -> None:
    v = 5 + 3 * np.random.default_rng(0).standard_normal((4, 3, 50))
    normed = reference.layer_norm(v)
    np.testing.assert_allclose(normed.mean(axis=-1), 0, atol=1e-15)
    np.testing.assert_allclose(normed.var(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(reference.layer_norm(7 * v - 2, 0.0), reference.layer_norm(v, 0.0), rtol=1e-9)


def test_layer_norm_written_out() -> None:
    """Mean 2.5, variance of the four values 1.25, not 5/3; equal values give zeros."""
    expected = [(v - 2.5) / math.sqrt(1.25 + 1e-5) for v in (1.0, 2.0, 3.0, 4.0)]
    np.testing.assert_allclose(reference.layer_norm(np.array([1.0, 2.0, 3.0, 4.0])), expected, rtol=1e-15)
    assert not reference.layer_norm(np.full(3, 1e3)).any()


def python_norm(values: list[float], gamma: Any = None, beta: Any = None) -> list[float]:
    mean = sum(values) / len(values)
    root = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values) + 1e-5)
    normed = [(v - mean) / root for v in values]
    gamma, beta = (
        [1.0] * len(values) if gamma is None else gamma,
        [0.0] * len(values) if beta is None else beta,
    )
    return [g * v + b for g, v, b in zip(gamma, normed, beta, strict=True)]


@pytest.mark.parametrize(("name", "norm"), [(name, kind) for name, kind in NORMS if kind])
def test_layer_norm_of_a_layer_written_out(name: str, norm: str) -> None:
    """Two units, two steps, in lists: what is normalised over what, and what comes after it."""
    info, w = reference.CELLS[name], make_weights(name, 3, 2, norm=norm)
    x, state = np.random.default_rng(2).standard_normal((2, 3)), make_states(name, 1, 2)
    rows, old = range(2 * len(info.gates)), [s[0].tolist() for s in state]
    for t in range(2):
        p = [sum(w.weight_ih[row, k] * x[t, k] for k in range(3)) for row in rows]
        q = [sum(w.weight_hh[row, k] * old[0][k] for k in range(2)) for row in rows]
        if norm == "split":
            p, q = python_norm(p, w.gamma_ih, w.bias_ih), python_norm(q, w.gamma_hh, w.bias_hh)
        else:
            a = [p[row] + w.bias_ih[row] + q[row] + w.bias_hh[row] for row in rows]
            p, q = python_norm(a, w.gamma, w.beta), [0.0 for _ in rows]
        new = []
        for unit in range(2):
            sums = [(p[2 * gate + unit], q[2 * gate + unit]) for gate in range(len(info.gates))]
            peepholes = [] if w.weight_ch is None else w.weight_ch[unit::2].tolist()
            new.append(scalar_step(name, sums, [s[unit] for s in old], peepholes, None))
        old = [list(part) for part in zip(*new, strict=True)]
        if w.gamma_c is not None:
            # h̃ = o∘tanh(c̃) tells o.
            inside = python_norm(old[1], w.gamma_c, w.beta_c)
            old[0] = [h / math.tanh(c) * math.tanh(v) for h, c, v in zip(*old, inside, strict=True)]
    _, final = reference.recurrent(name, x[None], state, w)
    np.testing.assert_allclose(np.concatenate(final), old, rtol=1e-11)


@pytest.mark.parametrize("name", [name for name, kind in NORMS if kind == "joint"])
def test_joint_norm_does_not_see_a_common_shift(name: str) -> None:
    weights, state = make_weights(name, 3, 4, norm="joint"), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    shifted = weights._replace(bias_ih=weights.bias_ih + 3)
    same(reference.recurrent(name, x, state, shifted), reference.recurrent(name, x, state, weights))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("gru", {"gamma": 1, "beta": 1}, "gru takes layer norm"),
        ("gru_reset_before", {"gamma_ih": 1, "gamma_hh": 1}, "gru_reset_before takes layer norm"),
        ("lstm", {"gamma_ih": 1, "gamma_hh": 1}, r"takes \['beta_c', 'gamma_c', 'gamma_hh', 'gamma_ih'\]"),
        ("rnn_tanh", {"gamma_ih": 1, "gamma_hh": 1, "beta": 1}, "got .*'beta'"),
        ("lstm", {"weight_ch": 1}, "got .*'weight_ch'"),
        ("lstm_peephole", {"weight_ch": None}, r"takes \['weight_ch'\]"),
        ("gru", {"weight_hr": 1}, "got .*'weight_hr'"),
    ],
)
def test_weights_that_no_equation_names_are_refused(name: str, changes: dict[str, Any], message: str) -> None:
    changes = {field: value and np.ones(12) for field, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        reference.recurrent(name, np.ones((1, 2, 3)), None, make_weights(name, 3, 4)._replace(**changes))


# Zoneout.


@EVERY_CELL
def test_zoneout_of_zero_changes_nothing_and_of_one_keeps_the_state(name: str) -> None:
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    plain = reference.recurrent(name, x, state, weights)
    same(reference.recurrent(name, x, state, weights, zoneout=[0.0] * len(state)), plain)
    y, final = reference.recurrent(name, x, state, weights, zoneout=[1.0] * len(state))
    np.testing.assert_array_equal(y, np.repeat(state[0][:, None], 5, axis=1))
    np.testing.assert_array_equal(final, state)


@EVERY_CELL
@REVERSE
def test_zoneout_mask_that_keeps_whole_steps_leaves_them_out(name: str, reverse: bool) -> None:
    """m = 1 for all units at times 1 and 4, given by true time in both directions."""
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 6, 3))
    m = np.zeros((2, 6, 4))
    m[:, [1, 4]] = 1.0
    y, final = reference.recurrent(name, x, state, weights, reverse=reverse, zoneout=[m] * len(state))
    short = reference.recurrent(name, x[:, [0, 2, 3, 5]], state, weights, reverse=reverse)
    same((y[:, [0, 2, 3, 5]], final), short)
    np.testing.assert_array_equal(y[:, [1, 4]], y[:, [2, 5] if reverse else [0, 3]])


@pytest.mark.parametrize("name", LSTMS)
def test_h_does_not_see_the_zoned_c(name: str) -> None:
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 1, 3))
    y, (_, c) = reference.recurrent(name, x, state, weights, zoneout=[0.0, 1.0])
    np.testing.assert_array_equal(c, state[1])
    np.testing.assert_array_equal(y, reference.recurrent(name, x, state, weights)[0])


# Lengths, resets, directions.


def options_for(name: str, kind: str | None, batch: int, steps: int) -> dict[str, Any]:
    """Everything at once, so that an option that forgets another shows."""
    random = np.random.default_rng(4)
    projected = 2 if "c" in reference.CELLS[name].states else None
    states = make_states(name, 1, 4, projected)
    return {
        "weights": make_weights(name, 3, 4, projected=projected, norm=kind),
        "state": make_states(name, batch, 4, projected),
        "reset_state": [s[0] for s in make_states(name, 1, 4, projected, seed=9)],
        "hidden_mask": 1.25 * random.integers(0, 2, (batch, states[0].shape[1])),
        "zoneout": [random.random((batch, steps, s.shape[1])) for s in states],
    }


@pytest.mark.parametrize(("name", "kind"), NORMS)
@REVERSE
def test_lengths_are_rows_run_alone_on_what_is_true(name: str, kind: str | None, reverse: bool) -> None:
    lengths = [5, 0, 3, 1]
    options = options_for(name, kind, 4, 5)
    x = np.random.default_rng(2).standard_normal((4, 5, 3))
    resets = np.random.default_rng(3).random((4, 5)) < 0.4
    for n, length in enumerate(lengths):
        x[n, length:] = np.inf
    y, final, states = reference.recurrent(
        name, x, lengths=lengths, resets=resets, reverse=reverse, return_states=True, **options
    )
    np.testing.assert_array_equal(y, states[0])
    for n, length in enumerate(lengths):
        own = {
            **options,
            "state": [s[n : n + 1] for s in options["state"]],
            "hidden_mask": options["hidden_mask"][n : n + 1],
            "zoneout": [m[n : n + 1, :length] for m in options["zoneout"]],
        }
        y_alone, final_alone, states_alone = reference.recurrent(
            name,
            x[n : n + 1, :length],
            resets=resets[n : n + 1, :length],
            reverse=reverse,
            return_states=True,
            **own,
        )
        same((y[n : n + 1, :length], [s[n : n + 1] for s in final]), (y_alone, final_alone))
        for every, alone in zip(states, states_alone, strict=True):
            np.testing.assert_allclose(every[n, :length], alone[0], **ROUNDING)
            assert not every[n, length:].any()


@pytest.mark.parametrize(("name", "kind"), NORMS)
@REVERSE
def test_a_reset_is_two_sequences(name: str, kind: str | None, reverse: bool) -> None:
    """Cut between 1 and 2: the part that comes second in the direction's time starts from reset_state."""
    options = options_for(name, kind, 2, 5)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    resets = np.zeros((2, 5), bool)
    resets[:, 2] = True
    anew = [np.tile(s, (2, 1)) for s in options.pop("reset_state")]
    m, state = options.pop("zoneout"), options.pop("state")
    for reset_state in (anew, None):
        y, final = reference.recurrent(
            name, x, state, resets=resets, reverse=reverse, zoneout=m, reset_state=reset_state, **options
        )
        parts = [slice(2, 5), slice(0, 2)] if reverse else [slice(0, 2), slice(2, 5)]
        for part, start in zip(parts, [state, reset_state], strict=True):
            zoneout = [array[:, part] for array in m]
            # Without a state a run starts from zeros.
            run = reference.recurrent(name, x[:, part], start, reverse=reverse, zoneout=zoneout, **options)
            np.testing.assert_allclose(y[:, part], run[0], **ROUNDING)
        same((run[0], final), run)


@EVERY_CELL
def test_reset_at_zero_replaces_the_initial_state_going_forward_only(name: str) -> None:
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    resets = np.zeros((2, 5), bool)
    resets[:, 0] = True
    same(
        reference.recurrent(name, x, state, weights, resets=resets),
        reference.recurrent(name, x, None, weights),
    )
    backward = reference.recurrent(name, x, state, weights, resets=resets, reverse=True)
    same(backward, reference.recurrent(name, x, state, weights, reverse=True))


@pytest.mark.parametrize(("name", "kind"), NORMS)
def test_reverse_is_forward_on_the_turned_sequence(name: str, kind: str | None) -> None:
    """Rows cut to their length and turned; a cut between t - 1 and t is then one between L-1-t and L-t."""
    lengths = [6, 4, 1]
    options = options_for(name, kind, 3, 6)
    x = np.random.default_rng(2).standard_normal((3, 6, 3))
    resets = np.random.default_rng(3).random((3, 6)) < 0.5
    # On padding, at the length itself: cuts nothing.
    resets[1, 4] = True
    y, final = reference.recurrent(name, x, lengths=lengths, resets=resets, reverse=True, **options)
    for n, length in enumerate(lengths):
        turned = np.zeros((1, length), bool)
        for t in range(1, length):
            turned[0, length - t] = resets[n, t]
        own = {
            **options,
            "state": [s[n : n + 1] for s in options["state"]],
            "hidden_mask": options["hidden_mask"][n : n + 1],
            "zoneout": [m[n : n + 1, :length][:, ::-1] for m in options["zoneout"]],
        }
        y_turned, final_turned = reference.recurrent(
            name, x[n : n + 1, :length][:, ::-1], resets=turned, **own
        )
        same((y[n : n + 1, :length][:, ::-1], [s[n : n + 1] for s in final]), (y_turned, final_turned))
        assert not y[n, length:].any()


@EVERY_CELL
@REVERSE
def test_states_after_every_step_are_final_states_of_shorter_runs(name: str, reverse: bool) -> None:
    weights, state = make_weights(name, 3, 4), make_states(name, 2, 4)
    x = np.random.default_rng(2).standard_normal((2, 5, 3))
    _, _, states = reference.recurrent(name, x, state, weights, reverse=reverse, return_states=True)
    for t in range(5):
        piece = x[:, t:] if reverse else x[:, : t + 1]
        _, final = reference.recurrent(name, piece, state, weights, reverse=reverse)
        for every, part in zip(states, final, strict=True):
            np.testing.assert_allclose(every[:, t], part, **ROUNDING)


# The stack.


def stack(name: str, layers: int = 2, initial: bool = True) -> dict[str, Array]:
    """Parameters of a bidirectional stack of 3 units over 2 inputs."""
    random = np.random.default_rng(6)
    parameters = {}
    for layer in range(layers):
        for seed, suffix in enumerate(("", "_reverse")):
            weights = make_weights(name, 6 if layer else 2, 3, seed=10 * layer + seed)
            parameters |= {f"{n}_l{layer}{suffix}": a for n, a in weights._asdict().items() if a is not None}
            for state in reference.CELLS[name].states if initial else ():
                parameters[f"initial_{state}_l{layer}{suffix}"] = random.standard_normal(3)
    return parameters


@EVERY_CELL
def test_layers_and_directions_are_chained_with_every_option(name: str) -> None:
    random, states, rows = (
        np.random.default_rng(0),
        reference.CELLS[name].states,
        3 * len(reference.CELLS[name].gates),
    )
    parameters, x = stack(name), random.standard_normal((4, 5, 2))
    shared = {"lengths": [5, 0, 4, 2], "resets": random.random((4, 5)) < 0.4}
    masks = [random.standard_normal((4, 5, 6))]
    input_masks = [random.standard_normal((4, 1, width)) for width in (2, 6)]
    hidden_masks = random.standard_normal((4, 4, 3))
    weight_masks = random.standard_normal((4, rows, 3))
    zoneout = random.random((4, len(states), 4, 5, 3))
    y, final, every = reference.recurrent_layers(
        name,
        x,
        None,
        parameters,
        num_layers=2,
        bidirectional=True,
        masks=masks,
        input_masks=input_masks,
        hidden_masks=hidden_masks,
        weight_masks=weight_masks,
        zoneout=zoneout,
        return_states=True,
        **shared,
    )
    expected = x
    for layer in range(2):
        expected = expected * (masks[0] if layer else 1) * input_masks[layer]
        halves = []
        for direction, suffix in enumerate((f"_l{layer}", f"_l{layer}_reverse")):
            k = 2 * layer + direction
            own = {n: parameters.get(f"{n}{suffix}") for n in reference.Weights._fields}
            own["weight_hh"] = own["weight_hh"] * weight_masks[k]
            initial = [parameters[f"initial_{state}{suffix}"] for state in states]
            run = reference.recurrent(
                name,
                expected,
                [np.array([part] * 4) for part in initial],
                tuple(own.values()),
                reverse=direction == 1,
                reset_state=initial,
                hidden_mask=hidden_masks[k],
                zoneout=zoneout[k],
                return_states=True,
                **shared,
            )
            halves.append(run[0])
            for s in range(len(states)):
                np.testing.assert_array_equal(final[s][k], run[1][s])
                np.testing.assert_array_equal(every[s][k], run[2][s])
        expected = np.concatenate(halves, axis=2)
    np.testing.assert_array_equal(y, expected)


@EVERY_CELL
def test_states_given_come_before_trained_ones(name: str) -> None:
    """A stack of one layer forward: the trained state starts what is not given, and what is reset."""
    parameters = {field: array for field, array in stack(name, 1).items() if "reverse" not in field}
    given = [part[None] for part in make_states(name, 2, 3)]
    trained = [np.tile(array, (1, 2, 1)) for field, array in parameters.items() if "initial" in field]
    weights = {field: array for field, array in parameters.items() if "initial" not in field}
    x = np.random.default_rng(2).standard_normal((2, 5, 2))
    for state in (given, None):
        own = reference.recurrent_layers(name, x, state, parameters)
        same(own, reference.recurrent_layers(name, x, state or trained, weights))
    resets = np.eye(2, 5, dtype=bool) | (np.arange(5) == 0)
    reset = reference.recurrent_layers(name, x, given, parameters, resets=resets)
    np.testing.assert_array_equal(reset[0][0], reference.recurrent_layers(name, x, None, parameters)[0][0])


def test_package_needs_numpy_alone() -> None:
    """It can be read and run by itself, under any name."""
    probe = (
        "import sys, importlib.util as u;"
        "spec = u.spec_from_file_location('alone', sys.argv[1]);"
        "alone = sys.modules['alone'] = u.module_from_spec(spec); spec.loader.exec_module(alone);"
        "assert alone.CELLS;"
        "roots = {name.partition('.')[0] for name in sys.modules};"
        "assert 'rnnfast' not in roots, roots"
    )
    subprocess.run([sys.executable, "-c", probe, reference.__file__], check=True)


# Random numbers.


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    """From the known-answer file of Random123, where the generator was published."""
    assert tuple(reference.philox4x32(counter, key).tolist()) == words


def test_dropout_mask_keeps_the_mean_and_the_rate() -> None:
    mask = reference.dropout_mask((200, 50, 11), 0.3, seed=2**63 + 5, call=3)
    assert set(np.unique(mask)) == {0.0, 1 / 0.7}
    deviation = math.sqrt(0.3 * 0.7 / mask.size)
    assert abs((mask == 0).mean() - 0.3) < 4 * deviation


def test_mask_of_one_unit_written_out() -> None:
    """Unit 9 of row 3 at step 6: word 1 of the counter that the fields make up, one field after the other."""
    seed, call, layer, direction, purpose, unit = 0xFEDCBA9876543210, 2**32 + 7, 201, 1, 5, 9
    stream = layer * 16 + direction * 8 + purpose
    words = reference.philox4x32((stream * 2**20 + unit // 4, 6, 3, 7), (0x76543210, 0xFEDCBA98))
    uniform = int(words[unit % 4]) // 256 / 2**24
    key = {"seed": seed, "call": call, "layer": layer, "direction": direction, "what": "zoneout_c"}
    for rate in (uniform, uniform + 2.0**-24):
        dropped = uniform < rate
        assert reference.dropout_mask((4, 7, 11), rate, **key)[3, 6, unit] == (
            0 if dropped else 1 / (1 - rate)
        )
        assert reference.zoneout_mask((4, 7, 11), rate, **key)[3, 6, unit] == dropped


def test_masks_do_not_depend_on_how_much_is_asked_for() -> None:
    key = {"seed": 5, "call": 2, "layer": 1}
    for make in reference.dropout_mask, reference.zoneout_mask:
        np.testing.assert_array_equal(make((8, 9, 13), 0.4, **key)[:3, :5, :6], make((3, 5, 6), 0.4, **key))


def test_zoneout_mask_is_where_dropout_would_drop() -> None:
    mask = reference.zoneout_mask((200, 50, 11), 0.3, seed=1, call=3)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert abs(mask.mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / mask.size)
    np.testing.assert_array_equal(
        mask, reference.dropout_mask(mask.shape, 0.3, seed=1, call=3, what="zoneout_h") == 0
    )
    assert reference.zoneout_mask((3, 4, 5), 1.0, seed=1, call=3).all()
    assert not reference.zoneout_mask((3, 4, 5), 0.0, seed=1, call=3).any()


KEYS: list[dict[str, Any]] = [
    {},
    {"seed": 7},
    {"seed": 0xABCD1234 << 32},
    {"call": 1},
    {"layer": 1},
    {"direction": 1},
]
KEYS += [{"what": what} for what in reference.DROPOUT_PURPOSES if what != "output"]


def test_dropout_masks_of_different_keys_are_unrelated() -> None:
    masks = [reference.dropout_mask((8, 9, 16), 0.5, **{"seed": 0, "call": 0, **key}) for key in KEYS]
    for first, second in ((a, b) for a in range(len(masks)) for b in range(a)):
        agreement = (masks[first] == masks[second]).mean()
        assert abs(agreement - 0.5) < 4 * 0.5 / math.sqrt(masks[0].size), (KEYS[first], KEYS[second])


@pytest.mark.parametrize("shape", [(3, 4, 17), (2, 1, 4), (0, 3, 5), (1, 0, 1), (5, 2, 3)])
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_kernel_masks_are_those_of_the_reference(
    variant: str, dtype: type, shape: tuple[int, int, int], rate: float
) -> None:
    for key in KEYS:
        arguments = {"seed": 11, "call": 4, **key}
        expected = reference.dropout_mask(shape, rate, **arguments)
        mask = ops.dropout_mask(shape, rate, dtype, **arguments)
        assert mask.dtype == dtype
        np.testing.assert_array_equal(mask == 0, expected == 0)
        np.testing.assert_allclose(mask, expected, rtol=np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize(("padding", "stride"), [("causal", 1), ("valid", 1), ("valid", 2), ("valid", 3)])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_convolution_in_scalars(padding: str, stride: int, dilation: int) -> None:
    random = np.random.default_rng(0)
    batch, steps, inputs, outputs, taps = 2, 9, 3, 4, 3
    shapes = [(batch, steps, inputs), (outputs, inputs, taps), (outputs,)]
    x, weight, bias = (random.standard_normal(shape) for shape in shapes)
    span = (taps - 1) * dilation
    y = reference.conv1d(x, weight, bias, dilation=dilation, stride=stride, padding=padding)
    assert y.shape == (batch, steps if padding == "causal" else (steps - span - 1) // stride + 1, outputs)
    for n, j, o in np.ndindex(y.shape):
        first = stride * j - (span if padding == "causal" else 0)
        read = [(c, k, first + k * dilation) for c in range(inputs) for k in range(taps)]
        expected = bias[o] + sum(weight[o, c, k] * x[n, t, c] for c, k, t in read if t >= 0)
        assert y[n, j, o] == pytest.approx(expected, **{"rel": 1e-12, "abs": 1e-13})


def test_wavenet_stack_in_scalars() -> None:
    """One channel, two layers: the second reads the first one's residual, two steps back."""
    random = np.random.default_rng(1)
    shapes = {"weight": (2, 1, 2), "bias": (2,), "weight_condition": (2, 1), "weight_residual": (1, 1)}
    shapes |= {"bias_residual": (1,), "weight_skip": (1, 1), "bias_skip": (1,)}
    layers = [{name: random.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2)]
    x, condition = random.standard_normal((1, 5, 1)), random.standard_normal((1, 5, 1))
    values = {-2: 0.0, -1: 0.0} | dict(enumerate(x[0, :, 0]))
    skips = [0.0] * 5
    for layer, dilation in zip(layers, (1, 2), strict=True):
        own = {name: array.ravel() for name, array in layer.items()}
        following = dict(values)
        for t in range(5):
            f, g = (
                own["weight"][2 * row] * values[t - dilation]
                + own["weight"][2 * row + 1] * values[t]
                + own["weight_condition"][row] * condition[0, t, 0]
                + own["bias"][row]
                for row in range(2)
            )
            z = math.tanh(f) / (1 + math.exp(-g))
            skips[t] += own["weight_skip"][0] * z + own["bias_skip"][0]
            following[t] = values[t] + own["weight_residual"][0] * z + own["bias_residual"][0]
        values = following
    found = reference.wavenet_stack(x, layers, (1, 2), condition)
    np.testing.assert_allclose(found[0, :, 0], skips, **ROUNDING)
