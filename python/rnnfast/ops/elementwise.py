"""Random masks, and the activations of the kernels over plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import Array, check_float, contiguous

# What a mask is for: part of the counter, so that two masks of one layer and call never coincide.
_PURPOSES = ("output", "input", "recurrent", "weight", "zoneout_h", "zoneout_c")
_MOST_UNITS = 1 << 22  # the other bits of that word of the counter hold layer, direction and purpose


def dropout_mask(
    shape: tuple[int, int, int],
    rate: float,
    dtype: Any,
    *,
    seed: int,
    call: int,
    layer: int = 0,
    direction: int = 0,
    what: str = "output",
) -> Array:
    """m[n, t, unit] = 0 with probability ``rate``, else 1 / (1 − rate): a pure function of its arguments.

    Word unit mod 4 of the Philox4x32-10 block with key (seed mod 2³², ⌊seed / 2³²⌋) and counter
    (⌊unit / 4⌋ | stream << 20, t, n, call mod 2³²), stream = layer << 4 | direction << 3 |
    number of ``what`` (in the order below), drops the element where (word >> 8) · 2⁻²⁴ < rate.

    Args:
        shape: (N, T, units), units at most 2²².
        rate: in [0, 1).
        dtype: float32 or float64.
        seed: 64 bits.
        call: number of the forward call, from 0 on; it counts modulo 2³².
        layer: number of the layer, below 256.
        direction: 0 forward, 1 backward in time.
        what: what the mask is for: output, input, recurrent, weight, zoneout_h or zoneout_c.

    Returns:
        The mask, of ``shape`` and ``dtype``.

    Raises:
        ValueError: if an argument is out of its range.
        TypeError: if the dtype is another.

    Example:
        >>> from rnnfast import ops
        >>> ops.dropout_mask((1, 2, 3), 0.5, "float32", seed=0, call=0).tolist()
        [[[0.0, 2.0, 2.0], [0.0, 2.0, 0.0]]]

    Reference:
        Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
    """
    if what not in _PURPOSES:
        raise ValueError(f"dropout_mask: what must be one of {', '.join(_PURPOSES)}, got {what!r}")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dropout_mask: dtype must be float32 or float64, got {np.dtype(dtype)}")
    if not 0 <= rate < 1:
        raise ValueError(f"dropout_mask: rate must be in [0, 1), got {rate}")
    if len(shape) != 3 or min(shape) < 0 or shape[2] > _MOST_UNITS:
        raise ValueError(f"dropout_mask: shape must be (N, T, units), units at most 2**22, got {shape}")
    seed_low, seed_high, call, stream = mask_key("dropout_mask", seed, call, layer, direction, what)
    mask: Array = np.empty(shape, dtype)
    _core.dropout_mask(mask, rate=rate, seed_low=seed_low, seed_high=seed_high, call=call, stream=stream)
    return mask


def mask_key(
    where: str, seed: int, call: int, layer: int, direction: int, what: str
) -> tuple[int, int, int, int]:
    """The words (seed low, seed high, call, stream) that key all masks of one kind of one call."""
    if not 0 <= seed < 2**64:
        raise ValueError(f"{where}: seed must be in [0, 2**64), got {seed}")
    if call < 0:
        raise ValueError(f"{where}: call must count from 0, got {call}")
    if not 0 <= layer < 256:
        raise ValueError(f"{where}: layer must be in [0, 256), got {layer}")
    if direction not in (0, 1):
        raise ValueError(f"{where}: direction must be 0 (forward) or 1 (reverse), got {direction}")
    if what not in _PURPOSES:
        raise ValueError(f"{where}: masks must be for one of {', '.join(_PURPOSES)}, got {what!r}")
    # Python's own integers: NumPy's would overflow at the shifts.
    stream = int(layer) << 4 | int(direction) << 3 | _PURPOSES.index(what)
    return int(seed) & 0xFFFFFFFF, int(seed) >> 32, int(call) & 0xFFFFFFFF, stream


def activation(name: str, x: Array) -> Array:
    """sigmoid, tanh or relu of x, as the kernels compute it."""
    check_float("activation", "x", x)
    if name not in ("sigmoid", "tanh", "relu"):
        raise ValueError(f"activation: name must be sigmoid, tanh or relu, got {name!r}")
    y = np.empty(x.shape, x.dtype)
    _core.activation(name, contiguous(x).reshape(-1), y.reshape(-1))
    return y


def fma_operations(dtype: Any, repeats: int) -> float:
    """Run ``repeats`` rounds of independent FMAs on one core; return how many operations they were."""
    return _core.peak(np.dtype(dtype).name, repeats)
