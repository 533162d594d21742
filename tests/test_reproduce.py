"""`rnnfast reproduce`: published digits, bounds that are missed, files that are not what they should be."""

from __future__ import annotations

import csv
import datetime
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from rnnfast import nn
from rnnfast.cli.main import main
from rnnfast.cli.reproduce import ridership, ridership_data, ridership_models, synthetic, synthetic_series
from rnnfast.cli.reproduce.comparison import AllDigits, AtMost, Bound, Finite, Report, Within
from rnnfast.cli.reproduce.torch_random import (
    TorchGenerator,
    draw_parameters,
    draw_recurrent_as_linear,
)

SHARED = Path(os.environ.get("RNNFAST_SHARED", Path(__file__).parents[2] / "shared"))
RIDERSHIP = SHARED / "data" / "cta_ridership.csv"
needs_ridership = pytest.mark.skipif(
    not RIDERSHIP.is_file(), reason=f"no {RIDERSHIP}: the data are not part of rnnfast"
)


def run(*arguments: str | Path) -> int:
    return main(["reproduce", *map(str, arguments)])


# Bounds and the table


@pytest.mark.parametrize(
    ("bound", "published", "measured", "expected"),
    [
        (AllDigits(), "0.0154", 0.01544, True),
        (AllDigits(), "0.0154", 0.01546, False),
        (AllDigits(), "42,143.271739", 42143.27173913, True),
        (AllDigits(), "42,143.271739", 42143.27174, False),
        (AllDigits(), "0.1", math.nan, False),
        (Within(1e-3), "30,659.41", 30689.0, True),
        (Within(1e-3), "30,659.41", 30629.0, True),
        (Within(1e-3), "30,659.41", 30691.0, False),
        (Within(1e-3), "30,659.41", math.nan, False),
        (AtMost(1.5), "0.01", 0.015, True),
        (AtMost(1.5), "0.01", 0.0151, False),
        (AtMost(1.5), "0.0058–0.0096", 0.0143, True),
        (AtMost(1.5), "0.01", math.nan, False),
        (AtMost(1.5, below=0.012, below_name="x"), "0.01", 0.012, False),
        (AtMost(1.5, below=0.012, below_name="x"), "0.01", 0.0119, True),
        (Finite(), "0.00", 1e6, True),
        (Finite(), "0.00", math.nan, False),
        (Finite(), "0.00", -math.inf, False),
    ],
)
def test_bound(bound: Bound, published: str, measured: float, expected: bool) -> None:
    assert bound.holds(published, measured) is expected


def test_report_says_which_bound_was_missed() -> None:
    report = Report("name", "a source", {"seed": 42})
    report.add("good", "error", ("0.10", "0.20"), (0.1, 0.2), AllDigits())
    report.add("bad", "error", ("0.10", "1,000.5"), (0.1, 1001.0), Within(1e-5))
    assert report.misses() == [
        "bad, error: measured 0.10 1,001.0, published 0.10 1,000.5, expected within 1e-5"
    ]
    lines = report.table().splitlines()
    assert lines[0] == "a source"
    assert lines[4].split() == [
        "good",
        "error",
        "0.10",
        "0.20",
        "0.10",
        "0.20",
        "none",
        "all",
        "digits",
        "ok",
    ]
    assert lines[5].split()[-1] == "MISSED"
    document = json.loads(report.to_json())
    assert document["seed"] == 42
    assert [row["holds"] for row in document["rows"]] == [True, False]
    assert document["rows"][1]["published"] == [0.1, 1000.5]
    assert document["rows"][1]["measured"] == [0.1, 1001.0]


@pytest.mark.parametrize(
    ("published", "measured", "expected"),
    [
        ("1,000.5", 1000.5, "none"),
        ("1,000.5", 1001.0, "+5.0e-04"),
        ("0.10", 0.08, "-20.0%"),
        ("0.10–0.20", 0.15, "within"),
        ("0.10–0.20", 0.30, "+50.0%"),
        ("0.10–0.20", 0.05, "-50.0%"),
    ],
)
def test_difference_is_to_the_nearest_published_number(
    published: str, measured: float, expected: str
) -> None:
    report = Report("name", "a source")
    report.add("row", "error", (published,), (measured,), AtMost(1.0))
    assert report.table().splitlines()[4].split()[4] == expected


def test_report_of_what_has_no_published_number() -> None:
    report = Report("name", "a source")
    report.add_unpublished("good", "error", (0.123456, 0.5), printed_as=("0.000", "0.00"))
    report.add_unpublished("bad", "error", (1234.5, math.inf), printed_as=("0,000.0", "0.0"))
    lines = report.table().splitlines()
    assert lines[4].split() == ["good", "error", "not", "at", "hand", "0.123", "0.50", "finite", "ok"]
    assert report.misses() == ["bad, error: measured 1,234.5 inf, published not at hand, expected finite"]
    rows = json.loads(report.to_json())["rows"]
    assert [row["published"] for row in rows] == [[], []]
    assert rows[0]["measured"] == [0.123456, 0.5]
    assert [row["holds"] for row in rows] == [True, False]


# Ridership: the published numbers

# What PyTorch 2.13.0 gave for models whose published numbers are not at hand: train loss, train MAE and
# validation MAE after two epochs, then the best one in boardings; from the same recipe, after
# torch.manual_seed(42), on one thread.
TORCH = {
    "conv-gru": (0.059474, 0.273563, 0.197146, 0.020367, 0.169363, 0.157236, 157_236.06),
    "wavenet": (0.092317, 0.350556, 0.306632, 0.023899, 0.174657, 0.169070, 169_069.52),
    "wavenet-multivariate": (0.087328, 0.345357, 0.241021, 0.020378, 0.174316, 0.164828, 164_827.92),
}


@needs_ridership
def test_ridership_reproduces_the_published_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_path = tmp_path / "out.json"
    status = run("ridership", "--data", RIDERSHIP, "--json", json_path)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert status == 0
    rows = json.loads(json_path.read_text(encoding="utf-8"))["rows"]
    # Two baselines; the printed epochs and the best one of each model.
    printed = [len(spec.epochs_printed) + 1 for spec in ridership_models.MODELS.values()]
    assert len(printed) == 14
    assert len(rows) == 2 + sum(printed)
    assert all(row["holds"] for row in rows)
    assert [row["row"] for row in rows if not row["published"]] == [row for row in TORCH for _ in range(3)]
    for row, numbers in TORCH.items():
        measured = [number for line in rows if line["row"] == row for number in line["measured"]]
        np.testing.assert_allclose(measured, numbers, rtol=1e-6, atol=6e-7)
    assert "30,659.41" in captured.out
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.json"]


@needs_ridership
def test_ridership_data_are_prepared_as_in_the_chapter() -> None:
    boardings, authentic = ridership_data.read_ridership(str(RIDERSHIP))
    assert authentic
    assert len(boardings.dates) == 7639
    assert (np.diff(boardings.dates) == np.timedelta64(1, "D")).all()
    series = boardings.series(ridership_models.ALL_INPUTS, "2019-05-30", "2019-05-31")
    assert series.dtype == np.float32
    # Thursday: tomorrow is a weekday; Friday: tomorrow is a Saturday.
    assert series[:, 2:].tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("layer_norm", [None, "joint"])
def test_cell_by_hand_is_one_linear_layer_on_input_and_state(layer_norm: str | None) -> None:
    model = ridership_models.OneBiasRnn(5, 14, layer_norm=layer_norm)
    ridership_models.draw_one_bias(model, TorchGenerator(42))
    generator = TorchGenerator(42)
    weight, bias = (generator.uniform(shape, -(37**-0.5), 37**-0.5) for shape in ((32, 37), (32,)))
    output, output_bias = (generator.uniform(shape, -(32**-0.5), 32**-0.5) for shape in ((14, 32), (14,)))
    x = np.random.default_rng(0).standard_normal((3, 7, 5)).astype(np.float32)
    h = np.zeros((3, 32))
    for x_t in x.transpose(1, 0, 2):
        a = np.concatenate([x_t, h], axis=1) @ weight.T.astype(float) + bias
        if layer_norm:
            a = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + 1e-5)
        h = np.tanh(a)
    np.testing.assert_allclose(model(x), h @ output.T.astype(float) + output_bias, rtol=0, atol=1e-5)


def test_cell_by_hand_has_one_bias() -> None:
    model = ridership_models.OneBiasRnn(1, 2, layer_norm="joint")
    y, tape = model.forward(np.ones((3, 4, 1), np.float32))
    model.backward(tape, np.ones_like(y))
    gradients = {name: parameter.grad for name, parameter in model.recurrent.named_parameters()}
    assert gradients["bias_ih_l0"].any()
    assert not gradients["bias_hh_l0"].any()
    assert gradients["gamma_l0"].any()
    assert gradients["beta_l0"].any()


def test_linear_weights_are_dealt_to_input_and_state() -> None:
    layer = nn.RNN(2, 3, layer_norm="joint")
    draw_recurrent_as_linear(dict(layer.named_parameters()), TorchGenerator(42))
    linear = nn.Linear(5, 3)
    draw_parameters(linear.named_parameters(), TorchGenerator(42))
    weights = layer.state_dict()
    np.testing.assert_array_equal(weights["weight_ih_l0"], linear.weight.data[:, :2])
    np.testing.assert_array_equal(weights["weight_hh_l0"], linear.weight.data[:, 2:])
    np.testing.assert_array_equal(weights["bias_ih_l0"], linear.bias.data)
    assert not weights["bias_hh_l0"].any()
    assert not weights["beta_l0"].any()
    assert (weights["gamma_l0"] == 1).all()


def test_windows_of_the_chapter() -> None:
    series = np.stack([np.arange(100.0), -np.arange(100.0), np.zeros(100)], axis=1).astype(np.float32)
    x, y = ridership_models.next_day_of_both(series)
    assert x.shape == (44, 56, 3)
    assert y.shape == (44, 2)
    np.testing.assert_array_equal(y, series[56:, :2])
    x, y = ridership_models.next_days_at_steps(56)(series)
    assert x.shape == (31, 56, 3)
    assert y.shape == (31, 56, 14)
    np.testing.assert_array_equal(y[5, 10], np.arange(16, 30))
    x, y = ridership_models.MODELS["conv-gru"].windows(np.arange(200.0, dtype=np.float32)[:, None])
    assert x.shape == (75, 112, 1)
    assert y.shape == (75, 55, 14)
    np.testing.assert_array_equal(y[5, :2, 0], [9, 11])  # the days after the fourth, then after the sixth
    np.testing.assert_array_equal(y[5, -1], np.arange(117, 131))


def test_torch_batches_and_the_words_they_take() -> None:
    # torch.manual_seed(42); DataLoader(arange(20), 8, shuffle=True), DataLoader(arange(3), 8), passed in
    # turn, twice
    numbers = np.arange(80)
    generator = TorchGenerator(42)
    batches = ridership.TorchBatches(numbers[:20], -numbers[:20], generator)
    expected = [
        [8, 14, 17, 19, 1, 15, 18, 9, 3, 11, 4, 0, 10, 7, 13, 16, 12, 6, 2, 5],
        [16, 8, 11, 18, 3, 1, 14, 19, 7, 0, 9, 13, 6, 4, 2, 15, 17, 10, 5, 12],
    ]
    for order in expected:
        passed = list(batches)
        assert np.concatenate([x for x, _ in passed]).tolist() == order
        assert np.concatenate([-y for _, y in passed]).tolist() == order
    assert len(batches) == 1
    assert [len(x) for x, _ in ridership.TorchBatches(numbers, numbers, generator)] == [32, 32, 16]


# Ridership: files


HEADER = list(ridership_data.COLUMNS)


def write_rows(path: Path, rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def made_up_rows() -> list[list[object]]:
    """Rows in the form of the file, newest first, with days that came twice."""
    random = np.random.default_rng(0)
    first = datetime.date(2015, 12, 1)
    rows: list[list[object]] = []
    for day in range(1300):
        date = first + datetime.timedelta(days=day)
        kind = {5: "A", 6: "U"}.get(date.weekday(), "W")
        bus, rail = (int(count) for count in random.integers(300_000, 800_000, 2))
        rows.append([date.strftime("%m/%d/%Y"), kind, bus, rail, bus + rail])
    return (rows + rows[100:110])[::-1]


def test_other_data_are_announced_and_miss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_rows(tmp_path / "other.csv", [HEADER, *made_up_rows()])
    assert run("ridership", "--data", path, "--rows", "naive,gru") == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert lines[0].startswith(
        f"rnnfast reproduce: warning: {path} is not the file that the published numbers"
    )
    assert all(line.startswith("rnnfast reproduce: missed: ") for line in lines[1:])
    assert len(lines) == 1 + 2 + 3
    assert lines[1].startswith("rnnfast reproduce: missed: naive, rail MAE: measured ")
    assert captured.out.count("MISSED") == 5


def test_days_are_sorted_and_kept_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "other.csv", [HEADER, *made_up_rows()])
    boardings, authentic = ridership_data.read_ridership(str(path))
    assert not authentic
    assert len(boardings.dates) == 1300
    assert (np.diff(boardings.dates) == np.timedelta64(1, "D")).all()
    assert boardings.tomorrow["A"][:5].tolist() == [0, 0, 0, 1, 0]  # 2015-12-01 was a Tuesday
    assert sum(kind[-1] for kind in boardings.tomorrow.values()) == 0


def test_a_day_with_the_numbers_of_an_earlier_one_is_dropped_as_in_the_chapter(tmp_path: Path) -> None:
    rows = made_up_rows()[::-1]
    rows[707][1:] = rows[700][1:]
    boardings, _ = ridership_data.read_ridership(str(write_rows(tmp_path / "other.csv", [HEADER, *rows])))
    gaps = np.diff(boardings.dates).astype(int)
    assert len(boardings.dates) == 1299
    assert np.flatnonzero(gaps == 2).tolist() == [706]


def test_list_prints_the_rows_and_computes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ridership", "--list") == 0  # without its data
    assert capsys.readouterr() == ("\n".join(ridership.ROWS) + "\n", "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("ridership",),
            "ridership needs --data FILE: the Chicago Transit Authority's daily boarding totals",
        ),
        (
            ("ridership", "--data", "absent.csv"),
            "--data absent.csv: no such file; expected the Chicago Transit",
        ),
        (
            ("ridership", "--data", "x", "--seed", "1"),
            "--seed: the published numbers of ridership belong to 42, got 1",
        ),
        (
            ("ridership", "--rows", "rnn,tcn"),
            "--rows: no row fits 'tcn'; the rows are naive, linear, rnn-by-hand, rnn, deep, multivariate, "
            "multitask, multistep, seq2seq, layer-norm, lstm, gru, conv-gru, wavenet, wavenet-multivariate",
        ),
        (("synthetic", "--data", "x"), "--data: synthetic makes its own series; leave it out"),
        (("synthetic", "--json", "absent/out.json"), "--json absent/out.json: expected a folder that exists"),
    ],
)
def test_bad_usage(
    arguments: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"rnnfast reproduce: error: {expected}")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "line 1: expected a column service_date, got an empty line"),
        ([["a", "b"]], "line 1: expected a column service_date, got a, b"),
        (
            [HEADER, ["2001-01-01", "U", 1, 2, 3]],
            "line 2, column service_date: expected MM/DD/YYYY, got '2001-01-01'",
        ),
        (
            [HEADER, ["01/01/2001", "U", 1, 2, 3], ["01/02/2001", "w", 1, 2, 3]],
            "line 3, column day_type: expected A, U, W, got 'w'",
        ),
        ([HEADER, ["01/01/2001", "U", 1.5, 2, 3]], "line 2, column bus: expected a whole number, got '1.5'"),
        ([HEADER, ["01/01/2001", "U", 1]], "line 2, column rail_boardings: expected a whole number, got ''"),
        ([HEADER], "expected the days 2016-01-01 to 2019-05-31, got none"),
        (
            [HEADER, ["01/01/2001", "U", 1, 2, 3]],
            "column service_date: expected the days 2016-01-01 to 2019-05-31, got 2001-01-01 to 2001-01-01",
        ),
    ],
)
def test_bad_file(
    rows: list[list[object]], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_rows(tmp_path / "bad.csv", rows)
    assert run("ridership", "--data", path) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith(f"rnnfast reproduce: error: {path}")
    assert last.endswith(expected)


def test_file_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(b"service_date\xff\xfe")
    assert run("ridership", "--data", path) == 1
    assert "must be a CSV file in UTF-8" in capsys.readouterr().err


# Synthetic


def test_series_are_the_published_ones() -> None:
    series = synthetic_series.make_series(4, 51)
    assert series.dtype == np.float32
    assert series.shape == (4, 51)
    task = synthetic_series.Task.of(10)
    assert task.inputs(synthetic_series.VALIDATION).shape == (2000, 50, 1)
    every_step = task.targets_of_every_step(synthetic_series.VALIDATION)
    assert every_step.shape == (2000, 50, 10)
    np.testing.assert_array_equal(every_step[:, -1], task.targets(synthetic_series.VALIDATION))
    np.testing.assert_array_equal(every_step[:, 0, 0], task.inputs(synthetic_series.VALIDATION)[:, 1, 0])


def test_synthetic_without_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("synthetic", "--rows", "naive,least-squares") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    measured = [line.split()[4] for line in captured.out.splitlines() if "MSE" in line]
    assert measured == ["0.020211367", "0.00293", "0.25697407", "0.01549"]


def test_synthetic_model_with_few_series(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthetic_series, "SERIES", 600)
    monkeypatch.setattr(synthetic, "TRAINING", slice(0, 400))
    monkeypatch.setattr(synthetic_series, "TRAINING", slice(0, 400))
    monkeypatch.setattr(synthetic, "VALIDATION", slice(400, 600))
    monkeypatch.setattr(synthetic_series, "VALIDATION", slice(400, 600))
    rows = [row for row in synthetic.ROWS if not row.endswith(("naive", "least-squares"))]
    monkeypatch.setattr(synthetic, "EPOCHS", 2)
    outputs = []
    for _ in range(2):
        run("synthetic", "--rows", ",".join(rows), "--seed", "3")
        outputs.append([line.split()[4] for line in capsys.readouterr().out.splitlines() if "MSE" in line])
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == len(rows)
    assert len(set(outputs[0])) == len(rows)
    assert all(0 < float(value) < 1 for value in outputs[0])


@pytest.mark.parametrize("row", [row for row in synthetic.MODELS if row.startswith("seq-to-seq:")])
def test_targets_follow_the_last_step_that_an_output_has_seen(row: str) -> None:
    spec = synthetic.MODELS[row]
    task = synthetic_series.Task(synthetic_series.make_series(3, 60), 10)
    x, every = task.inputs(slice(3)), task.targets_of_every_step(slice(3))
    model = spec.build(0)
    y, steps = model(x), np.arange(50)[spec.steps]
    assert y.shape == every[:, spec.steps].shape
    assert steps[-1] == 49
    for place, step in ((0, steps[0]), (5, steps[5])):
        for changed, differs in ((step, True), (step + 1, False)):
            other = x.copy()
            other[:, changed] += 1
            assert (model(other)[:, place] != y[:, place]).any() == differs


def test_last_step_backward() -> None:
    layer = synthetic.LastStep()
    x = np.arange(24.0).reshape(2, 3, 4)
    y, tape = layer.forward(x)
    np.testing.assert_array_equal(y, x[:, 2])
    dx = layer.backward(tape, 2 * y)
    np.testing.assert_array_equal(dx[:, 2], 2 * y)
    assert not dx[:, :2].any()
