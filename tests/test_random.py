"""Masks of the kernels against a Philox4x32-10 in plain Python integers: known answers, the mapping from
(seed, call, layer, direction, purpose, n, t, unit) to words, every width of a row.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from rnnfast import _core, ops

PURPOSES = ("output", "input", "recurrent", "weight", "zoneout_h", "zoneout_c")
WORD = 2**32


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> tuple[int, ...]:
    """The definition, word by word."""
    for number in range(10):
        k0 = (key[0] + number * 0x9E3779B9) % WORD
        k1 = (key[1] + number * 0xBB67AE85) % WORD
        a, c = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (c // WORD ^ counter[1] ^ k0, c % WORD, a // WORD ^ counter[3] ^ k1, a % WORD)
    return counter


def word_of(n: int, t: int, unit: int, **key: Any) -> int:
    """The word of one element, as the contract of `ops.dropout_mask` states it."""
    key = {"layer": 0, "direction": 0, "what": "output", **key}
    stream = key["layer"] << 4 | key["direction"] << 3 | PURPOSES.index(key["what"])
    counter = (unit // 4 | stream << 20, t, n, key["call"] % WORD)
    return philox(counter, (key["seed"] % WORD, key["seed"] // WORD))[unit % 4]


def expected_mask(shape: tuple[int, int, int], rate: float, dtype: Any, **key: Any) -> np.ndarray:
    mask = np.full(shape, 1 / (1 - rate), dtype)
    for index in np.ndindex(shape):
        if (word_of(*index, **key) >> 8) / 2**24 < rate:
            mask[index] = 0
    return mask


# From the known-answer file of Random123, where the generator was published.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (WORD - 1, WORD - 1, WORD - 1, WORD - 1),
        (WORD - 1, WORD - 1),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_the_definition_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert philox(counter, key) == words


def test_the_kernel_gives_the_published_words(variant: str, dtype: type) -> None:
    """An element is dropped from the first rate above its u on: that tells all 24 bits of u."""
    for unit, word in enumerate(KNOWN[0][2]):
        u = (word >> 8) / 2**24
        for rate, dropped in ((u, False), (math.nextafter(u, 1), True), (u + 2**-24, True)):
            mask = ops.dropout_mask((1, 1, 4), rate, dtype, seed=0, call=0)
            assert (mask[0, 0, unit] == 0) == dropped


KEYS: list[dict[str, Any]] = [
    {"seed": 0, "call": 0},
    {"seed": 2**64 - 1, "call": 2**32 - 1, "layer": 255, "direction": 1, "what": "zoneout_c"},
    {"seed": 0x0123456789ABCDEF, "call": 2**32 + 77, "layer": 3, "what": "weight"},
    {"seed": 1 << 32, "call": 5, "layer": 16, "direction": 1, "what": "recurrent"},
]


@pytest.mark.parametrize("units", [1, 3, 4, 5, 7, 8, 16, 31, 32, 33, 257])
def test_masks_are_those_of_the_definition(units: int, variant: str, dtype: type) -> None:
    for number, key in enumerate(KEYS):
        shape, rate = ((2, 2, units) if units < 50 else (1, 2, units)), (0.3, 0.9, 0.5, 1 / 3)[number]
        mask = ops.dropout_mask(shape, rate, dtype, **key)
        assert mask.dtype == dtype
        np.testing.assert_array_equal(mask, expected_mask(shape, rate, dtype, **key))


@pytest.mark.parametrize("units", [1, 2, 3, 5, 15, 17, 31, 33, 63])
def test_nothing_is_written_beside_the_mask(units: int, variant: str, dtype: type) -> None:
    memory = np.full(16 + 3 * units + 64, 7, dtype)
    mask = memory[16 : 16 + 3 * units].reshape(1, 3, units)
    _core.dropout_mask(mask, rate=0.5, seed_low=1, seed_high=2, call=3, stream=4)
    assert set(mask.ravel().tolist()) <= {0.0, 2.0}
    assert (memory[:16] == 7).all()
    assert (memory[16 + 3 * units :] == 7).all()


def test_a_row_of_most_units_ends_as_the_definition_says(variant: str) -> None:
    key: dict[str, Any] = {"seed": 3, "call": 1, "layer": 255, "direction": 1, "what": "zoneout_c"}
    units = 2**22
    end = ops.dropout_mask((1, 1, units), 0.5, np.float32, **key)[0, 0, -40:]
    words = [word_of(0, 0, unit, **key) for unit in range(units - 40, units)]
    np.testing.assert_array_equal(end == 0, [(word >> 8) / 2**24 < 0.5 for word in words])


def test_an_element_does_not_depend_on_the_shape(variant: str, dtype: type) -> None:
    whole = ops.dropout_mask((4, 5, 70), 0.4, dtype, seed=9, call=2)
    for n, t, units in itertools.product((1, 3), (2, 5), (1, 6, 33)):
        part = ops.dropout_mask((n, t, units), 0.4, dtype, seed=9, call=2)
        np.testing.assert_array_equal(part, whole[:n, :t, :units])


def test_masks_of_different_keys_are_unrelated(variant: str) -> None:
    shape = (8, 9, 64)
    keys = [{}, {"seed": 8}, {"seed": 7 + (1 << 40)}, {"call": 1}, {"layer": 1}, {"layer": 128}]
    keys += [{"direction": 1}, *({"what": what} for what in PURPOSES[1:])]
    masks = [ops.dropout_mask(shape, 0.5, np.float32, **{"seed": 7, "call": 0, **key}) for key in keys]
    for first, second in itertools.combinations(range(len(keys)), 2):
        agreement = (masks[first] == masks[second]).mean()
        assert abs(agreement - 0.5) < 4 * 0.5 / math.sqrt(masks[0].size), (keys[first], keys[second])


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.95])
def test_the_share_of_zeros_is_the_rate(rate: float, variant: str, dtype: type) -> None:
    mask = ops.dropout_mask((40, 50, 101), rate, dtype, seed=2**63 + 5, call=3)
    assert abs((mask == 0).mean() - rate) < 4 * math.sqrt(rate * (1 - rate) / mask.size)
    assert set(np.unique(mask)) == {0, dtype(1 / (1 - rate))}


def test_rates_at_both_ends(variant: str, dtype: type) -> None:
    key = {"seed": 4, "call": 0}
    np.testing.assert_array_equal(ops.dropout_mask((3, 2, 37), 0.0, dtype, **key), np.ones((3, 2, 37)))
    assert not ops.dropout_mask((3, 2, 37), math.nextafter(1, 0), dtype, **key).any()
    for shape in ((0, 3, 5), (3, 0, 5), (3, 5, 0)):
        assert ops.dropout_mask(shape, 0.5, dtype, **key).shape == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, r"seed must be in \[0, 2\*\*64\), got -1"),
        ({"seed": 2**64}, r"seed must be in \[0, 2\*\*64\), got 18446744073709551616"),
        ({"call": -1}, "call must count from 0, got -1"),
        ({"layer": 256}, r"layer must be in \[0, 256\), got 256"),
        ({"layer": -1}, r"layer must be in \[0, 256\), got -1"),
        ({"direction": 2}, r"direction must be 0 \(forward\) or 1 \(reverse\), got 2"),
        ({"what": "carry"}, "what must be one of output, input, .*got 'carry'"),
        ({"rate": 1.0}, r"rate must be in \[0, 1\), got 1.0"),
        ({"rate": math.nan}, r"rate must be in \[0, 1\), got nan"),
        ({"shape": (1, 1, 2**22 + 1)}, r"shape must be \(N, T, units\), units at most 2\*\*22"),
        ({"shape": (2, 3)}, r"shape must be \(N, T, units\), .*got \(2, 3\)"),
    ],
)
def test_what_is_out_of_range_is_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"shape": (1, 1, 4), "rate": 0.5, "dtype": np.float32, "seed": 0, "call": 0, **change}
    with pytest.raises(ValueError, match=f"dropout_mask: {message}"):
        ops.dropout_mask(**arguments)


def test_integers_of_numpy_are_taken() -> None:
    plain = ops.dropout_mask((2, 2, 9), 0.5, np.float32, seed=2**63 + 1, call=6, layer=200, direction=1)
    numpy = ops.dropout_mask(
        (2, 2, 9),
        0.5,
        np.float32,
        seed=np.uint64(2**63 + 1),
        call=np.int32(6),
        layer=np.uint8(200),
        direction=np.int8(1),
    )
    np.testing.assert_array_equal(plain, numpy)


def test_the_core_refuses_what_does_not_fit_its_counter() -> None:
    arguments = {"rate": 0.5, "seed_low": 0, "seed_high": 0, "call": 0, "stream": 0}
    with pytest.raises(ValueError, match="_core: stream must have 12 bits"):
        _core.dropout_mask(np.empty((1, 1, 4)), **{**arguments, "stream": 1 << 12})
    with pytest.raises(ValueError, match=r"_core: mask must have at most 2\*\*22 units"):
        _core.dropout_mask(np.empty((0, 1, 2**22 + 1)), **arguments)
    with pytest.raises(TypeError):
        _core.dropout_mask(np.empty((1, 1, 4)), **{**arguments, "seed_low": WORD})
