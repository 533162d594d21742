"""The memory of tapes: used again where it fits, never by two at once, and given up where nothing trains."""

from __future__ import annotations

import copy
import pickle

import numpy as np

from rnnfast import nn, ops

FLOAT = np.dtype(np.float32)


def test_memory_is_used_again_where_it_fits() -> None:
    memory = ops.TapeMemory()
    first = memory.take((10, 16), FLOAT)
    memory.give_back(first)
    second = memory.take((4, 16), FLOAT)
    assert second.shape == (4, 16)
    assert np.shares_memory(first, second)
    memory.give_back(second)
    assert np.shares_memory(first, memory.take((10, 16), FLOAT))  # the whole of it is spare again
    memory.give_back(first)
    assert not np.shares_memory(first, memory.take((11, 16), FLOAT))
    memory.give_back(first)
    assert not np.shares_memory(first, memory.take((1, 16), FLOAT))  # far too large to be held by it
    memory.give_back(first)
    assert not np.shares_memory(first, memory.take((5, 16), np.dtype(np.float64)))


def test_memory_serves_one_at_a_time() -> None:
    memory = ops.TapeMemory()
    memory.give_back(memory.take((8,), FLOAT))
    first, second = memory.take((8,), FLOAT), memory.take((8,), FLOAT)
    assert not np.shares_memory(first, second)


def test_new_arrays_begin_at_a_cache_line() -> None:
    for shape in ((3, 5), (0, 4), (1,), (7, 1, 9)):
        for dtype in (np.float32, np.float64):
            array = ops.empty(shape, np.dtype(dtype))
            assert array.shape == shape
            assert array.dtype == dtype
            assert array.ctypes.data % 64 == 0 or not array.size


def test_packed_weights_begin_at_a_cache_line() -> None:
    for dtype in (np.float32, np.float64):
        for size in (3, 8, 60):  # of malloc's heap and, the largest, of pages of their own
            conv = ops.Conv1dWeights(np.zeros((size, size, 41), dtype))
            gates, skip = np.zeros((2 * size, size, 2), dtype), np.zeros((size, size), dtype)
            bias = np.zeros(size, dtype)
            wavenet = ops.WaveNetWeights(
                [(gates, np.zeros(2 * size, dtype), None, None, None, skip, bias)], [1]
            )
            recurrent = ops.RecurrentWeights(
                "rnn_tanh", np.zeros((41, size), dtype), np.zeros((41, 41), dtype)
            )
            for weights in (conv, wavenet, recurrent):
                for for_backward in (False, True):
                    assert weights.packed(for_backward).ctypes.data % 64 == 0


def test_open_tapes_of_a_layer_have_memory_of_their_own() -> None:
    layer = nn.LSTM(3, 4, seed=0)
    x = np.ones((2, 5, 3), np.float32)
    tapes = [layer.forward(x)[2] for _ in range(3)]
    for tape in tapes:
        layer.backward(tape, np.ones((2, 5, 4), np.float32))
    gradient = layer.weight_hh_l0.grad.copy()
    layer.zero_grad()
    for _ in range(3):
        layer.backward(layer.forward(x)[2], np.ones((2, 5, 4), np.float32))
    assert np.array_equal(layer.weight_hh_l0.grad, gradient)


def test_inference_and_copies_hold_no_memory() -> None:
    layer = nn.GRU(3, 4, seed=0)
    x = np.ones((2, 5, 3), np.float32)
    layer.backward(layer.forward(x)[2], np.ones((2, 5, 4), np.float32))
    memory = layer._stack.memory
    assert memory._spare
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert not other._stack.memory._spare
    layer(x)
    assert not memory._spare
