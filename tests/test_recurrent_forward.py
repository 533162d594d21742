"""One direction of one layer, forward: against the reference, and the same bits however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

import rnnfast
from problems import Problem, make_problem, same_bits
from rnnfast import backend, ops

# (N, T, I, H): empty, single, odd, one more and one less than a vector, and large enough for every blocking.
SIZES = [
    (0, 3, 2, 5),
    (2, 0, 3, 5),
    (0, 0, 1, 1),
    (1, 0, 3, 5),
    (1, 1, 1, 1),
    (5, 3, 2, 1),
    (1, 4, 1, 3),
    (2, 5, 3, 17),
    (5, 2, 9, 16),
    (3, 3, 31, 33),
    (7, 2, 65, 127),
    (65, 3, 5, 20),
    (1, 2, 7, 513),
    (9, 2, 130, 129),
    (2, 5, 40, 17),
    (3, 4, 100, 20),
]


def tolerance(problem: Problem) -> float:
    """1e-12 in float64, 2e-5 √K in float32 with K products per sum; for outputs of the order of 1."""
    products = problem.x.shape[2] + problem.state[0].shape[1]
    return 1e-12 if problem.x.dtype == np.float64 else 2e-5 * products**0.5


def assert_close(problem: Problem, value: np.ndarray, expected: np.ndarray) -> None:
    assert value.dtype == problem.x.dtype
    assert value.shape == expected.shape
    if value.size:
        assert np.abs(value - expected).max() <= tolerance(problem) * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_forward_is_the_reference(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int], bias: bool, reverse: bool
) -> None:
    problem = make_problem(cell, *sizes, dtype, bias=bias, reverse=reverse)
    expected_y, expected_state = problem.reference()
    y, state, tape = problem.forward()
    assert tape is not None
    assert_close(problem, y, expected_y)
    for part, expected in zip(state, expected_state, strict=True):
        assert_close(problem, part, expected)


def test_no_state_is_the_zero_state(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 3, 4, 5, 6, dtype)
    y, state, _ = problem.forward(state=None)
    y_zero, state_zero, _ = problem.forward(state=tuple(np.zeros_like(part) for part in problem.state))
    assert same_bits(y, y_zero)
    assert all(map(same_bits, state, state_zero))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_inference_has_the_bits_of_training(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    y, state, _ = problem.forward(training=True)
    y_inference, state_inference, tape = problem.forward(training=False)
    assert tape is None
    assert same_bits(y, y_inference)
    assert all(map(same_bits, state, state_inference))


@pytest.mark.parametrize("sizes", [(1, 6, 3, 17), (5, 6, 40, 33), (18, 6, 1, 20), (2, 6, 7, 130)], ids=str)
def test_step_by_step_has_the_bits_of_the_sequence(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    y, final, _ = problem.forward()
    state = problem.state
    for t in range(sizes[1]):
        state = ops.recurrent_step(problem.packed, problem.x[:, t], state)
        assert same_bits(state[0], np.ascontiguousarray(y[:, t])), f"step {t}"
    assert all(map(same_bits, state, final))


@pytest.mark.parametrize("cuts", [(1,), (3,), (2, 3), (1, 2, 3, 4, 5, 6), (0, 7)], ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("sizes", [(1, 7, 3, 17), (5, 7, 40, 33), (18, 7, 1, 20), (2, 7, 65, 130)], ids=str)
def test_pieces_have_the_bits_of_the_whole(
    cell: str,
    variant: str,
    dtype: type,
    cuts: tuple[int, ...],
    reverse: bool,
    sizes: tuple[int, int, int, int],
) -> None:
    problem = make_problem(cell, *sizes, dtype, reverse=reverse)
    y, final, _ = problem.forward()
    state = problem.state
    pieces = np.split(problem.x, cuts, axis=1)
    outputs = []
    for piece in pieces[::-1] if reverse else pieces:
        part, state, _ = problem.forward(x=np.ascontiguousarray(piece), state=state)
        outputs.append(part)
    assert same_bits(y, np.concatenate(outputs[::-1] if reverse else outputs, axis=1))
    assert all(map(same_bits, state, final))


# Parts of a batch of 64: one row, few, whose panels go together, and more. The product of the inputs is made
# with the step or beforehand, which depends on how many there are.
PART_SIZES = [(64, 3, 3, 17), (64, 4, 40, 33), (64, 3, 1, 20), (64, 2, 65, 130), (64, 3, 97, 24)]
PARTS = [slice(first, first + rows) for first, rows in ((0, 1), (63, 1), (5, 2), (30, 3), (41, 4), (50, 7))]


@pytest.mark.parametrize("sizes", PART_SIZES, ids=str)
def test_part_of_a_batch_has_the_bits_of_its_rows(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    y, final, _ = problem.forward()
    for rows in PARTS:
        part_y, part_final, _ = problem.forward(
            x=problem.x[rows], state=tuple(part[rows] for part in problem.state)
        )
        assert same_bits(part_y, y[rows]), rows
        assert all(same_bits(a, b[rows]) for a, b in zip(part_final, final, strict=True))


@pytest.mark.parametrize("inputs", [2, 30])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_batch_of_one_has_the_bits_of_its_row(
    cell: str, inputs: int, reverse: bool, variant: str, dtype: type
) -> None:
    """Its steps follow each other without a way back to the driver, or, of many inputs, up to 64 of them."""
    steps = 131
    problem = make_problem(cell, 4, steps, inputs, 37, dtype, reverse=reverse)
    problem.x = np.ascontiguousarray(problem.x.transpose(1, 0, 2)).transpose(1, 0, 2)  # time-major

    def others(batch: int) -> tuple[np.ndarray, ...]:
        return tuple(np.full((batch, steps, 37), np.nan, dtype) for _ in problem.state[1:])

    states = others(4)
    y, final, tape = problem.forward(states_out=states)
    whole = problem.backward(tape)
    for row in (slice(0, 1), slice(3, 4)):
        start = tuple(part[row] for part in problem.state)
        row_states = others(1)
        row_y, row_final, tape = problem.forward(x=problem.x[row], state=start, states_out=row_states)
        dstate = tuple(part[row] for part in problem.dstate)
        gradients = ops.recurrent_backward(problem.packed, tape, problem.dy[row], dstate)
        pairs = [(row_y, y), (gradients.dx, whole.dx), *zip(row_states, states, strict=True)]
        pairs += [*zip(row_final, final, strict=True), *zip(gradients.dstate, whole.dstate, strict=True)]
        assert all(same_bits(own, np.ascontiguousarray(all_rows[row])) for own, all_rows in pairs)


# Enough work for several threads, in rows and in hidden units.
THREADED_SIZES = [
    (40, 20, 16, 48),
    (40, 20, 16, 52),
    (1, 12, 64, 512),
    (1, 11, 20, 512),
    (5, 10, 33, 260),
    (2, 10, 33, 257),
    (3, 10, 33, 257),
    (3, 10, 130, 257),
    (13, 30, 1, 96),
]


@pytest.mark.parametrize("sizes", THREADED_SIZES, ids=str)
def test_threads_do_not_change_a_bit(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype, reverse=sizes[0] == 1 and sizes[1] % 2 == 1)
    results = []
    for threads in (1, 2, 3):
        rnnfast.set_num_threads(threads)
        problem.pack_again()  # threads share that too
        y, state, _ = problem.forward()
        results.append((y, *state))
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


# All instruction sets that have FMA.
FUSED = [name for name in backend.supported_variants() if name != "scalar"]


@pytest.mark.skipif(len(FUSED) < 2, reason=f"one instruction set with FMA on this machine: {FUSED}")
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_instruction_sets_do_not_change_a_bit(
    cell: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    results = []
    for name in FUSED:
        with backend.use_variant(name):
            problem = make_problem(cell, *sizes, dtype)
            y, state, _ = problem.forward()
            results.append((y, *state))
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


def test_one_bad_sample_leaves_the_others_alone(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 9, 4, 5, 19, dtype)
    y, state, _ = problem.forward()
    problem.x[4, 1, 2] = np.nan
    problem.x[6, 0, 0] = np.inf
    y_bad, state_bad, _ = problem.forward()
    good = [n for n in range(9) if n not in (4, 6)]
    assert np.isnan(y_bad[4, 1:]).any()
    assert same_bits(y[good], y_bad[good])
    assert all(same_bits(a[good], b[good]) for a, b in zip(state, state_bad, strict=True))


def test_extreme_inputs_have_exact_limits(variant: str, dtype: type) -> None:
    """Saturated gates are exactly 0 and 1: h = o tanh(c) with i = g = o = 1, f = 0 is tanh(1), whatever c
    was.
    """
    big = np.finfo(dtype).max / 8
    weights = ops.RecurrentWeights(
        "lstm", np.array([[big], [-big], [big], [big]], dtype), np.zeros((4, 1), dtype)
    )
    state = (np.array([[0.5]], dtype), np.array([[3.0]], dtype))
    y, (_, c), _ = ops.recurrent_forward(weights, np.ones((1, 1, 1), dtype), state)
    assert c.item() == 1
    assert y.item() == pytest.approx(np.tanh(1.0), rel=8 * float(np.finfo(dtype).eps))


def test_changed_weights_are_packed_again(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 3, 4, 5, 6, dtype)
    problem.forward()
    for array in problem.weights.values():
        array *= 0.5
    problem.packed.refresh()
    y, _, _ = problem.forward()
    assert_close(problem, y, problem.reference()[0])
