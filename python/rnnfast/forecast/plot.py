"""The picture of a backtest (extra `rnnfast[plot]`): series and forecasts, error by origin and by method."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

import numpy as np

from rnnfast.forecast.arguments import Array
from rnnfast.forecast.backtest import Backtest, Score
from rnnfast.forecast.table import sorted_scores

# Okabe & Ito's palette, safe for colour-blind readers.
TRUTH, NETWORK, BASELINE, SEASONAL, MUTED = "#222222", "#D55E00", "#0072B2", "#56B4E9", "#9A9A9A"
SHOWN_ORIGINS = 9  # more, and single steps can no longer be told apart


def plot_backtest(
    result: Backtest,
    time: Array,
    *,
    networks: Collection[str] = (),
    target: int = 0,
    name: str = "",
    source: str = "",
) -> Any:
    """Draw one target of a backtest.

    Args:
        result: from `backtest`.
        time: datetime64 [T] of the series that was backtested, or numbers.
        networks: names of the methods that are recurrent networks.
        target: column of the series.
        name: what the target is called, for the axis.
        source: attribution, printed small at the bottom.

    Returns:
        A matplotlib Figure, bound to no window: `figure.savefig(path)`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        figure_class = importlib.import_module("matplotlib.figure").Figure
        dates = importlib.import_module("matplotlib.dates")
    except ImportError:
        raise ImportError(
            'plot_backtest needs matplotlib; install it with: pip install "rnnfast[plot]"'
        ) from None
    scores = sorted_scores(result.scores(target))
    featured = _featured(scores, networks)
    figure = figure_class(figsize=(14.0, 8.4), dpi=120, layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1.2, 1.0), width_ratios=(1.5, 1.0, 1.15))
    moments = np.asarray(time)
    panels = [figure.add_subplot(place) for place in (grid[0, :], grid[1, 0], grid[1, 1])]
    _draw_series(panels[0], result, moments, featured, target, name)
    _draw_origins(panels[1], result, moments, featured, target)
    _draw_widest(panels[2], result, moments, featured, target)
    _draw_methods(figure.add_subplot(grid[1, 2]), scores, networks)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(11)
    if np.issubdtype(moments.dtype, np.datetime64):
        for axes, ticks in zip(panels, (12, 6, 4), strict=True):
            low, high = axes.get_xlim()
            axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=2, maxticks=ticks))
            axes.xaxis.set_major_formatter(dates.DateFormatter(_date_format(high - low)))
    if source:
        figure.supxlabel(source, fontsize=7, color=MUTED)
    return figure


def _date_format(days: float) -> str:
    if days <= 3:
        return "%a %d %b\n%H:%M"
    if days <= 20:
        return "%a %d %b"
    return "%d %b" if days <= 300 else "%b %Y"


def _featured(scores: list[Score], networks: Collection[str]) -> list[tuple[str, str, str]]:
    """Method, colour and line style of those drawn as lines: best network, best baseline, seasonal naive."""
    by_error = sorted(scores, key=lambda score: score.mae)
    trained = [score.method for score in by_error if score.method in networks]
    plain = [score.method for score in by_error if score.method not in networks]
    chosen = [(method, NETWORK, "-") for method in trained[:1]] + [
        (method, BASELINE, "-") for method in plain[:1]
    ]
    seasonal = [method for method in plain[1:] if method.startswith("seasonal naive")]
    return chosen + [(method, SEASONAL, ":") for method in seasonal[:1]]


def _draw_series(
    axes: Any, result: Backtest, time: Array, featured: list[tuple[str, str, str]], target: int, name: str
) -> None:
    horizon = result.truth.shape[1]
    shown = range(max(0, result.origins.size - SHOWN_ORIGINS), result.origins.size)
    first = int(result.origins[shown[0]])
    history = min(first, max(3 * horizon, result.season if result.season <= 8 * horizon else 0))
    before = np.arange(first - history, first + 1)
    known = _column(result, target)
    axes.plot(time[before], known[before], color=MUTED, linewidth=1.3, label="history")
    for method, color, style in reversed(featured):
        for k in shown:
            ahead = result.origins[k] + np.arange(horizon)
            label = method if k == shown[0] else None
            values = result.forecasts[method][k, :, target]
            axes.plot(time[ahead], values, color=color, linestyle=style, linewidth=1.7, label=label)
    stop = int(result.origins[shown[-1]]) + horizon
    observed = np.arange(first, min(stop, known.size))
    axes.plot(
        time[observed], known[observed], color=TRUTH, linewidth=1.0, marker=".", markersize=3.5, label="truth"
    )
    for k in shown:
        axes.axvline(time[result.origins[k]], color=MUTED, linewidth=0.6, alpha=0.6)
    axes.margins(x=0.005)
    axes.set_ylabel(name)
    axes.set_title(
        f"The last {len(shown)} of {result.origins.size} origins (vertical lines), {horizon} steps from each",
        loc="left",
    )
    order = ["history", "truth", *(method for method, _, _ in featured)]
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    axes.legend([handles[label] for label in order], order, ncols=len(order), frameon=False, **place)


def _draw_origins(
    axes: Any, result: Backtest, time: Array, featured: list[tuple[str, str, str]], target: int
) -> None:
    for method, color, style in reversed(featured):
        errors = np.abs(result.truth - result.forecasts[method])[..., target]
        scored = ~np.isnan(errors).all(axis=1)
        means = np.nanmean(errors[scored], axis=1)
        axes.plot(
            time[result.origins[scored]],
            means,
            color=color,
            linestyle=style,
            marker=".",
            markersize=4,
            label=method,
        )
    axes.set_ylim(bottom=0.0)
    axes.margins(x=0.01)
    axes.set_ylabel("MAE")
    axes.set_title("Error of every origin", loc="left")
    axes.legend(frameon=False, fontsize=8)


def _draw_widest(
    axes: Any, result: Backtest, time: Array, featured: list[tuple[str, str, str]], target: int
) -> None:
    """The origin at which the first two featured methods differ most, where the choice matters."""
    horizon = result.truth.shape[1]
    ahead = [result.forecasts[method][..., target] for method, _, _ in featured[:2]]
    apart = np.abs(ahead[0] - ahead[-1]).mean(axis=1)
    widest = int(np.argmax(apart))
    steps = result.origins[widest] + np.arange(horizon)
    for method, color, style in reversed(featured):
        axes.plot(
            time[steps],
            result.forecasts[method][widest, :, target],
            color=color,
            linestyle=style,
            linewidth=1.7,
        )
    axes.plot(
        time[steps], result.truth[widest, :, target], color=TRUTH, linewidth=1.0, marker=".", markersize=4
    )
    axes.set_title("Where they differ most" if len(featured) > 1 else "The first origin", loc="left")
    axes.margins(x=0.02)


def _draw_methods(axes: Any, scores: list[Score], networks: Collection[str]) -> None:
    ranked = sorted(scores, key=lambda score: -score.mae)
    best = ranked[-1].mae
    # Flat forecasts of a rhythmic series are ten times off; their bars are cut so that the rest can be
    # compared.
    limit = (
        min(ranked[0].mae, 3.2 * float(np.median([score.mae for score in ranked[len(ranked) // 2 :]]))) or 1.0
    )
    for row, score in enumerate(ranked):
        cut = score.mae > limit
        color = NETWORK if score.method in networks else MUTED
        axes.barh(
            row, min(score.mae, limit), color=color, alpha=1.0 if score.mae == best else 0.6, height=0.72
        )
        text = f"{score.mae:.4g}" + (" →" if cut else "")
        axes.text(min(score.mae, limit), row, f" {text}", va="center", fontsize=8)
    axes.set_yticks(range(len(ranked)), [score.method for score in ranked], fontsize=8)
    axes.set_xlim(0.0, limit * 1.16)
    axes.set_xlabel("MAE (orange: recurrent networks; →: bar cut)")
    axes.set_title("Error of every method", loc="left")


def _column(result: Backtest, target: int) -> Array:
    """The series from its start to the last horizon's end, put together from what the result holds."""
    horizon = result.truth.shape[1]
    known = np.full(int(result.origins[-1]) + horizon, np.nan)
    known[: result.training.shape[0]] = result.training[:, target]
    for origin, values in zip(result.origins, result.truth[..., target], strict=True):
        known[origin : origin + horizon] = values
    return known
