"""What the calendar alone tells about a time step: hour, weekday, season of the year, holidays.

These are *future* covariates: known for any time ahead. Every column lies in [-1, 1].
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Holidays on which most offices, schools and shops close; on the others traffic is nearly that of a working
# day.
MAJOR_HOLIDAYS = (
    "New Year's Day",
    "Memorial Day",
    "Independence Day",
    "Labor Day",
    "Thanksgiving Day",
    "Christmas Day",
)


class CalendarFeatures(NamedTuple):
    """Names of the columns and their values, float64 [T, len(names)]."""

    names: tuple[str, ...]
    values: Array


def calendar_seasons(step: np.timedelta64) -> tuple[int, ...]:
    """Usual season lengths in steps, shortest first: hours 24 and 168, days 7, weeks 52, months 12.

    Args:
        step: the time between two rows.

    Returns:
        Season lengths > 1; empty where the calendar suggests none (years, or a step that divides no day).

    Example:
        >>> calendar_seasons(np.timedelta64(1, "h"))
        (24, 168)
    """
    unit, count = np.datetime_data(step.dtype)[0], int(step.astype(np.int64))
    if unit == "M":
        return (12 // count,) if count < 12 and 12 % count == 0 else ()
    seconds = int(step.astype("timedelta64[s]").astype(np.int64))
    day, week = 86400, 7 * 86400
    if seconds == week:
        return (52,)
    return tuple(span // seconds for span in (day, week) if seconds < span and span % seconds == 0)


def us_federal_holidays(year: int) -> dict[date, str]:
    """The US federal holidays of a year on their own dates (not the weekday that makes up for one).

    Args:
        year: from 1971 (the Uniform Monday Holiday Act) on; Juneteenth counts from 2021.

    Returns:
        date → name, in the order of the year.

    Raises:
        ValueError: a year before 1971.

    Example:
        >>> us_federal_holidays(2018)[date(2018, 9, 3)]
        'Labor Day'

    Reference: 5 U.S.C. § 6103.
    """
    if year < 1971:
        raise ValueError(f"us_federal_holidays: year must be at least 1971, got {year}")
    holidays = {
        date(year, 1, 1): "New Year's Day",
        _nth_weekday(year, 1, 0, 3): "Birthday of Martin Luther King, Jr.",
        _nth_weekday(year, 2, 0, 3): "Washington's Birthday",
        _nth_weekday(year, 6, 0, 1) - timedelta(days=7): "Memorial Day",
        date(year, 7, 4): "Independence Day",
        _nth_weekday(year, 9, 0, 1): "Labor Day",
        _nth_weekday(year, 10, 0, 2): "Columbus Day",
        date(year, 11, 11): "Veterans Day",
        _nth_weekday(year, 11, 3, 4): "Thanksgiving Day",
        date(year, 12, 25): "Christmas Day",
    }
    if year < 1986:
        holidays.pop(_nth_weekday(year, 1, 0, 3))
    if year >= 2021:
        holidays[date(year, 6, 19)] = "Juneteenth National Independence Day"
    return dict(sorted(holidays.items()))


def _nth_weekday(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def calendar_features(time: Array, step: np.timedelta64, *, holidays: str | None = None) -> CalendarFeatures:
    """Calendar columns that fit a time step: hour of the day, weekday, time of the year, holidays.

    Args:
        time: datetime64 [T], any times, of the future too.
        step: the time between two rows; it decides which columns there are.
        holidays: "us" adds four flags: a major federal holiday, a minor one, the day before and the day after
            a major one. None adds nothing.

    Returns:
        CalendarFeatures(names, values float64 [T, F]).

    Raises:
        ValueError: an unknown holiday calendar.

    Example:
        >>> time = np.array(["2018-09-03"], dtype="datetime64[D]")
        >>> calendar_features(time, np.timedelta64(1, "D")).names[:2]
        ('monday', 'tuesday')
    """
    if holidays not in (None, "us"):
        raise ValueError(f'calendar_features: holidays must be "us" or None, got {holidays!r}')
    seconds = time.astype("datetime64[s]").astype(np.int64)
    days = time.astype("datetime64[D]")
    unit = np.datetime_data(step.dtype)[0]
    daily = unit != "M" and step <= np.timedelta64(1, "D")
    columns: dict[str, Array] = {}
    if daily and step < np.timedelta64(1, "D"):
        for harmonic in (1, 2):
            day_angle = 2.0 * np.pi * harmonic * (seconds % 86400) / 86400
            columns[f"day_sine_{harmonic}"] = np.sin(day_angle)
            columns[f"day_cosine_{harmonic}"] = np.cos(day_angle)
    if daily:
        weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        for index, name in enumerate(WEEKDAYS):
            columns[name] = (weekday == index).astype(np.float64)
    else:
        start = time.astype("datetime64[Y]").astype("datetime64[s]").astype(np.int64)
        angle = 2.0 * np.pi * (seconds - start) / (365.25 * 86400)
        columns["year_sine"], columns["year_cosine"] = np.sin(angle), np.cos(angle)
    if holidays == "us":
        columns.update(_holiday_flags(days))
    return CalendarFeatures(tuple(columns), np.stack(list(columns.values()), axis=1))


def _holiday_flags(days: Array) -> dict[str, Array]:
    years = days.astype("datetime64[Y]").astype(int) + 1970
    known: dict[date, str] = {}
    for year in range(int(years.min()) - 1, int(years.max()) + 2):
        known.update(us_federal_holidays(year))
    major = np.array([day for day, name in known.items() if name in MAJOR_HOLIDAYS], dtype="datetime64[D]")
    minor = np.array(
        [day for day, name in known.items() if name not in MAJOR_HOLIDAYS], dtype="datetime64[D]"
    )
    flags = {
        "holiday": np.isin(days, major),
        "minor_holiday": np.isin(days, minor),
        "before_holiday": np.isin(days + 1, major),
        "after_holiday": np.isin(days - 1, major),
    }
    return {name: flag.astype(np.float64) for name, flag in flags.items()}
