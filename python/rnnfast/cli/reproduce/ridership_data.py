"""Daily boardings of the Chicago Transit Authority, as the chapter on recurrent networks prepares them.

Sorted by date, the total dropped, and rows dropped whose day type and both counts were there before. The file
is not part of rnnfast: its publisher states no licence. Not here: windows and models.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rnnfast.nn.parameter import Array

SHA256 = "34faaba085ca21434b7dd3e0abcbaf8cde5be3a4f170dda1c8caef72c5c4bd06"
COLUMNS = ("service_date", "day_type", "bus", "rail_boardings", "total_rides")
DAY_TYPES = ("A", "U", "W")  # Saturday, Sunday or holiday, weekday
FIRST_DAY, LAST_DAY = datetime.date(2016, 1, 1), datetime.date(2019, 5, 31)  # what the chapter takes of it
EXPECTED = (
    "the Chicago Transit Authority's daily boarding totals (data.cityofchicago.org; 7,701 rows from "
    f"2001-01-01 on; columns {', '.join(COLUMNS)}), which is not part of rnnfast"
)

Day = tuple[datetime.date, str, int, int]  # date, day type, bus, rail


@dataclass(frozen=True)
class Ridership:
    """Boardings by day.

    Args:
        dates: datetime64[D] [days], ascending.
        boardings: "rail" and "bus": float64 [days].
        tomorrow: the type of the next day as 0 or 1: "A", "U" and "W", float64 [days]; all 0 on the last one.
    """

    dates: Array
    boardings: dict[str, Array]
    tomorrow: dict[str, Array]

    def days(self, first: str, last: str) -> Array:
        """Positions of the days from `first` to `last`, both included."""
        return np.flatnonzero((self.dates >= np.datetime64(first)) & (self.dates <= np.datetime64(last)))

    def series(self, columns: Iterable[str], first: str, last: str) -> Array:
        """Model inputs, float32 [days, columns]: millions of boardings, or the next day's type as 0 or 1."""
        chosen = self.days(first, last)
        table = {name: values / 1e6 for name, values in self.boardings.items()} | self.tomorrow
        return np.stack([table[name][chosen] for name in columns], axis=1).astype(np.float32)


def read_ridership(path: str) -> tuple[Ridership, bool]:
    """Read the file.

    Args:
        path: the CSV file; columns as in `COLUMNS`, dates as MM/DD/YYYY, in any order.

    Returns:
        The boardings, and whether the file is the very one that the published numbers were computed from.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not such a file; names file, line, column and what was expected.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: must be a CSV file in UTF-8, got a byte that is not at position {error.start}"
        ) from None
    rows = csv.reader(lines)
    try:
        header = next(rows, [])
        for name in COLUMNS[:-1]:
            if name not in header:
                got = ", ".join(header) or "an empty line"
                raise ValueError(f"{path}, line 1: expected a column {name}, got {got}")
        places = [header.index(name) for name in COLUMNS[:-1]]
        days = [_day(path, rows.line_num, row, places) for row in rows if row]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {rows.line_num}: expected comma-separated values, got: {error}"
        ) from None
    _check_days(path, [day[0] for day in days])
    return _prepared(days), hashlib.sha256(content).hexdigest() == SHA256


def _day(path: str, line: int, cells: list[str], places: list[int]) -> Day:
    date_text, day_type, *counts = (cells[place].strip() if place < len(cells) else "" for place in places)

    def bad(column: str, expected: str, got: str) -> ValueError:
        return ValueError(f"{path}, line {line}, column {column}: expected {expected}, got {got!r}")

    try:
        month, day, year = map(int, date_text.split("/"))
        date = datetime.date(year, month, day)
    except ValueError:
        raise bad("service_date", "MM/DD/YYYY", date_text) from None
    if day_type not in DAY_TYPES:
        raise bad("day_type", ", ".join(DAY_TYPES), day_type)
    for name, count in zip(("bus", "rail_boardings"), counts, strict=True):
        if not (count.isascii() and count.isdigit()):
            raise bad(name, "a whole number", count)
    return date, day_type, int(counts[0]), int(counts[1])


def _check_days(path: str, dates: list[datetime.date]) -> None:
    if not dates or min(dates) > FIRST_DAY or max(dates) < LAST_DAY:
        expected = f"the days {FIRST_DAY} to {LAST_DAY}"
        got = f"{min(dates)} to {max(dates)}" if dates else "none"
        raise ValueError(f"{path}, column service_date: expected {expected}, got {got}")


def _prepared(days: list[Day]) -> Ridership:
    first: dict[tuple[str, int, int], Day] = {}
    for day in sorted(days, key=lambda day: day[0]):
        first.setdefault(day[1:], day)  # whatever the date, as in the chapter; 62 days come twice in the file
    kept = list(first.values())
    next_types = [day[1] for day in kept[1:]] + [""]
    return Ridership(
        dates=np.array([day[0] for day in kept], "datetime64[D]"),
        boardings={
            "rail": np.array([day[3] for day in kept], float),
            "bus": np.array([day[2] for day in kept], float),
        },
        tomorrow={kind: np.array([kind == name for name in next_types], float) for kind in DAY_TYPES},
    )
