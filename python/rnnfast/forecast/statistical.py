"""SARIMA and exponential smoothing through statsmodels (extra `rnnfast[baselines]`).

The parameters come from the training series; at every origin the state is filtered through the values up to
it.

Reference: Box & Jenkins 1970; Hyndman, Koehler, Ord & Snyder 2008, Forecasting with Exponential Smoothing.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

from rnnfast.data import fill_from_past
from rnnfast.forecast.arguments import Array, as_matrix, as_origins, check_seen


class StateSpaceBaseline:
    """A statsmodels state-space model for each column; `make` builds the model of one training column.

    Args:
        horizon: steps to predict, ≥ 1.
        season: season of the model, and the one from which a missing value is filled.
    """

    def __init__(self, horizon: int, *, season: int = 1) -> None:
        if horizon < 1 or season < 1:
            raise ValueError(
                f"{type(self).__name__}: horizon and season must be at least 1, got {horizon} and {season}"
            )
        self.horizon = horizon
        self.season = season
        self.is_fitted = False
        self._series: Array | None = None
        self._results: list[Any] = []

    def make(self, column: Array) -> Any:
        """The unfitted statsmodels model of a filled column [T]."""
        raise NotImplementedError

    def fit(self, series: Array, *, past: Array | None = None, future: Array | None = None) -> Any:
        """Estimate the parameters by maximum likelihood on series [T] or [T, C]; covariates are not used.

        Raises:
            ImportError: statsmodels is not installed.
        """
        matrix = as_matrix(f"{type(self).__name__}.fit", "series", series)
        filled, _ = fill_from_past(matrix, self.season)
        # statsmodels warns about starting values and slow convergence, and sets its own filters to do so;
        # neither changes what is returned.
        with warnings.catch_warnings(record=True):
            self._results = [self.make(column).fit(disp=False) for column in filled.T]
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
        """Forecasts from every origin; arguments and shapes as in `Baseline.predict`."""
        operation = f"{type(self).__name__}.predict"
        values = self._series if series is None else series
        if not self.is_fitted or values is None:
            raise RuntimeError(f"{operation}: the method must be fitted first; call fit(series)")
        matrix = as_matrix(operation, "series", values)
        where = as_origins(operation, origins, matrix.shape[0], self.season + 1)
        check_seen(operation, matrix, where)
        filled, _ = fill_from_past(matrix[: int(where.max(initial=1))], self.season)
        forecasts = np.empty((where.size, self.horizon, matrix.shape[1]))
        with warnings.catch_warnings(record=True):
            for index, origin in enumerate(where):
                for column, results in enumerate(self._results):
                    updated = results.apply(filled[:origin, column])
                    forecasts[index, :, column] = updated.forecast(self.horizon)
        result = forecasts[..., 0] if np.ndim(values) == 1 else forecasts
        return np.asarray(result[0] if origins is None else result)


class Sarima(StateSpaceBaseline):
    """SARIMA (p, d, q)(P, D, Q)_m.

    Args:
        horizon: steps to predict.
        order: (p, d, q).
        seasonal_order: (P, D, Q).
        season: m.

    Example:
        >>> method = Sarima(14, order=(1, 0, 0), seasonal_order=(0, 1, 1), season=7)
    """

    def __init__(
        self,
        horizon: int,
        *,
        order: tuple[int, int, int] = (1, 0, 0),
        seasonal_order: tuple[int, int, int] = (0, 1, 1),
        season: int = 1,
    ) -> None:
        super().__init__(horizon, season=season)
        self.order = order
        self.seasonal_order = seasonal_order

    def make(self, column: Array) -> Any:
        model = _statsmodels("statsmodels.tsa.statespace.sarimax", "Sarima").SARIMAX
        seasonal = (*self.seasonal_order, self.season) if self.season > 1 else (0, 0, 0, 0)
        return model(column, order=self.order, seasonal_order=seasonal)


class ETS(StateSpaceBaseline):
    """Exponential smoothing with additive errors: level, optional (damped) trend, additive season.

    Args:
        horizon: steps to predict.
        season: m; 1 has no seasonal part.
        trend: an additive trend.
        damped: the trend levels off.

    Example:
        >>> method = ETS(12, season=12, trend=True, damped=True)
    """

    def __init__(self, horizon: int, *, season: int = 1, trend: bool = False, damped: bool = False) -> None:
        super().__init__(horizon, season=season)
        if damped and not trend:
            raise ValueError("ETS: damped must go with trend=True, got trend=False")
        self.trend = trend
        self.damped = damped

    def make(self, column: Array) -> Any:
        model = _statsmodels("statsmodels.tsa.statespace.exponential_smoothing", "ETS").ExponentialSmoothing
        seasonal = self.season if self.season > 1 else None
        return model(column, trend=self.trend, damped_trend=self.damped, seasonal=seasonal)


def _statsmodels(module: str, operation: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f'{operation} needs statsmodels; install it with: pip install "rnnfast[baselines]"'
        ) from None
