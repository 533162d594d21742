"""What every forecasting method accepts: a series, covariates beside it, and origins.

An origin o is the index of the first step to predict: series[:o] is known, series[o : o + horizon] is asked
for.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Origins = np.ndarray[Any, np.dtype[np.int64]]


class ForecastMethod(Protocol):
    """What `backtest` asks of a method; `Forecaster` and every baseline have it."""

    horizon: int
    is_fitted: bool

    def fit(self, series: Array, *, past: Array | None = None, future: Array | None = None) -> ForecastMethod:
        """Learn from the whole of `series`."""

    def predict(
        self,
        series: Array | None = None,
        *,
        past: Array | None = None,
        future: Array | None = None,
        origins: Array | None = None,
    ) -> Array:
        """Forecast from every origin at once: [K, horizon] or [K, horizon, C]."""


def as_matrix(operation: str, name: str, values: Array) -> Array:
    """values [T] or [T, C] as float64 [T, C]; NaN is a missing value."""
    matrix = np.asarray(values)
    if matrix.dtype == object or not (
        np.issubdtype(matrix.dtype, np.floating) or np.issubdtype(matrix.dtype, np.integer)
    ):
        raise TypeError(f"{operation}: {name} must be an array of real numbers, got {matrix.dtype}")
    if matrix.ndim not in (1, 2) or 0 in matrix.shape:
        raise ValueError(
            f"{operation}: {name} must have shape (T,) or (T, C) with T, C > 0, got {matrix.shape}"
        )
    matrix = matrix.astype(np.float64)
    if np.isinf(matrix).any():
        raise ValueError(
            f"{operation}: {name} must be finite or NaN (a missing value), got an infinite value"
        )
    return matrix if matrix.ndim == 2 else matrix[:, None]


def as_covariates(operation: str, name: str, values: Array | None, steps: int) -> Array:
    """Covariates as float64 [≥ steps, F]; None becomes [steps, 0]."""
    if values is None or (np.ndim(values) == 2 and np.shape(values)[1] == 0):
        return np.empty((steps, 0))
    matrix = as_matrix(operation, name, values)
    if matrix.shape[0] < steps:
        reach = "to the end of the last horizon" if name == "future" else "as the series has"
        raise ValueError(
            f"{operation}: {name} must have at least {steps} steps ({reach}), got {matrix.shape[0]}"
        )
    if name == "future" and np.isnan(matrix[:steps]).any():
        raise ValueError(f"{operation}: {name} must be known at every step, got NaN")
    return matrix


def as_origins(operation: str, origins: Array | None, steps: int, first: int) -> Origins:
    """Origins as int64 [K]; None is the end of the series. Each must have `first` steps before it."""
    values = np.array([steps]) if origins is None else np.asarray(origins)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"{operation}: origins must be integers of shape (K,), got {values.dtype} {values.shape}"
        )
    if values.size and (values.min() < first or values.max() > steps):
        raise ValueError(
            f"{operation}: origins must lie in {first}..{steps} (steps of history needed .. steps given), "
            f"got {values.min()}..{values.max()}"
        )
    return values.astype(np.int64)


def first_origin(series: Array) -> int:
    """The first origin that has seen a value of every column [T, C]; a column of NaN alone is left aside."""
    return 1 + int((~np.isnan(series)).argmax(axis=0).max(initial=0))


def check_seen(operation: str, series: Array, origins: Origins) -> None:
    """Refuse origins before the first value, which fills the gap before it: they would see the future."""
    first = first_origin(series)
    if origins.size and origins.min() < first:
        raise ValueError(
            f"{operation}: origins must be at least {first}, after the first value of every column of "
            f"series, got {origins.min()}; drop the missing steps at its start"
        )


def last_origins(steps: int, count: int, horizon: int, *, stride: int | None = None) -> Origins:
    """The last `count` origins with a whole horizon after them, `stride` apart (None: the horizon).

    Args:
        steps: steps in the series.
        count: number of origins, ≥ 1.
        horizon: steps to predict, ≥ 1.
        stride: steps between two origins.

    Returns:
        int64 [count].

    Raises:
        ValueError: the series is too short.

    Example:
        >>> last_origins(10, 2, 3)
        array([4, 7])
    """
    apart = horizon if stride is None else stride
    if count < 1 or horizon < 1 or apart < 1:
        raise ValueError(
            f"last_origins: count, horizon and stride must be ≥ 1, got {count}, {horizon}, {apart}"
        )
    first = steps - horizon - (count - 1) * apart
    if first < 1:
        raise ValueError(
            f"last_origins: {count} origins of {horizon} steps, {apart} apart, must fit into the series "
            f"with a step before them, got {steps} steps; take fewer origins"
        )
    return first + apart * np.arange(count, dtype=np.int64)
