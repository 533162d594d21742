"""Random masks, and the activations of the kernels over plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import Array, check_float, contiguous

# What a mask is for: part of the key, so that two masks of one layer and call never coincide.
_PURPOSES = ("output", "input", "recurrent", "weight", "zoneout_h", "zoneout_c")


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

    Args:
        shape: (N, T, units).
        rate: in [0, 1).
        dtype: float32 or float64.
        seed: 64 bits.
        call: number of the forward call; with seed, layer, direction and ``what`` it keys the generator.
        layer: number of the layer.
        direction: 0 forward, 1 backward in time.
        what: what the mask is for: output, input, recurrent, weight, zoneout_h or zoneout_c.

    Reference:
        Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.
    """
    if what not in _PURPOSES:
        raise ValueError(f"dropout_mask: what must be one of {', '.join(_PURPOSES)}, got {what!r}")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dropout_mask: dtype must be float32 or float64, got {np.dtype(dtype)}")
    if not 0 <= rate < 1:
        raise ValueError(f"dropout_mask: rate must be in [0, 1), got {rate}")
    mask: Array = np.empty(shape, dtype)
    # Counter and key words hold 32 bits each; layer and direction share one with the purpose.
    key0 = (seed & 0xFFFFFFFF) ^ (call * 0x9E3779B9 & 0xFFFFFFFF)
    key1 = (seed >> 32 & 0xFFFFFFFF) ^ (layer << 16 | direction << 8 | _PURPOSES.index(what))
    _core.dropout_mask(mask, rate=rate, key0=key0, key1=key1)
    return mask


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
