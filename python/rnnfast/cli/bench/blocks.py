"""The suite `blocks`: a layer on a live stream, in blocks of samples: batch 1, one input; ns per sample.

Ours is called as from Python, with the state of a stream that goes on; beside it C++ loops for sizes that
their compiler knew (`fixed_size`). Not here: single steps (`step`), WaveNets on a stream (`streaming`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import nn, ops

from .arguments import Request
from .checks import check_peer
from .fixed_size import FixedSize, contenders
from .peer import Job, Peer
from .problems import UNITS, Problem, Shape
from .timing import Timing, measure

# Smallest ratio of a fixed-size loop's time to ours: to be no slower.
_GOAL = 1.0


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: none; the contenders are compiled here.

    Returns:
        rows: one dict for each size, cell and block; notes: why a contender is missing.

    Raises:
        ArithmeticError: if a contender computes something else.
    """
    found, notes = contenders(request.rtneural)
    for name, reason in notes.items():
        print(f"without {name}: {reason}")
    columns = "".join(f" {other.name + ' ns':>18} {'ratio':>6}" for other in found)
    print(f"{'shape':<6} {'cell':<9} {'mode':<9} {'ns':>7} {'quartiles':>15}{columns}")
    rows = []
    for shape in request.shapes:
        for cell in request.cells:
            for mode in request.modes:
                rows.append(_row(request, shape, cell, mode, found))
                print(_line(rows[-1], found), flush=True)
    return {"rows": rows, "notes": notes, "peers": {other.name: "compiled here" for other in found}}


def _row(request: Request, shape: str, cell: str, mode: str, found: list[FixedSize]) -> dict[str, Any]:
    samples = int(mode.removeprefix("block"))
    problem = Problem(cell, Shape(samples, 1, 1, UNITS[shape]), request.dtype, seed=request.seed)
    problem.check()
    jobs: dict[str, Job] = {"rnnfast": own_job(problem)}
    for other in found:
        job = other.job(problem)
        if job is not None:
            jobs[other.name] = job
    timings = measure(jobs, request.seconds)
    own = timings.pop("rnnfast")
    row: dict[str, Any] = {
        "shape": shape,
        "cell": cell,
        "mode": mode,
        "hidden": UNITS[shape],
        "samples": samples,
    }
    row |= _figures(own, samples) | {"repeats": own.repeats, "peers": {}}
    for name, timing in timings.items():
        ratio, quartiles = timing.over(own)
        row["peers"][name] = _figures(timing, samples) | {"ratio": ratio, "ratio_quartiles": quartiles}
        row["peers"][name] |= {"goal": _GOAL, "met": ratio >= _GOAL}
    return row


def own_job(problem: Problem) -> Job:
    """One block of a stream, checked against the whole sequence.

    Raises:
        ArithmeticError: if the blocks of the stream give other numbers.
    """
    layer = nn.Recurrent(problem.cell.name, *problem.shape[2:], dtype=problem.x.dtype, seed=0)
    for name, parameter in layer.named_parameters():
        parameter.data = problem.arrays[name.removesuffix("_l0")]
    state, x = layer.stream_state(1), problem.x
    halves = [
        layer.stream_process(np.ascontiguousarray(part), state) for part in np.array_split(x, 2, axis=1)
    ]
    expected, _, _ = ops.recurrent_forward(problem.weights, x)
    check_peer(f"blocks of {problem.cell.name}", [(expected, np.concatenate(halves, axis=1))])
    return lambda: layer.stream_process(x, state)


def _figures(timing: Timing, samples: int) -> dict[str, Any]:
    scale = 1e6 / samples
    return {
        "nanoseconds_per_sample": timing.milliseconds * scale,
        "quartiles": [milliseconds * scale for milliseconds in timing.quartiles],
    }


def _line(row: dict[str, Any], found: list[FixedSize]) -> str:
    low, high = row["quartiles"]
    text = (
        f"{row['shape']:<6} {row['cell']:<9} {row['mode']:<9} {row['nanoseconds_per_sample']:>7.0f} "
        f"{f'{low:.0f} - {high:.0f}':>15}"
    )
    for other in found:
        peer = row["peers"].get(other.name)
        if peer is None:
            text += f" {'-':>18} {'-':>6}"
        else:
            text += f" {peer['nanoseconds_per_sample']:>18.0f} {peer['ratio']:>5.2f}x"
    return text
