"""The end of a series, kept by a fitted forecaster so that it can go on from there, after loading too."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnfast.forecast.arguments import Array, as_covariates


class Context(NamedTuple):
    """The last rows of series [T, C], past [T, P] and future [T … T + horizon, F]."""

    series: Array
    past: Array
    future: Array

    @classmethod
    def end_of(cls, series: Array, past: Array, future: Array, *, length: int, horizon: int) -> Context:
        """The last `length` steps, with the future covariates that are known after them."""
        steps = series.shape[0]
        start = max(0, steps - length)
        return cls(series[start:], past[start:steps], future[start : steps + horizon])

    def followed_by(self, future: Array | None, horizon: int) -> Context:
        """The same with other future covariates after the end: [≥ horizon, F], or None for those it has."""
        if future is None:
            return self
        ahead = as_covariates("Forecaster.predict", "future", future, horizon)
        return self._replace(future=np.concatenate([self.future[: self.series.shape[0]], ahead]))

    def check_columns(self, operation: str, **given: Array) -> None:
        """Refuse arrays that do not have the columns of `fit`, naming the first."""
        for name, array in given.items():
            expected = getattr(self, name).shape[1]
            if array.shape[1] != expected:
                raise ValueError(
                    f"{operation}: {name} must have {expected} columns as in fit, got {array.shape[1]}"
                )
