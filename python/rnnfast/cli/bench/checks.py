"""What differs by more than rounding is not timed: the comparisons of all suites, and their tolerances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Largest difference to the float64 reference per square root of the number of terms in a sum.
_TOLERANCE = {"float32": 2e-5, "float64": 1e-13}
# Largest difference of gradients to those in float64, relative to the largest element of the array.
_GRADIENT_TOLERANCE = {"float32": 1e-3, "float64": 1e-12}
# The same between two libraries, which both round.
_PEER_TOLERANCE = {"float32": 1e-3, "float64": 1e-11}


def check_outputs(what: str, y: Array, expected: Array, terms: int) -> float:
    """The largest difference of outputs.

    Args:
        what: cell and shape, for the error.
        y: ours.
        expected: the reference's.
        terms: number of terms in the longest sum of a step.

    Raises:
        ArithmeticError: if it is above the tolerance of the dtype.
    """
    error = float(np.abs(y - expected).max())
    if not error <= _TOLERANCE[y.dtype.name] * terms**0.5:
        raise ArithmeticError(f"bench: {what} is off by {error:.1e}; not timed")
    return error


def check_gradients(what: str, pairs: Iterable[tuple[Array, Array]]) -> float:
    """The largest difference of gradients, relative to the largest element of its array.

    Args:
        what: cell and shape, for the error.
        pairs: ours, and the same in float64.

    Raises:
        ArithmeticError: if it is above the tolerance of the dtype.
    """
    worst = 0.0
    for own, expected in pairs:
        error = _relative(own, expected)
        if not error <= _GRADIENT_TOLERANCE[own.dtype.name]:
            raise ArithmeticError(f"bench: gradients of {what} are off by {error:.1e}; not timed")
        worst = max(worst, error)
    return worst


def check_peer(what: str, pairs: Iterable[tuple[Array, Array]]) -> None:
    """Refuse to time a peer that computes something else.

    Args:
        what: which arrays of which peer, for the error.
        pairs: ours and theirs.

    Raises:
        ArithmeticError: if they differ by more than the tolerance of the dtype, relative to the largest
            element of the array.
    """
    for own, theirs in pairs:
        error = _relative(theirs, own)
        if not error <= _PEER_TOLERANCE[own.dtype.name]:
            raise ArithmeticError(f"bench: {what} differ by {error:.1e}; not timed")


def _relative(found: Array, expected: Array) -> float:
    """The largest difference over the largest element; that itself where all is zero, as the gradient of the
    hidden weights in a single step from a zero state is."""
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))
