"""The programs of examples/: a short run of each, and what they say about rnnfast as tests of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rnnfast import nn

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason=f"no {EXAMPLES}: not part of an installed rnnfast"
)


@pytest.fixture(scope="module")
def policy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recurrent_policy", EXAMPLES / "recurrent_policy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
