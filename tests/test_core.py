"""The second lock: `_core` itself refuses arrays that would lead a kernel astray, whoever calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import rnnfast
from rnnfast import _core, ops

Array = np.ndarray[Any, Any]


def forward_arguments(cell: str, dtype: type) -> dict[str, Any]:
    info = ops.cells()[cell]
    random = np.random.default_rng(0)
    rows = len(info.gates) * 4
    weights = ops.RecurrentWeights(
        cell, random.normal(size=(rows, 3)).astype(dtype), random.normal(size=(rows, 4)).astype(dtype)
    )
    return {
        "reverse": False,
        "hidden": 4,
        "x": random.normal(size=(2, 5, 3)).astype(dtype),
        "state": (None,) * len(info.states),
        "packed": weights.packed(False),
        "y": np.empty((2, 5, 4), dtype),
        "final_state": tuple(np.empty((2, 4), dtype) for _ in info.states),
        "tape_gates": None,
        "tape_states": None,
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


def test_forward_refuses_half_a_tape_and_unknown_cells(cell: str, dtype: type) -> None:
    arguments = forward_arguments(cell, dtype)
    info = ops.cells()[cell]
    row = _core.recurrent_tape_row(info.number, dtype=np.dtype(dtype).name, hidden=4)
    with pytest.raises(ValueError, match="_core: tape must be given whole"):
        _core.recurrent_forward(info.number, **{**arguments, "tape_gates": np.empty((5, 2, row), dtype)})
    with pytest.raises(ValueError, match="_core: cell is not in the registry"):
        _core.recurrent_forward(99, **arguments)
    with pytest.raises(TypeError, match="_core: dtype must be float32 or float64, got int8"):
        _core.recurrent_tape_row(info.number, dtype="int8", hidden=4)


def test_outputs_that_overlap_are_refused(cell: str, dtype: type) -> None:
    info = ops.cells()[cell]
    rows = len(info.gates) * 3
    weights = ops.RecurrentWeights(cell, np.ones((rows, 3), dtype), np.ones((rows, 3), dtype))
    x = np.ones((2, 5, 3), dtype)
    with pytest.raises(ValueError, match="recurrent_forward: out must not share memory with x or state"):
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
