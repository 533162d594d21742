"""`rnnfast bench all` and the page of a folder of results: what runs, what is lost, losers first, goals."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rnnfast.cli.bench import everything, goals, report
from rnnfast.cli.bench.everything import Job
from rnnfast.cli.main import main

HEAD: dict[str, Any] = {
    "cpu": "a processor",
    "date": "2026-11-28",
    "commit": "abc",
    "configuration": {"active": "avx2"},
    "environment": {"RNNFAST_ISA": "avx2"},
    "threads": 1,
    "dtype": "float32",
    "peers": {"torch": "2.0", "jax": "0.1"},
}


def kernel_row(shape: str, mode: str, ratios: dict[str, float], **words: Any) -> dict[str, Any]:
    peers = {
        name: {"milliseconds": ratio, "ratio": ratio, "ratio_quartiles": [ratio, ratio], "goal": 1.0}
        | {"met": ratio >= 1}
        for name, ratio in ratios.items()
    }
    figures = {"milliseconds": 1.0, "quartiles": [1.0, 1.0], "gflops": 50.0, "share_of_peak": 0.5}
    head = {"shape": shape, "cell": "lstm", "mode": mode, "peers": peers, "notes": {}}
    return figures | head | words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        kernel_row("small", "inference", {"torch": 4.0, "jax": 8.0}),
        kernel_row("mid", "inference", {"torch": 1.0, "jax": 9.0}, peak_goal=0.92, peak_met=False),
        kernel_row("small", "training", {"torch": 0.5}, notes={"jax": "it cannot"}),
    ]
    startup = {"library": "rnnfast", "import_seconds": 0.2, "import_bytes": None, "first_call_seconds": 0.01}
    startup |= {"disk_bytes": 10**6, "goal": 0.1, "met": False}
    kernels, start = HEAD | {"suite": "kernels", "rows": rows}, HEAD | {"suite": "startup", "rows": [startup]}
    (tmp_path / "kernels-1-thread.json").write_text(json.dumps(kernels))
    (tmp_path / "startup-1-thread.json").write_text(json.dumps(start))
    run = {"name": "cost-1-thread", "outcome": "failed (1)", "last_line": "rnnfast bench: error: no"}
    (tmp_path / report.RUNS).write_text(json.dumps([run]))
    return tmp_path


def test_the_page(folder: Path) -> None:
    line = report.write(folder)
    text = (folder / report.PAGE).read_text(encoding="utf-8")
    assert line.startswith(f"{folder / report.PAGE}: 2 runs")
    assert "a processor, avx2, commit abc, 2026-11-28, RNNFAST_ISA=avx2: kernels-1-thread, startup-1" in text
    assert "**cost-1-thread: failed (1)**, rnnfast bench: error: no" in text
    assert "| kernels-1-thread | inference | 2 | 2.00× | 0 | 1.00× |" in text
    assert "| kernels-1-thread | training | 1 | 0.50× | 1 | 0.50× |" in text
    losers = [line for line in text.splitlines() if "– " in line and "| torch |" in line]
    assert [line.split(" |")[0].strip("| ") for line in losers] == ["**0.50×**", "1.00×", "4.00×"]
    assert "## Goals: 4 of 7 met" in text
    assert "| mid lstm inference | kernels-1-thread | share of peak | 0.5 | 0.92 |" in text
    assert "| small lstm training torch | kernels-1-thread | ratio | 0.5 | 1 |" in text
    assert "| rnnfast | startup-1-thread | import seconds | 0.2 | 0.1 |" in text
    assert "Without jax in 1 rows (small lstm training): it cannot." in text


def test_plots(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        {"axis": axis, "cell": "gru", "mode": "training", "size": size, "milliseconds": 1.0, "gflops": 9.0}
        | {"nanoseconds_per_operation": 0.1 * size}
        for axis in ("steps", "hidden")
        for size in (1, 2, 4)
    ]
    result = HEAD | {"suite": "cost", "peers": {}, "rows": rows, "lines": [], "cliffs": []}
    (folder / "cost-1-thread.json").write_text(json.dumps(result))
    report.write(folder)
    text = (folder / report.PAGE).read_text(encoding="utf-8")
    for name in ("cost-1-thread", "kernels-1-thread"):
        assert (folder / f"{name}.png").stat().st_size > 1000
        assert f"({name}.png)" in text


def test_render_writes_the_page_again(
    folder: Path, render: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    render.main(str(folder))
    assert (folder / report.PAGE).exists()
    capsys.readouterr()
    render.main(str(folder / "kernels-1-thread.json"))
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == "| shape | cell | inference ms | of peak | torch | jax | training ms | of peak | torch |"
    )
    assert lines[2].startswith(
        "| small: T100 N32 I64 H128 | lstm | 1 | 50% | 4.00× | 8.00× | 1 | 50% | 0.50× |"
    )


def test_results_of_the_repository_can_be_rendered() -> None:
    results = Path(__file__).parents[1] / "bench" / "results"
    if not results.is_dir():
        pytest.skip("no results beside the tests")
    for path in results.iterdir():
        assert len(list(report.page(path, report.load(path), []))) > 10


def test_an_empty_folder_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="report: the folder must hold results of `rnnfast bench`, got none in"
    ):
        report.write(tmp_path)


def test_geometric_mean() -> None:
    assert goals.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[Job]:
    found: list[Job] = []
    monkeypatch.setattr(everything, "run", lambda jobs, out, isa: found.extend(jobs) or 0)
    assert main(["bench", "all", "--out", str(tmp_path), *words]) == 0
    return found


def test_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything.backend, "available_cpus", lambda: 2)
    names = [job.name for job in planned(tmp_path, monkeypatch)]
    assert names[:3] == ["kernels-1-thread", "kernels-float64-1-thread", "options-1-thread"]
    assert {"step-1-thread", "cost-1-thread", "epoch-2-threads", "kernels-float64-2-threads"} <= set(names)
    assert "step-2-threads" not in names
    words = ["--against", "torch,keras", "--suites", "epoch,step", "--threads", "1"]
    assert [
        job.words[job.words.index("--against") + 1] for job in planned(tmp_path, monkeypatch, *words)
    ] == [
        "torch,keras",
        "torch",
    ]
    monkeypatch.setattr(everything.backend, "available_cpus", lambda: 1)
    assert {job.threads for job in planned(tmp_path, monkeypatch)} == {1}


def test_a_failed_suite_loses_itself_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [
        Job("step", 1, "float32", ["--seconds", "0.001", "--shapes", "h16", "--cells", "gru"]),
        Job("cost", 1, "float32", ["--shapes", "nowhere"]),
    ]
    assert everything.run(jobs, tmp_path, None) == 1
    runs = json.loads((tmp_path / report.RUNS).read_text())
    assert [(run["name"], run["outcome"]) for run in runs] == [
        ("step-1-thread", "done"),
        ("cost-1-thread", "failed (2)"),
    ]
    text = (tmp_path / report.PAGE).read_text(encoding="utf-8")
    assert "**cost-1-thread: failed (2)**, rnnfast bench: error: argument --shapes: expected steps" in text
    assert "## step-1-thread" in text
    assert "step-1-thread … done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "argument --out: `rnnfast bench all` needs a folder for its results"),
        (["--out", "x", "--suites", "step,stop"], "argument --suites: expected kernels, "),
        (["--out", "x", "--against", "cntk"], "argument --against: expected torch, "),
        (["--out", "x", "--cells", "gru"], "argument --cells: is for single suites, got 'gru'"),
        (["--out", "x", "--against", "onednn"], "argument --onednn: goes with --against onednn"),
    ],
)
def test_bad_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "all", *words]) == 2
    assert capsys.readouterr().err.startswith(f"rnnfast bench: error: {message}")
