"""Linear autoregression with covariates, fitted by ridge least squares: the strongest plain baseline.

One regression for each step ahead, direct multi-step:
    f_{o+h} = β_h · [1, x_{o-1}, …, x_{o-p}, future covariates at o+h],   β_h = argmin Σ_o (x_{o+h} -
    f_{o+h})² + λ|β_h|²
the series standardised on the training part, the intercept not penalised.

Reference: Hoerl & Kennard 1970, Ridge regression; Hyndman & Athanasopoulos 2021, section 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.data import Scaler, fill_from_past, window_origins
from rnnfast.forecast.arguments import (
    Array,
    Origins,
    as_covariates,
    as_matrix,
    as_origins,
    check_seen,
    first_origin,
)

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
HELD_OUT = 0.15  # share of the windows, the latest ones, on which the penalty is chosen


class LinearAR:
    """Ridge regression on the last `lags` values and the future covariates of the step to predict.

    Args:
        horizon: steps to predict.
        lags: values to read before an origin, ≥ 1.
        penalty: λ ≥ 0; None chooses among 1, 10, 100, 1000 by the MAE on the last 15 % of the training
            windows, then fits on all of them.
        stride: steps between training origins, counted back from the end of the training series.
        season: season from which a missing value is filled.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> x = np.sin(np.arange(200.0))
        >>> method = LinearAR(1, lags=4, penalty=1e-6).fit(x[:190])
        >>> bool(abs(method.predict(x, origins=np.array([195]))[0, 0] - x[195]) < 1e-3)
        True
    """

    def __init__(
        self, horizon: int, lags: int, *, penalty: float | None = None, stride: int = 1, season: int = 1
    ) -> None:
        for name, value in (("horizon", horizon), ("lags", lags), ("stride", stride), ("season", season)):
            if value < 1:
                raise ValueError(f"LinearAR: {name} must be at least 1, got {value}")
        if penalty is not None and penalty < 0.0:
            raise ValueError(f"LinearAR: penalty must be at least 0, got {penalty}")
        self.horizon = horizon
        self.lags = lags
        self.penalty = penalty
        self.stride = stride
        self.season = season
        self.is_fitted = False
        self._series: Array | None = None
        self._future: Array | None = None
        self._scaler = Scaler()
        self._future_scaler = Scaler()
        self._coefficients: Array = np.empty(0)

    def fit(self, series: Array, *, past: Array | None = None, future: Array | None = None) -> LinearAR:
        """Fit on every window of the series; targets that are missing are left out.

        Args:
            series: [T] or [T, C]; NaN is a missing value.
            past: not used.
            future: [≥ T, F] covariates known ahead.

        Returns:
            The method itself.

        Raises:
            ValueError: fewer than two windows.
        """
        matrix = as_matrix("LinearAR.fit", "series", series)
        steps = matrix.shape[0]
        known = as_covariates("LinearAR.fit", "future", future, steps)
        origins = window_origins(steps, self.lags, self.horizon, stride=self.stride)
        origins = origins[origins >= first_origin(matrix)]
        if origins.size < 2:
            raise ValueError(
                f"LinearAR.fit: series must have at least two windows of lags + horizon = "
                f"{self.lags + self.horizon} steps, {self.stride} apart, got {steps} steps"
            )
        self._series, self._future = np.array(series, dtype=np.float64), future
        self._scaler.fit(matrix)
        if known.shape[1]:
            self._future_scaler.fit(known[:steps])
        filled, missing = fill_from_past(matrix, self.season)
        z, covariates = self._scaler.transform(filled), self._covariates(known)
        there = ~missing
        penalty = self.penalty
        if penalty is None:
            held_out = max(1, int(origins.size * HELD_OUT))
            # Windows whose targets overlap the held-out ones would let the penalty look ahead.
            fitting = origins[origins + self.horizon <= origins[-held_out]]
            penalty = 1.0
            if fitting.size:
                late = origins[-held_out:]
                truth = np.where(there, z, np.nan)[late[:, None] + np.arange(self.horizon)]
                errors = []
                for candidate in PENALTIES:
                    solved = self._solve(z, covariates, there, fitting, candidate)
                    errors.append(np.nanmean(np.abs(self._apply(solved, z, covariates, late) - truth)))
                penalty = PENALTIES[int(np.argmin(errors))]
        self._coefficients = self._solve(z, covariates, there, origins, penalty)
        self.is_fitted = True
        return self

    def predict(
        self,
        series: Array | None = None,
        *,
        past: Array | None = None,
        future: Array | None = None,
        origins: Array | None = None,
    ) -> Array:
        """Forecasts from every origin, of which each sees series[:origin] and the covariates of its horizon.

        Args:
            series: [T] or [T, C]; None is the series of `fit`.
            past: not used.
            future: [≥ last origin + horizon, F]; None is that of `fit`.
            origins: integers [K]; None is the end of the series.

        Returns:
            float64 [K, horizon] or [K, horizon, C]; without origins [horizon] or [horizon, C].

        Raises:
            RuntimeError: not fitted. ValueError: too little history, or covariates that end too early.
        """
        values = self._series if series is None else series
        if not self.is_fitted or values is None:
            raise RuntimeError("LinearAR.predict: the method must be fitted first; call fit(series)")
        matrix = as_matrix("LinearAR.predict", "series", values)
        where = as_origins("LinearAR.predict", origins, matrix.shape[0], self.lags)
        check_seen("LinearAR.predict", matrix, where)
        end = int(where.max(initial=0))
        known = as_covariates(
            "LinearAR.predict",
            "future",
            self._future if series is None and future is None else future,
            end + self.horizon,
        )
        filled, _ = fill_from_past(matrix[:end], self.season)
        z = self._scaler.transform(filled)
        result = self._scaler.inverse_transform(
            self._apply(self._coefficients, z, self._covariates(known), where)
        )
        if np.ndim(values) == 1:
            result = result[..., 0]
        return result[0] if origins is None else result

    def _covariates(self, known: Array) -> Array:
        return self._future_scaler.transform(known) if known.shape[1] else known

    def _design(self, z: Array, covariates: Array, origins: Origins, step: int) -> Array:
        lags = z[origins[:, None] - 1 - np.arange(self.lags)].reshape(origins.size, -1)
        return np.concatenate([np.ones((origins.size, 1)), lags, covariates[origins + step]], axis=1)

    def _solve(self, z: Array, covariates: Array, there: Array, origins: Origins, penalty: float) -> Array:
        columns = z.shape[1]
        solved: list[Any] = []
        for step in range(self.horizon):
            design = self._design(z, covariates, origins, step)
            ridge = penalty * np.eye(design.shape[1])
            ridge[0, 0] = 0.0
            for column in range(columns):
                kept = there[origins + step, column]
                rows, targets = design[kept], z[origins + step, column][kept]
                normal, moments = rows.T @ rows + ridge, rows.T @ targets
                # Without a penalty the normal equations may lack rank; least squares copes, at many times the
                # cost.
                solved.append(
                    np.linalg.solve(normal, moments)
                    if penalty > 0.0 and rows.shape[0]
                    else np.linalg.lstsq(normal, moments, rcond=None)[0]
                )
        return np.stack(solved).reshape(self.horizon, columns, -1)

    def _apply(self, coefficients: Array, z: Array, covariates: Array, origins: Origins) -> Array:
        steps = [
            self._design(z, covariates, origins, step) @ coefficients[step].T for step in range(self.horizon)
        ]
        return np.stack(steps, axis=1)
