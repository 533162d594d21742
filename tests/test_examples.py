"""The programs of examples/: a short run of each, and what they say about rnnfast as tests of its own."""

from __future__ import annotations

import math
import wave
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rnnfast import nn
from scripts import load_script

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason=f"no {EXAMPLES}: not part of an installed rnnfast"
)


def load(name: str) -> ModuleType:
    return load_script(EXAMPLES / f"{name}.py")


@pytest.fixture(scope="module")
def policy() -> ModuleType:
    return load("recurrent_policy")


@pytest.fixture(scope="module")
def text() -> ModuleType:
    return load("text_generation")


@pytest.fixture(scope="module")
def audio() -> ModuleType:
    return load("audio_wavenet")


def test_recurrent_policy_learns_to_remember(policy: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    # It asserts, at every update, that the stepped rollout and the whole sequence have the same bits.
    rewards = policy.train(updates=40, report=20)
    assert np.mean(rewards[:3]) < 0.4
    assert np.mean(rewards[-5:]) > 0.9
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["20", "40"]
    assert rewards[:2] == policy.train(updates=2)


def test_recurrent_policy_environments_end_at_different_steps(policy: ModuleType) -> None:
    world = policy.Recall(50, seed=0)
    cue, ends = world.cue.copy(), np.zeros(50, bool)
    assert (world.observe()[:, :-1].argmax(axis=1) == cue).all()
    for step in range(policy.MAX_DELAY + 1):
        light = world.observe()[:, -1] == 1
        assert light[~ends].any() == (step >= policy.MIN_DELAY)
        reward, over = world.act(cue)
        np.testing.assert_array_equal(over, light)
        assert (reward[over & ~ends] == 1).all()
        assert not reward[~over].any()
        ends |= over
    assert ends.all()


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_gradients_of_a_sequence_are_those_of_its_steps(policy: ModuleType, dtype: Any, rate: float) -> None:
    random = np.random.default_rng(0)
    lstm = nn.LSTM(5, 32, dtype=dtype, seed=0)
    for parameter in lstm.parameters():
        parameter.data += 0.1 * random.standard_normal(parameter.shape).astype(dtype)
    shapes = (8, 16, 5), (8, 16, 32), (1, 8, 32), (1, 8, 32)
    x, dy, h, c = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    resets = random.random((8, 16)) < rate
    resets[0, 0] = rate > 0  # row 0 starts with a reset, and row 1 does not, so that no gradient is all zero
    resets[1, 0] = False
    difference = policy.sequence_against_steps(lstm, x, (h, c), resets, dy)
    assert difference < (1e-12 if dtype is np.float64 else 1e-5)
    # The comparison can fail: without the cuts the sequence is another one.
    if rate:
        _, _, tape = lstm.forward(x, (h, c))
        _, (dh, _) = lstm.backward(tape, dy)
        _, _, tape = lstm.forward(x, (h, c), resets=resets)
        _, (dh_cut, _) = lstm.backward(tape, dy)
        assert not dh_cut[0, 0].any()
        assert abs(dh - dh_cut).max() > 0.01


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (7, "seven"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (90_000, "ninety thousand"),
        (312_005, "three hundred and twelve thousand and five"),
        (999_999, "nine hundred and ninety-nine thousand nine hundred and ninety-nine"),
    ],
)
def test_names_of_numbers(text: ModuleType, number: int, expected: str) -> None:
    assert text.name(number) == expected
    assert text.value(expected) == number


@pytest.mark.parametrize(
    "wrong",
    ["", "thousand", "forty-ten", "one hundred one", "two thousand three thousand one", "one  hundred", "a"],
)
def test_what_is_no_name_of_a_number(text: ModuleType, wrong: str) -> None:
    assert text.value(wrong) is None


def test_text_generation_learns_names_it_never_read(
    text: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    # It asserts that the stream's logits have the bits of the whole lines in one call.
    measured = text.run(lines=1000, epochs=10)
    assert 0.3 < measured["best possible"] < measured["model"] < 0.45 < 1.5 < measured["pairs"]
    assert measured["right at 0.5"] >= measured["right at 1.0"] > 0.3
    assert measured["right at 0.5"] >= measured["new at 0.5"] > 0.5
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("temperature ") for line in lines) == 2


def test_bits_of_pairs_of_characters(text: ModuleType) -> None:
    # After a comes b or c, either as often; b and c end the line; padding counts for nothing.
    assert text.bits_of_pairs(np.array([[1, 2, 0], [1, 3, 0]])) == pytest.approx(1.0)
    assert text.bits_of_pairs(np.array([[1, 2, 4], [1, 3, 4]])) == pytest.approx(0.5)


def test_audio_wavenet_beats_the_sample_before(audio: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "tune.wav"
    measured = audio.run(notes=40, epochs=5, out=str(path))
    assert measured["uniform"] == 8
    assert measured["WaveNet"] < 0.75 * measured["sample before"] < 0.75 * 5
    assert measured["right notes"] >= 0.4
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, audio.RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert samples.size == 2 * 5 * audio.NOTE
    assert abs(samples[: 5 * audio.NOTE]).max() > 0.4 * 32767
    assert [entry.name for entry in tmp_path.iterdir()] == ["tune.wav"]


def test_audio_wavenet_hears_which_string_sounds(audio: ModuleType) -> None:
    strings = np.array([0, 1, 2, 3, 4, 0])
    random = np.random.default_rng(0)
    classes, condition = audio.play(strings, random), audio.score(strings)
    assert classes.shape == condition.shape[:1] == (6 * audio.NOTE,)
    assert [audio.heard(note) for note in classes.reshape(6, -1)] == strings.tolist()
    for place, string in enumerate(strings):
        part = condition[place * audio.NOTE : (place + 1) * audio.NOTE]
        assert (part[:, :-1].argmax(axis=1) == string).all()
        assert part[:, -1].sum() == audio.PERIODS[string]
    inputs, targets = audio.examples(classes, condition, audio.SEGMENT)
    np.testing.assert_array_equal(inputs["x"].ravel()[1:], targets.ravel()[:-1])
    assert inputs["x"][0, 0] == audio.SILENCE


def test_bits_of_pairs_of_samples(audio: ModuleType) -> None:
    known = np.array([0, 1] * 5000)
    assert audio.bits_of_pairs(known, np.array([0, 1, 0])) < 0.01
    assert audio.bits_of_pairs(known, np.array([5, 6])) == pytest.approx(math.log2(audio.CLASSES))
