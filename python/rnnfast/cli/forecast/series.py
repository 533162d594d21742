"""What `rnnfast forecast` works on: the table, the roles of its columns, and the split of its time."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rnnfast.cli.forecast.methods import METHODS, NETWORKS
from rnnfast.data import TimeTable, calendar_features, calendar_seasons, load_i94_traffic, read_csv
from rnnfast.forecast import last_origins

Array = np.ndarray[Any, np.dtype[Any]]

ORIGINS = 56
TESTED_SHARE = 5  # without --origins, at most one step in five is for the test
LONGEST_HORIZON, LONGEST_INPUT = 96, 336  # unless asked for: longer ones train for more than a minute
VALIDATION_ORIGINS = 28  # four weeks of days: every weekday four times
TRAINED_WINDOWS = 18_000  # over all epochs: fewer passes over a long series, more over a short one
EPOCHS = (4, 60)
ENOUGH_WINDOWS = 400  # fewer, and the training windows are taken from every phase of the season


class UsageError(Exception):
    """What was asked for cannot be done as asked; the text is one line that says why."""


@dataclass
class Problem:
    """A table and the roles of its columns.

    Args:
        table: the table; rows after the last known target carry future covariates alone.
        targets, past_names: columns to forecast; columns known up to now.
        series: [T, C] targets. past: [T, P]. future: [T + ahead, F], the calendar first.
        future_names: columns of `future`.
    """

    table: TimeTable
    targets: list[str]
    past_names: list[str]
    future_names: list[str]
    series: Array
    past: Array
    future: Array

    @property
    def steps(self) -> int:
        """Steps of the series, T."""
        return int(self.series.shape[0])

    @property
    def missing(self) -> int:
        """Steps at which a target is missing."""
        return int(np.isnan(self.series).any(axis=1).sum())


@dataclass
class Setup:
    """How the problem is cut and trained; no number here depends on a value of the series."""

    step: np.timedelta64
    horizon: int
    input_length: int
    seasons: tuple[int, ...]
    origins: np.ndarray[Any, np.dtype[np.int64]]
    validation: int  # steps held out before the first origin
    stride: int
    epochs: int
    hidden_size: int
    methods: list[str]
    networks: list[str] = field(default_factory=list)

    @property
    def season(self) -> int | None:
        """The longest season, whose recent means are the networks' reference."""
        return self.seasons[-1] if self.seasons else None

    @property
    def train_stop(self) -> int:
        """One past the last step that networks are trained on."""
        return int(self.origins[0]) - self.validation


def load(arguments: argparse.Namespace) -> Problem:
    """Read the file, or take the embedded data, and give its columns their roles."""
    past_names, future_names = _names(arguments.past_cov), _names(arguments.future_cov)
    targets = _names(arguments.target)
    _check_roles({"--target": targets, "--past-cov": past_names, "--future-cov": future_names})
    if arguments.file is None:
        table = load_i94_traffic()
        targets = targets or ["traffic_volume"]
        holidays = arguments.holidays or "us"
        if arguments.time:
            raise UsageError(
                "--time: expected a FILE.csv along with it; the embedded data set has one time axis"
            )
    else:
        wanted = [*targets, *past_names, *future_names] if targets else None
        table = read_csv(arguments.file, time=arguments.time, columns=wanted)
        if any(name not in table.columns for name in (*past_names, *future_names)):
            # Asked for by name, a column that is not there or not numeric is reported as what it is.
            wanted = list(dict.fromkeys([*table.columns, *past_names, *future_names]))
            table = read_csv(arguments.file, time=arguments.time, columns=wanted)
        holidays = arguments.holidays or "none"
        if not targets:
            targets = [name for name in table.columns if name not in (*past_names, *future_names)][:1]
            if not targets:
                raise ValueError(
                    f"{arguments.file}: expected a column of numbers beside the time column, got none"
                )
    known = table.matrix([*targets])
    there = np.flatnonzero(~np.isnan(known).all(axis=1))
    if there.size == 0:
        raise ValueError(f"{table.name}: expected values in column {', '.join(targets)}, got none")
    steps = int(there[-1]) + 1
    calendar, names = _calendar(table, len(table) - steps, future_names, holidays)
    return Problem(
        table=table,
        targets=targets,
        past_names=past_names,
        future_names=[*names, *future_names],
        series=known[:steps],
        past=table.matrix(past_names)[:steps],
        future=calendar,
    )


def _check_roles(roles: dict[str, list[str]]) -> None:
    """Refuse a column with two roles, or named twice."""
    seen: dict[str, str] = {}
    for role, names in roles.items():
        for name in names:
            if name in seen:
                raise UsageError(
                    f"{role}: expected columns that have no other role, got {name!r} of {seen[name]}"
                )
            seen[name] = role


def _calendar(
    table: TimeTable, rows_ahead: int, future_names: list[str], holidays: str
) -> tuple[Array, tuple[str, ...]]:
    """Calendar and future covariates; where there are no columns known ahead, the calendar goes on."""
    time = table.time
    if not future_names:
        # Ahead far enough for any horizon that fits into the series.
        time = np.concatenate([time, table.time_after(max(0, len(table) // 2 - rows_ahead))])
    features = calendar_features(time, table.step, holidays=None if holidays == "none" else holidays)
    given = table.matrix(future_names)
    unknown = np.argwhere(np.isnan(given))
    if unknown.size:
        row, column = unknown[0]
        when = str(table.time[row]).replace("T", " ")
        raise ValueError(
            f'{table.name}, column "{future_names[column]}", {when}: expected a value on every row '
            f"(a future covariate is known ahead), got nothing"
        )
    if not future_names:
        return features.values, features.names
    return np.concatenate([features.values, given], axis=1), features.names


def set_up(arguments: argparse.Namespace, problem: Problem) -> Setup:
    """Choose what the arguments leave open, and refuse what does not fit the series."""
    for name in ("horizon", "input_length", "origins", "epochs", "hidden_size"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')}: expected at least 1, got {value}")
    methods = _methods(arguments.models)
    sizes = _sizes(arguments, problem.table, problem.steps)
    if not sizes.fit:
        enough = _enough(arguments, problem)
        raise ValueError(
            f"{problem.table.name}: expected at least {enough} rows for a horizon of {sizes.horizon}, "
            f"windows of {sizes.input_length} and {sizes.origins} origins, got {problem.steps}; "
            f"take smaller ones"
        )
    stride, windows = _stride(sizes.horizon, sizes.seasons, sizes.windows)
    setup = Setup(
        step=problem.table.step,
        horizon=sizes.horizon,
        input_length=sizes.input_length,
        seasons=sizes.seasons,
        origins=last_origins(problem.steps, sizes.origins, sizes.horizon),
        validation=sizes.validation,
        stride=stride,
        epochs=arguments.epochs or int(np.clip(round(TRAINED_WINDOWS / windows), *EPOCHS)),
        hidden_size=arguments.hidden_size,
        methods=[m for m in methods if sizes.seasons or not METHODS[m].seasonal],
    )
    setup.networks = [name for name in setup.methods if name in NETWORKS]
    return setup


class _Sizes(NamedTuple):
    """The sizes that a series of some number of steps gives room for; `windows` < 2 is no room at all."""

    horizon: int
    input_length: int
    seasons: tuple[int, ...]
    origins: int
    validation: int
    windows: int

    @property
    def fit(self) -> bool:
        return self.windows >= 2


def _sizes(arguments: argparse.Namespace, table: TimeTable, steps: int) -> _Sizes:
    seasons = calendar_seasons(table.step)
    horizon = arguments.horizon or (min(seasons[0], LONGEST_HORIZON) if seasons else 10)
    origins = arguments.origins or max(1, min(ORIGINS, steps // TESTED_SHARE // horizon))
    first = max(0, steps - origins * horizon)
    # A season must fit four times into what precedes the test, or it says little about it.
    seasons = tuple(season for season in seasons if 4 * season <= first)
    longest = seasons[-1] if seasons else 0
    reach = longest if longest <= LONGEST_INPUT else 0
    input_length = arguments.input_length or max(reach, min(4 * horizon, max(1, first // 6)))
    validation = horizon * max(1, min(VALIDATION_ORIGINS, first // 10 // horizon))
    skipped = longest * -(-horizon // longest) if longest else 0
    windows = first - validation - skipped - input_length - horizon + 1
    return _Sizes(horizon, input_length, seasons, origins, validation, windows)


def _enough(arguments: argparse.Namespace, problem: Problem) -> int:
    """A number of steps that gives room, where one step less does not."""
    short, enough = problem.steps, 2 * problem.steps
    while not _sizes(arguments, problem.table, enough).fit:
        short, enough = enough, 2 * enough
    while enough - short > 1:
        middle = (short + enough) // 2
        if _sizes(arguments, problem.table, middle).fit:
            enough = middle
        else:
            short = middle
    return enough


def _stride(horizon: int, seasons: tuple[int, ...], windows: int) -> tuple[int, int]:
    """Steps between training windows, and how many windows there are then.

    Forecasts are asked for at the same phase of the shortest season every time (midnights), and networks that
    are trained on that phase alone learn it faster and better, as long as it has enough windows.
    """
    stride = math.gcd(horizon, seasons[0]) if seasons else 1
    while stride > 1 and windows // stride < ENOUGH_WINDOWS:
        stride = next(d for d in range(stride - 1, 0, -1) if stride % d == 0)
    return stride, max(1, windows // stride)


def _methods(text: str) -> list[str]:
    if text == "all":
        return [name for name, method in METHODS.items() if method.by_default]
    names = _names(text)
    for name in names:
        if name not in METHODS:
            raise UsageError(f"--models: expected all, or some of {', '.join(METHODS)}, got {name!r}")
    # The naive method is what every other is measured by.
    return [name for name in METHODS if name in names or name == "naive"]


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
