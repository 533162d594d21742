"""What a forecaster's network reads and is trained on: one row of features per step, residuals as targets.

With x the filled series, H the horizon, m the season, and k0 = ceil(H / m) the first season that is known in
full at every origin, the *reference* of step t is the mean of the same step in the last n seasons,
    ref_t = mean_{k = k0 … k0+n-1} x_{t - m k},            without a season  ref_{o+h} = x_{o-1}.
The network predicts (x_{o+h} - ref_{o+h}) / std, what the reference misses. Row t holds
    (x_t - ref_t) / std         how far the present is from its reference        (with a season)
    (x_t - mean) / std          the level
    (ref_{t+H} - mean) / std    what the reference says a horizon ahead          (with a season)
    past covariates of t, standardised
    future covariates of t + H, and how far they are from *their* reference: a holiday in the horizon, or in
    the weeks
                                the reference is made of
so that the last H rows before an origin tell all that is known of the H steps to predict. Row t is computed
from x_0 … x_t and from covariates; nothing looks ahead. Missing values are filled from the past
(`data.fill_from_past`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rnnfast.data import Scaler, fill_from_past
from rnnfast.forecast.arguments import Array, Origins

# A covariate whose values all lie in [-1, 1] (a flag, a sine) is taken as it is: standardising a flag that is
# rarely set would blow it up.
UNIT_RANGE = 1.0 + 1e-9


class Rows(NamedTuple):
    """Arrays over T rows: features [T, F], reference [T + H, C], filled [T, C], missing [T, C]."""

    features: Array
    reference: Array
    filled: Array
    missing: Array


class WindowFeatures:
    """Turns a series and its covariates into rows; every statistic is taken from the training part.

    Args:
        horizon: H.
        season: m, or None.
        season_count: n, seasons the reference is the mean of.
    """

    def __init__(self, horizon: int, *, season: int | None, season_count: int) -> None:
        self.horizon = horizon
        self.season = season
        self.season_count = season_count
        self.level = Scaler()
        self.past = Scaler()
        self.future = Scaler()
        self.deviating: Array = np.empty(
            0, dtype=bool
        )  # future covariates that are not periodic in the season

    @property
    def first_row(self) -> int:
        """First row that has a reference."""
        return 0 if self.season is None else self.season * self._seasons_skipped

    @property
    def reach(self) -> int:
        """Rows before a window that its references are made of."""
        return 0 if self.season is None else self.first_row + self.season * self.season_count

    @property
    def _seasons_skipped(self) -> int:
        return 1 if self.season is None else -(-self.horizon // self.season)

    def fit(self, series: Array, past: Array, future: Array) -> None:
        """Take scales from the training part: series [T, C], past [T, P], future [≥ T, F]."""
        steps = series.shape[0]
        self.level.fit(series)
        if past.shape[1]:
            self.past.fit(past[:steps])
        if future.shape[1]:
            self.future.fit(future[:steps])
            small = np.abs(future[:steps]).max(axis=0) <= UNIT_RANGE
            self.future.center = np.where(small, 0.0, self.future.center)
            self.future.scale = np.where(small, 1.0, self.future.scale)
        self.deviating = np.zeros(future.shape[1], dtype=bool)
        if self.season is not None and future.shape[1]:
            deviation = self._deviation(self.future.transform(future[:steps]))[self.first_row :]
            self.deviating = np.abs(deviation).max(axis=0, initial=0.0) > 1e-6  # above rounding of sines

    def rows(self, series: Array, past: Array, future: Array) -> Rows:
        """Rows of series [T, C], as many as the covariates reach: `future` [T + H, F] gives all T."""
        horizon = self.horizon
        filled, missing = fill_from_past(series, self.season or 1)
        steps = filled.shape[0]
        reference = self.reference(filled)
        level = self.level.transform(filled)
        columns = [level]
        if self.season is not None:
            present = np.zeros_like(filled)
            there = slice(self.first_row, steps)
            present[there] = (filled[there] - reference[there]) / self.level.scale
            columns = [present, level, self.level.transform(reference[horizon:])]
        if past.shape[1]:
            scaled = self.past.transform(past[:steps])
            scaled[:1] = np.where(
                np.isnan(scaled[:1]), 0.0, scaled[:1]
            )  # a leading gap takes training's mean
            columns.append(fill_from_past(scaled, self.season or 1)[0])
        if future.shape[1]:
            steps = min(steps, future.shape[0] - horizon)
            known = self.future.transform(future)
            columns.append(known[horizon : horizon + steps])
            if self.deviating.any():
                deviation = self._deviation(known)[:, self.deviating]
                columns.append(deviation[horizon : horizon + steps])
        features = np.concatenate([column[:steps] for column in columns], axis=1)
        return Rows(features, reference, filled, missing)

    def reference(self, filled: Array) -> Array:
        """ref_t for t = 0 … T + H - 1, [T + H, C]; NaN before `first_row`, everywhere without a season."""
        steps, columns = filled.shape
        reference = np.full((steps + self.horizon, columns), np.nan)
        if self.season is None:
            return reference
        total = np.zeros_like(reference)
        count = np.zeros((steps + self.horizon, 1))
        skipped = self._seasons_skipped
        for k in range(skipped, skipped + self.season_count):
            lag = self.season * k
            stop = min(steps + self.horizon, steps + lag)
            if lag < stop:
                total[lag:stop] += filled[: stop - lag]
                count[lag:stop] += 1.0
        # The first seasons have fewer than n before them: the mean of those there are.
        known = count[:, 0] > 0.0
        reference[known] = total[known] / count[known]
        return reference

    def targets(self, rows: Rows, origins: Origins) -> tuple[Array, Array]:
        """Scaled residuals and a mask (True: to be learned) of the horizons after origins: [K, H, C] both."""
        ahead = origins[:, None] + np.arange(self.horizon)
        values = (rows.filled[ahead] - self.base(rows, origins)) / self.level.scale
        return values, ~rows.missing[ahead]

    def windows(
        self, rows: Rows, origins: Origins, input_length: int, dtype: np.dtype[Any]
    ) -> tuple[Array, Array, Array]:
        """Training data of the origins: inputs [K, L, F], targets and mask [K, H·C]."""
        targets, mask = self.targets(rows, origins)
        inputs = window_inputs(rows, origins, input_length, dtype)
        return inputs, targets.reshape(origins.size, -1).astype(dtype), mask.reshape(origins.size, -1)

    def base(self, rows: Rows, origins: Origins) -> Array:
        """What the network's residual is added to, [K, H, C]."""
        if self.season is None:
            return np.repeat(rows.filled[origins - 1][:, None], self.horizon, axis=1)
        return np.asarray(rows.reference[origins[:, None] + np.arange(self.horizon)])

    def _deviation(self, known: Array) -> Array:
        """known minus its own reference, both of the same rows; 0 where there is no reference yet."""
        reference = self.reference(known)[: known.shape[0]]
        return np.where(np.isnan(reference), 0.0, known - reference)

    def state(self) -> dict[str, Array]:
        """The fitted statistics as arrays, for saving."""
        arrays = {"deviating": self.deviating}
        for name, scaler in self._scalers().items():
            if scaler.scale.size:
                arrays[f"{name}.center"], arrays[f"{name}.scale"] = scaler.center, scaler.scale
        return arrays

    def load_state(self, arrays: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.deviating = np.asarray(arrays["deviating"], dtype=bool)
        for name, scaler in self._scalers().items():
            if f"{name}.center" in arrays:
                scaler.center, scaler.scale = arrays[f"{name}.center"], arrays[f"{name}.scale"]

    def _scalers(self) -> dict[str, Scaler]:
        return {"level": self.level, "past": self.past, "future": self.future}


def window_inputs(rows: Rows, origins: Origins, input_length: int, dtype: np.dtype[Any]) -> Array:
    """The rows before each origin, [K, input_length, F]: a view where the origins are evenly spaced."""
    table = np.ascontiguousarray(rows.features, dtype=dtype)
    # The view [row, F, step] becomes [row, step, F]: windows overlap in memory, and a batch alone is ever
    # copied.
    every = np.swapaxes(sliding_window_view(table, input_length, axis=0), 1, 2)
    first = origins - input_length
    apart = np.diff(first)
    if apart.size and apart[0] > 0 and (apart == apart[0]).all():
        return np.asarray(every[first[0] : first[-1] + 1 : apart[0]])
    return np.ascontiguousarray(every[first])
