"""Dates to translate, "April 22, 2019" → "2019-04-22": a task for encoder–decoders with a known answer.

Not here: the other tasks (`tasks`, `tasks_reber`), and how characters become numbers (`characters`).
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from rnnfast.data.characters import encode_characters
from rnnfast.data.tasks import check_count

Array = np.ndarray[Any, np.dtype[Any]]
Day = datetime.date | str | np.datetime64

# Not from the calendar module, which speaks the language of the machine.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

DATE_SOURCE_CHARACTERS = "".join(sorted(set("".join(_MONTHS) + "0123456789, ")))
DATE_TARGET_CHARACTERS = "0123456789-"

_FIRST, _LAST = datetime.date(1000, 1, 1), datetime.date(9999, 12, 31)  # all years of four digits


def date_strings(
    samples: int, *, first: Day = _FIRST, last: Day = _LAST, seed: int = 0
) -> tuple[list[str], list[str]]:
    """Dates as "April 02, 2019" and as "2019-04-02", uniform over the days from `first` to `last`.

    Args:
        samples: N.
        first: the first day that may occur, in the year 1000 or later: a date, "2000-01-31", or a datetime64.
        last: the last one.
        seed: of the generator.

    Returns:
        (sources, targets): N strings each, drawn with replacement; the day has two digits in both.

    Raises:
        TypeError: samples is no integer, or `first` or `last` no day.
        ValueError: samples is below 1, a string is no date, `first` is after `last`, or a year has fewer
            than four digits.

    Example:
        >>> sources, targets = date_strings(2, seed=0)
        >>> list(zip(sources, targets))
        [('January 04, 1837', '1837-01-04'), ('March 01, 5064', '5064-03-01')]

    Reference: an exercise of Géron (2019), Hands-On Machine Learning, chapter 16.
    """
    count = check_count("date_strings", "samples", samples)
    first, last = _day("first", first), _day("last", last)
    if not _FIRST <= first <= last:
        raise ValueError(
            f"date_strings: first and last must be dates with {_FIRST} ≤ first ≤ last, got {first} and {last}"
        )
    random = np.random.RandomState(seed)
    ordinals = random.randint(first.toordinal(), last.toordinal() + 1, count)
    dates = [datetime.date.fromordinal(int(ordinal)) for ordinal in ordinals]
    sources = [f"{_MONTHS[date.month - 1]} {date.day:02d}, {date.year}" for date in dates]
    return sources, [date.isoformat() for date in dates]


def date_translation(
    samples: int, *, first: Day = _FIRST, last: Day = _LAST, seed: int = 0
) -> tuple[Array, Array, Array]:
    """`date_strings` as numbers of characters, 0 after the end.

    Args:
        samples: N.
        first: the first day that may occur, in the year 1000 or later: a date, "2000-01-31", or a datetime64.
        last: the last one.
        seed: of the generator.

    Returns:
        (source, lengths, target): int64 [N, S], numbers 1…len(DATE_SOURCE_CHARACTERS), S the longest source
        of these; int64 [N]; int64 [N, 10], numbers 1…len(DATE_TARGET_CHARACTERS). `decode_characters` reads
        them.

    Raises:
        TypeError, ValueError: as `date_strings`.

    Example:
        >>> source, lengths, target = date_translation(2, seed=0)
        >>> source.shape, lengths.tolist(), target[1].tolist()
        ((2, 16), [16, 14], [6, 1, 7, 5, 11, 1, 4, 11, 1, 2])

    Reference: see `date_strings`.
    """
    check_count("date_translation", "samples", samples)
    sources, targets = date_strings(samples, first=first, last=last, seed=seed)
    source, lengths = encode_characters(sources, DATE_SOURCE_CHARACTERS)
    return source, lengths, encode_characters(targets, DATE_TARGET_CHARACTERS)[0]


def _day(name: str, value: Day) -> datetime.date:
    """The day that an argument means; a time of day is left out."""
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value).date()
        except ValueError:
            raise ValueError(
                f'date_strings: {name} must be a date such as "2000-01-31", got {value!r}'
            ) from None
    day = value.astype("datetime64[D]").item() if isinstance(value, np.datetime64) else value
    if isinstance(day, datetime.datetime):
        return day.date()
    if not isinstance(day, datetime.date):  # NaT, and years that datetime does not have, come out as others
        raise TypeError(
            f'date_strings: {name} must be a date, a string such as "2000-01-31" or a datetime64, '
            f"got {value!r}"
        )
    return day
