"""What a training step costs besides its arithmetic: calls into the core, copies, memory."""

from __future__ import annotations

import pickle
import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest

from rnnfast import _core, losses, models, nn, ops, optim


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function and class of the core was called."""
    counts: Counter[str] = Counter()

    def counting(name: str, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            counts[name] += 1
            return function(*arguments, **named)

        return call

    for name, value in vars(_core).items():
        if callable(value) and not name.startswith("_"):
            monkeypatch.setattr(_core, name, counting(name, value))
    return counts


def make_step(**options: Any) -> Any:
    model = models.Seq2Seq(1, 20, 1, 2, seed=0, **options)
    buffer, optimizer, loss = model.flatten(), optim.Adam(1e-3), losses.MSE()
    x = np.random.default_rng(0).normal(size=(4, 5, 1)).astype(np.float32)

    def step() -> None:
        model.zero_grad()
        y, tape = model.forward(x)
        model.backward(tape, loss(y, x)[1])
        optimizer.step(buffer)

    return step


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_a_two_layer_step_makes_few_calls_into_the_core(name: str, calls: Counter[str]) -> None:
    step = make_step(cell=name)
    step()
    step()
    calls.clear()
    step()
    assert calls["PackedWeights"] == 0  # weights that have changed are packed again, not checked again
    assert calls["stack_forward"] == calls["stack_backward"] == 1  # both layers
    assert calls["linear_forward"] == calls["linear_backward"] == calls["adam"] == 1
    assert calls.total() <= 11, calls


def test_steps_leave_no_memory_behind() -> None:
    step = make_step(cell="lstm")
    tracemalloc.start()
    for _ in range(500):  # until free lists and caches of the interpreter are full
        step()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(500):
        step()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 4096


def test_open_tapes_keep_the_weights_of_their_forward_call_while_others_are_packed() -> None:
    """Weights are packed into new memory: what another call holds stays as it was."""
    layer = nn.LSTM(2, 5, seed=0)
    (used,) = layer._stack.packed()[1]
    bits = used.packed(False).tobytes(), used.packed(True).tobytes()
    for value in (0.1, 0.2):
        layer.weight_hh_l0.data = value
        assert layer._stack.packed()[1][0].packed(True).tobytes() != bits[1]
    assert (used.packed(False).tobytes(), used.packed(True).tobytes()) == bits


def test_accumulation_is_that_of_numpy(dtype: type) -> None:
    random = np.random.default_rng(0)
    shapes = ((3, 5), (7,), (0, 4), (1,))
    targets = [random.normal(size=shape).astype(dtype) for shape in shapes]
    sources = [random.normal(size=shape).astype(dtype) for shape in shapes]
    expected = [target + source for target, source in zip(targets, sources, strict=True)]
    ops.accumulate(targets, sources)
    assert [a.tobytes() for a in targets] == [a.tobytes() for a in expected]


def test_accumulation_refuses_what_is_not_alike() -> None:
    one, two = np.zeros(3, np.float32), np.zeros((3, 2), np.float32)
    fixed = one.copy()
    fixed.flags.writeable = False
    for target, source in (
        *((one, two), (one, one.astype(np.float64)), (two[:, 0], one), (fixed, one), (one, two[:, 0])),
        *((one, [1.0, 2.0, 3.0]), ([1.0], one)),
    ):
        with pytest.raises((TypeError, ValueError), match="_core: targets"):
            ops.accumulate([target], [source])
    with pytest.raises(ValueError, match="_core: sources must be as many as targets"):
        ops.accumulate([one], [])


def test_gradients_in_memory_of_another_kind() -> None:
    """A subclass of ndarray, such as a memory map, holds gradients like any array."""

    class Mapped(np.ndarray):
        pass

    layer = nn.GRU(2, 3, seed=0)
    parameters = list(layer.parameters())
    size = sum(parameter.size for parameter in parameters)
    buffer = nn.ParameterBuffer(np.zeros(size, np.float32), np.zeros(size, np.float32).view(Mapped))
    offset = 0
    for parameter in parameters:
        parameter.move_to(buffer, offset)
        offset += parameter.size
    y, _, tape = layer.forward(np.ones((1, 4, 2), np.float32))
    layer.backward(tape, y)
    assert all(parameter.grad.any() for parameter in parameters)


SHARED = np.zeros(8)


@pytest.mark.parametrize(
    ("data", "grad", "message"),
    [
        (np.zeros(4, int), None, "data must be float32 or float64, got int64"),
        (np.zeros(4, ">f4"), None, "data must be float32 or float64, got >f4"),
        (np.zeros(4), np.zeros(4, np.float32), "grad must be float64, got float32"),
        (np.zeros(4), np.zeros(3), r"grad must have shape \(4,\), got \(3,\)"),
        (np.zeros((2, 2)), None, r"data must have shape \(4,\), got \(2, 2\)"),
        (np.zeros(4), np.zeros(8)[::2], "grad must be contiguous and aligned, got strides"),
        (np.zeros(4), np.frombuffer(bytearray(33), np.float64, 4, 1), "grad must be contiguous and aligned"),
        (np.zeros(4), np.frombuffer(bytes(32), np.float64), "grad must be writable, got a read-only array"),
        (np.ma.masked_array(np.zeros(4)), None, "data must not be masked"),
        (SHARED[:4], SHARED[3:7], "grad must not share memory with data"),
    ],
)
def test_memory_that_no_kernel_can_add_to_is_refused(data: Any, grad: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"ParameterBuffer: {message}"):
        nn.ParameterBuffer(data, grad)


def test_a_pickle_that_shares_its_memory_gives_gradients_that_can_be_added_to() -> None:
    layer, memory = nn.Linear(3, 2, seed=0), []
    data = pickle.dumps(layer, protocol=5, buffer_callback=memory.append)
    again = pickle.loads(data, buffers=[bytes(part) for part in memory])
    y, tape = again.forward(np.ones((1, 3), np.float32))
    again.backward(tape, y)
    assert again.weight.grad.any()


def test_a_parameter_stays_where_it_is_if_it_cannot_move() -> None:
    layer = nn.Linear(3, 2, seed=0)
    values = layer.weight.data.copy()
    fixed = np.zeros(8, np.float32)
    fixed.flags.writeable = False
    for buffer, offset, message in (
        (nn.ParameterBuffer(np.zeros(8)), 0, "buffer must be of dtype float32, got float64"),
        (nn.ParameterBuffer(np.zeros(8, np.float32)), 3, "offset must leave room for 6 values .* 8, got 3"),
        (nn.ParameterBuffer(np.zeros(8, np.float32)), -1, "offset must leave room"),
        (nn.ParameterBuffer(fixed), 0, "data of the buffer must be writable"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"Parameter.move_to: {message}"):
            layer.weight.move_to(buffer, offset)
        assert np.array_equal(layer.weight.data, values)


def test_nothing_is_added_where_one_array_does_not_fit() -> None:
    targets = [np.zeros(3, np.float32), np.zeros(3, np.float32)]
    with pytest.raises(ValueError, match="contiguous and alike"):
        ops.accumulate(targets, [np.ones(3, np.float32), np.ones(4, np.float32)])
    assert not targets[0].any()
