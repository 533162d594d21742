"""Single steps: the fast way and the long way are one computation, see every change of the weights, and share
nothing with each other.
"""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnnfast
from problems import same_bits
from rnnfast import nn, ops, optim

Array = np.ndarray[Any, np.dtype[Any]]
INPUTS, HIDDEN, STEPS = 3, 10, 4


def arrays_of(state: Any) -> tuple[Array, ...]:
    return state if isinstance(state, tuple) else (state,)


def make_layer(cell: str, dtype: type = np.float32, **options: Any) -> nn.Recurrent:
    layer = nn.Recurrent(cell, INPUTS, HIDDEN, dtype=dtype, seed=0, **options)
    random = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data = random.normal(size=parameter.shape) * 0.5
    return layer


def make_x(batch: int, dtype: type = np.float32, steps: int = STEPS) -> Array:
    return np.random.default_rng(2).normal(size=(batch, steps, INPUTS)).astype(dtype)


def counted(layer: nn.Recurrent) -> list[str]:
    """The steps that go the long way, from now on."""
    taken: list[str] = []
    checked = layer._stepper.checked

    def count(operation: str, *arguments: Any) -> Any:
        taken.append(operation)
        return checked(operation, *arguments)

    layer._stepper.checked = count  # type: ignore[method-assign]
    return taken


def long_ways(layer: nn.Recurrent) -> list[str]:
    """The calls that go the long way, from now on."""
    taken: list[str] = []
    forward = layer._stack.forward

    def count(operation: str, *arguments: Any, **options: Any) -> Any:
        taken.append(operation)
        return forward(operation, *arguments, **options)

    object.__setattr__(layer._stack, "forward", count)  # the stack is frozen
    return taken


def long_blocks(layer: nn.Recurrent) -> list[Array]:
    """The blocks of streams that go the long way, from now on."""
    taken: list[Array] = []
    block = layer._stepper.block

    def count(x: Array, state: Any) -> Any:
        taken.append(x)
        return block(x, state)

    layer._stepper.block = count  # type: ignore[method-assign]
    return taken


def option_sets(cell: str) -> list[dict[str, Any]]:
    info = ops.cells()[cell]
    sets: list[dict[str, Any]] = [{}, {"bias": False}, {"zoneout": 0.25}, {"recurrent_dropout": 0.5}]
    sets += [{"layer_norm": kind} for kind in info.layer_norms]
    sets += [{"trainable_state": True}, {"batch_first": False}]
    return sets + ([{"proj_size": 7}] if info.projectable else [])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch", [1, 2, 9])
def test_steps_are_the_whole_sequence_both_ways(
    cell: str, variant: str, dtype: type, batch: int, layers: int
) -> None:
    for options in option_sets(cell):
        layer = make_layer(cell, dtype, num_layers=layers, **options)
        x = make_x(batch, dtype)
        y, final = layer(x if layer.options.batch_first else x.swapaxes(0, 1))
        y = y if layer.options.batch_first else y.swapaxes(0, 1)
        layer.step(x[:, 0])
        taken = counted(layer)
        state = layer.init_state(batch)
        for t in range(STEPS):
            fast, after = layer.step(x[:, t], state)
            reversed_rows = np.ascontiguousarray(x[:, t, ::-1])[:, ::-1]  # not as kernels read it
            assert not taken
            slow, slow_after = layer.step(reversed_rows, state)
            assert taken.pop()
            assert same_bits(fast, np.ascontiguousarray(y[:, t]))
            assert same_bits(slow, fast)
            assert all(map(same_bits, arrays_of(after), arrays_of(slow_after)))
            state = after
        assert all(map(same_bits, arrays_of(state), arrays_of(final)))
        assert same_bits(layer.step(x[:, 0])[0], np.ascontiguousarray(y[:, 0]))


def test_resets_replace_the_state(cell: str) -> None:
    for trainable in (False, True):
        layer = make_layer(cell, num_layers=2, trainable_state=trainable)
        x = make_x(3)
        _, state = layer.step(x[:, 0])
        y, _ = layer.step(x[:, 1], state, resets=np.array([False, True, False]))
        kept, fresh = layer.step(x[:, 1], state)[0], layer.step(x[:, 1])[0]
        assert same_bits(y, np.stack([kept[0], fresh[1], kept[2]]))


def write_through_data(layer: nn.Recurrent) -> None:
    layer.weight_hh_l0.data[0, 0] += 1


def write_through_a_held_view(layer: nn.Recurrent) -> None:
    layer.held[...] += 1


def step_of_an_optimizer(layer: nn.Recurrent) -> None:
    buffer = layer.flatten()
    buffer.grad[...] = 1
    optim.SGD(0.5).step(buffer)


def load_other_weights(layer: nn.Recurrent) -> None:
    layer.load_state_dict({name: array + 1 for name, array in layer.state_dict().items()})


def write_to_the_buffer(layer: nn.Recurrent) -> None:
    buffer = layer.flatten()
    buffer.data += 1
    buffer.version += 1


def put_another_in_its_place(layer: nn.Recurrent) -> None:
    layer.weight_ih_l0 = nn.Parameter(layer.weight_ih_l0.value + 1)


def change_the_other_after_that(layer: nn.Recurrent) -> None:
    put_another_in_its_place(layer)
    layer.step(make_x(1)[:, 0])
    layer.weight_ih_l0.data = 0.25


def move_into_a_model(layer: nn.Recurrent) -> None:
    model = nn.Sequential(layer, nn.Linear(HIDDEN, 1, seed=0))
    buffer = model.flatten()
    layer.step(make_x(1)[:, 0])
    buffer.data += 1
    buffer.version += 1


CHANGES: list[Callable[[nn.Recurrent], None]] = [
    write_through_data,
    write_through_a_held_view,
    step_of_an_optimizer,
    load_other_weights,
    write_to_the_buffer,
    put_another_in_its_place,
    change_the_other_after_that,
    move_into_a_model,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_the_weights_is_seen(cell: str, change: Callable[[nn.Recurrent], None]) -> None:
    layer = make_layer(cell)
    layer.held = layer.bias_ih_l0.data if change is write_through_a_held_view else None
    x, ones = make_x(1), np.ones((1, 1, HIDDEN), np.float32)
    state = ones if len(layer.cell.states) == 1 else (ones, ones)
    before = layer.step(x[:, 0], state)[0]
    layer.step(x[:, 0], state)
    change(layer)
    after, whole = layer.step(x[:, 0], state)[0], layer(x, state)[0][:, 0]
    assert not np.array_equal(before, after)
    fresh = nn.Recurrent(cell, INPUTS, HIDDEN, seed=9)
    fresh.load_state_dict(layer.state_dict())
    assert same_bits(after, fresh.step(x[:, 0], state)[0])
    assert same_bits(after, np.ascontiguousarray(whole))


def test_a_change_between_forward_and_backward_is_refused_in_every_way() -> None:
    for dropout in (0.0, 0.5):
        for change in (write_through_data, write_to_the_buffer, put_another_in_its_place):
            layer = make_layer("gru", weight_dropout=dropout)
            y, _, tape = layer.forward(make_x(2))
            change(layer)
            with pytest.raises(RuntimeError, match="the weights have changed"):
                layer.backward(tape, y)


def test_a_parameter_of_another_shape_or_dtype_is_refused() -> None:
    layer = make_layer("lstm", trainable_state=True)
    for name in ("weight_hh_l0", "initial_c_l0"):
        own = getattr(layer, name)
        for wrong in (np.zeros((1, 2), np.float32), own.value.astype(np.float64)):
            with pytest.raises(ValueError, match=rf"{name}: must have shape .* and dtype float32"):
                setattr(layer, name, nn.Parameter(wrong))
        assert getattr(layer, name) is own
    layer.initial_c_l0 = nn.Parameter(layer.initial_c_l0.value + 1)
    assert same_bits(layer.init_state(1)[1][0, 0], layer.initial_c_l0.value)
    plain = make_layer("lstm")
    for name in ("weight_hh_l9", "initial_h_l0", "other_l0"):  # of no direction, not trainable, of no layer
        setattr(plain, name, nn.Parameter(np.zeros(1, np.float32)))


WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    ("x_t", lambda a: a.tolist()),
    ("x_t", lambda a: a.astype(np.float64)),
    ("x_t", lambda a: a[0]),
    ("x_t", lambda a: a[:, None]),
    ("x_t", lambda a: a[:, :2]),
    ("x_t", lambda a: None),
    ("state", lambda s: s[:, :1]),
    ("state", lambda s: s.astype(np.float64)),
    ("state", lambda s: s[0]),
    ("state", lambda s: "state"),
]


@pytest.mark.parametrize(("argument", "wrong"), WRONG)
def test_errors_are_the_same_whether_or_not_the_fast_way_is_ready(
    cell: str, argument: str, wrong: Callable[[Any], Any]
) -> None:
    texts = set()
    for ready in (False, True):
        layer = make_layer(cell)
        x, state = make_x(2)[:, 0].copy(), layer.init_state(2)
        if ready:
            layer.step(x, state)
        parts = [wrong(part) for part in arrays_of(state)]
        given = (wrong(x), state) if argument == "x_t" else (x, tuple(parts) if len(parts) > 1 else parts[0])
        with pytest.raises((TypeError, ValueError), match=rf"Recurrent.step: {argument}.* got") as error:
            layer.step(*given)
        texts.add(str(error.value))
    assert len(texts) == 1


def test_both_directions_have_no_step() -> None:
    with pytest.raises(ValueError, match=r"LSTM\.step: bidirectional must be False"):
        nn.LSTM(3, 4, bidirectional=True, seed=0).step(np.ones((1, 3), np.float32))


def test_what_a_step_returns_is_nobody_elses(cell: str) -> None:
    layer = make_layer(cell, num_layers=2)
    x = make_x(2)[:, 0].copy()
    for _ in range(2):
        y, state = layer.step(x, layer.init_state(2))
        results = [y, *arrays_of(state)]
        for index, first in enumerate(results):
            assert first.flags.owndata
            assert first.flags.writeable
            assert not any(np.shares_memory(first, other) for other in [*results[index + 1 :], x])


def test_copies_step_with_their_own_weights() -> None:
    layer, x = make_layer("lstm"), make_x(1)[:, 0].copy()
    y = layer.step(x)[0]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        other.weight_hh_l0.data = 0.5
        other.bias_ih_l0.data = 0.5
        assert not np.array_equal(other.step(x)[0], y)
        assert not np.array_equal(other.step(x)[0], y)
        assert same_bits(layer.step(x)[0], y)


def test_another_variant_is_another_step(cell: str) -> None:
    layer, x = make_layer(cell), make_x(1)[:, 0].copy()
    for name in rnnfast.backend.supported_variants():
        with rnnfast.backend.use_variant(name):
            y = layer.step(x)[0]
            assert same_bits(y, layer.step(x)[0])
            fresh = make_layer(cell)
            assert same_bits(y, fresh.step(x)[0])


def test_threads_step_one_layer_at_once(cell: str) -> None:
    layer, x = make_layer(cell, num_layers=2), make_x(1, steps=50)
    expected = layer(x)[0].tobytes()

    def run(_: int) -> bytes:
        state, outputs = None, []
        for t in range(x.shape[1]):
            y, state = layer.step(x[:, t], state)
            outputs.append(y)
        return np.stack(outputs, axis=1).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, range(16))) == {expected}


def test_steps_leave_no_memory_behind() -> None:
    layer, x = make_layer("lstm"), make_x(1)[:, 0].copy()
    state = layer.init_state(1)

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            _, state = layer.step(x, state)

    run(100)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run(10_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 4096


def test_the_fast_way_is_the_one_taken(cell: str) -> None:
    """Strided rows, no state, several samples: none of these needs the long way."""
    layer = make_layer(cell, num_layers=2)
    layer.step(make_x(4)[:, 0])
    taken = counted(layer)
    state = None
    for t in range(STEPS):
        _, state = layer.step(make_x(4)[:, t], state)
    assert not taken


def test_blocks_of_a_stream_take_the_fast_way(cell: str) -> None:
    """With any options; but the block with which a stream begins, and large ones."""
    for options in option_sets(cell):
        if "batch_first" in options:
            continue
        layer, x = make_layer(cell, **options), make_x(4)
        state = layer.stream_state(4)
        layer.stream_process(x, state)
        expected, _ = layer(x, tuple(state.values()) if len(state) > 1 else state["h"])
        taken = long_blocks(layer)
        assert same_bits(layer.stream_process(x, state), expected)
        assert not taken, options
        layer.stream_process(make_x(4, steps=300), state)
        assert taken


@pytest.mark.parametrize("layers", [1, 2])
def test_a_step_of_no_samples(cell: str, dtype: type, layers: int) -> None:
    layer = make_layer(cell, dtype, num_layers=layers)
    y, state = layer.step(np.ones((0, INPUTS), dtype))
    assert y.shape == (0, HIDDEN)
    assert all(part.shape == (layers, 0, HIDDEN) for part in arrays_of(state))


def test_an_array_that_was_held_while_weights_were_packed_is_not_forgotten() -> None:
    layer = make_layer("gru")
    x = make_x(2)
    held = layer.weight_hh_l0.data
    before, _ = layer(x)
    layer.step(x[:, 0])
    held[...] = 0.25
    del held
    fresh = make_layer("gru")
    fresh.load_state_dict(layer.state_dict())
    expected, _ = fresh(x)
    assert not same_bits(before, expected)
    assert same_bits(layer(x)[0], expected)
    assert same_bits(layer.step(x[:, 0])[0], fresh.step(x[:, 0])[0])


def test_a_tape_is_refused_after_a_write_through_an_array_held_since_before() -> None:
    layer = make_layer("gru")
    held = layer.weight_hh_l0.data
    y, _, tape = layer.forward(make_x(2))
    held[...] = 0.25
    del held
    with pytest.raises(RuntimeError, match="weights have changed since forward"):
        layer.backward(tape, y)


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_small_calls_at_inference_are_the_long_ones(
    cell: str, dtype: type, layers: int, variant: str
) -> None:
    """Blocks of few steps go the way of single steps; lengths that say nothing keep a call from it."""
    for options in option_sets(cell):
        layer = make_layer(cell, dtype, num_layers=layers, **options)
        long_way = long_ways(layer)
        batch_first = layer.options.batch_first
        for batch, steps in ((1, 1), (2, 5), (3, 0), (0, 3), (1, 64)):
            x = make_x(batch, dtype, steps)
            x = x if batch_first else x.swapaxes(0, 1)
            state = tuple(part + dtype(0.5) for part in arrays_of(layer.init_state(batch)))
            for given in (None, state if len(state) > 1 else state[0]):
                short = layer(x, given)
                assert len(long_way) == (0 if batch_first else 1)
                long = layer(x, given, lengths=np.full(batch, steps))
                results = zip((short[0], *arrays_of(short[1])), (long[0], *arrays_of(long[1])), strict=True)
                assert all(same_bits(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in results)
                assert layer.forward(x, given, training=False)[2] is None
                long_way.clear()


@pytest.mark.parametrize("units", [1, 15, 33])
def test_a_small_call_and_a_large_one_have_the_same_bits(cell: str, units: int) -> None:
    layer = nn.Recurrent(cell, INPUTS, units, seed=0)
    long_way = long_ways(layer)
    x = np.random.default_rng(3).standard_normal((5, 205, INPUTS)).astype(np.float32)
    whole = layer(x)[0]
    assert long_way  # 1025 rows
    long_way.clear()
    assert same_bits(layer(x[:, :204])[0], np.ascontiguousarray(whole[:, :204]))
    assert same_bits(layer(x[2:3])[0], np.ascontiguousarray(whole[2:3]))
    assert not long_way


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_block_sees_every_change_of_the_weights(change: Callable[[nn.Recurrent], None]) -> None:
    layer = make_layer("lstm")
    layer.held = layer.bias_ih_l0.data if change is write_through_a_held_view else None
    x, ones = make_x(2), np.ones((1, 2, HIDDEN), np.float32)
    before = layer(x, (ones, ones))[0]
    layer(x, (ones, ones))
    change(layer)
    after = layer(x, (ones, ones))[0]
    assert not np.array_equal(before, after)
    fresh = nn.Recurrent("lstm", INPUTS, HIDDEN, seed=9)
    fresh.load_state_dict(layer.state_dict())
    assert same_bits(after, fresh(x, (ones, ones))[0])


@pytest.mark.parametrize("batch", [1, 10])
def test_layers_of_a_block_in_a_wave_give_the_bits_of_one_thread(
    cell: str, dtype: type, variant: str, batch: int
) -> None:
    """Layers below the last one write to two places by turns."""
    x, kinds = make_x(batch, dtype, steps=67), ops.cells()[cell].layer_norms
    for options in ({}, {"zoneout": 0.25}, *({"layer_norm": kind} for kind in kinds)):
        layer = nn.Recurrent(cell, INPUTS, 40, num_layers=4, dtype=dtype, seed=0, **options)
        found = []
        for count in (1, 2):
            rnnfast.set_num_threads(count)
            y, state = layer(x)
            found.append((y, *arrays_of(state), *arrays_of(layer(x, state)[1])))
        assert all(map(same_bits, *found)), options


def test_errors_of_a_stream_name_its_method() -> None:
    layer = make_layer("lstm")
    with pytest.raises(TypeError, match=r"^Recurrent\.stream_process: x must have dtype float32"):
        layer.stream_process(make_x(2, np.float64), layer.stream_state(2))


def test_a_stepper_is_of_one_cell() -> None:
    square = np.zeros((4, 4), np.float32)
    gru = ops.RecurrentWeights("gru", np.tile(square, (3, 1)), np.tile(square, (3, 1)))
    with pytest.raises(ValueError, match="layers must fit together"):
        ops.recurrent_stepper([gru, ops.RecurrentWeights("rnn_tanh", square, square)], zoneout_rates=(0,))


def test_blocks_may_lie_anywhere() -> None:
    layer = make_layer("lstm", num_layers=2)
    x = make_x(3, np.float32, 12)
    wide = np.repeat(x, 2, axis=2)
    long_way = long_ways(layer)
    for given in (
        x[:, ::2],
        x[:, ::-1],
        x[::-1],
        x.swapaxes(0, 1).copy().swapaxes(0, 1),
        wide[:, :, : x.shape[2]],
    ):
        assert same_bits(layer(given)[0], layer(given.copy())[0])
    assert not long_way
    assert same_bits(layer(wide[:, :, ::2])[0], layer(x)[0])
    assert len(long_way) == 1  # not plain


def test_resets_that_are_not_set_take_the_fast_way(cell: str) -> None:
    layer = make_layer(cell)
    x = make_x(3)[:, 0]
    y, state = layer.step(x)
    expected = layer.step(x, state)[0]
    plain = layer._stepper.stack.layout.check_resets
    asked: list[str] = []

    def count(operation: str, *arguments: Any) -> Any:
        asked.append(operation)
        return plain(operation, *arguments)

    object.__setattr__(layer._stepper.stack.layout, "check_resets", count)
    assert same_bits(layer.step(x, state, resets=np.zeros(3, bool))[0], expected)
    assert not asked
    reset = layer.step(x, state, resets=np.array([False, True, False]))[0]
    assert asked
    assert same_bits(reset[::2], expected[::2])
    assert same_bits(reset[1], y[1])


def test_a_parameter_gives_way_to_parameters_alone() -> None:
    layer, head = make_layer("gru"), nn.Linear(2, 3, seed=0)
    for module, name in ((layer, "weight_hh_l0"), (head, "weight")):
        own = getattr(module, name)
        for wrong in (np.zeros(own.shape, np.float32), None):
            with pytest.raises(TypeError, match=rf"{name}: must be a Parameter, got .*assign to {name}.data"):
                setattr(module, name, wrong)
        assert getattr(module, name) is own
