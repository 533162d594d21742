"""The suite `convolution`: WaveNet stacks, convolutions and layer norms, beside PyTorch in the same run.

A row is a shape and a mode: inference, training (forward, then the gradients of everything, x too), or
backward alone. Milliseconds, GFLOP/s and share of the arithmetic peak measured beside the row, for us and for
the peer; the ratio is the median over rounds that took place side by side. Not here: the shapes and their
goals (`convolution_cases`), the peer (`torch_rival`), memory (`peak_memory`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from . import machine
from .arguments import Request
from .convolution_cases import CASES
from .convolution_problem import ConvolutionProblem
from .peak_memory import step_peaks
from .peer import Peer
from .timing import LONG_ROUND, REST, Job, Prepared, Timing, measure
from .torch_rival import torch_rival

_VERDICTS = {None: "-", True: "ok", False: "below"}


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each shape and mode.

    Raises:
        ArithmeticError: if a kernel or a peer computes something else.
    """
    columns = f" {'torch ms':>9} {'peak':>5} {'ratio':>6} {'quartiles':>13} {'goal':>5}" if rivals else ""
    print(f"{'shape':<16} {'mode':<9} {'ms':>9} {'GFLOP/s':>8} {'peak':>5} {'goal':>5}{columns}")
    rows = []
    for shape in request.shapes:
        problem = ConvolutionProblem(CASES[shape], request.dtype, seed=request.seed)
        errors = problem.check()
        for mode in [mode for mode in request.modes if mode in problem.case.goals]:
            row = _row(request, shape, problem, mode, rivals)
            row |= {"max_error": errors[0], "max_gradient_error": errors[1]}
            rows.append(row)
            print(_line(row), flush=True)
    return {"rows": rows}


def _row(
    request: Request, shape: str, problem: ConvolutionProblem, mode: str, rivals: list[Peer]
) -> dict[str, Any]:
    case = problem.case
    found = [torch_rival(problem, mode, request.seconds) for _ in rivals]
    contenders: dict[str, Job | Prepared] = {"rnnfast": problem.job(mode)}
    contenders |= {peer.name: rival.job for peer, rival in zip(rivals, found, strict=True)}
    rest = REST if request.threads > 1 and rivals else 0.0
    timings = measure(contenders, request.seconds, LONG_ROUND, rest=rest)
    own, peak = timings["rnnfast"], machine.peak_gflops(request.dtype)

    def rate(timing: Timing) -> dict[str, Any]:
        operations = problem.operations(mode)
        gflops = None if operations is None else operations / timing.milliseconds / 1e6
        share = None if gflops is None else gflops / (peak * request.threads)
        return timing.figures() | {"gflops": gflops, "share_of_peak": share}

    row = {"shape": shape, "layer": case.kind, "sizes": dataclasses.asdict(case), "mode": mode} | rate(own)
    row |= {"repeats": own.repeats, "peak_gflops": peak, "peak_goal": case.peak_goal}
    row["peak_met"] = None if case.peak_goal is None else row["share_of_peak"] >= case.peak_goal
    row["peers"] = {}
    goal = case.goals[mode]
    for peer, rival in zip(rivals, found, strict=True):
        ratio, quartiles = timings[peer.name].over(own)
        row["peers"][peer.name] = rate(timings[peer.name]) | {
            "form": rival.form,
            "forms_milliseconds": rival.forms,
            "ratio": ratio,
            "ratio_quartiles": quartiles,
            "goal": goal,
            "met": None if goal is None else ratio >= goal,
        }
    if mode == "training" and case.memory_goal is not None:
        forms = {peer.name: rival.form for peer, rival in zip(rivals, found, strict=True)}
        row["memory"] = step_peaks(case, request, forms)
    return row


def _line(row: dict[str, Any]) -> str:
    text = f"{row['shape']:<16} {row['mode']:<9} {row['milliseconds']:>9.3f} {_rate(row)}"
    text += f" {'-' if row['peak_goal'] is None else format(row['peak_goal'], '.0%'):>5}"
    for peer in row["peers"].values():
        low, high = peer["ratio_quartiles"]
        goal = "-" if peer["goal"] is None else f"{peer['goal']:.1f}"
        share = "-" if peer["share_of_peak"] is None else f"{peer['share_of_peak']:.0%}"
        text += (
            f" {peer['milliseconds']:>9.3f} {share:>5} {peer['ratio']:>5.2f}x {f'{low:.2f} - {high:.2f}':>13}"
            f" {goal:>5} {_VERDICTS[peer['met']]} ({peer['form']})"
        )
    if "memory" in row:
        found = row["memory"]
        text += f"\n{'':<16} {'MB, peak':<9} {found['rnnfast_bytes'] / 1e6:>9.1f}"
        for name, peer in found["peers"].items():
            text += (
                f"  {name} {peer['bytes'] / 1e6:.1f}, ratio {peer['ratio']:.2f}, goal {peer['goal']:.2f} "
                f"{({True: 'ok', False: 'above'})[peer['met']]}"
            )
        text += "  (resident, beside weights, x and dy)"
    return text


def _rate(figures: dict[str, Any]) -> str:
    if figures["gflops"] is None:
        return f"{'-':>8} {'-':>5}"
    return f"{figures['gflops']:>8.1f} {figures['share_of_peak']:>5.0%}"
