"""Optimizer steps on flat arrays, in place, one pass each; g = grad_scale · grad + weight_decay · p."""

from __future__ import annotations

import math

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous


def sgd(
    data: Array,
    grad: Array,
    velocity: Array | None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    grad_scale: float = 1.0,
) -> None:
    """v ← momentum v + g; p ← p − lr v, Nesterov p ← p − lr (g + momentum v); without velocity p ← p − lr g.

    Args:
        data: p, float32 or float64, contiguous; changed in place, like velocity. velocity: zeros at first.
    """
    try:
        _core.sgd(
            data,
            grad,
            velocity,
            rate=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            gradient_scale=grad_scale,
            nesterov=nesterov,
        )
    except (TypeError, ValueError):  # told in better words
        _check_flat("sgd", data, grad=grad, velocity=velocity)
        raise


def rmsprop(
    data: Array,
    grad: Array,
    square_average: Array,
    velocity: Array | None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    grad_scale: float = 1.0,
) -> None:
    """s ← alpha s + (1 − alpha) g²; u = g / (√s + eps); p ← p − lr u, or v ← momentum v + u; p ← p − lr v."""
    try:
        _core.rmsprop(
            data,
            grad,
            square_average,
            velocity,
            rate=lr,
            decay=alpha,
            epsilon=eps,
            momentum=momentum,
            weight_decay=weight_decay,
            gradient_scale=grad_scale,
        )
    except (TypeError, ValueError):  # told in better words
        _check_flat("rmsprop", data, grad=grad, square_average=square_average, velocity=velocity)
        raise


def adam(
    data: Array,
    grad: Array,
    first_moment: Array,
    second_moment: Array,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    step: int,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    grad_scale: float = 1.0,
) -> None:
    """m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) g²; p ← p − lr m̂ / (√ŝ + eps); m̂ = m / (1 − β₁ᵗ), ŝ as m̂.

    With ``decoupled`` (AdamW) the decay leaves g alone and p first shrinks by lr · weight_decay.
    """
    if step < 1:
        raise ValueError(f"adam: step must count from 1, got {step}")
    try:
        _core.adam(
            data,
            grad,
            first_moment,
            second_moment,
            rate=lr,
            beta1=beta1,
            beta2=beta2,
            epsilon=eps,
            weight_decay=weight_decay,
            gradient_scale=grad_scale,
            first_scale=lr / (1 - beta1**step),
            second_scale=1 / math.sqrt(1 - beta2**step),
            decoupled=decoupled,
        )
    except (TypeError, ValueError):  # told in better words
        _check_flat("adam", data, grad=grad, first_moment=first_moment, second_moment=second_moment)
        raise


def global_norm(flat: Array) -> float:
    """√Σ vᵢ² of a contiguous array, summed in float64."""
    try:
        return math.sqrt(_core.sum_of_squares(flat))
    except (TypeError, ValueError):
        check_float("global_norm", "flat", flat)
        return math.sqrt(_core.sum_of_squares(contiguous(flat).reshape(-1)))


def _check_flat(where: str, data: Array, **others: Array | None) -> None:
    check_float(where, "data", data)
    for name, array in {"data": data, **others}.items():
        if array is None:
            continue
        check_array(where, name, array, (data.size,), data.dtype)
        if not array.flags.c_contiguous:
            raise ValueError(f"{where}: {name} must be contiguous, as it is changed in place")
