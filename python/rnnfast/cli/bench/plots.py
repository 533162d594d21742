"""Plots of a folder of results: ratios to the best peer, and what time costs along each axis.

matplotlib, from the extra plot, is imported here when a plot is drawn. Not here: tables (`tables`).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .goals import GridCell


def ratio_bars(cells: list[GridCell], path: Path) -> None:
    """Bars of all cells of the grid, losers first, on a logarithmic axis with a line at 1."""
    ordered = sorted(cells, key=lambda cell: -cell.ratio)
    figure, axes = _figure(height=max(2.5, 0.17 * len(ordered)))
    axes.barh(
        range(len(ordered)),
        [cell.ratio for cell in ordered],
        color=["tab:red" if cell.ratio < 1 else "tab:blue" for cell in ordered],
    )
    labels = [f"{cell.shape} {cell.cell} {cell.mode} ({cell.peer})" for cell in ordered]
    axes.set_yticks(range(len(ordered)), labels, fontsize=6)
    axes.set_ylim(-0.6, len(ordered) - 0.4)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time of the best peer / time of rnnfast")
    _save(figure, path)


def cost_curves(result: dict[str, Any], path: Path) -> None:
    """For every axis nanoseconds per operation against size, a line per cell and mode."""
    rows = result["rows"]
    names = list(dict.fromkeys(row["axis"] for row in rows))
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3.2), squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        own = [row for row in rows if row["axis"] == name]
        for cell, mode in dict.fromkeys((row["cell"], row["mode"]) for row in own):
            line = [row for row in own if (row["cell"], row["mode"]) == (cell, mode)]
            axes.plot(
                [row["size"] for row in line],
                [row["nanoseconds_per_operation"] for row in line],
                marker=".",
                linestyle="-" if mode == "inference" else "--",
                linewidth=0.8,
                label=f"{cell} {mode}",
            )
        axes.set(xscale="log", yscale="log", xlabel=name)
    panels[0][0].set_ylabel("ns per floating point operation")
    panels[0][-1].legend(fontsize=6)
    _save(figure, path)


def _pyplot() -> Any:
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("agg")
    return importlib.import_module("matplotlib.pyplot")


def _figure(height: float) -> tuple[Any, Any]:
    figure, axes = _pyplot().subplots(figsize=(8, height))
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    _pyplot().close(figure)
