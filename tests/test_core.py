"""The second lock: `_core` itself refuses arrays that would lead a kernel astray, whoever calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import rnnfast
from problems import make_problem
from rnnfast import _core, ops

Array = np.ndarray[Any, Any]


def forward_arguments(cell: str, dtype: type) -> dict[str, Any]:
    """By the names of what `core_forward` passes on."""
    info = ops.cells()[cell]
    states = len(info.states)
    problem = make_problem(cell, 2, 5, 3, 4, dtype, bias=False)
    weights = {name: problem.weights.get(name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    return {
        "layer_norm": "none",
        **weights,
        "weight_hr": None,
        "unit_weights": {"weight_ch": problem.weights["weight_ch"]} if info.unit_weights else {},
        "reverse": False,
        "recompute": 0,
        "zoneout_rates": (0.0,) * states,
        "zoneout_training": False,
        "zoneout_keys": ((0, 0, 0, 0),) * states,
        "x": problem.x,
        "state": (None,) * states,
        "reset_state": (None,) * states,
        "lengths": None,
        "resets": None,
        "hidden_mask": None,
        "y": np.empty((2, 5, 4), dtype),
        "states": (),
        "tape": None,
        "checkpoints": None,
    }


def core_call(number: int, arguments: dict[str, Any]) -> _core.RecurrentCall:
    """Weights, settings and the call, each with its part of the arguments."""
    kinds = (_core.PackedWeights, _core.RecurrentSettings)
    weights, settings = (kind(number, **{n: arguments[n] for n in PARTS[kind]}) for kind in kinds)
    return _core.RecurrentCall(weights, settings, **{n: arguments[n] for n in PARTS[_core.RecurrentCall]})


def core_forward(number: int, **arguments: Any) -> Any:
    rest = ("y", "states", "tape", "checkpoints")
    return _core.recurrent_forward(core_call(number, arguments), **{n: arguments[n] for n in rest})


PARTS: dict[Any, tuple[str, ...]] = {
    _core.PackedWeights: (
        *("layer_norm", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"),
        "unit_weights",
    ),
    _core.RecurrentSettings: (
        *("reverse", "recompute", "zoneout_rates", "zoneout_training"),
        "zoneout_keys",
    ),
    _core.RecurrentCall: ("x", "state", "reset_state", "lengths", "resets", "hidden_mask"),
}


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array: Array) -> Array:
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = memory.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


BAD: list[tuple[str, Callable[[Array], Array], type[Exception], str]] = [
    ("x", lambda x: x[:, :, 0], ValueError, "x must have three axes"),
    ("x", lambda x: x.astype(np.float16), TypeError, "x must be float32 or float64, got float16"),
    ("x", lambda x: x[:, :, ::-1], ValueError, "x must have a contiguous last axis"),
    ("x", misaligned, ValueError, "x must be aligned"),
    ("y", lambda y: y[:, :4], ValueError, r"y must have shape \(2, 5, 4\), got \(2, 4, 4\)"),
    ("y", read_only, ValueError, "y must be writable"),
    ("weight_hh", lambda weight: weight[:-1].copy(), ValueError, "weight_hh must have shape"),
    ("weight_hh", lambda weight: weight.astype(np.int32), TypeError, "weight_hh must be"),
    ("weight_ih", lambda weight: weight.T, ValueError, "weight_.. must have shape"),
    ("weight_ih", lambda weight: np.asfortranarray(weight), ValueError, "weight_ih must be C-contiguous"),
    ("y", lambda y: as_strided(y, y.shape, (0, *y.strides[1:])), ValueError, "y, states must have no stride"),
]


@pytest.mark.parametrize(("name", "bad", "error", "message"), BAD)
def test_forward_refuses(
    cell: str, dtype: type, name: str, bad: Callable[[Array], Array], error: type[Exception], message: str
) -> None:
    arguments = forward_arguments(cell, dtype)
    number = ops.cells()[cell].number
    core_forward(number, **arguments)  # they are right but for what is now made wrong
    with pytest.raises(error, match=f"_core: {message}"):
        core_forward(number, **{**arguments, name: bad(arguments[name])})


BAD_OPTIONS: list[tuple[str, Any, type[Exception], str]] = [
    ("lengths", np.zeros(3, np.int64), ValueError, r"lengths must have shape \(2\), got \(3\)"),
    ("lengths", np.zeros(2, np.int32), TypeError, "lengths must be int64, got int32"),
    ("lengths", np.array([0, 6]), ValueError, "lengths must be in 0 … T"),
    ("lengths", np.array([-1, 5]), ValueError, "lengths must be in 0 … T"),
    ("resets", np.zeros((5, 2), bool), ValueError, "resets must have shape"),
    ("resets", np.zeros((2, 5), np.uint8), TypeError, "resets must be bool, got uint8"),
    ("hidden_mask", np.zeros((2, 3)), (TypeError, ValueError), "hidden_mask must"),
    ("gamma_ih", np.zeros(4), ValueError, "gamma_ih must be absent"),
    ("beta_c", np.zeros(4), ValueError, "beta_c must be absent"),
]


@pytest.mark.parametrize(("name", "bad", "error", "message"), BAD_OPTIONS)
def test_forward_refuses_options(
    cell: str, dtype: type, name: str, bad: Any, error: type[Exception], message: str
) -> None:
    arguments = forward_arguments(cell, dtype)
    if name in arguments:
        arguments[name] = bad
    else:
        arguments["unit_weights"] = {**arguments["unit_weights"], name: bad}
    with pytest.raises(error, match=f"_core: {message}"):
        core_forward(ops.cells()[cell].number, **arguments)


BAD_SETTINGS: list[tuple[str, Any, str]] = [
    ("recompute", -1, "recompute must not be negative"),
    ("layer_norm", "batch", "layer_norm must be none, split or joint"),
    ("zoneout_rates", (1.0,), "zoneout"),
    ("zoneout_rates", (0.5,) * 3, "zoneout must have a rate and a key for every state"),
]


@pytest.mark.parametrize(("name", "bad", "message"), BAD_SETTINGS)
def test_forward_refuses_settings(cell: str, dtype: type, name: str, bad: Any, message: str) -> None:
    arguments = forward_arguments(cell, dtype)
    arguments[name] = bad
    with pytest.raises(ValueError, match=f"_core: {message}"):
        core_forward(ops.cells()[cell].number, **arguments)


def test_what_a_cell_has_not_is_refused(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    info = ops.cells()[cell]
    for kind in {"split", "joint"} - set(info.layer_norms):
        with pytest.raises(ValueError, match="_core: layer_norm is not for this cell"):
            core_forward(info.number, **{**arguments, "layer_norm": kind})
    if not info.projectable:
        with pytest.raises(ValueError, match="_core: projection is not for this cell"):
            core_forward(info.number, **{**arguments, "weight_hr": np.ones((4, 6), dtype)})
    if info.unit_weights:
        with pytest.raises(ValueError, match="_core: weight_ch must be given"):
            core_forward(info.number, **{**arguments, "unit_weights": {}})


def test_forward_refuses_a_wrong_tape_and_unknown_cells(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    info = ops.cells()[cell]
    rows, row = core_call(info.number, arguments).tape_shape()
    assert rows == 10
    with pytest.raises(ValueError, match="_core: tape must have shape"):
        core_forward(info.number, **{**arguments, "tape": np.empty((9, row), dtype)})
    with pytest.raises(ValueError, match="_core: tape must be absent where backward recomputes it"):
        core_forward(info.number, **{**arguments, "recompute": 2, "tape": np.empty((4, row), dtype)})
    with pytest.raises(ValueError, match="_core: checkpoints must be absent where the tape is kept"):
        core_forward(info.number, **{**arguments, "checkpoints": np.empty((1, 1, 2, 4), dtype)})
    with pytest.raises(ValueError, match="_core: cell is not in the registry"):
        core_forward(99, **arguments)


def test_calls_of_one_cell_do_not_take_settings_or_arrays_of_another() -> None:
    arguments = {name: forward_arguments(name, np.float32) for name in ("lstm", "gru")}
    numbers = {name: ops.cells()[name].number for name in arguments}
    made = {
        kind: {name: kind(numbers[name], **{n: arguments[name][n] for n in PARTS[kind]}) for name in numbers}
        for kind in (_core.PackedWeights, _core.RecurrentSettings)
    }
    rest = {n: arguments["lstm"][n] for n in PARTS[_core.RecurrentCall]}
    weights = made[_core.PackedWeights]["lstm"]
    with pytest.raises(ValueError, match="_core: settings are of another cell"):
        _core.RecurrentCall(weights, made[_core.RecurrentSettings]["gru"], **rest)
    settings = made[_core.RecurrentSettings]["lstm"]
    with pytest.raises(ValueError, match="_core: x must have the dtype of the weights"):
        _core.RecurrentCall(weights, settings, **{**rest, "x": rest["x"].astype(np.float64)})


def test_core_refuses_outputs_among_the_inputs(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    memory = np.zeros((2, 5, 7), dtype)
    with pytest.raises(ValueError, match="_core: y, states must not share memory"):
        core_forward(ops.cells()[cell].number, **{**arguments, "x": memory[..., :3], "y": memory[..., 3:]})


def test_outputs_that_overlap_are_refused(cell: str, dtype: type) -> None:
    problem = make_problem(cell, 2, 5, 3, 3, dtype)
    weights, x = problem.packed, problem.x
    with pytest.raises(
        ValueError, match="recurrent_forward: out and states_out must not share memory with x, state"
    ):
        ops.recurrent_forward(weights, x, out=x)
    with pytest.raises(ValueError, match="no stride of 0"):
        ops.recurrent_forward(weights, x, out=as_strided(np.empty(15, dtype), x.shape, (0, *x.strides[1:])))


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_thread_counts_out_of_range_are_refused(count: int) -> None:
    before = rnnfast.get_num_threads()
    with pytest.raises(ValueError, match="count must be in 1…1024"):
        rnnfast.set_num_threads(count)
    assert rnnfast.get_num_threads() == before


def test_more_threads_than_cpus_give_the_same_bits() -> None:
    x, weight = (np.random.default_rng(0).normal(size=size) for size in ((4000, 64), (64, 64)))
    rnnfast.set_num_threads(1)
    expected = ops.linear_forward(x, weight)
    rnnfast.set_num_threads(17)
    np.testing.assert_array_equal(ops.linear_forward(x, weight), expected)
