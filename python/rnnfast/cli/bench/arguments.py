"""The arguments of `rnnfast bench`: declared once for all suites, then checked as one request.

A suite names its own defaults; what it has no use for, it refuses. Not here: arguments that all commands
share (`rnnfast.cli.main`).
"""

from __future__ import annotations

import argparse
import os
from typing import NamedTuple

from rnnfast.cli.help_text import lines

from .suites import ALL, SUITES, choices

# Arguments that say something to some suites alone; those of `all` are for it alone.
_FOR_ALL = ("out", "suites", "isa")
_FOLDERS = ("onednn", "rtneural")


class Request(NamedTuple):
    """What is to be run: the arguments of the command line, checked.

    Args:
        shapes_given: whether --shapes was there; what compares with peers has other defaults.
    """

    suite: str
    cells: list[str]
    shapes: list[str]
    shapes_given: bool
    modes: list[str]
    options: list[str]
    against: list[str]
    dtype: str
    seconds: float
    threads: int
    seed: int
    onednn: str | None = None
    rtneural: str | None = None


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast bench`, besides those that all commands share."""
    parser.formatter_class = argparse.RawTextHelpFormatter  # the lines are those of `lines`
    parser.add_argument(
        "suite",
        nargs="?",
        default="kernels",
        choices=[*SUITES, ALL],
        metavar="SUITE",
        help=lines(
            *(f"{name}: {suite.help}" for name, suite in SUITES.items()),
            "all: all of these, each in a process of its own, into the folder --out",
        ),
    )
    parser.add_argument("--cells", metavar="C[,C]", help=_defaults("cells"))
    parser.add_argument("--shapes", metavar="S[,S]", help=_defaults("shapes"))
    parser.add_argument("--modes", metavar="M[,M]", help=_defaults("modes"))
    parser.add_argument("--options", metavar="O[,O]", help=_defaults("options"))
    parser.add_argument(
        "--dtype", default="float32", choices=["float32", "float64"], help="default: %(default)s"
    )
    parser.add_argument(
        "--against",
        metavar="P[,P]",
        help=lines(
            "also time these, where installed",
            *(f"{name}: {', '.join(suite.peers)}" for name, suite in SUITES.items() if suite.peers),
        ),
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=1.0, metavar="S", help="time given to each row (default 1)"
    )
    parser.add_argument(
        "--threads",
        type=_count,
        metavar="N",
        help="threads of every contender (default 1; all: 1, then 2)",
    )
    parser.add_argument("--onednn", metavar="FOLDER", help="kernels: where oneDNN is, with include/ and lib/")
    parser.add_argument("--rtneural", metavar="FOLDER", help="blocks: where RTNeural's sources are")
    parser.add_argument("--out", metavar="DIR", help="all: where results and their page go")
    parser.add_argument("--suites", metavar="S[,S]", help="all: these alone")
    parser.add_argument("--isa", choices=["avx2"], help="all: hold us and the peers that can be to that")


def checked(arguments: argparse.Namespace) -> Request:
    """The request that the arguments make.

    Raises:
        ValueError: if a name is unknown, the suite has no use for an argument, or --json cannot be written.
    """
    suite = SUITES[arguments.suite]
    _refuse(arguments, [*_FOR_ALL, *(name for name in _FOLDERS if name not in suite.folders)])
    if arguments.dtype not in suite.dtypes:
        raise ValueError(
            f"argument --dtype: the suite {arguments.suite} has {', '.join(suite.dtypes)}, "
            f"got {arguments.dtype!r}"
        )
    if arguments.json:
        _check_folder(arguments.json)
    request = Request(
        arguments.suite,
        _names("cells", arguments, suite.cells),
        _names("shapes", arguments, suite.shapes),
        arguments.shapes is not None,
        _names("modes", arguments, suite.modes),
        _names("options", arguments, suite.options),
        _names("against", arguments, ()),
        arguments.dtype,
        arguments.seconds,
        arguments.threads or 1,
        arguments.seed,
        *(folder_of(arguments, name) for name in _FOLDERS),
    )
    if ("onednn" in request.against) != (request.onednn is not None):
        raise ValueError("argument --onednn: goes with --against onednn, and that with --onednn FOLDER")
    if (
        request.options
        and request.against
        and not ("lstm" in request.cells and "layer_norm_split" in request.options)
    ):
        raise ValueError(
            "argument --against: peers are timed for lstm with layer_norm_split; "
            "add them to --cells and --options, or leave --against out"
        )
    return request


def _names(argument: str, arguments: argparse.Namespace, default: tuple[str, ...]) -> list[str]:
    text = getattr(arguments, argument)
    if text is None:
        return list(default)
    known = choices(SUITES[arguments.suite], argument)
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if not known:
        raise ValueError(
            f"argument --{argument}: the suite {arguments.suite} has none, got {text!r}"
            + _elsewhere(argument, unknown)
        )
    if unknown:
        raise ValueError(
            f"argument --{argument}: expected {', '.join(known)}, got {', '.join(map(repr, unknown))}"
            + _elsewhere(argument, unknown)
        )
    return list(dict.fromkeys(names))


def _elsewhere(argument: str, names: list[str]) -> str:
    """Which suites know all the names that this one does not."""
    suites = [name for name, suite in SUITES.items() if set(names) <= set(choices(suite, argument))]
    if not suites:
        return ""
    others = f" (or {', '.join(suites[1:])})" if suites[1:] else ""
    return f"; `rnnfast bench {suites[0]}`{others} has {'it' if len(names) == 1 else 'them'}"


def _defaults(argument: str) -> str:
    chosen = ((name, getattr(suite, argument)) for name, suite in SUITES.items())
    return lines("default, by suite:", *(f"{name}: {', '.join(names)}" for name, names in chosen if names))


def folder_of(arguments: argparse.Namespace, name: str) -> str | None:
    """The folder that an argument names, as a whole path.

    Raises:
        ValueError: if there is none.
    """
    folder = getattr(arguments, name)
    if folder is not None and not os.path.isdir(folder):
        raise ValueError(f"argument --{name}: must be a folder, got {folder!r}")
    return None if folder is None else os.path.abspath(folder)


def _refuse(arguments: argparse.Namespace, names: list[str]) -> None:
    for name in names:
        if getattr(arguments, name) is not None:
            able = [ALL, *(other for other, suite in SUITES.items() if name in suite.folders)]
            raise ValueError(
                f"argument --{name}: the suite {arguments.suite} has no use for it; "
                + " or ".join(f"`rnnfast bench {other}`" for other in able)
                + " has"
            )


def _check_folder(path: str) -> None:
    """Before any timing: a result that cannot be written is a run lost."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise ValueError(f"argument --json: cannot write into the folder {folder}")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError(f"expected seconds above 0 and below 3600, got {text!r}")
    return value
