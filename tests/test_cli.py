"""The command line: subcommands, `rnnfast forecast` on files, and one clear line for whatever goes wrong."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnfast
from rnnfast.cli.bench.arguments import SUITES
from rnnfast.cli.main import COMMANDS, main
from rnnfast.cli.reproduce import TABLES
from rnnfast.forecast import Forecaster

QUICK = ["--epochs", "2", "--hidden-size", "4"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rnnfast", *words], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 days of two targets with a weekly rhythm, a past covariate, a future one for two weeks more."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("cli") / "shop.csv"
    days = np.arange("2022-01-01", "2022-11-11", dtype="datetime64[D]")
    promotion = rng.random(days.size) < 0.2
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "sales", "visits", "rain", "promotion"])
        for t, day in enumerate(days):
            sales = 20 + 5 * np.sin(2 * np.pi * t / 7) + 8 * promotion[t] + rng.normal()
            cells = ["", "", ""] if t >= 300 else [f"{sales:.3f}", f"{3 * sales:.3f}", f"{rng.random():.3f}"]
            writer.writerow([day, *(["", *cells[1:]] if t == 123 else cells), int(promotion[t])])
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(path: Path) -> list[dict[str, str]]:
    return [{key: cell for key, cell in row.items() if key != "seconds"} for row in rows(path)]


# ------------------------------------------------------------------------------------------------ the command


def test_version_and_help() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"rnnfast {rnnfast.__version__}\n", "")
    helped = run("--help")
    assert helped.returncode == 0
    for command in COMMANDS:
        assert command in helped.stdout
    assert "Recurrent and causal-convolutional sequence models" in helped.stdout


def test_help_of_bench_and_reproduce_breaks_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    for command, suites in (("bench", SUITES), ("reproduce", TABLES)):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        said = capsys.readouterr().out
        assert max(map(len, said.splitlines())) <= 80
        for suite in suites:
            assert re.search(rf"^ +{suite}\b.*: \w", said, re.MULTILINE), "a line of its own"
        if command == "bench":
            words = re.findall(r"\w+", said)
            for suite in SUITES.values():
                assert {*suite.cells, *suite.shapes, *suite.modes, *suite.options} <= set(words)


def test_no_command_and_an_unknown_one_are_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: rnnfast" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["fly"])
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_a_command_imports_nothing_of_the_others() -> None:
    code = (
        "import sys; from rnnfast.cli.main import main\n"
        "try: main(['forecast', '--help'])\n"
        "except SystemExit: pass\n"
        "others = ('rnnfast.cli.reproduce', 'rnnfast.cli.bench', 'matplotlib', 'tqdm')\n"
        "print([name for name in sys.modules if name.startswith(others)])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--horizon", "0"], "--horizon: expected at least 1, got 0"),
        (["--horizon", "x"], "argument --horizon: invalid int value: 'x'"),
        (["--models", "gru,cnn"], "--models: expected all, or some of naive, drift,"),
        (["--threads", "0"], "argument --threads: expected a whole number of at least 1, got '0'"),
        (["--seed", "-1"], "argument --seed: expected a whole number of at least 0, got '-1'"),
        (["--time", "t"], "--time: expected a FILE.csv along with it"),
        (["--holidays", "mars"], "argument --holidays: invalid choice: 'mars'"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(words: list[str], message: str) -> None:
    result = run("forecast", *words)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


# ------------------------------------------------------------------------------------------------ forecasting


def test_forecast_of_a_file(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, report = tmp_path / "new" / "out", tmp_path / "r.json"
    words = [
        "forecast",
        str(series),
        "--target",
        "sales,visits",
        "--past-cov",
        "rain",
        "--future-cov",
        "promotion",
    ]
    status = main([*words, *QUICK, "--origins", "5", "--out", str(out), "--json", str(report)])
    shown = capsys.readouterr()
    assert status == 0
    assert shown.err == ""
    names = ["forecast-2.png", "forecast.png", "forecasts.csv", "future.csv"]
    names += ["gru.npz", "lstm.npz", "rnn.npz", "table.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    scores = rows(out / "table.csv")
    methods = ["naive", "drift", "moving average 7", "weighted average 7", "seasonal naive 7"]
    methods += ["same day, last 4 weeks", "ridge AR 28 + calendar", "rnn", "lstm", "gru"]
    for target in ("sales", "visits"):
        mine = [row for row in scores if row["target"] == target]
        assert sorted(row["method"] for row in mine) == sorted(methods)
        assert mine[0]["method"] == "naive"
        errors = [float(row["mae"]) for row in mine[1:]]
        assert errors == sorted(errors, reverse=True)
        assert {row["method"]: row["kind"] for row in mine}["gru"] == "network"
    # The table holds what the forecasts give, and the truth is the file's.
    forecasts = rows(out / "forecasts.csv")
    assert len(forecasts) == 2 * (5 + 1) * 7
    tested = [row for row in forecasts if row["target"] == "sales" and row["truth"]]
    error = np.mean([abs(float(row["truth"]) - float(row["gru"])) for row in tested])
    assert error == pytest.approx(
        next(float(row["mae"]) for row in scores if row["method"] == "gru"), rel=1e-8
    )
    assert (tested[0]["origin"], tested[-1]["time"]) == ("2022-09-23 00:00:00", "2022-10-27 00:00:00")
    ahead = [row for row in forecasts if row["target"] == "visits" and row["origin"] == "2022-10-28 00:00:00"]
    assert [row["step"] for row in ahead] == [str(step) for step in range(1, 8)]
    assert all(row["truth"] == "" and float(row["gru"]) > 0 for row in ahead)
    results = json.loads(report.read_text())
    chosen = min(results["validation_mae"], key=lambda name: results["validation_mae"][name])
    future = rows(out / "future.csv")
    assert list(future[0]) == ["time", "sales", "visits"]
    assert [(row["time"], row["visits"]) for row in future] == [(row["time"], row[chosen]) for row in ahead]
    assert (future[0]["time"], len(future)) == ("2022-10-28 00:00:00", 7)
    assert results["seasons"] == [7]
    assert len(results["scores"]) == 20
    assert results["future_covariates"][-1] == "promotion"
    # What is printed is the same table.
    for row in scores:
        assert row["method"] in shown.out
    assert isinstance(rnnfast.load(out / "gru.npz"), Forecaster)


def test_the_saved_model_forecasts_as_the_documentation_shows(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "forecast.md").read_text(encoding="utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    lines = series.read_text().splitlines()[:301]
    (tmp_path / "shop.csv").write_text("\n".join(lines))
    words = ["forecast", "shop.csv", "--target", "sales", "--models", "gru", "--origins", "4", *QUICK]
    assert main([*words, "--out", "results"]) == 0
    assert "rnnfast.load reads the .npz files" in capsys.readouterr().out
    exec(compile(example, "docs/forecast.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    future = rows(tmp_path / "results" / "future.csv")
    assert [line.split()[0].replace("T", " ") for line in shown] == [row["time"] for row in future]
    np.testing.assert_allclose(
        [float(line.split()[1]) for line in shown], [float(row["sales"]) for row in future], rtol=1e-8
    )


def test_why_there_is_no_forecast_of_the_future(
    series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["forecast", str(series), "--origins", "4", *QUICK, "--quiet", "--out", str(tmp_path / "out")]
    assert main([*words, "--models", "naive"]) == 0
    shown = capsys.readouterr().out
    assert "future.csv was not written: no network was trained" in shown
    assert ".npz" not in shown
    assert "\n\n\n" not in shown
    # The promotion is known for 14 days more.
    far = [*words, "--models", "gru", "--target", "sales", "--future-cov", "promotion", "--horizon", "15"]
    assert main(far) == 0
    expected = "the future covariates must be known for 15 rows after the last target, got 14."
    assert expected in capsys.readouterr().out
    assert not (tmp_path / "out" / "future.csv").exists()


def test_the_same_seed_gives_the_same_files_whatever_the_threads(series: Path, tmp_path: Path) -> None:
    for name, threads, seed in (("a", "1", "42"), ("b", "2", "42"), ("c", "1", "43")):
        words = [
            "forecast",
            str(series),
            "--seed",
            seed,
            "--threads",
            threads,
            "--origins",
            "4",
            *QUICK,
            "--quiet",
        ]
        assert main([*words, "--models", "gru,ridge", "--out", str(tmp_path / name)]) == 0
    assert without_seconds(tmp_path / "a" / "table.csv") == without_seconds(tmp_path / "b" / "table.csv")
    for name in ("forecasts.csv", "gru.npz"):
        a, b, c = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert (a == b) or name == "gru.npz"
        assert a != c


def test_without_out_nothing_is_written(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["forecast", str(series), "--models", "naive,seasonal-naive"]) == 0
    assert list(tmp_path.iterdir()) == []
    shown = capsys.readouterr()
    assert "Nothing was written" in shown.out
    assert [line.split()[0] for line in shown.out.split("\n\n")[1].splitlines()] == [
        "method",
        "naive",
        "seasonal",
    ]
    assert main(["forecast", str(series), "--models", "naive", "--quiet"]) == 0
    assert "Nothing was written" not in capsys.readouterr().out


def test_the_embedded_data_needs_no_file_and_is_attributed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", "--models", "naive,seasonal-naive,seasonal-mean", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "CC BY 4.0" in shown
    assert "10.24432/C5X60B" in shown
    assert "56 origins" in shown
    assert "same hour, last 4 weeks" in shown


def test_a_network_beats_every_baseline_on_the_embedded_data(tmp_path: Path) -> None:
    """The main job with one of its three cells, in full."""
    report = tmp_path / "r.json"
    words = [
        "forecast",
        "--models",
        "drift,seasonal-naive,seasonal-mean,ridge,rnn",
        "--quiet",
        "--json",
        str(report),
    ]
    assert main(words) == 0
    scores = json.loads(report.read_text())["scores"]
    network = [score["mae"] for score in scores if score["network"]]
    baselines = [score["mae"] for score in scores if not score["network"]]
    assert len(network) == 1
    assert len(baselines) == 6
    assert network[0] < min(baselines) < 200.0


# ------------------------------------------------------------------------------------------------------
# errors


def bad(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            "t,y\n2020-01-01,1\n2020-01-02,oops\n",
            [],
            'bad.csv: expected a column of numbers|line 3, column "y"',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n",
            ["--target", "z"],
            'line 1, column "z": expected a column of that name',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n",
            ["--time", "z"],
            'line 1, column "z": expected a column of that name',
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,1_01\n",
            ["--target", "y"],
            'line 3, column "y": expected a finite number',
        ),
        ("t,y\n2020-01-02,1\n2020-01-01,2\n", [], 'line 3, column "t": expected times that ascend'),
        ("t,y\n2020-01-01,1\n2020-01-02,2\n", [], "bad.csv: expected at least 24 rows for a horizon of 7"),
        ("t,y\n2020-01-01,\n2020-01-02,\n", ["--target", "y"], "expected values in column y, got none"),
        (
            "t,y,f\n2020-01-01,1,1\n2020-01-02,2,\n",
            ["--target", "y", "--future-cov", "f"],
            'column "f", 2020-01-02 00:00:00: expected a value on every row',
        ),
        (
            "t,y,f\n2020-01-01,1,yes\n2020-01-02,2,no\n",
            ["--future-cov", "f"],
            'line 2, column "f": expected a finite number (or nothing, where a value is missing), got "yes"; '
            "the column is not numeric",
        ),
        (
            "t,y\n2020-01-01,1\n2020-01-02,2\n",
            ["--past-cov", "f"],
            'line 1, column "f": expected a column of that name, got t, y',
        ),
    ],
)
def test_a_bad_file_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str], message: str
) -> None:
    out = tmp_path / "out"
    assert main(["forecast", bad(tmp_path, text), "--out", str(out), *words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("rnnfast forecast: error: ")
    assert any(part in error for part in message.split("|"))
    assert not out.exists()


def test_sizes_far_too_large_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]")
    path = bad(tmp_path, "t,y\n" + "".join(f"{day},{t}\n" for t, day in enumerate(days)))
    for words in (["--horizon", "100000000"], ["--input-length", "1000000000000"], ["--origins", "9" * 30]):
        start = time.perf_counter()
        assert main(["forecast", path, *words]) == 1
        assert time.perf_counter() - start < 2.0
        error = capsys.readouterr().err
        assert "expected at least " in error
        assert f"got {days.size}; take smaller ones" in error
    # The number it names is enough, and one less is not.
    main(["forecast", path, "--input-length", "60", "--origins", "2"])
    enough = int(capsys.readouterr().err.split("at least ")[1].split()[0])
    for steps, status in ((enough - 1, 1), (enough, 0)):
        days = np.datetime64("2020-01-01") + np.arange(steps)
        path = bad(tmp_path, "t,y\n" + "".join(f"{day},{t % 5}\n" for t, day in enumerate(days)))
        words = ["--input-length", "60", "--origins", "2", "--models", "naive", "--quiet"]
        assert main(["forecast", path, *words]) == status


def test_a_field_without_an_end_and_a_damaged_archive_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bad(tmp_path, "t,y\n2020-01-01,1\n2020-01-02," + "1" * 140_000 + "\n")
    assert main(["forecast", path]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bad.csv, line 3: expected fields that a CSV reader takes, got field larger than" in error
    packed = bytearray(gzip.compress(b"t,y\n" + b"2020-01-01,1\n" * 500))
    packed[12:20] = b"\xff" * 8
    (tmp_path / "y.csv.gz").write_bytes(packed)
    assert main(["forecast", str(tmp_path / "y.csv.gz")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "y.csv.gz: expected a whole gzip file, got something else or a damaged one" in error


def test_the_network_that_validation_chose_comes_first(
    series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "r.json"
    words = ["forecast", str(series), "--origins", "4", *QUICK, "--quiet", "--json", str(report)]
    assert main(words) == 0
    errors = json.loads(report.read_text())["validation_mae"]
    chosen = min(errors, key=lambda name: errors[name])
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("Chosen on validation: "))
    assert lines[first].startswith(f"Chosen on validation: the network {chosen}; its MAE is ")
    assert lines[first + 1].startswith("* best on the test: ")


def test_a_missing_file_and_a_folder_that_cannot_be_written(
    series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forecast", str(tmp_path / "none.csv")]) == 1
    assert (
        capsys.readouterr().err
        == f"rnnfast forecast: error: {tmp_path / 'none.csv'}: No such file or directory\n"
    )
    (tmp_path / "file").write_text("")
    # A folder inside a file: not even root can make one.
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        assert main(["forecast", str(series), "--out", str(out), *QUICK]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"--out {out}: expected a folder that can be written" in error
    for report in (tmp_path / "none" / "r.json", tmp_path, tmp_path / "file" / "r.json"):
        words = ["--json", str(report), "--out", str(tmp_path / "new")]
        assert main(["forecast", str(series), *words, *QUICK]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"rnnfast forecast: error: --json {report}: expected a file that can be")
        assert shown.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_column_has_one_role(series: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forecast", str(series), "--target", "sales", "--past-cov", "sales"]) == 2
    expected = "--past-cov: expected columns that have no other role, got 'sales' of --target"
    assert expected in capsys.readouterr().err


def test_a_failure_late_in_the_job_leaves_nothing_half_written(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28), "gru.npz")

    monkeypatch.setattr(Forecaster, "save", fail)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "table.csv").write_text("old")
    for out in (tmp_path / "new", kept):
        assert main(["forecast", str(series), "--models", "gru", "--out", str(out), *QUICK]) == 1
        assert "error: gru.npz: No space left on device" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["kept", "table.csv"]
    assert (kept / "table.csv").read_text() == "old"


def test_no_traceback_and_the_right_status_from_the_shell(tmp_path: Path) -> None:
    result = run("forecast", str(tmp_path / "none.csv"))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_an_unknown_instruction_set_is_one_line_too() -> None:
    environment = {**os.environ, "RNNFAST_ISA": "foo"}
    words = [sys.executable, "-m", "rnnfast", "forecast"]
    result = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 1
    assert result.stderr.startswith("rnnfast: error: RNNFAST_ISA=foo: unknown instruction set")
    assert result.stderr.count("\n") == 1
