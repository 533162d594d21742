"""A layer-norm LSTM in TorchScript, as PyTorch's users write it: one cell, looped over time by the script.

p̂ = γ_ih∘norm(W_ih x_t) + b_ih; q̂ = γ_hh∘norm(W_hh h) + b_hh; h_t = o∘tanh(γ_c∘norm(c_t) + β_c), where c_t
itself is carried on. Imports torch: `layer_norm_lstm` imports this when torch is asked for, nobody else does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import layer_norm

from .checks import Array


class LayerNormLSTM(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """x [T, N, I] -> y [T, N, H], from the zero state.

    Args:
        arrays: weight_ih, weight_hh, bias_ih, bias_hh, gamma_ih, gamma_hh, gamma_c, beta_c, as rnnfast's.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__()
        for name, array in arrays.items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(array).clone()))
        self.hidden: int = arrays["weight_hh"].shape[1]

    def step(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One step."""
        gates = [4 * self.hidden]
        p = layer_norm(torch.mm(x, self.weight_ih.t()), gates, self.gamma_ih, self.bias_ih)
        q = layer_norm(torch.mm(h, self.weight_hh.t()), gates, self.gamma_hh, self.bias_hh)
        i, f, g, o = (p + q).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        normed = layer_norm(c, [self.hidden], self.gamma_c, self.beta_c)
        return torch.sigmoid(o) * torch.tanh(normed), c

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All steps."""
        h = torch.zeros([x.size(1), self.hidden], dtype=x.dtype)
        c = h
        outputs: list[torch.Tensor] = []
        for x_t in x.unbind(0):
            h, c = self.step(x_t, h, c)
            outputs.append(h)
        return torch.stack(outputs)


class Contender:
    """The compiled script on one problem, in one mode.

    Args:
        arrays: weights by name.
        x: [N, T, I].
        dy: [N, T, H].
    """

    def __init__(self, arrays: Mapping[str, Array], x: Array, dy: Array) -> None:
        # Saved and loaded: scripts of one class share one executor, which would be specialised for the sizes
        # and the mode of whoever came first.
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(LayerNormLSTM(arrays)), buffer)
        buffer.seek(0)
        self._script = torch.jit.load(buffer)
        # Time-major, as its loop wants it.
        self._x = torch.from_numpy(x.swapaxes(0, 1).copy())
        self._dy = torch.from_numpy(dy.swapaxes(0, 1).copy())

    def inference(self) -> Any:
        """y, time-major."""
        with torch.inference_mode():
            return self._script(self._x)

    def training(self) -> Any:
        """y, time-major; then the gradients of everything, which replace those of the step before."""
        self._script.zero_grad(set_to_none=True)
        self._x.grad = None
        y = self._script(self._x.requires_grad_())
        y.backward(self._dy)
        return y

    def gradients(self) -> dict[str, Array]:
        """After `training`: by name of the weight, and of x [N, T, I]."""
        named = {name: parameter.grad.numpy() for name, parameter in self._script.named_parameters()}
        return named | {"x": self._x.grad.numpy().swapaxes(0, 1)}
