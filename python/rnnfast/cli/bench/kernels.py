"""The suite `kernels`: every cell at every shape, beside other libraries.

Inference and training (forward, then the gradients of everything): milliseconds, GFLOP/s, share of the
arithmetic peak measured beside the row, and the ratio to each peer, as the median over rounds that took place
side by side. Not here: problems (`problems`), other libraries (`peers`).
"""

from __future__ import annotations

from typing import Any

from . import machine
from .arguments import Request
from .peer import Peer, Unavailable
from .problems import SHAPES, Problem
from .timing import REST, measure

# Smallest share of the arithmetic peak, in float32.
_PEAK_GOALS = {"inference": 0.92, "training": 0.88}
_PEAK_SHAPES = ("mid", "large")
# Smallest ratio of a peer's time to ours.
_GOAL = 1.0
# Our job again, beside peers whose weights are packed before the clock.
_PACKED = "rnnfast, packed"


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
                row = _time(problem, mode, rivals, request)
                row |= {"shape": shape, "cell": cell, "mode": mode, "max_error": difference}
                row["sizes"] = SHAPES[shape]._asdict()
                row["peak_gflops"] = peak = machine.peak_gflops(request.dtype)
                row["share_of_peak"] = share = row["gflops"] / (peak * request.threads)
                if shape in _PEAK_SHAPES and request.dtype == "float32":
                    row |= {"peak_goal": _PEAK_GOALS[mode], "peak_met": share >= _PEAK_GOALS[mode]}
                rows.append(row)
                print(_line(row, width, rivals), flush=True)
    return {"rows": rows}


def _time(problem: Problem, mode: str, rivals: list[Peer], request: Request) -> dict[str, Any]:
    """Time one row: ours and every rival that has the cell and the mode, in turn."""
    contenders = {"rnnfast": problem.job(mode)}
    notes = {}
    for rival in rivals:
        try:
            job = rival.job(problem, mode)
        except Unavailable as reason:
            notes[rival.name] = str(reason)
            continue
        if job is not None:
            contenders[rival.name] = job
    packed = {rival.name for rival in rivals if rival.packed and rival.name in contenders}
    if packed and mode == "training":
        contenders[_PACKED] = problem.job(mode, packed=True)
    rest = REST if request.threads > 1 and len(contenders) > 1 else 0.0
    timings = measure(contenders, request.seconds, rest=rest)
    own = timings.pop("rnnfast")
    own_packed = timings.pop(_PACKED, own)
    peers = {}
    for name, timing in timings.items():
        beside = own_packed if name in packed else own
        ratio, quartiles = timing.over(beside)
        peers[name] = timing.figures() | {"ratio": ratio, "ratio_quartiles": quartiles}
        peers[name] |= {"ours": beside.milliseconds, "goal": _GOAL, "met": ratio >= _GOAL}
    return own.figures() | {
        "repeats": own.repeats,
        "gflops": problem.operations(mode) / own.milliseconds / 1e6,
        "peers": peers,
        "notes": notes,
    }


def _line(row: dict[str, Any], width: int, rivals: list[Peer]) -> str:
    text = (
        f"{row['shape']:<6} {row['cell']:<{width}} {row['mode']:<9} {row['milliseconds']:>9.3f} "
        f"{row['gflops']:>8.1f} {row['share_of_peak']:>5.0%}"
    )
    for rival in rivals:
        peer = row["peers"].get(rival.name)
        text += f" {peer['milliseconds']:>15.3f} {peer['ratio']:>5.2f}x" if peer else f" {'-':>15} {'-':>6}"
    return text + "".join(f"  ({name}: {reason})" for name, reason in row["notes"].items())
