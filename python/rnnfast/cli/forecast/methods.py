"""The methods that compete in `rnnfast forecast`, and how they are fitted and asked.

The networks' settings were chosen on three stretches of 56 days that lie before the test of the embedded data
(docs/forecast.md), never on the test.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnfast import train
from rnnfast.data.time_table import coarsest_step, describe_step
from rnnfast.forecast import (
    ETS,
    Backtest,
    Drift,
    Forecaster,
    ForecastMethod,
    LinearAR,
    MovingAverage,
    Naive,
    Sarima,
    SeasonalMean,
    SeasonalNaive,
    WeightedMovingAverage,
    backtest,
    metrics,
)

if TYPE_CHECKING:
    from rnnfast.cli.forecast.series import Problem, Setup

Array = np.ndarray[Any, np.dtype[Any]]

NETWORKS = ("rnn", "lstm", "gru")
BATCH_SIZE = 32
LEARNING_RATE = 8e-3


class Kind(NamedTuple):
    """A name of --models: what it makes, whether "all" includes it, whether it needs a season."""

    make: Callable[[Setup], dict[str, ForecastMethod]]
    by_default: bool = True
    seasonal: bool = False


def _averages(setup: Setup, method: Any, label: str) -> dict[str, ForecastMethod]:
    window = setup.seasons[0] if setup.seasons else setup.horizon
    return {f"{label} {window}": method(setup.horizon, window)}


def _seasonal_mean(setup: Setup) -> dict[str, ForecastMethod]:
    season = setup.seasons[-1]
    count = min(4, int(setup.origins[0]) // season)
    step = describe_step(setup.step)
    spans = {"1 day": "days", "7 days": "weeks", "364 days": "years", "12 months": "years"}
    span = spans.get(describe_step(coarsest_step(setup.step * season)), f"x {season}")
    one = step.removeprefix("1 ") if step.startswith("1 ") else "step"
    return {f"same {one}, last {count} {span}": SeasonalMean(setup.horizon, season, count)}


def _ridge(setup: Setup) -> dict[str, ForecastMethod]:
    method = LinearAR(setup.horizon, setup.input_length, stride=setup.stride, season=setup.season or 1)
    return {f"ridge AR {setup.input_length} + calendar": method}


def _network(setup: Setup) -> dict[str, ForecastMethod]:
    return {}


METHODS: dict[str, Kind] = {
    "naive": Kind(lambda setup: {"naive": Naive(setup.horizon)}),
    "drift": Kind(lambda setup: {"drift": Drift(setup.horizon)}),
    "moving-average": Kind(lambda setup: _averages(setup, MovingAverage, "moving average")),
    "weighted-average": Kind(lambda setup: _averages(setup, WeightedMovingAverage, "weighted average")),
    "seasonal-naive": Kind(
        lambda setup: {f"seasonal naive {m}": SeasonalNaive(setup.horizon, m) for m in setup.seasons},
        seasonal=True,
    ),
    "seasonal-mean": Kind(_seasonal_mean, seasonal=True),
    "ridge": Kind(_ridge),
    "ets": Kind(
        lambda setup: {"ETS": ETS(setup.horizon, season=setup.seasons[0] if setup.seasons else 1)},
        by_default=False,
    ),
    "sarima": Kind(
        lambda setup: {"SARIMA": Sarima(setup.horizon, season=setup.seasons[0] if setup.seasons else 1)},
        by_default=False,
    ),
    **{name: Kind(_network) for name in NETWORKS},
}


class Progress(train.Callback):
    """One bar over the epochs of all networks, on a terminal's stderr; lines where tqdm is missing."""

    def __init__(self, setup: Setup, *, quiet: bool) -> None:
        self.name = ""
        self.epochs = setup.epochs
        self.total = setup.epochs * len(setup.networks)
        self.shown = sys.stderr.isatty() and not quiet and self.total > 0
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if self.shown:
            try:
                tqdm = importlib.import_module("tqdm")
            except ImportError:
                return self
            self.bar = tqdm.tqdm(
                total=self.total, unit="epoch", file=sys.stderr, dynamic_ncols=True, leave=False
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def on_epoch_end(self, run: train.Run) -> None:
        if self.bar is not None:
            self.bar.set_description_str(self.name, refresh=False)
            self.bar.set_postfix_str(f"loss {run.logs['loss']:.4f}", refresh=False)
            self.bar.update()
        elif self.shown:
            print(
                f"{self.name}: epoch {run.epoch}/{self.epochs}, loss {run.logs['loss']:.4f}", file=sys.stderr
            )


class Competition:
    """Fits the networks on what precedes validation, then backtests every method from the same origins.

    Args:
        problem, setup: what is forecast, and how it is cut.
        seed: of the networks.
        progress: told about every epoch.

    Attributes:
        forecasters: cell → fitted `Forecaster`. validation: cell → MAE on the validation horizons.
        ahead: method → [H, C], the forecast of what follows the series; empty where covariates end.
    """

    def __init__(self, problem: Problem, setup: Setup, *, seed: int, progress: Progress) -> None:
        self.problem = problem
        self.setup = setup
        self.progress = progress
        self.forecasters = {
            name: Forecaster(
                name,
                setup.input_length,
                setup.horizon,
                season=setup.season,
                hidden_size=setup.hidden_size,
                stride=setup.stride,
                epochs=setup.epochs,
                batch_size=BATCH_SIZE,
                learning_rate=LEARNING_RATE,
                seed=seed,
                verbose=0,
            )
            for name in setup.networks
        }
        self.validation: dict[str, float] = {}
        self.ahead: dict[str, Array] = {}

    @property
    def chosen(self) -> str | None:
        """The network with the smallest error on validation: the one to use, chosen without the test."""
        return min(self.validation, key=lambda name: self.validation[name], default=None)

    def run(self) -> Backtest:
        """Fit and forecast; baselines that learn are fitted up to the first origin, validation included."""
        problem, setup = self.problem, self.setup
        first = int(setup.origins[0])
        seconds: dict[str, float] = {}
        for name, forecaster in self.forecasters.items():
            start = time.perf_counter()
            self.progress.name = name
            forecaster.fit(
                problem.series[:first],
                past=problem.past[:first],
                future=problem.future[:first],
                valid=setup.validation,
                callbacks=[self.progress],
            )
            seconds[name] = time.perf_counter() - start
            self.validation[name] = self._validation_error(forecaster, first)
        methods: dict[str, ForecastMethod] = {}
        for name in setup.methods:
            methods.update({name: self.forecasters[name]} if name in NETWORKS else METHODS[name].make(setup))
        result = backtest(
            methods,
            problem.series,
            setup.origins,
            setup.horizon,
            past=problem.past,
            future=problem.future,
            season=setup.season or 1,
        )
        for name, fitting in seconds.items():
            result.seconds[name] += fitting
        if problem.future.shape[0] >= problem.steps + setup.horizon:
            end = np.array([problem.steps])
            for name, method in methods.items():
                self.ahead[name] = method.predict(
                    problem.series, past=problem.past, future=problem.future, origins=end
                )[0]
        return result

    def _validation_error(self, forecaster: Forecaster, first: int) -> float:
        """MAE over the validation horizons; of several targets in their standard deviations."""
        setup, problem = self.setup, self.problem
        origins = np.arange(setup.train_stop, first, setup.horizon)
        forecasts = forecaster.predict(
            problem.series, past=problem.past, future=problem.future, origins=origins
        )
        truth = problem.series[origins[:, None] + np.arange(setup.horizon)]
        if truth.shape[-1] > 1:
            scale = forecaster.features.level.scale
            truth, forecasts = truth / scale, forecasts / scale
        return metrics.mae(truth, forecasts)
