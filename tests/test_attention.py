"""Attention by itself: the reference, gradients, padding, independence of everything beside a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import nn, reference

Array = np.ndarray[Any, np.dtype[Any]]
KINDS = {"luong": nn.LuongAttention, "bahdanau": nn.BahdanauAttention}
REFERENCES = {"luong": reference.luong_attention, "bahdanau": reference.bahdanau_attention}
EVERY_KIND = pytest.mark.parametrize("kind", list(KINDS))
LENGTHS = [5, 0, 1, 3]


def make(kind: str, dtype: type = np.float64, **options: Any) -> Any:
    attention = KINDS[kind](4, 6, dtype=dtype, seed=1, **options)
    randomize(attention, seed=2)
    return attention


def arrays(dtype: type = np.float64) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    return random.standard_normal((4, 3, 4)).astype(dtype), random.standard_normal((4, 5, 6)).astype(dtype)


@EVERY_KIND
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_forward_is_the_reference(kind: str, lengths: Any, dtype: type) -> None:
    attention, (query, memory) = make(kind, dtype), arrays(dtype)
    y, p = REFERENCES[kind](query, memory, attention.state_dict(), lengths)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    found, tape = attention.forward(query, memory, lengths=lengths)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, y, rtol=0, atol=tolerance)
    np.testing.assert_allclose(attention.weights(query, memory, lengths), p, rtol=0, atol=tolerance)
    assert same_bits(attention(query, memory, lengths), found)
    assert tape is not None
    assert attention.forward(query, memory, training=False)[1] is None


@EVERY_KIND
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradients_are_central_differences(kind: str, lengths: Any) -> None:
    attention = make(kind, attention_size=3) if kind == "bahdanau" else make(kind)
    query, memory = arrays()
    inputs = {"query": query, "memory": memory, **attention.state_dict()}
    y, tape = attention.forward(query, memory, lengths=lengths)
    dy = np.random.default_rng(3).standard_normal(y.shape)
    dquery, dmemory = attention.backward(tape, dy)
    gradients = {"query": dquery, "memory": dmemory}
    gradients |= {name: parameter.grad.copy() for name, parameter in attention.named_parameters()}

    def outputs(at: Mapping[str, Array]) -> tuple[Array]:
        attention.load_state_dict({name: at[name] for name in attention.state_dict()})
        return (attention(at["query"], at["memory"], lengths),)

    check_gradients(outputs, (dy,), inputs, gradients)


@EVERY_KIND
def test_padding_is_not_looked_at(kind: str) -> None:
    attention, (query, memory) = make(kind), arrays()
    spoiled = memory.copy()
    for n, length in enumerate(LENGTHS):
        spoiled[n, length:] = np.nan
    y, tape = attention.forward(query, spoiled, lengths=LENGTHS)
    assert same_bits(y, attention(query, memory, LENGTHS))
    dquery, dmemory = attention.backward(tape, np.ones_like(y))
    assert np.isfinite(dquery).all()
    assert all(np.isfinite(parameter.grad).all() for parameter in attention.parameters())
    p = attention.weights(query, spoiled, LENGTHS)
    for n, length in enumerate(LENGTHS):
        assert (dmemory[n, length:] == 0).all()
        assert (p[n, :, length:] == 0).all()
        assert np.allclose(p[n].sum(axis=-1), length > 0, rtol=0, atol=1e-15)
        # Without padding the same bits: what is behind a sequence does not enter a sum.
        assert same_bits(y[n : n + 1], attention(query[n : n + 1], memory[n : n + 1, :length]))


@EVERY_KIND
def test_neither_batch_mates_nor_other_queries_nor_threads_matter(kind: str, dtype: type) -> None:
    attention, (query, memory) = make(kind, dtype), arrays(dtype)
    y, tape = attention.forward(query, memory, lengths=LENGTHS)
    dquery, dmemory = attention.backward(tape, y)
    for n in range(4):
        for u in range(3):
            own = attention(query[n : n + 1, u : u + 1], memory[n : n + 1], LENGTHS[n : n + 1])
            assert same_bits(own, y[n : n + 1, u : u + 1])
        y_n, tape = attention.forward(query[n : n + 1], memory[n : n + 1], lengths=LENGTHS[n : n + 1])
        dquery_n, dmemory_n = attention.backward(tape, y_n)
        assert same_bits(dquery_n[0], dquery[n])
        assert same_bits(dmemory_n[0], dmemory[n])
    rnnfast.set_num_threads(2)
    assert same_bits(attention(query, memory, LENGTHS), y)


@EVERY_KIND
@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 0, 5), (4, 3, 0)], ids=str)
def test_empty_arrays(kind: str, shape: tuple[int, int, int]) -> None:
    batch, queries, steps = shape
    attention = make(kind)
    query, memory = np.ones((batch, queries, 4)), np.ones((batch, steps, 6))
    y, tape = attention.forward(query, memory)
    assert y.shape == (batch, queries, attention.output_size)
    dquery, dmemory = attention.backward(tape, y)
    assert dquery.shape == query.shape
    assert dmemory.shape == memory.shape
    # With nothing to look at the context is zero.
    if steps == 0:
        expected, _ = REFERENCES[kind](query, np.zeros((4, 1, 6)), attention.state_dict(), [0] * 4)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


@EVERY_KIND
def test_wrong_arguments_are_named(kind: str) -> None:
    attention, (query, memory) = make(kind), arrays()
    name = type(attention).__name__
    with pytest.raises(ValueError, match=rf"{name}.forward: query must have shape .*got \(4, 3, 3\)"):
        attention.forward(query[:, :, :3], memory)
    with pytest.raises(ValueError, match=rf"{name}.forward: memory must have shape .*got \(3, 5, 6\)"):
        attention.forward(query, memory[:3])
    with pytest.raises(TypeError, match=rf"{name}.forward: memory must have dtype float64, got float32"):
        attention.forward(query, memory.astype(np.float32))
    with pytest.raises(ValueError, match=rf"{name}.forward: lengths must be in 0..T=5, got 6 at n=1"):
        attention.forward(query, memory, lengths=[5, 6, 1, 1])
    with pytest.raises(ValueError, match=rf"{name}: query_size must be 1 or more, got 0"):
        KINDS[kind](0, 6)
    with pytest.raises(TypeError, match=rf"{name}: dtype must be float32 or float64, got int64"):
        KINDS[kind](4, 6, dtype=np.int64)
    y, tape = attention.forward(query, memory)
    size = attention.output_size
    for wrong in (y[:1, :1], y[:, :2], y[:, :, :2], y[0]):
        with pytest.raises(
            ValueError, match=rf"{name}.backward: dy must have shape .*= \(4, 3, {size}\), got \("
        ):
            attention.backward(tape, wrong)
    with pytest.raises(TypeError, match=rf"{name}.backward: dy must have dtype float64, got float32"):
        attention.backward(tape, y.astype(np.float32))
    attention.backward(tape, y)
    with pytest.raises(RuntimeError, match=rf"{name}.backward: tape must be used once"):
        attention.backward(tape, y)


def test_masked_softmax_of_the_reference_written_out() -> None:
    p = reference.masked_softmax(np.log([[[1.0, 3.0, 4.0]], [[1.0, 3.0, 4.0]]]), [3, 2])
    np.testing.assert_allclose(p, [[[0.125, 0.375, 0.5]], [[0.25, 0.75, 0.0]]], rtol=1e-15)
