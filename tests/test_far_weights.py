"""Layers whose weights are larger than caches: kernels fetch packed ones ahead, in another loop, and take
more rows at a time into their gradients.

A row of a batch that is large enough for it has the bits of the row alone, which is not; a gradient of many
weights has the bits of one of few.
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


# More rows than the deepest block, and sums of more than 4 MB, as floats and as doubles.
ROWS, WIDE = 1100, 1030


@pytest.mark.parametrize(("kind", "outputs"), [(np.float32, 1030), (np.float64, 515)])
def test_gradients_of_many_weights_have_the_bits_of_those_of_few(kind: type, outputs: int) -> None:
    random = np.random.default_rng(4)
    x: Array = random.standard_normal((ROWS, WIDE)).astype(kind)
    dy: Array = random.standard_normal((ROWS, outputs)).astype(kind)
    weight: Array = np.ones((outputs, WIDE), kind)
    assert weight.nbytes > 4 << 20
    many = ops.linear_backward(x, dy, weight, False)[1]
    few = ops.linear_backward(x[:, :40].copy(), dy[:, :9].copy(), weight[:9, :40].copy(), False)[1]
    assert few.tobytes() == many[:9, :40].tobytes()


@pytest.mark.parametrize(("kind", "hidden"), [(np.float32, 1030), (np.float64, 730)])
def test_a_long_batch_of_a_large_layer_has_the_same_gradients_in_segments(kind: type, hidden: int) -> None:
    random = np.random.default_rng(5)
    weights = ops.RecurrentWeights(
        "rnn_tanh",
        weight_ih=random.standard_normal((hidden, 20)).astype(kind),
        weight_hh=(random.standard_normal((hidden, hidden)) * hidden**-0.5).astype(kind),
    )
    batch, steps = 55, 20
    assert weights.weight_hh.nbytes > 4 << 20
    assert batch * steps > 1024
    x: Array = random.standard_normal((batch, steps, 20)).astype(kind)
    dy: Array = random.standard_normal((batch, steps, hidden)).astype(kind)

    def gradients(recompute: int) -> ops.RecurrentGradients:
        _, _, tape = ops.recurrent_forward(weights, x, training=True, recompute=recompute)
        assert tape is not None
        return ops.recurrent_backward(weights, tape, dy)

    whole, in_segments = gradients(0), gradients(7)
    for name in ("dx", "dweight_ih", "dweight_hh"):
        assert getattr(whole, name).tobytes() == getattr(in_segments, name).tobytes(), name
