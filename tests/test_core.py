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


def settings(cell: str) -> dict[str, Any]:
    states = len(ops.cells()[cell].states)
    return {
        "reverse": False,
        "layer_norm": "none",
        "segment": 5,
        "zoneout_rates": (0.0,) * states,
        "zoneout_training": False,
        "zoneout_keys": ((0, 0, 0, 0),) * states,
    }


def forward_arguments(cell: str, dtype: type) -> dict[str, Any]:
    info = ops.cells()[cell]
    problem = make_problem(cell, 2, 5, 3, 4, dtype, bias=False)
    unit = {"weight_ch": problem.weights["weight_ch"]} if info.unit_weights else {}
    return {
        "settings": settings(cell),
        "hidden": 4,
        "projection": 0,
        "x": problem.x,
        "state": (None,) * len(info.states),
        "reset_state": (None,) * len(info.states),
        "options": unit,
        "packed": problem.packed.packed(False),
        "y": np.empty((2, 5, 4), dtype),
        "final_state": tuple(np.empty((2, 4), dtype) for _ in info.states),
        "states": (),
        "tape": None,
        "checkpoints": None,
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
    ("packed", lambda packed: packed[:-1], ValueError, "packed must have shape"),
    ("packed", lambda packed: packed.astype(np.int32), TypeError, "packed must be"),
]


@pytest.mark.parametrize(("name", "bad", "error", "message"), BAD)
def test_forward_refuses(
    cell: str, dtype: type, name: str, bad: Callable[[Array], Array], error: type[Exception], message: str
) -> None:
    arguments = forward_arguments(cell, dtype)
    number = ops.cells()[cell].number
    _core.recurrent_forward(number, **arguments)  # they are right but for what is now made wrong
    with pytest.raises(error, match=f"_core: {message}"):
        _core.recurrent_forward(number, **{**arguments, name: bad(arguments[name])})


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
    arguments["options"] = {**arguments["options"], name: bad}
    with pytest.raises(error, match=f"_core: {message}"):
        _core.recurrent_forward(ops.cells()[cell].number, **arguments)


BAD_SETTINGS: list[tuple[str, Any, str]] = [
    ("segment", 0, "segment must be positive"),
    ("layer_norm", "batch", "layer_norm must be none, split or joint"),
    ("zoneout_rates", (1.0,), "zoneout"),
    ("zoneout_rates", (0.5,) * 3, "zoneout must have a rate and a key for every state"),
]


@pytest.mark.parametrize(("name", "bad", "message"), BAD_SETTINGS)
def test_forward_refuses_settings(cell: str, dtype: type, name: str, bad: Any, message: str) -> None:
    arguments = forward_arguments(cell, dtype)
    arguments["settings"] = {**arguments["settings"], name: bad}
    with pytest.raises(ValueError, match=f"_core: {message}"):
        _core.recurrent_forward(ops.cells()[cell].number, **arguments)


def test_what_a_cell_has_not_is_refused(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    info = ops.cells()[cell]
    for kind in {"split", "joint"} - set(info.layer_norms):
        changed = {**arguments["settings"], "layer_norm": kind}
        with pytest.raises(ValueError, match="_core: layer_norm is not for this cell"):
            _core.recurrent_forward(info.number, **{**arguments, "settings": changed})
    if not info.projectable:
        with pytest.raises(ValueError, match="_core: projection is not for this cell"):
            _core.recurrent_forward(info.number, **{**arguments, "projection": 2})
    if info.unit_weights:
        with pytest.raises(ValueError, match="_core: weight_ch must be given"):
            _core.recurrent_forward(info.number, **{**arguments, "options": {}})


def test_forward_refuses_a_wrong_tape_and_unknown_cells(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    info = ops.cells()[cell]
    sizes: dict[str, Any] = {"hidden": 4, "projection": 0, "layer_norm": "none", "masked": False}
    row = _core.recurrent_tape_row(info.number, dtype=np.dtype(dtype).name, **sizes)
    with pytest.raises(ValueError, match="_core: tape must have shape"):
        _core.recurrent_forward(info.number, **{**arguments, "tape": np.empty((9, row), dtype)})
    short = {**arguments, "settings": {**arguments["settings"], "segment": 2}}
    with pytest.raises(ValueError, match="_core: tape must be absent where backward recomputes it"):
        _core.recurrent_forward(info.number, **{**short, "tape": np.empty((4, row), dtype)})
    with pytest.raises(ValueError, match="_core: cell is not in the registry"):
        _core.recurrent_forward(99, **arguments)
    with pytest.raises(TypeError, match="_core: dtype must be float32 or float64, got int8"):
        _core.recurrent_tape_row(info.number, dtype="int8", **sizes)


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
