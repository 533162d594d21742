"""Layers whose packed weights are larger than caches: kernels then fetch them ahead, in another loop.

A row of a batch that is large enough for it has the bits of the row alone, which is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnfast
from rnnfast import ops

Array = np.ndarray[Any, np.dtype[Any]]

# Cell, dtype, hidden units: more than 4 MB of recurrent weights each.
LARGE = [
    ("lstm", np.float32, 520),
    ("gru", np.float32, 604),
    ("rnn_tanh", np.float32, 1045),
    ("lstm", np.float64, 370),
    ("gru", np.float64, 430),
    ("rnn_tanh", np.float64, 740),
]
STEPS, INPUTS = 2, 70


# Of 7 rows LSTM's AVX-512 tiles have 4 and 3, of which one fetches; AVX2 wants 32 rows.
@pytest.mark.parametrize("batch", [4, 7, 41])
@pytest.mark.parametrize(("name", "kind", "hidden"), LARGE)
def test_a_row_of_a_batch_has_the_bits_of_the_row_alone(
    name: str, kind: type, hidden: int, batch: int, variant: str
) -> None:
    rnnfast.set_num_threads(1)  # which has all rows: shared, they would be too few to fetch anything ahead
    random = np.random.default_rng(3)
    gates = len(ops.cells()[name].gates)

    def array(*shape: int, scale: float = 1.0) -> Array:
        return (random.standard_normal(shape) * scale).astype(kind)

    weights = ops.RecurrentWeights(
        name,
        weight_ih=array(gates * hidden, INPUTS, scale=0.1),
        weight_hh=array(gates * hidden, hidden, scale=hidden**-0.5),
        bias_ih=array(gates * hidden),
        bias_hh=array(gates * hidden),
    )
    assert weights.weight_hh.nbytes > 4 << 20
    x, dy = array(batch, STEPS, INPUTS), array(batch, STEPS, hidden)

    def run(rows: slice) -> tuple[Array, Array]:
        y, _, tape = ops.recurrent_forward(weights, x[rows], training=True)
        assert tape is not None
        return y, ops.recurrent_backward(weights, tape, dy[rows]).dx

    y, dx = run(slice(None))
    for row in (0, batch // 2, batch - 1):
        for whole, alone in zip((y, dx), run(slice(row, row + 1)), strict=True):
            np.testing.assert_array_equal(whole[row : row + 1], alone)
