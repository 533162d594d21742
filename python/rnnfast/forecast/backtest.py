"""Rolling-origin backtest: every method forecasts from the same origins, all in one batched prediction.

Reference: Tashman 2000, Out-of-sample tests of forecasting accuracy: an analysis and review.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rnnfast.forecast import metrics
from rnnfast.forecast.arguments import (
    Array,
    ForecastMethod,
    Origins,
    as_covariates,
    as_matrix,
    as_origins,
    last_origins,
)
from rnnfast.forecast.baselines import SeasonalNaive


class Score(NamedTuple):
    """One method's row of the table: mean errors over all origins and steps of one target column."""

    method: str
    target: int
    mae: float
    rmse: float
    mape: float
    smape: float
    mase: float
    relative: float  # MAE / MAE of the seasonal naive method on the same origins
    seconds: float


@dataclass
class Backtest:
    """What a backtest found.

    Args:
        origins: int64 [K].
        truth: [K, H, C] of observed values, NaN where missing.
        forecasts: method → [K, H, C].
        seconds: method → wall seconds of fitting and predicting.
        season: of MASE and of the seasonal naive method, in steps.
        training: [T, C] the series before the first origin, MASE's scale.
    """

    origins: Origins
    truth: Array
    forecasts: dict[str, Array]
    seconds: dict[str, float]
    season: int
    training: Array
    _relative_to: Array = field(repr=False, default_factory=lambda: np.empty(0))

    def scores(self, target: int = 0) -> list[Score]:
        """A row for each method, in the order they were given.

        Args:
            target: column of the series.

        Returns:
            Scores; MAPE is NaN where a truth is zero, MASE and the relative error where their scale is.

        Raises:
            ValueError: nothing to score: every truth is missing.
        """
        truth = self.truth[..., target]
        seasonal = self._relative_to[target]
        scale = metrics.naive_scale(self.training[:, target], self.season)
        rows = []
        for name, forecast in self.forecasts.items():
            f = forecast[..., target]
            error = metrics.mae(truth, f)
            rows.append(
                Score(
                    method=name,
                    target=target,
                    mae=error,
                    rmse=metrics.rmse(truth, f),
                    mape=float("nan") if (truth == 0.0).any() else metrics.mape(truth, f),
                    smape=metrics.smape(truth, f),
                    mase=error / scale if scale > 0.0 else float("nan"),
                    relative=error / seasonal if seasonal > 0.0 else float("nan"),
                    seconds=self.seconds[name],
                )
            )
        return rows


def backtest(
    models: Mapping[str, ForecastMethod],
    series: Array,
    origins: int | Array,
    horizon: int,
    refit: bool = False,
    *,
    past: Array | None = None,
    future: Array | None = None,
    season: int = 1,
) -> Backtest:
    """Forecast series[o : o + horizon] from every origin o with every method, each seeing series[:o] alone.

    Args:
        models: name → method (`Forecaster`, a baseline, or anything with their `fit` and `predict`). Fitted
            ones are used as they are; the others are fitted on series[: first origin].
        series: [T] or [T, C]; NaN is a missing value and is not scored.
        origins: the last K whole horizons (int), or indices [K], ascending.
        horizon: steps ahead; every method's own horizon.
        refit: fit every method anew before every origin, on all that precedes it.
        past: [≥ T, P] covariates known up to now.
        future: [≥ T, F] covariates known ahead.
        season: of MASE and of the seasonal naive method that relative errors are taken to.

    Returns:
        Backtest: forecasts [K, horizon, C], seconds and scores.

    Raises:
        ValueError: a method of another horizon, unsorted origins, or one without history or a whole horizon.

    Example:
        >>> from rnnfast.forecast import Naive
        >>> result = backtest({"naive": Naive(2)}, np.arange(10.0), origins=3, horizon=2)
        >>> result.scores()[0].mae
        1.5
    """
    matrix = as_matrix("backtest", "series", series)
    steps = matrix.shape[0]
    where = last_origins(steps, origins, horizon) if isinstance(origins, int) else origins
    where = as_origins("backtest", where, steps - horizon, 1)
    if where.size == 0 or (np.diff(where) <= 0).any():
        raise ValueError("backtest: origins must ascend and hold at least one, got others")
    for name, method in models.items():
        if method.horizon != horizon:
            raise ValueError(f"backtest: method {name} must have horizon {horizon}, got {method.horizon}")
    as_covariates("backtest", "past", past, steps)
    as_covariates("backtest", "future", future, steps)
    forecasts: dict[str, Array] = {}
    seconds: dict[str, float] = {}
    for name, method in models.items():
        start = time.perf_counter()
        if refit:
            pieces = [
                _forecast(method, series, past, future, where[k : k + 1], fit=True) for k in range(where.size)
            ]
            forecasts[name] = np.concatenate(pieces)
        else:
            forecasts[name] = _forecast(method, series, past, future, where, fit=not method.is_fitted)
        seconds[name] = time.perf_counter() - start
    ahead = where[:, None] + np.arange(horizon)
    if np.ndim(series) == 1:
        forecasts = {name: forecast[..., None] for name, forecast in forecasts.items()}
    truth = matrix[ahead]
    return Backtest(
        where,
        truth,
        forecasts,
        seconds,
        season,
        matrix[: where[0]],
        _seasonal_naive_error(matrix, where, truth, season),
    )


def _forecast(
    method: ForecastMethod, series: Any, past: Any, future: Any, where: Origins, *, fit: bool
) -> Array:
    """Fit on what precedes the first origin, where asked to, and predict from all of them at once."""
    values = np.asarray(series)
    if fit:
        first = int(where[0])
        method.fit(
            values[:first],
            past=None if past is None else np.asarray(past)[:first],
            future=None if future is None else np.asarray(future)[: first + method.horizon],
        )
    return method.predict(values, past=past, future=future, origins=where)


def _seasonal_naive_error(matrix: Array, where: Origins, truth: Array, season: int) -> Array:
    """MAE of the seasonal naive method by column; NaN where there is no season before the first origin."""
    if where[0] < season:
        return np.full(matrix.shape[1], np.nan)
    forecast = SeasonalNaive(truth.shape[1], season).predict(matrix, origins=where)
    return np.array([metrics.mae(truth[..., c], forecast[..., c]) for c in range(matrix.shape[1])])
