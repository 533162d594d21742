"""A table of columns over one regular time axis: what a CSV file or a data frame becomes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TimeTable:
    """Columns of numbers over a regular time axis; NaN is a missing value.

    Args:
        time: datetime64[s] [T], ascending with one constant step (or one constant number of months).
        columns: name → float64 [T].
        name: what messages and titles call the table.
        attribution: the line a licence asks to be shown with the data and what is made of it; empty if none.

    Raises:
        ValueError: a column of another length, or a time axis that is unsorted or irregular.

    Example:
        >>> table = TimeTable(np.arange("2020-01-01", "2020-01-04", dtype="datetime64[D]"), {"y": np.ones(3)})
        >>> describe_step(table.step)
        '1 day'
    """

    time: Array
    columns: Mapping[str, Array]
    name: str = "table"
    attribution: str = ""
    step: np.timedelta64 = field(init=False)

    def __post_init__(self) -> None:
        time = np.asarray(self.time).astype("datetime64[s]")
        if time.ndim != 1 or time.size < 2:
            raise ValueError(f"TimeTable: time must have shape (T,) with T > 1, got {time.shape}")
        columns = {name: np.asarray(column, dtype=np.float64) for name, column in self.columns.items()}
        for name, column in columns.items():
            if column.shape != time.shape:
                raise ValueError(
                    f'TimeTable: column "{name}" must have shape {time.shape}, got {column.shape}'
                )
        step, row = regular_step(time)
        if row is not None:
            raise ValueError(
                f"TimeTable: time must ascend with a constant step of {describe_step(step)}, got "
                f"{time[row - 1]} followed by {time[row]} at row {row}"
            )
        object.__setattr__(self, "time", time)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "step", step)

    def __len__(self) -> int:
        return int(self.time.shape[0])

    def __getitem__(self, name: str) -> Array:
        return self.matrix([name])[:, 0]

    def matrix(self, names: Sequence[str]) -> Array:
        """The named columns side by side: float64 [T, len(names)].

        Raises:
            ValueError: a name that is not a column; the text lists those there are.
        """
        for name in names:
            if name not in self.columns:
                raise ValueError(f'{self.name}: no column "{name}"; there are {", ".join(self.columns)}')
        if not names:
            return np.empty((len(self), 0))
        return np.stack([self.columns[name] for name in names], axis=1)

    def time_after(self, steps: int, *, row: int = -1) -> Array:
        """The next `steps` times after a row, by default the last: datetime64[s] [steps]."""
        return extend_time(self.time[row], self.step, steps)


def regular_step(time: Array) -> tuple[np.timedelta64, int | None]:
    """Step of a time axis, in whole months or in days and less, and the first row that breaks it, or None."""
    time = time.astype("datetime64[s]")
    months = time.astype("datetime64[M]")
    month_step = months[1] - months[0]
    # Month ends (31 Jan, 28 Feb) and month starts alike: the months advance evenly and the day never moves
    # mid-month.
    day = (time - months.astype("datetime64[s]")).astype(np.int64)
    to_end = ((months + 1).astype("datetime64[s]") - time).astype(np.int64)
    if month_step > np.timedelta64(0, "M") and (np.ptp(day) == 0 or np.ptp(to_end) == 0):
        steps = np.diff(months)
        if time.size > 2 or day[0] == 0:
            wrong = np.flatnonzero(steps != month_step)
            return month_step, (int(wrong[0]) + 1 if wrong.size else None)
    differences = np.diff(time)
    # The most common difference is the step, so that a gap right at the start is named as the gap it is.
    kinds, counts = np.unique(differences, return_counts=True)
    step = kinds[np.argmax(counts)]
    if step <= np.timedelta64(0, "s"):
        return step, int(np.flatnonzero(differences <= np.timedelta64(0, "s"))[0]) + 1
    wrong = np.flatnonzero(differences != step)
    return coarsest_step(step), (int(wrong[0]) + 1 if wrong.size else None)


def extend_time(last: np.datetime64, step: np.timedelta64, steps: int) -> Array:
    """`steps` times after `last`; a step in months keeps the distance from the month's start or end."""
    ahead = np.arange(1, steps + 1)
    last = last.astype("datetime64[s]")
    if np.datetime_data(step.dtype)[0] != "M":
        return np.asarray(last + ahead * step.astype("timedelta64[s]"))
    month = last.astype("datetime64[M]")
    later = month + ahead * step
    if last - month.astype("datetime64[s]") >= np.timedelta64(27, "D"):
        return np.asarray((later + 1).astype("datetime64[s]") - ((month + 1).astype("datetime64[s]") - last))
    return np.asarray(later.astype("datetime64[s]") + (last - month.astype("datetime64[s]")))


def describe_step(step: np.timedelta64) -> str:
    """A step in words: 1 hour, 15 minutes, 1 month."""
    unit = np.datetime_data(step.dtype)[0]
    word = {"M": "month", "D": "day", "h": "hour", "m": "minute", "s": "second"}[unit]
    count = int(step.astype(np.int64))
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def coarsest_step(step: np.timedelta64) -> np.timedelta64:
    """The same step in the largest unit that gives a whole number, days at most; months stay months."""
    if np.datetime_data(step.dtype)[0] == "M":
        return step
    for unit in (np.timedelta64(1, "D"), np.timedelta64(1, "h"), np.timedelta64(1, "m")):
        if step % unit == np.timedelta64(0, "s"):
            return unit * int(step / unit)
    return step


def from_dataframe(
    frame: Any, *, time: str, columns: Sequence[str] | None = None, name: str = "table"
) -> TimeTable:
    """A TimeTable from a pandas, polars, pyarrow, … data frame (needs the extra `rnnfast[frames]`).

    Args:
        frame: any frame that narwhals understands.
        time: the column of times.
        columns: the columns of numbers to take; None takes every numeric one.
        name: the name of the table.

    Returns:
        TimeTable with the named columns as float64.

    Raises:
        ImportError: narwhals is not installed. ValueError: no such column, or an irregular time axis.
    """
    try:
        narwhals = importlib.import_module("narwhals")
    except ImportError:
        raise ImportError(
            'from_dataframe needs narwhals; install it with: pip install "rnnfast[frames]"'
        ) from None
    table = narwhals.from_native(frame, eager_only=True)
    for wanted in (time, *(columns or ())):
        if wanted not in table.columns:
            raise ValueError(f'{name}: no column "{wanted}"; there are {", ".join(table.columns)}')
    if columns is None:
        columns = [c for c in table.columns if c != time and table[c].dtype.is_numeric()]
    values = {column: table[column].cast(narwhals.Float64).to_numpy() for column in columns}
    return TimeTable(table[time].to_numpy().astype("datetime64[s]"), values, name=name)
