"""Options of one call of a recurrent layer: what they are, and their checks."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, contiguous
from .cells import CellInfo
from .elementwise import mask_key
from .weights import RecurrentWeights


class Zoneout(NamedTuple):
    """Zoneout s_t = m∘s_{t-1} + (1 − m)∘s̃_t: in training m is 1 with probability `rate` and else 0, at
    inference m = rate.

    Args:
        rates: one per state of the cell, in [0, 1).
        training: whether m is drawn.
        seed: of the masks, 64 bits.
        call: number of the forward call.
        layer: number of the layer.
        direction: 0 forward, 1 backward in time.

    Reference:
        Krueger et al., Zoneout: regularizing RNNs by randomly preserving hidden activations, 2017.
    """

    rates: tuple[float, ...]
    training: bool = False
    seed: int = 0
    call: int = 0
    layer: int = 0
    direction: int = 0


def check_options(
    name: str,
    weights: RecurrentWeights,
    batch: int,
    steps: int,
    lengths: Array | None,
    resets: Array | None,
    hidden_mask: Array | None,
) -> tuple[Array | None, Array | None, Array | None]:
    """The three arrays, checked."""
    if lengths is not None:
        check_array(name, "lengths", lengths, (batch,), np.dtype(np.int64))
        if batch and not (lengths.min() >= 0 and lengths.max() <= steps):
            raise ValueError(f"{name}: lengths must be in 0..T={steps}, got {lengths.min()}..{lengths.max()}")
        lengths = contiguous(lengths)
    if resets is not None:
        check_array(name, "resets", resets, (batch, steps), np.dtype(np.bool_))
    if hidden_mask is not None:
        check_array(name, "hidden_mask", hidden_mask, (batch, weights.output_size), weights.dtype)
        hidden_mask = contiguous(hidden_mask)
    return lengths, resets, hidden_mask


def settings(
    name: str, info: CellInfo, zoneout: Zoneout | None, reverse: bool, training: bool, recompute: int
) -> _core.RecurrentSettings:
    """What a call is told besides its arrays."""
    _check_recompute(name, recompute)
    if zoneout is None:
        return _plain_settings(info.number, len(info.states), bool(reverse), int(recompute))
    states = info.states
    if len(zoneout.rates) != len(states) or not all(0 <= rate < 1 for rate in zoneout.rates):
        raise ValueError(
            f"{name}: zoneout.rates must have {len(states)} values in [0, 1), ({', '.join(states)}), "
            f"got {zoneout.rates}"
        )
    if training and not zoneout.training and any(zoneout.rates):
        raise ValueError(
            f"{name}: zoneout.training must be True with training=True, as the expectation has no tape"
        )
    return _core.RecurrentSettings(
        info.number,
        reverse=bool(reverse),
        recompute=int(recompute),
        zoneout_rates=zoneout.rates,
        zoneout_training=zoneout.training,
        zoneout_keys=[
            mask_key(name, zoneout.seed, zoneout.call, zoneout.layer, zoneout.direction, f"zoneout_{state}")
            for state in states
        ],
    )


def _check_recompute(name: str, recompute: int) -> None:
    fix = "pass 0 to keep the whole tape, or how many steps apart states are kept"
    if isinstance(recompute, bool) or not isinstance(recompute, (int, np.integer)):
        raise TypeError(f"{name}: recompute must be an int, got {recompute!r}; {fix}")
    if recompute < 0:
        raise ValueError(f"{name}: recompute must not be negative, got {recompute}; {fix}")


@lru_cache(maxsize=256)
def _plain_settings(cell: int, states: int, reverse: bool, recompute: int) -> _core.RecurrentSettings:
    return _core.RecurrentSettings(
        cell,
        reverse=reverse,
        recompute=recompute,
        zoneout_rates=(0.0,) * states,
        zoneout_training=False,
        zoneout_keys=((0, 0, 0, 0),) * states,
    )
