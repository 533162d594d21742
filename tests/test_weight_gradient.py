"""Products and sums over all rows, by which gradients of weights and biases are made: however wide, each sum
is one chain over the rows in their order; in narrow recurrent layers one chain for every eight samples.
"""

from __future__ import annotations

import numpy as np
import pytest

from problems import make_problem, same_bits
from rnnfast import ops

# More rows than a block of them, more outputs than a block of tiles, and tails of both.
ROWS, OUTPUTS, INPUTS = 611, 53, 300


@pytest.mark.parametrize("outputs", [1, 5, 53])
@pytest.mark.parametrize("inputs", [1, 7, 16, 20, 64, 65, 129, 300])
def test_a_product_of_few_columns_has_the_bits_of_many(
    inputs: int, outputs: int, dtype: type, variant: str
) -> None:
    """Rows are read where they lie where the columns are few, and packed where they are many."""
    random = np.random.default_rng(0)
    x, dy = (random.standard_normal((ROWS, n)).astype(dtype) for n in (INPUTS, OUTPUTS))
    weight = random.standard_normal((OUTPUTS, INPUTS)).astype(dtype)
    many = ops.linear_backward(x, dy, weight, False)[1]
    few = ops.linear_backward(
        x[:, :inputs].copy(), dy[:, :outputs].copy(), weight[:outputs, :inputs].copy(), False
    )[1]
    assert few.tobytes() == many[:outputs, :inputs].tobytes()
    exact = dy.astype(np.float64).T @ x.astype(np.float64)
    np.testing.assert_allclose(many, exact, rtol=0, atol=4 * ROWS * np.finfo(dtype).eps)


@pytest.mark.parametrize("columns", [1, 3, 8, 17, 63, 64, 65, 129, 150, 300])
def test_a_sum_over_rows_adds_them_one_by_one(columns: int, dtype: type, variant: str) -> None:
    random = np.random.default_rng(1)
    dy = random.standard_normal((ROWS, columns)).astype(dtype)
    weight = np.ones((columns, 1), dtype)
    dbias = ops.linear_backward(np.ones((ROWS, 1), dtype), dy, weight, True)[2]
    assert dbias is not None
    assert dbias.tobytes() == np.add.accumulate(dy, axis=0)[-1].tobytes()


@pytest.mark.parametrize("sizes", [(20, 5, 3, 18), (17, 40, 20, 20), (3, 4, 1, 33)], ids=str)
def test_a_narrow_layer_adds_groups_of_eight_samples(
    cell: str, variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(cell, *sizes, dtype)
    whole = problem.gradients()
    groups = []
    for first in range(0, sizes[0], 8):
        rows = slice(first, first + 8)
        state = tuple(part[rows] for part in problem.state)
        _, _, tape = problem.forward(x=problem.x[rows], state=state)
        dstate = tuple(part[rows] for part in problem.dstate)
        groups.append(ops.recurrent_backward(problem.packed, tape, problem.dy[rows], dstate))
    for name in problem.weights:
        expected = getattr(groups[0], f"d{name}")
        for group in groups[1:]:
            expected = expected + getattr(group, f"d{name}")
        assert same_bits(whole[name], expected), name
