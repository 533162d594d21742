"""What lengths say about padding: which steps of an input are real, and which targets count.

Not here: what a model does with lengths, which its `forward` says and checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rnnfast.nn.inputs import Inputs, first_input
from rnnfast.nn.module import Module

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class MarksPadding(Protocol):
    """A model that says which of its outputs are made of real steps; where they are not, no loss is taken."""

    def real_outputs(self, lengths: Array) -> Array | None:
        """How many outputs of each sequence count, ints (N,); None for a model without an output per step.

        Args:
            lengths: of the sequences in x, ints (N,).
        """


def mask_of_lengths(model: Module, x: Inputs, y: Array) -> Array | None:
    """The mask that follows from lengths: True for the targets of outputs made of real steps.

    Args:
        model: what x goes to.
        x: one array, or several by name.
        y: targets.

    Returns:
        Bool, the first two axes of y; None without lengths, for a model without an output per step, and for
        targets that have not one per step.
    """
    lengths = _lengths(x)
    if lengths is None or not isinstance(model, MarksPadding) or y.ndim < 2:
        return None
    real = model.real_outputs(lengths)
    return None if real is None else _steps(real, y.shape[1])


def real_steps(model: Module, x: Inputs, name: str | None) -> Array | None:
    """True where an array of x holds real steps, aligned with its axes; None where all of it counts.

    Args:
        model: what x goes to; the lengths are those of the first argument of its `forward`.
        x: one array, or several by name.
        name: the array's.
    """
    lengths = _lengths(x)
    if lengths is None or not isinstance(x, Mapping) or name is None or name != first_input(model):
        return None
    shape = x[name].shape
    if len(shape) < 2:
        return None
    return _steps(lengths, shape[1]).reshape(*shape[:2], *[1] * (len(shape) - 2))


def _lengths(x: Inputs) -> Array | None:
    """The lengths in x if they can be any; what is wrong with others the model says."""
    lengths = x.get("lengths") if isinstance(x, Mapping) else None
    return lengths if lengths is not None and lengths.ndim == 1 and lengths.dtype.kind in "iu" else None


def _steps(lengths: Array, steps: int) -> Array:
    """True for the real steps, shape (N, T)."""
    real: Array = np.arange(steps) < lengths[:, None]
    return real
