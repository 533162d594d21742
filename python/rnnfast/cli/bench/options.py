"""The suite `options`: each option of a layer beside the plain layer, in turn, in one run.

A row is a shape, a cell and an option; its ratio is the median of (time with / time of the plain layer) over
rounds that took place side by side. Not here: the options and their goals (`catalogue`), the layers
(`layers`), memory (`memory`), the layer-norm LSTM of other libraries (`layer_norm_lstm`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .arguments import Request
from .catalogue import OPTIONS, Option, verdict
from .layer_norm_lstm import compare
from .layers import LayerProblem
from .memory import step_memory
from .peer import Peer
from .problems import SHAPES, Shape
from .timing import LONG_ROUND, measure

_VERDICTS = {None: "-", True: "ok", False: "above"}


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each shape, cell and option; against: one for each peer, shape and mode.

    Raises:
        ArithmeticError: if a layer or a peer computes something else.
    """
    print(
        f"{'shape':<6} {'cell':<21} {'option':<17} {'plain ms':>9} {'with ms':>9} {'ratio':>6} "
        f"{'quartiles':>13} {'goal':>5}"
    )
    rows = []
    for name, shape, cell, option in _problems(request):
        rows.append(_row(request, name, shape, cell, option))
        print(_line(rows[-1]), flush=True)
    return {"rows": rows, "against": compare(request, rivals)}


def _problems(request: Request) -> Iterator[tuple[str, Shape, str, Option]]:
    """What is timed, in order; options with a shape of their own come last."""
    chosen = [OPTIONS[name] for name in request.options]
    pairs = [(cell, option) for cell in request.cells for option in chosen if option.cell(cell)]
    for name in request.shapes:
        for cell, option in pairs:
            if option.own_shape is None:
                yield name, SHAPES[name], cell, option
    for cell, option in pairs:
        if option.own_shape is not None:
            yield *option.own_shape, cell, option


def _row(request: Request, name: str, shape: Shape, cell: str, option: Option) -> dict[str, Any]:
    varied = option.cell(cell)
    assert varied is not None  # `_problems` leaves out the others
    plain = LayerProblem(cell, shape, request.dtype, seed=request.seed)
    other = LayerProblem(
        varied,
        shape,
        request.dtype,
        settings=option.settings(shape.hidden),
        call=option.call,
        seed=request.seed,
    )
    plain_errors, errors = plain.check(), other.check()
    timings = measure({"plain": plain.training(), "with": other.training()}, request.seconds, LONG_ROUND)
    ratio, quartiles = timings["with"].over(timings["plain"])
    row: dict[str, Any] = {
        "shape": name,
        "sizes": shape._asdict(),
        "cell": cell,
        "option": option.name,
        "plain": timings["plain"].figures(),
        "with": timings["with"].figures(),
        "repeats": timings["with"].repeats,
        "ratio": ratio,
        "ratio_quartiles": quartiles,
        "goal": option.goal,
        "met": verdict(option.goal, ratio, shape.hidden),
        "real_steps": other.real_steps,
        "max_error": max(plain_errors[0], errors[0]),
        "max_gradient_error": max(plain_errors[1], errors[1]),
    }
    if option.memory_goal is not None:
        row["memory"] = _memory(plain, other, option.memory_goal)
    return row


def _memory(plain: LayerProblem, other: LayerProblem, goal: float) -> dict[str, Any]:
    without, with_option = step_memory(plain), step_memory(other)
    ratio = with_option.peak / without.peak
    return {
        "plain_peak_bytes": without.peak,
        "with_peak_bytes": with_option.peak,
        "plain_tape_bytes": without.tape,
        "with_tape_bytes": with_option.tape,
        "ratio": ratio,
        "goal": goal,
        "met": verdict(goal, ratio, plain.shape.hidden),
    }


def _line(row: dict[str, Any]) -> str:
    low, high = row["ratio_quartiles"]
    goal = "-" if row["goal"] is None else f"{row['goal']:.2f}"
    text = (
        f"{row['shape']:<6} {row['cell']:<21} {row['option']:<17} {row['plain']['milliseconds']:>9.3f} "
        f"{row['with']['milliseconds']:>9.3f} {row['ratio']:>5.2f}x {f'{low:.2f} - {high:.2f}':>13} "
        f"{goal:>5} {_VERDICTS[row['met']]}"
    )
    if row["real_steps"] < 1:
        text += f"  ({row['real_steps']:.2f} of the steps are real)"
    if "memory" in row:
        found, mega = row["memory"], 1e6
        text += (
            f"\n{'':<6} {'':<21} {'NumPy MB, peak':<17} {found['plain_peak_bytes'] / mega:>9.1f} "
            f"{found['with_peak_bytes'] / mega:>9.1f} {found['ratio']:>5.2f}x {'':>13} "
            f"{found['goal']:>5.2f} {_VERDICTS[found['met']]}  (beside x and dy; without C++ workspace)"
            f"\n{'':<6} {'':<21} {'NumPy MB, tape':<17} {found['plain_tape_bytes'] / mega:>9.1f} "
            f"{found['with_tape_bytes'] / mega:>9.1f} "
            f"{found['with_tape_bytes'] / max(1, found['plain_tape_bytes']):>5.2f}x"
        )
    return text
