"""Goals met and not met, and the cells of the grid, out of the results of all suites.

A goal is any dict in a result that has "goal" and "met", or "peak_goal" and "peak_met". Not here: how they
are printed (`report`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

# What says where in a result one is.
_PLACES = ("axis", "shape", "library", "cell", "mode", "option", "size", "receptive_field")
# What a goal is about, the first that is there.
_FIGURES = ("ratio", "microseconds", "seconds", "import_seconds")


class Goal(NamedTuple):
    """One goal: of which run, where in it, what was measured, what was wanted."""

    run: str
    place: str
    figure: str
    value: float
    goal: float
    met: bool


class GridCell(NamedTuple):
    """One row of `kernels` beside its best peer: a ratio above 1 says that we are faster."""

    run: str
    shape: str
    cell: str
    mode: str
    milliseconds: float
    share_of_peak: float
    peer: str
    ratio: float
    quartiles: tuple[float, float]


def goals(name: str, result: dict[str, Any]) -> list[Goal]:
    """All goals of one result.

    Args:
        name: of the run.
        result: what its JSON holds.
    """
    return list(_walk(name, result, ()))


def grid(name: str, result: dict[str, Any]) -> list[GridCell]:
    """The rows of a result of `kernels` that have a peer, each beside the best one."""
    found = []
    for row in result["rows"]:
        if row["peers"]:
            peer = min(row["peers"], key=lambda name: row["peers"][name]["ratio"])
            ratio = row["peers"][peer]["ratio"]
            low, high = row["peers"][peer].get("ratio_quartiles", (ratio, ratio))
            what = row["shape"], row["cell"], row["mode"], row["milliseconds"], row["share_of_peak"]
            found.append(GridCell(name, *what, peer, ratio, (low, high)))
    return found


def geometric_mean(values: Iterable[float]) -> float:
    """The root of the product."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def _walk(run: str, found: Any, place: tuple[str, ...]) -> Iterator[Goal]:
    if isinstance(found, list):
        for part in found:
            yield from _walk(run, part, place)
    if not isinstance(found, dict):
        return
    place += tuple(str(found[key]) for key in _PLACES if key in found)
    if found.get("met") is not None:
        figure = next(key for key in _FIGURES if key in found)
        yield Goal(run, " ".join(place), figure.replace("_", " "), found[figure], found["goal"], found["met"])
    if found.get("peak_met") is not None:
        value, goal = found["share_of_peak"], found["peak_goal"]
        yield Goal(run, " ".join(place), "share of peak", value, goal, found["peak_met"])
    for key, part in found.items():
        inner = place
        if isinstance(part, dict) and key not in ("peers", "sizes"):
            inner = (*place, key)
        yield from _walk(run, part, inner)
