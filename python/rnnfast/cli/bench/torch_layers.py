"""WaveNet stacks, convolutions and layer norms in PyTorch, as its users write them: in [N, C, T], its order.

A layer that can be written in several ways has several forms: zeros in front of the sequence (`pad`), or on
both sides with the surplus cut off (`cut`); the two gates, and residual and skip, as one convolution of twice
the channels (`joint`) or as two (`apart`). The fastest is timed. Imports torch: `torch_rival` imports this
when torch is asked for, nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from .checks import Array
from .convolution_cases import Case, ConvolutionCase, LayerNormCase, WaveNetCase
from .timing import Job, Prepared

Forward = Callable[[torch.Tensor], torch.Tensor]
# Of one convolution or several: weight and bias.
Weights = list[tuple[torch.Tensor, torch.Tensor]]


class Contender:
    """One form of a case.

    Args:
        case: the layer and its sizes.
        form: one of `forms`.
        arrays: values of the parameters by name, as rnnfast's.
        x: as rnnfast's.
        dy: as rnnfast's.
    """

    def __init__(self, case: Case, form: str, arrays: Mapping[str, Array], x: Array, dy: Array) -> None:
        self._channels_last = isinstance(case, LayerNormCase)
        self._arrays = arrays
        # Names of rnnfast's parameters, and the leaves that hold their rows.
        self._leaves: list[tuple[list[str], list[torch.Tensor]]] = []
        if isinstance(case, WaveNetCase):
            self._forward = self._wavenet(case, form)
        elif isinstance(case, ConvolutionCase):
            self._forward = self._convolution(case, form)
        else:
            self._forward = self._layer_norm(case)
        self._x, self._dy = self._in_order(x).requires_grad_(), self._in_order(dy)

    def job(self, mode: str) -> Job | Prepared:
        """One inference, one training step, or the backward half of that."""
        if mode == "inference":
            return self.inference
        if mode == "backward":
            return Prepared(self._begin, lambda y: y.backward(self._dy))
        return lambda: self._begin().backward(self._dy)

    def inference(self) -> torch.Tensor:
        """y, in torch's order."""
        with torch.inference_mode():
            return self._forward(self._x)

    def output(self) -> Array:
        """y, in rnnfast's order."""
        return self._out_of_order(self.inference())

    def gradients(self) -> dict[str, Array]:
        """Of one training step: by name of the parameter as rnnfast's, and of x, in rnnfast's order."""
        self._begin().backward(self._dy)
        found = {"x": self._out_of_order(self._x.grad)}
        for names, leaves in self._leaves:
            rows = torch.cat([leaf.grad for leaf in leaves if leaf.grad is not None])
            arrays = [self._arrays[name] for name in names]
            for name, array, part in zip(names, arrays, rows.split([*map(len, arrays)]), strict=True):
                found[name] = part.numpy().reshape(array.shape)
        return found

    def _begin(self) -> torch.Tensor:
        """y of a new step: the gradients of the one before are forgotten."""
        self._x.grad = None
        for _, leaves in self._leaves:
            for leaf in leaves:
                leaf.grad = None
        return self._forward(self._x)

    def _in_order(self, array: Array) -> torch.Tensor:
        tensor = torch.from_numpy(array if self._channels_last else array.swapaxes(1, 2))
        return tensor.clone(memory_format=torch.contiguous_format)

    def _out_of_order(self, tensor: torch.Tensor | None) -> Array:
        assert tensor is not None
        array: Array = tensor.detach().numpy()
        return array if self._channels_last else array.swapaxes(1, 2)

    def _leaf(self, *names: str, parts: int = 1) -> list[torch.Tensor]:
        """Parameters below one another, in so many tensors."""
        arrays = [torch.from_numpy(self._arrays[name]) for name in names]
        whole = torch.cat([array[:, :, None] if array.ndim == 2 else array for array in arrays])
        leaves = [part.clone().requires_grad_() for part in whole.chunk(parts)]
        self._leaves.append((list(names), leaves))
        return leaves

    def _layer_norm(self, case: LayerNormCase) -> Forward:
        (weight,), (bias,) = self._leaf("weight"), self._leaf("bias")
        return lambda x: functional.layer_norm(x, [case.features], weight, bias)

    def _convolution(self, case: ConvolutionCase, form: str) -> Forward:
        (weight,), (bias,) = self._leaf("weight"), self._leaf("bias")
        if case.padding == "causal":
            return lambda x: causal(x, case.dilation, form, [(weight, bias)])[0]
        return lambda x: functional.conv1d(x, weight, bias, case.stride, dilation=case.dilation)

    def _wavenet(self, case: WaveNetCase, form: str) -> Forward:
        layers: list[tuple[Weights, list[Weights]]] = []
        parts = 1 if "joint" in form else 2
        for layer in range(len(case.dilations)):
            gates = self._pairs([f"_l{layer}"], parts)
            ends = [f"_residual_l{layer}", f"_skip_l{layer}"][layer == len(case.dilations) - 1 :]
            joined = [ends] if "joint" in form else [[end] for end in ends]
            layers.append((gates, [self._pairs(names, 1) for names in joined]))
        return lambda x: wavenet(x, case, form, layers)

    def _pairs(self, names: list[str], parts: int) -> Weights:
        """Weights and biases of convolutions, by what their names say after weight and bias."""
        weights = self._leaf(*(f"weight{name}" for name in names), parts=parts)
        biases = self._leaf(*(f"bias{name}" for name in names), parts=parts)
        return list(zip(weights, biases, strict=True))


def wavenet(
    x: torch.Tensor, case: WaveNetCase, form: str, layers: list[tuple[Weights, list[Weights]]]
) -> torch.Tensor:
    """The sum of the skips of all layers."""
    total: torch.Tensor | None = None
    for dilation, (gates, ends) in zip(case.dilations, layers, strict=True):
        sums = causal(x, dilation, form, gates)
        f, g = sums[0].chunk(2, 1) if len(sums) == 1 else sums
        z = torch.tanh(f) * torch.sigmoid(g)
        outputs = [functional.conv1d(z, *pair) for pairs in ends for pair in pairs]
        if len(outputs) == 1 and outputs[0].shape[1] > case.channels:
            outputs = list(outputs[0].chunk(2, 1))
        total = outputs[-1] if total is None else total + outputs[-1]
        if len(outputs) > 1:  # the last layer's residual is nobody's input
            x = x + outputs[0]
    assert total is not None
    return total


def causal(x: torch.Tensor, dilation: int, form: str, weights: Weights) -> list[torch.Tensor]:
    """Causal convolutions of one input."""
    reach = dilation * (weights[0][0].shape[2] - 1)
    if "cut" in form:
        steps = x.shape[2]
        return [
            functional.conv1d(x, weight, bias, padding=reach, dilation=dilation)[:, :, :steps]
            for weight, bias in weights
        ]
    padded = functional.pad(x, (reach, 0))
    return [functional.conv1d(padded, weight, bias, dilation=dilation) for weight, bias in weights]


def forms(case: Case) -> list[str]:
    """The forms that a case can be written in."""
    if isinstance(case, WaveNetCase):
        return [f"{gates}, {ends}" for gates in ("joint", "apart") for ends in ("pad", "cut")]
    return ["pad", "cut"] if isinstance(case, ConvolutionCase) and case.padding == "causal" else ["plain"]
