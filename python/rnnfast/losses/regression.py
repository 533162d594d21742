"""Losses of real values: squared, absolute, Huber, quantile. Masks and means are in ``base``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .base import Array, Loss, float_target


@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared error: mean (ŷ - y)². Prediction and target have the same shape.

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> losses.MSE()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
        (2.0, array([0., 2.]))
    """

    def _element_term(self) -> tuple[str, None]:
        return "squared", None

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        difference = prediction - target
        return difference * difference, difference + difference if gradient else difference


@dataclass(frozen=True)
class MAE(Loss):
    """Mean absolute error: mean |ŷ - y|; the gradient at 0 is 0. Prediction and target have the same shape.

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> losses.MAE()(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
        (1.0, array([0. , 0.5]))
    """

    def _element_term(self) -> tuple[str, None]:
        return "absolute", None

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        difference = prediction - target
        return xp.abs(difference), xp.sign(difference) if gradient else difference


@dataclass(frozen=True)
class Huber(Loss):
    """Huber loss: mean of d²/2 where |d| ≤ δ, else δ(|d| - δ/2), d = ŷ - y, both of the same shape.

    Args:
        delta: δ > 0, where the parabola becomes a line.

    Raises:
        ValueError: if delta is not positive and finite.

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> losses.Huber(delta=1.0)(np.array([1.5, 4.0]), np.array([1.0, 1.0]))
        (1.3125, array([0.25, 0.5 ]))

    Reference:
        Huber, Robust estimation of a location parameter, 1964.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.delta, Real):
            raise TypeError(f"Huber: delta must be a number, got {self.delta!r}")
        if not 0 < self.delta < sys.float_info.max:
            raise ValueError(f"Huber: delta must be positive and finite, got {self.delta}")

    def _element_term(self) -> tuple[str, float]:
        return "huber", self.delta

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        # With s = d clipped to ±δ both branches are s (d - s/2), and the derivative is s itself.
        difference = prediction - target
        slopes = xp.clip(difference, -self.delta, self.delta)
        return slopes * (difference - 0.5 * slopes), slopes


@dataclass(frozen=True)
class Quantile(Loss):
    """Quantile (pinball) loss: mean of max(q d, (q - 1) d), d = y - ŷ; the gradient at 0 is 0.

    The prediction has the target's shape for one level, (*target.shape, Q) for a sequence of Q levels.

    Args:
        levels: q in (0, 1), or a sequence of them, in the order of the prediction's last axis.

    Raises:
        ValueError: if a level is not in (0, 1).

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> losses.Quantile(0.75)(np.array([1.0, 3.0]), np.array([3.0, 1.0]))
        (1.0, array([-0.375,  0.125]))

    Reference:
        Koenker & Bassett, Regression quantiles, 1978.
    """

    levels: float | Sequence[float]

    def __post_init__(self) -> None:
        levels = np.asarray(self.levels, np.float64)
        if levels.ndim > 1 or not levels.size or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"Quantile: levels must be in (0, 1), got {self.levels}")
        object.__setattr__(self, "levels", tuple(levels.tolist()) if levels.ndim else float(levels))

    def _prepared(self, prediction: Array, target: Array) -> Array:
        shape = prediction.shape
        if isinstance(self.levels, tuple):
            if shape[-1:] != (len(self.levels),):
                raise ValueError(
                    "Quantile: prediction must have shape (..., levels) = "
                    f"(..., {len(self.levels)}), got {shape}"
                )
            shape = shape[:-1]
        return float_target("Quantile", prediction, target, shape)

    def _element_term(self) -> tuple[str, float] | None:
        return ("quantile", self.levels) if isinstance(self.levels, float) else None

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        levels = xp.asarray(self.levels, dtype=prediction.dtype)
        difference = (target[..., None] if target.ndim < prediction.ndim else target) - prediction
        below = xp.where(difference > 0, -levels, difference)  # 0 and NaN stay what they are
        slopes = xp.where(difference < 0, 1 - levels, below)
        return -slopes * difference, slopes
