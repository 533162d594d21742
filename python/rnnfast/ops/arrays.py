"""The checks and layouts that all kernels share: what comes in is right, or an error names it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast import _core

Array = np.ndarray[Any, np.dtype[Any]]
States = Sequence[Array | None]

CACHE_LINE = 64  # bytes


def shape_of(where: str, name: str, array: Array, axes: int) -> tuple[int, ...]:
    """The shape of an array that must have so many axes."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(array).__name__}")
    if array.ndim != axes:
        raise ValueError(f"{where}: {name} must have {axes} axes, got shape {array.shape}")
    return tuple(array.shape)


def check_float(where: str, name: str, array: Array) -> None:
    """The array must be float32 or float64."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype != np.float32 and array.dtype != np.float64:
        raise TypeError(
            f"{where}: {name} must be float32 or float64, got {array.dtype}; convert with .astype(np.float32)"
        )


def check_array(where: str, name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """The array must have this shape and dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{where}: {name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(
            f"{where}: {name} must be {dtype}, got {array.dtype}; convert with .astype(np.{dtype})"
        )
    if array.shape != shape:
        raise ValueError(f"{where}: {name} must have shape {shape}, got {array.shape}")


def check_ring(where: str, ring: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """The memory of a stream, updated in place, must have this shape and dtype, contiguous and writable."""
    check_array(where, "ring", ring, shape, dtype)
    if not (ring.flags.c_contiguous and ring.flags.aligned and ring.flags.writeable):
        raise ValueError(f"{where}: ring must be C-contiguous and writable, as it is updated in place")


def check_states(
    where: str,
    name: str,
    states: States | None,
    names: tuple[str, ...],
    shapes: Sequence[tuple[int, ...]],
    dtype: np.dtype[Any],
) -> tuple[Array | None, ...]:
    """One contiguous array per state, or None for zeros."""
    if states is None:
        return (None,) * len(names)
    if not isinstance(states, Sequence | np.ndarray):
        raise TypeError(
            f"{where}: {name} must be a tuple of {len(names)} arrays ({', '.join(names)}) or None, "
            f"got {type(states).__name__}"
        )
    if len(states) != len(names):
        raise ValueError(
            f"{where}: {name} must have {len(names)} arrays ({', '.join(names)}), got {len(states)}"
        )
    checked: list[Array | None] = []
    for state_name, state, shape in zip(names, states, shapes, strict=True):
        if state is not None:
            check_array(where, f"{name} {state_name}", state, shape, dtype)
            state = contiguous(state)
        checked.append(state)
    return tuple(checked)


def with_rows(sequence: Array) -> Array:
    """The array itself where its last axis is contiguous and its strides are whole elements; else a copy."""
    if sequence.size == 0:
        return sequence  # NumPy gives empty arrays any strides
    size = sequence.itemsize
    batch_stride, time_stride, feature_stride = sequence.strides
    contiguous = feature_stride == size or sequence.shape[2] <= 1
    if contiguous and batch_stride % size == 0 and time_stride % size == 0 and sequence.flags.aligned:
        return sequence
    return np.array(sequence, order="C")


def contiguous(array: Array) -> Array:
    """The array itself where it is C-contiguous and aligned, else a copy that is."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")


def at_cache_line(memory: Array, shape: tuple[int, ...]) -> Array:
    """The first array of this shape within flat memory that begins at a cache line."""
    return _core.at_cache_line(memory, shape)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A new array that begins at a cache line, which NumPy does not promise: no vector straddles two."""
    return at_cache_line(np.empty(math.prod(shape) + CACHE_LINE // dtype.itemsize, dtype), shape)


def empty_like_sequence(x: Array, features: int, steps: int | None = None) -> Array:
    """A new array ``[N, T, features]`` in the memory order of x: time-major where x is. T is that of x
    unless `steps` is given.
    """
    batch, steps = x.shape[0], x.shape[1] if steps is None else steps
    if abs(x.strides[0]) < abs(x.strides[1]):
        return empty((steps, batch, features), x.dtype).transpose(1, 0, 2)
    return empty((batch, steps, features), x.dtype)
