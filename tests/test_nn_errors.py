"""Errors of layers: operation, argument, rule, what came, and the likely fix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast import nn, ops

Array = np.ndarray[Any, np.dtype[Any]]


def layer(**options: Any) -> nn.LSTM:
    return nn.LSTM(8, 4, seed=0, **options)


X = np.ones((32, 50, 8), np.float32)


@pytest.mark.parametrize(
    ("options", "x", "error", "message"),
    [
        (
            {},
            X[:, :, :7],
            ValueError,
            r"x must have shape \(N, T, input_size\) = \(\*, \*, 8\), got \(32, 50, 7\)",
        ),
        (
            {"batch_first": False},
            X[0, 0],
            ValueError,
            r"x must have shape \(T, N, input_size\) = .*got \(8,\)",
        ),
        ({}, X[0], ValueError, r"got \(50, 8\); looks like one sequence; pass x\[None\]"),
        ({}, X.transpose(0, 2, 1), ValueError, r"second; pass x.transpose\(0, 2, 1\)"),
        ({}, X.astype(np.float16), TypeError, r"x must have dtype float32, got float16"),
        ({}, X.astype(np.int64), TypeError, r"x must have dtype float32, got int64"),
        ({}, X.astype(np.float64), TypeError, r"x must have dtype float32, got float64"),
        ({}, [[1.0]], TypeError, r"x must be a NumPy array of dtype float32, got list"),
        ({}, X[0, :, :7], ValueError, r"got \(50, 7\)$"),
        ({}, X[:, :8, :7], ValueError, r"got \(32, 8, 7\); looks like the feature axis comes second"),
        ({}, X[:, :7, :7], ValueError, r"got \(32, 7, 7\)$"),
        ({}, X[:, :8].transpose(0, 2, 1)[:, :, None], ValueError, r"got \(32, 8, 1, 8\)$"),
    ],
)
def test_forward_names_what_is_wrong_with_x(
    options: dict[str, Any], x: Any, error: type[Exception], message: str
) -> None:
    for call in (layer(**options), layer(**options).forward):
        with pytest.raises(
            error, match=r"LSTM.forward: " + (message if message.startswith("x") else "x .*" + message)
        ):
            call(x)


def test_one_feature_without_its_axis() -> None:
    with pytest.raises(ValueError, match=r"one feature; pass x\[..., None\]"):
        nn.GRU(1, 4)(np.ones((3, 5), np.float32))


def test_forward_names_what_is_wrong_with_the_state() -> None:
    h = np.zeros((1, 32, 4), np.float32)
    cases: list[tuple[Any, type[Exception], str]] = [
        (h, TypeError, r"state must be a tuple \(h, c\) of arrays, got ndarray"),
        ((h,), ValueError, r"state must have 2 arrays, \(h, c\), got 1"),
        ((h, h[0]), ValueError, r"state c must have shape .* = \(1, 32, 4\), got \(32, 4\)"),
        ((h[:, :5], h), ValueError, r"state h must have shape .* = \(1, 32, 4\), got \(1, 5, 4\)"),
        ((h, None), TypeError, r"state c must be a NumPy array"),
        ((h, h.astype(np.float64)), TypeError, r"state c must have dtype float32, got float64"),
    ]
    for state, error, message in cases:
        with pytest.raises(error, match="LSTM.forward: " + message):
            layer()(X, state)


def test_time_major_by_mistake() -> None:
    """50 steps of 32 samples, but the layer reads 32 samples... the state of the batch gives it away."""
    state = layer().init_state(32)
    with pytest.raises(ValueError, match=r"its N is the T of x; pass the batch_first that x has"):
        layer()(X.transpose(1, 0, 2), state)
    _, _, tape = layer().forward(X)
    module = layer()
    _, _, tape = module.forward(X)
    with pytest.raises(ValueError, match=r"dy .*looks time-major; pass batch_first=False"):
        module.backward(tape, np.zeros((50, 32, 4), np.float32))


def test_backward_names_what_is_wrong() -> None:
    module = layer()
    y, (h, c), tape = module.forward(X)
    cases: list[tuple[Any, Any, type[Exception], str]] = [
        (y[:, :-1], None, ValueError, r"dy must have shape .* = \(32, 50, 4\), got \(32, 49, 4\)"),
        (y.astype(np.float64), None, TypeError, r"dy must have dtype float32, got float64"),
        (y, h, TypeError, r"dstate must be a tuple"),
        (y, (h, c[:, 1:]), ValueError, r"dstate c must have shape"),
    ]
    for dy, dstate, error, message in cases:
        with pytest.raises(error, match="LSTM.backward: " + message):
            module.backward(tape, dy, dstate)
    module.backward(tape, None, (None, c))


def test_step_names_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"LSTM.step: x_t must have shape .* = \(\*, 8\), got \(32, 50, 8\)"):
        layer().step(X)
    with pytest.raises(
        ValueError, match=r"LSTM.step: state h must have shape .* = \(1, 32, 4\), got \(1, 3, 4\)"
    ):
        layer().step(X[:, 0], layer().init_state(3))
    with pytest.raises(ValueError, match=r"LSTM.step: bidirectional must be False"):
        layer(bidirectional=True).step(X[:, 0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_size": -1}, ValueError, "input_size must be 0 or more, got -1"),
        ({"hidden_size": -1}, ValueError, "hidden_size must be 1 or more, got -1"),
        ({"hidden_size": 4.0}, TypeError, "hidden_size must be an int, got 4.0"),
        ({"num_layers": True}, TypeError, "num_layers must be an int, got True"),
        ({"dropout": 1.0, "num_layers": 2}, ValueError, r"dropout must be in \[0, 1\), got 1.0"),
        ({"dropout": float("nan"), "num_layers": 2}, ValueError, r"dropout must be in \[0, 1\), got nan"),
        ({"dropout": "0.5", "num_layers": 2}, TypeError, "dropout must be a float, got '0.5'"),
        ({"dropout": True, "num_layers": 2}, TypeError, "dropout must be a float, got True"),
        ({"dropout": 0.5}, ValueError, "dropout must be 0 with num_layers=1, .*got 0.5"),
        ({"dtype": np.float16}, TypeError, "dtype must be float32 or float64, got float16"),
        ({"dtype": None}, TypeError, "dtype must be float32 or float64, got None"),
        ({"dtype": "foo"}, TypeError, "dtype must be float32 or float64, got foo"),
        ({"seed": -1}, ValueError, r"seed must be in \[0, 2\*\*64\), got -1"),
        ({"seed": 0.5}, TypeError, r"seed must be an int or None, got 0.5"),
    ],
)
def test_constructors_name_what_is_wrong(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        with pytest.raises(error, match=message):
            kind(**{"input_size": 3, "hidden_size": 4, **arguments})


@pytest.mark.parametrize("option", ["bias", "batch_first", "bidirectional"])
def test_flags_are_true_or_false(option: str) -> None:
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        with pytest.raises(TypeError, match=rf"{kind.__name__}: {option} must be True or False, got 'no'"):
            kind(3, 4, **{option: "no"})  # type: ignore[arg-type]
    assert len(nn.LSTM(3, 4, bias=np.bool_(False)).parameters()) == 2  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Linear: bias must be True or False, got 'no'"):
        nn.Linear(3, 4, bias="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"forget_bias": float("nan")}, ValueError, "forget_bias must be finite, got nan"),
        ({"forget_bias": float("inf")}, ValueError, "forget_bias must be finite, got inf"),
        ({"forget_bias": "a"}, TypeError, "forget_bias must be a float, got 'a'"),
        ({"forget_bias": 2.0, "bias": False}, ValueError, "forget_bias must be left out .*got 2.0"),
    ],
)
def test_forget_bias_is_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"LSTM: {message}"):
        nn.LSTM(3, 4, **options)
    assert len(nn.LSTM(3, 4, bias=False).parameters()) == 2


def test_gru_resets_before_or_after_the_product() -> None:
    assert nn.GRU(3, 4, reset="after").cell.name == "gru"
    for reset in ("none", None):
        with pytest.raises(ValueError, match=rf"GRU: reset must be 'after' or 'before', got {reset!r}"):
            nn.GRU(3, 4, reset=reset)  # type: ignore[arg-type]


def test_inputs_that_are_no_floating_point_arrays() -> None:
    dropout = nn.Dropout(0.5, seed=0)
    for x, got in (
        ([[1.0, 2.0]], "list"),
        (np.ones((2, 3), np.int64), "int64"),
        (np.ones((2, 3), np.float16), "float16"),
    ):
        for training in (True, False):
            with pytest.raises(
                TypeError, match=rf"Dropout.forward: x must be .*float32 or float64, got {got}"
            ):
                dropout.forward(x, training=training)  # type: ignore[arg-type]
    assert dropout.counter.call == 0
    with pytest.raises(TypeError, match=r"Linear.forward: x must be .*dtype float32, got list"):
        nn.Linear(3, 4)([[1.0, 2.0, 3.0]])  # type: ignore[arg-type]


def test_other_constructors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="RNN: activation must be 'tanh' or 'relu', got 'gelu'"):
        nn.RNN(3, 4, activation="gelu")
    with pytest.raises(ValueError, match=r"Recurrent: cell must be one of .*lstm.*, got 'elman'"):
        nn.Recurrent("elman", 3, 4)
    with pytest.raises(TypeError, match=r"Sequential: argument 0 must be a Module, got list"):
        nn.Sequential([nn.Linear(3, 4)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Dropout: rate must be in \[0, 1\), got -0.5"):
        nn.Dropout(-0.5)
    with pytest.raises(
        ValueError, match=r"Linear.forward: x must have shape \(..., input_size\) = \(..., 3\), got"
    ):
        nn.Linear(3, 4)(np.ones((2, 4), np.float32))
    with pytest.raises(TypeError, match=r"Linear.forward: x must have dtype float32, got float16"):
        nn.Linear(3, 4)(np.ones((2, 3), np.float16))


def test_named_layers_are_their_cells() -> None:
    assert nn.RNN(2, 3).cell.name == "rnn_tanh"
    assert nn.RNN(2, 3, activation="relu").cell.name == "rnn_relu"
    assert nn.LSTM(2, 3).cell.name == "lstm"
    assert nn.GRU(2, 3).cell.name == "gru"
    assert {"rnn_tanh", "rnn_relu", "lstm", "gru"} <= set(ops.cells())


def test_a_module_must_define_both_directions() -> None:
    with pytest.raises(NotImplementedError, match=r"Module.forward is not defined"):
        nn.Module().forward(X)
    with pytest.raises(NotImplementedError, match=r"Module.backward is not defined"):
        nn.Module().backward(None, X)


def test_linear_names_the_axes_of_the_forward_call() -> None:
    module = nn.Linear(8, 4)
    _, tape = module.forward(X)
    with pytest.raises(
        ValueError, match=r"dy must have shape \(\*, \*, output_size\) = \(32, 50, 4\), got \(32, 4\)"
    ):
        module.backward(tape, X[:, 0, :4])
