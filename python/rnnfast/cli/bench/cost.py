"""The suite `cost`: what time costs along T, N, H and I, one axis at a time; ours alone.

All sizes of an axis take turns in one run, so that one can be divided by another. Reported are nanoseconds
per call and per floating point operation, how far T and N are from a straight line, and what odd sizes of H
cost beside their neighbours. Not here: the sizes (`cost_axes`), other libraries (`kernels`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import Request
from .cost_axes import AXES, BASE, CLIFF, NEIGHBOURS, STRAIGHT
from .peer import Peer
from .problems import Problem, Shape
from .timing import Timing, measure


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for; its shapes are axes.
        rivals: none; the suite compares with itself.

    Returns:
        rows: one dict for each axis, cell, mode and size; lines: one for each cell and mode along an axis
        that should be straight; cliffs: one for each odd size of H.

    Raises:
        ArithmeticError: if a kernel computes something else.
    """
    print(f"around {_described(BASE)}")
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "lines": [], "cliffs": []}
    for axis in request.shapes:
        for cell in request.cells:
            for mode in request.modes:
                timings, operations = _times(request, axis, cell, mode)
                head = {"axis": axis, "cell": cell, "mode": mode}
                rows = [head | _row(size, timings[size], operations[size]) for size in timings]
                found["rows"] += rows
                if axis in STRAIGHT and len(rows) > 2:
                    found["lines"].append(head | straightness(rows))
                if axis == "hidden":
                    found["cliffs"] += [head | cliff for cliff in _cliffs(timings, operations)]
                _print(head, rows, found)
    return {"base": BASE._asdict(), **found}


def straightness(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The line a + b s through milliseconds against sizes, a ≥ 0, by least squares of relative differences.

    Returns:
        offset_milliseconds: a; milliseconds_per_unit: b; largest_deviation: relative, of any size.
    """
    sizes = np.array([row["size"] for row in rows], float)
    times = np.array([row["milliseconds"] for row in rows])
    columns = np.stack([1 / times, sizes / times], axis=1)
    (a, b), *_ = np.linalg.lstsq(columns, np.ones(len(rows)), rcond=None)
    if a < 0:
        a, b = 0.0, float(columns[:, 1].sum() / (columns[:, 1] ** 2).sum())
    deviation = float(np.abs((a + b * sizes) / times - 1).max())
    return {
        "offset_milliseconds": float(a),
        "milliseconds_per_unit": float(b),
        "largest_deviation": deviation,
    }


def _times(request: Request, axis: str, cell: str, mode: str) -> tuple[dict[int, Timing], dict[int, float]]:
    jobs: dict[str, Callable[[], object]] = {}
    operations = {}
    for size in AXES[axis]:
        problem = Problem(cell, BASE._replace(**{axis: size}), request.dtype, seed=request.seed)
        problem.check()
        if mode == "training":
            problem.check_gradients()
        jobs[str(size)] = problem.job(mode)
        operations[size] = problem.operations(mode)
    timings = measure(jobs, request.seconds)
    return {size: timings[str(size)] for size in AXES[axis]}, operations


def _row(size: int, timing: Timing, operations: float) -> dict[str, Any]:
    return {
        "size": size,
        "milliseconds": timing.milliseconds,
        "quartiles": timing.quartiles,
        "repeats": timing.repeats,
        "gflops": operations / timing.milliseconds / 1e6,
        "nanoseconds_per_operation": timing.milliseconds * 1e6 / operations,
    }


def _cliffs(timings: dict[int, Timing], operations: dict[int, float]) -> list[dict[str, Any]]:
    found = []
    for size, neighbour in NEIGHBOURS.items():
        if size in timings and neighbour in timings:
            ratio, quartiles = timings[size].over(timings[neighbour])
            scale = operations[neighbour] / operations[size]
            ratio *= scale
            found.append(
                {
                    "size": size,
                    "neighbour": neighbour,
                    "ratio": ratio,
                    "ratio_quartiles": [quartile * scale for quartile in quartiles],
                    "goal": CLIFF,
                    "met": ratio <= CLIFF,
                }
            )
    return found


def _described(shape: Shape) -> str:
    return f"T{shape.steps} N{shape.batch} I{shape.inputs} H{shape.hidden}"


def _print(head: dict[str, Any], rows: list[dict[str, Any]], found: dict[str, list[dict[str, Any]]]) -> None:
    print(f"{head['axis']:<7} {head['cell']:<9} {head['mode']:<9}", end="")
    print(" ".join(f"{row['size']}:{row['milliseconds']:.3g}ms/{row['gflops']:.3g}" for row in rows))
    for line in found["lines"]:
        if line.items() >= head.items():
            print(f"{'':<27}off a straight line by at most {line['largest_deviation']:.0%}")
    for cliff in found["cliffs"]:
        if cliff.items() >= head.items():
            verdict = "ok" if cliff["met"] else "above"
            print(
                f"{'':<27}{cliff['size']} over {cliff['neighbour']}, per operation: {cliff['ratio']:.2f}x  "
                f"goal {cliff['goal']} {verdict}"
            )
    print(end="", flush=True)
