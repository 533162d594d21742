"""The arguments of `rnnfast bench`: declared once for all suites, then checked as one request.

A suite names its own defaults; what it has no use for, it refuses. Not here: arguments that all commands
share (`rnnfast.cli.main`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from rnnfast import ops
from rnnfast.cli.help_text import lines

from .catalogue import OPTIONS
from .convolution_cases import CASES
from .peers import PEERS
from .problems import SHAPES

MODES = ("inference", "training")
# Backward alone is timed where a goal is for it: layer norm.
CONVOLUTION_MODES = (*MODES, "backward")
STREAMING_MODES = ("sample", "block", "generate")


class Suite(NamedTuple):
    """What a suite takes, and what it takes when nothing is said.

    Args:
        cells: default of --cells; none where the suite has no cells.
        shapes: default of --shapes.
        known_shapes: choices of --shapes; none where the suite has one shape of its own.
        modes: choices and default of --modes; none where the suite has no modes.
        options: choices and default of --options; none where the suite has no options.
        peers: choices of --against.
    """

    cells: tuple[str, ...]
    shapes: tuple[str, ...]
    known_shapes: Mapping[str, Any]
    modes: tuple[str, ...]
    options: tuple[str, ...]
    peers: tuple[str, ...]


SUITES = {
    "kernels": Suite(tuple(ops.cells()), tuple(SHAPES), SHAPES, MODES, (), tuple(PEERS)),
    "options": Suite(
        ("lstm", "gru", "rnn_tanh"), ("small", "mid", "rl"), SHAPES, (), tuple(OPTIONS), ("torch",)
    ),
    "convolution": Suite((), tuple(CASES), CASES, CONVOLUTION_MODES, (), ("torch",)),
    "streaming": Suite((), (), {}, STREAMING_MODES, (), ()),
}


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


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast bench`, besides those that all commands share."""
    parser.formatter_class = argparse.RawTextHelpFormatter  # the lines are those of `lines`
    parser.add_argument(
        "suite",
        nargs="?",
        default="kernels",
        choices=list(SUITES),
        metavar="SUITE",
        help=lines(
            "kernels (default): every cell alone",
            "options: each option of a layer against the plain layer",
            "convolution: WaveNet stacks, convolutions, layer norm, and the memory of a WaveNet's training "
            "step",
            "streaming: a WaveNet's cost per sample against its receptive field",
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
        "--threads", type=_count, default=1, metavar="N", help="threads of every contender (default 1)"
    )


def checked(arguments: argparse.Namespace) -> Request:
    """The request that the arguments make.

    Raises:
        ValueError: if a name is unknown, the suite has no use for an argument, or --json cannot be written.
    """
    suite = SUITES[arguments.suite]
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
        arguments.threads,
        arguments.seed,
    )
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
    known = _known(argument, SUITES[arguments.suite])
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


def _known(argument: str, suite: Suite) -> Collection[str]:
    """The choices of an argument, by what a suite takes."""
    if argument == "cells":
        return ops.cells() if suite.cells else ()
    choices: dict[str, Collection[str]] = {
        "shapes": suite.known_shapes,
        "modes": suite.modes,
        "options": suite.options,
        "against": suite.peers,
    }
    return choices[argument]


def _elsewhere(argument: str, names: list[str]) -> str:
    """Which suites know all the names that this one does not."""
    suites = [name for name, suite in SUITES.items() if set(names) <= set(_known(argument, suite))]
    commands = " or ".join(f"`rnnfast bench {suite}`" for suite in suites)
    return f"; {commands} has {'it' if len(names) == 1 else 'them'}" if suites else ""


def _defaults(argument: str) -> str:
    chosen = ((name, getattr(suite, argument)) for name, suite in SUITES.items())
    return lines("default, by suite:", *(f"{name}: {', '.join(names)}" for name, names in chosen if names))


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
