"""The parts of attention that other layers lack: one product per sample, and softmax over keys."""

from __future__ import annotations

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, shape_of


def batched_product(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    name: str = "batched_product",
) -> Array:
    """c[n] = a[n] b[n], with either factor transposed: one chain of FMAs per element, as in every kernel.

    Args:
        a: ``[N, M, K]``, or ``[N, K, M]`` transposed.
        b: ``[N, K, P]``, or ``[N, P, K]`` transposed.
        transpose_a: whether a[n]ᵀ stands in the product.
        transpose_b: whether b[n]ᵀ does; not both.
        name: who asks, for errors.

    Returns:
        c, ``[N, M, P]``.

    Raises:
        TypeError, ValueError: naming the argument.

    Example:
        >>> import numpy as np
        >>> from rnnfast import ops
        >>> a = np.ones((2, 3, 4), np.float32)
        >>> ops.batched_product(a, a, transpose_b=True).shape
        (2, 3, 3)
    """
    if transpose_a and transpose_b:
        raise ValueError(f"{name}: transpose_a and transpose_b must not both be True; swap a and b")
    check_float(name, "a", a)
    batch, *left = shape_of(name, "a", a, 3)
    rows, depth = reversed(left) if transpose_a else left
    _, *right = shape_of(name, "b", b, 3)
    columns = right[0] if transpose_b else right[1]
    check_array(name, "b", b, (batch, columns, depth) if transpose_b else (batch, depth, columns), a.dtype)
    c = np.empty((batch, rows, columns), a.dtype)
    _core.batched_product(
        a=contiguous(a), b=contiguous(b), c=c, transpose_a=transpose_a, transpose_b=transpose_b
    )
    return c


def sum_over_steps(values: Array) -> Array:
    """Σ_t of ``[N, T, F]``, t ascending: neither the batch nor strides nor zeros on padding change a bit, as
    they may in NumPy's sums.
    """
    batch, steps, _ = shape_of("sum_over_steps", "values", values, 3)
    ones = np.ones((batch, 1, steps), values.dtype)
    return batched_product(ones, values, name="sum_over_steps")[:, 0]


def masked_softmax(scores: Array, lengths: Array | None = None, *, name: str = "masked_softmax") -> Array:
    """p = exp(s − max s) / Σ exp(s − max s) over the last axis, over the first lengths[n] keys alone.

    Args:
        scores: ``[N, U, S]``.
        lengths: int64 ``[N]``, keys of every sample, None for S; keys behind have p = 0, and where there are
            none all have.
        name: who asks, for errors.

    Returns:
        p, like scores.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    check_float(name, "scores", scores)
    batch, _, keys = shape_of(name, "scores", scores, 3)
    if lengths is not None:
        check_array(name, "lengths", lengths, (batch,), np.dtype(np.int64))
        if batch and not (lengths.min() >= 0 and lengths.max() <= keys):
            raise ValueError(f"{name}: lengths must be in 0..{keys}, got {lengths.min()} to {lengths.max()}")
        lengths = lengths.copy()  # nobody else can change it while the kernel reads it without the GIL
    probabilities = np.empty(scores.shape, scores.dtype)
    _core.softmax_forward(scores=contiguous(scores), lengths=lengths, probabilities=probabilities)
    return probabilities


def softmax_backward(probabilities: Array, dprobabilities: Array, *, name: str = "softmax_backward") -> Array:
    """The gradient of the scores of `masked_softmax`: ds = p∘(dp − Σ dp∘p)."""
    check_float(name, "probabilities", probabilities)
    shape = shape_of(name, "probabilities", probabilities, 3)
    check_array(name, "dprobabilities", dprobabilities, shape, probabilities.dtype)
    dscores = np.empty(shape, probabilities.dtype)
    _core.softmax_backward(
        probabilities=contiguous(probabilities), dprobabilities=contiguous(dprobabilities), dscores=dscores
    )
    return dscores
