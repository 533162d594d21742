"""The suite `memory`: resident memory of one training step of a layer, each in a process of its own.

Ours, ours with recomputation, and the peers'; as `peak_memory` does it for WaveNets, which also measures a
call. Not here: NumPy's own view (`memory`).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import rnnfast

from .arguments import Request
from .layers import LayerProblem
from .peak_memory import in_process, peak_of
from .peer import Peer
from .problems import Problem, Shape
from .torch_peers import Torch

SHAPE = Shape(steps=512, batch=64, inputs=64, hidden=256)
# About the square root of T: states kept and steps run again are as many.
RECOMPUTE = 22
# Largest ratios of ours to a peer's.
_GOALS = {"rnnfast": 0.5, "recompute": 0.2}


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Measure and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each cell, in bytes; each peer's with the ratios of ours to it.

    Raises:
        RuntimeError: if a process fails.
    """
    columns = "".join(f" {rival.name + ' MB':>10} {'ratio':>6} {'recompute':>9}" for rival in rivals)
    print(f"{'cell':<9} {'MB':>7} {'recompute':>9}{columns}")
    rows = []
    for cell in request.cells:
        rows.append(_row(request, cell, rivals))
        print(_line(rows[-1]), flush=True)
    return {"sizes": SHAPE._asdict(), "recompute": RECOMPUTE, "rows": rows}


def _row(request: Request, cell: str, rivals: list[Peer]) -> dict[str, Any]:
    words: dict[str, Any] = {"cell": cell, "threads": request.threads, "seed": request.seed}
    words["sizes"] = SHAPE._asdict()

    def bytes_of(contender: str, recompute: int = 0) -> int:
        return in_process({**words, "contender": contender, "recompute": recompute}, __name__)

    own = {"rnnfast": bytes_of("rnnfast"), "recompute": bytes_of("rnnfast", RECOMPUTE)}
    row: dict[str, Any] = {
        "cell": cell,
        "bytes": own["rnnfast"],
        "recompute_bytes": own["recompute"],
        "peers": {},
    }
    for rival in rivals:
        theirs = bytes_of(rival.name)
        row["peers"][rival.name] = {"bytes": theirs} | {
            name: {"ratio": size / theirs, "goal": _GOALS[name], "met": size / theirs <= _GOALS[name]}
            for name, size in own.items()
        }
    return row


def _line(row: dict[str, Any]) -> str:
    text = f"{row['cell']:<9} {row['bytes'] / 1e6:>7.1f} {row['recompute_bytes'] / 1e6:>9.1f}"
    for peer in row["peers"].values():
        text += f" {peer['bytes'] / 1e6:>10.1f} {peer['rnnfast']['ratio']:>5.2f}x"
        text += f" {peer['recompute']['ratio']:>8.2f}x"
        missed = [name for name in _GOALS if not peer[name]["met"]]
        text += f"  {', '.join(missed)} above" if missed else "  ok"
    return text


def step_bytes(
    cell: str, sizes: dict[str, int], contender: str, recompute: int, threads: int, seed: int
) -> int:
    """Bytes of one training step above what this process held before it; a small step goes before."""
    rnnfast.set_num_threads(threads)
    whole = Shape(**sizes)
    steps = []
    for shape in (whole._replace(steps=4), whole):
        if contender == "rnnfast":
            settings = {"recompute": recompute}
            steps.append(LayerProblem(cell, shape, "float32", settings=settings, seed=seed).training())
        else:
            steps.append(Torch(threads).work(Problem(cell, shape, "float32", seed=seed))[2])
    first, step = steps
    first()
    return peak_of(step)


def answer() -> None:
    """What the other process does: measure what its argument asks for, and print the bytes."""
    print(step_bytes(**json.loads(sys.argv[1])))
