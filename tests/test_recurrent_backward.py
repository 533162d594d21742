"""One direction of one layer, backward: against central differences, and the same bits however the work is
cut.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import gradients_by_name, make_problem, same_bits
from rnnfast import backend, ops
from test_recurrent_forward import FUSED, PART_SIZES, PARTS, SIZES, THREADED_SIZES


@pytest.mark.parametrize(
    "sizes",
    [
        (2, 3, 2, 3),
        (4, 5, 1, 1),
        (5, 3, 7, 17),
        (3, 4, 40, 33),
        (17, 3, 5, 20),
        (18, 9, 5, 17),
        (9, 40, 2, 3),
        (2, 4, 30, 9),
        (3, 3, 100, 5),
        (1, 4, 3, 19),
        (1, 3, 30, 17),
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gradients_are_central_differences(
    cell: str, variant: str, sizes: tuple[int, int, int, int], bias: bool, reverse: bool
) -> None:
    problem = make_problem(cell, *sizes, bias=bias, reverse=reverse)
    incoming = (problem.dy, *problem.dstate)
    check_gradients(problem.outputs, incoming, problem.inputs(), problem.gradients(), blocks=problem.blocks())


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_float32_gradients_are_those_of_float64(
    cell: str, variant: str, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, np.float32)
    same = make_problem(cell, *sizes)
    double = same.with_inputs({name: array.astype(np.float64) for name, array in problem.inputs().items()})
    double.dy, double.dstate = (
        problem.dy.astype(np.float64),
        tuple(d.astype(np.float64) for d in problem.dstate),
    )
    products = max(sizes[2], 4 * sizes[3], sizes[0] * sizes[1])
    expected = double.gradients()
    for name, gradient in problem.gradients().items():
        assert gradient.dtype == np.float32
        assert gradient.shape == expected[name].shape
        if gradient.size:
            bound = 2e-5 * products**0.5 * max(1.0, np.abs(expected[name]).max())
            assert np.abs(gradient - expected[name]).max() <= bound, name


def test_absent_gradients_are_zero_gradients(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 3, 4, 5, 6, dtype)
    zeros = tuple(np.zeros_like(part) for part in problem.dstate)
    absent = (None,) * (len(zeros) - 1)
    pairs = [
        ((None, problem.dstate), (np.zeros_like(problem.dy), problem.dstate)),
        ((problem.dy, None), (problem.dy, zeros)),
        ((problem.dy, (*absent, problem.dstate[-1])), (problem.dy, (*zeros[:-1], problem.dstate[-1]))),
    ]
    for given, written_out in pairs:
        results = []
        for dy, dstate in (given, written_out):
            _, _, tape = problem.forward()
            results.append(
                gradients_by_name(problem, ops.recurrent_backward(problem.packed, tape, dy, dstate))
            )
        assert all(same_bits(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)], ids=str)
def test_gradients_of_nothing(cell: str, variant: str, dtype: type, shape: tuple[int, int]) -> None:
    """Without samples or steps the weights get zero, and the gradient of the state goes straight through."""
    problem = make_problem(cell, *shape, 4, 5, dtype)
    _, _, tape = problem.forward()
    gradients = problem.backward(tape)
    assert gradients.dx.shape == problem.x.shape
    for name in problem.weights:
        gradient = getattr(gradients, f"d{name}")
        assert gradient.shape == problem.weights[name].shape
        assert not gradient.any()
    assert all(map(np.array_equal, gradients.dstate, problem.dstate))


@pytest.mark.parametrize("cuts", [(1,), (3,), (2, 3), (0, 7)], ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("sizes", [(1, 7, 3, 17), (5, 7, 40, 33), (18, 7, 1, 20), (2, 7, 65, 130)], ids=str)
def test_chained_pieces_have_the_bits_of_the_whole(
    cell: str,
    variant: str,
    dtype: type,
    cuts: tuple[int, ...],
    reverse: bool,
    sizes: tuple[int, int, int, int],
) -> None:
    problem = make_problem(cell, *sizes, dtype, reverse=reverse)
    _, _, tape = problem.forward()
    whole = problem.backward(tape)
    order = slice(None, None, -1 if reverse else 1)
    state, tapes = problem.state, []
    for piece in np.split(problem.x, cuts, axis=1)[order]:
        _, state, tape = problem.forward(x=piece, state=state)
        tapes.append(tape)
    dstate, pieces = problem.dstate, []
    for tape, dy in reversed(list(zip(tapes, np.split(problem.dy, cuts, axis=1)[order], strict=True))):
        gradients = ops.recurrent_backward(problem.packed, tape, dy, dstate)
        dstate = gradients.dstate
        pieces.append(gradients.dx)
    assert same_bits(whole.dx, np.concatenate(pieces if reverse else pieces[::-1], axis=1))
    assert all(map(same_bits, whole.dstate, dstate))


@pytest.mark.parametrize("sizes", PART_SIZES, ids=str)
def test_part_of_a_batch_has_the_bits_of_its_rows(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    _, _, tape = problem.forward()
    whole = problem.backward(tape)
    for rows in PARTS:
        _, _, tape = problem.forward(x=problem.x[rows], state=tuple(part[rows] for part in problem.state))
        dstate = tuple(part[rows] for part in problem.dstate)
        gradients = ops.recurrent_backward(problem.packed, tape, problem.dy[rows], dstate)
        assert same_bits(gradients.dx, whole.dx[rows]), rows
        assert all(same_bits(a, b[rows]) for a, b in zip(gradients.dstate, whole.dstate, strict=True))


@pytest.mark.parametrize("sizes", THREADED_SIZES, ids=str)
def test_threads_do_not_change_a_bit(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    results = []
    for threads in (1, 2, 3):
        rnnfast.set_num_threads(threads)
        problem.pack_again()  # threads share that too
        results.append(problem.gradients())
    for other in results[1:]:
        assert all(same_bits(results[0][name], other[name]) for name in other)


@pytest.mark.parametrize(
    "sizes",
    [(40, 9, 17, 20), (33, 20, 20, 33), (33, 7, 40, 129), (20, 5, 16, 129), (8, 4, 24, 9), (33, 3, 40, 33)],
    ids=str,
)
def test_weight_gradients_are_single_chains(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    """x and h' pass by together where both join in one sum; alone each of them gives the same bits, if both
    layers, or none, are so narrow and long that chains are made by groups of samples.
    """
    problem = make_problem(cell, *sizes, dtype)
    whole = problem.gradients()
    few = slice(0, 5)  # so few inputs pass by alone
    weights = {**problem.weights, "weight_ih": np.ascontiguousarray(problem.weights["weight_ih"][:, few])}
    x = np.array(problem.x)
    x[:, :, 5:] = 0
    full = problem.with_inputs({**problem.inputs(), "x": x})
    narrow = replace(problem, x=np.ascontiguousarray(problem.x[:, :, few]), weights=weights)
    together, alone = full.gradients(), narrow.gradients()
    assert same_bits(np.ascontiguousarray(together["weight_ih"][:, few]), alone["weight_ih"])
    assert same_bits(together["weight_hh"], alone["weight_hh"])
    assert not same_bits(whole["weight_hh"], together["weight_hh"])


@pytest.mark.skipif(len(FUSED) < 2, reason=f"one instruction set with FMA on this machine: {FUSED}")
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_instruction_sets_do_not_change_a_bit(
    cell: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    results = []
    for name in FUSED:
        with backend.use_variant(name):
            results.append(make_problem(cell, *sizes, dtype).gradients())
    for other in results[1:]:
        assert all(same_bits(results[0][name], other[name]) for name in other)


def test_one_bad_sample_leaves_the_others_alone(cell: str, variant: str, dtype: type) -> None:
    problem = make_problem(cell, 9, 4, 5, 19, dtype)
    clean = problem.gradients()
    problem.dy[4, 2, 3] = np.nan
    bad = problem.gradients()
    good = [n for n in range(9) if n != 4]
    assert np.isnan(bad["x"][4]).any()
    assert same_bits(clean["x"][good], bad["x"][good])


def test_two_forwards_may_be_open_at_once(cell: str, variant: str, dtype: type) -> None:
    first, second = make_problem(cell, 3, 4, 5, 6, dtype), make_problem(cell, 2, 7, 5, 6, dtype, seed=1)
    second.packed = first.packed
    expected = first.gradients()
    _, _, tape = first.forward()
    _, _, other = second.forward()
    second.backward(other)
    gradients = gradients_by_name(first, first.backward(tape))
    assert all(same_bits(expected[name], gradients[name]) for name in expected)
