"""Convolution, layer norm, embedding and WaveNet stacks against PyTorch: same parameters, same numbers, and
the gradients of its autograd.

PyTorch convolves [N, C, T] and knows no causal padding: zeros are put in front there, and the axes swapped.
Not here: recurrent layers (``test_torch_parity``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from problems import randomize
from rnnfast import nn

torch = pytest.importorskip("torch", reason="torch is not installed")
functional = torch.nn.functional

Array = np.ndarray[Any, np.dtype[Any]]
Options = dict[str, Any]
Tensor = Any
Named = dict[str, Any]
BATCH, STEPS = 3, 23
# Of the largest value: a sum of a few hundred terms, layer upon layer, rounds so far.
TOLERANCE = {np.float32: 5e-6, np.float64: 1e-12}
ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda v: v,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Nothing here is large, and threads that wait for one another take longest of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check(
    module: nn.Module, shape: tuple[int, ...] | Array, theirs: Callable[[Tensor, Named], Tensor], dtype: Any
) -> None:
    """Compare y, dx and the gradients of all parameters with those of `theirs`, a function of x and the
    parameters by name. All of these are random, and so are dy and, where only its shape is given, x.
    """
    random = np.random.default_rng(1)
    for parameter in module.parameters():
        # A sum over any number of channels keeps the size of one of its terms.
        scale = float(np.prod(parameter.shape[1:])) ** -0.5
        parameter.data = scale * random.standard_normal(parameter.shape)
    x = random.standard_normal(shape).astype(dtype) if isinstance(shape, tuple) else shape
    y, tape = module.forward(x, training=True)
    dy = random.standard_normal(y.shape).astype(dtype)
    mine = {"y": y, "dx": module.backward(tape, dy)}
    mine |= {f"d{name}": parameter.grad for name, parameter in module.named_parameters()}
    named = {name: torch.from_numpy(array).requires_grad_() for name, array in module.state_dict().items()}
    tracked = torch.from_numpy(x.copy())
    if tracked.is_floating_point():
        tracked.requires_grad_()
    else:
        del mine["dx"]
    output = theirs(tracked, named)
    output.backward(torch.from_numpy(dy))
    expected = {"y": output.detach().numpy()}
    expected |= {f"d{name}": leaf.grad.numpy() for name, leaf in named.items()}
    if "dx" in mine:
        expected["dx"] = tracked.grad.numpy()
    assert mine.keys() == expected.keys()
    for key, array in expected.items():
        assert np.abs(array).max() > 0, key
        bound = TOLERANCE[dtype] * max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(mine[key], array, rtol=0, atol=bound, err_msg=key)


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor, causal: bool, dilation: int, stride: int = 1
) -> Tensor:
    """[N, T, C] -> [N, T_out, O]."""
    x = x.transpose(1, 2)
    if causal:
        x = functional.pad(x, (dilation * (weight.shape[2] - 1), 0))
    return functional.conv1d(x, weight, bias, stride, dilation=dilation).transpose(1, 2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dilation", [1, 2, 5, 16])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_causal_convolution(kernel: int, dilation: int, activation: str | None, dtype: type) -> None:
    """Up to a dilation whose first tap lies before every sequence."""
    layer = nn.Conv1d(5, 7, kernel, dilation=dilation, activation=activation, dtype=dtype, seed=0)

    def theirs(x: Tensor, own: Named) -> Tensor:
        return ACTIVATIONS[activation](convolved(x, own["weight"], own["bias"], True, dilation))

    check(layer, (BATCH, STEPS, 5), theirs, dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("stride", [1, 2, 3, 7])
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (4, 1), (3, 4)])
def test_valid_convolution(
    kernel: int, dilation: int, stride: int, activation: str | None, dtype: type
) -> None:
    options: Options = {"dilation": dilation, "stride": stride, "activation": activation}
    layer = nn.Conv1d(5, 7, kernel, padding="valid", dtype=dtype, seed=0, **options)

    def theirs(x: Tensor, own: Named) -> Tensor:
        return ACTIVATIONS[activation](convolved(x, own["weight"], own["bias"], False, dilation, stride))

    check(layer, (BATCH, STEPS, 5), theirs, dtype)


@pytest.mark.parametrize("padding", ["causal", "valid"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 32), (16, 16), (17, 33), (64, 48), (130, 20)])
def test_channels_of_any_number(inputs: int, outputs: int, padding: str, dtype: type) -> None:
    layer = nn.Conv1d(inputs, outputs, 2, dilation=3, padding=padding, bias=False, dtype=dtype, seed=0)

    def theirs(x: Tensor, own: Named) -> Tensor:
        return convolved(x, own["weight"], None, padding == "causal", 3)

    check(layer, (BATCH, STEPS, inputs), theirs, dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(4, 2), (4, 5), (2, 3, 16), (2, 3, 37), (257,)], ids=str)
def test_layer_norm(shape: tuple[int, ...], activation: str | None, dtype: type) -> None:
    layer = nn.LayerNorm(shape[-1], activation=activation, dtype=dtype)

    def theirs(x: Tensor, own: Named) -> Tensor:
        normed = functional.layer_norm(x, shape[-1:], own["weight"], own["bias"])
        return ACTIVATIONS[activation](normed)

    x = 3 + 2 * np.random.default_rng(0).standard_normal(shape)
    check(layer, x.astype(dtype), theirs, dtype)


@pytest.mark.parametrize("padding_index", [None, 0, 2])
@pytest.mark.parametrize("shape", [(11,), (4, 6), (2, 3, 4)], ids=str)
def test_embedding(shape: tuple[int, ...], padding_index: int | None, dtype: type) -> None:
    """Of six tokens, each of which comes several times, PyTorch's gradient on padding being zero too."""
    layer = nn.Embedding(6, 5, padding_index=padding_index, dtype=dtype, seed=0)

    def theirs(x: Tensor, own: Named) -> Tensor:
        return functional.embedding(x, own["weight"], padding_idx=padding_index)

    index = np.random.default_rng(3).integers(0, 6, shape)
    check(layer, index, theirs, dtype)
    assert padding_index is None or not layer.weight.grad[padding_index].any()


def stack_of_torch(x: Tensor, own: Named, dilations: tuple[int, ...], condition: Tensor = None) -> Tensor:
    """The sum of the skips; the condition is [N, T, Q] or [N, 1, Q]."""
    total = 0.0
    for layer, dilation in enumerate(dilations):
        gates = convolved(x, own[f"weight_l{layer}"], own[f"bias_l{layer}"], True, dilation)
        if condition is not None:
            gates = gates + functional.linear(condition, own[f"weight_condition_l{layer}"])
        f, g = gates.chunk(2, 2)
        z = torch.tanh(f) * torch.sigmoid(g)
        total = total + functional.linear(z, own[f"weight_skip_l{layer}"], own[f"bias_skip_l{layer}"])
        if layer < len(dilations) - 1:
            x = x + functional.linear(z, own[f"weight_residual_l{layer}"], own[f"bias_residual_l{layer}"])
    return total


@pytest.mark.parametrize("channels", [1, 5, 16, 33])
@pytest.mark.parametrize("dilations", [(1,), (1, 2, 4, 8), (1, 2, 16, 1, 2, 16)], ids=str)
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_wavenet_stack(kernel: int, dilations: tuple[int, ...], channels: int, dtype: type) -> None:
    stack = nn.WaveNetStack(
        channels, skip_channels=channels + 2, kernel_size=kernel, dilations=dilations, dtype=dtype, seed=0
    )
    check(stack, (BATCH, 2 * STEPS, channels), lambda x, own: stack_of_torch(x, own, dilations), dtype)


@pytest.mark.parametrize("held", [False, True], ids=["per-step", "per-sequence"])
def test_condition_of_a_wavenet_stack(held: bool, dtype: type) -> None:
    """All gradients; that of a condition which holds over time is a sum over it."""
    dilations, channels, size = (1, 2, 4), 7, 3
    stack = nn.WaveNetStack(channels, dilations=dilations, condition_size=size, dtype=dtype, seed=0)
    randomize(stack)
    random = np.random.default_rng(4)
    front = (BATCH,) if held else (BATCH, STEPS)
    shapes = [(BATCH, STEPS, channels), (*front, size), (BATCH, STEPS, channels)]
    x, condition, dy = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    y, tape = stack.forward(x, condition, training=True)
    dx, dcondition = stack.backward_with_condition(tape, dy)
    mine = [y, dx, dcondition, *(parameter.grad for parameter in stack.parameters())]

    own = {name: torch.from_numpy(array).requires_grad_() for name, array in stack.state_dict().items()}
    leaves = [torch.from_numpy(array).requires_grad_() for array in (x, condition)]
    expected = stack_of_torch(leaves[0], own, dilations, leaves[1][:, None] if held else leaves[1])
    expected.backward(torch.from_numpy(dy))
    arrays = [expected.detach(), *(leaf.grad for leaf in (*leaves, *own.values()))]
    for array, other in zip(mine, arrays, strict=True):
        bound = TOLERANCE[dtype] * max(1.0, float(other.abs().max()))
        np.testing.assert_allclose(array, other.numpy(), rtol=0, atol=bound)
