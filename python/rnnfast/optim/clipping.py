"""Gradient clipping over the flat buffer: by the global norm and by value."""

from __future__ import annotations

import math

from rnnfast import ops
from rnnfast.backend import array_namespace

from .optimizer import FlatBuffer


def norm_scale(norm: float, max_norm: float) -> float:
    """The factor that brings a gradient of norm `norm` down to `max_norm`: min(1, max_norm / (norm + 1e-6)).

    Args:
        norm: the gradient's global norm.
        max_norm: the bound.

    Returns:
        The factor, in (0, 1]; to be passed to `Optimizer.step` as `grad_scale`.

    Example:
        >>> from rnnfast import optim
        >>> round(optim.norm_scale(10.0, 1.0), 6)
        0.1
    """
    # 1e-6 is PyTorch's: with it, runs published with torch.nn.utils.clip_grad_norm_ can be reproduced.
    return min(1.0, max_norm / (norm + 1e-6))


def clip_global_norm(buffer: FlatBuffer, max_norm: float) -> float:
    """Scale all gradients, in place, so that their global norm is at most `max_norm`.

    g ← g · min(1, max_norm / (‖g‖₂ + 1e-6)), the norm over all parameters together.

    Args:
        buffer: `model.flatten()`.
        max_norm: the bound, positive.

    Returns:
        The norm before.

    Raises:
        ValueError: if max_norm is not positive, or the norm is not finite (nothing is changed then).

    Example:
        >>> from rnnfast import nn, optim
        >>> buffer = nn.Linear(3, 1, seed=0).flatten()
        >>> buffer.grad[:] = 2
        >>> optim.clip_global_norm(buffer, 1.0)
        4.0

    Reference:
        Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_global_norm: max_norm must be positive, got {max_norm}")
    norm = ops.global_norm(buffer.grad)
    if not math.isfinite(norm):
        raise ValueError(f"clip_global_norm: the gradient's norm must be finite, got {norm}")
    scale = norm_scale(norm, max_norm)
    if scale < 1.0:
        buffer.grad *= scale
    return norm


def clip_value(buffer: FlatBuffer, limit: float) -> None:
    """Bound every single gradient, in place: g ← min(max(g, -limit), limit).

    Args:
        buffer: `model.flatten()`.
        limit: the bound, positive.

    Raises:
        ValueError: if limit is not positive.

    Example:
        >>> from rnnfast import nn, optim
        >>> buffer = nn.Linear(3, 1, seed=0).flatten()
        >>> buffer.grad[:] = -2
        >>> optim.clip_value(buffer, 0.5)
        >>> buffer.grad
        array([-0.5, -0.5, -0.5, -0.5], dtype=float32)
    """
    if not limit > 0:
        raise ValueError(f"clip_value: limit must be positive, got {limit}")
    array_namespace(buffer.grad).clip(buffer.grad, -limit, limit, out=buffer.grad)
