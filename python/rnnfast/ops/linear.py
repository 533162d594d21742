"""The affine map over rows and its gradients."""

from __future__ import annotations

import math

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, shape_of


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y = x Wᵀ + b over the last axis: x ``[..., I]``, weight ``[O, I]``, bias ``[O]`` -> y ``[..., O]``."""
    outputs, inputs = shape_of("linear_forward", "weight", weight, 2)
    check_float("linear_forward", "weight", weight)
    check_array("linear_forward", "x", x, (*x.shape[:-1], inputs), weight.dtype)
    if bias is not None:
        check_array("linear_forward", "bias", bias, (outputs,), weight.dtype)
        bias = contiguous(bias)
    rows = contiguous(x).reshape(math.prod(x.shape[:-1]), inputs)
    y = np.empty((*x.shape[:-1], outputs), weight.dtype)
    flat = y.reshape(rows.shape[0], outputs)
    _core.linear_forward(x=rows, weight=contiguous(weight), bias=bias, y=flat)
    return y


def linear_backward(x: Array, dy: Array, weight: Array, bias: bool) -> tuple[Array, Array, Array | None]:
    """Gradients (dx, dweight, dbias) of `linear_forward`; dbias is None without bias."""
    outputs, inputs = shape_of("linear_backward", "weight", weight, 2)
    check_float("linear_backward", "weight", weight)
    check_array("linear_backward", "x", x, (*x.shape[:-1], inputs), weight.dtype)
    check_array("linear_backward", "dy", dy, (*x.shape[:-1], outputs), weight.dtype)
    count = math.prod(x.shape[:-1])
    dx = np.empty(x.shape, weight.dtype)
    dweight = np.empty(weight.shape, weight.dtype)
    dbias = np.empty(outputs, weight.dtype) if bias else None
    _core.linear_backward(
        x=contiguous(x).reshape(count, inputs),
        weight=contiguous(weight),
        dy=contiguous(dy).reshape(count, outputs),
        dx=dx.reshape(count, inputs),
        dweight=dweight,
        dbias=dbias,
    )
    return dx, dweight, dbias
