"""The suite `step`: one step of a layer from Python, batch 1, one input; microseconds.

Every contender makes runs of steps in which each passes its state to the next, as a user's loop does. Not
here: blocks of steps (`blocks`), how a library makes a step (its peer).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import nn, ops

from .arguments import Request
from .checks import Array, check_peer
from .peer import Peer, Stepper
from .problems import UNITS, Problem, Shape
from .timing import Timing, measure

# Steps of one call of a job, so that the call itself costs next to nothing.
RUN = 100
# Most microseconds of a step, by H.
_GOALS = {32: 1.5}
_CHECKED_STEPS = 8


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each cell and size.

    Raises:
        ArithmeticError: if a step gives other numbers than the whole sequence.
    """
    columns = "".join(f" {rival.name + ' µs':>15} {'ratio':>6}" for rival in rivals)
    print(f"{'shape':<6} {'cell':<9} {'µs':>7} {'quartiles':>13} {'goal':>5}{columns}")
    rows = []
    for shape in request.shapes:
        for cell in request.cells:
            rows.append(_row(request, shape, cell, rivals))
            print(_line(rows[-1], rivals), flush=True)
    return {"rows": rows}


def _row(request: Request, shape: str, cell: str, rivals: list[Peer]) -> dict[str, Any]:
    hidden = UNITS[shape]
    problem = Problem(cell, Shape(_CHECKED_STEPS, 1, 1, hidden), request.dtype, seed=request.seed)
    problem.check()
    contenders = {"rnnfast": own_stepper(problem)}
    for rival in rivals:
        stepper = rival.stepper(problem)
        if stepper is not None:
            contenders[rival.name] = stepper
    for name, stepper in contenders.items():
        check_stepper(name, stepper, problem)
    timings = measure({name: _job(s, problem.x[:, 0]) for name, s in contenders.items()}, request.seconds)
    own, goal = timings.pop("rnnfast"), _GOALS.get(hidden)
    row = {"shape": shape, "cell": cell, "hidden": hidden, **_figures(own), "repeats": own.repeats}
    row |= {"goal": goal, "met": None if goal is None else row["microseconds"] <= goal, "peers": {}}
    for name, timing in timings.items():
        ratio, quartiles = timing.over(own)
        row["peers"][name] = _figures(timing) | {"ratio": ratio, "ratio_quartiles": quartiles}
    return row


def own_stepper(problem: Problem) -> Stepper:
    """``layer.step`` of a layer with the problem's weights."""
    layer = nn.Recurrent(problem.cell.name, *problem.shape[2:], dtype=problem.x.dtype, seed=0)
    for name, parameter in layer.named_parameters():
        parameter.data = problem.arrays[name.removesuffix("_l0")]
    return Stepper(layer.step, layer.init_state(problem.shape.batch), lambda x: x)


def check_stepper(name: str, stepper: Stepper, problem: Problem) -> None:
    """Compare every step with the whole sequence at once.

    Raises:
        ArithmeticError: if they differ by more than rounding.
    """
    expected, _, _ = ops.recurrent_forward(problem.weights, problem.x)
    state, found = stepper.state, []
    with stepper.context():
        for t in range(problem.shape.steps):
            y, state = stepper.advance(stepper.convert(np.ascontiguousarray(problem.x[:, t])), state)
            found.append(np.array(y))
    check_peer(f"{name}'s steps of {problem.cell.name}", [(expected, np.stack(found, axis=1))])


def _job(stepper: Stepper, x: Array) -> Callable[[], object]:
    advance, context, start = stepper.advance, stepper.context, stepper.state
    one, steps = stepper.convert(np.ascontiguousarray(x)), range(RUN)

    def job() -> object:
        state = start
        with context():
            for _ in steps:
                _, state = advance(one, state)
        return state

    return job


def _figures(timing: Timing) -> dict[str, Any]:
    scale = 1e3 / RUN
    return {
        "microseconds": timing.milliseconds * scale,
        "quartiles": [milliseconds * scale for milliseconds in timing.quartiles],
        "cores_used": timing.cores,
    }


def _line(row: dict[str, Any], rivals: list[Peer]) -> str:
    low, high = row["quartiles"]
    goal = "-" if row["goal"] is None else f"{row['goal']:.1f}"
    text = (
        f"{row['shape']:<6} {row['cell']:<9} {row['microseconds']:>7.2f} "
        f"{f'{low:.2f} - {high:.2f}':>13} {goal:>5}"
    )
    for rival in rivals:
        peer = row["peers"].get(rival.name)
        text += f" {peer['microseconds']:>15.2f} {peer['ratio']:>5.2f}x" if peer else f" {'-':>15} {'-':>6}"
    return text + {None: "", True: "  ok", False: "  above"}[row["met"]]
