"""What `rnnfast forecast` writes: all files or none, never half of one."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnfast.forecast import Backtest

if TYPE_CHECKING:
    from rnnfast.cli.forecast.methods import Competition
    from rnnfast.cli.forecast.series import Problem, Setup


class Folder:
    """Files gathered beside their destination and moved there together, once all of them exist.

    Args:
        destination: the folder; None gathers nothing.

    Raises:
        OSError: on entering, where the folder cannot be made or written.
    """

    def __init__(self, destination: str | None) -> None:
        self.wanted = destination is not None
        self.names: list[str] = []
        self._destination = Path(destination or ".")
        self._made: list[Path] = []
        self._unfinished = self._destination / f".{os.getpid()}.unfinished"

    def __enter__(self) -> Folder:
        if self.wanted:
            missing = [p for p in (self._destination, *self._destination.parents) if not p.exists()]
            try:
                self._destination.mkdir(parents=True, exist_ok=True)
                self._made = missing
                self._unfinished.mkdir()
            except OSError as error:
                self._clean(missing)
                raise OSError(
                    f"--out {self._destination}: expected a folder that can be written, got: {error.strerror}"
                ) from None
        return self

    def __exit__(self, *error: object) -> None:
        if self.wanted:
            shutil.rmtree(self._unfinished, ignore_errors=True)
            self._clean(self._made)

    def path(self, name: str) -> Path:
        """Where to write the file of that name for now."""
        self.names.append(name)
        return self._unfinished / name

    def write_text(self, name: str, text: str) -> None:
        """Gather a text file."""
        self.path(name).write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """Move every file to its destination."""
        for name in self.names:
            os.replace(self._unfinished / name, self._destination / name)

    @staticmethod
    def _clean(made: list[Path]) -> None:
        """Remove folders made here that stayed empty, deepest first."""
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def forecast_csv(problem: Problem, setup: Setup, competition: Competition, result: Backtest) -> str:
    """Every forecast with its truth: one row per target, origin and step, one column per method.

    The last origin of a target is the end of the series, where there is no truth yet.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    methods = list(result.forecasts)
    writer.writerow(["target", "origin", "time", "step", "truth", *methods])
    table, steps = problem.table, problem.steps
    time = np.concatenate([table.time[:steps], table.time_after(setup.horizon, row=steps - 1)])
    stamps = np.char.replace(np.datetime_as_string(time, unit="s"), "T", " ")
    for index, target in enumerate(problem.targets):
        blocks = [
            (int(origin), result.truth[k, :, index], [result.forecasts[m][k, :, index] for m in methods])
            for k, origin in enumerate(result.origins)
        ]
        if competition.ahead:
            ahead = [competition.ahead[m][:, index] for m in methods]
            blocks.append((problem.steps, np.full(setup.horizon, np.nan), ahead))
        for origin, truth, forecasts in blocks:
            for step in range(setup.horizon):
                cells = [
                    "" if math.isnan(v) else f"{v:.10g}" for v in (truth[step], *(f[step] for f in forecasts))
                ]
                writer.writerow([target, stamps[origin], stamps[origin + step], step + 1, *cells])
    return text.getvalue()


def why_no_future(problem: Problem, setup: Setup, competition: Competition) -> str:
    """Why there is no `future.csv`; empty where there is one."""
    if competition.chosen is None:
        return "no network was trained (--models)"
    if not competition.ahead:
        rows = problem.future.shape[0] - problem.steps
        return (
            f"the future covariates must be known for {setup.horizon} rows after the last target, got {rows}"
        )
    return ""


def future_csv(problem: Problem, setup: Setup, competition: Competition) -> str:
    """What follows the series, by the network that validation chose: its times and a column per target."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *problem.targets])
    time = problem.table.time_after(setup.horizon, row=problem.steps - 1)
    stamps = np.char.replace(np.datetime_as_string(time, unit="s"), "T", " ")
    for stamp, values in zip(stamps, competition.ahead[str(competition.chosen)], strict=True):
        writer.writerow([stamp, *(f"{value:.10g}" for value in values)])
    return text.getvalue()


def json_results(
    problem: Problem, setup: Setup, competition: Competition, result: Backtest, seed: int
) -> dict[str, Any]:
    """Everything that was decided and measured, as plain data."""
    scores = [
        {**score._asdict(), "target": target, "network": score.method in setup.networks}
        for index, target in enumerate(problem.targets)
        for score in result.scores(index)
    ]
    return {
        "data": problem.table.name,
        "attribution": problem.table.attribution,
        "targets": problem.targets,
        "past_covariates": problem.past_names,
        "future_covariates": problem.future_names,
        "steps": problem.steps,
        "seed": seed,
        "input_length": setup.input_length,
        "horizon": setup.horizon,
        "seasons": list(setup.seasons),
        "origins": [str(problem.table.time[origin]) for origin in setup.origins],
        "validation_steps": setup.validation,
        "validation_mae": competition.validation,
        "scores": [{k: None if v != v else v for k, v in score.items()} for score in scores],
    }
