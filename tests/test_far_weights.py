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

# Cell, dtype, hidden units: more than 4 MB of recurrent weights each. Backward goes through segments of one
# or more gates in blocks, on AVX-512 1024 deep: some have several segments, some several blocks, one both.
LARGE = [
    ("lstm", np.float32, 520),
    ("gru", np.float32, 1040),
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


# Below: of the default variant alone, as the depth of blocks differs on AVX-512 only, and scalar code would
# take seconds. More rows than the deepest block, and sums of more than 4 MB, as floats and as doubles.
ROWS, WIDE = 1100, 1030


@pytest.mark.parametrize(("kind", "outputs"), [(np.float32, 1030), (np.float64, 515)])
@pytest.mark.parametrize("threads", [1, 3])
def test_gradients_of_many_weights_have_the_bits_of_those_of_fewer(
    kind: type, outputs: int, threads: int
) -> None:
    rnnfast.set_num_threads(threads)
    random = np.random.default_rng(4)
    x: Array = random.standard_normal((ROWS, WIDE)).astype(kind)
    dy: Array = random.standard_normal((ROWS, outputs)).astype(kind)
    weight: Array = np.ones((outputs, WIDE), kind)
    assert weight.nbytes > 4 << 20
    many = ops.linear_backward(x, dy, weight, False)[1]
    halves = [
        ops.linear_backward(x, dy[:, own].copy(), weight[own].copy(), False)[1]
        for own in (slice(outputs // 2), slice(outputs // 2, outputs))
    ]
    assert all(half.nbytes < 4 << 20 for half in halves)
    np.testing.assert_array_equal(many, np.concatenate(halves))
    exact = dy.astype(np.float64).T @ x.astype(np.float64)
    np.testing.assert_allclose(many, exact, rtol=0, atol=4 * ROWS * np.finfo(kind).eps)


# Cell, dtype, hidden units, samples, steps. Of GRU all gradients have more than 4 MB, in two cases those of
# r and z too. Rows of a step or of two are as many as a block is deep, or more.
LARGE_BATCHES = [
    ("gru", np.float32, 580, 60, 10),
    ("gru", np.float64, 410, 60, 10),
    ("gru", np.float32, 740, 60, 10),
    ("gru", np.float64, 520, 1100, 2),
    ("lstm", np.float32, 520, 60, 10),
    ("lstm", np.float32, 520, 30, 37),
    ("lstm", np.float64, 370, 1100, 2),
]


@pytest.mark.parametrize(("name", "kind", "hidden", "batch", "steps"), LARGE_BATCHES)
def test_large_gradients_are_added_to_what_stands_in_their_place(
    name: str, kind: type, hidden: int, batch: int, steps: int
) -> None:
    """From any start and in segments of any length: the same sums, added once."""
    random = np.random.default_rng(5)
    rows = len(ops.cells()[name].gates) * hidden

    def array(*shape: int, scale: float = 1.0) -> Array:
        values: Array = (random.standard_normal(shape) * scale).astype(kind)
        return values

    sizes = {
        "weight_ih": (rows, 40),
        "weight_hh": (rows, hidden),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    weights = ops.RecurrentWeights(name, **{key: array(*size, scale=0.04) for key, size in sizes.items()})
    assert weights.weight_ih.nbytes + weights.weight_hh.nbytes > 4 << 20
    x, dy = array(batch, steps, 40), array(batch, steps, hidden)

    def added_to(starts: list[Array], recompute: int = 0) -> list[Array]:
        targets = [start.copy() for start in starts]
        call = ops.StackCall([weights], None, None, None, None, [None], [None], [None], recompute, False)
        tape = ops.stack_forward(call, x, memory=ops.TapeMemory())[3]
        assert tape is not None
        ops.stack_backward(tape, dy, targets=[targets], weight_masks=[None])
        return targets

    gradients = added_to([np.zeros(size, kind) for size in sizes.values()])
    assert all(np.count_nonzero(gradient) > gradient.size // 2 for gradient in gradients)
    starts = [array(*size) for size in sizes.values()]
    for recompute in (0, 1, 7):
        for start, gradient, sum_ in zip(starts, gradients, added_to(starts, recompute), strict=True):
            np.testing.assert_array_equal(sum_, start + gradient)
