"""The page of a folder of results: README.md, and plots where matplotlib is there. Times nothing.

Losers first: the grid of `kernels` sorted by the ratio to the best peer, geometric means, goals not met and
met, then the tables of every run. Not here: the tables (`tables`), the goals (`goals`), the plots (`plots`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnfast.files import whole_file

from . import plots
from .goals import Goal, GridCell, geometric_mean, goals, grid
from .tables import table

PAGE = "README.md"
RUNS = "runs.json"

Results = dict[str, dict[str, Any]]


def write(folder: Path) -> str:
    """Write the page of a folder.

    Args:
        folder: holds the JSON of runs.

    Returns:
        One line that says what was written.

    Raises:
        ValueError: if there is no result.
    """
    results = load(folder)
    if not results:
        raise ValueError(f"report: the folder must hold results of `rnnfast bench`, got none in {folder}")
    drawn = _plots(folder, results)
    with whole_file(folder / PAGE, "w") as file:
        file.writelines(f"{line}\n" for line in page(folder, results, drawn))
    missing = "" if drawn else "; no plots (they need matplotlib: pip install 'rnnfast[plot]')"
    return f"{folder / PAGE}: {len(results)} runs{missing}"


def load(folder: Path) -> Results:
    """The results in a folder by name."""
    found: Results = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(result, dict) and "rows" in result:
            found[path.stem] = result
    return found


def page(folder: Path, results: Results, drawn: list[str]) -> Iterator[str]:
    """The lines of the page."""
    yield "# Benchmarks"
    yield ""
    yield from _machines(results)
    yield from _missing(folder)
    cells = [cell for name, result in results.items() if _is_grid(result) for cell in grid(name, result)]
    if cells:
        yield from _means(cells)
        yield from _losers(cells)
    yield from _goals([goal for name, result in results.items() for goal in goals(name, result)])
    for picture in drawn:
        yield ""
        yield f"![{picture}]({picture})"
    for name, result in results.items():
        yield ""
        yield f"## {name}"
        yield ""
        yield from table(result)


def _is_grid(result: dict[str, Any]) -> bool:
    return bool(result.get("suite", "kernels") == "kernels")


def _machines(results: Results) -> Iterator[str]:
    """Each machine, commit and environment once, with the runs that it is of."""
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        environment = " ".join(f"{key}={value}" for key, value in result.get("environment", {}).items())
        line = f"{result['cpu']}, {result['configuration']['active']}, commit {result['commit']}"
        line += f", {result['date']}"
        found.setdefault(line + (f", {environment}" if environment else ""), []).append(name)
    for line, names in found.items():
        yield f"- {line}: {', '.join(names)}"
    versions = {
        f"{peer} {version}" for result in results.values() for peer, version in result["peers"].items()
    }
    if versions:
        yield f"- Peers: {', '.join(sorted(versions))}"
    yield ""
    yield "Ratios are their time over ours, as the median over rounds side by side: above 1 we are faster."
    if any("onednn" in result["peers"] for result in results.values()):
        yield "oneDNN's weights are packed before the clock: in training its ratios are to ours packed too."


def _missing(folder: Path) -> Iterator[str]:
    path = folder / RUNS
    if not path.exists():
        return
    for run in json.loads(path.read_text(encoding="utf-8")):
        if run["outcome"] != "done":
            yield ""
            yield f"**{run['name']}: {run['outcome']}**, {run['last_line']}"


def _means(cells: list[GridCell]) -> Iterator[str]:
    yield ""
    yield "## Geometric means of the ratio to the best peer"
    yield ""
    yield "| run | mode | cells | geometric mean | below 1 | worst |"
    yield "|---|---|---:|---:|---:|---:|"
    for run, mode in dict.fromkeys((cell.run, cell.mode) for cell in cells):
        ratios = [cell.ratio for cell in cells if (cell.run, cell.mode) == (run, mode)]
        mean, slower = geometric_mean(ratios), sum(ratio < 1 for ratio in ratios)
        yield f"| {run} | {mode} | {len(ratios)} | {mean:.2f}× | {slower} | {min(ratios):.2f}× |"


def _losers(cells: list[GridCell]) -> Iterator[str]:
    yield ""
    yield "## Every cell of the grid, losers first"
    yield ""
    yield "| ratio | quartiles | best peer | run | shape | cell | mode | ms | of peak |"
    yield "|---:|---:|---|---|---|---|---|---:|---:|"
    for cell in sorted(cells, key=lambda cell: cell.ratio):
        ratio = f"{cell.ratio:.2f}×" if cell.ratio >= 1 else f"**{cell.ratio:.2f}×**"
        low, high = cell.quartiles
        yield (
            f"| {ratio} | {low:.2f} – {high:.2f} | {cell.peer} | {cell.run} | {cell.shape} | {cell.cell} "
            f"| {cell.mode} | {cell.milliseconds:.3g} | {cell.share_of_peak:.0%} |"
        )


def _goals(found: list[Goal]) -> Iterator[str]:
    yield ""
    yield f"## Goals: {sum(goal.met for goal in found)} of {len(found)} met"
    yield ""
    missed = [goal for goal in found if not goal.met]
    if missed:
        yield "| not met | run | figure | measured | goal |"
        yield "|---|---|---|---:|---:|"
    for goal in missed:
        yield f"| {goal.place} | {goal.run} | {goal.figure} | {goal.value:.3g} | {goal.goal:.3g} |"


def _plots(folder: Path, results: Results) -> list[str]:
    """Draw what can be drawn; the names of the files, none without matplotlib."""
    drawn = []
    try:
        for name, result in results.items():
            if _is_grid(result) and grid(name, result):
                plots.ratio_bars(grid(name, result), folder / f"{name}.png")
            elif result.get("suite") == "cost":
                plots.cost_curves(result, folder / f"{name}.png")
            else:
                continue
            drawn.append(f"{name}.png")
    except ImportError:
        return []
    return drawn
