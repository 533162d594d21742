"""Recurrent layers: gradients of every option, the same bits however they run, names and initial values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import init, nn, reference

Array = np.ndarray[Any, np.dtype[Any]]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"batch_first": False},
    {"bidirectional": True},
    {"num_layers": 2},
    {"num_layers": 3, "bidirectional": True, "bias": False},
    {"num_layers": 2, "dropout": 0.4},
    {"num_layers": 3, "bidirectional": True, "dropout": 0.3, "batch_first": False},
]
OPTION = pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "plain"
)


def states_of(layer: nn.Recurrent, state: Any) -> tuple[Array, ...]:
    return (state,) if len(layer.cell.states) == 1 else tuple(state)


def public(layer: nn.Recurrent, states: tuple[Array, ...]) -> Any:
    return states[0] if len(layer.cell.states) == 1 else states


class Layer:
    """A layer with everything that goes in and comes back, for N = 3, T = 4, I = 2, H = 5."""

    def __init__(self, cell: str, options: dict[str, Any], dtype: type = np.float64) -> None:
        self.layer = nn.Recurrent(cell, 2, 5, seed=3, dtype=dtype, **options)
        randomize(self.layer)
        random = np.random.default_rng(1)
        front = (3, 4) if options.get("batch_first", True) else (4, 3)
        directions = self.layer.num_directions
        self.x = random.standard_normal((*front, 2)).astype(dtype)
        self.dy = random.standard_normal((*front, 5 * directions)).astype(dtype)
        shape = (self.layer.num_layers * directions, 3, 5)
        self.states = tuple(random.standard_normal(shape).astype(dtype) for _ in self.layer.cell.states)
        self.dstates = tuple(random.standard_normal(shape).astype(dtype) for _ in self.layer.cell.states)
        self.random_state = self.layer.random_state()

    def forward(self) -> tuple[Array, tuple[Array, ...], nn.Tape]:
        self.layer.set_random_state(self.random_state)
        y, state, tape = self.layer.forward(self.x, public(self.layer, self.states))
        assert tape is not None
        return y, states_of(self.layer, state), tape

    def inputs(self) -> dict[str, Array]:
        states = {f"state {n}": part for n, part in enumerate(self.states)}
        return {"x": self.x, **states, **self.layer.state_dict()}

    def outputs(self, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        self.x = arrays["x"]
        self.states = tuple(part for name, part in arrays.items() if name.startswith("state"))
        self.layer.load_state_dict(
            {n: a for n, a in arrays.items() if n != "x" and not n.startswith("state")}
        )
        y, states, _ = self.forward()
        return (y, *states)


@OPTION
def test_layer_gradients_are_central_differences(cell: str, variant: str, options: dict[str, Any]) -> None:
    case = Layer(cell, options)
    inputs = case.inputs()
    _, _, tape = case.forward()
    case.layer.zero_grad()
    dx, dstate = case.layer.backward(tape, case.dy, public(case.layer, case.dstates))
    gradients = {"x": dx, **{f"state {n}": part for n, part in enumerate(states_of(case.layer, dstate))}}
    gradients |= {name: parameter.grad.copy() for name, parameter in case.layer.named_parameters()}
    gates = len(case.layer.cell.gates)
    blocks = {name: gates for name in inputs if name.startswith(("weight", "bias"))}
    check_gradients(case.outputs, (case.dy, *case.dstates), inputs, gradients, blocks=blocks)


@OPTION
def test_layer_is_the_reference(cell: str, variant: str, options: dict[str, Any]) -> None:
    case = Layer(cell, options)
    rate, layers = options.get("dropout", 0.0), options.get("num_layers", 1)
    masks = [
        np.concatenate(
            [
                reference.dropout_mask((3, 4, 5), rate, seed=3, call=0, layer=layer, direction=direction)
                for direction in range(case.layer.num_directions)
            ],
            axis=2,
        )
        for layer in range(layers - 1 if rate else 0)
    ]
    swap = (lambda a: a) if options.get("batch_first", True) else (lambda a: a.swapaxes(0, 1))
    expected_y, expected_states = reference.recurrent_layers(
        cell,
        swap(case.x),
        case.states,
        case.layer.state_dict(),
        num_layers=layers,
        bidirectional=options.get("bidirectional", False),
        masks=masks,
    )
    y, states, _ = case.forward()
    np.testing.assert_allclose(swap(y), expected_y, rtol=1e-12, atol=1e-12)
    for part, expected in zip(states, expected_states, strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-12)


@OPTION
def test_time_major_is_a_matter_of_axes(cell: str, dtype: type, options: dict[str, Any]) -> None:
    major = {key: value for key, value in options.items() if key != "batch_first"}
    batch, time = (
        Layer(cell, {**major, "batch_first": True}, dtype),
        Layer(cell, {**major, "batch_first": False}, dtype),
    )
    time.x = np.ascontiguousarray(batch.x.swapaxes(0, 1))
    y, states, tape = batch.forward()
    y_time, states_time, tape_time = time.forward()
    assert y_time.flags.c_contiguous
    assert same_bits(y, np.ascontiguousarray(y_time.swapaxes(0, 1)))
    assert all(map(same_bits, states, states_time))
    dx, _ = batch.layer.backward(tape, batch.dy)
    dx_time, _ = time.layer.backward(tape_time, np.ascontiguousarray(batch.dy.swapaxes(0, 1)))
    assert dx_time.shape == time.x.shape
    assert same_bits(np.ascontiguousarray(dx), np.ascontiguousarray(dx_time.swapaxes(0, 1)))


def test_inference_draws_no_masks(cell: str) -> None:
    case = Layer(cell, {"num_layers": 2, "dropout": 0.4})
    plain = Layer(cell, {"num_layers": 2})
    y, _ = case.layer(case.x)
    y_again, _, tape = case.layer.forward(case.x, training=False)
    assert tape is None
    assert same_bits(y, y_again)
    assert same_bits(y, plain.layer(case.x)[0])
    assert case.layer.random_state() == case.random_state


def test_masks_are_fresh_in_every_call_and_the_same_after_a_reset(cell: str) -> None:
    case = Layer(cell, {"num_layers": 2, "dropout": 0.4})
    first, second = (case.layer.forward(case.x)[0] for _ in range(2))
    assert not same_bits(first, second)
    assert case.layer.random_state()["counter.call"] == case.random_state["counter.call"] + 2
    case.layer.set_random_state(case.random_state)
    assert same_bits(first, case.layer.forward(case.x)[0])


@pytest.mark.parametrize("layers", [1, 3])
def test_steps_have_the_bits_of_the_sequence(cell: str, variant: str, dtype: type, layers: int) -> None:
    case = Layer(cell, {"num_layers": layers}, dtype)
    for start in (public(case.layer, case.states), None):
        y, final = case.layer(case.x, start)
        state, outputs = start, []
        for t in range(case.x.shape[1]):
            y_t, state = case.layer.step(case.x[:, t], state)
            outputs.append(y_t)
        assert same_bits(y, np.stack(outputs, axis=1))
        assert all(map(same_bits, states_of(case.layer, state), states_of(case.layer, final)))


def test_step_does_not_share_memory_with_its_state(cell: str) -> None:
    case = Layer(cell, {})
    y_t, state = case.layer.step(case.x[:, 0], public(case.layer, case.states))
    _, again = case.layer.step(case.x[:, 1], state)
    y_t += 1
    assert all(
        map(
            same_bits,
            states_of(case.layer, again),
            states_of(case.layer, case.layer.step(case.x[:, 1], state)[1]),
        )
    )


@OPTION
def test_results_do_not_depend_on_threads(cell: str, options: dict[str, Any]) -> None:
    results = []
    for threads in (1, 2, 3):
        rnnfast.set_num_threads(threads)
        layer = nn.Recurrent(cell, 16, 96, seed=3, **options)
        x = np.random.default_rng(0).standard_normal((24, 24, 16)).astype(np.float32)
        y, _, tape = layer.forward(x)
        dx, _ = layer.backward(tape, y)
        results.append([y, dx, *(parameter.grad for parameter in layer.parameters())])
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


def test_gradients_add_up(cell: str) -> None:
    case = Layer(cell, {"bidirectional": True})
    case.layer.zero_grad()
    for count in (1, 2, 3):
        _, _, tape = case.forward()
        case.layer.backward(tape, case.dy)
        grads = [parameter.grad.copy() for parameter in case.layer.parameters()]
        if count == 1:
            once = grads
        for grad, expected in zip(grads, once, strict=True):
            np.testing.assert_allclose(grad, count * expected, rtol=1e-12)
    case.layer.zero_grad()
    assert not any(parameter.grad.any() for parameter in case.layer.parameters())


def test_a_tape_keeps_its_own_initial_state(cell: str) -> None:
    results = []
    for overwritten in (False, True):
        layer = nn.Recurrent(cell, 3, 4, 2, bidirectional=True, seed=0, dtype=np.float64)
        random = np.random.default_rng(0)
        x = random.standard_normal((2, 5, 3))
        parts = [random.standard_normal((4, 2, 4)) for _ in layer.cell.states]
        y, _, tape = layer.forward(x, parts[0] if len(parts) == 1 else tuple(parts))
        for part in parts if overwritten else ():
            part.fill(9.0)
        dx, _ = layer.backward(tape, np.ones_like(y))
        results.append([dx, *(parameter.grad for parameter in layer.parameters())])
    assert all(map(same_bits, *results))


def test_absent_gradients_are_zero(cell: str) -> None:
    results = []
    for dy, dstate in (
        (lambda c: None, lambda c: None),
        (lambda c: np.zeros_like(c.dy), lambda c: public(c.layer, tuple(map(np.zeros_like, c.dstates)))),
    ):
        case = Layer(cell, {"num_layers": 2})
        _, _, tape = case.forward()
        dx, _ = case.layer.backward(tape, dy(case), dstate(case))
        results.append(dx)
    assert same_bits(*results)
    assert not results[0].any()


# Names, files, initial values.


@pytest.mark.parametrize(
    ("layer", "gates"),
    [(nn.RNN(3, 4, 2), 1), (nn.LSTM(3, 4, 2), 4), (nn.GRU(3, 4, 2), 3)],
    ids=["rnn", "lstm", "gru"],
)
def test_names_and_shapes_are_those_of_pytorch(layer: nn.Recurrent, gates: int) -> None:
    rows = 4 * gates
    expected = {
        "weight_ih_l0": (rows, 3),
        "weight_hh_l0": (rows, 4),
        "bias_ih_l0": (rows,),
        "bias_hh_l0": (rows,),
        "weight_ih_l1": (rows, 4),
        "weight_hh_l1": (rows, 4),
        "bias_ih_l1": (rows,),
        "bias_hh_l1": (rows,),
    }
    assert {name: parameter.shape for name, parameter in layer.named_parameters()} == expected
    assert list(layer.state_dict()) == list(expected)


def test_names_of_the_second_direction() -> None:
    layer = nn.GRU(3, 4, 2, bidirectional=True, bias=False)
    expected = {
        "weight_ih_l0": (12, 3),
        "weight_hh_l0": (12, 4),
        "weight_ih_l0_reverse": (12, 3),
        "weight_hh_l0_reverse": (12, 4),
        "weight_ih_l1": (12, 8),
        "weight_hh_l1": (12, 4),
        "weight_ih_l1_reverse": (12, 8),
        "weight_hh_l1_reverse": (12, 4),
    }
    assert {name: parameter.shape for name, parameter in layer.named_parameters()} == expected


def test_initial_values(dtype: type) -> None:
    layer = nn.LSTM(3, 40, 2, bidirectional=True, forget_bias=0.75, dtype=dtype, seed=0)
    for name, value in layer.state_dict().items():
        assert value.dtype == dtype
        if name.startswith("weight_hh"):
            for gate in np.split(value.astype(np.float64), 4):
                np.testing.assert_allclose(gate @ gate.T, np.eye(40), rtol=0, atol=20 * np.finfo(dtype).eps)
        elif name.startswith("weight_ih"):
            bound = (6 / (40 + value.shape[1])) ** 0.5
            assert 0.9 * bound < np.abs(value).max() <= np.nextafter(dtype(bound), dtype(1))
        else:
            expected = np.zeros((4, 40), dtype)
            expected[1] = 0.75 if name.startswith("bias_ih") else 0
            np.testing.assert_array_equal(value.reshape(4, 40), expected)


def test_seeds() -> None:
    weights = [nn.GRU(3, 4, seed=seed).state_dict()["weight_hh_l0"] for seed in (0, 0, 1, None, None)]
    assert same_bits(weights[0], weights[1])
    assert not any(same_bits(a, b) for i, a in enumerate(weights[1:]) for b in weights[1:][:i])
    reverse = nn.GRU(3, 4, 2, bidirectional=True, seed=0).state_dict()
    hidden = [value for name, value in reverse.items() if name.startswith("weight_hh")]
    assert not any(same_bits(a, b) for i, a in enumerate(hidden) for b in hidden[:i])


def test_orthogonal_matrices_beyond_one_block() -> None:
    for size in (1, 63, 64, 65, 130):
        w = init.orthogonal(size, init.generator(size), np.float64)
        np.testing.assert_allclose(w @ w.T, np.eye(size), rtol=0, atol=1e-14)


def test_seed_streams_never_change() -> None:
    """Frozen: models trained with a seed must be had again with it, years from now."""
    values = init.uniform((3,), 1.0, init.generator(42), np.float64)
    frozen = ["0x1.580393a2ff5c0p-4", "0x1.ea282aceb4208p-3", "-0x1.c540db1f2a302p-1"]
    assert [value.hex() for value in values.tolist()] == frozen
    assert init.child_seeds(42, 2) == [11465652750463011511, 15382171918060459190]
