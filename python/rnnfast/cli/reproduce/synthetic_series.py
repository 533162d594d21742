"""Sums of two sine waves and noise, and what the chapter asks of them: one step ahead, or ten.

x(t) = .5 sin((t − o₁)(10 f₁ + 10)) + .2 sin((t − o₂)(20 f₂ + 20)) + .1 (u − .5), with f, o and u uniform on
[0, 1). Not here: models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnfast.nn.parameter import Array

SERIES_SEED = 42  # of the published runs: with another one the naive forecasts have other digits
SERIES = 10_000
TRAINING = slice(0, 7_000)
VALIDATION = slice(7_000, 9_000)
INPUT_LENGTH = 50


def make_series(count: int, length: int, seed: int = SERIES_SEED) -> Array:
    """Series [count, length], float32, each with frequencies and offsets of its own.

    Example:
        >>> from rnnfast.cli.reproduce.synthetic_series import make_series
        >>> make_series(2, 3).shape
        (2, 3)
    """
    random = np.random.RandomState(seed)
    frequency1, frequency2, offset1, offset2 = random.rand(4, count, 1)
    t = np.linspace(0, 1, length)
    series = 0.5 * np.sin((t - offset1) * (frequency1 * 10 + 10))
    series += 0.2 * np.sin((t - offset2) * (frequency2 * 20 + 20))
    series += 0.1 * (random.rand(count, length) - 0.5)
    narrow: Array = series.astype(np.float32)
    return narrow


@dataclass(frozen=True)
class Task:
    """Inputs of 50 steps [N, 50, 1] and the values that follow.

    Args:
        series: [10000, 50 + horizon].
        horizon: steps to forecast.
    """

    series: Array
    horizon: int

    @classmethod
    def of(cls, horizon: int) -> Task:
        """The task with this horizon; a series spans one unit of time, so that the tasks share no step."""
        return cls(make_series(SERIES, INPUT_LENGTH + horizon), horizon)

    def inputs(self, part: slice) -> Array:
        """The first 50 steps, [N, 50, 1]."""
        return self.series[part, :INPUT_LENGTH, None]

    def targets(self, part: slice) -> Array:
        """The steps after them, [N, horizon]."""
        return self.series[part, INPUT_LENGTH:]

    def targets_of_every_step(self, part: slice) -> Array:
        """The `horizon` steps after each of the 50, [N, 50, horizon]; the last ones are `targets`."""
        return sliding_window_view(self.series[part, 1:], self.horizon, axis=1)


def mean_squared_error(prediction: Array, target: Array) -> float:
    """Mean over a series' steps, then over the series, in float32: how the published digits were rounded."""
    return float(np.square(prediction - target).mean(axis=-1).mean())


def naive_error(task: Task) -> float:
    """Validation error of the last value, repeated."""
    return mean_squared_error(task.inputs(VALIDATION)[:, -1], task.targets(VALIDATION))


def least_squares_error(task: Task) -> float:
    """Validation error of the best affine map of the 50 values, in closed form."""

    def design(part: slice) -> Array:
        inputs = task.inputs(part)[..., 0].astype(np.float64)
        return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)

    solution = np.linalg.lstsq(design(TRAINING), task.targets(TRAINING).astype(np.float64), rcond=None)[0]
    return mean_squared_error(design(VALIDATION) @ solution, task.targets(VALIDATION))
