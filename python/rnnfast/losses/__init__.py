"""Losses: value and gradient of the mean over unmasked elements.

`value, dprediction = loss(prediction, target, mask=None)`; how masks are aligned is told in ``losses.base``.
Not here: metrics that are no means (``train``), clipping (``optim``).
"""

from __future__ import annotations

from collections.abc import Callable

from .base import Loss, LossFunction, broadcast_mask
from .classification import BernoulliNLL, CrossEntropy
from .regression import MAE, MSE, Huber, Quantile

__all__ = [
    "MAE",
    "MSE",
    "NAMED",
    "BernoulliNLL",
    "CrossEntropy",
    "Huber",
    "Loss",
    "LossFunction",
    "Quantile",
    "broadcast_mask",
    "get",
]

NAMED: dict[str, Callable[[], Loss]] = {
    "mse": MSE,
    "mae": MAE,
    "huber": Huber,
    "cross_entropy": CrossEntropy,
    "bernoulli_nll": BernoulliNLL,
}


def get(loss: str | LossFunction) -> LossFunction:
    """Return the loss of that name with its defaults, or the callable that was passed.

    Args:
        loss: a name in `losses.NAMED`, or `loss(prediction, target, mask=None) -> (value, dprediction)`.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is neither a name nor callable.

    Example:
        >>> from rnnfast import losses
        >>> losses.get("huber")
        Huber(delta=1.0)
    """
    if isinstance(loss, str):
        if loss not in NAMED:
            raise ValueError(
                f"losses.get: loss must be one of {', '.join(NAMED)} or a callable, got {loss!r}; "
                f"losses with an argument are passed as objects, such as losses.Quantile(0.9)"
            )
        return NAMED[loss]()
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(
            f"losses.get: loss must be a name or a callable, got {loss!r}; "
            "pass an object such as losses.MSE()"
        )
    return loss
