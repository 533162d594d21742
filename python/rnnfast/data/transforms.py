"""Transforms with inverses: differencing, seasonal differencing, detrending, µ-law.

    difference   d_t = x_t - x_{t-lag}                 integrate   x_t = d_t + x_{t-lag}
    trend        r_t = x_t - Σ_j β_j (t/T)^j           back        x_t = r_t + Σ_j β_j (t/T)^j
    µ-law        y = sign(x) ln(1 + µ|x|) / ln(1 + µ)  (ITU-T G.711), cut into µ + 1 classes

The inverses are exact in real arithmetic. In floating point `integrate` gives back the very bits where every
difference is exact (integers below 2^53, or neighbours within a factor of two), else it is off by rounding
alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def difference(x: Array, lag: int = 1) -> Array:
    """d_t = x_t - x_{t-lag} along the first axis; lag = season length gives the seasonal difference.

    Args:
        x: [T, ...] with T > lag; integers become float64.
        lag: steps back, ≥ 1.

    Returns:
        [T - lag, ...].

    Raises:
        ValueError: lag out of range.

    Example:
        >>> difference(np.array([1.0, 4.0, 9.0, 16.0]))
        array([3., 5., 7.])
    """
    values = _floating(x)
    if not 1 <= lag < values.shape[0]:
        raise ValueError(f"difference: lag must lie in 1..T-1 = 1..{values.shape[0] - 1}, got {lag}")
    return np.asarray(values[lag:] - values[:-lag])


def integrate(d: Array, before: Array) -> Array:
    """x_t = d_t + x_{t-lag}: undo `difference` from the lag values before the first difference.

    `integrate(difference(x, lag), x[:lag])` is x[lag:]; `integrate(forecast of differences, x[-lag:])`
    continues x.

    Args:
        d: [T, ...] differences.
        before: [lag, ...] the values that precede them; lag is its length.

    Returns:
        [T, ...] the values themselves.

    Raises:
        ValueError: before is empty or its trailing shape is not that of d.

    Example:
        >>> x = np.array([1.0, 4.0, 9.0, 16.0])
        >>> integrate(difference(x, 2), x[:2])
        array([ 9., 16.])
    """
    steps, start = _floating(d), _floating(before)
    lag = start.shape[0] if start.ndim else 0
    if lag == 0 or start.shape[1:] != steps.shape[1:]:
        raise ValueError(
            f"integrate: before must have shape (lag, *{steps.shape[1:]}) with lag > 0, got {start.shape}"
        )
    values = np.concatenate([start, steps])
    for begin in range(lag, values.shape[0], lag):
        # One season at a time: the loop runs T / lag times, and each value is one addition from its
        # predecessor.
        stop = min(begin + lag, values.shape[0])
        values[begin:stop] += values[begin - lag : stop - lag]
    return values[lag:]


class Trend:
    """Polynomial trend fitted by least squares on the training part, removed and put back at any time index.

    Args:
        degree: 0 (level), 1 (line), 2, …

    Raises:
        ValueError: degree below 0.

    Example:
        >>> x = np.array([1.0, 3.0, 5.0, 7.0])
        >>> trend = Trend(degree=1).fit(x)
        >>> np.round(trend(np.array([4])), 6)
        array([9.])
    """

    def __init__(self, degree: int = 1) -> None:
        if degree < 0:
            raise ValueError(f"Trend: degree must be at least 0, got {degree}")
        self.degree = degree
        self.coefficients: Array | None = None
        self.length = 0

    def fit(self, x: Array) -> Trend:
        """Fit to x [T] or [T, F] at t = 0 … T-1.

        Raises:
            ValueError: fewer than degree + 1 steps, or a value that is not finite.
        """
        values = np.asarray(x, dtype=np.float64)
        if values.ndim not in (1, 2) or values.shape[0] <= self.degree:
            raise ValueError(
                f"Trend.fit: x must have shape (T,) or (T, F) with T > degree = {self.degree}, "
                f"got {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError("Trend.fit: x must be finite, got NaN or infinity; fill missing values first")
        self.length = values.shape[0]
        self.coefficients = np.linalg.lstsq(self._powers(np.arange(self.length)), values, rcond=None)[0]
        return self

    def __call__(self, t: Array) -> Array:
        """The trend at time indices t [K] (0 is the first step of `fit`): [K] or [K, F]."""
        if self.coefficients is None:
            raise RuntimeError("Trend: the trend must be fitted first; call fit(training part)")
        return np.asarray(self._powers(np.asarray(t)) @ self.coefficients)

    def transform(self, x: Array, start: int = 0) -> Array:
        """x minus the trend; x [T] or [T, F] begins at time index `start`."""
        values = _floating(x)
        return np.asarray(values - self(np.arange(start, start + values.shape[0])))

    def inverse_transform(self, r: Array, start: int = 0) -> Array:
        """r plus the trend; r [T] or [T, F] begins at time index `start`."""
        values = _floating(r)
        return np.asarray(values + self(np.arange(start, start + values.shape[0])))

    def _powers(self, t: Array) -> Array:
        # t / T keeps the powers in [0, 1] on the training part: well conditioned at any length.
        return np.vander(t.astype(np.float64) / max(self.length, 1), self.degree + 1, increasing=True)


def mu_law_encode(x: Array, classes: int = 256) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Class of each sample: floor((y + 1)/2 · (classes - 1) + 1/2), y the companded x, µ = classes - 1.

    Args:
        x: [...] audio in [-1, 1], floats; what lies outside is clipped.
        classes: number of classes, ≥ 2.

    Returns:
        int64 [...] in 0 … classes - 1.

    Raises:
        TypeError: x is not of floats. ValueError: fewer than two classes, or a value that is NaN.

    Example:
        >>> mu_law_encode(np.array([-1.0, 0.0, 1.0]))
        array([  0, 128, 255])

    Reference: ITU-T Recommendation G.711; van den Oord et al. 2016, WaveNet, section 2.2.
    """
    mu = _companding("mu_law_encode", classes)
    values = np.asarray(x)
    if not np.issubdtype(values.dtype, np.floating):
        # Samples as a sound file has them: all but -1, 0 and 1 would be clipped.
        raise TypeError(
            f"mu_law_encode: x must be floats in [-1, 1], got {values.dtype}; divide 16-bit samples by 32768"
        )
    if np.isnan(values).any():
        raise ValueError("mu_law_encode: x must be finite, got NaN")
    samples = np.clip(values, -1.0, 1.0)
    companded = np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    return np.asarray(np.floor((companded + 1.0) / 2.0 * mu + 0.5), dtype=np.int64)


def mu_law_decode(codes: Array, classes: int = 256) -> Array:
    """The sample a class stands for: x = sign(y) ((1 + µ)^|y| - 1) / µ with y = 2·code/µ - 1.

    Args:
        codes: integers [...] in 0 … classes - 1.
        classes: number of classes, ≥ 2.

    Returns:
        float64 [...]; encoding it again gives the same codes.

    Raises:
        ValueError: a code out of range. TypeError: codes that are not integers.

    Example:
        >>> mu_law_decode(np.array([0, 255]))
        array([-1.,  1.])
    """
    mu = _companding("mu_law_decode", classes)
    values = np.asarray(codes)
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"mu_law_decode: codes must be integers, got {values.dtype}")
    if values.size and (values.min() < 0 or values.max() >= classes):
        raise ValueError(
            f"mu_law_decode: codes must lie in 0..{classes - 1}, got {values.min()}..{values.max()}"
        )
    companded = 2.0 * values / mu - 1.0
    return np.asarray(np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu)


def _companding(operation: str, classes: int) -> float:
    if classes < 2:
        raise ValueError(f"{operation}: classes must be at least 2, got {classes}")
    return float(classes - 1)


def _floating(x: Array) -> Array:
    values = np.asarray(x)
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)
