"""The layer-norm LSTM ("split", with the norm of c) beside PyTorch's, a TorchScript loop over time.

The script's first calls, in which it is profiled and compiled, are reported apart; then it is checked against
ours, gradients too, before the clock. Not here: the script (`scripted_torch`).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .arguments import Request
from .checks import Array
from .layers import LayerProblem
from .peer import Peer
from .problems import SHAPES
from .timing import LONG_ROUND, measure

_SHAPES = ("geron", "small", "mid")
# Smallest ratio of the peer's time to ours, by mode.
_GOALS = {"training": 4.0, "inference": None}
# TorchScript profiles the first calls and compiles in one of the next.
_WARM_UP = 6


def compare(request: Request, rivals: list[Peer]) -> list[dict[str, Any]]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        One row for each peer, shape and mode.

    Raises:
        ArithmeticError: if the peer computes something else.
    """
    rows: list[dict[str, Any]] = []
    if not rivals:
        return rows
    print(
        f"\n{'shape':<6} {'layer-norm LSTM':<15} {'ours ms':>9} {'peer':>11} {'ms':>9} {'ratio':>6} "
        f"{'quartiles':>13} {'goal':>5}"
    )
    for rival in rivals:
        for shape in request.shapes if request.shapes_given else _SHAPES:
            for mode in _GOALS:
                rows.append(_row(request, rival, shape, mode))
                print(_line(rows[-1]), flush=True)
    return rows


def _row(request: Request, rival: Peer, shape: str, mode: str) -> dict[str, Any]:
    settings = {"layer_norm": "split"}
    problem = LayerProblem("lstm", SHAPES[shape], request.dtype, settings=settings, seed=request.seed)
    problem.check()
    arrays = {name: parameter.value for name, parameter in _weights(problem).items()}
    # That module needs torch to be imported at all.
    script = importlib.import_module("rnnfast.cli.bench.scripted_torch").Contender(
        arrays, problem.x, problem.dy
    )
    job: Callable[[], object] = getattr(script, mode)
    calls = [_milliseconds(job) for _ in range(_WARM_UP)]
    check_script(script, problem, mode)
    own_job = problem.training() if mode == "training" else problem.inference()
    timings = measure({"rnnfast": own_job, rival.name: job}, request.seconds, LONG_ROUND)
    ratio, quartiles = timings[rival.name].over(timings["rnnfast"])
    goal = _GOALS[mode]
    return {
        "peer": rival.name,
        "shape": shape,
        "mode": mode,
        "rnnfast": timings["rnnfast"].figures(),
        "theirs": timings[rival.name].figures() | {"first_call_milliseconds": calls[0]},
        "warm_up_milliseconds": sum(calls),
        "repeats": timings["rnnfast"].repeats,
        "ratio": ratio,
        "ratio_quartiles": quartiles,
        "goal": goal,
        "met": None if goal is None else ratio >= goal,
    }


def check_script(script: Any, problem: LayerProblem, mode: str) -> None:
    """Compare the script's outputs, and in training all gradients, with ours.

    Args:
        script: `scripted_torch.Contender` of the problem.
        problem: an LSTM with layer_norm="split".
        mode: "inference" or "training".

    Raises:
        ArithmeticError: if they differ.
    """
    theirs = getattr(script, mode)().detach().numpy().swapaxes(0, 1)
    problem.layer.zero_grad()
    y, _, tape = problem.forward()
    _same("outputs", y, theirs)
    if mode == "training":
        own = {"x": problem.layer.backward(tape, problem.dy)[0]}
        own |= {name: parameter.grad for name, parameter in _weights(problem).items()}
        gradients = script.gradients()
        for name, gradient in own.items():
            _same(f"gradients of {name}", gradient, gradients[name])


def _weights(problem: LayerProblem) -> dict[str, Any]:
    """The layer's parameters by their names without the layer's number."""
    return {name.removesuffix("_l0"): parameter for name, parameter in problem.layer.named_parameters()}


def _milliseconds(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return (time.perf_counter() - start) * 1e3


def _same(what: str, own: Array, theirs: Array) -> None:
    error = float(np.abs(own - theirs).max() / np.abs(own).max())
    if not error < 1e-3:
        raise ArithmeticError(f"bench: {what} of torch's layer-norm LSTM differ by {error:.1e}; not timed")


def _line(row: dict[str, Any]) -> str:
    low, high = row["ratio_quartiles"]
    goal = "-" if row["goal"] is None else f"{row['goal']:.0f}"
    return (
        f"{row['shape']:<6} {row['mode']:<15} {row['rnnfast']['milliseconds']:>9.3f} {row['peer']:>11} "
        f"{row['theirs']['milliseconds']:>9.3f} {row['ratio']:>5.2f}x {f'{low:.2f} - {high:.2f}':>13} "
        f"{goal:>5} {({None: '-', True: 'ok', False: 'below'})[row['met']]}  "
        f"(their first call {row['theirs']['first_call_milliseconds']:.0f} ms, "
        f"warm-up {row['warm_up_milliseconds']:.0f} ms)"
    )
