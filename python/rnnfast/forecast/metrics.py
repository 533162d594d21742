"""Metrics of forecasts. A truth that is NaN is missing and is not scored; a forecast that is NaN is an error.

    MAE  mean|y - f|                       RMSE   sqrt(mean (y - f)²)
    MAPE 100 · mean|y - f|/|y|             sMAPE  200 · mean|y - f|/(|y| + |f|)
    MASE MAE / mean_{t ≥ m}|x_t - x_{t-m}|, x the training series, m the season
    pinball(q)  mean max(q (y - f), (q - 1)(y - f))

Reference: Hyndman & Koehler 2006, Another look at measures of forecast accuracy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def mae(truth: Array, forecast: Array) -> float:
    """Mean absolute error over the values that are there.

    Args:
        truth: [...] observed values, NaN where missing.
        forecast: [...] of the same shape, finite.

    Returns:
        The mean of |truth - forecast|.

    Raises:
        ValueError: unlike shapes, a forecast that is not finite, or nothing to score.

    Example:
        >>> mae(np.array([1.0, np.nan, 3.0]), np.array([2.0, 0.0, 3.0]))
        0.5
    """
    y, f = _scored("mae", truth, forecast)
    return float(np.abs(y - f).mean())


def rmse(truth: Array, forecast: Array) -> float:
    """Root of the mean squared error; arguments and errors as in `mae`.

    Example:
        >>> rmse(np.array([0.0, 0.0]), np.array([1.0, 7.0]))
        5.0
    """
    y, f = _scored("rmse", truth, forecast)
    return float(np.sqrt(np.square(y - f).mean()))


def mape(truth: Array, forecast: Array) -> float:
    """Mean absolute error in percent of the truth; arguments as in `mae`.

    Raises:
        ValueError: as in `mae`, or a truth of zero, where the percentage has no meaning (use `smape` or
        `mase`).

    Example:
        >>> mape(np.array([100.0, 200.0]), np.array([110.0, 180.0]))
        10.0
    """
    y, f = _scored("mape", truth, forecast)
    if (y == 0.0).any():
        raise ValueError("mape: truth must not be zero, got a zero; use smape or mase")
    return float(100.0 * np.abs((y - f) / y).mean())


def smape(truth: Array, forecast: Array) -> float:
    """Symmetric mean absolute percentage error, 0 to 200; 0 where both are zero; else as `mae`.

    Example:
        >>> smape(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
        50.0
    """
    y, f = _scored("smape", truth, forecast)
    size = np.abs(y) + np.abs(f)
    return float(200.0 * (np.abs(y - f) / np.where(size == 0.0, 1.0, size)).mean())


def mase(truth: Array, forecast: Array, training: Array, season: int = 1) -> float:
    """Mean absolute error in units of the seasonal naive method's one on the training series.

    Args:
        truth, forecast: as in `mae`.
        training: [T] the series before the first origin, NaN where missing.
        season: m ≥ 1 steps.

    Returns:
        Below 1: better than the seasonal naive method was in training.

    Raises:
        ValueError: as in `mae`, a training series no longer than a season, or one that repeats itself
        exactly.

    Example:
        >>> mase(np.array([4.0]), np.array([5.0]), training=np.array([1.0, 2.0, 3.0]))
        1.0
    """
    history = np.asarray(training, dtype=np.float64)
    if season < 1 or history.ndim != 1 or history.size <= season:
        raise ValueError(
            f"mase: training must have shape (T,) with T > season = {season} ≥ 1, got {history.shape}"
        )
    scale = naive_scale(history, season)
    if not scale > 0.0:
        raise ValueError(
            f"mase: training must differ from itself a season of {season} before, "
            f"got a mean difference of {scale}"
        )
    return mae(truth, forecast) / scale


def naive_scale(training: Array, season: int) -> float:
    """Mean |x_t - x_{t-season}| over the pairs that are both there; NaN where there is none."""
    steps = np.abs(training[season:] - training[:-season])
    steps = steps[~np.isnan(steps)]
    return float(steps.mean()) if steps.size else float("nan")


def pinball(truth: Array, forecast: Array, quantile: float) -> float:
    """Mean pinball loss of a forecast of one quantile; half the MAE at quantile 0.5.

    Args:
        truth, forecast: as in `mae`.
        quantile: q in (0, 1).

    Returns:
        mean of max(q (y - f), (q - 1)(y - f)).

    Raises:
        ValueError: as in `mae`, or a quantile out of range.

    Example:
        >>> pinball(np.array([10.0]), np.array([8.0]), 0.75)
        1.5
    """
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"pinball: quantile must lie in (0, 1), got {quantile}")
    y, f = _scored("pinball", truth, forecast)
    return float(np.maximum(quantile * (y - f), (quantile - 1.0) * (y - f)).mean())


def _scored(operation: str, truth: Array, forecast: Array) -> tuple[Array, Array]:
    y, f = np.asarray(truth, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if y.shape != f.shape:
        raise ValueError(f"{operation}: forecast must have the shape of truth, {y.shape}, got {f.shape}")
    if not np.isfinite(f).all():
        raise ValueError(f"{operation}: forecast must be finite, got NaN or infinity")
    if np.isinf(y).any():
        raise ValueError(f"{operation}: truth must be finite or NaN (a missing value), got infinity")
    there = ~np.isnan(y)
    if not there.any():
        raise ValueError(f"{operation}: truth must hold a value to score, got {y.size} missing values alone")
    return y[there], f[there]
