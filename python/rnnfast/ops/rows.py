"""Layers that act on single rows: layer norm over the last axis, rows of a table by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, empty, shape_of
from .conv1d import activation_name


def layer_norm_forward(
    x: Array, gamma: Array, beta: Array, *, activation: str | None = None, moments: bool = True
) -> tuple[Array, Array | None]:
    """y = act(γ∘(x − mean) rstd + β) over the last axis, rstd = 1 / sqrt(variance + 1e-5).

    Args:
        x: ``[..., D]``.
        gamma: ``[D]``.
        beta: ``[D]``.
        activation: None, "relu", "tanh" or "sigmoid".
        moments: whether the backward call's moments are wanted.

    Returns:
        (y, moments): like x; mean and rstd of every row, ``[rows, 2]``, or None.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    where = "layer_norm_forward"
    name = activation_name(where, activation)
    check_float(where, "x", x)
    check_float(where, "gamma", gamma)
    (features,) = shape_of(where, "gamma", gamma, 1)
    check_array(where, "beta", beta, (features,), gamma.dtype)
    check_array(where, "x", x, (*x.shape[:-1], features), gamma.dtype)
    rows = math.prod(x.shape[:-1])
    y = empty(x.shape, gamma.dtype)
    found = np.empty((rows, 2), gamma.dtype) if moments else None
    _core.layer_norm_forward(
        x=contiguous(x).reshape(rows, features),
        gamma=contiguous(gamma),
        beta=contiguous(beta),
        y=y.reshape(rows, features),
        moments=found,
        activation=name,
    )
    return y, found


def layer_norm_backward(
    x: Array, y: Array, gamma: Array, moments: Array, dy: Array, *, activation: str | None = None
) -> tuple[Array, Array, Array]:
    """Gradients (dx, dgamma, dbeta) of `layer_norm_forward`, from its x, its results and dy."""
    where = "layer_norm_backward"
    name = activation_name(where, activation)
    check_float(where, "gamma", gamma)
    (features,) = shape_of(where, "gamma", gamma, 1)
    rows = math.prod(x.shape[:-1])
    for title, array in (("x", x), ("y", y), ("dy", dy)):
        check_array(where, title, array, (*x.shape[:-1], features), gamma.dtype)
    check_array(where, "moments", moments, (rows, 2), gamma.dtype)
    dx = empty(x.shape, gamma.dtype)
    dgamma, dbeta = np.empty(features, gamma.dtype), np.empty(features, gamma.dtype)
    _core.layer_norm_backward(
        x=contiguous(x).reshape(rows, features),
        y=contiguous(y).reshape(rows, features),
        gamma=contiguous(gamma),
        moments=contiguous(moments),
        dy=contiguous(dy).reshape(rows, features),
        dx=dx.reshape(rows, features),
        dgamma=dgamma,
        dbeta=dbeta,
        activation=name,
    )
    return dx, dgamma, dbeta


def row_numbers(where: str, index: Any, count: int, *, name: str = "index") -> Array:
    """Row numbers as contiguous int64, each in 0 … count − 1; `name` is what the caller calls them."""
    if not isinstance(index, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array of ints, got {type(index).__name__}")
    if index.dtype.kind not in "iu":
        raise TypeError(f"{where}: {name} must hold ints, got {index.dtype}; pass {name}.astype(np.int64)")
    if index.size and (index.min() < 0 or index.max() >= count):
        wrong = (index < 0) | (index >= count)
        place = np.unravel_index(int(wrong.argmax()), index.shape)
        position = ", ".join(str(int(axis)) for axis in place)
        raise ValueError(
            f"{where}: {name} must be in 0 … {count - 1}, got {index[place]} at ({position})"
            + (f" and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else "")
        )
    # A copy: nobody else can change it between this check and the kernel, which reads without the GIL.
    return np.array(index, np.int64, order="C")


def embedding_forward(index: Array, weight: Array, *, name: str = "embedding_forward") -> Array:
    """y = weight[index]: index ``[...]`` of ints, weight ``[count, D]`` -> y ``[..., D]``.

    Raises:
        TypeError, ValueError: naming the argument; an index out of range with its place.
    """
    check_float(name, "weight", weight)
    count, features = shape_of(name, "weight", weight, 2)
    rows = row_numbers(name, index, count)
    y = np.empty((*rows.shape, features), weight.dtype)
    _core.embedding_forward(
        index=rows.reshape(-1), weight=contiguous(weight), y=y.reshape(rows.size, features)
    )
    return y


def embedding_backward(
    index: Array, dy: Array, count: int, *, ignored: int | None = None, name: str = "embedding_backward"
) -> Array:
    """The gradient of the table of `embedding_forward`, ``[count, D]``: dweight[index[r]] += dy[r], r
    ascending.

    Args:
        index: as forward.
        dy: ``[..., D]``.
        count: rows of the table.
        ignored: rows of this number get no gradient; None for none.
        name: who asks, for errors.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    check_float(name, "dy", dy)
    rows = row_numbers(name, index, count)
    features = dy.shape[-1] if dy.ndim else 0
    check_array(name, "dy", dy, (*rows.shape, features), dy.dtype)
    dweight = np.empty((count, features), dy.dtype)
    _core.embedding_backward(
        index=rows.reshape(-1),
        ignored=-1 if ignored is None else ignored,
        dy=contiguous(dy).reshape(rows.size, features),
        dweight=dweight,
    )
    return dweight
