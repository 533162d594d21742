"""The affine map over rows and its gradients."""

from __future__ import annotations

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, shape_of


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y = x Wᵀ + b over the last axis: x ``[..., I]``, weight ``[O, I]``, bias ``[O]`` -> y ``[..., O]``."""
    try:
        return _core.linear_forward(x, weight, bias)
    except (TypeError, ValueError):  # told in better words, or put right by a copy
        outputs, inputs = shape_of("linear_forward", "weight", weight, 2)
        check_float("linear_forward", "weight", weight)
        check_array("linear_forward", "x", x, (*x.shape[:-1], inputs), weight.dtype)
        if bias is not None:
            check_array("linear_forward", "bias", bias, (outputs,), weight.dtype)
            bias = contiguous(bias)
        return _core.linear_forward(contiguous(x), contiguous(weight), bias)


def linear_backward(x: Array, dy: Array, weight: Array, bias: bool) -> tuple[Array, Array, Array | None]:
    """Gradients (dx, dweight, dbias) of `linear_forward`; dbias is None without bias."""
    try:
        return _core.linear_backward(x, weight, dy, bias)
    except (TypeError, ValueError):
        outputs, inputs = shape_of("linear_backward", "weight", weight, 2)
        check_float("linear_backward", "weight", weight)
        check_array("linear_backward", "x", x, (*x.shape[:-1], inputs), weight.dtype)
        check_array("linear_backward", "dy", dy, (*x.shape[:-1], outputs), weight.dtype)
        return _core.linear_backward(contiguous(x), contiguous(weight), contiguous(dy), bias)
