"""Reading a CSV file into a TimeTable with the standard library, saying exactly where a bad file is bad.

Comma, semicolon or tab, found in the header; UTF-8 with or without a byte-order mark; `.gz` is unpacked;
lines that begin with # before the header are skipped. Empty, NaN, NA and null are missing values. Times are
ISO 8601 (a UTC offset is converted to UTC), month/day/year or day.month.year: one format per file.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.data.time_table import TimeTable, describe_step, extend_time, regular_step

Times = np.ndarray[Any, np.dtype[Any]]

MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})


def read_csv(path: str | Path, *, time: str | None = None, columns: Sequence[str] | None = None) -> TimeTable:
    """Read a regular time series of one or several columns.

    Args:
        path: the file.
        time: name of the time column; None takes the first column.
        columns: names of the columns to read; None reads every other column whose first value is a number.

    Returns:
        TimeTable named after the file.

    Raises:
        FileNotFoundError, PermissionError, IsADirectoryError: the file cannot be opened.
        ValueError: one line naming file, line, column, what was expected and what was found.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "y.csv")
        >>> _ = file.write_text("day,y\\n2020-01-01,1\\n2020-01-02,2\\n")
        >>> read_csv(file)["y"]
        array([1., 2.])
        >>> folder.cleanup()
    """
    lines = _lines(Path(path))
    start = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if start is None:
        raise ValueError(f"{path}: expected a header line and rows of data, got an empty file")
    delimiter = max((",", ";", "\t"), key=lines[start].count)
    reader = csv.reader(lines[start:], delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader)]
        rows = [(start + reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {start + reader.line_num}: expected fields that a CSV reader takes, got {error}; "
            f"look for a quote that is never closed"
        ) from None
    return _table(str(path), header, rows, time, columns, start + 1)


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(
                f"{path}: expected a whole gzip file, got something else or a damaged one ({error})"
            ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8 text, got byte 0x{raw[error.start]:02x}"
        ) from None
    return list(io.StringIO(text, newline=None))


def _table(
    name: str,
    header: list[str],
    rows: list[tuple[int, list[str]]],
    time: str | None,
    columns: Sequence[str] | None,
    header_line: int,
) -> TimeTable:
    for index, column in enumerate(header):
        if not column:
            raise ValueError(
                f"{name}, line {header_line}: expected a name for column {index + 1}, got nothing"
            )
        if column in header[:index]:
            raise ValueError(
                f'{name}, line {header_line}: expected each column name once, got "{column}" twice'
            )
    if len(rows) < 2:
        raise ValueError(f"{name}: expected at least 2 rows of data after the header, got {len(rows)}")
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{name}, line {line}: expected {len(header)} fields as in the header, got {len(row)}"
            )
    time_column = header[0] if time is None else time
    if columns is None:
        columns = [c for i, c in enumerate(header) if c != time_column and _first_is_number(rows, i)]
    for wanted in (time_column, *columns):
        if wanted not in header:
            raise ValueError(
                f'{name}, line {header_line}, column "{wanted}": expected a column of that name, '
                f"got {', '.join(header)}"
            )
    times = _times(name, time_column, [(line, row[header.index(time_column)]) for line, row in rows])
    values = {c: _numbers(name, c, [(line, row[header.index(c)]) for line, row in rows]) for c in columns}
    step, wrong = regular_step(times)
    if wrong is not None:
        wrong, expected, fix = _irregular(times, step, wrong)
        before, here = (str(t).replace("T", " ") for t in times[wrong - 1 : wrong + 1])
        raise ValueError(
            f'{name}, line {rows[wrong][0]}, column "{time_column}": expected {expected}, '
            f"got {here} after {before}; {fix}"
        )
    return TimeTable(times, values, name=Path(name).name)


def _irregular(times: Times, step: np.timedelta64, wrong: int) -> tuple[int, str, str]:
    """The row to name, what was expected of it, and what to do about it."""
    backwards = np.flatnonzero(np.diff(times) <= np.timedelta64(0, "s"))
    if backwards.size:
        # Two rows that were swapped look like a gap first: what is wrong is their order.
        row = int(backwards[0]) + 1
        twice = times[row] == times[row - 1]
        return row, "times that ascend", "keep one row per time" if twice else "sort the rows by time"
    expected = f"one row every {describe_step(step)} (leave the cell empty where a value is missing)"
    before, here = times[wrong - 1], times[wrong]
    between = int((here - before) / step.astype("timedelta64[s]")) if _in_seconds(step) else 0
    if not _in_seconds(step):
        between = int((here.astype("datetime64[M]") - before.astype("datetime64[M]")) / step)
    if between > 1 and extend_time(before, step, between)[-1] == here:
        rows = "1 row" if between == 2 else f"{between - 1} rows"
        return wrong, expected, f"add {rows} between them"
    return wrong, expected, "put every time on that grid"


def _in_seconds(step: np.timedelta64) -> bool:
    return np.datetime_data(step.dtype)[0] != "M"


def _first_is_number(rows: list[tuple[int, list[str]]], index: int) -> bool:
    for _, row in rows:
        if row[index].strip().lower() not in MISSING:
            return _number(row[index]) is not None
    return False


def _number(text: str) -> float | None:
    try:
        # float() takes the underscores of Python's literals: 1_01 would silently be 101.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _numbers(name: str, column: str, cells: list[tuple[int, str]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = np.empty(len(cells))
    for index, (line, text) in enumerate(cells):
        stripped = text.strip()
        value = float("nan") if stripped.lower() in MISSING else _number(stripped)
        if value is None or np.isinf(value):
            numeric = any(_number(cell) is not None for _, cell in cells)
            raise ValueError(
                f'{name}, line {line}, column "{column}": expected a finite number '
                f'(or nothing, where a value is missing), got "{text}"'
                + ("" if numeric else "; the column is not numeric: turn it into numbers, such as 0 and 1")
            )
        values[index] = value
    return values


def _iso(text: str) -> datetime:
    if len(text) == 7 or (len(text) == 4 and text.isdigit()):
        text = f"{text}-01-01"[:10]
    # "Z" is understood by fromisoformat from Python 3.11 on only.
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)


def _with_format(date: str, clock: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, f"{date} {clock}".strip())


def _times(name: str, column: str, cells: list[tuple[int, str]]) -> np.ndarray[Any, np.dtype[Any]]:
    clocks = ("", "%H:%M", "%H:%M:%S", "%I:%M:%S %p")
    parsers = [_iso, *(_with_format(d, c) for d in ("%m/%d/%Y", "%d.%m.%Y") for c in clocks)]
    parse = next((p for p in parsers if _parsed(p, cells[0][1]) is not None), _iso)
    times = np.empty(len(cells), dtype="datetime64[s]")
    for index, (line, text) in enumerate(cells):
        moment = _parsed(parse, text)
        if moment is None:
            raise ValueError(
                f'{name}, line {line}, column "{column}": expected a date or time such as 2024-01-31 or '
                f'2024-01-31 13:00:00, got "{text}"'
            )
        times[index] = np.datetime64(moment, "s")
    return times


def _parsed(parse: Callable[[str], datetime], text: str) -> datetime | None:
    try:
        return parse(text.strip())
    except ValueError:
        return None
