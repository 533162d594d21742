"""Convolution and the WaveNet stack: forward against the reference, gradients against differences, bits over
threads, batch sizes, instruction sets and blocks of a stream, layouts, memory, errors.
"""

from __future__ import annotations

import copy
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

# (N, T, C, O, K, dilation, stride, padding): odd sizes, one of each, taps that reach far before the start, a
# stride that skips inputs, more units than a panel has.
CONVOLUTIONS = [
    (2, 9, 3, 5, 2, 1, 1, "causal"),
    (3, 21, 17, 33, 3, 4, 1, "causal"),
    (1, 1, 1, 1, 1, 1, 1, "causal"),
    (2, 7, 2, 70, 4, 5, 1, "causal"),
    (2, 30, 1, 33, 4, 1, 2, "valid"),
    (2, 31, 5, 40, 3, 2, 3, "valid"),
    (2, 20, 4, 4, 2, 1, 3, "valid"),
    (70, 3, 5, 16, 2, 1, 1, "causal"),
]
# (N, T, C, S, K, dilations, Q)
STACKS: list[tuple[int, int, int, int, int, tuple[int, ...], int]] = [
    (2, 9, 5, 7, 2, (1, 2, 4), 0),
    (3, 23, 17, 40, 3, (1, 3), 4),
    (1, 30, 33, 16, 2, (1, 2, 4, 8) * 2, 3),
    (2, 5, 1, 1, 1, (1,), 0),
    (1, 200, 3, 2, 2, (1, 64), 1),
    (70, 3, 6, 5, 2, (2, 1), 0),
]
# More rows than go through the layers together: gradients of weights go on from group to group of samples.
GROUPS = (5, 600, 2, 3, 2, (1, 2), 1)
ACTIVATIONS = [None, "relu", "tanh", "sigmoid"]


def make_convolution(sizes: Any, dtype: Any, activation: str | None = None, **options: Any) -> nn.Conv1d:
    _, _, inputs, outputs, kernel, dilation, stride, padding = sizes
    layer = nn.Conv1d(
        inputs, outputs, kernel, dilation=dilation, stride=stride, padding=padding, activation=activation,
        dtype=dtype, seed=1, **options,
    )  # fmt: skip
    randomize(layer)
    return layer


def make_stack(sizes: Any, dtype: Any) -> nn.WaveNetStack:
    _, _, channels, skip, kernel, dilations, condition = sizes
    stack = nn.WaveNetStack(
        channels, skip_channels=skip, kernel_size=kernel, dilations=dilations, condition_size=condition,
        dtype=dtype, seed=1,
    )  # fmt: skip
    random = np.random.default_rng(2)
    for parameter in stack.parameters():  # of a size at which no layer saturates
        values = random.standard_normal(parameter.shape)
        parameter.data = values / np.sqrt(np.prod(parameter.shape[1:])) if values.ndim > 1 else 0.3 * values
    return stack


def inputs_of(sizes: Any, dtype: Any) -> tuple[Array, Array | None]:
    """x, and the condition of a stack that has one."""
    random = np.random.default_rng(3)
    x = random.standard_normal(sizes[:3]).astype(dtype)
    width = sizes[6] if len(sizes) == 7 else 0
    return x, random.standard_normal((*sizes[:2], width)).astype(dtype) if width else None


def referenced(module: nn.Conv1d | nn.WaveNetStack, x: Array, condition: Array | None = None) -> Array:
    if isinstance(module, nn.WaveNetStack):
        parameters = dict(module.named_parameters())
        layers = [
            {
                name.removesuffix(f"_l{layer}"): parameter.value
                for name, parameter in parameters.items()
                if name.endswith(f"_l{layer}")
            }
            for layer in range(len(module.dilations))
        ]
        return reference.wavenet_stack(x, layers, module.dilations, condition)
    assert module.bias is not None
    sums = reference.conv1d(
        x,
        module.weight.value,
        module.bias.value,
        dilation=module.dilation,
        stride=module.stride,
        padding=module.padding,
    )
    with np.errstate(over="ignore"):
        functions = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "sigmoid": reference.sigmoid}
        return functions[module.activation](sums) if module.activation else sums


def tolerance(dtype: Any, depth: int) -> float:
    return 1e-12 if dtype is np.float64 else 2e-5 * depth**0.5


@pytest.mark.parametrize("sizes", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_convolution_forward(sizes: Any, activation: str | None, variant: str, dtype: type) -> None:
    layer = make_convolution(sizes, dtype, activation)
    x, _ = inputs_of(sizes, dtype)
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, referenced(layer, x), atol=tolerance(dtype, sizes[2] * sizes[4]), rtol=0)
    assert y.shape[1] == layer.output_steps(x.shape[1])
    assert same_bits(layer.forward(x)[0], y)


@pytest.mark.parametrize("sizes", STACKS, ids=str)
def test_stack_forward(sizes: Any, variant: str, dtype: type) -> None:
    stack = make_stack(sizes, dtype)
    x, condition = inputs_of(sizes, dtype)
    y, _ = stack.forward(x, condition, training=False)
    depth = 20 * (sizes[2] * sizes[4] + sizes[6])  # errors of one layer are the inputs of the next
    np.testing.assert_allclose(y, referenced(stack, x, condition), atol=tolerance(dtype, depth), rtol=0)
    assert same_bits(stack.forward(x, condition)[0], y)


def gradients_of(module: Any, x: Array, condition: Array | None, dy: Array) -> dict[str, Array]:
    """Of x, the condition and all parameters, by name."""
    module.zero_grad()
    if condition is None:
        _, tape = module.forward(x)
        found = {"x": module.backward(tape, dy)}
    else:
        _, tape = module.forward(x, condition)
        dx, dcondition = module.backward_with_condition(tape, dy)
        found = {"x": dx, "condition": dcondition}
    return found | {name: parameter.grad.copy() for name, parameter in module.named_parameters()}


def check_module(module: Any, x: Array, condition: Array | None = None) -> None:
    """Gradients against differences."""
    inputs = {"x": x, **({} if condition is None else {"condition": condition}), **module.state_dict()}
    y = module.forward(*(array for array in (x, condition) if array is not None))[0]
    dy = np.random.default_rng(4).standard_normal(y.shape)
    gradients = gradients_of(module, x, condition, dy)

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        module.load_state_dict({name: a for name, a in arrays.items() if name not in ("x", "condition")})
        given = [arrays[name] for name in ("x", "condition") if name in arrays]
        return (module.forward(*given, training=False)[0],)

    check_gradients(outputs, (dy,), inputs, gradients)


# More rows than the weight gradient lists at once.
LONG = (2, 700, 2, 3, 2, 1, 1, "causal")


@pytest.mark.parametrize("sizes", [*CONVOLUTIONS, LONG], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_convolution_gradients(sizes: Any, activation: str | None, variant: str) -> None:
    if sizes[0] == 1 and activation == "relu":
        sizes = (3, *sizes[1:])  # of one output alone the relu may be off
    check_module(make_convolution(sizes, np.float64, activation), inputs_of(sizes, np.float64)[0])


@pytest.mark.parametrize("sizes", [*STACKS, GROUPS], ids=str)
def test_stack_gradients(sizes: Any, variant: str) -> None:
    check_module(make_stack(sizes, np.float64), *inputs_of(sizes, np.float64))


def test_a_condition_per_sequence_is_one_held_over_time(dtype: type) -> None:
    sizes = STACKS[1]
    stack = make_stack(sizes, dtype)
    x, condition = inputs_of(sizes, dtype)
    assert condition is not None
    held = condition[:, 0]
    whole = np.repeat(held[:, None], sizes[1], axis=1)
    assert same_bits(stack.forward(x, held)[0], stack.forward(x, whole)[0])
    dy = np.ones((*sizes[:2], sizes[3]), dtype)
    gradients = gradients_of(stack, x, held, dy)
    assert same_bits(gradients["condition"], gradients_of(stack, x, whole, dy)["condition"].sum(axis=1))


def modules(dtype: Any) -> list[tuple[Any, Any]]:
    convolutions = [(make_convolution(sizes, dtype, "tanh"), sizes) for sizes in CONVOLUTIONS]
    return [*convolutions, *((make_stack(sizes, dtype), sizes) for sizes in STACKS)]


def everything(module: Any, x: Array, condition: Array | None) -> list[Array]:
    y = module.forward(*(array for array in (x, condition) if array is not None))[0]
    dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    return [y, *gradients_of(module, x, condition, dy).values()]


def test_threads_do_not_change_a_bit(variant: str, dtype: type) -> None:
    # Enough work for three threads, samples that do not divide evenly among them.
    large = [
        (3, 700, 40, 50, 3, 2, 1, "causal"),
        (5, 900, 16, 64, 4, 1, 2, "valid"),
        (64, 40, 20, 30, 2, 1, 1, "causal"),
    ]
    cases: list[tuple[Any, Any]] = [(make_convolution(sizes, dtype), sizes) for sizes in large]
    stacks = [
        (3, 700, 24, 40, 2, (1, 2, 4), 3),
        (1, 2000, 16, 16, 3, (1, 9), 0),
        (64, 40, 20, 20, 2, (1, 2), 0),
    ]
    cases += [(make_stack(sizes, dtype), sizes) for sizes in stacks]
    for module, sizes in cases:
        results = []
        for threads in (1, 2, 3):
            rnnfast.set_num_threads(threads)
            results.append(everything(module, *inputs_of(sizes, dtype)))
        assert all(same_bits(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_instruction_sets_agree_to_the_bit(dtype: type) -> None:
    names = [name for name in backend.supported_variants() if name != "scalar"]
    for module, sizes in modules(dtype):
        results = []
        for name in names:
            with backend.use_variant(name):
                results.append(everything(module, *inputs_of(sizes, dtype)))
        assert all(same_bits(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


def test_a_sample_does_not_depend_on_its_batch(variant: str, dtype: type) -> None:
    for module, sizes in modules(dtype):
        x, condition = inputs_of(sizes, dtype)
        y = module.forward(*(a for a in (x, condition) if a is not None), training=False)[0]
        for n in (0, sizes[0] - 1):
            own = [a[n : n + 1] for a in (x, condition) if a is not None]
            assert same_bits(module.forward(*own, training=False)[0], y[n : n + 1])
            dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype)
            whole = gradients_of(module, x, condition, dy)
            part = gradients_of(
                module, *(None if a is None else a[n : n + 1] for a in (x, condition)), dy[n : n + 1]
            )
            assert all(
                same_bits(whole[key][n : n + 1], part[key]) for key in ("x", "condition") if key in part
            )
        x = x.copy()
        x[0] = np.nan  # a bad sample stays alone
        bad = module.forward(*(a for a in (x, condition) if a is not None), training=False)[0]
        assert same_bits(bad[1:], y[1:])


@pytest.mark.parametrize(
    "cuts", [(1,) * 400, (2, 0, 5, 1, 300), (64, 64, 300)], ids=lambda cuts: str(cuts[:5])
)
def test_blocks_are_the_whole(cuts: tuple[int, ...], variant: str, dtype: type) -> None:
    for module, sizes in modules(dtype):
        x, condition = inputs_of(sizes, dtype)
        whole = module.forward(*(a for a in (x, condition) if a is not None), training=False)[0]
        state, parts, start = module.stream_state(sizes[0]), [], 0
        for size in cuts:
            block = slice(start, start + size)
            given = (x[:, block],) if condition is None else (x[:, block], state, condition[:, block])
            parts.append(module.stream_process(*given, *(() if condition is not None else (state,))))
            start += size
            if start >= sizes[1]:
                break
        assert same_bits(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_any_layout_gives_the_same_bits(layout: Any, variant: str, dtype: type) -> None:
    for module, sizes in modules(dtype):
        x, condition = inputs_of(sizes, dtype)
        y = module.forward(*(a for a in (x, condition) if a is not None))[0]
        dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype)
        expected = gradients_of(module, x, condition, dy)
        odd = gradients_of(module, layout(x), None if condition is None else layout(condition), layout(dy))
        assert all(same_bits(expected[name], odd[name]) for name in expected)


@pytest.mark.parametrize("batch_steps", [(0, 5), (3, 0), (0, 0)], ids=str)
def test_empty_input(batch_steps: tuple[int, int], variant: str, dtype: type) -> None:
    for module, sizes in modules(dtype):
        if getattr(module, "padding", "") == "valid" and batch_steps[1] < module.receptive_field:
            continue
        x, condition = inputs_of((*batch_steps, *sizes[2:]), dtype)
        results = everything(module, x, condition)
        steps = batch_steps[1] if sizes in STACKS else module.output_steps(batch_steps[1])
        assert results[0].shape[:2] == (batch_steps[0], steps)
        assert all(not gradient.any() for gradient in results[1:])  # sums over nothing


def test_nothing_is_written_around_a_result(variant: str, dtype: type) -> None:
    """The kernels write into windows of guarded memory."""
    from rnnfast import _core

    sizes = (3, 21, 17, 33, 3, 4, 1, "causal")
    layer = make_convolution(sizes, dtype, "tanh")
    x, _ = inputs_of(sizes, dtype)
    weights = ops.Conv1dWeights(
        layer.weight.value, layer.bias.value if layer.bias else None, dilation=4, activation="tanh"
    )
    guard = dtype(-12345.5)
    memory = np.full((5, 23, 40), guard, dtype)
    window = (slice(1, 4), slice(1, 22), slice(3, 36))
    _core.conv1d_forward(
        x=x, packed=weights.packed(False), y=memory[window], **weights.geometry(-8), ring=None, position=0
    )
    assert same_bits(memory[window].copy(), layer(x))
    memory[window] = guard
    assert (memory == guard).all()
    stack = make_stack(STACKS[1], dtype)
    x, condition = inputs_of(STACKS[1], dtype)
    own = stack._weights()
    memory = np.full((5, 25, 47), guard, dtype)
    window = (slice(1, 4), slice(1, 24), slice(3, 43))
    _core.wavenet_forward(
        x=x, condition=condition, packed=own.packed(False), dilations=own.steps_back, kernel=3, ring=None,
        position=0, skip=memory[window], inputs=None, gates=None,
    )  # fmt: skip
    assert same_bits(memory[window].copy(), stack.forward(x, condition)[0])
    memory[window] = guard
    assert (memory == guard).all()


def test_a_tape_serves_once_and_two_may_be_open(dtype: type) -> None:
    for module, sizes in modules(dtype):
        x, condition = inputs_of(sizes, dtype)
        given = [a for a in (x, condition) if a is not None]
        y, first = module.forward(*given)
        _, second = module.forward(*given)
        module.zero_grad()
        dx = module.backward(first, y)
        assert same_bits(dx, module.backward(second, y))
        with pytest.raises(RuntimeError, match="tape must be used once"):
            module.backward(first, y)
        copied = copy.deepcopy(module)
        assert same_bits(copied.forward(*given)[0], y)


def test_changed_weights_are_seen(dtype: type) -> None:
    layer = make_convolution(CONVOLUTIONS[0], dtype)
    x, _ = inputs_of(CONVOLUTIONS[0], dtype)
    before = layer(x)
    layer.weight.data[...] *= 2
    assert not np.array_equal(layer(x), before)
    held = layer.weight.data
    layer(x)
    held[...] = 0  # through an array that was handed out earlier
    assert np.ptp(layer(x), axis=1).max() == 0


def test_output_lengths() -> None:
    layer = nn.Conv1d(1, 1, 4, stride=2, padding="valid", seed=0)
    assert layer.output_lengths([0, 3, 4, 5, 6, 112]).tolist() == [0, 0, 1, 1, 2, 55]
    assert nn.Conv1d(1, 1, 4, seed=0).output_lengths([0, 3]).tolist() == [0, 3]
    assert nn.Conv1d(1, 1, 4, dilation=5, seed=0).receptive_field == 16
    assert nn.WaveNetStack(2, dilations=(1, 2, 4) * 2, kernel_size=3, seed=0).receptive_field == 29


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 0}, "Conv1d: kernel_size must be 1 or more, got 0"),
        ({"dilation": 0}, "Conv1d: dilation must be 1 or more, got 0"),
        ({"stride": 2}, "Conv1d: stride must be 1 with padding='causal'.*got 2; pass padding='valid'"),
        ({"padding": "same"}, "Conv1d: padding must be 'causal' or 'valid', got 'same'"),
        ({"activation": "elu"}, "Conv1d: activation must be None, 'relu', 'tanh' or 'sigmoid', got 'elu'"),
    ],
    ids=str,
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.Conv1d(**{"in_channels": 3, "out_channels": 4, "kernel_size": 2, **options})


def test_errors_name_what_is_wrong() -> None:
    layer = nn.Conv1d(3, 4, 5, dilation=2, padding="valid", seed=0)
    with pytest.raises(
        ValueError, match=r"Conv1d.forward: x must have T of 9 or more steps.*got \(2, 8, 3\)"
    ):
        layer(np.zeros((2, 8, 3), np.float32))
    with pytest.raises(
        ValueError, match=r"Conv1d.forward: x must have shape \(N, T, in_channels\) = \(\*, \*, 3\)"
    ):
        layer(np.zeros((2, 9, 4), np.float32))
    with pytest.raises(TypeError, match=r"Conv1d.forward: x must have dtype float32, got float64"):
        layer(np.zeros((2, 9, 3)))
    y, tape = layer.forward(np.zeros((2, 9, 3), np.float32))
    with pytest.raises(
        ValueError, match=r"Conv1d.backward: dy must have shape .*= \(2, 1, 4\), got \(2, 2, 4\)"
    ):
        layer.backward(tape, np.zeros((2, 2, 4), np.float32))
    layer.backward(tape, y)
    stack = nn.WaveNetStack(3, dilations=(1, 2), condition_size=2, seed=0)
    x = np.zeros((2, 5, 3), np.float32)
    with pytest.raises(
        ValueError, match=r"condition must be given with condition_size=2, got None; pass cond"
    ):
        stack(x)
    with pytest.raises(TypeError, match=r"WaveNetStack.forward: condition must be a NumPy array"):
        stack(x, [1.0, 2.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"condition must have shape \(N, T, condition_size\) = \(2, 5, 2\)"):
        stack.forward(x, np.zeros((2, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"condition must be None with condition_size=0.*condition_size=2"):
        nn.WaveNetStack(3, seed=0).forward(x, np.zeros((2, 5, 2), np.float32))
    with pytest.raises(
        ValueError, match=r"WaveNetStack: dilations must be a tuple of one or more ints, got \(\)"
    ):
        nn.WaveNetStack(3, dilations=())


def test_a_held_view_of_another_parameter_costs_nothing(dtype: type) -> None:
    model = nn.Sequential(make_convolution(CONVOLUTIONS[0], dtype), nn.Linear(5, 2, dtype=dtype, seed=0))
    model.flatten()
    layer: Any = model[0]
    packed = layer._weights()
    held = model[1].weight.data  # type: ignore[attr-defined]
    assert layer._weights() is packed
    own = layer.weight.data
    assert layer._weights() is not packed
    own[...] = 0
    assert not np.array_equal(layer._weights().weight, packed.weight)
    del held, own
    assert layer._weights() is layer._weights()


def test_a_parameter_put_in_anothers_place_is_used(dtype: type) -> None:
    for module, sizes in (modules(dtype)[0], modules(dtype)[-3]):
        x, condition = inputs_of(sizes, dtype)
        given = [a for a in (x, condition) if a is not None]
        before = module.forward(*given)[0]
        name = next(name for name, _ in module.named_parameters())
        setattr(module, name, nn.Parameter(2 * getattr(module, name).value))
        assert not np.array_equal(module.forward(*given)[0], before)
        module.zero_grad()
        y, tape = module.forward(*given)
        module.backward(tape, y)
        assert getattr(module, name).grad.any()


def test_open_tapes_keep_their_weights(dtype: type) -> None:
    cases: list[tuple[Any, Array]] = [
        (make_convolution(CONVOLUTIONS[0], dtype), inputs_of(CONVOLUTIONS[0], dtype)[0]),
        (make_stack(STACKS[3], dtype), inputs_of(STACKS[3], dtype)[0]),
        (nn.LayerNorm(3, dtype=dtype), inputs_of(CONVOLUTIONS[0], dtype)[0]),
        (nn.Linear(3, 4, dtype=dtype, seed=0), inputs_of(CONVOLUTIONS[0], dtype)[0]),
    ]
    for module, x in cases:
        y, first = module.forward(x)
        dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(dtype)
        expected = module.backward(first, dy)
        _, tape = module.forward(x)
        for parameter in module.parameters():
            parameter.data *= 3
        assert same_bits(module.backward(tape, dy), expected)
