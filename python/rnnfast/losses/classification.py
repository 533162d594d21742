"""Losses of logits: cross-entropy over classes, Bernoulli negative log-likelihood. Masks are in ``base``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Array, Loss


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy over classes: mean of -log softmax(ŷ)[y].

    The prediction holds logits of shape (..., C), the target integers 0…C-1 of shape (...), anything where
    masked. A class number outside that range raises ValueError and names the first.

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> value, dlogits = losses.CrossEntropy()(np.zeros((1, 4)), np.array([2]))
        >>> round(value, 6), dlogits
        (1.386294, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """

    def _prepared(self, prediction: Array, target: Array) -> Array:
        if target.dtype.kind not in "iu":
            one_hot = target.shape == prediction.shape
            raise TypeError(
                f"CrossEntropy: target must hold integer class numbers, got {target.dtype}"
                + (
                    f" of the logits' shape {target.shape}; pass target.argmax(axis=-1)"
                    if one_hot
                    else "; pass target.astype(np.int64)"
                )
            )
        if prediction.ndim < 1 or target.shape != prediction.shape[:-1]:
            raise ValueError(
                f"CrossEntropy: target must have shape {prediction.shape[:-1]} for logits "
                f"(..., C) = {prediction.shape}, got {target.shape}"
                + ("; pass target.argmax(axis=-1)" if target.shape == prediction.shape else "")
            )
        return target

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        classes = prediction.shape[-1]
        if target.size and (int(target.min()) < 0 or int(target.max()) >= classes):
            at = tuple(int(axis[0]) for axis in ((target < 0) | (target >= classes)).nonzero())
            raise ValueError(
                f"CrossEntropy: target must hold class numbers 0..{classes - 1}, got {int(target[at])} at "
                f"index {at}; mask such elements or give the model more outputs"
            )
        # Subtracting the largest logit changes nothing and keeps exp from overflowing.
        shifted = prediction - prediction.max(axis=-1, keepdims=True) if prediction.size else prediction
        powers = xp.exp(shifted)
        total = powers.sum(axis=-1, keepdims=True)
        index = target[..., None]
        terms = (xp.log(total) - xp.take_along_axis(shifted, index, axis=-1))[..., 0]
        if gradient:
            powers /= total
            xp.put_along_axis(powers, index, xp.take_along_axis(powers, index, axis=-1) - 1, axis=-1)
        return terms, powers


@dataclass(frozen=True)
class BernoulliNLL(Loss):
    """Bernoulli negative log-likelihood of logits: mean of log(1 + e^ŷ) - y ŷ, with P(y = 1) = 1/(1 + e^-ŷ).

    Prediction (logits) and target (in [0, 1], floating point) have the same shape.

    Example:
        >>> import numpy as np
        >>> from rnnfast import losses
        >>> value, dlogits = losses.BernoulliNLL()(np.array([0.0]), np.array([1.0]))
        >>> round(value, 6), dlogits
        (0.693147, array([-0.5]))
    """

    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        # e^-|ŷ| never overflows: log(1 + e^ŷ) = max(ŷ, 0) + log1p(e^-|ŷ|).
        power = xp.exp(-xp.abs(prediction))
        terms = xp.maximum(prediction, 0) - prediction * target + xp.log1p(power)
        return terms, xp.where(prediction >= 0, 1, power) / (1 + power) - target
