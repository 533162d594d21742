"""`rnnfast bench convolution` and `streaming`: the check before the clock, figures, files and errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rnnfast import nn
from rnnfast.cli.bench import convolution, convolution_cases, peak_memory, streaming
from rnnfast.cli.bench.convolution_cases import CASES, Case, ConvolutionCase, LayerNormCase, WaveNetCase
from rnnfast.cli.bench.convolution_problem import ConvolutionProblem
from rnnfast.cli.bench.timing import Timing
from rnnfast.cli.main import main

TINY: dict[str, Case] = {
    "tiny_wavenet": WaveNetCase(3, 9, 4, dilations=(1, 2, 4), memory_goal=0.6),
    "tiny_causal": ConvolutionCase(3, 9, 4, 5, 3, dilation=2),
    "tiny_valid": ConvolutionCase(3, 9, 2, 5, 4, stride=2, padding="valid"),
    "tiny_norm": LayerNormCase(6, 5),
}
QUICK = ["bench", "convolution", "--seconds", "0.001", "--shapes", ",".join(TINY)]
MODES = {"wavenet": ["inference", "training"], "conv1d": ["inference", "training"]}
MODES["layer_norm"] = ["inference", "training", "backward"]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes that take no time, and no process of their own for memory."""
    for name, case in TINY.items():
        monkeypatch.setitem(CASES, name, case)
    measured = {None: 300, "torch": 600}
    monkeypatch.setattr(peak_memory, "in_process", lambda words: measured[words["form"] and "torch"])
    monkeypatch.setattr(streaming, "LAYERS", 3)
    monkeypatch.setattr(streaming, "CHANNELS", 4)
    monkeypatch.setattr(streaming, "BLOCK", 5)
    monkeypatch.setattr(streaming, "POWERS", (1, 2))


def test_rows_of_all_shapes_and_modes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "convolution.json"
    assert main([*QUICK, "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert {"cpu", "date", "commit", "threads", "dtype", "peers", "configuration"} <= set(result)
    rows = {(row["shape"], row["mode"]): row for row in result["rows"]}
    assert list(rows) == [(name, mode) for name, case in TINY.items() for mode in MODES[case.kind]]
    for (name, mode), row in rows.items():
        case = TINY[name]
        assert 0 < row["quartiles"][0] <= row["milliseconds"] <= row["quartiles"][1]
        assert row["repeats"] >= 5
        assert (row["gflops"] is None) == (case.kind == "layer_norm")
        assert row["peak_goal"] == (0.8 if case.kind == "wavenet" else None)
        assert 0 < row["max_error"] < 1e-4 > row["max_gradient_error"] > 0
        assert row["sizes"] == json.loads(json.dumps(dataclasses.asdict(case)))
        assert ("memory" in row) == ((name, mode) == ("tiny_wavenet", "training"))
    assert rows["tiny_wavenet", "training"]["memory"] == {"rnnfast_bytes": 300, "peers": {}}
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows) + 1


def test_operations_are_those_of_the_products() -> None:
    problem = ConvolutionProblem(TINY["tiny_valid"], "float32", seed=0)
    assert problem.layer(problem.x).shape == problem.dy.shape == (3, 3, 5)
    assert problem.operations("inference") == 2 * 3 * 3 * 5 * 4 * 2
    assert problem.operations("training") == 3 * 2 * 3 * 3 * 5 * 4 * 2
    # Gates of two steps into twice the channels, a skip each, and a residual of all layers but one.
    squares = 3 * (2 * 2 + 1) + 2
    assert TINY["tiny_wavenet"].operations() == 2 * 3 * 9 * 4 * 4 * squares
    assert TINY["tiny_norm"].operations() is None


def test_the_shapes_are_those_of_the_goals() -> None:
    stacks = [case for case in CASES.values() if isinstance(case, WaveNetCase) and case.steps > 9]
    assert [(s.batch, s.steps, s.channels) for s in stacks] == [(8, 1024, 64), (1, 4096, 64), (4, 2048, 128)]
    assert all(stack.dilations == 2 * (1, 2, 4, 8, 16, 32, 64, 128) for stack in stacks)
    assert [stack.memory_goal for stack in stacks] == [0.6, None, None]
    assert sum(convolution_cases.DILATIONS) + 1 == 511


@pytest.mark.parametrize("name", TINY)
def test_another_result_is_not_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(TINY[name])
    true = kind.expected
    problem = ConvolutionProblem(TINY[name], "float32", seed=0)
    problem.check()
    monkeypatch.setattr(kind, "expected", lambda *arguments: true(*arguments) + 1e-3)
    with pytest.raises(ArithmeticError, match=rf"^bench: {kind.__name__}\(.*\) is off by .*; not timed"):
        problem.check()


@pytest.mark.parametrize("name", TINY)
def test_another_gradient_is_not_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ConvolutionProblem(TINY[name], "float32", seed=0)
    true = problem.layer.backward

    def other(tape: nn.Tape | None, dy: Any) -> Any:
        return true(tape, dy) * np.float32(1.01)

    monkeypatch.setattr(problem.layer, "backward", other)
    with pytest.raises(ArithmeticError, match=r"^bench: gradients of .* are off by .*; not timed"):
        problem.check()


@pytest.mark.parametrize("mode", ["training", "backward"])
def test_the_weights_of_the_clock_have_changed(mode: str) -> None:
    problem = ConvolutionProblem(TINY["tiny_norm"], "float32", seed=0)
    versions = [parameter.version for parameter in problem.layer.parameters()]
    job = problem.job(mode)
    if mode == "backward":
        job.work(job.begin())  # type: ignore[union-attr]
    else:
        job()  # type: ignore[operator]
    assert all(p.version > v for p, v in zip(problem.layer.parameters(), versions, strict=True))
    assert all(parameter.grad.any() for parameter in problem.layer.parameters())


def test_rows_beside_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "convolution.json"
    assert main([*QUICK, "--against", "torch", "--json", str(path)]) == 0
    rows = {(row["shape"], row["mode"]): row for row in json.loads(path.read_text())["rows"]}
    goals = {"wavenet": (2.0, 2.0), "conv1d": (1.3, 1.3), "layer_norm": (2.0, None, 3.0)}
    count = {"tiny_wavenet": 4, "tiny_causal": 2, "tiny_valid": 0, "tiny_norm": 0}
    for (name, mode), row in rows.items():
        peer, kind = row["peers"]["torch"], TINY[name].kind
        assert peer["goal"] == goals[kind][MODES[kind].index(mode)]
        assert peer["met"] == (None if peer["goal"] is None else peer["ratio"] >= peer["goal"])
        assert 0 < peer["ratio_quartiles"][0] <= peer["ratio"] <= peer["ratio_quartiles"][1]
        forms = peer["forms_milliseconds"]
        assert len(forms) == count[name]
        assert not forms or forms[peer["form"]] == min(forms.values())
    memory = rows["tiny_wavenet", "training"]["memory"]["peers"]["torch"]
    assert memory == {"bytes": 600, "ratio": 0.5, "goal": 0.6, "met": True}
    assert "torch 0.0, ratio 0.50, goal 0.60 ok" in capsys.readouterr().out


def test_a_ratio_is_that_of_their_time_to_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    timings = {"rnnfast": Timing(0.0, (1e-3,) * 5), "torch": Timing(0.0, (1e-3, 2e-3, 2e-3, 2e-3, 5e-3))}
    monkeypatch.setattr(convolution, "measure", lambda *arguments, **words: timings)
    path = tmp_path / "convolution.json"
    assert main([*QUICK, "--against", "torch", "--json", str(path)]) == 0
    for row in json.loads(path.read_text())["rows"]:
        peer = row["peers"]["torch"]
        assert (row["milliseconds"], peer["milliseconds"]) == pytest.approx((1, 2))
        assert peer["ratio"] == pytest.approx(2)
        assert peer["met"] == (None if peer["goal"] is None else peer["goal"] <= 2)
        if row["gflops"] is not None:
            assert row["gflops"] == pytest.approx(2 * peer["gflops"])
            assert row["share_of_peak"] == pytest.approx(row["gflops"] / row["peak_gflops"])


@pytest.mark.parametrize("what", ["output", "gradients"])
def test_another_layer_of_torch_is_not_timed(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from rnnfast.cli.bench import torch_layers

    true = getattr(torch_layers.Contender, what)

    def other(contender: Any) -> Any:
        found = true(contender)
        return {n: 1.01 * array for n, array in found.items()} if what == "gradients" else 1.01 * found

    monkeypatch.setattr(torch_layers.Contender, what, other)
    assert main([*QUICK, "--against", "torch"]) == 1
    expected = f"bench: {what.removesuffix('s')}s of torch's wavenet (joint, pad) differ"
    assert expected in capsys.readouterr().err


HAS_SIZES = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="no /proc/self to read sizes from"
)


@HAS_SIZES
def test_the_peak_is_that_of_the_call() -> None:
    """Of what it freed again too, but not of what was freed before."""
    size = 64 * 2**20
    np.ones(2 * size, np.uint8)
    assert size < 1.05 * peak_memory.peak_of(lambda: np.ones(size, np.uint8).sum()) < 1.2 * size


@HAS_SIZES
@pytest.mark.parametrize("library", [None, "torch"])
def test_memory_of_a_step_is_that_of_its_arrays(library: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if library:
        pytest.importorskip(library)
    monkeypatch.undo()
    case = WaveNetCase(8, 1024, 32, dilations=(1, 2, 4, 8))
    # In a process of its own: this one may have the memory at hand already.
    words: dict[str, Any] = {
        "dtype": "float32",
        "threads": 1,
        "seed": 0,
        "form": "joint, pad" if library else None,
    }
    measured = peak_memory.in_process({**words, "sizes": dataclasses.asdict(case)})
    # Gates of every layer are kept, and the inputs of all but the first; then there are y, dx and workspace.
    array = 4 * 8 * 1024 * 32
    assert (3 * len(case.dilations) - 1) * array < measured < 16 * array * len(case.dilations)


def test_a_failed_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    words = {"sizes": dataclasses.asdict(TINY["tiny_wavenet"]), "dtype": "float16"}
    with pytest.raises(RuntimeError, match=r"^bench: the process that measures memory failed: TypeError: "):
        peak_memory.in_process(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["convolution", "--cells", "lstm"],
            "argument --cells: the suite convolution has none, got 'lstm'; "
            "`rnnfast bench kernels` (or options, step, blocks, epoch, memory, cost) has it",
        ),
        (
            ["convolution", "--shapes", "mid"],
            f"argument --shapes: expected {', '.join([*CASES, *TINY])}, got 'mid'; "
            "`rnnfast bench kernels` (or options) has it",
        ),
        (
            ["convolution", "--modes", "all"],
            "argument --modes: expected inference, training, backward, got 'all'",
        ),
        (
            ["convolution", "--against", "onnxruntime"],
            "argument --against: expected torch, got 'onnxruntime'; "
            "`rnnfast bench kernels` (or step, startup) has it",
        ),
        (
            ["streaming", "--shapes", "mid"],
            "argument --shapes: the suite streaming has none, got 'mid'; "
            "`rnnfast bench kernels` (or options) has it",
        ),
        (
            ["streaming", "--against", "torch"],
            "argument --against: the suite streaming has none, got 'torch'; "
            "`rnnfast bench kernels` (or options, convolution, step, epoch, memory, startup) has it",
        ),
        (
            ["streaming", "--modes", "training"],
            "argument --modes: expected sample, block, generate, got 'training'; "
            "`rnnfast bench kernels` (or convolution, cost) has it",
        ),
    ],
)
def test_bad_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert capsys.readouterr().err == f"rnnfast bench: error: {message}\n"


def test_rows_of_a_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "streaming.json"
    assert main(["bench", "streaming", "--seconds", "0.001", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert (result["layers"], result["channels"], result["block"]) == (3, 4, 5)
    found = [(row["mode"], row["receptive_field"]) for row in result["rows"]]
    # Dilations 1, 2, 1 and 1, 2, 4.
    assert found == [(mode, field) for mode in ("sample", "block", "generate") for field in (5, 8)]
    for row in result["rows"]:
        assert 0 < row["quartiles"][0] <= row["microseconds_per_sample"] <= row["quartiles"][1]
        assert row["ratio"] > 0
    assert [row["ratio"] for row in result["rows"][::2]] == [1, 1, 1]
    for flat in result["flatness"]:
        ratios = [row["ratio"] for row in result["rows"] if row["mode"] == flat["mode"]]
        assert flat["ratio"] == max(ratios) / min(ratios)
        assert flat["met"] == (flat["ratio"] <= flat["goal"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + 6 + 3


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("__call__", "the stream of a WaveNet with receptive field 5 differs from the whole sequence"),
        ("generate", "what a WaveNet with receptive field 5 generates differs from the naive recomputation"),
    ],
)
def test_another_stream_is_not_timed(
    method: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = streaming.models.WaveNet
    true = getattr(network, method)
    monkeypatch.setattr(network, method, lambda *a, **words: true(*a, **words) + np.float32(1e-3))
    assert main(["bench", "streaming", "--seconds", "0.001"]) == 1
    assert f"error: bench: {message}; not timed" in capsys.readouterr().err


def test_tables_of_the_results(
    tmp_path: Path, render: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, heads, lines in ((QUICK, "| shape | mode |", 9), (["bench", "streaming"], "| receptive", 2)):
        path = str(tmp_path / "result.json")
        assert main([*words, "--seconds", "0.001", "--json", path]) == 0
        capsys.readouterr()
        render.main(path)
        printed = capsys.readouterr().out.splitlines()
        assert printed[0].startswith(heads)
        assert len(printed) >= 2 + lines
        assert len({line.count("|") for line in printed if line.startswith("|")}) == 1
