"""A recurrent forecaster: direct multi-step, sequence to vector, with covariates and scaling inside.

The network reads the last `input_length` rows of `features` and gives, in one step, the whole horizon's
deviation from the reference (the mean of the last seasons, or the last value where there is no season). Every
origin is a row of one batch, so a rolling backtest is one prediction. Not here: what the rows hold
(``features``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnfast import optim, train
from rnnfast.data import window_origins
from rnnfast.forecast.arguments import (
    Array,
    Origins,
    as_covariates,
    as_matrix,
    as_origins,
    check_seen,
    first_origin,
)
from rnnfast.forecast.context import Context
from rnnfast.forecast.features import WindowFeatures, window_inputs
from rnnfast.forecast.settings import check_settings
from rnnfast.models import Seq2Vec
from rnnfast.models.io import write_archive


class Forecaster:
    """f_{o+h} = ref_{o+h} + std · (W h_o + b)_h, h_o the last state of a network that read up to origin o.

    Args:
        model: cell of the network: "gru", "lstm" or "rnn".
        input_length: steps read before an origin, ≥ 1.
        horizon: steps predicted from it, ≥ 1.
        season: steps in the season whose recent means are the reference (168 for hours with a weekly rhythm);
            None takes the last value instead.
        season_count: seasons to average.
        hidden_size: units of each recurrent layer.
        num_layers: recurrent layers.
        dropout: between recurrent layers, in training.
        stride: steps between training origins, counted back from the end of the training series. A day's
            length trains for forecasts at one hour of the day alone.
        epochs: passes over the training windows; the learning rate falls along a cosine over them.
        batch_size: windows per step.
        learning_rate: Adam's, at the start.
        loss: a name of `losses.get`, of values in standard deviations.
        clip_norm: bound on the gradient's norm, or None.
        patience: with `fit(valid=…)`, epochs without a better validation loss before training stops and the
            best parameters come back; None trains all epochs and keeps the last.
        dtype: float32 or float64.
        seed: of initial weights, dropout and shuffling.
        verbose: 1 shows a progress bar on a terminal, 2 a line per epoch anywhere.

    Attributes:
        history: `train.History` of the last fit. network: the `models.Seq2Vec`. is_fitted: bool.

    Raises:
        ValueError: an argument out of range. TypeError: one of the wrong kind.

    Example:
        >>> x = np.sin(np.arange(400) * 2 * np.pi / 12)
        >>> method = Forecaster("gru", 12, 4, season=12, hidden_size=4, epochs=2, verbose=0)
        >>> method.fit(x[:-4]).predict().shape
        (4,)

    Reference: Ben Taieb et al. 2012, on direct multi-step forecasts.
    """

    def __init__(
        self,
        model: str = "gru",
        input_length: int = 168,
        horizon: int = 24,
        *,
        season: int | None = None,
        season_count: int = 4,
        hidden_size: int = 48,
        num_layers: int = 1,
        dropout: float = 0.0,
        stride: int = 1,
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 4e-3,
        loss: str = "mae",
        clip_norm: float | None = 1.0,
        patience: int | None = None,
        dtype: Any = np.float32,
        seed: int = 0,
        verbose: int = 1,
    ) -> None:
        check_settings({name: value for name, value in locals().items() if name != "self"})
        self.model, self.input_length, self.horizon = model, input_length, horizon
        self.hidden_size, self.num_layers, self.dropout = hidden_size, num_layers, dropout
        self.stride, self.epochs, self.batch_size = stride, epochs, batch_size
        self.learning_rate, self.loss, self.clip_norm = learning_rate, loss, clip_norm
        self.patience, self.dtype, self.seed, self.verbose = patience, np.dtype(dtype), seed, verbose
        self.features = WindowFeatures(horizon, season=season, season_count=season_count)
        self.network: Seq2Vec | None = None
        self.history = train.History()
        self.is_fitted = False
        self._one_column = True
        self._context: Context | None = None

    def fit(
        self,
        series: Array,
        *,
        past: Array | None = None,
        future: Array | None = None,
        valid: int | float | Array | None = None,
        callbacks: Sequence[train.Callback] = (),
    ) -> Forecaster:
        """Train on every window of the series, anew at each call.

        Args:
            series: [T] or [T, C]; NaN is a missing value: read as filled from the past, never trained on.
            past: [≥ T, P] covariates known up to now; NaN is filled from the past.
            future: [≥ T, F] covariates known ahead.
            valid: what is held out for validation: the last steps of the series (int), a share of it (float),
                or the series that follows it [V] or [V, C] (past and future then cover both). No scale is
                taken from it.
            callbacks: of `train.fit`.

        Returns:
            The forecaster itself.

        Raises:
            ValueError: unlike lengths, or a part too short for one window.
        """
        matrix = as_matrix("Forecaster.fit", "series", series)
        steps = matrix.shape[0]
        if isinstance(valid, int | float | np.integer):
            steps -= int(valid * steps) if isinstance(valid, float) else int(valid)
        elif valid is not None:
            matrix = np.concatenate([matrix, as_matrix("Forecaster.fit", "valid", valid)])
        total = matrix.shape[0]
        past_known = as_covariates("Forecaster.fit", "past", past, total)
        future_known = as_covariates("Forecaster.fit", "future", future, total)
        held_out = self._origins("valid", total, start=steps) if steps < total else None
        # No window may begin before the first value, which fills the gap before it.
        origins = self._origins("series", steps, start=first_origin(matrix[:steps]))
        self.is_fitted, self._context = False, None  # should training fail, nothing half-fitted predicts
        self.features.fit(matrix[:steps], past_known, future_known)
        rows = self.features.rows(matrix, past_known, future_known)
        shape = (self.input_length, self.dtype)
        data = self.features.windows(rows, origins, *shape)
        self.network = Seq2Vec(
            rows.features.shape[1],
            self.hidden_size,
            self.horizon * matrix.shape[1],
            self.num_layers,
            cell=self.model,
            dropout=self.dropout,
            dtype=self.dtype,
            seed=self.seed,
        )
        stop = [train.EarlyStopping(patience=self.patience)] if self.patience is not None else []
        self.history = train.fit(
            self.network,
            data,
            loss=self.loss,
            optimizer=optim.Adam(self.learning_rate),
            epochs=self.epochs,
            batch_size=self.batch_size,
            validation=None if held_out is None else self.features.windows(rows, held_out, *shape),
            clip_norm=self.clip_norm,
            schedule=optim.CosineLR(self.epochs),
            callbacks=(*callbacks, *stop),
            seed=self.seed,
            verbose=self.verbose,
        )
        self._one_column = np.ndim(series) == 1
        reach = self.input_length + self.features.reach
        self._context = Context.end_of(matrix, past_known, future_known, length=reach, horizon=self.horizon)
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
        """Forecast from every origin in one batch; origin o sees series[:o], past[:o], future[:o + horizon].

        Args:
            series: [T] or [T, C] as in `fit`; None continues the series of `fit`.
            past: [≥ T, P] beside it.
            future: [≥ last origin + horizon, F] beside it; without a series [≥ horizon, F], what follows the
                series of `fit` (None where `fit` was given it).
            origins: integers [K]; None is the end of the series.

        Returns:
            float64 [K, horizon] or [K, horizon, C]; without origins [horizon] or [horizon, C].

        Raises:
            RuntimeError: not fitted. ValueError: too little history, or covariates that end too early.
        """
        operation = "Forecaster.predict"
        if self.network is None or self._context is None:
            raise RuntimeError(f"{operation}: the forecaster must be fitted first; call fit(series)")
        if series is None:
            if origins is not None:
                raise ValueError(f"{operation}: origins must come with a series, got origins alone")
            series, past, future = self._context.followed_by(future, self.horizon)
        matrix = as_matrix(operation, "series", series)
        where = as_origins(operation, origins, matrix.shape[0], self.features.first_row + self.input_length)
        check_seen(operation, matrix, where)
        end = int(where.max(initial=self.input_length))
        past_known = as_covariates(operation, "past", past, end)
        future_known = as_covariates(operation, "future", future, end + self.horizon)
        self._context.check_columns(operation, series=matrix, past=past_known, future=future_known)
        rows = self.features.rows(matrix[:end], past_known, future_known[: end + self.horizon])
        scaled = self.network.predict(window_inputs(rows, where, self.input_length, self.dtype)).astype(
            np.float64
        )
        deviation = scaled.reshape(where.size, self.horizon, -1) * self.features.level.scale
        result = self.features.base(rows, where) + deviation
        if self._one_column:
            result = result[..., 0]
        return np.asarray(result[0] if origins is None else result)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted forecaster, with the series' end, to one file that `rnnfast.load` reads.

        Args:
            path: ends in ``.npz`` or ``.safetensors``.

        Raises:
            RuntimeError: not fitted. OSError: the file cannot be written.
        """
        if self.network is None or self._context is None:
            raise RuntimeError("Forecaster.save: the forecaster must be fitted first; call fit(series)")
        header = {
            "class": "Forecaster",
            "arguments": self._arguments(),
            "network": self.network.arguments,
            "random_state": self.network.random_state(),
            "history": self.history.history,
            "one_column": self._one_column,
        }
        groups: dict[str, dict[str, Array]] = {"network": self.network.state_dict()}
        groups.update(features=self.features.state(), context=self._context._asdict())
        arrays = {f"{group}.{name}": a for group, named in groups.items() for name, a in named.items()}
        write_archive(path, header, arrays)

    @classmethod
    def from_archive(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Forecaster:
        """The forecaster of a header and arrays as `save` wrote them."""
        groups: dict[str, dict[str, Array]] = {"network": {}, "features": {}, "context": {}}
        for name, array in arrays.items():
            group, _, rest = name.partition(".")
            groups[group][rest] = array
        forecaster = cls(**header["arguments"])
        forecaster.network = Seq2Vec.from_archive(
            {"arguments": header["network"], "random_state": header["random_state"]}, groups["network"]
        )
        forecaster.features.load_state(groups["features"])
        forecaster.history = train.History(header["history"])
        forecaster._one_column = header["one_column"]
        forecaster._context = Context(**groups["context"])
        forecaster.is_fitted = True
        return forecaster

    def _arguments(self) -> dict[str, Any]:
        names = (
            "model", "input_length", "horizon", "hidden_size", "num_layers", "dropout", "stride", "epochs",
            "batch_size", "learning_rate", "loss", "clip_norm", "patience", "seed", "verbose",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "season": self.features.season,
            "season_count": self.features.season_count,
            "dtype": self.dtype.name,
        }

    def _origins(self, name: str, stop: int, *, start: int) -> Origins:
        first = self.features.first_row + self.input_length
        origins = window_origins(stop, first, self.horizon, stride=self.stride, start=start)
        if origins.size == 0:
            if name == "valid":
                need, got = f"{self.horizon}", stop - start
            else:
                need, got = f"{max(first, start) + self.horizon} (season, input, horizon)", stop
            raise ValueError(f"Forecaster.fit: {name} must have at least {need} steps, got {got}")
        return origins
