"""Metrics of a fit: running means over all unmasked elements of an epoch, accumulated in float64.

A metric is a name — a loss's name, "rmse" or "accuracy" — or a callable `metric(prediction, target)`, called
as `metric(prediction, target, mask)` where there is a mask, that returns the mean over the batch; losses are
such callables too. Not here: the metrics of forecasts (``forecast.metrics``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnfast import losses
from rnnfast.losses import broadcast_mask

Array = np.ndarray[Any, np.dtype[Any]]
MeanFunction = Callable[..., float]


class RunningMean:
    """The mean of a per-batch mean, each batch weighted by its number of elements.

    Args:
        name: its name in the history.
        function: (prediction, target) or (prediction, target, mask) to the mean over the batch.
        finish: applied to the mean over all batches.
    """

    def __init__(
        self, name: str, function: MeanFunction, finish: Callable[[float], float] | None = None
    ) -> None:
        self.name = name
        self.function = function
        self.finish = finish
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.total = 0.0
        self.weight = 0

    def add(self, prediction: Array, target: Array, mask: Array | None, weight: int) -> None:
        """Take in one batch of `weight` unmasked elements."""
        if weight:
            value = (
                self.function(prediction, target) if mask is None else self.function(prediction, target, mask)
            )
            self.total += float(value) * weight
            self.weight += weight

    def result(self) -> float:
        """The mean so far; NaN where there was nothing to average."""
        mean = self.total / self.weight if self.weight else math.nan
        return mean if self.finish is None else self.finish(mean)


def batch_weight(target: Array, mask: Array | None) -> int:
    """Number of target elements that count."""
    return target.size if mask is None else broadcast_mask("mask", mask, target.shape)[1]


def mean_function(loss: losses.LossFunction) -> MeanFunction:
    """The value of a loss without its gradient."""
    if isinstance(loss, losses.Loss):
        return loss.value
    return lambda *arguments: loss(*arguments)[0]


def accuracy(prediction: Array, target: Array, mask: Array | None = None) -> float:
    """Share of elements whose largest logit is the target's: mean of [argmax ŷ = y].

    Args:
        prediction: logits, shape (..., C).
        target: integers, shape (...).
        mask: bool, leading axes of the target; None counts all.

    Raises:
        ValueError: if the shapes do not belong together.

    Example:
        >>> import numpy as np
        >>> from rnnfast.train import accuracy
        >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
        0.5
    """
    if target.shape != prediction.shape[:-1]:
        raise ValueError(
            f"accuracy: target must have shape {prediction.shape[:-1]} for logits (..., C) = "
            f"{prediction.shape}, got {target.shape}"
        )
    hits = prediction.argmax(axis=-1) == target
    count = target.size
    if mask is not None:
        kept, count = broadcast_mask("accuracy", mask, target.shape)
        hits = hits & kept
    return float(hits.sum()) / count if count else 0.0


def make_metrics(operation: str, metrics: Sequence[str | Callable[..., Any]]) -> list[RunningMean]:
    """Turn names and callables into running means.

    Raises:
        ValueError: for an unknown name, or one used twice.
        TypeError: for something that is neither a name nor callable, or a single one outside a sequence.
    """
    if isinstance(metrics, str) or callable(metrics):
        raise TypeError(f"{operation}: metrics must be a sequence, got {metrics!r}; pass ({metrics!r},)")
    made = [_make_metric(operation, metric) for metric in metrics]
    names = [metric.name for metric in made]
    for name in names:
        if names.count(name) > 1 or name in ("loss", "lr", "seconds"):
            raise ValueError(f"{operation}: metrics must have names of their own, got {name!r} again")
    return made


def _make_metric(operation: str, metric: str | Callable[..., Any]) -> RunningMean:
    if metric == "rmse":
        return RunningMean("rmse", losses.MSE().value, math.sqrt)
    if metric == "accuracy":
        return RunningMean("accuracy", accuracy)
    if isinstance(metric, str):
        if metric not in losses.NAMED:
            known = ", ".join([*losses.NAMED, "rmse", "accuracy"])
            raise ValueError(f"{operation}: metrics must be among {known}, or callables, got {metric!r}")
        return RunningMean(metric, losses.NAMED[metric]().value)
    if not callable(metric) or isinstance(metric, type):
        raise TypeError(f"{operation}: metrics must be names or callables, got {metric!r}")
    if isinstance(metric, losses.Loss):
        return RunningMean(repr(metric), metric.value)
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None) or type(metric).__name__
    return RunningMean(name, metric)
