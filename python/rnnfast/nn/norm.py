"""Layer norm over the last axis, as a layer of its own. Not here: layer norm inside recurrent layers, which
is their option ``layer_norm``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..ops.conv1d import activation_name
from .arguments import check_array, check_dtype, check_size
from .module import Module, Tape
from .parameter import Array, Parameter, add_gradients


class LayerNorm(Module):
    """y = act(γ∘(x − mean(x)) / sqrt(var(x) + 1e-5) + β), mean and biased variance over the last axis.

    Nothing is shared over samples or steps: training and inference are the same. In float32 the squares of
    deviations beyond 1e18 overflow, and the norm of such a row is 0.

    Args:
        size: D, size of the last axis.
        activation: None, "relu", "tanh" or "sigmoid", applied in the same pass.
        dtype: float32 or float64.

    Parameters have PyTorch's names: weight, the gain γ [D], ones at first; bias, the shift β [D], zeros.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if the size is below 1 or the activation another one.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> y = nn.LayerNorm(4)(np.arange(8, dtype=np.float32).reshape(2, 4))
        >>> [round(float(v), 3) for v in y[0]]
        [-1.342, -0.447, 0.447, 1.342]

    Reference:
        Ba, Kiros & Hinton, Layer normalization, 2016.
    """

    acts_per_step = True

    def __init__(self, size: int, *, activation: str | None = None, dtype: Any = np.float32) -> None:
        self.size = check_size("LayerNorm", "size", size)
        activation_name("LayerNorm", activation)
        self.activation = activation
        self.dtype = check_dtype("LayerNorm", dtype)
        self.weight = Parameter(np.ones(self.size, self.dtype))
        self.bias = Parameter(np.zeros(self.size, self.dtype))

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Normalise every row.

        Args:
            x: shape (..., D).
            training: whether to return a tape, which refers to x and y: leave both unchanged until backward.

        Returns:
            (y, tape): y like x.

        Raises:
            TypeError: if x has another dtype than the layer.
            ValueError: if the last axis of x is not D.
        """
        check_array("LayerNorm.forward", "x", x, dtype=self.dtype, axes=("...", "size"), sizes=(self.size,))
        y, moments = ops.layer_norm_forward(
            x, self.weight.value, self.bias.value, activation=self.activation, moments=training
        )
        # The gain as it is now, whatever becomes of it before backward.
        return y, Tape(self, (x, y, moments, self.weight.value.copy())) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of gain and shift into their `grad`; return dx.

        Args:
            tape: from `forward`.
            dy: like y.

        Returns:
            dx, like x.
        """
        x, y, moments, gain = self._read(tape)
        axes = ("*",) * (x.ndim - 1) + ("size",)
        check_array("LayerNorm.backward", "dy", dy, dtype=self.dtype, axes=axes, sizes=x.shape)
        self._close(tape)
        dx, dgamma, dbeta = ops.layer_norm_backward(x, y, gain, moments, dy, activation=self.activation)
        add_gradients((self.weight, self.bias), (dgamma, dbeta))
        return dx
