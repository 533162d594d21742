"""Optimizers by name, with the defaults of their classes."""

from __future__ import annotations

from collections.abc import Callable

from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, Nadam, RMSprop

NAMED: dict[str, Callable[[], Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": Nadam,
}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer of that name with its defaults, or the optimizer that was passed.

    Args:
        optimizer: "sgd", "rmsprop", "adam", "adamw", "nadam", or an optimizer.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is neither a name nor an optimizer.

    Example:
        >>> from rnnfast import optim
        >>> optim.get("adam").lr
        0.001
    """
    if isinstance(optimizer, str):
        if optimizer not in NAMED:
            raise ValueError(
                f"optim.get: optimizer must be one of {', '.join(NAMED)} or an optimizer, got {optimizer!r}; "
                f"settings are passed with objects, such as optim.Adam(3e-3)"
            )
        return NAMED[optimizer]()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optim.get: optimizer must be a name or an optimizer, got {optimizer!r}; "
            f"pass an object such as optim.Adam(1e-3)"
        )
    return optimizer
