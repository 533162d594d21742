"""The pool of threads under small jobs in quick succession: shared by samples, by units, and not at all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import rnnfast
from problems import same_bits
from rnnfast import nn, ops


def test_many_small_jobs_on_changing_threads() -> None:
    """More threads than CPUs, pools that grow, workers that sleep in between: the bits of one thread."""
    random = np.random.default_rng(0)
    by_samples = nn.GRU(5, 24, seed=0), random.standard_normal((32, 12, 5)).astype(np.float32)
    by_units = nn.LSTM(40, 160, seed=0), random.standard_normal((1, 6, 40)).astype(np.float32)
    alone = nn.RNN(2, 3, seed=0), random.standard_normal((1, 2, 2)).astype(np.float32)
    jobs = (by_samples, by_units, alone)
    rnnfast.set_num_threads(1)
    expected = [layer.forward(x)[0] for layer, x in jobs]
    for count in (2, 17, 3, 2):
        rnnfast.set_num_threads(count)
        for repeat in range(40):
            for (layer, x), y in zip(jobs, expected, strict=True):
                np.testing.assert_array_equal(layer.forward(x)[0], y)
            if repeat % 10 == 0:
                time.sleep(0.002)  # workers fall asleep


def test_threads_share_the_columns_of_a_bias_gradient(variant: str, dtype: type) -> None:
    """Enough rows that they do: each column is one chain of additions for any number of them."""
    random = np.random.default_rng(0)
    outputs = 100  # not as many vectors for each
    x, dy = (random.standard_normal((4000, columns)).astype(dtype) for columns in (3, outputs))
    weight = random.standard_normal((outputs, 3)).astype(dtype)
    chain = np.zeros(outputs, dtype)
    for row in dy:
        chain = chain + row
    for count in (1, 2, 3):
        rnnfast.set_num_threads(count)
        _, _, dbias = ops.linear_backward(x, dy, weight, True)
        assert same_bits(dbias, chain)


def test_threads_of_the_caller_lose_no_gradient() -> None:
    """Two at once, backward through one layer: every addition of the same gradient is there."""
    rnnfast.set_num_threads(1)
    layer = nn.GRU(40, 160, seed=0)
    x = np.random.default_rng(0).standard_normal((8, 4, 40)).astype(np.float32)

    def backward(count: int) -> None:
        for _ in range(count):
            y, _, tape = layer.forward(x)
            layer.backward(tape, np.ones_like(y))

    backward(40)
    expected = [parameter.grad.copy() for parameter in layer.parameters()]
    layer.zero_grad()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(backward, 20) for _ in range(2)]:
            done.result()
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        assert same_bits(parameter.grad, gradient)


def test_threads_of_the_caller_lose_no_masked_gradient() -> None:
    """The same, of weights behind a mask: large ones let another thread in between two additions."""
    rnnfast.set_num_threads(1)
    random = np.random.default_rng(0)
    sizes = ((1200, 4), (1200, 400))
    weight_ih, weight_hh = (random.standard_normal(size).astype(np.float32) * 0.1 for size in sizes)
    mask = np.asfortranarray(random.random(sizes[1]) < 0.5, np.float32)
    weights = ops.RecurrentWeights("gru", weight_ih=weight_ih, weight_hh=weight_hh)
    x = random.standard_normal((2, 2, 4)).astype(np.float32)
    call = ops.StackCall([weights], None, None, None, None, [None], [None], [None], 0, False)
    targets = [np.zeros(size, np.float32) for size in sizes]

    def backward(count: int) -> None:
        for _ in range(count):
            ys, _, _, tape = ops.stack_forward(call, x, memory=ops.TapeMemory())
            assert tape is not None
            ops.stack_backward(tape, np.ones_like(ys[-1]), targets=[targets], weight_masks=[mask])

    backward(40)
    expected = [target.copy() for target in targets]
    for _ in range(5):  # without the lock one was lost in six rounds of ten
        for target in targets:
            target.fill(0)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(backward, 20) for _ in range(2)]:
                done.result()
        for target, gradient in zip(targets, expected, strict=True):
            assert same_bits(target, gradient)
