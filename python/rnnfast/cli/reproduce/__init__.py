"""`rnnfast reproduce NAME`: published tables, printed beside what was just measured.

Exit status 0 where every number is within its bound, 1 where one is not (a line on stderr says which), 2 for
bad usage. Not here: what is computed (`ridership`, `synthetic`, `tasks`), and the table (`comparison`).
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import os
import sys
from collections.abc import Iterator, Sequence

import rnnfast
from rnnfast.cli.help_text import lines
from rnnfast.files import whole_file

from .comparison import Report

TABLES = {
    "ridership": "RNNs, LSTM, GRU, convolution and WaveNet on Chicago's daily boardings, digit for digit; "
    "needs --data; half a minute",
    "synthetic": "RNNs, LSTM, GRU, convolution and WaveNet on series that are made, 1 and 10 steps ahead; "
    "a minute",
    "tasks": "grammar, dates, speakers (these need --data), adding problem, copy memory; a minute and a half",
}


class UsageError(Exception):
    """What was asked for cannot be done as asked; the text is one line that says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast reproduce`, besides those that all commands share."""
    parser.formatter_class = argparse.RawTextHelpFormatter  # a line per table
    parser.add_argument(
        "name",
        choices=list(TABLES),
        metavar="NAME",
        help=lines(
            "the table; times are those of two threads",
            *(f"{name}: {text}" for name, text in TABLES.items()),
        ),
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help=lines(
            "not part of rnnfast:",
            "ridership: the CSV file of daily boardings",
            "tasks: the wheel of aeon, for its JapaneseVowels",
        ),
    )
    parser.add_argument("--rows", metavar="ROW[,ROW]", help="these rows only, * matches anything; see --list")
    parser.add_argument("--list", action="store_true", help="print the table's rows, compute nothing")


def run(arguments: argparse.Namespace) -> int:
    """Compute, print and judge one table.

    Args:
        arguments: as parsed by the parser of `rnnfast.cli.main`.

    Returns:
        Exit status: 0; 1 where a bound was missed; 2 for what cannot be done as asked.

    Raises:
        OSError: if a file cannot be read or written.
        ValueError: if the data file is not what it should be.
    """
    if arguments.list:
        module = importlib.import_module(f".{arguments.name}", __name__)
        print("\n".join(module.ROWS))
        return 0
    try:
        _check_json(arguments.json)
        report = {"ridership": _ridership, "synthetic": _synthetic, "tasks": _tasks}[arguments.name](
            arguments
        )
    except UsageError as error:
        print(f"rnnfast reproduce: error: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        report.facts |= {"version": rnnfast.__version__, "threads": rnnfast.get_num_threads()}
        with whole_file(arguments.json, "w") as file:
            file.write(report.to_json())
    print(report.table())
    for miss in report.misses():
        print(f"rnnfast reproduce: missed: {miss}", file=sys.stderr)
    return 1 if report.misses() else 0


def _ridership(arguments: argparse.Namespace) -> Report:
    from . import ridership, ridership_data

    rows = _chosen_rows(ridership.ROWS, arguments.rows)
    if arguments.seed != ridership.SEED:
        raise UsageError(
            f"--seed: the published numbers of ridership belong to {ridership.SEED}, got {arguments.seed}"
        )
    if arguments.data is None:
        raise UsageError(f"ridership needs --data FILE: {ridership_data.EXPECTED}")
    if not os.path.isfile(arguments.data):
        raise UsageError(f"--data {arguments.data}: no such file; expected {ridership_data.EXPECTED}")
    boardings, authentic = ridership_data.read_ridership(arguments.data)
    if not authentic:
        print(
            f"rnnfast reproduce: warning: {arguments.data} is not the file that the published numbers were "
            f"computed from (whose SHA-256 begins with {ridership_data.SHA256[:8]}); expect other digits",
            file=sys.stderr,
        )
    report = Report(
        "ridership",
        ridership.SOURCE,
        {"seed": ridership.SEED, "data": arguments.data, "authentic": authentic},
    )
    for row in _announced(rows, arguments):
        ridership.run_row(row, boardings, report)
    return report


def _synthetic(arguments: argparse.Namespace) -> Report:
    from . import synthetic

    rows = _chosen_rows(synthetic.ROWS, arguments.rows)
    if arguments.data is not None:
        raise UsageError("--data: synthetic makes its own series; leave it out")
    report = Report("synthetic", synthetic.SOURCE, {"seed": arguments.seed})
    runner = synthetic.Runner(report, arguments.seed)
    for row in _announced(rows, arguments):
        runner.run(row)
    return report


def _tasks(arguments: argparse.Namespace) -> Report:
    from . import tasks

    rows = _chosen_rows(tasks.ROWS, arguments.rows)
    if arguments.data is None and any(row.startswith(tasks.SPEAKERS) for row in rows):
        if arguments.rows is not None:
            raise UsageError(f"{tasks.SPEAKERS} needs --data FILE: {tasks.EXPECTED}")
        rows = [row for row in rows if not row.startswith(tasks.SPEAKERS)]
        print(
            f"rnnfast reproduce: {tasks.SPEAKERS} left out: it needs --data FILE, {tasks.EXPECTED}",
            file=sys.stderr,
        )
    if arguments.data is not None and not os.path.exists(arguments.data):
        raise UsageError(f"--data {arguments.data}: no such file; expected {tasks.EXPECTED}")
    report = Report("tasks", tasks.SOURCE, {"seed": arguments.seed, "data": arguments.data})
    runner = tasks.Runner(report, arguments.seed, arguments.data)
    for row in _announced(rows, arguments):
        runner.run(row)
    return report


def _chosen_rows(rows: Sequence[str], patterns: str | None) -> list[str]:
    """The rows that one of the patterns fits, whole or behind the colon, in their own order."""
    if patterns is None:
        return list(rows)
    wanted = [pattern.strip() for pattern in patterns.split(",")]
    matches = {pattern: {row for row in rows if _fits(row, pattern)} for pattern in wanted}
    for pattern, matched in matches.items():
        if not matched:
            raise UsageError(f"--rows: no row fits {pattern!r}; the rows are {', '.join(rows)}")
    chosen = set().union(*matches.values())
    return [row for row in rows if row in chosen]


def _fits(row: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern.lower()) for name in (row, row.rpartition(":")[2]))


def _announced(rows: Sequence[str], arguments: argparse.Namespace) -> Iterator[str]:
    """The rows; on a terminal, a line on stderr says which one is being computed."""
    visible = sys.stderr.isatty() and not arguments.quiet
    for position, row in enumerate(rows, start=1):
        if visible:
            print(f"\r\033[K[{position}/{len(rows)}] {row} …", end="", file=sys.stderr, flush=True)
        yield row
    if visible:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _check_json(path: str | None) -> None:
    """Refuse a file that could not be written before minutes are spent on what goes into it."""
    if path is None:
        return
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"--json {path}: expected a folder that exists and can be written to, got {folder}")
