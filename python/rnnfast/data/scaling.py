"""Scaling of columns, fitted on the training part alone and undone exactly the same way.

    standard: (x - mean) / std      minmax: (x - min) / (max - min)      robust: (x - median) / (q75 - q25)

NaN is ignored in fitting and stays NaN. A column without spread is shifted but not stretched (divided by 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Scaler:
    """Column scaler z = (x - center) / scale over the first axis (time).

    Args:
        method: "standard" (mean, standard deviation), "minmax" (into [0, 1]) or "robust" (median, quartile
            range).

    Attributes:
        center, scale: float64 arrays of one entry per column, empty before `fit`.

    Raises:
        ValueError: an unknown method.

    Example:
        >>> scaler = Scaler().fit(np.array([[1.0], [3.0]]))
        >>> scaler.transform(np.array([[5.0]]))
        array([[3.]])

    Reference: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition (2021), chapter 3.
    """

    methods = ("standard", "minmax", "robust")

    def __init__(self, method: str = "standard") -> None:
        if method not in self.methods:
            raise ValueError(f"Scaler: method must be one of {', '.join(self.methods)}, got {method!r}")
        self.method = method
        self.center: Array = np.empty(0)
        self.scale: Array = np.empty(0)

    def fit(self, x: Array) -> Scaler:
        """Take center and scale from x [T] or [T, F], which must be the training part alone.

        Raises:
            ValueError: no steps, a column without one finite value, or an infinite value.
        """
        values = np.asarray(x, dtype=np.float64)
        if values.ndim not in (1, 2) or values.shape[0] == 0:
            raise ValueError(f"Scaler.fit: x must have shape (T,) or (T, F) with T > 0, got {values.shape}")
        if np.isinf(values).any():
            raise ValueError("Scaler.fit: x must be finite or NaN (a missing value), got an infinite value")
        if np.isnan(values).all(axis=0).any():
            raise ValueError("Scaler.fit: every column of x must have a value, got a column of NaN alone")
        if self.method == "standard":
            center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        elif self.method == "minmax":
            center = np.nanmin(values, axis=0)
            scale = np.nanmax(values, axis=0) - center
        else:
            low, center, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
            scale = high - low
        self.center = np.asarray(center)
        self.scale = np.where(scale > 0.0, scale, 1.0)
        return self

    def transform(self, x: Array) -> Array:
        """(x - center) / scale; x [..., F] in the columns of `fit`; the dtype of a floating x is kept."""
        center, scale, values = self._operands("transform", x)
        return ((values - center) / scale).astype(values.dtype, copy=False)

    def inverse_transform(self, z: Array) -> Array:
        """z · scale + center; z [..., F] in the columns of `fit`; the dtype of a floating z is kept."""
        center, scale, values = self._operands("inverse_transform", z)
        return (values * scale + center).astype(values.dtype, copy=False)

    def fit_transform(self, x: Array) -> Array:
        """`fit(x)` then `transform(x)`: for the training part alone."""
        return self.fit(x).transform(x)

    def _operands(self, operation: str, x: Array) -> tuple[Array, Array, Array]:
        if self.scale.size == 0:
            raise RuntimeError(
                f"Scaler.{operation}: the scaler must be fitted first; call fit(training part)"
            )
        values = np.asarray(x)
        if not np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float64)
        if self.center.ndim and (values.ndim == 0 or values.shape[-1] != self.center.shape[0]):
            raise ValueError(
                f"Scaler.{operation}: x must have shape (..., {self.center.shape[0]}), got {values.shape}"
            )
        return self.center, self.scale, values
