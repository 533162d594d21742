"""Missing values filled from the past alone, so that no forecast can profit from what came later.

A missing value takes the value one season before (itself filled, if it was missing); where there is none, the
last value before; at the very start of the series, where nothing is known yet, the first value that is there.
Only that last rule looks ahead, over the leading gap: a forecast from within that gap would see the future,
so methods that forecast refuse origins before the first value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def fill_from_past(x: Array, season: int = 1) -> tuple[Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """x_t if it is there, else x_{t-season}, else x_{t-1}.

    Args:
        x: float [T] or [T, F]; NaN is a missing value.
        season: steps in one season, ≥ 1 (168 for hours with a weekly rhythm).

    Returns:
        The filled copy, float64, and a bool array of its shape: True where a value was missing.

    Raises:
        ValueError: an infinite value, a column of NaN alone, or season below 1.

    Example:
        >>> filled, missing = fill_from_past(np.array([1.0, 2.0, np.nan, 4.0]), season=2)
        >>> filled.tolist(), missing.tolist()
        ([1.0, 2.0, 1.0, 4.0], [False, False, True, False])
    """
    values = np.array(x, dtype=np.float64)
    if values.ndim not in (1, 2):
        raise ValueError(f"fill_from_past: x must have shape (T,) or (T, F), got {values.shape}")
    if season < 1:
        raise ValueError(f"fill_from_past: season must be at least 1, got {season}")
    if np.isinf(values).any():
        raise ValueError("fill_from_past: x must be finite or NaN (a missing value), got an infinite value")
    missing = np.isnan(values)
    for column, gaps in zip(np.atleast_2d(values.T), np.atleast_2d(missing.T), strict=True):
        positions = np.flatnonzero(gaps)
        if positions.size and positions.size == column.size:
            raise ValueError("fill_from_past: every column of x must have a value, got a column of NaN alone")
        for t in positions:
            if t >= season:
                column[t] = column[t - season]
            elif t > 0:
                column[t] = column[t - 1]
            else:
                column[t] = column[np.flatnonzero(~gaps)[0]]
    return values, missing
