"""`rnnfast forecast [FILE.csv]`: train on a series, backtest against the baselines, show who won.

Not here: what is read (`series`), which methods compete (`methods`), what is written (`files`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from rnnfast.cli.forecast.files import Folder, forecast_csv, future_csv, json_results, why_no_future
from rnnfast.cli.forecast.methods import METHODS, Competition, Progress
from rnnfast.cli.forecast.series import Problem, Setup, UsageError, load, set_up
from rnnfast.data.time_table import describe_step
from rnnfast.files import check_destination, whole_file
from rnnfast.forecast import Backtest, score_csv, score_table, verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast forecast`."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE.csv", help="a CSV file; without it, the embedded I-94 hourly traffic"
    )
    parser.add_argument("--time", metavar="C", help="column of times (default: the first)")
    parser.add_argument(
        "--target", metavar="C[,C]", help="columns to forecast (default: the first number column)"
    )
    parser.add_argument("--past-cov", metavar="C[,C]", help="columns known up to now")
    parser.add_argument("--future-cov", metavar="C[,C]", help="columns known ahead, on every row")
    parser.add_argument(
        "--holidays", choices=("us", "none"), help="calendar of holidays (default: us for the embedded data)"
    )
    parser.add_argument(
        "--horizon", type=int, metavar="H", help="steps to forecast (default: the shortest season)"
    )
    parser.add_argument(
        "--input-length", type=int, metavar="L", help="steps a network reads (default: the longest season)"
    )
    parser.add_argument(
        "--models",
        default="all",
        metavar="M[,M]",
        help=f"all, or some of {', '.join(METHODS)} (default: all)",
    )
    parser.add_argument(
        "--origins", type=int, metavar="K", help="forecasts to test, a horizon apart (default: 56)"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training windows")
    parser.add_argument(
        "--hidden-size", type=int, default=48, metavar="H", help="units of a network (default: 48)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write table.csv, forecasts.csv, future.csv, forecast.png and the models there",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the job.

    Args:
        arguments: as parsed by a parser that `add_arguments` prepared.

    Returns:
        Exit status: 0, or 2 for bad usage; what else goes wrong is raised.
    """
    start = time.perf_counter()
    try:
        problem = load(arguments)
        setup = set_up(arguments, problem)
    except UsageError as error:
        print(f"rnnfast forecast: error: {error}", file=sys.stderr)
        return 2
    # What cannot be written is found out now, not after the training.
    with Folder(arguments.out) as folder:
        if arguments.json:
            check_json(arguments.json)
        print(introduction(problem, setup, arguments.seed))
        with Progress(setup, quiet=arguments.quiet) as progress:
            competition = Competition(problem, setup, seed=arguments.seed, progress=progress)
            result = competition.run()
        scores = [score for index in range(len(problem.targets)) for score in result.scores(index)]
        for index, target in enumerate(problem.targets):
            if len(problem.targets) > 1:
                print(f"\n{target}")
            rows = result.scores(index)
            print("\n" + score_table(rows, networks=setup.networks, color=sys.stdout.isatty()))
            if compared := verdict(rows, networks=setup.networks, chosen=competition.chosen):
                print("\n" + compared)
        print(chosen_line(competition))
        if arguments.json:
            text = json.dumps(json_results(problem, setup, competition, result, arguments.seed), indent=1)
            with whole_file(arguments.json, "w") as file:
                file.write(text + "\n")
        if folder.wanted:
            folder.write_text(
                "table.csv", score_csv(scores, networks=setup.networks, targets=problem.targets)
            )
            folder.write_text("forecasts.csv", forecast_csv(problem, setup, competition, result))
            missing = why_no_future(problem, setup, competition)
            if not missing:
                folder.write_text("future.csv", future_csv(problem, setup, competition))
            for name, forecaster in competition.forecasters.items():
                forecaster.save(folder.path(f"{name}.npz"))
            draw(folder, problem, setup, result)
        folder.finish()
    if folder.wanted:
        loads = "; rnnfast.load reads the .npz files" if competition.forecasters else ""
        print(f"Wrote {', '.join(folder.names)} to {arguments.out}{loads}.")
        if missing:
            print(f"future.csv was not written: {missing}.")
    elif not arguments.quiet:
        print("Nothing was written; --out DIR keeps the table, the forecasts, a picture and the models.")
    if problem.table.attribution:
        print(problem.table.attribution)
    if not arguments.quiet:
        print(f"{time.perf_counter() - start:.1f} s in all.")
    return 0


def check_json(path: str) -> None:
    """Refuse a --json that cannot be written, in the words of --out."""
    try:
        check_destination(path)
    except OSError as error:
        raise OSError(f"--json {path}: expected a file that can be written, got: {error.strerror}") from None


def introduction(problem: Problem, setup: Setup, seed: int) -> str:
    """What is forecast, from what, and how it is split in time."""
    table = problem.table
    first, trained, tested, last = (
        str(table.time[row]).replace("T", " ")[:16]
        for row in (0, setup.train_stop - 1, int(setup.origins[0]), problem.steps - 1)
    )
    gaps = (
        f"{problem.missing} missing (filled from the past, not scored)" if problem.missing else "none missing"
    )
    return (
        f"{table.name}: {', '.join(problem.targets)}; {problem.steps:,} steps of "
        f"{describe_step(table.step)}, {first} to {last}, {gaps}\n"
        f"{setup.input_length} steps in, {setup.horizon} ahead; networks trained to {trained}, "
        f"then {setup.validation // setup.horizon} x {setup.horizon} steps of validation;\n"
        f"test: {setup.origins.size} origins, {setup.horizon} steps apart, from {tested} on; seed {seed}"
    )


def chosen_line(competition: Competition) -> str:
    """The networks' errors before the test, and which of them one would have chosen by that."""
    errors = competition.validation
    if not errors:
        return ""
    listed = ", ".join(
        f"{name} {error:.4g}" for name, error in sorted(errors.items(), key=lambda item: item[1])
    )
    return f"On validation, before the test: {listed}; chosen: {competition.chosen}."


def draw(folder: Folder, problem: Problem, setup: Setup, result: Backtest) -> None:
    """One picture per target; without matplotlib a line on stderr says how to have it."""
    from rnnfast.forecast import plot_backtest

    for index, target in enumerate(problem.targets):
        try:
            figure = plot_backtest(
                result,
                problem.table.time,
                networks=setup.networks,
                target=index,
                name=target,
                source=problem.table.attribution,
            )
        except ImportError as error:
            print(f"rnnfast forecast: no picture: {error}", file=sys.stderr)
            return
        figure.savefig(folder.path("forecast.png" if index == 0 else f"forecast-{index + 1}.png"))
