"""Memory of tapes, kept from one training step to the next.

A tape of some tens of MB would otherwise be new pages at every step, which the system has to find and clear:
up to a third of a layer-normalised step, and the less predictable part of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import CACHE_LINE, Array, at_cache_line, empty


class TapeMemory:
    """Room for the tapes of one stack of layers: one spare piece of memory at most."""

    def __init__(self) -> None:
        self._spare: list[Array] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An array of undefined values, in the spare memory unless that is too small or far too large."""
        count = math.prod(shape)
        try:
            spare = self._spare.pop()  # at once: another thread must not find the same
        except IndexError:
            return empty(shape, dtype)
        if spare.dtype == dtype and count <= spare.size - CACHE_LINE // dtype.itemsize <= 4 * count:
            return at_cache_line(spare, shape)
        return empty(shape, dtype)

    def give_back(self, array: Array) -> None:
        """What was taken is no longer in use: all of its memory is spare, not only what was asked for."""
        owner = array if array.base is None else array.base
        self._spare[:] = [owner]

    def release(self) -> None:
        """Nothing stays: the next tape is new memory."""
        self._spare.clear()

    def __deepcopy__(self, memo: Any) -> TapeMemory:
        return TapeMemory()

    def __getstate__(self) -> dict[str, Any]:
        return {"_spare": []}


def accumulate(targets: list[Array], sources: list[Array]) -> None:
    """target += source for arrays that are alike, pair by pair, in one call.

    Threads that add to the same memory at once, here or in `stack_backward`, take turns. Not so whoever reads
    or clears it meanwhile.

    Args:
        targets: contiguous, changed in place.
        sources: contiguous, of the same shapes and dtypes.
    """
    _core.accumulate(targets, sources)
