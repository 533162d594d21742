"""Options of recurrent layers: every cell of the registry with every pair of options, against the reference
and central differences; what each option means, alone.

The layers here are small (N = 4, T = 5, I = 3, H = 5, P = 3), but ragged with a length of zero, cut by resets
at the first step, in the middle, twice in a row and on padding, and random everywhere: no bias, peephole,
gamma, beta, state or incoming gradient is zero.
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import models, nn, ops, reference

Array = np.ndarray[Any, np.dtype[Any]]
BATCH, STEPS, INPUTS, HIDDEN, PROJECTED = 4, 5, 3, 5, 3
LENGTHS = [5, 0, 3, 4]
RESETS = np.zeros((BATCH, STEPS), bool)
for _n, _t in [(0, 0), (0, 3), (1, 0), (2, 1), (2, 2), (2, 4), (3, 3)]:
    RESETS[_n, _t] = True
STOCHASTIC = {
    "dropout": {"dropout": 0.3, "num_layers": 2},
    "input_dropout": {"input_dropout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.3},
    "weight_dropout": {"weight_dropout": 0.3},
    "zoneout": {"zoneout": 0.3},
}
Options = dict[str, Any]


def choices(cell: str) -> dict[str, list[Any]]:
    """Every option that the cell takes with its values; "lengths" and "resets" belong to the call."""
    info = ops.cells()[cell]
    pair = [(0.4, 0.2)] if len(info.states) == 2 else []
    return {
        "bias": [True, False],
        "batch_first": [True, False],
        "bidirectional": [False, True],
        "dropout": [0.0, 0.3],
        "input_dropout": [0.0, 0.3],
        "recurrent_dropout": [0.0, 0.3],
        "weight_dropout": [0.0, 0.3],
        "zoneout": [0.0, 0.3, *pair],
        "layer_norm": [None, *info.layer_norms],
        "trainable_state": [False, True],
        "recompute": [0, 2],
        "lengths": [False, True],
        "resets": [False, True],
        **({"proj_size": [0, PROJECTED]} if info.projectable else {}),
    }


def pairwise(cell: str) -> list[Options]:
    """Few sets of options in which every pair of values of every two options occurs: greedily, the set of
    most new pairs next, so that most options are on in most sets.
    """
    values = choices(cell)
    random = np.random.default_rng(0)
    missing = {
        frozenset({(a, v), (b, w)})
        for a, b in itertools.combinations(values, 2)
        for v in values[a]
        for w in values[b]
    }
    rows = []
    while missing:
        drawn = [{name: v[random.integers(len(v))] for name, v in values.items()} for _ in range(200)]
        gains = [[p for p in missing if p <= set(row.items())] for row in drawn]
        best = max(range(len(drawn)), key=lambda k: len(gains[k]))
        missing -= set(gains[best])
        if gains[best]:
            rows.append(drawn[best])
    return rows


def label(options: Options) -> str:
    return ",".join(
        f"{k}={v}".replace(" ", "") for k, v in options.items() if v or k in ("bias", "batch_first")
    )


ROWS = [(cell, row) for cell in ops.cells() for row in pairwise(cell)]
ROW = pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{c}-{n}" for n, (c, _) in enumerate(ROWS)])

# One option at a time, for what each of them means.
SINGLE = [
    (cell, {option: value})
    for cell in ops.cells()
    for option, values in choices(cell).items()
    for value in values[1:]
    if option not in ("lengths", "resets", "batch_first", "bidirectional")
]
ONE = pytest.mark.parametrize(("name", "row"), SINGLE, ids=[f"{c}-{label(o)}" for c, o in SINGLE])


class Case:
    """A layer with everything that goes in and comes back."""

    def __init__(self, cell: str, row: Options, dtype: type = np.float64, *, seed: int = 0) -> None:
        options = {"num_layers": 2, **row}
        ragged, cut = options.pop("lengths", False), options.pop("resets", False)
        self.layer = nn.Recurrent(cell, INPUTS, HIDDEN, seed=3, dtype=dtype, **options)
        randomize(self.layer, seed)
        random = np.random.default_rng(seed + 1)
        first = self.batch_first = options.get("batch_first", True)
        front = (BATCH, STEPS) if first else (STEPS, BATCH)
        self.lengths = LENGTHS if ragged else None
        self.resets = (RESETS if first else RESETS.T) if cut else None
        self.x = random.standard_normal((*front, INPUTS)).astype(dtype)
        self.dy = random.standard_normal((*front, self.layer.output_size)).astype(dtype)
        count = self.layer.num_layers * self.layer.num_directions
        shapes = [(count, BATCH, size) for size in self.layer.state_sizes]
        self.dstates = tuple(random.standard_normal(shape).astype(dtype) for shape in shapes)
        # A trainable initial state is started from, any other one comes in.
        given = not options.get("trainable_state", False)
        self.states = tuple(random.standard_normal(s).astype(dtype) for s in shapes) if given else None
        self.start = self.layer.random_state()

    def swap(self, a: Array) -> Array:
        return a if self.batch_first else a.swapaxes(0, 1)

    def public(self, states: Any) -> Any:
        return states if states is None or len(states) > 1 else states[0]

    def parts(self, state: Any) -> tuple[Array, ...]:
        return (state,) if len(self.layer.cell.states) == 1 else tuple(state)

    def forward(self, *, training: bool = True) -> tuple[Array, tuple[Array, ...], Any]:
        """y, final states and tape, with the masks of the same call every time."""
        self.layer.set_random_state(self.start)
        y, state, tape = self.layer.forward(
            self.x, self.public(self.states), lengths=self.lengths, resets=self.resets, training=training
        )
        return y, self.parts(state), tape

    def gradients(self) -> dict[str, Array]:
        _, _, tape = self.forward()
        self.layer.zero_grad()
        dx, dstate = self.layer.backward(tape, self.dy, self.public(self.dstates))
        states = enumerate(self.parts(dstate) if self.states is not None else ())
        gradients = {"x": dx, **{f"state {n}": part for n, part in states}}
        return gradients | {name: p.grad.copy() for name, p in self.layer.named_parameters()}

    def inputs(self) -> dict[str, Array]:
        states = {f"state {n}": part for n, part in enumerate(self.states or ())}
        return {"x": self.x, **states, **self.layer.state_dict()}

    def outputs(self, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        self.x = arrays["x"]
        if self.states is not None:
            self.states = tuple(part for name, part in arrays.items() if name.startswith("state "))
        own = {name: a for name, a in arrays.items() if name != "x" and not name.startswith("state ")}
        self.layer.load_state_dict(own)
        y, states, _ = self.forward()
        return (y, *states)

    def blocks(self) -> dict[str, int]:
        """Parts of each parameter that have a gradient of their own: gates, or peepholes."""
        info, found = self.layer.cell, {}
        for name, _ in self.layer.named_parameters():
            kind = name.split("_l")[0]
            if kind == "weight_ch":
                found[name] = len(info.unit_weights)
            elif kind not in ("weight_hr", "gamma_c", "beta_c", "initial_h", "initial_c"):
                found[name] = len(info.gates)
        return found

    def reference(self, *, training: bool) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
        """y, the final states and every step's, out of one call of ``reference.recurrent`` per layer and
        direction.
        """
        layer, options = self.layer, self.layer.options
        key = {"seed": 3, "call": 0}
        x, parameters = self.swap(self.x), layer.state_dict()
        resets = None if self.resets is None else self.swap(self.resets)
        runs = []
        output = layer.state_sizes[0]
        for number in range(layer.num_layers):
            if training and options.dropout and number:
                masks = [
                    reference.dropout_mask(
                        (BATCH, STEPS, output), options.dropout, layer=number - 1, direction=direction, **key
                    )
                    for direction in range(layer.num_directions)
                ]
                x = x * np.concatenate(masks, axis=2)
            if training and options.input_dropout:
                shape = (BATCH, 1, x.shape[2])
                x = x * reference.dropout_mask(
                    shape, options.input_dropout, what="input", layer=number, **key
                )
            y = []
            for direction in range(layer.num_directions):
                k = number * layer.num_directions + direction
                suffix = f"_l{number}" + ("_reverse" if direction else "")
                own = {name: parameters.get(name + suffix) for name in reference.Weights._fields}
                place = {"layer": number, "direction": direction, **key}
                hidden_mask, zoneout = None, list(options.zoneout)
                if training:
                    rows, columns = own["weight_hh"].shape
                    own["weight_hh"] = (
                        own["weight_hh"]
                        * reference.dropout_mask(
                            (1, rows, columns), options.weight_dropout, what="weight", **place
                        )[0]
                    )
                    hidden_mask = reference.dropout_mask(
                        (BATCH, 1, output), options.recurrent_dropout, what="recurrent", **place
                    )[:, 0]
                    zoneout = [
                        reference.zoneout_mask((BATCH, STEPS, size), rate, what=f"zoneout_{state}", **place)
                        for state, size, rate in zip(
                            layer.cell.states, layer.state_sizes, options.zoneout, strict=True
                        )
                    ]
                learned = [parameters.get(f"initial_{s}{suffix}") for s in layer.cell.states]
                initial = None if learned[0] is None else [np.tile(part, (BATCH, 1)) for part in learned]
                run = reference.recurrent(
                    layer.cell.name,
                    x,
                    initial if self.states is None else [part[k] for part in self.states],
                    reference.Weights(**own),
                    reverse=direction == 1,
                    lengths=self.lengths,
                    resets=resets,
                    reset_state=None if learned[0] is None else learned,
                    hidden_mask=hidden_mask,
                    zoneout=zoneout,
                    return_states=True,
                )
                runs.append(run)
                y.append(run[0])
            x = np.concatenate(y, axis=2)
        finals = tuple(np.stack(parts) for parts in zip(*(run[1] for run in runs), strict=True))
        every = tuple(np.stack(parts) for parts in zip(*(run[2] for run in runs), strict=True))
        return self.swap(x), finals, every


def close(a: Array, b: Array, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# All options together.


@ROW
def test_layer_is_the_reference(name: str, row: Options, variant: str) -> None:
    case = Case(name, row)
    for training in (True, False):
        expected_y, expected_states, expected_every = case.reference(training=training)
        y, states, _ = case.forward(training=training)
        close(y, expected_y)
        assert all(close(a, b) is None for a, b in zip(states, expected_states, strict=True))
    y_again, state, every = case.layer(
        case.x, case.public(case.states), lengths=case.lengths, resets=case.resets, return_states=True
    )
    assert same_bits(y, y_again)
    assert all(map(same_bits, states, case.parts(state)))
    for a, expected in zip(case.parts(every), expected_every, strict=True):
        close(a, expected if case.batch_first else expected.swapaxes(1, 2))


@ROW
def test_layer_gradients_are_central_differences(name: str, row: Options) -> None:
    case = Case(name, row)
    inputs, gradients = case.inputs(), case.gradients()
    check_gradients(case.outputs, (case.dy, *case.dstates), inputs, gradients, blocks=case.blocks())


@ROW
def test_float32_is_float64_rounded(name: str, row: Options) -> None:
    single, double = Case(name, row, np.float32), Case(name, row)
    y, states, _ = single.forward()
    assert y.dtype == np.float32
    y_double, states_double, _ = double.forward()
    for a, b in zip((y, *states), (y_double, *states_double), strict=True):
        close(a, b, 2e-4)
    gradients = double.gradients()
    for key, gradient in single.gradients().items():
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(
            gradient, gradients[key], rtol=1e-2, atol=1e-3 * np.abs(gradients[key]).max()
        )


@ROW
def test_steps_have_the_bits_of_the_sequence(name: str, row: Options, dtype: type) -> None:
    case = Case(name, {**row, "bidirectional": False, "lengths": False}, dtype)
    y, final, _ = case.forward(training=False)
    start = case.layer.random_state()
    x, resets = case.swap(case.x), None if case.resets is None else case.swap(case.resets)
    state, outputs = case.public(case.states), []
    for t in range(STEPS):
        y_t, state = case.layer.step(x[:, t], state, resets=None if resets is None else resets[:, t])
        outputs.append(y_t)
    assert same_bits(np.ascontiguousarray(case.swap(y)), np.stack(outputs, axis=1))
    assert all(map(same_bits, case.parts(state), final))
    assert case.layer.random_state() == start


@ROW
def test_a_row_does_not_see_its_batch(name: str, row: Options) -> None:
    """Alone at inference; in training with NaN in the row beside it, as masks go by row."""
    case = Case(name, row, np.float32)
    y, states, _ = case.forward(training=False)
    for n in range(BATCH):
        only = slice(n, n + 1)
        alone, state = case.layer(
            case.swap(case.swap(case.x)[only]),
            None if case.states is None else case.public(tuple(part[:, only] for part in case.states)),
            lengths=None if case.lengths is None else case.lengths[only],
            resets=None if case.resets is None else case.swap(case.swap(case.resets)[only]),
        )
        assert same_bits(np.ascontiguousarray(case.swap(alone)), np.ascontiguousarray(case.swap(y)[only]))
        for part, whole in zip(case.parts(state), states, strict=True):
            assert same_bits(part, np.ascontiguousarray(whole[:, only]))
    y, states, tape = case.forward()
    dx, _ = case.layer.backward(tape, case.dy)
    case.swap(case.x)[0] = np.nan
    y_beside, states_beside, tape = case.forward()
    dx_beside, _ = case.layer.backward(tape, case.dy)
    assert np.isnan(case.swap(y_beside)[0]).any()
    for a, b in ((y, y_beside), (dx, dx_beside)):
        assert same_bits(np.ascontiguousarray(case.swap(a)[1:]), np.ascontiguousarray(case.swap(b)[1:]))
    for part, beside in zip(states, states_beside, strict=True):
        assert same_bits(np.ascontiguousarray(part[:, 1:]), np.ascontiguousarray(beside[:, 1:]))


@ROW
def test_padding_is_not_read(name: str, row: Options) -> None:
    results = []
    for filler in (0.0, np.nan):
        case = Case(name, {**row, "lengths": True}, np.float32)
        x, dy = case.swap(case.x), case.swap(case.dy)
        for n, length in enumerate(LENGTHS):
            x[n, length:] = dy[n, length:] = filler
        y, states, _ = case.forward()
        gradients = case.gradients()
        for n, length in enumerate(LENGTHS):
            assert not case.swap(y)[n, length:].any()
            assert not case.swap(gradients["x"])[n, length:].any()
        results.append([np.ascontiguousarray(a) for a in (y, *states, *gradients.values())])
    # +0 and -0 are the same here: what padding is multiplied by may have either sign.
    assert all(map(np.array_equal, *results))


@ROW
def test_recomputing_changes_no_bit(name: str, row: Options) -> None:
    results = []
    for recompute in (0, 1, 3, 100):
        case = Case(name, {**row, "recompute": recompute}, np.float32)
        y, states, _ = case.forward()
        results.append([y, *states, *case.gradients().values()])
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


@ROW
def test_two_tapes_are_open_at_once(name: str, row: Options) -> None:
    """Each keeps its own masks, lengths and resets, whatever the caller does to the arrays."""
    case = Case(name, {**row, "lengths": True, "resets": True}, np.float32)
    calls = [
        (np.array(LENGTHS), RESETS.copy()),
        (np.full(BATCH, STEPS), ~RESETS),
    ]
    results = []
    for together in (False, True):
        case.layer.set_random_state(case.start)
        tapes, gradients = [], {}

        def backward(number: int, tape: Any, into: dict[int, Any] = gradients) -> None:
            case.layer.zero_grad()
            dx, _ = case.layer.backward(tape, case.dy)
            into[number] = [dx, *(p.grad.copy() for p in case.layer.parameters())]

        for number, (lengths, resets) in enumerate(calls):
            own = lengths.copy(), case.swap(resets.copy())
            _, _, tape = case.layer.forward(case.x, lengths=own[0], resets=own[1])
            tapes.append(tape)
            if together:
                own[0].fill(1)
                own[1].fill(False)
            else:
                backward(number, tape)
        for number in (1, 0) if together else ():
            backward(number, tapes[number])
        results.append([array for number in (0, 1) for array in gradients[number]])
    assert all(map(same_bits, *results))


@ROW
def test_a_copy_has_the_same_options(name: str, row: Options) -> None:
    case = Case(name, row, np.float32)
    y, _, _ = case.forward()
    for layer in (copy.deepcopy(case.layer), pickle.loads(pickle.dumps(case.layer))):
        assert layer.options == case.layer.options
        layer.set_random_state(case.start)
        again, _, tape = layer.forward(
            case.x, case.public(case.states), lengths=case.lengths, resets=case.resets
        )
        assert same_bits(y, again)
        layer.backward(tape, case.dy)
        assert any(parameter.grad.any() for parameter in layer.parameters())
        for parameter in layer.parameters():
            parameter.data += 1
        assert not same_bits(y, layer.forward(case.x)[0])
        assert same_bits(y, case.forward()[0])
    assert list(nn.Recurrent(name, 1, HIDDEN).state_dict())[:2] == ["weight_ih_l0", "weight_hh_l0"]


@ROW
def test_changed_parameters_are_noticed(name: str, row: Options) -> None:
    case = Case(name, row)
    for key, parameter in case.layer.named_parameters():
        _, _, tape = case.forward()
        before = parameter.value.copy()
        if not key.startswith("initial_"):  # the tape has its own copy of these
            parameter.data += 1
            with pytest.raises(RuntimeError, match="weights have changed since forward"):
                case.layer.backward(tape, case.dy)
            parameter.data = before
        else:
            parameter.data += 1
            parameter.data = before
        case.layer.backward(tape, case.dy)


# Sequences.


@pytest.mark.parametrize("trainable", [False, True])
def test_a_cut_makes_two_sequences(cell: str, dtype: type, trainable: bool) -> None:
    """In both directions of time and through both layers: a reset at t is as if a sequence ended at t - 1 and
    another began at t.
    """
    row = {"bidirectional": True, "trainable_state": trainable, "zoneout": 0.2}
    case = Case(cell, row, dtype)
    size = case.layer.state_sizes[0]
    for cut in range(STEPS):
        resets = np.zeros((BATCH, STEPS), bool)
        resets[:, cut] = True
        y, state = case.layer(case.x, resets=resets)
        pieces = [case.layer(part) for part in (case.x[:, :cut], case.x[:, cut:])]
        assert same_bits(y, np.concatenate([piece for piece, _ in pieces], axis=1))
        early, late = (case.parts(piece_state) for _, piece_state in pieces)
        for n, part in enumerate(case.parts(state)):
            assert same_bits(part[0::2], late[n][0::2])  # forward, the last piece ends the sequence
            assert same_bits(part[1::2], (early if cut else late)[n][1::2])
    # The state that comes in goes to the first step of each direction.
    resets = np.zeros((BATCH, STEPS), bool)
    resets[:, 2] = True
    given = tuple(np.full_like(part, 0.5) for part in case.dstates)
    one = Case(cell, {**row, "num_layers": 1}, dtype)
    given = tuple(part[:2] for part in given)
    y, _ = one.layer(one.x, one.public(given), resets=resets)
    early, _ = one.layer(one.x[:, :2], one.public(given))
    late, _ = one.layer(one.x[:, 2:], one.public(given))
    assert same_bits(y[:, :2, :size].copy(), early[:, :, :size].copy())
    assert same_bits(y[:, 2:, size:].copy(), late[:, :, size:].copy())


def test_a_cut_at_the_first_step(cell: str) -> None:
    """It replaces the state that comes in; backward in time, there is no step before it."""
    case = Case(cell, {"num_layers": 1, "bidirectional": True})
    resets = np.zeros((BATCH, STEPS), bool)
    resets[1, 0] = True
    y, _ = case.layer(case.x, case.public(case.states), resets=resets)
    plain, _ = case.layer(case.x, case.public(case.states))
    anew, _ = case.layer(case.x)
    size = case.layer.state_sizes[0]
    assert same_bits(y[1, :, :size].copy(), anew[1, :, :size].copy())
    assert same_bits(y[1, :, size:].copy(), plain[1, :, size:].copy())
    assert same_bits(y[2], plain[2])
    _, _, tape = case.layer.forward(case.x, case.public(case.states), resets=resets)
    _, dstate = case.layer.backward(tape, case.dy)
    for part in case.parts(dstate):
        assert not part[0, 1].any()
        assert part[0, 0].any()
        assert part[1, 1].any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_are_shorter_sequences(cell: str, dtype: type, bidirectional: bool) -> None:
    case = Case(cell, {"bidirectional": bidirectional}, dtype)
    assert case.states is not None
    y, state = case.layer(case.x, case.public(case.states), lengths=LENGTHS)
    for n, length in enumerate(LENGTHS):
        only = slice(n, n + 1)
        start = tuple(part[:, only] for part in case.states)
        alone, final = case.layer(case.x[only, :length], case.public(start))
        assert same_bits(y[only, :length].copy(), alone)
        assert not y[n, length:].any()
        for part, expected, initial in zip(case.parts(state), case.parts(final), start, strict=True):
            assert same_bits(part[:, only].copy(), expected)
            assert length or same_bits(expected, initial.copy())


def test_lengths_of_any_integers(cell: str) -> None:
    case = Case(cell, {})
    y, _ = case.layer(case.x, lengths=LENGTHS)
    for lengths in (
        tuple(LENGTHS),
        np.array(LENGTHS, np.int8),
        np.array(LENGTHS, np.uint64),
        np.array(LENGTHS)[::-1].copy()[::-1],
        [np.int32(length) for length in LENGTHS],
    ):
        assert same_bits(y, case.layer(case.x, lengths=lengths)[0])
    empty, _, tape = case.layer.forward(case.x[:0], lengths=[], resets=RESETS[:0])
    case.layer.backward(tape, empty)
    none, final = case.layer(case.x[:, :0], case.public(case.states), lengths=[0] * BATCH)
    assert none.shape == (BATCH, 0, case.layer.output_size)
    assert all(map(same_bits, case.parts(final), case.states or ()))


@pytest.mark.parametrize("batch_first", [True, False])
def test_states_of_every_step(cell: str, batch_first: bool) -> None:
    case = Case(cell, {"bidirectional": True, "batch_first": batch_first, "lengths": True})
    y, state, every = case.layer(case.x, lengths=LENGTHS, return_states=True)
    assert isinstance(every, tuple) == (len(case.layer.cell.states) > 1)
    h = case.parts(every)[0]
    last = np.concatenate(list(h[-2:]), axis=2)
    assert same_bits(last, np.ascontiguousarray(y))
    for part, final in zip(case.parts(every), case.parts(state), strict=True):
        steps = part if batch_first else part.swapaxes(1, 2)
        assert steps.shape == (4, BATCH, STEPS, final.shape[2])
        for n, length in enumerate(LENGTHS):
            assert not steps[:, n, length:].any()
            if length:
                assert same_bits(steps[0::2, n, length - 1].copy(), final[0::2, n].copy())
                assert same_bits(steps[1::2, n, 0].copy(), final[1::2, n].copy())
    h[...] = 9.0
    assert not (y == 9.0).any()


# Random masks.


@pytest.mark.parametrize("option", STOCHASTIC)
def test_masks_go_with_the_seed_and_the_call(cell: str, option: str) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((BATCH, STEPS, INPUTS)).astype(np.float32)
    layers = [nn.Recurrent(cell, INPUTS, 16, seed=1, **STOCHASTIC[option]) for _ in range(2)]
    for layer in layers:
        randomize(layer)
    first, second = (layers[0].forward(x)[0] for _ in range(2))
    assert not same_bits(first, second)
    assert [layers[1].counter.call, same_bits(first, layers[1].forward(x)[0])] == [0, True]
    layers[1].counter.seed = 2
    layers[1].counter.call = 0
    assert not same_bits(first, layers[1].forward(x)[0])
    assert layers[1].counter.call == 1


def test_a_call_draws_one_number(cell: str) -> None:
    every = {key: value for options in STOCHASTIC.values() for key, value in options.items()}
    case = Case(cell, every)
    for training, calls in ((True, 1), (False, 1), (True, 2)):
        case.layer.forward(case.x, training=training)
        assert case.layer.counter.call == calls
    plain = Case(cell, {})
    plain.layer.forward(plain.x)
    assert plain.layer.counter.call == 0


@pytest.mark.parametrize("option", [name for name in STOCHASTIC if name != "zoneout"])
def test_inference_is_without_dropout(cell: str, option: str) -> None:
    case, plain = Case(cell, STOCHASTIC[option]), Case(cell, {"num_layers": 2})
    if "num_layers" in STOCHASTIC[option]:
        assert case.layer.num_layers == 2
    y, state = case.layer(case.x, case.public(case.states))
    expected, state_expected = plain.layer(case.x, case.public(case.states))
    assert same_bits(y, expected)
    assert all(map(same_bits, case.parts(state), case.parts(state_expected)))


def test_zoneout_takes_its_rate_at_inference(cell: str) -> None:
    """s_t = rate·s_{t-1} + (1 - rate)·s̃_t, one step after the other."""
    states = len(ops.cells()[cell].states)
    for zoneout in (0.3, *([(0.4, 0.2), (0.0, 0.2)] if states == 2 else [])):
        case, plain = (Case(cell, {"zoneout": z, "num_layers": 1}) for z in (zoneout, 0.0))
        rates = zoneout if isinstance(zoneout, tuple) else (zoneout,) * states
        state = case.states
        assert state is not None
        for t in range(STEPS):
            _, after = plain.layer.step(case.x[:, t], case.public(state))
            pairs = zip(rates, state, case.parts(after), strict=True)
            state = tuple(rate * old + (1 - rate) * new for rate, old, new in pairs)
        _, final = case.layer(case.x, case.public(case.states))
        for part, expected in zip(case.parts(final), state, strict=True):
            close(part, expected)


def test_zoned_units_keep_their_state(cell: str) -> None:
    case = Case(cell, {"zoneout": 0.5, "num_layers": 1})
    assert case.states is not None
    y, _, _ = case.forward()
    before = np.concatenate([case.states[0][0][:, None], y[:, :-1]], axis=1)
    kept = reference.zoneout_mask((BATCH, STEPS, HIDDEN), 0.5, seed=3, call=0)
    np.testing.assert_array_equal(y[kept == 1], before[kept == 1])
    assert 0 < kept.sum() < kept.size


def test_weight_dropout_is_a_layer_of_other_weights(cell: str) -> None:
    case, plain = (Case(cell, {"weight_dropout": rate}) for rate in (0.4, 0.0))
    masks = {}
    for layer in range(2):
        key = f"weight_hh_l{layer}"
        shape = dict(case.layer.named_parameters())[key].shape
        masks[key] = reference.dropout_mask((1, *shape), 0.4, seed=3, call=0, layer=layer, what="weight")[0]
    weights = case.layer.state_dict()
    plain.layer.load_state_dict({name: array * masks.get(name, 1.0) for name, array in weights.items()})
    assert same_bits(case.forward()[0], plain.forward()[0])
    gradients, expected = case.gradients(), plain.gradients()
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, expected[name] * masks.get(name, 1.0))
    assert all(map(same_bits, case.layer.state_dict().values(), weights.values()))


# States and gradients.


def test_a_trainable_state_is_where_sequences_start(cell: str) -> None:
    case = Case(cell, {"trainable_state": True})
    state = case.layer.init_state(BATCH)
    names = [f"initial_{s}_l{k}" for s in case.layer.cell.states for k in range(2)]
    parameters = dict(case.layer.named_parameters())
    for part, name in zip(case.parts(state), case.layer.cell.states, strict=True):
        for k in range(2):
            np.testing.assert_array_equal(
                part[k], np.tile(parameters[f"initial_{name}_l{k}"].value, (BATCH, 1))
            )
    assert same_bits(case.layer(case.x)[0], case.layer(case.x, state)[0])
    for part in case.parts(state):
        part.fill(9.0)
    assert not any((parameters[name].value == 9.0).any() for name in names)
    assert not same_bits(case.layer(case.x)[0], Case(cell, {}).layer(case.x)[0])


def test_gradient_of_a_trainable_state(cell: str) -> None:
    case = Case(cell, {"trainable_state": True})
    parameters = dict(case.layer.named_parameters())
    for given in (False, True):
        for resets in (None, RESETS):
            state = case.layer.init_state(BATCH) if given else None
            case.layer.zero_grad()
            _, _, tape = case.layer.forward(case.x, state, resets=resets)
            _, dstate = case.layer.backward(tape, case.dy, case.public(case.dstates))
            for part, name in zip(case.parts(dstate), case.layer.cell.states, strict=True):
                for k in range(2):
                    grad = parameters[f"initial_{name}_l{k}"].grad
                    if resets is None:
                        close(grad, (0.0 if given else 1.0) * part[k].sum(axis=0))
                    else:
                        assert grad.any()
            if resets is not None and not given:
                both = {name: p.grad.copy() for name, p in parameters.items() if name.startswith("initial")}
                started = case.parts(dstate)
    # The gradients of the last two calls differ by what the start of the sequences adds.
    for number, name in enumerate(case.layer.cell.states):
        for k in range(2):
            key = f"initial_{name}_l{k}"
            close(both[key], parameters[key].grad + started[number][k].sum(axis=0))


def test_a_bound_on_the_gradient_of_h(cell: str) -> None:
    """Step by step, the gradient that leaves one step is clipped with dy of the step before."""
    bound = 0.3
    case = Case(cell, {"num_layers": 1, "state_gradient_bound": bound})
    plain = Case(cell, {"num_layers": 1})
    assert case.states is not None
    got = case.gradients()
    state, tapes = case.public(case.states), []
    for t in range(STEPS):
        _, state, tape = plain.layer.forward(case.x[:, t : t + 1], state)
        tapes.append(tape)
    plain.layer.zero_grad()
    dstate = case.dstates
    for t in reversed(range(STEPS)):
        dh = np.clip(dstate[0] + case.dy[:, t], -bound, bound)
        dx_t, dstate = plain.layer.backward(tapes[t], None, case.public((dh, *dstate[1:])))
        dstate = case.parts(dstate)
        close(got["x"][:, t], dx_t[:, 0])
    for number, part in enumerate(dstate):
        close(got[f"state {number}"], part)
    for name, parameter in plain.layer.named_parameters():
        close(got[name], parameter.grad)
    assert not same_bits(got["x"], Case(cell, {"num_layers": 1}).gradients()["x"])


def test_a_wide_bound_changes_no_bit(cell: str) -> None:
    wide, plain = (Case(cell, {"state_gradient_bound": bound}).gradients() for bound in (1e30, None))
    assert all(map(same_bits, wide.values(), plain.values()))


@ONE
def test_results_do_not_depend_on_threads(name: str, row: Options) -> None:
    results = []
    for threads in (1, 2, 3):
        rnnfast.set_num_threads(threads)
        layer = nn.Recurrent(name, 16, 96, 2, seed=3, **row)
        random = np.random.default_rng(0)
        x = random.standard_normal((24, 12, 16)).astype(np.float32)
        lengths, resets = random.integers(0, 13, 24), random.random((24, 12)) < 0.1
        y, _, tape = layer.forward(x, lengths=lengths, resets=resets)
        dx, _ = layer.backward(tape, y)
        results.append([y, dx, *(parameter.grad for parameter in layer.parameters())])
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


# Names, initial values, named classes, models.


def test_names_are_those_of_pytorch_with_a_projection() -> None:
    layer = nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True)
    expected = {}
    for level, inputs in enumerate((3, 4)):
        for suffix in ("", "_reverse"):
            place = f"_l{level}{suffix}"
            expected |= {f"weight_ih{place}": (16, inputs), f"weight_hh{place}": (16, 2)}
            expected |= {f"bias_ih{place}": (16,), f"bias_hh{place}": (16,), f"weight_hr{place}": (2, 4)}
    assert {name: parameter.shape for name, parameter in layer.named_parameters()} == expected
    assert list(layer.state_dict()) == list(expected)
    assert (layer.output_size, layer.state_sizes) == (4, (2, 4))
    h, c = layer.init_state(5)
    assert (h.shape, c.shape) == ((4, 5, 2), (4, 5, 4))


def test_names_and_initial_values_of_all_weights(cell: str, dtype: type) -> None:
    info = ops.cells()[cell]
    rows, peepholes = len(info.gates) * HIDDEN, len(info.unit_weights) * HIDDEN
    for layer_norm in (None, *info.layer_norms):
        sizes = {"weight_ch": peepholes} if peepholes else {}
        if layer_norm == "joint":
            sizes |= {"gamma": rows, "beta": rows}
        elif layer_norm == "split":
            sizes |= {"gamma_ih": rows, "gamma_hh": rows}
            sizes |= {"gamma_c": HIDDEN, "beta_c": HIDDEN} if info.output_state else {}
        sizes |= {f"initial_{name}": HIDDEN for name in info.states}
        layer = nn.Recurrent(
            cell,
            INPUTS,
            HIDDEN,
            2,
            bidirectional=True,
            layer_norm=layer_norm,
            trainable_state=True,
            dtype=dtype,
        )
        found = layer.state_dict()
        for place in ("l0", "l0_reverse", "l1", "l1_reverse"):
            for name, size in sizes.items():
                value = found.pop(f"{name}_{place}")
                np.testing.assert_array_equal(value, np.full(size, float(name.startswith("gamma")), dtype))
                assert value.dtype == dtype
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                del found[f"{name}_{place}"]
        assert not found


def test_initial_values_of_a_projection(dtype: type) -> None:
    found = nn.LSTM(3, 40, proj_size=24, seed=0, dtype=dtype).state_dict()
    assert (
        0.8 * (6 / 64) ** 0.5
        < np.abs(found["weight_hr_l0"]).max()
        <= np.nextafter(dtype((6 / 64) ** 0.5), dtype(1))
    )
    for gate in np.split(found["weight_hh_l0"].astype(np.float64), 4):
        np.testing.assert_allclose(gate.T @ gate, np.eye(24), rtol=0, atol=20 * np.finfo(dtype).eps)


def test_options_leave_the_other_initial_weights_alone() -> None:
    """The same seed with and without an option: the same weights, where both have them."""
    plain = nn.LSTM(3, 8, 2, seed=5).state_dict()
    for options in ({"peephole": True}, {"layer_norm": "split"}, {"trainable_state": True}, {"bias": False}):
        other = nn.LSTM(3, 8, 2, seed=5, **options).state_dict()  # type: ignore[arg-type]
        assert all(same_bits(plain[name], other[name]) for name in plain.keys() & other.keys())


@pytest.mark.parametrize("peephole", [False, True])
def test_forget_bias_of_a_coupled_gate(peephole: bool) -> None:
    layer = nn.LSTM(3, 4, bidirectional=True, coupled=True, peephole=peephole, forget_bias=0.75)
    assert layer.cell.name == "lstm" + "_peephole" * peephole + "_coupled"
    for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
        np.testing.assert_array_equal(layer.state_dict()[name], [-0.75] * 4 + [0.0] * 8)
    assert not layer.state_dict()["bias_hh_l0"].any()


def test_named_layers_are_their_cells() -> None:
    assert nn.LSTM(2, 3, peephole=True).cell.name == "lstm_peephole"
    assert nn.LSTM(2, 3, coupled=True).cell.name == "lstm_coupled"
    assert nn.GRU(2, 3, reset="before").cell.name == "gru_reset_before"
    layer = nn.LSTM(2, 3, zoneout=(0.1, 0.2), layer_norm="split", seed=0)
    assert layer.options.zoneout == (0.1, 0.2)
    assert nn.GRU(2, 3, zoneout=0.1).options.zoneout == (0.1,)


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_models_with_a_projection(kind: Any, bidirectional: bool, tmp_path: Path) -> None:
    options = {
        "proj_size": 3,
        "zoneout": (0.2, np.float64(0.1)),
        "layer_norm": "split",
        "trainable_state": True,
    }
    model = kind(2, 5, 2, 2, cell="lstm", bidirectional=bidirectional, dtype=np.float64, seed=0, **options)
    randomize(model)
    x = np.random.default_rng(0).standard_normal((BATCH, STEPS, 2))
    start, inputs = model.random_state(), {"x": x, **model.state_dict()}
    y, tape = model.forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    gradients = {"x": model.backward(tape, dy)}
    gradients |= {name: parameter.grad.copy() for name, parameter in model.named_parameters()}

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict({name: array for name, array in arrays.items() if name != "x"})
        model.set_random_state(start)
        return (model.forward(arrays["x"])[0],)

    check_gradients(outputs, (dy,), inputs, gradients)
    model.save(tmp_path / "model.npz")
    loaded = rnnfast.load(tmp_path / "model.npz")
    assert loaded.arguments == model.arguments
    assert loaded.recurrent.options == model.recurrent.options
    assert same_bits(loaded(x), model(x))
