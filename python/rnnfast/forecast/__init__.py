"""Forecasting: recurrent forecasters, honest baselines, rolling-origin backtests, metrics and plots.

The words are darts': *past* covariates are known up to now, *future* covariates are known ahead. `rnnfast
forecast` is this package at work.
"""

from __future__ import annotations

from rnnfast.forecast import metrics
from rnnfast.forecast.arguments import ForecastMethod, last_origins
from rnnfast.forecast.backtest import Backtest, Score, backtest
from rnnfast.forecast.baselines import (
    Baseline,
    Drift,
    MovingAverage,
    Naive,
    SeasonalMean,
    SeasonalNaive,
    WeightedMovingAverage,
)
from rnnfast.forecast.forecaster import Forecaster
from rnnfast.forecast.linear import LinearAR
from rnnfast.forecast.metrics import mae, mape, mase, pinball, rmse, smape
from rnnfast.forecast.plot import plot_backtest
from rnnfast.forecast.statistical import ETS, Sarima
from rnnfast.forecast.table import score_csv, score_table, verdict

__all__ = [
    "ETS",
    "Backtest",
    "Baseline",
    "Drift",
    "ForecastMethod",
    "Forecaster",
    "LinearAR",
    "MovingAverage",
    "Naive",
    "Sarima",
    "Score",
    "SeasonalMean",
    "SeasonalNaive",
    "WeightedMovingAverage",
    "backtest",
    "last_origins",
    "mae",
    "mape",
    "mase",
    "metrics",
    "pinball",
    "plot_backtest",
    "rmse",
    "score_csv",
    "score_table",
    "smape",
    "verdict",
]
