"""The affine map y = x Wᵀ + b over the last axis. Not here: its kernel, which is ``ops.linear_forward``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from .arguments import check_array, check_dtype, check_flag, check_size
from .module import Module, Tape
from .parameter import Array, Parameter, add_gradients


class Linear(Module):
    """Affine map over the last axis: y = x Wᵀ + b.

    Args:
        input_size: I, size of the last axis of x.
        output_size: O, size of the last axis of y.
        bias: whether b is added.
        dtype: float32 or float64.
        seed: seed of the initial weights (Glorot uniform; b is zero), None for a fresh one.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if a size is below 1.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> layer = nn.Linear(3, 2, seed=0)
        >>> layer(np.ones((5, 7, 3), np.float32)).shape
        (5, 7, 2)
    """

    acts_per_step = True

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        self.input_size = check_size("Linear", "input_size", input_size)
        self.output_size = check_size("Linear", "output_size", output_size)
        self.dtype = check_dtype("Linear", dtype)
        shape = (self.output_size, self.input_size)
        self.weight = Parameter(init.glorot_uniform(shape, init.generator(seed), self.dtype))
        self.bias = (
            Parameter(np.zeros(self.output_size, self.dtype)) if check_flag("Linear", "bias", bias) else None
        )

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y = x Wᵀ + b.

        Args:
            x: shape (..., I).
            training: whether to return a tape.

        Returns:
            (y, tape): y of shape (..., O).

        Raises:
            TypeError: if x has another dtype than the layer.
            ValueError: if the last axis of x is not I.
        """
        sizes = (self.input_size,)
        check_array("Linear.forward", "x", x, dtype=self.dtype, axes=("...", "input_size"), sizes=sizes)
        bias = None if self.bias is None else self.bias.value
        y = ops.linear_forward(x, self.weight.value, bias)
        # The weights as they are now, whatever becomes of them before backward.
        return y, Tape(self, (x, self.weight.value.copy())) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add dyᵀ x into weight.grad and the sum of dy into bias.grad; return dx = dy W.

        Args:
            tape: from `forward`.
            dy: shape (..., O).

        Returns:
            dx, shape (..., I).
        """
        x, weight = self._read(tape)
        sizes = (*x.shape[:-1], self.output_size)
        axes = ("*",) * (x.ndim - 1) + ("output_size",)
        check_array("Linear.backward", "dy", dy, dtype=self.dtype, axes=axes, sizes=sizes)
        self._close(tape)
        dx, dweight, dbias = ops.linear_backward(x, dy, weight, self.bias is not None)
        add_gradients((self.weight, self.bias), (dweight, dbias))
        return dx
