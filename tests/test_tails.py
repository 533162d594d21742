"""Layers whose last units fill a vector in part: of several rows they share vectors, forward and backward.

A row of a batch has the bits of the row alone, which shares with nobody.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast
from rnnfast import ops

Array = np.ndarray[Any, np.dtype[Any]]

STEPS, INPUTS = 3, 2
# Of eleven rows eight share two vectors of four parts, or four and four those of two; of the other three
# backward takes two in step.
BATCH = 11


def _weights(name: str, kind: type, hidden: int, random: np.random.Generator) -> ops.RecurrentWeights:
    info = ops.cells()[name]
    rows = len(info.gates) * hidden
    unit = {"weight_ch": random.standard_normal(len(info.unit_weights) * hidden)} if info.unit_weights else {}
    arrays = {
        "weight_ih": random.standard_normal((rows, INPUTS)),
        "weight_hh": random.standard_normal((rows, hidden)),
        "bias_ih": random.standard_normal(rows),
        "bias_hh": random.standard_normal(rows),
        **unit,
    }
    return ops.RecurrentWeights(name, **{key: array.astype(kind) for key, array in arrays.items()})


def _run(
    weights: ops.RecurrentWeights, x: Array, dy: Array, resets: Array | None, bound: float | None
) -> list[Array]:
    """y, the final states, dx and the gradients of the initial states, samples first."""
    y, final, tape = ops.recurrent_forward(weights, x, resets=resets, training=True)
    assert tape is not None
    gradients = ops.recurrent_backward(weights, tape, dy, bound=bound)
    return [y, *final, gradients.dx, *gradients.dstate]


@pytest.mark.parametrize("hidden", [1, 2, 3, 4, 5, 8, 9, 16, 17, 20, 23, 24, 33])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(ops.cells()))
def test_a_row_of_a_batch_has_the_bits_of_the_row_alone(
    name: str, kind: type, hidden: int, variant: str
) -> None:
    rnnfast.set_num_threads(1)
    random = np.random.default_rng(hidden)
    weights = _weights(name, kind, hidden, random)
    x = random.standard_normal((BATCH, STEPS, INPUTS)).astype(kind)
    dy = random.standard_normal((BATCH, STEPS, hidden)).astype(kind)
    cut = np.zeros((BATCH, STEPS), bool)
    cut[2, 1] = True
    for resets, bound in ((None, None), (cut, 0.5)):
        whole = _run(weights, x, dy, resets, bound)
        for row in range(BATCH):
            own = slice(row, row + 1)
            alone = _run(weights, x[own], dy[own], None if resets is None else resets[own], bound)
            for together, by_itself in zip(whole, alone, strict=True):
                np.testing.assert_array_equal(together[own], by_itself)


@pytest.mark.parametrize("hidden", [2, 4, 8, 20])
@pytest.mark.parametrize("name", sorted(ops.cells()))
def test_infinities_reach_the_sums_that_they_belong_to(name: str, hidden: int, variant: str) -> None:
    """Of x and h: where sums share a vector, weights of zero in the place of others would make NaN."""
    random = np.random.default_rng(hidden)
    weights = _weights(name, np.float32, hidden, random)
    x = random.standard_normal((BATCH, STEPS, INPUTS)).astype(np.float32)
    state = tuple(np.zeros((BATCH, hidden), np.float32) for _ in ops.cells()[name].states)
    x[1, 0, 0] = state[0][2, 0] = np.inf
    y = ops.recurrent_forward(weights, x, state)[0]
    for row in (1, 2):
        own = slice(row, row + 1)
        alone = ops.recurrent_forward(weights, x[own], tuple(part[own] for part in state))[0]
        np.testing.assert_array_equal(y[own], alone)
    if name == "gru":
        assert np.isfinite(y[1, 0]).all()  # n is beside r and z, whatever r makes of the rest
