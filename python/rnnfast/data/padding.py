"""Ragged lists of sequences as one padded array with lengths, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def pad(
    sequences: Sequence[Array], *, value: float = 0.0, length: int | None = None
) -> tuple[Array, np.ndarray[Any, np.dtype[np.int64]]]:
    """Stack sequences of unequal length into one array; x[n, t] = value for t ≥ lengths[n].

    Args:
        sequences: N arrays [T_n, ...] of one trailing shape; T_n = 0 is legal.
        value: what fills the rest.
        length: steps of the result; None takes the longest sequence.

    Returns:
        x [N, length, ...] in the common dtype, and lengths int64 [N].

    Raises:
        ValueError: no sequences, unlike trailing shapes, or a sequence longer than `length`.

    Example:
        >>> x, lengths = pad([np.array([1.0, 2.0]), np.array([3.0])])
        >>> x.tolist(), lengths.tolist()
        ([[1.0, 2.0], [3.0, 0.0]], [2, 1])
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    if not arrays:
        raise ValueError("pad: sequences must hold at least one array, got an empty list")
    for index, array in enumerate(arrays):
        if array.ndim == 0 or array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"pad: sequence {index} must have shape (T, *{arrays[0].shape[1:]}) as sequence 0 has, "
                f"got {array.shape}"
            )
    lengths = np.array([array.shape[0] for array in arrays], dtype=np.int64)
    steps = int(lengths.max()) if length is None else length
    if lengths.max() > steps:
        raise ValueError(f"pad: length must be at least the longest sequence, {lengths.max()}, got {steps}")
    x = np.full((len(arrays), steps, *arrays[0].shape[1:]), value, dtype=np.result_type(*arrays))
    for row, array in zip(x, arrays, strict=True):
        row[: array.shape[0]] = array
    return x, lengths


def unpad(x: Array, lengths: Array) -> list[Array]:
    """The list `pad` was given: x[n, : lengths[n]] for every n (views).

    Args:
        x: [N, T, ...].
        lengths: integers [N] in 0 … T.

    Returns:
        N arrays [lengths[n], ...].

    Raises:
        ValueError: lengths of another shape or out of range.

    Example:
        >>> [row.tolist() for row in unpad(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([2, 1]))]
        [[1.0, 2.0], [3.0]]
    """
    values, counts = np.asarray(x), _lengths("unpad", lengths, np.asarray(x).shape)
    return [row[:count] for row, count in zip(values, counts, strict=True)]


def padding_mask(lengths: Array, steps: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True where a step is real: mask[n, t] = t < lengths[n]; for the masks of losses.

    Args:
        lengths: integers [N] in 0 … steps.
        steps: T of the padded array.

    Returns:
        bool [N, T].

    Raises:
        ValueError: a length out of range.

    Example:
        >>> padding_mask(np.array([2, 0]), 2).tolist()
        [[True, True], [False, False]]
    """
    counts = _lengths("padding_mask", lengths, (np.asarray(lengths).shape[0], steps))
    return np.asarray(np.arange(steps) < counts[:, None])


def _lengths(operation: str, lengths: Array, shape: tuple[int, ...]) -> Array:
    counts = np.asarray(lengths)
    if not np.issubdtype(counts.dtype, np.integer):
        raise TypeError(f"{operation}: lengths must be integers, got {counts.dtype}")
    if counts.shape != shape[:1]:
        raise ValueError(f"{operation}: lengths must have shape {shape[:1]}, got {counts.shape}")
    if counts.size and (counts.min() < 0 or counts.max() > shape[1]):
        raise ValueError(
            f"{operation}: lengths must lie in 0..{shape[1]}, got {counts.min()}..{counts.max()}"
        )
    return counts
