"""Dropout (Srivastava et al. 2014): y = x ∘ m in training, m either 0 or 1/(1 - rate); y = x at inference.

Masks come from ``ops.dropout_mask``, a pure function of (seed, call, position).
"""

from __future__ import annotations

import math

from .. import init, ops
from .arguments import check_array, check_floating, check_rate
from .counter import RandomCounter
from .module import Module, Tape
from .parameter import Array


class Dropout(Module):
    """Dropout: y = x ∘ m, m = 0 with probability `rate`, else 1/(1 - rate), fresh for every element and call.

    Args:
        rate: probability of a zero, in [0, 1).
        seed: seed of the masks, None for a fresh one.

    Raises:
        ValueError: if the rate is not in [0, 1).

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> layer = nn.Dropout(0.5, seed=0)
        >>> y, tape = layer.forward(np.ones((2, 3, 4), np.float32))
        >>> sorted(set(y.ravel().tolist()))
        [0.0, 2.0]

    Reference:
        Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.
    """

    acts_per_step = True

    def __init__(self, rate: float, *, seed: int | None = None) -> None:
        self.rate = check_rate("Dropout", "rate", rate)
        self.counter = RandomCounter(init.resolve_seed(seed))

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y = x ∘ m in training, y = x at inference.

        Args:
            x: shape (N, ..., F) or (F,), float32 or float64.
            training: whether to drop.

        Returns:
            (y, tape): y like x.

        Raises:
            TypeError: if x is not an array of one of these dtypes.
        """
        check_floating("Dropout.forward", "x", x)
        if not training:
            return x, None
        mask = None
        if self.rate > 0:
            batch, features = (x.shape[0] if x.ndim > 1 else 1), (x.shape[-1] if x.ndim else 1)
            steps = math.prod(x.shape[1:-1])
            drawn = ops.dropout_mask(
                (batch, steps, features), self.rate, x.dtype, seed=self.counter.seed, call=self.counter.draw()
            )
            mask = drawn.reshape(x.shape)
            x = x * mask
        return x, Tape(self, (mask, x.shape, x.dtype))

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Return dx = dy ∘ m, with the mask of the forward call.

        Args:
            tape: from `forward`.
            dy: like y.

        Returns:
            dx, like x.
        """
        mask, shape, dtype = self._read(tape)
        check_array("Dropout.backward", "dy", dy, dtype=dtype, axes=("*",) * len(shape), sizes=shape)
        self._close(tape)
        return dy if mask is None else dy * mask
