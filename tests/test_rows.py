"""LayerNorm, Embedding and the parts of attention: forward against NumPy, gradients, bits,
layouts, errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import backend, nn, ops, reference
from test_recurrent_arrays import LAYOUTS

Array = np.ndarray[Any, np.dtype[Any]]
ACTIVATIONS = [None, "relu", "tanh", "sigmoid"]
SHAPES = [(3, 5), (2, 7, 37), (1, 1), (9, 64), (131, 16), (5, 130), (4, 1)]


def random_array(*shape: int, dtype: Any = np.float64, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def make_norm(size: int, dtype: Any, activation: str | None = None) -> nn.LayerNorm:
    layer = nn.LayerNorm(size, activation=activation, dtype=dtype)
    randomize(layer)
    return layer


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layer_norm_forward(
    shape: tuple[int, ...], activation: str | None, variant: str, dtype: type
) -> None:
    layer = make_norm(shape[-1], dtype, activation)
    x = 3 * random_array(*shape, dtype=dtype) + dtype(2)
    sums = layer.weight.value * reference.layer_norm(x) + layer.bias.value
    functions: dict[str, Any] = {
        "relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "sigmoid": reference.sigmoid,
    }  # fmt: skip
    expected = functions[activation](sums) if activation else sums
    tolerance = 1e-12 if dtype is np.float64 else 2e-5 * shape[-1] ** 0.5
    np.testing.assert_allclose(layer(x), expected, atol=tolerance, rtol=0)
    assert same_bits(layer.forward(x)[0], layer(x))


def norm_gradients(layer: nn.LayerNorm, x: Array, dy: Array) -> dict[str, Array]:
    layer.zero_grad()
    _, tape = layer.forward(x)
    dx = layer.backward(tape, dy)
    return {"x": dx, **{name: parameter.grad.copy() for name, parameter in layer.named_parameters()}}


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[-1] > 1], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layer_norm_gradients(shape: tuple[int, ...], activation: str | None, variant: str) -> None:
    layer = make_norm(shape[-1], np.float64, activation)
    x, dy = random_array(*shape), random_array(*shape, seed=1)

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        layer.load_state_dict({name: array for name, array in arrays.items() if name != "x"})
        return (layer(arrays["x"]),)

    inputs = {"x": x, **layer.state_dict()}
    check_gradients(outputs, (dy,), inputs, norm_gradients(layer, x, dy))


def test_layer_norm_bits(dtype: type) -> None:
    """The same for any threads, for every set with FMA, and for a row alone."""
    x, dy = random_array(1000, 70, dtype=dtype), random_array(1000, 70, dtype=dtype, seed=1)
    layer = make_norm(70, dtype, "tanh")
    results = []
    for name in (name for name in backend.supported_variants() if name != "scalar"):
        with backend.use_variant(name):
            for threads in (1, 2, 3):
                rnnfast.set_num_threads(threads)
                results.append({"y": layer(x), **norm_gradients(layer, x, dy)})
            y = results[-1]["y"]
            assert all(same_bits(layer(x[k : k + 1]), y[k : k + 1]) for k in (0, 3, 998, 999))
    assert all(same_bits(results[0][key], other[key]) for other in results for key in other)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layer_norm_takes_any_layout(layout: Any, dtype: type) -> None:
    layer = make_norm(21, dtype)
    x, dy = random_array(4, 5, 21, dtype=dtype), random_array(4, 5, 21, dtype=dtype, seed=1)
    expected, odd = norm_gradients(layer, x, dy), norm_gradients(layer, layout(x), layout(dy))
    assert all(same_bits(expected[name], odd[name]) for name in expected)


def test_layer_norm_of_nothing_and_errors() -> None:
    layer = nn.LayerNorm(4)
    empty = np.zeros((0, 3, 4), np.float32)
    assert norm_gradients(layer, empty, empty)["x"].shape == (0, 3, 4)
    assert not layer.weight.grad.any()
    with pytest.raises(
        ValueError, match=r"LayerNorm.forward: x must have shape \(..., size\) = .*4\), got \(3, 5\)"
    ):
        layer(np.zeros((3, 5), np.float32))
    with pytest.raises(TypeError, match=r"LayerNorm.forward: x must have dtype float32, got float64"):
        layer(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="LayerNorm: activation must be None"):
        nn.LayerNorm(4, activation="swish")
    _, tape = layer.forward(np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match=r"LayerNorm.backward: dy must have shape .*\(3, 4\), got \(4, 4\)"):
        layer.backward(tape, np.zeros((4, 4), np.float32))


def test_embedding_is_rows_of_the_table(variant: str, dtype: type) -> None:
    layer = nn.Embedding(50, 37, dtype=dtype, seed=0)
    for index_type in (np.int64, np.int32, np.uint8):
        index = np.random.default_rng(0).integers(0, 50, (7, 300)).astype(index_type)
        dy = random_array(7, 300, 37, dtype=dtype)
        y, tape = layer.forward(index)
        assert same_bits(y, layer.weight.value[index])
        results = []
        for threads in (1, 3):
            rnnfast.set_num_threads(threads)
            layer.zero_grad()
            assert not layer.backward(tape if threads == 1 else layer.forward(index)[1], dy).any()
            results.append(layer.weight.grad.copy())
        expected = np.zeros((50, 37))
        np.add.at(expected, index, dy.astype(np.float64))
        np.testing.assert_allclose(
            results[0], expected, rtol=1e-12 if dtype is np.float64 else 1e-4, atol=1e-4
        )
        assert same_bits(*results)


def test_embedding_of_padding_and_of_nothing() -> None:
    layer = nn.Embedding(5, 3, padding_index=2, seed=0)
    index = np.array([[2, 1], [1, 2]])
    y, tape = layer.forward(index)
    assert not y[index == 2].any()
    layer.backward(tape, np.ones_like(y))
    assert layer.weight.grad.tolist() == [[0] * 3, [2] * 3, [0] * 3, [0] * 3, [0] * 3]
    y, tape = layer.forward(np.zeros((0, 4), np.int64))
    assert y.shape == (0, 4, 3)
    layer.backward(tape, y)


def test_embedding_errors() -> None:
    layer = nn.Embedding(5, 3, seed=0)
    with pytest.raises(
        ValueError, match=r"Embedding.forward: index must be in 0 … 4, got 7 at \(1, 0\) and 1 more"
    ):
        layer(np.array([[1, 2], [7, -1]]))
    with pytest.raises(
        TypeError, match=r"Embedding.forward: index must hold ints, got float64; pass index.astype"
    ):
        layer(np.zeros(3))
    with pytest.raises(TypeError, match="index must be a NumPy array of ints, got list"):
        layer([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="padding_index must be below num_embeddings=5, got 5"):
        nn.Embedding(5, 3, padding_index=5)


@pytest.mark.parametrize(
    "sizes", [(3, 4, 5, 6), (1, 1, 1, 1), (70, 9, 33, 17), (2, 3, 0, 4), (0, 3, 2, 4)], ids=str
)
def test_batched_product(sizes: tuple[int, int, int, int], variant: str, dtype: type) -> None:
    batch, rows, depth, columns = sizes
    a, b = random_array(batch, rows, depth, dtype=dtype), random_array(batch, depth, columns, dtype=dtype)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    plain = ops.batched_product(a, b)
    left = ops.batched_product(a.transpose(0, 2, 1), b, transpose_a=True)
    right = ops.batched_product(a, b.transpose(0, 2, 1), transpose_b=True)
    np.testing.assert_allclose(plain, expected, atol=1e-12 if dtype is np.float64 else 1e-4)
    assert same_bits(plain, left)
    assert same_bits(plain, right)
    rnnfast.set_num_threads(3)
    assert same_bits(ops.batched_product(a, b), plain)
    if batch > 1:
        assert same_bits(ops.batched_product(a[1:2], b[1:2]), plain[1:2])


def test_softmax(variant: str, dtype: type) -> None:
    scores = 20 * random_array(4, 3, 37, dtype=dtype)
    scores[1, 1, 5] = 800
    lengths = np.array([37, 9, 1, 0])
    p = ops.masked_softmax(scores, lengths)
    for n, length in enumerate(lengths):
        s = scores[n, :, :length].astype(np.float64)
        e = np.exp(s - s.max(axis=1, keepdims=True, initial=-np.inf))
        expected = e / e.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(p[n, :, :length], expected, atol=1e-14 if dtype is np.float64 else 1e-6)
        assert not p[n, :, length:].any()
    bad = scores.copy()
    bad[0] = np.nan
    found = ops.masked_softmax(bad, lengths)
    assert np.isnan(found[0]).all()
    assert same_bits(found[1:], p[1:])


def test_softmax_gradient(variant: str) -> None:
    scores, dp = random_array(3, 2, 19), random_array(3, 2, 19, seed=1)
    lengths = np.array([19, 4, 1])
    p = ops.masked_softmax(scores, lengths)
    real = np.arange(19) < lengths[:, None, None]
    gradient = {"scores": ops.softmax_backward(p, dp)}
    assert not gradient["scores"][~np.broadcast_to(real, p.shape)].any()
    check_gradients(
        lambda arrays: (ops.masked_softmax(arrays["scores"], lengths),), (dp,), {"scores": scores}, gradient
    )


def test_attention_errors() -> None:
    a = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(ValueError, match=r"batched_product: b must have shape \(2, 4, 5\), got \(2, 3, 5\)"):
        ops.batched_product(a, np.zeros((2, 3, 5), np.float32))
    with pytest.raises(ValueError, match="must not both be True; swap a and b"):
        ops.batched_product(a, a, transpose_a=True, transpose_b=True)
    with pytest.raises(ValueError, match=r"masked_softmax: lengths must be in 0..4, got 0 to 5"):
        ops.masked_softmax(a, np.array([0, 5]))
