"""Living with others: forked and spawned processes, threads of the caller, and the floating-point mode of the
machine.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rnnfast
from problems import Problem, gradients_by_name, make_problem, same_bits
from rnnfast import nn, ops

SIZES = (40, 20, 16, 48)


def training_step(problem: Problem) -> bytes:
    _, _, tape = problem.forward()
    return b"".join(array.tobytes() for array in gradients_by_name(problem, problem.backward(tape)).values())


def child(queue: multiprocessing.Queue[bytes], threads: int) -> None:
    rnnfast.set_num_threads(threads)
    queue.put(training_step(make_problem("lstm", *SIZES, np.float32)))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_children_compute_the_same(method: str, threads: int) -> None:
    """The parent's pool is alive when the child starts: it must neither hang nor change a bit."""
    rnnfast.set_num_threads(threads)
    expected = training_step(make_problem("lstm", *SIZES, np.float32))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=child, args=(queue, threads))
    process.start()
    assert queue.get(timeout=60) == expected
    process.join(60)
    assert process.exitcode == 0
    assert training_step(make_problem("lstm", *SIZES, np.float32)) == expected


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_child() -> None:
    rnnfast.set_num_threads(2)
    expected = training_step(make_problem("lstm", *SIZES, np.float32))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=grandparent, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == expected
    process.join(60)
    assert process.exitcode == 0


def grandparent(queue: multiprocessing.Queue[bytes]) -> None:
    training_step(make_problem("lstm", *SIZES, np.float32))
    process = multiprocessing.get_context("fork").Process(target=child, args=(queue, 2))
    process.start()
    process.join(60)
    raise SystemExit(process.exitcode)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_of_a_process_in_the_middle_of_an_addition() -> None:
    """The thread that has a turn with the gradients is not there to give it back."""
    rnnfast.set_num_threads(1)
    layer, x = nn.GRU(40, 160, seed=0), np.ones((16, 20, 40), np.float32)
    going = threading.Event()
    going.set()

    def step() -> None:
        y, _, tape = layer.forward(x)
        layer.backward(tape, y)

    def work() -> None:
        while going.is_set():
            step()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(5):  # the turns are most of a step
            process = multiprocessing.get_context("fork").Process(target=step)
            process.start()
            process.join(20)
            stuck = process.is_alive()
            process.kill()
            assert not stuck
            assert process.exitcode == 0
    finally:
        going.clear()
        worker.join()


def test_callers_on_many_threads_do_not_disturb_each_other(cell: str) -> None:
    rnnfast.set_num_threads(2)
    problems = [make_problem(cell, *SIZES, np.float32, seed=seed) for seed in range(4)]
    expected = [training_step(problem) for problem in problems]
    with ThreadPoolExecutor(4) as pool:
        for results in [list(pool.map(training_step, problems)) for _ in range(5)]:
            assert results == expected


@pytest.mark.parametrize("moment", ["__post_init__", "packed", "refresh"])
def test_a_thread_in_the_middle_of_packing_shows_nobody_old_weights(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Another thread uses the layer at each moment of packing after a change, one that chance seldom hits."""
    layer = nn.GRU(3, 4, seed=0)
    x = np.ones((1, 2, 3), np.float32)
    layer(x)
    results: list[bytes] = []
    whole = getattr(ops.RecurrentWeights, moment)
    with ThreadPoolExecutor(1) as other_thread:

        def interrupted(self: ops.RecurrentWeights, *arguments: bool) -> object:
            monkeypatch.setattr(ops.RecurrentWeights, moment, whole)
            results.append(other_thread.submit(lambda: layer(x)[0].tobytes()).result())
            return whole(self, *arguments)

        layer.weight_ih_l0.data = 0.5
        monkeypatch.setattr(ops.RecurrentWeights, moment, interrupted)
        results.append(layer(x)[0].tobytes())
    assert set(results) == {layer(x)[0].tobytes()}


def test_kernels_release_the_interpreter() -> None:
    """While a thread is inside a kernel, another gets to run Python: thousands of turns, not two a call."""
    rnnfast.set_num_threads(1)
    problem = make_problem("lstm", 32, 60, 64, 256, np.float32)
    running = threading.Event()

    def work() -> None:
        running.set()
        for _ in range(5):
            problem.forward()
        running.clear()

    worker = threading.Thread(target=work)
    worker.start()
    running.wait(10)
    turns = 0
    while running.is_set():
        time.sleep(0)
        turns += 1
    worker.join()
    assert turns > 100


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_flushed_inside_kernels_only(cell: str, variant: str, threads: int) -> None:
    """Products far below the smallest normal number come out as zero, and NumPy sees nothing of it, before or
    after.
    """
    rnnfast.set_num_threads(threads)
    smallest = np.float32(1e-45)
    problem = make_problem(cell, *SIZES, np.float32)
    for array in (problem.x, *problem.state, *problem.weights.values()):
        array *= np.float32(1e-22)
    problem.packed.refresh()
    y, state, tape = problem.forward()
    gradients = gradients_by_name(problem, problem.backward(tape))
    for array in (y, *state, *gradients.values()):
        magnitudes = np.abs(array[array != 0])
        assert (magnitudes >= np.finfo(np.float32).tiny).all()
    assert np.float32(smallest) > 0
    assert np.float32(smallest) / np.float32(1) == smallest
    assert np.finfo(np.float32).smallest_subnormal == smallest
    assert np.finfo(np.float64).smallest_subnormal == 5e-324
    assert (np.full(64, smallest) * np.float32(2) > 0).all()


def test_denormals_do_not_slow_a_decaying_state() -> None:
    """A state that halves with every step passes through all denormals on its way to zero."""
    weights = {"weight_ih": np.zeros((64, 4), np.float32), "weight_hh": 0.5 * np.eye(64, dtype=np.float32)}
    problem = make_problem("rnn_relu", 16, 400, 4, 64, np.float32, bias=False)
    problem.weights.update(weights)
    problem = Problem(
        "rnn_relu", problem.x, (np.full((16, 64), 1e-30, np.float32),), weights, problem.dy, problem.dstate
    )
    y, _, _ = problem.forward()
    assert y[0, 0, 0] > 0
    assert not y[:, 40:].any()
    assert same_bits(y[:1], problem.forward(x=problem.x[:1], state=(problem.state[0][:1],))[0])
