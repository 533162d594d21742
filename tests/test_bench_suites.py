"""`rnnfast bench step`, `blocks`, `epoch`, `memory`, `startup` and `cost`: tiny sizes, files and errors."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast.cli.bench import cost, epoch, fixed_size, native, startup, step, tables, training_memory
from rnnfast.cli.bench.cost_axes import AXES
from rnnfast.cli.bench.epoch_contenders import Epoch
from rnnfast.cli.bench.peer import Unavailable, gate_rows
from rnnfast.cli.bench.problems import UNITS, Problem, Shape
from rnnfast.cli.bench.suites import MAIN_CELLS, SUITES
from rnnfast.cli.bench.timing import Timing, measure
from rnnfast.cli.main import main

TINY_EPOCH = Epoch(samples=40, steps=6, outputs=3, hidden=4, layers=2, batch=16)


def result_of(tmp_path: Path, suite: str, *words: str) -> dict[str, Any]:
    path = tmp_path / f"{suite}.json"
    assert main(["bench", suite, "--seconds", "0.001", *words, "--json", str(path)]) == 0
    found: dict[str, Any] = json.loads(path.read_text())
    assert found["suite"] == suite
    assert {"cpu", "date", "commit", "threads", "dtype", "peers", "environment"} <= set(found)
    assert len(tables.table(found)) > 2
    return found


def test_rows_of_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = result_of(tmp_path, "step")["rows"]
    assert [(row["shape"], row["cell"]) for row in rows] == [(s, c) for s in UNITS for c in MAIN_CELLS]
    for row in rows:
        assert 0 < row["quartiles"][0] <= row["microseconds"] <= row["quartiles"][1]
        assert row["goal"] == (1.5 if row["hidden"] == 32 else None)
        assert row["met"] == (None if row["goal"] is None else row["microseconds"] <= row["goal"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows)


def test_another_step_is_not_timed(cell: str) -> None:
    problem = Problem(cell, Shape(8, 1, 1, 4), "float32", seed=0)
    stepper = step.own_stepper(problem)
    step.check_stepper("rnnfast", stepper, problem)
    other = stepper._replace(advance=lambda x, state: stepper.advance(x * np.float32(1.1), state))
    with pytest.raises(ArithmeticError, match=f"bench: rnnfast's steps of {cell} differ by .*; not timed"):
        step.check_stepper("rnnfast", other, problem)


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "jax"])
def test_steps_of_peers(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    rows = result_of(tmp_path, "step", "--against", name, "--shapes", "h16")["rows"]
    assert all(row["peers"][name]["ratio"] > 0 for row in rows)


def test_rows_of_blocks_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    result = result_of(tmp_path, "blocks", "--shapes", "h16")
    assert [(row["cell"], row["samples"]) for row in result["rows"]] == [
        (cell, samples) for cell in MAIN_CELLS for samples in (64, 512)
    ]
    assert all(row["nanoseconds_per_sample"] > 0 for row in result["rows"])
    assert result["notes"] == {"fixed-size": "no C++ compiler found (no-such-compiler)"}
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "without fixed-size: no C++ compiler found (no-such-compiler)"
    assert len(printed) == 3 + len(result["rows"])


@pytest.mark.parametrize("name", MAIN_CELLS)
def test_the_fixed_size_loop_computes_the_same(name: str, loop: fixed_size.FixedSize) -> None:
    for hidden in UNITS.values():
        problem = Problem(name, Shape(20, 1, 1, hidden), "float32", seed=0)
        job = loop.job(problem)  # which has compared the outputs
        assert job is not None
        job()
    assert loop.job(Problem(name, Shape(20, 1, 1, 24), "float32", seed=0)) is None


@pytest.mark.usefixtures("loop")
def test_a_compiled_contender_leaves_denormals_as_they_are() -> None:
    """Loading a library that was compiled by -ffast-math would switch them off for the whole process."""
    assert (np.full(64, np.float32(1e-45)) * np.float32(2) > 0).all()


def test_another_loop_is_not_timed(loop: fixed_size.FixedSize) -> None:
    problem = Problem("gru", Shape(20, 1, 1, 16), "float32", seed=0)
    problem.arrays["bias_hh"] = problem.arrays["bias_hh"] + np.float32(0.1)
    with pytest.raises(ArithmeticError, match=r"bench: fixed-size's outputs of gru differ by .*; not timed"):
        loop.job(problem)


@pytest.fixture(scope="module")
def loop() -> fixed_size.FixedSize:
    try:
        library = native.compiled("fixed_size/fixed_size.cpp", native.FAST)
    except Unavailable as reason:
        pytest.skip(str(reason))
    return fixed_size.FixedSize("fixed-size", library)


def test_rows_of_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "EPOCH", TINY_EPOCH)
    result = result_of(tmp_path, "epoch")
    assert [row["cell"] for row in result["rows"]] == list(MAIN_CELLS)
    for row in result["rows"]:
        assert (row["goal"], row["met"]) == (0.15, row["seconds"] <= 0.15)
        losses = row["first_losses"]["rnnfast"]
        assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["torch", "keras"])
def test_epochs_of_peers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(name)
    monkeypatch.setattr(epoch, "EPOCH", TINY_EPOCH)
    for row in result_of(tmp_path, "epoch", "--against", name)["rows"]:
        assert row["first_losses"][name][0] == pytest.approx(row["first_losses"]["rnnfast"][0], abs=1e-4)
        assert row["peers"][name]["goal"] == 3.0


def test_other_losses_are_not_timed() -> None:
    epoch.check_losses("keras", "gru", [1.0, 0.91], [1.0, 0.9], band=0.02)
    for losses, band in (([1.0, 0.91], 0.0), ([1.0, 0.93], 0.02), ([1.001, 0.9], 0.02)):
        with pytest.raises(ArithmeticError, match=r"bench: keras's loss of gru in step \d, .* not timed"):
            epoch.check_losses("keras", "gru", losses, [1.0, 0.9], band)


def test_the_target_of_a_step_is_what_follows() -> None:
    x, y = epoch.series(TINY_EPOCH, seed=0)
    assert (x.shape, y.shape) == ((40, 6, 1), (40, 6, 3))
    assert np.array_equal(y[:, :-1, 0], x[:, 1:, 0])
    assert np.array_equal(y[:, :-1, 1], y[:, 1:, 0])


def test_rows_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {("rnnfast", 0): 300, ("rnnfast", 22): 90, ("torch", 0): 600}
    asked: list[dict[str, Any]] = []

    def in_process(words: dict[str, Any], module: str) -> int:
        asked.append(words)
        return measured[words["contender"], words["recompute"]]

    monkeypatch.setattr(training_memory, "in_process", in_process)
    words = ["--cells", "gru"]
    (row,) = result_of(tmp_path, "memory", *words)["rows"]
    assert (row["bytes"], row["recompute_bytes"], row["peers"]) == (300, 90, {})
    assert asked[0]["sizes"] == {"steps": 512, "batch": 64, "inputs": 64, "hidden": 256}
    pytest.importorskip("torch")
    (row,) = result_of(tmp_path, "memory", *words, "--against", "torch")["rows"]
    assert row["peers"]["torch"] == {
        "bytes": 600,
        "rnnfast": {"ratio": 0.5, "goal": 0.5, "met": True},
        "recompute": {"ratio": 0.15, "goal": 0.2, "met": True},
    }


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc/self to read sizes from")
def test_memory_of_a_step_in_its_process() -> None:
    shape = Shape(steps=128, batch=16, inputs=8, hidden=64)
    words = {"cell": "lstm", "contender": "rnnfast", "sizes": shape._asdict(), "threads": 1, "seed": 0}
    module = training_memory.__name__
    whole = training_memory.in_process({**words, "recompute": 0}, module)
    again = training_memory.in_process({**words, "recompute": 11}, module)
    array = 4 * shape.steps * shape.batch * shape.hidden
    assert array < again < whole < 20 * array


def test_rows_of_startup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "SHAPE", Shape(3, 1, 2, 4))
    (row,) = result_of(tmp_path, "startup")["rows"]
    assert (row["library"], row["goal"], row["repeats"]) == ("rnnfast", 0.1, 1)
    assert row["met"] == (row["import_seconds"] <= 0.1)
    assert row["import_seconds"] > 0
    assert row["first_call_seconds"] > 0
    assert row["disk_bytes"] > 1e5


def test_a_failed_import_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(startup._PROGRAMS, "rnnfast", ("import no_such_module", ""))
    with pytest.raises(RuntimeError, match=r"^bench: the process that imports rnnfast failed: ModuleNot"):
        startup._in_process("rnnfast", startup.SHAPE._asdict())


def test_rows_of_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "BASE", Shape(4, 3, 2, 8))
    for axis, sizes in (
        ("steps", (1, 2, 5)),
        ("batch", (1, 3, 4)),
        ("hidden", (8, 127, 128)),
        ("inputs", (1, 2)),
    ):
        monkeypatch.setitem(AXES, axis, sizes)
    result = result_of(tmp_path, "cost", "--cells", "gru")
    found = [(row["axis"], row["mode"], row["size"]) for row in result["rows"]]
    assert found == [
        (axis, m, size) for axis in AXES for m in ("inference", "training") for size in AXES[axis]
    ]
    assert [line["axis"] for line in result["lines"]] == ["steps", "steps", "batch", "batch"]
    assert [(cliff["size"], cliff["neighbour"], cliff["goal"]) for cliff in result["cliffs"]] == [
        (127, 128, 1.15)
    ] * 2
    assert all(cliff["met"] == (cliff["ratio"] <= cliff["goal"]) for cliff in result["cliffs"])


def test_straightness() -> None:
    straight = cost.straightness([{"size": s, "milliseconds": 0.5 + 2.0 * s} for s in (1, 10, 100)])
    assert straight["offset_milliseconds"] == pytest.approx(0.5)
    assert straight["milliseconds_per_unit"] == pytest.approx(2.0)
    assert straight["largest_deviation"] < 1e-9
    bent = cost.straightness([{"size": s, "milliseconds": s**1.5} for s in (1, 10, 100)])
    assert bent["offset_milliseconds"] >= 0
    assert bent["largest_deviation"] > 0.3


def test_a_cliff_is_per_operation() -> None:
    timings = {127: Timing(0.0, (2.0,) * 5), 128: Timing(0.0, (1.0,) * 5)}
    (cliff,) = cost._cliffs(timings, {127: 8.0, 128: 10.0})
    assert (cliff["size"], cliff["ratio"], cliff["met"]) == (127, 2.5, False)


def test_cores_are_those_of_the_turn() -> None:
    timings = measure({"busy": lambda: sum(range(20000)), "idle": lambda: time.sleep(0.002)}, 0.05)
    assert timings["busy"].cores > 0.5 > timings["idle"].cores


def test_rows_in_another_order_of_gates() -> None:
    assert gate_rows(("r", "z", "n"), ("z", "r", "n"), 2).tolist() == [2, 3, 0, 1, 4, 5]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["step", "--shapes", "small"], "argument --shapes: expected h16, h32, h64, got 'small'; "),
        (
            ["cost", "--shapes", "h16"],
            "argument --shapes: expected steps, batch, hidden, inputs, got 'h16'; ",
        ),
        (["blocks", "--dtype", "float64"], "argument --dtype: the suite blocks has float32, got 'float64'"),
        (["step", "--rtneural", "."], "argument --rtneural: the suite step has no use for it; "),
        (["blocks", "--rtneural", "/no/where"], "argument --rtneural: must be a folder, got '/no/where'"),
        (["kernels", "--against", "onednn"], "argument --onednn: goes with --against onednn, "),
        (["kernels", "--onednn", "."], "argument --onednn: goes with --against onednn, "),
        (
            ["epoch", "--out", "x"],
            "argument --out: the suite epoch has no use for it; `rnnfast bench all` has",
        ),
        (["startup", "--cells", "gru"], "argument --cells: the suite startup has none, got 'gru'; "),
        (["memory", "--against", "jax"], "argument --against: expected torch, got 'jax'; "),
    ],
)
def test_bad_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert capsys.readouterr().err.startswith(f"rnnfast bench: error: {message}")


def test_every_suite_has_its_table() -> None:
    assert set(SUITES) == set(tables.TABLES)
