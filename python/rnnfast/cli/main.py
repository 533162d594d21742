"""The command `rnnfast`: picks a subcommand, imports that one alone, turns errors into one line.

Exit status: 0 done, 1 the job failed, 2 bad usage (argparse's own), 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "forecast": "train recurrent networks on a series and backtest them against honest baselines",
    "bench": "check, then time the kernels; compare with other libraries in the same run",
    "reproduce": "published tables, printed beside what was just measured",
    "info": "version, compiler, instruction sets, threads",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; None takes those of the process.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if not word.startswith("-")), None)
    command = f"rnnfast {chosen}" if chosen in COMMANDS else "rnnfast"
    try:
        return _run(words, chosen)
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return 130
    except (ArithmeticError, ImportError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"{command}: error: {one_line(error)}", file=sys.stderr)
        return 1


def _run(words: Sequence[str], chosen: str | None) -> int:
    parser = _parser(chosen)
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    if getattr(arguments, "threads", None) is not None:
        importlib.import_module("rnnfast").set_num_threads(arguments.threads)
    status = int(importlib.import_module(f"rnnfast.cli.{arguments.command}").run(arguments))
    sys.stdout.flush()
    return status


def one_line(error: BaseException) -> str:
    """What an error says, on one line; of the operating system's errors the file and the reason."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rnnfast",
        description="Recurrent and causal-convolutional sequence models, fast on the CPU: forecasts, "
        "benchmarks, reproductions.",
    )
    version = importlib.import_module("rnnfast").__version__
    parser.add_argument("--version", action="version", version=f"rnnfast {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        # "resolve": a subcommand may declare a common option again, with its own default and help.
        command = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", conflict_handler="resolve"
        )
        if name == chosen:
            _add_common(command)
            importlib.import_module(f"rnnfast.cli.{name}").add_arguments(command)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_seed, default=42, help="seed of everything random (default 42)")
    parser.add_argument(
        "--threads", type=_threads, metavar="N", help="threads of the kernels (default: all CPUs)"
    )
    parser.add_argument("--quiet", action="store_true", help="results and errors only, no progress")
    parser.add_argument("--json", metavar="FILE", help="write the results there, with all their digits")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return int(text)


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)
