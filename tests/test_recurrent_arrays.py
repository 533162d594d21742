"""Arrays as users have them: strided, read-only, empty; nothing written outside the outputs; wrong ones
refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from problems import Problem, gradients_by_name, make_problem, same_bits
from rnnfast import ops

Array = np.ndarray[Any, np.dtype[Any]]


def spread(array: Array) -> Array:
    """Every second element along each axis of a larger array."""
    large = np.full([2 * size + 1 for size in array.shape], np.nan, array.dtype)
    view = large[tuple(slice(1, 2 * size + 1, 2) for size in array.shape)]
    view[...] = array
    return view


def turned(array: Array) -> Array:
    """Negative strides on every axis."""
    turn = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turn])[turn]


def swapped(array: Array) -> Array:
    """The first two axes change places in memory: a time-major sequence seen batch-first."""
    return np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)


def read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def unaligned(array: Array) -> Array:
    """The data begin at an odd address."""
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = memory.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


LAYOUTS: list[Callable[[Array], Array]] = [spread, turned, swapped, np.asfortranarray, read_only, unaligned]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_any_layout_gives_the_same_bits(
    cell: str, variant: str, dtype: type, layout: Callable[[Array], Array]
) -> None:
    problem = make_problem(cell, 5, 4, 3, 18, dtype)
    y, state, tape = problem.forward()
    expected = gradients_by_name(problem, problem.backward(tape))
    odd = Problem(
        cell,
        layout(problem.x),
        tuple(map(layout, problem.state)),
        {
            name: layout(array) if array.ndim > 1 or layout is not swapped else array
            for name, array in problem.weights.items()
        },
        layout(problem.dy),
        tuple(map(layout, problem.dstate)),
    )
    odd_y, odd_state, odd_tape = odd.forward()
    assert same_bits(y, odd_y)
    assert all(map(same_bits, state, odd_state))
    gradients = gradients_by_name(odd, odd.backward(odd_tape))
    assert all(same_bits(expected[name], gradients[name]) for name in expected)
    step = ops.recurrent_step(odd.packed, odd.x[:, 0], odd.state)
    assert same_bits(step[0], np.ascontiguousarray(y[:, 0]))


def test_repeated_values_may_share_memory(cell: str, variant: str, dtype: type) -> None:
    """Strides of zero, as np.broadcast_to makes them."""
    problem = make_problem(cell, 5, 4, 3, 18, dtype)
    x, dy = problem.x[:1, :1], problem.dy[:1, :1]
    results = []
    for expand in (np.broadcast_to, lambda a, shape: np.broadcast_to(a, shape).copy()):
        y, _, tape = problem.forward(x=expand(x, problem.x.shape))
        gradients = ops.recurrent_backward(problem.packed, tape, expand(dy, problem.dy.shape), None)
        results.append((y, *gradients_by_name(problem, gradients).values()))
    assert all(map(same_bits, *results))


@pytest.mark.parametrize(
    "sizes",
    [
        (5, 4, 3, 18),
        (9, 2, 3, 20),
        (9, 2, 3, 24),
        (1, 1, 1, 1),
        (1, 4, 3, 19),
        (1, 3, 30, 37),
        (3, 2, 5, 33),
        (0, 3, 2, 5),
        (3, 0, 2, 5),
    ],
    ids=str,
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
def test_nothing_is_written_around_the_output(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int], reverse: bool, training: bool
) -> None:
    """y goes into a view inside a larger array: half of a bidirectional output, a window of a longer one."""
    problem = make_problem(cell, *sizes, dtype, reverse=reverse)
    batch, steps, _, hidden = sizes
    expected, state, _ = problem.forward(training=training)
    guard = dtype(-12345.5)
    for offset in (0, 1, 3):
        memory = np.full((batch + 2, steps + 2, 2 * hidden + 7), guard, dtype)
        window = (slice(1, batch + 1), slice(1, steps + 1), slice(offset, offset + hidden))
        y, state_out, _ = problem.forward(training=training, out=memory[window])
        assert np.shares_memory(y, memory) or y.size == 0
        assert same_bits(y, expected)
        assert all(map(same_bits, state, state_out))
        memory[window] = guard
        assert (memory == guard).all()


def test_inputs_are_not_written(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 5, 4, 3, 18, dtype)
    arrays = [problem.x, *problem.state, *problem.weights.values(), problem.dy, *problem.dstate]
    before = [array.copy() for array in arrays]
    y, _, tape = problem.forward()
    y_before = y.copy()
    problem.backward(tape)
    ops.recurrent_step(problem.packed, problem.x[:, 0], problem.state)
    assert all(map(same_bits, before, arrays))
    assert same_bits(y, y_before)


def test_results_do_not_share_memory(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 5, 4, 3, 18, dtype)
    y, state, tape = problem.forward()
    gradients = problem.backward(tape)
    results = [y, *state, *gradients_by_name(problem, gradients).values()]
    inputs = [problem.x, *problem.state, *problem.weights.values(), problem.dy, *problem.dstate]
    for index, first in enumerate(results):
        for second in results[index + 1 :] + inputs:
            assert not np.shares_memory(first, second)


# Wrong arguments. Each entry: the argument, what is done to it, the error. N, T, I, H = 5, 4, 3, 6.
BAD_ARRAYS: list[tuple[str, Callable[[Array], Any], type[Exception]]] = [
    ("float16", lambda a: a.astype(np.float16), TypeError),
    ("other float", lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32), TypeError),
    ("integer", lambda a: a.astype(np.int64), TypeError),
    ("complex", lambda a: a.astype(np.complex128), TypeError),
    ("byte order", lambda a: a.astype(a.dtype.newbyteorder()), TypeError),
    ("list", lambda a: a.tolist(), TypeError),
    ("string", lambda a: "x", TypeError),
    ("one axis less", lambda a: np.asarray(a[0]), ValueError),
    ("one axis more", lambda a: a[None], ValueError),
    ("last axis", lambda a: np.concatenate([a, a], axis=-1), ValueError),
]
BAD = pytest.mark.parametrize(
    ("bad", "error"), [pytest.param(bad, error, id=name) for name, bad, error in BAD_ARRAYS]
)


def first_axis(a: Array) -> Array:
    return np.concatenate([a, a])


@BAD
def test_forward_refuses(cell: str, dtype: type, bad: Callable[[Array], Any], error: type[Exception]) -> None:
    problem = make_problem(cell, 5, 4, 3, 6, dtype)
    with pytest.raises(error, match=r"recurrent_forward: x .*got"):
        problem.forward(x=bad(problem.x))
    for index in range(len(problem.state)):
        state = list(problem.state)
        state[index] = bad(state[index])
        with pytest.raises(error, match=r"recurrent_forward: state.* got"):
            problem.forward(state=tuple(state))
    with pytest.raises(error, match=r"recurrent_forward: out .*got"):
        problem.forward(out=bad(np.zeros((5, 4, 6), dtype)))


def test_forward_refuses_other_batches_states_and_outputs(cell: str, dtype: type) -> None:
    problem = make_problem(cell, 5, 4, 3, 6, dtype)
    for name in ("state", "reset_state"):
        with pytest.raises(
            TypeError, match=rf"recurrent_forward: {name} must be a tuple of . arrays \(h.* got int"
        ):
            problem.forward(**{name: 3})
    with pytest.raises(ValueError, match=r"recurrent_forward: state.* got"):
        problem.forward(state=tuple(map(first_axis, problem.state)))
    with pytest.raises(ValueError, match=r"recurrent_forward: state.* got"):
        problem.forward(state=(*problem.state, problem.state[0]))
    with pytest.raises((TypeError, ValueError), match=r"recurrent_forward: state.* got"):
        problem.forward(state=problem.state[0])
    for shape in ((4, 4, 6), (5, 3, 6)):
        with pytest.raises(ValueError, match=r"recurrent_forward: out .*got"):
            problem.forward(out=np.empty(shape, dtype))
    with pytest.raises(ValueError, match=r"recurrent_forward: out .*writ"):
        problem.forward(out=read_only(np.empty((5, 4, 6), dtype)))


@BAD
def test_backward_refuses(
    cell: str, dtype: type, bad: Callable[[Array], Any], error: type[Exception]
) -> None:
    problem = make_problem(cell, 5, 4, 3, 6, dtype)
    _, _, tape = problem.forward()
    with pytest.raises(error, match=r"recurrent_backward: dy .*got"):
        ops.recurrent_backward(problem.packed, tape, bad(problem.dy), None)
    for index in range(len(problem.dstate)):
        dstate = list(problem.dstate)
        dstate[index] = bad(dstate[index])
        with pytest.raises(error, match=r"recurrent_backward: dstate.* got"):
            ops.recurrent_backward(problem.packed, tape, None, tuple(dstate))


def test_backward_refuses_other_batches_and_states(cell: str, dtype: type) -> None:
    problem = make_problem(cell, 5, 4, 3, 6, dtype)
    _, _, tape = problem.forward()
    for shape in ((4, 4, 6), (5, 3, 6)):
        with pytest.raises(ValueError, match=r"recurrent_backward: dy .*got"):
            ops.recurrent_backward(problem.packed, tape, np.zeros(shape, dtype))
    for dstate in (tuple(map(first_axis, problem.dstate)), (*problem.dstate, None)):
        with pytest.raises(ValueError, match=r"recurrent_backward: dstate.* got"):
            ops.recurrent_backward(problem.packed, tape, None, dstate)


def test_a_tape_serves_its_own_weights_once(cell: str, dtype: type) -> None:
    problem, other = make_problem(cell, 5, 4, 3, 6, dtype), make_problem(cell, 5, 4, 3, 7, dtype)
    _, _, tape = problem.forward()
    with pytest.raises(ValueError, match=r"recurrent_backward: tape .*"):
        other.backward(tape)
    problem.backward(tape)
    with pytest.raises(RuntimeError, match=r"recurrent_backward: .*tape"):
        problem.backward(tape)


@BAD
def test_step_refuses(cell: str, dtype: type, bad: Callable[[Array], Any], error: type[Exception]) -> None:
    problem = make_problem(cell, 5, 4, 3, 6, dtype)
    with pytest.raises(error, match=r"recurrent_step: x .*got"):
        ops.recurrent_step(problem.packed, bad(problem.x[:, 0]), problem.state)
    for index in range(len(problem.state)):
        state = list(problem.state)
        state[index] = bad(state[index])
        with pytest.raises(error, match=r"recurrent_step: state.* got"):
            ops.recurrent_step(problem.packed, problem.x[:, 0], tuple(state))


@pytest.mark.parametrize("name", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_weights_refuse(cell: str, dtype: type, name: str) -> None:
    good = make_problem(cell, 5, 4, 3, 6, dtype).weights
    for label, bad, error in BAD_ARRAYS:
        # weight_ih sets the input size and the dtype: any will do.
        if name == "weight_ih" and label in ("last axis", "other float"):
            continue
        with pytest.raises(error, match=rf"RecurrentWeights: .*{name}.*got"):
            ops.RecurrentWeights(cell, **{**good, name: bad(good[name])})
    with pytest.raises(ValueError, match=rf"RecurrentWeights: .*{name}.*got"):
        ops.RecurrentWeights(cell, **{**good, name: np.concatenate([good[name], good[name][:1]])})


def test_one_bias_alone_is_refused(cell: str) -> None:
    good = make_problem(cell, 5, 4, 3, 6).weights
    for name in ("bias_ih", "bias_hh"):
        with pytest.raises(ValueError, match=r"RecurrentWeights: bias_ih and bias_hh must"):
            ops.RecurrentWeights(cell, **{**good, name: None})


def test_unknown_cell_is_refused() -> None:
    good = make_problem("gru", 5, 4, 3, 6).weights
    with pytest.raises(ValueError, match=r"RecurrentWeights: cell .*lstm.*got 'elman'"):
        ops.RecurrentWeights("elman", **good)
