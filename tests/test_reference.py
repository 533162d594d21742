"""The reference itself: against values worked out elsewhere, and against formulas written a second way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rnnfast import ops, reference


def test_registry_and_reference_name_the_same_cells() -> None:
    described = {name: (info.gates, info.states) for name, info in ops.cells().items()}
    assert described == {name: (cell.gates, cell.states) for name, cell in reference.CELLS.items()}


def scalar_sigmoid(v: float) -> float:
    return 1 / (1 + math.exp(-v))


def test_lstm_step_written_out() -> None:
    p, q, h, c = [0.3, -0.2, 0.7, 0.1], [-0.5, 0.4, 0.2, 0.6], 0.25, -0.8
    i, f, g, o = (
        scalar_sigmoid(0.3 - 0.5),
        scalar_sigmoid(-0.2 + 0.4),
        math.tanh(0.7 + 0.2),
        scalar_sigmoid(0.1 + 0.6),
    )
    expected_c = f * c + i * g
    new_h, new_c = reference.lstm(
        [np.array([[v]]) for v in p], [np.array([[v]]) for v in q], [np.array([[h]]), np.array([[c]])]
    )
    assert new_c.item() == pytest.approx(expected_c, rel=1e-15)
    assert new_h.item() == pytest.approx(o * math.tanh(expected_c), rel=1e-15)


def test_gru_step_written_out() -> None:
    p, q, h = [0.3, -0.2, 0.7], [-0.5, 0.4, 0.2], 0.25
    r, z = scalar_sigmoid(0.3 - 0.5), scalar_sigmoid(-0.2 + 0.4)
    n = math.tanh(0.7 + r * 0.2)
    (new_h,) = reference.gru([np.array([[v]]) for v in p], [np.array([[v]]) for v in q], [np.array([[h]])])
    assert new_h.item() == pytest.approx((1 - z) * n + z * h, rel=1e-15)


@pytest.mark.parametrize(("name", "function"), [("rnn_tanh", math.tanh), ("rnn_relu", lambda v: max(v, 0.0))])
def test_rnn_written_out(name: str, function: object) -> None:
    x, h = [0.4, -1.5], 0.2
    for value in x:
        h = function(0.7 * value + 0.1 - 0.9 * h - 0.3)  # type: ignore[operator]
    weights = [np.array([[0.7]]), np.array([[-0.9]]), np.array([0.1]), np.array([-0.3])]
    y, (final,) = reference.recurrent(name, np.array(x).reshape(1, 2, 1), [np.array([[0.2]])], weights)
    assert final.item() == y[0, 1, 0] == pytest.approx(h, rel=1e-15)


def test_reverse_is_forward_on_the_turned_sequence(cell: str) -> None:
    random = np.random.default_rng(0)
    gates = len(reference.CELLS[cell].gates)
    weights = random.standard_normal((gates * 4, 3)), random.standard_normal((gates * 4, 4))
    x = random.standard_normal((2, 5, 3))
    y, final = reference.recurrent(cell, x, None, weights, reverse=True)
    y_turned, final_turned = reference.recurrent(cell, x[:, ::-1], None, weights)
    np.testing.assert_array_equal(y, y_turned[:, ::-1])
    np.testing.assert_array_equal(final, final_turned)
    np.testing.assert_array_equal(final[0], y[:, 0])


def test_layers_and_directions_are_chained(cell: str) -> None:
    random = np.random.default_rng(0)
    rows = 3 * len(reference.CELLS[cell].gates)
    parameters = {
        f"{name}_l{layer}{suffix}": random.standard_normal(
            (rows, width) if name.startswith("weight") else rows
        )
        for layer in range(2)
        for suffix in ("", "_reverse")
        for name, width in (
            ("weight_ih", 2 if layer == 0 else 6),
            ("weight_hh", 3),
            ("bias_ih", 0),
            ("bias_hh", 0),
        )
    }
    x = random.standard_normal((2, 4, 2))
    y, final = reference.recurrent_layers(cell, x, None, parameters, num_layers=2, bidirectional=True)
    expected = x
    for layer in range(2):
        halves = [
            reference.recurrent(
                cell,
                expected,
                None,
                [parameters[f"{name}_l{layer}{suffix}"] for name in reference.Weights._fields],
                reverse=suffix != "",
            )
            for suffix in ("", "_reverse")
        ]
        for direction in range(2):
            np.testing.assert_array_equal(final[0][2 * layer + direction], halves[direction][1][0])
        expected = np.concatenate([half[0] for half in halves], axis=2)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]) -> None:
    """From the known-answer file of Random123, where the generator was published."""
    assert tuple(reference.philox4x32(counter, key).tolist()) == words


def test_dropout_mask_keeps_the_mean_and_the_rate() -> None:
    mask = reference.dropout_mask((200, 50, 11), 0.3, seed=2**63 + 5, call=3)
    assert set(np.unique(mask)) == {0.0, 1 / 0.7}
    deviation = math.sqrt(0.3 * 0.7 / mask.size)
    assert abs((mask == 0).mean() - 0.3) < 4 * deviation


KEYS: list[dict[str, Any]] = [
    {},
    {"seed": 7},
    {"seed": 0xABCD1234 << 32},
    {"call": 1},
    {"layer": 1},
    {"direction": 1},
]
KEYS += [{"what": what} for what in reference.DROPOUT_PURPOSES if what != "output"]


def test_dropout_masks_of_different_keys_are_unrelated() -> None:
    masks = [reference.dropout_mask((8, 9, 16), 0.5, **{"seed": 0, "call": 0, **key}) for key in KEYS]
    for first, second in ((a, b) for a in range(len(masks)) for b in range(a)):
        agreement = (masks[first] == masks[second]).mean()
        assert abs(agreement - 0.5) < 4 * 0.5 / math.sqrt(masks[0].size), (KEYS[first], KEYS[second])


@pytest.mark.parametrize("shape", [(3, 4, 17), (2, 1, 4), (0, 3, 5), (1, 0, 1), (5, 2, 3)])
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_kernel_masks_are_those_of_the_reference(
    variant: str, dtype: type, shape: tuple[int, int, int], rate: float
) -> None:
    for key in KEYS:
        arguments = {"seed": 11, "call": 4, **key}
        expected = reference.dropout_mask(shape, rate, **arguments)
        mask = ops.dropout_mask(shape, rate, dtype, **arguments)
        assert mask.dtype == dtype
        np.testing.assert_array_equal(mask == 0, expected == 0)
        np.testing.assert_allclose(mask, expected, rtol=np.finfo(dtype).eps, atol=0)
