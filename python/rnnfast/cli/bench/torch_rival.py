"""PyTorch beside one problem of the suite `convolution`: the fastest form of the layer, checked first.

Not here: the forms themselves (`torch_layers`).
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from .checks import check_peer
from .convolution_problem import ConvolutionProblem
from .timing import Job, Prepared, measure

# A form takes this part of a row's time while the fastest is sought.
_SEARCH = 0.2


class Rival(NamedTuple):
    """What is timed.

    Args:
        job: one call.
        form: the fastest one.
        forms: milliseconds of all of them, in turn.
    """

    job: Job | Prepared
    form: str
    forms: dict[str, float]


def torch_rival(problem: ConvolutionProblem, mode: str, seconds: float) -> Rival:
    """Check all forms against ours, outputs and gradients, and find the fastest.

    Args:
        problem: layer and arrays.
        mode: "inference", "training" or "backward".
        seconds: time given to the row.

    Raises:
        ArithmeticError: if one computes something else.
    """
    # That module needs torch to be imported at all.
    layers: Any = importlib.import_module("rnnfast.cli.bench.torch_layers")
    case, arrays = problem.case, problem.arrays()
    found = {form: layers.Contender(case, form, arrays, problem.x, problem.dy) for form in layers.forms(case)}
    y, own = problem.layer(problem.x), problem.gradients()
    for form, contender in found.items():
        what = f"torch's {case.kind} ({form})"
        check_peer(f"outputs of {what}", [(y, contender.output())])
        gradients = contender.gradients()
        assert gradients.keys() == own.keys()
        check_peer(f"gradients of {what}", [(own[name], gradients[name]) for name in own])
    jobs = {form: contender.job(mode) for form, contender in found.items()}
    if len(jobs) == 1:
        (form,) = jobs
        return Rival(jobs[form], form, {})
    times = {form: timing.milliseconds for form, timing in measure(jobs, seconds * _SEARCH).items()}
    fastest = min(times, key=lambda form: times[form])
    return Rival(jobs[fastest], fastest, times)
