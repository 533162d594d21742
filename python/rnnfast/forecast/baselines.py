"""Baselines: what a forecast has to beat before it is worth anything. No parameter is learned here.

    naive                  f_{o+h} = x_{o-1}
    seasonal naive         f_{o+h} = x_{o+h-m·j}, j the smallest with o+h-m·j < o
    drift                  f_{o+h} = x_{o-1} + (h+1)(x_{o-1} - x_0)/(o-1)
    moving average         f_{o+h} = mean of the last w values
    weighted moving avg.   f_{o+h} = Σ_{i=1}^{w} i·x_{o-w+i-1} / Σ i          (the latest weighs most)
    seasonal mean          f_{o+h} = mean of the same step in the last n seasons

A missing value is filled from the past alone (`data.fill_from_past`), so no baseline sees what follows an
origin. Learned ones: `linear.LinearAR`, `statistical.Sarima` and `statistical.ETS`.

Reference: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition (2021), section 5.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.data import fill_from_past
from rnnfast.forecast.arguments import Array, Origins, as_matrix, as_origins, check_seen


class Baseline:
    """A method that reads history alone: `predict` fills gaps, checks origins and shapes the forecasts.

    Args:
        horizon: steps to predict, ≥ 1.
        history: steps it needs before an origin.
        fill_season: season from which a missing value is filled.
    """

    def __init__(self, horizon: int, *, history: int = 1, fill_season: int = 1) -> None:
        if horizon < 1:
            raise ValueError(f"{type(self).__name__}: horizon must be at least 1, got {horizon}")
        self.horizon = horizon
        self.history = history
        self.fill_season = fill_season
        self.is_fitted = False
        self._series: Array | None = None

    def fit(self, series: Array, *, past: Array | None = None, future: Array | None = None) -> Any:
        """Remember the series for `predict()` without one; covariates are of no use here.

        Args:
            series: [T] or [T, C]; NaN is a missing value.

        Returns:
            The method itself.
        """
        as_matrix(f"{type(self).__name__}.fit", "series", series)
        self._series = np.array(series, dtype=np.float64)
        self.is_fitted = True
        return self

    def predict(
        self,
        series: Array | None = None,
        *,
        past: Array | None = None,
        future: Array | None = None,
        origins: Array | None = None,
    ) -> Array:
        """Forecasts from every origin, of which each sees only series[:origin].

        Args:
            series: [T] or [T, C]; None is the series of `fit`.
            origins: integers [K]; None is the end of the series.

        Returns:
            float64 [K, horizon] or [K, horizon, C]; without origins [horizon] or [horizon, C].

        Raises:
            ValueError: an origin without enough history, or before the first value.
            RuntimeError: neither fitted nor given a series.
        """
        operation = f"{type(self).__name__}.predict"
        values = self._series if series is None else series
        if values is None:
            raise RuntimeError(f"{operation}: give a series, or call fit(series) first")
        matrix = as_matrix(operation, "series", values)
        where = as_origins(operation, origins, matrix.shape[0], self.history)
        check_seen(operation, matrix, where)
        filled, _ = fill_from_past(matrix[: int(where.max(initial=1))], self.fill_season)
        result = self.forecast(filled, where)
        if np.ndim(values) == 1:
            result = result[..., 0]
        return result[0] if origins is None else result

    def forecast(self, filled: Array, origins: Origins) -> Array:
        """[K, horizon, C] from filled [T, C]; reads filled[:origin] only."""
        raise NotImplementedError


class Naive(Baseline):
    """The last value, for every step ahead.

    Example:
        >>> Naive(2).predict(np.array([1.0, 2.0, 3.0]))
        array([3., 3.])
    """

    def forecast(self, filled: Array, origins: Origins) -> Array:
        return np.repeat(filled[origins - 1][:, None], self.horizon, axis=1)


class SeasonalNaive(Baseline):
    """The value one season before; further ahead than a season, the last season again.

    Args:
        horizon: steps to predict.
        season: steps in one season, ≥ 1.

    Example:
        >>> SeasonalNaive(3, season=2).predict(np.array([1.0, 2.0, 3.0, 4.0]))
        array([3., 4., 3.])
    """

    def __init__(self, horizon: int, season: int) -> None:
        if season < 1:
            raise ValueError(f"SeasonalNaive: season must be at least 1, got {season}")
        super().__init__(horizon, history=season, fill_season=season)
        self.season = season

    def forecast(self, filled: Array, origins: Origins) -> Array:
        return np.asarray(filled[origins[:, None] - self.season + np.arange(self.horizon) % self.season])


class Drift(Baseline):
    """The straight line through the first and the last value.

    Example:
        >>> Drift(2).predict(np.array([1.0, 5.0, 3.0]))
        array([4., 5.])
    """

    def __init__(self, horizon: int) -> None:
        super().__init__(horizon, history=2)

    def forecast(self, filled: Array, origins: Origins) -> Array:
        last = filled[origins - 1]
        slope = (last - filled[0]) / (origins - 1)[:, None]
        return np.asarray(last[:, None] + np.arange(1, self.horizon + 1)[:, None] * slope[:, None])


class MovingAverage(Baseline):
    """The mean of the last `window` values, for every step ahead.

    Args:
        horizon: steps to predict.
        window: values to average, ≥ 1.

    Example:
        >>> MovingAverage(1, window=2).predict(np.array([1.0, 2.0, 4.0]))
        array([3.])
    """

    def __init__(self, horizon: int, window: int) -> None:
        if window < 1:
            raise ValueError(f"{type(self).__name__}: window must be at least 1, got {window}")
        super().__init__(horizon, history=window)
        self.window = window

    def weights(self) -> Array:
        """What each of the last `window` values weighs, oldest first; they sum to 1."""
        return np.full(self.window, 1.0 / self.window)

    def forecast(self, filled: Array, origins: Origins) -> Array:
        recent = filled[origins[:, None] - self.window + np.arange(self.window)]
        level = np.einsum("w,kwc->kc", self.weights(), recent)
        return np.repeat(level[:, None], self.horizon, axis=1)


class WeightedMovingAverage(MovingAverage):
    """The mean of the last `window` values with weights 1, 2, …, window, the latest heaviest.

    Example:
        >>> WeightedMovingAverage(1, window=2).predict(np.array([9.0, 0.0, 3.0]))
        array([2.])
    """

    def weights(self) -> Array:
        ramp = np.arange(1.0, self.window + 1.0)
        return np.asarray(ramp / ramp.sum())


class SeasonalMean(Baseline):
    """The mean of the same step in the last `count` seasons: the same hour in the last four weeks.

    Args:
        horizon: steps to predict.
        season: steps in one season, ≥ 1.
        count: seasons to average, ≥ 1.

    Example:
        >>> SeasonalMean(1, season=2, count=2).predict(np.array([1.0, 0.0, 3.0, 0.0]))
        array([2.])
    """

    def __init__(self, horizon: int, season: int, count: int = 4) -> None:
        if season < 1 or count < 1:
            raise ValueError(f"SeasonalMean: season and count must be at least 1, got {season} and {count}")
        super().__init__(horizon, history=season * count, fill_season=season)
        self.season = season
        self.count = count

    def forecast(self, filled: Array, origins: Origins) -> Array:
        step = np.arange(self.horizon) % self.season
        back = self.season * np.arange(1, self.count + 1)
        return np.asarray(filled[origins[:, None, None] + step[:, None] - back].mean(axis=2))
