"""`rnnfast bench` and `rnnfast info`: the check before the clock, the figures, the files, the errors."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast import backend, ops, reference
from rnnfast.cli.bench import machine, native, peers, timing
from rnnfast.cli.bench.catalogue import OPTIONS, Option, verdict
from rnnfast.cli.bench.layers import LayerProblem
from rnnfast.cli.bench.memory import step_memory
from rnnfast.cli.bench.peer import Peer, Unavailable
from rnnfast.cli.bench.problems import SHAPES, Problem, Shape
from rnnfast.cli.bench.timing import Prepared, Timing, measure
from rnnfast.cli.main import main
from rnnfast.nn.masks import CallMasks

QUICK = ["bench", "--shapes", "geron", "--seconds", "0.01"]
TINY = Shape(steps=6, batch=3, inputs=2, hidden=4)
LONG = Shape(steps=40, batch=3, inputs=2, hidden=4)
OPTIONS_QUICK = ["bench", "options", "--shapes", "tiny", "--seconds", "0.001"]


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


def test_training_packs_changed_weights_unless_they_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("lstm", Shape(steps=5, batch=3, inputs=2, hidden=7), "float32", seed=0)
    packings = 0

    def refresh() -> None:
        nonlocal packings
        packings += 1

    monkeypatch.setattr(problem.weights, "refresh", refresh)
    problem.job("training", packed=True)()
    assert packings == 0
    problem.job("training")()
    assert packings == 1


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


def test_the_beginning_of_a_job_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def pass_(seconds: float) -> float:
        nonlocal now
        now += seconds
        return seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    jobs = {"half": Prepared(lambda: pass_(5.0), lambda begun: pass_(begun / 10)), "whole": lambda: pass_(2)}
    timings = measure(jobs, 0.001)
    assert set(timings["half"].rounds) == {0.5}
    assert set(timings["whole"].rounds) == {2.0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cells", "lstm,foo"], f"argument --cells: expected {', '.join(ops.cells())}, got 'foo'"),
        (
            ["--options", "zoneout"],
            "argument --options: the suite kernels has none, got 'zoneout'; `rnnfast bench options` has it",
        ),
        (
            ["--shapes", "conv_front,conv_c20_k2"],
            f"argument --shapes: expected {', '.join(SHAPES)}, got 'conv_front', 'conv_c20_k2'; "
            "`rnnfast bench convolution` has them",
        ),
        (["--shapes", "huge"], f"argument --shapes: expected {', '.join(SHAPES)}, got 'huge'"),
        (["--against", "cntk"], f"argument --against: expected {', '.join(peers.PEERS)}, got 'cntk'"),
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

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"torch is not installed .* pip install 'rnnfast\[bench\]'"):
        peers.load("torch", 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", ["torch", "onnxruntime", "jax", "keras"])
def test_peers_compute_the_same(name: str, cell: str, mode: str) -> None:
    pytest.importorskip(name)
    peer = peers.load(name, 1)
    problem = Problem(cell, Shape(steps=4, batch=3, inputs=5, hidden=9), "float32", seed=0)
    job = peer.job(problem, mode)  # which has compared outputs and gradients
    assert (job is not None) == (cell in peer.cells and (mode == "inference" or peer.trains))


def test_what_a_folder_for_onednn_has_to_hold_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(*_: object) -> None:
        raise Unavailable("dnnl.hpp: no such file")

    monkeypatch.setattr(native, "compiled", missing)
    with pytest.raises(
        ImportError, match=r"dnnl.hpp: no such file\); give the folder that holds its include/"
    ):
        peers.load("onednn", 1, str(tmp_path))


@pytest.mark.parametrize("packed", [False, True])
def test_a_peer_with_packed_weights_is_beside_our_packed_weights(
    packed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds = {"training": 0.003, "packed": 0.002, "theirs": 0.001}
    now = 0.0

    def takes(what: str) -> Callable[[], None]:
        def job() -> None:
            nonlocal now
            now += seconds[what]

        return job

    def own_job(problem: Problem, mode: str, *, packed: bool = False) -> Callable[[], object]:
        return takes("packed" if packed else mode)

    class Other(Peer):
        name, version = "torch", "1"  # type: ignore[assignment]

        def job(self, problem: Problem, mode: str) -> Callable[[], object]:
            return takes("theirs")

    Other.packed = packed
    monkeypatch.setattr(peers, "load", lambda name, threads, folder=None: Other(threads))
    monkeypatch.setattr(Problem, "job", own_job)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    monkeypatch.setattr(machine, "peak_gflops", lambda dtype: 100.0)
    path = tmp_path / "result.json"
    arguments = ["--cells", "lstm", "--shapes", "tiny", "--modes", "training", "--against", "torch"]
    assert main(["bench", "kernels", *arguments, "--seconds", "0.01", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["rows"]
    assert row["milliseconds"] == pytest.approx(3)  # always of weights that have changed
    assert row["peers"]["torch"]["ours"] == pytest.approx(2 if packed else 3)
    assert row["peers"]["torch"]["ratio"] == pytest.approx(1 / 2 if packed else 1 / 3)


def test_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "info.json"
    assert main(["info", "--json", str(path)]) == 0
    assert json.loads(path.read_text()) == backend.configuration()
    printed = capsys.readouterr().out
    assert f"active     {backend.active_variant()}" in printed
    assert "no CUDA module" in printed


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape that takes no time, for the options that take any shape and for the one that has its own."""
    monkeypatch.setitem(SHAPES, "tiny", TINY)
    recompute = dataclasses.replace(OPTIONS["recompute"], own_shape=("long", LONG))
    monkeypatch.setitem(OPTIONS, "recompute", recompute)


def layer_with(option: Option, cell: str, shape: Shape = LONG) -> LayerProblem:
    varied = option.cell(cell)
    assert varied is not None
    return LayerProblem(
        varied, shape, "float32", settings=option.settings(shape.hidden), call=option.call, seed=1
    )


@pytest.mark.usefixtures("tiny")
def test_rows_of_all_cells_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "options.json"
    assert main([*OPTIONS_QUICK, "--cells", ",".join(ops.cells()), "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert result["configuration"]["active"] == backend.active_variant()
    assert {"cpu", "date", "commit", "threads", "dtype", "peers"} <= set(result)
    rows = {(row["cell"], row["option"]): row for row in result["rows"]}
    assert set(rows) == {(c, name) for c in ops.cells() for name, option in OPTIONS.items() if option.cell(c)}
    for (_, name), row in rows.items():
        assert row["shape"] == ("long" if name == "recompute" else "tiny")
        for side in (row["plain"], row["with"]):
            assert 0 < side["quartiles"][0] <= side["milliseconds"] <= side["quartiles"][1]
        assert 0 < row["ratio_quartiles"][0] <= row["ratio"] <= row["ratio_quartiles"][1]
        assert row["repeats"] >= 5
        assert row["goal"] == OPTIONS[name].goal
        assert row["met"] is None  # goals are for layers of some size
        assert (row["real_steps"] < 1) == (name == "lengths")
        assert 0 < row["max_error"] < 1e-4 > row["max_gradient_error"] > 0
        assert ("memory" in row) == (name == "recompute")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(rows) + 2 * len(ops.cells())  # recompute has two lines of memory
    assert sum("lengths" in line and "of the steps are real" in line for line in lines) == len(ops.cells())


def test_which_cells_have_an_option() -> None:
    found = {
        name: {cell: option.cell(cell) for cell in ops.cells() if option.cell(cell)}
        for name, option in OPTIONS.items()
    }
    coupled = {"lstm": "lstm_coupled", "lstm_peephole": "lstm_peephole_coupled"}
    assert found["coupled"] == coupled
    assert found["peephole"] == {"lstm": "lstm_peephole", "lstm_coupled": "lstm_peephole_coupled"}
    assert found["reset_before"] == {"gru": "gru_reset_before"}
    for name in ("zoneout", "recurrent_dropout", "input_dropout", "weight_dropout", "resets", "lengths"):
        assert found[name] == {cell: cell for cell in ops.cells()}
    for kind in ("split", "joint"):
        assert set(found[f"layer_norm_{kind}"]) == {
            cell for cell, info in ops.cells().items() if kind in info.layer_norms
        }
    assert set(found["projection"]) == {cell for cell, info in ops.cells().items() if info.projectable}


def test_goals_are_for_layers_of_some_size() -> None:
    assert [verdict(1.25, ratio, 128) for ratio in (1.2, 1.25, 1.26)] == [True, True, False]
    assert verdict(1.25, 1.2, 127) is None
    assert verdict(None, 1.2, 128) is None


def test_ratios_are_of_rounds_side_by_side() -> None:
    slow, fast = Timing(0.0, (2.0, 20.0, 2.0, 6.0, 2.0)), Timing(0.0, (1.0, 10.0, 1.0, 2.0, 1.0))
    assert slow.over(fast) == (2.0, (2.0, 2.5))


# What the layer draws; the argument of the call; a parameter.
MASKS = {
    "zoneout": "zoneout",
    "recurrent_dropout": "of_hidden",
    "input_dropout": "of_input",
    "weight_dropout": "of_weight",
}
ARGUMENTS = ("resets", "lengths")
PARAMETERS = {
    "layer_norm_split": "gamma_c_l0",
    "layer_norm_joint": "gamma_l0",
    "peephole": "weight_ch_l0",
    "coupled": "weight_hh_l0",
    "projection": "weight_hr_l0",
    "reset_before": "weight_hh_l0",
}


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "recompute"])
def test_another_result_is_not_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer does without its mask, or the reference without the argument or with another parameter."""
    problem = layer_with(OPTIONS[name], "gru" if name == "reset_before" else "lstm")
    problem.check()
    true = reference.recurrent_layers

    def other(cell: str, x: Any, state: Any, parameters: dict[str, Any], **words: Any) -> Any:
        changed = {n: p + 0.1 if n == PARAMETERS.get(name) else p for n, p in parameters.items()}
        return true(cell, x, state, changed, **words | dict.fromkeys(set(words) & {*ARGUMENTS}))

    if name in MASKS:
        monkeypatch.setattr(CallMasks, MASKS[name], lambda *_: None)
    else:
        monkeypatch.setattr(reference, "recurrent_layers", other)
    with pytest.raises(ArithmeticError, match=r"^bench: \w+ with .* is off by .*; not timed"):
        problem.check()


@pytest.mark.parametrize("name", list(OPTIONS))
def test_another_gradient_is_not_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = layer_with(OPTIONS[name], "gru" if name == "reset_before" else "lstm")
    true = ops.stack_backward

    def other(*arguments: Any, **words: Any) -> Any:
        result = true(*arguments, **words)
        for _, dweight_hh, *_ in words["targets"]:
            if dweight_hh.dtype == np.float32:
                dweight_hh *= 1.01
        return result

    monkeypatch.setattr(ops, "stack_backward", other)
    with pytest.raises(ArithmeticError, match=r"^bench: gradients of \w+ with .* are off by .*; not timed"):
        problem.check()


@pytest.mark.usefixtures("tiny")
def test_a_wrong_number_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true = reference.recurrent_layers

    def other(*arrays: Any, **words: Any) -> Any:
        y, *rest = true(*arrays, **words)
        return y + 1e-3, *rest

    monkeypatch.setattr(reference, "recurrent_layers", other)
    assert main(OPTIONS_QUICK) == 1
    assert capsys.readouterr().err.startswith("rnnfast bench: error: bench: lstm with {} at Shape(steps=6")


def test_the_masks_of_the_clock_are_drawn_anew() -> None:
    problem = layer_with(OPTIONS["zoneout"], "gru")
    before = problem.layer.counter.call
    step = problem.training()
    versions = [parameter.version for parameter in problem.layer.parameters()]
    step()
    step()
    assert problem.layer.counter.call == before + 2
    assert all(p.version > v for p, v in zip(problem.layer.parameters(), versions, strict=True))


def test_memory_of_a_step(cell: str) -> None:
    shape = Shape(steps=256, batch=8, inputs=16, hidden=32)
    plain = LayerProblem(cell, shape, "float32", seed=0)
    other = layer_with(OPTIONS["recompute"], cell, shape)
    for problem in (plain, other):
        problem.training()()
    without, with_option = step_memory(plain), step_memory(other)
    made = plain.dy.nbytes + plain.x.nbytes  # y and dx, which every step makes; x and dy do not count
    assert made + without.tape <= without.peak < 2 * (made + without.tape)
    assert made + with_option.tape <= with_option.peak < without.peak
    assert with_option.tape < 0.25 * without.tape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--options", "droput"], f"argument --options: expected {', '.join(OPTIONS)}, got 'droput'"),
        (["--cells", "foo"], f"argument --cells: expected {', '.join(ops.cells())}, got 'foo'"),
        (["--shapes", "long"], f"argument --shapes: expected {', '.join(SHAPES)}, got 'long'"),
        (
            ["--modes", "training"],
            "argument --modes: the suite options has none, got 'training'; "
            "`rnnfast bench kernels` (or convolution, cost) has it",
        ),
        (
            ["--against", "onnxruntime"],
            "argument --against: expected torch, got 'onnxruntime'; "
            "`rnnfast bench kernels` (or step, startup) has it",
        ),
        (
            ["--against", "torch", "--cells", "gru"],
            "argument --against: peers are timed for lstm with layer_norm_split; "
            "add them to --cells and --options, or leave --against out",
        ),
    ],
)
def test_bad_usage_of_options(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "options", *words]) == 2
    assert capsys.readouterr().err == f"rnnfast bench: error: {message}\n"


@pytest.mark.usefixtures("tiny")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_layer_norm_lstm_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from rnnfast.cli.bench import layer_norm_lstm, scripted_torch

    path = tmp_path / "options.json"
    words = ["--against", "torch", "--cells", "lstm", "--options", "layer_norm_split", "--json", str(path)]
    assert main([*OPTIONS_QUICK, *words]) == 0
    rows = {row["mode"]: row for row in json.loads(path.read_text())["against"]}
    assert set(rows) == {"training", "inference"}
    assert (rows["training"]["goal"], rows["inference"]["met"]) == (4.0, None)
    for row in rows.values():
        assert (row["peer"], row["shape"]) == ("torch", "tiny")
        assert row["ratio"] > 0
        assert row["warm_up_milliseconds"] > row["theirs"]["first_call_milliseconds"] > 0

    problem = layer_with(OPTIONS["layer_norm_split"], "lstm", TINY)
    arrays = {name.removesuffix("_l0"): p.value for name, p in problem.layer.named_parameters()}
    layer_norm_lstm.check_script(scripted_torch.Contender(arrays, problem.x, problem.dy), problem, "training")
    for x, dy, what in ((problem.x + 1, problem.dy, "outputs"), (problem.x, problem.dy + 1, "gradients")):
        other = scripted_torch.Contender(arrays, x.astype(np.float32), dy.astype(np.float32))
        with pytest.raises(ArithmeticError, match=f"bench: {what} .* differ by .*; not timed"):
            layer_norm_lstm.check_script(other, problem, "training")


def test_a_rest_comes_before_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rest, threads that spin on after one contender's turn are asleep in the next one's; what it
    costs to wake those of the contender itself is not timed.
    """
    now, events = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        events.append(f"rest {seconds}")

    def call(name: str, seconds: float) -> None:
        nonlocal now
        now += 1.0 if events and events[-1].startswith("rest") else seconds
        events.append(name)

    monkeypatch.setattr(timing.time, "sleep", sleep)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    contenders = {"a": lambda: call("a", timing.WAKE / 2.5), "b": lambda: call("b", 2 * timing.WAKE)}
    timings = timing.measure(contenders, 1e-9, 1e-9, rest=0.5)
    assert events[-7:] == ["rest 0.5", "a", "a", "a", "rest 0.5", "b", "b"]
    assert timings["a"].rounds == pytest.approx([timing.WAKE / 2.5] * 5)
    timing.measure(contenders, 1e-9, 1e-9)
    assert events[-2:] == ["a", "b"]
    begun = Prepared(lambda: call("begin", timing.WAKE / 2.5), lambda begun: call("work", 1e-6))
    timing.measure({"begun": begun}, 1e-9, 1e-9, rest=0.5)
    assert events[-7:] == ["rest 0.5", "begin", "work", "begin", "work", "begin", "work"]
