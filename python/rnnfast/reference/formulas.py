"""Formulas that cells and layers share: the logistic function, the affine map, normalisation over an axis.

Each works on the last axis, or element by element, and gives float64. Not here: anything with a state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def sigmoid(v: Array) -> Array:
    """The logistic function 1 / (1 + exp(-v)), without overflow.

    Args:
        v: any shape.

    Returns:
        Like v, float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> reference.sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    e = np.exp(-np.abs(np.asarray(v, np.float64)))
    return np.where(np.asarray(v) >= 0, 1.0, e) / (1.0 + e)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """The affine map y = x Wᵀ + b over the last axis.

    Args:
        x: shape (..., I).
        weight: shape (O, I).
        bias: shape (O,), None for zero.

    Returns:
        y, shape (..., O), float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> reference.linear(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([0.5])).tolist()
        [11.5]
    """
    y = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    return y if bias is None else y + np.asarray(bias, np.float64)


def layer_norm(v: Array, eps: float = 1e-5) -> Array:
    """norm(v) = (v - mean(v)) / sqrt(var(v) + eps) over the last axis; var divides by the number of values.

    Args:
        v: shape (..., F).
        eps: keeps the root away from zero where all values are equal.

    Returns:
        Like v, float64. Scale and shift are up to the caller.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> reference.layer_norm(np.array([1.0, 3.0]), eps=0.0).tolist()
        [-1.0, 1.0]

    Reference:
        Ba, Kiros & Hinton, Layer normalization, 2016.
    """
    centred = np.asarray(v, np.float64) - np.mean(v, axis=-1, keepdims=True, dtype=np.float64)
    variance = np.mean(centred**2, axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + eps))
