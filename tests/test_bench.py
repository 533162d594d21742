"""`rnnfast bench` and `rnnfast info`: the check before the clock, the figures, the files, the errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rnnfast import backend, ops
from rnnfast.cli.bench import peers
from rnnfast.cli.bench.problems import SHAPES, Problem, Shape
from rnnfast.cli.bench.timing import measure
from rnnfast.cli.main import main

QUICK = ["bench", "--shapes", "geron", "--seconds", "0.01"]


def test_rows_of_all_cells_and_modes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kernels.json"
    assert main([*QUICK, "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    rows = {(row["cell"], row["mode"]): row for row in result["rows"]}
    assert set(rows) == {(cell, mode) for cell in ops.cells() for mode in ("inference", "training")}
    for row in rows.values():
        assert row["gflops"] > 0
        assert row["quartiles"][0] <= row["milliseconds"] <= row["quartiles"][1]
        assert row["repeats"] >= 5
    assert result["configuration"]["active"] == backend.active_variant()
    assert {"cpu", "date", "commit", "threads", "dtype", "peers"} <= set(result)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows)


def test_operations_are_those_of_the_products() -> None:
    problem = Problem("lstm", Shape(steps=5, batch=3, inputs=2, hidden=7), "float32", seed=0)
    assert problem.operations("inference") == 2 * 5 * 3 * 4 * 7 * (2 + 7)
    assert problem.operations("training") == 3 * problem.operations("inference")


def test_a_wrong_kernel_is_not_timed(cell: str) -> None:
    problem = Problem(cell, SHAPES["geron"], "float32", seed=0)
    assert problem.check() < 1e-5
    problem.weights.weight_hh = problem.arrays["weight_hh"] + np.float32(0.5)
    problem.weights.refresh()
    with pytest.raises(ArithmeticError, match=f"bench: {cell} at .* not timed"):
        problem.check()


def test_contenders_take_turns() -> None:
    calls: list[str] = []
    timings = measure({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0.001)
    assert timings["a"].repeats == timings["b"].repeats >= 5
    assert calls[:4] == ["a", "b", "a", "b"]
    assert calls.index("b", 4) < len(calls) - calls[::-1].index("a")  # not all of a before b


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cells", "lstm,foo"], "argument --cells: expected rnn_tanh, rnn_relu, lstm, gru, got 'foo'"),
        (["--shapes", "huge"], "argument --shapes: expected geron, small, mid, large, b1, rl, got 'huge'"),
        (["--against", "cntk"], "argument --against: expected torch, onnxruntime, got 'cntk'"),
        (["--json", "/nowhere/at/all.json"], "argument --json: cannot write into the folder /nowhere/at"),
    ],
)
def test_bad_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, *words]) == 2
    assert capsys.readouterr().err == f"rnnfast bench: error: {message}\n"


def test_an_absent_peer_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(peers.importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"torch is not installed .* pip install 'rnnfast\[bench\]'"):
        peers.load("torch", 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", list(peers.PEERS))
def test_peers_compute_the_same(name: str, cell: str) -> None:
    pytest.importorskip(name)
    peer = peers.load(name, 1)
    problem = Problem(cell, Shape(steps=4, batch=3, inputs=5, hidden=9), "float32", seed=0)
    assert peer.job(problem, "inference") is not None  # which has compared the outputs


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "info.json"
    assert main(["info", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == backend.configuration()
    printed = capsys.readouterr().out
    assert f"active     {backend.active_variant()}" in printed
    assert "no CUDA module" in printed
