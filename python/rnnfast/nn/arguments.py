"""Entry checks of layers: one place for the wording of shape, dtype and range errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .parameter import Array


def check_array(
    operation: str,
    argument: str,
    value: Any,
    *,
    dtype: Any,
    axes: Sequence[str],
    sizes: Sequence[int | None],
    hint: Callable[[], str] | None = None,
) -> Array:
    """Return `value` if it is an array of `dtype` and of the named shape, else raise.

    Args:
        operation: who asks, for instance "Linear.forward".
        argument: name of the argument.
        value: what was passed.
        dtype: the dtype it must have.
        axes: names of the axes; a first "..." stands for any number of axes.
        sizes: expected size of each axis, None where any will do; one per name in `axes` after "...".
        hint: called for a shape error; the likely fix, or "".

    Raises:
        TypeError: not an array, or another dtype.
        ValueError: another shape.
    """
    if type(value) is np.ndarray and value.dtype == dtype:  # the common case, in few words
        shape = value.shape
        front = len(shape) - len(sizes)
        if front == 0 or (front > 0 and axes[0] == "..."):
            for size, got in zip(sizes, shape[front:], strict=True):
                if size is not None and size != got:
                    break
            else:
                return value
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{operation}: {argument} must be a NumPy array of dtype {np.dtype(dtype)}, "
            f"got {type(value).__name__}"
        )
    if value.dtype != dtype:
        wanted = np.dtype(dtype)
        other = " or make the module with another dtype" if wanted.kind == "f" else ""
        raise TypeError(
            f"{operation}: {argument} must have dtype {wanted}, got {value.dtype}; "
            f"pass {argument.split()[-1]}.astype(np.{wanted.type.__name__}){other}"
        )
    shape = value.shape
    open_front = bool(axes) and axes[0] == "..."
    tail = shape[len(shape) - len(sizes) :] if open_front and len(shape) >= len(sizes) else shape
    fits = len(tail) == len(sizes) and all(
        size is None or size == got for size, got in zip(sizes, tail, strict=True)
    )
    if not fits:
        expected = [*(["..."] if open_front else []), *("*" if size is None else str(size) for size in sizes)]
        fix = hint() if hint is not None else ""
        raise ValueError(
            f"{operation}: {argument} must have shape {_tuple(axes)} = {_tuple(expected)}, got {shape}"
            + (f"; {fix}" if fix else "")
        )
    return value


def check_size(operation: str, argument: str, value: Any, *, minimum: int = 1) -> int:
    """Return `value` as an int if it is a whole number from `minimum` on, else raise TypeError or
    ValueError.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        got = repr(value)
        if isinstance(value, np.ndarray):
            got = f"an array of shape {value.shape} and dtype {value.dtype}"
        raise TypeError(f"{operation}: {argument} must be an int, got {got}")
    if value < minimum:
        raise ValueError(f"{operation}: {argument} must be {minimum} or more, got {value}")
    return int(value)


def check_rate(operation: str, argument: str, value: Any) -> float:
    """Return `value` as a float if 0 <= value < 1, else raise TypeError or ValueError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{operation}: {argument} must be a float, got {value!r}")
    if math.isnan(value) or not 0 <= value < 1:
        raise ValueError(f"{operation}: {argument} must be in [0, 1), got {value}")
    return float(value)


def check_finite(operation: str, argument: str, value: Any) -> float:
    """Return `value` as a float if it is a finite number, else raise TypeError or ValueError."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{operation}: {argument} must be a float, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{operation}: {argument} must be finite, got {value}")
    return float(value)


def check_flag(operation: str, argument: str, value: Any) -> bool:
    """Return `value` as a bool if it is one, else raise TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{operation}: {argument} must be True or False, got {value!r}")
    return bool(value)


def check_floating(operation: str, argument: str, value: Any) -> Array:
    """Return `value` if it is an array of float32 or float64, else raise TypeError."""
    expected = f"{operation}: {argument} must be a NumPy array of dtype float32 or float64"
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{expected}, got {type(value).__name__}; pass np.asarray({argument}, np.float32)")
    if value.dtype not in (np.float32, np.float64):
        raise TypeError(f"{expected}, got {value.dtype}; pass {argument}.astype(np.float32)")
    return value


def check_dtype(operation: str, dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64 as a dtype, else raise TypeError."""
    got = dtype
    try:
        if dtype is not None:  # which NumPy takes for float64
            got = np.dtype(dtype)
    except TypeError:
        pass
    if not isinstance(got, np.dtype) or got not in (np.float32, np.float64):
        raise TypeError(f"{operation}: dtype must be float32 or float64, got {got}")
    return got


def _tuple(names: Sequence[str]) -> str:
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"


def overrides(module: Any, kind: type[Any], *methods: str) -> bool:
    """Whether a module of `kind` has a method of its own, or of a subclass, among these: it may do more."""
    return any(
        method in vars(module) or getattr(type(module), method) is not getattr(kind, method)
        for method in methods
    )
