"""The suite `kernels`: every cell at every shape, beside other libraries.

Inference and training (forward, then the gradients of everything): milliseconds, GFLOP/s, share of the
arithmetic peak measured beside the row, and the ratio to each peer. Not here: problems (`problems`), other
libraries (`peers`).
"""

from __future__ import annotations

from typing import Any

from . import machine
from .arguments import Request
from .peers import Peer
from .problems import SHAPES, Problem
from .timing import measure


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each shape, cell and mode.

    Raises:
        ArithmeticError: if a kernel or a peer computes something else.
    """
    width = max(map(len, request.cells))
    columns = "".join(f" {rival.name + ' ms':>15} {'ratio':>6}" for rival in rivals)
    print(f"{'shape':<6} {'cell':<{width}} {'mode':<9} {'ms':>9} {'GFLOP/s':>8} {'peak':>5}{columns}")
    rows = []
    for shape in request.shapes:
        for cell in request.cells:
            problem = Problem(cell, SHAPES[shape], request.dtype, seed=request.seed)
            difference = problem.check()
            if "training" in request.modes:
                problem.check_gradients()
            for mode in request.modes:
                row = _time(problem, mode, rivals, request.seconds)
                row |= {"shape": shape, "cell": cell, "mode": mode, "max_error": difference}
                row["peak_gflops"] = peak = machine.peak_gflops(request.dtype)
                row["share_of_peak"] = row["gflops"] / (peak * request.threads)
                rows.append(row)
                print(_line(row, width, rivals), flush=True)
    return {"rows": rows}


def _time(problem: Problem, mode: str, rivals: list[Peer], seconds: float) -> dict[str, Any]:
    """Time one row: ours and every rival that has the cell and the mode, in turn."""
    contenders = {"rnnfast": problem.job(mode)}
    for rival in rivals:
        job = rival.job(problem, mode)
        if job is not None:
            contenders[rival.name] = job
    timings = measure(contenders, seconds)
    own = timings.pop("rnnfast")
    return own.figures() | {
        "repeats": own.repeats,
        "gflops": problem.operations(mode) / own.milliseconds / 1e6,
        "peers": {
            name: timing.figures() | {"ratio": timing.milliseconds / own.milliseconds}
            for name, timing in timings.items()
        },
    }


def _line(row: dict[str, Any], width: int, rivals: list[Peer]) -> str:
    text = (
        f"{row['shape']:<6} {row['cell']:<{width}} {row['mode']:<9} {row['milliseconds']:>9.3f} "
        f"{row['gflops']:>8.1f} {row['share_of_peak']:>5.0%}"
    )
    for rival in rivals:
        peer = row["peers"].get(rival.name)
        text += f" {peer['milliseconds']:>15.3f} {peer['ratio']:>5.2f}x" if peer else f" {'-':>15} {'-':>6}"
    return text
