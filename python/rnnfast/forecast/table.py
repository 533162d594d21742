"""The table of a backtest, as text and as CSV, and the sentence that says who won."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Sequence

from rnnfast.forecast.backtest import Score

FIELDS = ("target", "method", "kind", "mae", "rmse", "mape", "smape", "mase", "x_seasonal_naive", "seconds")


def sorted_scores(scores: Sequence[Score]) -> list[Score]:
    """The naive method first, then from the worst MAE to the best."""
    return sorted(scores, key=lambda score: (score.method != "naive", -score.mae, score.method))


def score_table(scores: Sequence[Score], *, networks: Collection[str] = (), color: bool = False) -> str:
    """Rows of one target as aligned text: naive first, then by falling MAE; * marks the best.

    Args:
        scores: from `Backtest.scores`.
        networks: names of the methods that are recurrent networks.
        color: the best row in bold, for terminals.

    Returns:
        Lines without a trailing newline.

    Example:
        >>> print(score_table([Score("naive", 0, 2.0, 3.0, 10.0, 10.0, 1.0, 1.0, 0.1)]))
        method   kind          MAE     RMSE    MASE  x seasonal naive  seconds
        naive *  baseline    2.000    3.000   1.000             1.000      0.1
    """
    rows = sorted_scores(scores)
    best = min(rows, key=lambda score: score.mae)
    name = max(len("method"), *(len(score.method) + 2 * (score is best) for score in rows))
    decimals = _decimals(rows)
    width = max(7, *(len(f"{value:.{decimals}f}") for score in rows for value in (score.mae, score.rmse)))
    head = f"{'method':<{name}}  {'kind':<8}  {'MAE':>{width}}  {'RMSE':>{width}}"
    lines = [f"{head}  {'MASE':>6}  {'x seasonal naive':>16}  {'seconds':>7}"]
    for score in rows:
        label = score.method + (" *" if score is best else "")
        kind = "network" if score.method in networks else "baseline"
        errors = "  ".join(f"{value:>{width}.{decimals}f}" for value in (score.mae, score.rmse))
        ratios = f"{_ratio(score.mase):>6}  {_ratio(score.relative):>16}"
        line = f"{label:<{name}}  {kind:<8}  {errors}  {ratios}  {score.seconds:>7.1f}"
        lines.append(f"\x1b[1m{line}\x1b[0m" if color and score is best else line)
    return "\n".join(lines)


def verdict(scores: Sequence[Score], *, networks: Collection[str] = (), chosen: str | None = None) -> str:
    """Who won, a network or a baseline, and by how much; a baseline that wins is said to win.

    The network that was chosen before the test comes first: its error is what one would have had. The best of
    several networks on the test was picked by the test, and looks better than it is.

    Args:
        scores: rows of one target.
        networks: names of the methods that are recurrent networks.
        chosen: the network that validation chose; None where there was none.

    Returns:
        A line on the chosen network, if any, and one on the best method of the test; empty where there are
        only networks or only baselines.

    Raises:
        ValueError: chosen is not one of the networks that have a row.

    Example:
        >>> rows = [Score("naive", 0, 2.0, 3, 1, 1, 1, 1, 0), Score("gru", 0, 1.0, 3, 1, 1, 1, 1, 0)]
        >>> verdict(rows, networks=["gru"])
        '* best on the test: the network gru; its MAE is 50.0 % below that of the best baseline, naive.'
    """
    trained = {score.method: score for score in scores if score.method in networks}
    plain = [score for score in scores if score.method not in networks]
    if chosen is not None and chosen not in trained:
        raise ValueError(f"verdict: chosen must be one of the networks {', '.join(trained)}, got {chosen!r}")
    if not trained or not plain:
        return ""
    network, baseline = (min(group, key=lambda score: score.mae) for group in (trained.values(), plain))
    lines = []
    if chosen is not None:
        lines.append(f"Chosen on validation: {_against(trained[chosen], baseline)}")
    if network.mae < baseline.mae:
        lines.append(f"* best on the test: {_against(network, baseline)}")
    else:
        share = _share_above(network, baseline)
        lines.append(
            f"* best on the test: a BASELINE, {baseline.method}; the best network, {network.method}, has a "
            f"MAE {share:.1f} % above it. On this series the network is not worth its training."
        )
    return "\n".join(lines)


def _against(network: Score, baseline: Score) -> str:
    share = _share_above(network, baseline)
    side = "below" if share < 0.0 else "above"
    return (
        f"the network {network.method}; its MAE is {abs(share):.1f} % {side} that of the best baseline, "
        f"{baseline.method}."
    )


def _share_above(network: Score, baseline: Score) -> float:
    return 100.0 * (network.mae / baseline.mae - 1.0) if baseline.mae > 0.0 else math.inf


def score_csv(scores: Sequence[Score], *, networks: Collection[str] = (), targets: Sequence[str] = ()) -> str:
    """All rows with all their digits, as CSV text in the table's order, one target after the other.

    Args:
        scores: rows of any number of targets.
        networks: names of the methods that are recurrent networks.
        targets: names of the target columns; their number where there is none.

    Returns:
        A header line and one line for each row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for target in sorted({score.target for score in scores}):
        for score in sorted_scores([score for score in scores if score.target == target]):
            name = targets[target] if target < len(targets) else str(target)
            kind = "network" if score.method in networks else "baseline"
            errors = (score.mae, score.rmse, score.mape, score.smape, score.mase, score.relative)
            cells = ("" if math.isnan(value) else repr(float(value)) for value in errors)
            writer.writerow([name, score.method, kind, *cells, f"{score.seconds:.3f}"])
    return text.getvalue()


def _decimals(scores: Sequence[Score]) -> int:
    """Decimals that show four digits of the smallest error, whatever the unit, for the whole column."""
    smallest = min((score.mae for score in scores if score.mae > 0.0), default=1.0)
    return min(max(3 - math.floor(math.log10(smallest)), 0), 9)


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
