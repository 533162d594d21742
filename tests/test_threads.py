"""The pool of threads under small jobs in quick succession, shared by samples, by units, and not at all; and
threads of the caller that add to the same gradients.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnnfast
from problems import same_bits
from rnnfast import nn, ops
from rnnfast.nn.counter import RandomCounter

Step = tuple[list[Any], list[Callable[[], None]]]  # layers, and what two threads do with them


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


def plain(layer: Any, x: np.ndarray) -> Step:
    def step() -> None:
        y, *_, tape = layer.forward(x)
        layer.backward(tape, np.ones_like(y))

    return [layer], [step, step]


def tied() -> Step:
    """Two layers with one weight_hh and other weights of their own."""
    layers = [nn.GRU(4, 400, bias=False, seed=0) for _ in range(2)]
    layers[1].weight_hh_l0 = layers[0].weight_hh_l0
    return layers, [plain(layer, ones(1, 2, 4))[1][0] for layer in layers]


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def one_by_one_and_at_once(make: Callable[[], Step], count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The gradients that `count` turns of each thread leave, first one thread after the other."""
    rnnfast.set_num_threads(1)
    layers, steps = make()

    def run(step: Callable[[], None]) -> None:
        for _ in range(count):
            step()

    def gradients() -> list[np.ndarray]:
        return [parameter.grad.copy() for layer in layers for parameter in layer.parameters()]

    for step in steps:
        run(step)
    expected = gradients()
    assert all(gradient.any() for gradient in expected)
    for layer in layers:
        layer.zero_grad()
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, step) for step in steps]:
            done.result()
    return expected, gradients()


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: plain(nn.GRU(40, 160, seed=0), ones(8, 4, 40)), 20),
        (tied, 100),
        (lambda: plain(nn.Linear(512, 512, seed=0), ones(8, 512)), 100),
        (lambda: plain(nn.Conv1d(128, 512, 4, seed=0), ones(1, 8, 128)), 100),
        (lambda: plain(nn.LayerNorm(200000), np.arange(4e5, dtype=np.float32).reshape(2, -1)), 100),
        (lambda: plain(nn.Embedding(1000, 256, seed=0), np.arange(1000)[None]), 100),
        (lambda: plain(nn.WaveNetStack(128, dilations=(1, 2), seed=0), ones(1, 8, 128)), 50),
    ],
    ids=["gru", "tied", "linear", "conv", "norm", "embedding", "wavenet"],
)
def test_threads_of_the_caller_lose_no_gradient(make: Callable[[], Step], count: int) -> None:
    """Two at once, backward through layers that share parameters: every addition is there."""
    expected, found = one_by_one_and_at_once(make, count)
    for one, other in zip(expected, found, strict=True):
        assert same_bits(one, other)


def test_threads_lose_no_gradient_of_layers_of_two_kinds() -> None:
    """A kernel adds to it, and `ops.accumulate` another value: the order shows in the last bits."""

    def tied_to_linear() -> Step:
        recurrent, linear = nn.GRU(400, 100, bias=False, seed=0), nn.Linear(400, 300, bias=False)
        linear.weight = recurrent.weight_ih_l0
        return [linear], [plain(linear, ones(1, 400))[1][0], plain(recurrent, ones(1, 2, 400))[1][0]]

    expected, found = one_by_one_and_at_once(tied_to_linear, 100)
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # one of them is a two hundredth


def zeros_of_a_page(*shape: int) -> np.ndarray:
    memory = np.zeros(math.prod(shape) + 1024, np.float32)
    first = -memory.ctypes.data % 4096 // 4
    return memory[first : first + math.prod(shape)].reshape(shape)


def long_turn() -> tuple[list[np.ndarray], Callable[[], Any]]:
    """Gradients, and a call that adds to them for about a tenth of a second."""
    rnnfast.set_num_threads(1)
    sizes = (2048, 256), (2048, 512)
    weights = ops.RecurrentWeights("lstm", weight_ih=ones(*sizes[0]), weight_hh=ones(*sizes[1]))
    call = ops.StackCall([weights], None, None, None, None, [None], [None], [None], 0, False)
    ys, _, _, tape = ops.stack_forward(call, ones(8, 200, 256), memory=ops.TapeMemory())
    assert tape is not None
    targets = [zeros_of_a_page(*size) for size in sizes]
    return targets, lambda: ops.stack_backward(tape, ys[-1], targets=[targets], weight_masks=[None])


def longest_share(jobs: list[Future[Any]], do: Callable[[], object]) -> float:
    """Of the time that the jobs take: the longest that this thread needs to do something again and again."""
    moments = [time.perf_counter()]
    while not all(job.done() for job in jobs):
        do()
        moments.append(time.perf_counter())
    for job in jobs:
        job.result()
    return float(max(np.diff(moments)) / (moments[-1] - moments[0]))


def test_additions_with_nothing_in_common_do_not_wait_for_each_other() -> None:
    """Wherever they go: here to the first place of a page of memory each."""
    (_, backward), other = long_turn(), zeros_of_a_page(8)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(backward)
        # Some microseconds; nearly all of the time where one waits for the other.
        assert longest_share([job], lambda: ops.accumulate([other], [ones(8)])) < 0.5


def test_who_waits_for_a_turn_lets_others_run_python() -> None:
    """A small addition, which keeps the interpreter where it need not wait."""
    targets, backward = long_turn()
    few = targets[1][:1]
    with ThreadPoolExecutor(2) as pool:
        job = pool.submit(backward)

        def add() -> None:
            while not job.done():
                ops.accumulate([few], [np.zeros_like(few)])

        assert longest_share([job, pool.submit(add)], lambda: time.sleep(0)) < 0.5


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
    for _ in range(5):  # without turns one was lost in six rounds of ten
        for target in targets:
            target.fill(0)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(backward, 20) for _ in range(2)]:
                done.result()
        for target, gradient in zip(targets, expected, strict=True):
            assert same_bits(target, gradient)


def test_threads_that_pack_the_same_weights_keep_what_they_packed() -> None:
    """Backward's form is made when it is first needed: here by two threads at once."""
    rnnfast.set_num_threads(1)
    random = np.random.default_rng(0)
    sizes = (1200, 200), (1200, 300)
    arrays = [random.standard_normal(size).astype(np.float32) for size in sizes]
    x = random.standard_normal((1, 3, 200)).astype(np.float32)
    expected: np.ndarray | None = None
    with ThreadPoolExecutor(2) as pool:
        for _ in range(30):
            weights = ops.RecurrentWeights("lstm", *(array * np.float32(0.1) for array in arrays))
            call = ops.StackCall([weights], None, None, None, None, [None], [None], [None], 0, False)
            tapes = [ops.stack_forward(call, x, memory=ops.TapeMemory())[3] for _ in range(2)]

            def backward(tape: Any) -> np.ndarray:
                targets = [np.zeros(size, np.float32) for size in sizes]
                dy = np.ones((1, 3, 300), np.float32)
                return ops.stack_backward(tape, dy, targets=[targets], weight_masks=[None])[0]

            for dx in pool.map(backward, tapes):
                expected = dx if expected is None else expected
                assert same_bits(dx, expected)


def test_sequences_of_two_threads_keep_their_masks_apart() -> None:
    """The other thread's sequence begins within this one's and ends behind it."""
    counter, inside, end = RandomCounter(0), threading.Event(), threading.Event()

    def other() -> tuple[int, int]:
        with counter.sequence():
            first = counter.of_sequence(counter.draw())
            inside.set()
            end.wait(10)
            return first, counter.of_sequence(counter.draw())

    with ThreadPoolExecutor(1) as pool:
        with counter.sequence():
            own = counter.of_sequence(counter.draw())
            job = pool.submit(other)
            assert inside.wait(10)
            assert counter.of_sequence(counter.draw()) == own
        assert counter.of_sequence(7) == 7
        end.set()
        first, last = job.result()
    assert first == last != own
    assert counter.of_sequence(7) == 7
    again = pickle.loads(pickle.dumps(counter))
    assert (again.seed, again.call) == (counter.seed, counter.call)
