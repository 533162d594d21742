"""Random masks out of a counter: Philox4x32-10, and what dropout and zoneout make of its words.

A mask is a pure function of seed, call, layer, direction, purpose and of the position (n, t, unit): the same
for any number of threads, in any batch, forward and backward. Not here: where a mask is applied (``layers``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .formulas import Array

# Philox4x32-10: multipliers of the two lanes and the constants (golden ratio, sqrt(3) - 1) that the key grows
# by each round.
_PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_PHILOX_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = np.uint64(0xFFFFFFFF)


def philox4x32(counter: Sequence[Any], key: Sequence[Any]) -> Array:
    """The counter-based generator Philox4x32-10.

    Args:
        counter: four arrays of 32-bit words that broadcast together.
        key: two such arrays.

    Returns:
        Four random 32-bit words per counter, shape (..., 4), uint32.

    Example:
        >>> from rnnfast import reference
        >>> [hex(word) for word in reference.philox4x32((0, 0, 0, 0), (0, 0)).tolist()]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']

    Reference:
        Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, np.uint64) for word in key)
    shift = np.uint64(32)
    for _ in range(10):
        a = c0 * np.uint64(_PHILOX_MULTIPLIERS[0])
        b = c2 * np.uint64(_PHILOX_MULTIPLIERS[1])
        c0, c1, c2, c3 = (b >> shift) ^ c1 ^ k0, b & _WORD, (a >> shift) ^ c3 ^ k1, a & _WORD
        k0 = (k0 + np.uint64(_PHILOX_KEY_STEPS[0])) & _WORD
        k1 = (k1 + np.uint64(_PHILOX_KEY_STEPS[1])) & _WORD
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


# What a mask is for: the last part of the stream.
DROPOUT_PURPOSES: Mapping[str, int] = {
    "output": 0,
    "input": 1,
    "recurrent": 2,
    "weight": 3,
    "zoneout_h": 4,
    "zoneout_c": 5,
}


def _uniform(
    shape: tuple[int, int, int], *, seed: int, call: int, layer: int, direction: int, what: str
) -> Array:
    """u[n, t, unit] in [0, 1), a multiple of 2⁻²⁴."""
    batch, steps, units = shape
    # 12 bits above the 20 of unit div 4: streams never meet for units < 2²² and layers < 256.
    stream = layer << 4 | direction << 3 | DROPOUT_PURPOSES[what]
    n, t, block = np.ogrid[:batch, :steps, : -(-units // 4)]
    counter = (block | stream << 20, t, n, call & 0xFFFFFFFF)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    # Four words per counter, one per unit.
    words = words.reshape(batch, steps, 4 * block.size)[:, :, :units]
    return np.asarray((words >> np.uint32(8)) * 2.0**-24)


def dropout_mask(
    shape: tuple[int, int, int],
    rate: float,
    *,
    seed: int,
    call: int,
    layer: int = 0,
    direction: int = 0,
    what: str = "output",
) -> Array:
    """The dropout mask m[n, t, unit]: 0 with probability `rate`, else 1/(1 - rate).

    A pure function of its arguments. Word unit mod 4 of Philox4x32-10 under the key (seed_low, seed_high) at
    counter (unit div 4 | stream << 20, t, n, call mod 2³²), stream = layer << 4 | direction << 3 | purpose,
    gives u = (word >> 8) · 2⁻²⁴; the unit is dropped where u < rate.

    Args:
        shape: (N, T, units). A mask that is the same at all steps has T = 1; one over weights has N = 1, a
            row per step and a column per unit.
        rate: probability of a zero, in [0, 1).
        seed: 64 bits.
        call: number of the forward call.
        layer: number of the layer, below 256.
        direction: 0 forward, 1 backward in time.
        what: a key of `DROPOUT_PURPOSES`.

    Returns:
        The mask, of `shape`, float64.

    Example:
        >>> from rnnfast import reference
        >>> reference.dropout_mask((1, 1, 4), 0.5, seed=0, call=0).shape
        (1, 1, 4)
    """
    uniform = _uniform(shape, seed=seed, call=call, layer=layer, direction=direction, what=what)
    return np.where(uniform < rate, 0.0, 1.0 / (1.0 - rate))


def zoneout_mask(
    shape: tuple[int, int, int],
    rate: float,
    *,
    seed: int,
    call: int,
    layer: int = 0,
    direction: int = 0,
    what: str = "zoneout_h",
) -> Array:
    """The zoneout mask m[n, t, unit]: 1 (the unit keeps its old state) with probability `rate`, else 0.

    m = 1 where u < rate, with the u of `dropout_mask`; t is the true time, in both directions.

    Args:
        shape: (N, T, units).
        rate: probability of a one, in [0, 1].
        seed, call, layer, direction: as for `dropout_mask`.
        what: "zoneout_h" or "zoneout_c".

    Returns:
        The mask, of `shape`, float64.

    Example:
        >>> from rnnfast import reference
        >>> reference.zoneout_mask((1, 1, 2), 1.0, seed=0, call=0).tolist()
        [[[1.0, 1.0]]]

    Reference:
        Krueger et al., Zoneout: regularizing RNNs by randomly preserving hidden activations, 2017.
    """
    uniform = _uniform(shape, seed=seed, call=call, layer=layer, direction=direction, what=what)
    return np.where(uniform < rate, 1.0, 0.0)
