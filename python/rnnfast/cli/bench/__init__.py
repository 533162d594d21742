"""`rnnfast bench`: checks the kernels, then times them, side by side with other libraries in the same run.

For every cell and shape, inference and training (forward, then the gradients of everything): milliseconds,
GFLOP/s, share of the arithmetic peak measured in the same run, and the ratio to each peer. Not here: problems
(`problems`), other libraries (`peers`), the clock (`timing`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import rnnfast
from rnnfast import backend, ops
from rnnfast.files import whole_file

from . import machine, peers
from .problems import SHAPES, Problem
from .timing import measure

MODES = ("inference", "training")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast bench`, besides those that all commands share."""
    parser.add_argument(
        "suite", nargs="?", default="kernels", choices=["kernels"], metavar="SUITE", help="kernels"
    )
    parser.add_argument(
        "--cells", default=",".join(ops.cells()), metavar="C[,C]", help="default: %(default)s"
    )
    parser.add_argument("--shapes", default=",".join(SHAPES), metavar="S[,S]", help="default: %(default)s")
    parser.add_argument("--modes", default=",".join(MODES), metavar="M[,M]", help="default: %(default)s")
    parser.add_argument(
        "--dtype", default="float32", choices=["float32", "float64"], help="default: %(default)s"
    )
    parser.add_argument(
        "--against",
        default="",
        metavar="P[,P]",
        help=f"also time these, where installed: {', '.join(peers.PEERS)}",
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=1.0, metavar="S", help="time given to each row (default 1)"
    )
    parser.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="threads of every contender (default 1)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Check, time, print, and write --json where asked."""
    try:
        cells = _names("--cells", arguments.cells, ops.cells())
        shapes = _names("--shapes", arguments.shapes, SHAPES)
        modes = _names("--modes", arguments.modes, MODES)
        against = _names("--against", arguments.against, peers.PEERS) if arguments.against else []
        _check_folder(arguments.json)
    except ValueError as error:
        print(f"rnnfast bench: error: {error}", file=sys.stderr)
        return 2
    rivals = [peers.load(name, arguments.threads) for name in against]
    facts = machine.facts() | {"peers": {rival.name: rival.version for rival in rivals}}
    peak = machine.peak_gflops(arguments.dtype)
    print(
        f"rnnfast {rnnfast.__version__} on {facts['cpu']}: {backend.active_variant()}, {arguments.dtype}, "
        f"threads: {arguments.threads}, one core's FMA peak: {peak:.1f} GFLOP/s"
    )
    print(_header(against))
    rows = []
    for shape in shapes:
        for cell in cells:
            problem = Problem(cell, SHAPES[shape], arguments.dtype, seed=arguments.seed)
            difference = problem.check()
            if "training" in modes:
                problem.check_gradients()
            for mode in modes:
                row = _time(problem, mode, rivals, arguments.seconds)
                row |= {"shape": shape, "cell": cell, "mode": mode, "max_error": difference}
                row["peak_gflops"] = peak = machine.peak_gflops(arguments.dtype)
                row["share_of_peak"] = row["gflops"] / (peak * arguments.threads)
                rows.append(row)
                print(_line(row, against), flush=True)
    if arguments.json:
        with whole_file(arguments.json, "w") as file:
            json.dump(
                facts | {"dtype": arguments.dtype, "threads": arguments.threads, "rows": rows}, file, indent=1
            )
            file.write("\n")
    return 0


def _time(problem: Problem, mode: str, rivals: list[peers.Peer], seconds: float) -> dict[str, Any]:
    """Time one row: ours and every rival that has the cell and the mode, in turn."""
    contenders = {"rnnfast": problem.job(mode)}
    for rival in rivals:
        job = rival.job(problem, mode)
        if job is not None:
            contenders[rival.name] = job
    timings = measure(contenders, seconds)
    own = timings["rnnfast"]
    return {
        "milliseconds": own.milliseconds,
        "quartiles": own.quartiles,
        "first_call_milliseconds": own.first_call,
        "repeats": own.repeats,
        "gflops": problem.operations(mode) / own.milliseconds / 1e6,
        "peers": {
            name: {
                "milliseconds": timing.milliseconds,
                "quartiles": timing.quartiles,
                "first_call_milliseconds": timing.first_call,
                "ratio": timing.milliseconds / own.milliseconds,
            }
            for name, timing in timings.items()
            if name != "rnnfast"
        },
    }


def _header(against: list[str]) -> str:
    columns = "".join(f" {name + ' ms':>15} {'ratio':>6}" for name in against)
    return f"{'shape':<6} {'cell':<9} {'mode':<9} {'ms':>9} {'GFLOP/s':>8} {'peak':>5}{columns}"


def _line(row: dict[str, Any], against: list[str]) -> str:
    text = (
        f"{row['shape']:<6} {row['cell']:<9} {row['mode']:<9} {row['milliseconds']:>9.3f} "
        f"{row['gflops']:>8.1f} {row['share_of_peak']:>5.0%}"
    )
    for name in against:
        peer = row["peers"].get(name)
        text += f" {peer['milliseconds']:>15.3f} {peer['ratio']:>5.2f}x" if peer else f" {'-':>15} {'-':>6}"
    return text


def _names(option: str, text: str, known: Any) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"argument {option}: expected {', '.join(known)}, got {', '.join(map(repr, unknown))}"
        )
    return names


def _check_folder(path: str | None) -> None:
    """Before any timing: a result that cannot be written is a run lost."""
    folder = os.path.dirname(path) or "." if path else "."
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
        raise argparse.ArgumentTypeError(f"expected seconds between 0 and 3600, got {text!r}")
    return value
