"""Tasks with known answers: what the generators make, whether models learn it, `rnnfast reproduce tasks`."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rnnfast
from model_gradients import check_model
from rnnfast import data
from rnnfast.cli.main import main
from rnnfast.cli.reproduce import tasks, tasks_training
from rnnfast.cli.reproduce.tasks_training import CausalConvolutions, NewSamples, Training
from scripts import load_script

SHARED = Path(os.environ.get("RNNFAST_SHARED", Path(__file__).parents[2] / "shared"))
SPEAKERS = Path(os.environ.get("RNNFAST_JAPANESE_VOWELS", SHARED / "data" / "aeon-1.0.0-py3-none-any.whl"))
needs_speakers = pytest.mark.skipif(
    not SPEAKERS.exists(),
    reason=f"no {SPEAKERS}: set RNNFAST_JAPANESE_VOWELS to {tasks.EXPECTED}",
)
EXAMPLE = Path(__file__).parents[1] / "examples" / "date_translation.py"

# The grammar once more, as a regular expression: `four` and `five` are what may follow in states 4 and 5.
FOUR = "(?:XT*VP)*(?:S|XT*VV)"
FIVE = f"(?:V|P{FOUR})"
PLAIN = f"B(?:TS*X{FOUR}|PT*V{FIVE})E"
EMBEDDED = f"B(?:T{PLAIN}T|P{PLAIN}P)E"


# Reber grammar


@pytest.mark.parametrize(("embedded", "grammar"), [(True, EMBEDDED), (False, PLAIN)])
def test_reber_strings_are_in_the_grammar_and_corrupted_ones_are_not(embedded: bool, grammar: str) -> None:
    valid = data.reber_strings(3000, embedded=embedded, seed=1)
    corrupted = data.reber_strings(3000, embedded=embedded, corrupted=True, seed=1)
    for string in valid:
        assert re.fullmatch(grammar, string), string
        assert data.is_reber(string, embedded=embedded)
    for string in corrupted:
        assert not re.fullmatch(grammar, string), string
        assert not data.is_reber(string, embedded=embedded)
    # Both branches everywhere, and every letter broken into every other one.
    assert {string[1] for string in valid} == {"T", "P"}
    assert len(set(valid)) > (300 if embedded else 150)
    assert {letter for string in corrupted for letter in string[1:-1]} == set(data.REBER_CHARACTERS)


def test_corrupted_strings_are_one_letter_away() -> None:
    for string in data.reber_strings(60, corrupted=True, seed=2):
        repaired = (
            string[:place] + letter + string[place + 1 :]
            for place, letter in itertools.product(range(len(string)), data.REBER_CHARACTERS)
        )
        assert any(re.fullmatch(EMBEDDED, candidate) for candidate in repaired), string


@pytest.mark.parametrize(("embedded", "grammar"), [(True, EMBEDDED), (False, PLAIN)])
def test_is_reber_agrees_with_the_regular_expression_on_any_string(embedded: bool, grammar: str) -> None:
    random = np.random.default_rng(3)
    strings = ["", "B", "BTE", *data.reber_strings(300, embedded=not embedded, seed=4)]
    for string in data.reber_strings(300, embedded=embedded, seed=5):
        first, last = sorted(random.integers(0, len(string) + 1, 2))
        strings += [string[:first] + string[last:], string[:last] + string[first:], string + "E"]
        strings.append(string[:-2] + {"T": "P", "P": "T"}.get(string[-2], "") + "E")
    accepted = [bool(re.fullmatch(grammar, string)) for string in strings]
    assert [data.is_reber(string, embedded=embedded) for string in strings] == accepted
    assert 50 < sum(accepted) < len(strings) - 50


def test_reber_grammar_is_half_valid_and_padded_with_zeros() -> None:
    ids, lengths, labels = data.reber_grammar(501, seed=6)
    strings = data.decode_characters(ids, data.REBER_CHARACTERS)
    assert list(map(len, strings)) == lengths.tolist()
    assert ids.shape == (501, lengths.max())
    assert [bool(re.fullmatch(EMBEDDED, string)) for string in strings] == (labels[:, 0] == 1).tolist()
    assert labels.sum() == 251
    assert 0.3 < labels[:100].mean() < 0.7  # not sorted
    rows, same_lengths, same_labels = data.reber_grammar(501, one_hot=True, seed=6)
    assert rows.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(rows.sum(axis=2), ids > 0)
    np.testing.assert_array_equal(rows.argmax(axis=2)[ids > 0], ids[ids > 0] - 1)
    np.testing.assert_array_equal(same_lengths, lengths)
    np.testing.assert_array_equal(same_labels, labels)


# Adding problem and copy memory


def test_adding_problem_adds_the_two_marked_numbers() -> None:
    x, y = data.adding_problem(4000, 20, seed=7)
    assert x.dtype == y.dtype == np.float32
    assert (x.shape, y.shape) == ((4000, 20, 2), (4000, 1))
    values, marks = x[..., 0], x[..., 1]
    assert ((marks == 0) | (marks == 1)).all()
    assert (marks.sum(axis=1) == 2).all()
    np.testing.assert_allclose((values * marks).sum(axis=1), y[:, 0], rtol=0, atol=1e-7)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01
    # Every step is marked as often, and the constant answer has the error of the sum of two uniform numbers.
    assert abs(marks.sum(axis=0) / 400 - 1).max() < 0.2
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, rel=0.05)


def test_adding_problem_marks_every_pair() -> None:
    marks = data.adding_problem(3000, 3, seed=8)[0][..., 1]
    pairs, counts = np.unique(marks, axis=0, return_counts=True)
    assert len(pairs) == 3
    assert abs(counts / 1000 - 1).max() < 0.1


def test_copy_memory_layout() -> None:
    x, y = data.copy_memory(50, 30, seed=9)
    assert x.dtype == y.dtype == np.int64
    assert x.shape == y.shape == (50, 50)
    assert set(np.unique(x[:, :10])) == set(range(1, 9))
    assert not x[:, 10:39].any()
    assert (x[:, 39:] == 9).all()
    assert not y[:, :40].any()
    np.testing.assert_array_equal(y[:, 40:], x[:, :10])
    x, y = data.copy_memory(2, 1, symbols=3, alphabet=2, seed=9)
    assert x[:, 3:].tolist() == [[3, 3, 3, 3]] * 2
    assert set(np.unique(x[:, :3])) <= {1, 2}


def test_copy_memory_baseline_is_the_error_of_a_guess() -> None:
    _, y = data.copy_memory(10, 7, symbols=4, alphabet=5, seed=10)
    probability = np.where(y == 0, 1.0, 1 / 5)
    assert data.copy_memory_baseline(7, symbols=4, alphabet=5) == pytest.approx(-np.log(probability).mean())
    assert data.copy_memory_baseline(1000) == pytest.approx(10 * math.log(8) / 1020)


# Dates and characters


def test_dates_are_the_same_day_in_both_languages() -> None:
    sources, targets = data.date_strings(2000, seed=11)
    for source, target in zip(sources, targets, strict=True):
        assert datetime.datetime.strptime(source, "%B %d, %Y").date().isoformat() == target
        assert re.fullmatch(r"[A-Z][a-z]+ \d\d, \d{4}", source), source
    assert len({source.split()[0] for source in sources}) == 12
    assert len({target[-2:] for target in targets}) == 31
    years = [int(target[:4]) for target in targets]
    assert min(years) < 1100
    assert max(years) > 9900


def test_first_and_last_date_both_occur() -> None:
    first, last = datetime.date(2019, 4, 22), datetime.date(2019, 4, 23)
    sources, targets = data.date_strings(50, first=first, last=last, seed=12)
    assert set(sources) == {"April 22, 2019", "April 23, 2019"}
    assert set(targets) == {"2019-04-22", "2019-04-23"}


@pytest.mark.parametrize(
    "day",
    [
        "2019-04-22",
        datetime.datetime(2019, 4, 22, 13, 30),
        np.datetime64("2019-04-22"),
        np.datetime64("2019-04-22T23:59:59.999999999"),
    ],
)
def test_days_of_other_types(day: Any) -> None:
    assert data.date_strings(2, first=day, last=day) == (["April 22, 2019"] * 2, ["2019-04-22"] * 2)
    assert data.date_translation(2, first=day, last=day)[0].shape == (2, len("April 22, 2019"))


def test_dates_as_numbers_come_back_as_dates() -> None:
    source, lengths, target = data.date_translation(300, seed=13)
    sources, targets = data.date_strings(300, seed=13)
    assert data.decode_characters(source, data.DATE_SOURCE_CHARACTERS) == sources
    assert data.decode_characters(source, data.DATE_SOURCE_CHARACTERS, lengths) == sources
    assert data.decode_characters(target, data.DATE_TARGET_CHARACTERS) == targets
    assert target.shape == (300, 10)
    assert source.max() == len(data.DATE_SOURCE_CHARACTERS)
    assert lengths.tolist() == list(map(len, sources))


def test_characters_and_what_lies_behind_the_end() -> None:
    ids, lengths = data.encode_characters(["ab", "", "b"], "ab")
    assert ids.tolist() == [[1, 2], [0, 0], [2, 0]]
    assert lengths.tolist() == [2, 0, 1]
    assert data.decode_characters(np.array([[2, 0, 1, 1]]), "ab") == ["b"]
    assert data.decode_characters(np.array([[2, 1, 1]]), "ab", np.array([1])) == ["b"]


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: data.reber_grammar(20, seed=seed)[0][:, :9],
        lambda seed: data.adding_problem(20, 5, seed=seed)[0],
        lambda seed: data.copy_memory(20, 5, seed=seed)[0],
        lambda seed: data.date_translation(20, seed=seed)[2],
    ],
)
def test_seed_decides(make: Callable[[int], Any]) -> None:
    np.testing.assert_array_equal(make(1), make(1))
    assert (make(1) != make(2)).any()


@pytest.mark.parametrize(
    ("call", "kind", "expected"),
    [
        (
            lambda: data.adding_problem(3, 1),
            ValueError,
            "adding_problem: steps must be 2 or more, got 1",
        ),
        (lambda: data.adding_problem(0, 5), ValueError, "samples must be 1 or more, got 0"),
        (lambda: data.adding_problem(3, 5.0), TypeError, "adding_problem: steps must be an int, got 5.0"),
        (lambda: data.copy_memory(3, 0), ValueError, "copy_memory: blanks must be 1 or more, got 0"),
        (lambda: data.copy_memory(3, 1, alphabet=0), ValueError, "alphabet must be 1 or more, got 0"),
        (lambda: data.copy_memory_baseline(True), TypeError, "blanks must be an int, got True"),
        (lambda: data.reber_strings(-1), ValueError, "reber_strings: samples must be 1 or more, got -1"),
        (lambda: data.reber_grammar("3"), TypeError, "reber_grammar: samples must be an int, got '3'"),
        (lambda: data.date_translation(0), ValueError, "date_translation: samples must be 1 or more, got 0"),
        (
            lambda: data.date_strings(3, first=datetime.date(999, 1, 1)),
            ValueError,
            "first and last must be dates with 1000-01-01 ≤ first ≤ last, got 0999-01-01 and 9999-12-31",
        ),
        (
            lambda: data.date_strings(3, first="22 April"),
            ValueError,
            "date_strings: first must be a date such as \"2000-01-31\", got '22 April'",
        ),
        (
            lambda: data.date_strings(3, last="1999-12-31", first="2000-01-01"),
            ValueError,
            "with 1000-01-01 ≤ first ≤ last, got 2000-01-01 and 1999-12-31",
        ),
        (lambda: data.date_strings(3, last=2000), TypeError, "date_strings: last must be a date, a string"),
        (
            lambda: data.date_translation(3, first=np.datetime64("NaT")),
            TypeError,
            'date_strings: first must be a date, a string such as "2000-01-31" or a datetime64, got',
        ),
        (
            lambda: data.encode_characters("ab", "ab"),
            TypeError,
            "encode_characters: texts must be a list of strings, got 'ab'; pass [text]",
        ),
        (
            lambda: data.encode_characters(["ab", "ac"], "ab"),
            ValueError,
            "texts must be made of 'ab', got 'c' in text 1, 'ac'; add it to characters",
        ),
        (lambda: data.encode_characters(["a"], "aba"), ValueError, "hold each one once, got 'a' twice"),
        (lambda: data.encode_characters([], "ab"), ValueError, "at least one text, got none"),
        (lambda: data.decode_characters(np.array([[3]]), "ab"), ValueError, "must lie in 0..2, got 3..3"),
        (lambda: data.decode_characters(np.array([[1.0]]), "ab"), ValueError, "integers of shape (N, T)"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], kind: type[Exception], expected: str) -> None:
    with pytest.raises(kind, match=re.escape(expected)):
        call()


# Models learn the tasks: the figures of `reproduce` at sizes of seconds


def test_gru_learns_the_embedded_reber_grammar() -> None:
    assert tasks_training.reber_accuracy(tasks_training.REBER, seed=42) == 1.0


def test_encoder_decoder_translates_dates() -> None:
    training = Training(3000, 16, 4, 0.005, held_out=200)
    assert tasks_training.date_accuracy(training, seed=42) >= 0.99
    untrained = Training(16, 16, 1, 1e-6, held_out=200)
    assert tasks_training.date_accuracy(untrained, seed=42) == 0.0


def test_gru_learns_the_adding_problem() -> None:
    error, constant = tasks_training.adding_errors(50, Training(1600, 16, 20, 0.02, held_out=500), seed=42)
    assert constant == pytest.approx(1 / 6, rel=0.1)
    assert error < 2e-4


def test_dilated_convolutions_learn_copy_memory() -> None:
    training = Training(1600, 16, 8, 0.002, held_out=100, clip_norm=0.1)
    assert tasks_training.copy_error(50, training, seed=42) < 3.5e-5
    # Not because the task were easy: a few steps end above the answer without memory.
    few = Training(160, 16, 2, 0.002, held_out=100, clip_norm=0.1)
    assert tasks_training.copy_error(50, few, seed=42) > data.copy_memory_baseline(50)


def test_new_samples_at_every_pass_and_the_same_from_the_same_seed() -> None:
    training = Training(20, 8, 1, 0.01)

    def passes(seed: int) -> list[int]:
        samples = NewSamples(lambda size, seed: (np.full(size, seed), np.zeros(size)), training, seed)
        assert len(samples) == 2
        return [int(x[0]) for _ in range(2) for x, _ in samples if x.shape == (8,)]

    assert passes(1) == passes(1)
    assert len(set(passes(1) + passes(2))) == 8


def test_causal_convolutions_gradients() -> None:
    model = CausalConvolutions(3, 4, dtype=np.float64, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 6, 3))
    check_model(model, x, lengths=np.array([6, 2, 1, 0]))


def test_causal_convolutions_do_not_read_padding() -> None:
    model = CausalConvolutions(3, 4, seed=0)
    x = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
    lengths = np.array([4, 6])
    y, tape = model.forward(x, lengths=lengths)
    x[0, 4:] = 9
    np.testing.assert_array_equal(model.forward(x, lengths=lengths)[0], y)
    np.testing.assert_array_equal(model.forward(x[:1, :4], lengths=lengths[:1])[0], y[:1])
    dx = model.backward(tape, np.ones_like(y))
    assert not dx[0, 4:].any()
    assert dx[0, :4].all()


# rnnfast reproduce tasks


def run(*arguments: str | Path) -> int:
    return main(["reproduce", "tasks", *map(str, arguments)])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of a second: enough for some figures, not for all."""
    monkeypatch.setattr(tasks, "ADDING_STEPS", 20)
    monkeypatch.setattr(tasks, "COPY_BLANKS", 20)
    monkeypatch.setattr(tasks_training, "REBER", Training(500, 32, 2, 0.01, held_out=200))
    monkeypatch.setattr(tasks_training, "DATES", Training(200, 32, 1, 0.01, held_out=50))
    monkeypatch.setattr(tasks_training, "ADDING", Training(320, 16, 2, 0.02, held_out=100))
    monkeypatch.setattr(tasks_training, "COPY", Training(1600, 16, 6, 0.002, held_out=100, clip_norm=0.1))


@pytest.mark.usefixtures("small")
def test_rows_that_reach_their_figure_and_rows_that_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []
    for threads in (1, 2):
        path = tmp_path / f"{threads}.json"
        assert run("--seed", 3, "--json", path, "--threads", threads) == 1
        captured = capsys.readouterr()
        left_out, *missed = captured.err.splitlines()
        assert (
            left_out == f"rnnfast reproduce: japanese-vowels left out: it needs --data FILE, {tasks.EXPECTED}"
        )
        assert [line.split(",")[0].rpartition(" ")[2] for line in missed] == ["reber", "dates", "adding"]
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        assert [row["row"] for row in rows] == ["reber", "dates", "adding", "copy"]
        assert [row["published_text"] for row in rows] == [["1.0000"], ["1.0000"], ["0.000053"], ["0.000035"]]
        assert [row["holds"] for row in rows] == [False, False, False, True]
        assert "< memoryless 0.5199" in captured.out
        assert "LSTM 0.164, TCN 0.000058" in captured.out
        measured.append([row["measured"] for row in rows])
    assert measured[0] == measured[1]
    assert 0.4 < measured[0][0][0] < 1
    assert 0 < measured[0][2][0] < 1


@pytest.mark.usefixtures("small")
def test_seed_of_the_command_decides(tmp_path: Path) -> None:
    measured = []
    for seed in (1, 2):
        run("--rows", "adding", "--seed", seed, "--json", tmp_path / "out.json")
        measured.append(
            json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"][0]["measured"]
        )
    assert measured[0] != measured[1]


@needs_speakers
def test_speakers_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--rows", "japanese-vowels*", "--data", SPEAKERS) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("≥ 0.94") == 2


@needs_speakers
def test_japanese_vowels_are_the_published_ones() -> None:
    training, test = data.read_japanese_vowels(SPEAKERS)
    assert (training.x.shape, test.x.shape) == ((270, 26, 12), (370, 29, 12))
    assert np.bincount(training.labels).tolist() == [30] * 9
    assert np.bincount(test.labels).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert (training.lengths.min(), test.lengths.min(), test.lengths.max()) == (7, 7, 29)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--rows", "conv"), f"japanese-vowels needs --data FILE: {tasks.EXPECTED}"),
        (("--data", "absent.whl"), f"--data absent.whl: no such file; expected {tasks.EXPECTED}"),
        (("--rows", "music"), "--rows: no row fits 'music'; the rows are reber, dates, japanese-vowels:lstm"),
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


def test_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "aeon.whl"
    path.write_bytes(b"not a wheel")
    assert run("--rows", "lstm", "--data", path) == 1
    expected = "expected a wheel or another zip file with JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts"
    assert capsys.readouterr().err == (
        f"rnnfast reproduce: error: {path}: {expected}, got a file that is not a zip file\n"
    )


# The example


@pytest.fixture(scope="module")
def example() -> ModuleType:
    if not EXAMPLE.is_file():
        pytest.skip(f"no {EXAMPLE}: not part of an installed rnnfast")
    return load_script(EXAMPLE)


@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_example_translates_dates(
    example: ModuleType, attention: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rnnfast.set_num_threads(1)
    model = example.learn(samples=2000, epochs=4, attention=attention)
    assert example.report(model, held_out=200) > 0.98
    translations, looks = example.translate(model, ["April 22, 2019"])
    assert translations == ["2019-04-22"]
    assert looks.shape == (1, 10)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all("→" in line for line in lines[:5])
