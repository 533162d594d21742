"""`rnnfast reproduce synthetic`: models of a chapter on recurrent networks on series that are made, not read.

Source: A. Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, second edition, 2019,
chapter 15. The series are the published ones to the bit; initial weights and shuffles are rnnfast's own, so
that the errors of trained models are compared by a bound, not by digits. Not here: the series and the
forecasts without training (`synthetic_series`), the table (`comparison`).
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnfast import models, nn, optim, train
from rnnfast.nn.parameter import Array

from .comparison import AllDigits, AtMost, Bound, Report
from .synthetic_series import (
    INPUT_LENGTH,
    TRAINING,
    VALIDATION,
    Task,
    least_squares_error,
    mean_squared_error,
    naive_error,
)

SOURCE = "Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow (2019), chapter 15"
EPOCHS = 20
BATCH_SIZE = 32
EVERY_STEP = slice(None)
EVERY_SECOND_STEP = slice(3, None, 2)  # a valid convolution's first output has seen steps 0 to 3
FACTOR = 1.5  # how far above a published error one may end with other initial weights and shuffles


@dataclass(frozen=True)
class SyntheticModel:
    """One trained model: what it is, how it is trained, what was published.

    Args:
        build: makes it from a seed.
        horizon: steps to forecast, the size of its output.
        published: validation error of the last step's forecast, as printed; of a band the upper end counts.
        learning_rate: of Adam.
        steps: those of the 50 after each of which it is trained to forecast; None: only the last.
        flat: reads [N, 50], not [N, 50, 1].
        beats_least_squares: must also be better than the best affine map.
    """

    build: Callable[[int], nn.Module]
    horizon: int
    published: str
    learning_rate: float = 0.001
    steps: slice | None = None
    flat: bool = False
    beats_least_squares: bool = False


class LastStep(nn.Module):
    """y = x_T: the last step of [N, T, F]."""

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, nn.Tape | None]:
        """Take the last step; see :class:`rnnfast.nn.Module`."""
        return x[:, -1], nn.Tape(self, x.shape) if training else None

    def backward(self, tape: nn.Tape | None, dy: Array) -> Array:
        """Zeros but for the last step; see :class:`rnnfast.nn.Module`."""
        shape = self._read(tape)
        self._close(tape)
        dx = np.zeros(shape, dy.dtype)
        dx[:, -1] = dy
        return dx


def last_state(cell: str, outputs: int) -> Callable[[int], nn.Module]:
    """Two layers of 20 units, the last hidden state into a linear layer."""
    return lambda seed: models.Seq2Vec(1, 20, outputs, num_layers=2, cell=cell, seed=seed)


def every_state(cell: str) -> Callable[[int], nn.Module]:
    """Two layers of 20 units, every hidden state into a linear layer of ten outputs."""
    return lambda seed: models.Seq2Seq(1, 20, 10, num_layers=2, cell=cell, seed=seed)


def normed_states(seed: int) -> nn.Module:
    """As `every_state` of "rnn", where each unit is normalised over the layer before its tanh."""
    return models.Seq2Seq(1, 20, 10, num_layers=2, cell="rnn", layer_norm="joint", seed=seed)


def downsampling(seed: int) -> nn.Module:
    """A convolution over 4 steps at every second step, two GRU layers, ten outputs at each of their steps."""
    front = {"channels": 20, "kernel_size": 4, "stride": 2, "activation": None}
    return models.Seq2Seq(1, 20, 10, num_layers=2, cell="gru", conv=front, seed=seed)


def wavenet(seed: int) -> nn.Module:
    """Causal convolutions over 2 steps, 1, 2, 4 and 8 apart, twice, each with ReLU; ten outputs a step."""
    return models.WaveNet(
        1, 20, 10, kernel_size=2, dilations=(1, 2, 4, 8), blocks=2, activation="relu", seed=seed
    )


def one_unit(seed: int) -> nn.Module:
    """A single recurrent unit, whose last state is the forecast."""
    return nn.Sequential(nn.RNN(1, 1, seed=seed), LastStep())


def three_layers(seed: int) -> nn.Module:
    """Recurrent layers of 20, 20 and 1 units, the last state of the last one is the forecast."""
    return nn.Sequential(nn.RNN(1, 20, 2, seed=seed), nn.RNN(20, 1, seed=seed + 1), LastStep())


def linear(outputs: int) -> Callable[[int], nn.Module]:
    """An affine map of the 50 values."""
    return lambda seed: nn.Linear(INPUT_LENGTH, outputs, seed=seed)


MODELS = {
    "1-step:linear": SyntheticModel(linear(1), 1, "0.004168", flat=True),
    "1-step:rnn-1": SyntheticModel(one_unit, 1, "0.010882", learning_rate=0.005),
    "1-step:rnn-20-20-1": SyntheticModel(three_layers, 1, "0.002911"),
    "1-step:rnn": SyntheticModel(last_state("rnn", 1), 1, "0.002624"),
    "10-steps:linear": SyntheticModel(linear(10), 10, "0.0187", flat=True),
    "10-steps:rnn": SyntheticModel(last_state("rnn", 10), 10, "0.0085", beats_least_squares=True),
    "seq-to-seq:rnn": SyntheticModel(
        every_state("rnn"),
        10,
        "0.0058–0.0096",
        learning_rate=0.01,
        steps=EVERY_STEP,
        beats_least_squares=True,
    ),
    "seq-to-seq:lstm": SyntheticModel(
        every_state("lstm"), 10, "0.00856", steps=EVERY_STEP, beats_least_squares=True
    ),
    "seq-to-seq:gru": SyntheticModel(
        every_state("gru"), 10, "0.01026", steps=EVERY_STEP, beats_least_squares=True
    ),
    "seq-to-seq:layer-norm": SyntheticModel(
        normed_states, 10, "0.0121", steps=EVERY_STEP, beats_least_squares=True
    ),
    "seq-to-seq:conv-gru": SyntheticModel(
        downsampling, 10, "0.0080", steps=EVERY_SECOND_STEP, beats_least_squares=True
    ),
    "seq-to-seq:wavenet": SyntheticModel(wavenet, 10, "0.0072", steps=EVERY_STEP, beats_least_squares=True),
}
NAIVE_PUBLISHED = {1: "0.020211367", 10: "0.25697407"}
LEAST_SQUARES_PUBLISHED = {1: "0.00293", 10: "0.01549"}
ITERATED = "10-steps:iterated"
ITERATED_MODEL = "1-step:rnn"
ITERATED_PUBLISHED = "0.02751"
ROWS = (
    "1-step:naive",
    "1-step:least-squares",
    *(row for row in MODELS if row.startswith("1-step:")),
    "10-steps:naive",
    "10-steps:least-squares",
    ITERATED,
    *(row for row in MODELS if not row.startswith("1-step:")),
)


class Runner:
    """Computes rows; series and trained models are made once and kept.

    Args:
        report: where the rows go.
        seed: of initial weights and shuffles.
    """

    def __init__(self, report: Report, seed: int) -> None:
        self._report, self._seed = report, seed
        self._task = functools.cache(Task.of)
        self._trained = functools.cache(self._train)

    def run(self, row: str) -> None:
        """Compute one of `ROWS` and add it to the report."""
        started = time.perf_counter()
        task = self._task(1 if row.startswith("1-step:") else 10)
        bound: Bound = AllDigits()
        if row.endswith(":naive"):
            published, measured = NAIVE_PUBLISHED[task.horizon], naive_error(task)
        elif row.endswith(":least-squares"):
            published, measured = LEAST_SQUARES_PUBLISHED[task.horizon], least_squares_error(task)
        elif row == ITERATED:
            published, measured, bound = ITERATED_PUBLISHED, self._iterated_error(task), AtMost(FACTOR)
        else:
            spec = MODELS[row]
            published, measured = spec.published, self._error(spec, self._trained(row), task)
            below = least_squares_error(task) if spec.beats_least_squares else math.inf
            bound = AtMost(FACTOR, below=below, below_name="least squares")
        self._report.add(row, "validation MSE", (published,), (measured,), bound)
        self._report.seconds[row] = time.perf_counter() - started

    def _train(self, row: str) -> nn.Module:
        spec = MODELS[row]
        task = self._task(spec.horizon)
        model = spec.build(self._seed)
        targets = task.targets(TRAINING)
        if spec.steps is not None:
            targets = task.targets_of_every_step(TRAINING)[:, spec.steps]
        train.fit(
            model,
            (_inputs(spec, task, TRAINING), targets),
            loss="mse",
            optimizer=optim.Adam(spec.learning_rate),
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            clip_norm=None,
            seed=self._seed,
            verbose=0,
        )
        return model

    def _error(self, spec: SyntheticModel, model: nn.Module, task: Task) -> float:
        prediction = model(_inputs(spec, task, VALIDATION))
        last = prediction if spec.steps is None else prediction[:, -1]
        return mean_squared_error(last, task.targets(VALIDATION))

    def _iterated_error(self, task: Task) -> float:
        """Ten steps with the model for one: each forecast becomes an input of the next."""
        model = self._trained(ITERATED_MODEL)
        series = task.inputs(VALIDATION)
        for _ in range(task.horizon):
            series = np.concatenate([series, model(series)[:, None]], axis=1)
        return mean_squared_error(series[:, INPUT_LENGTH:, 0], task.targets(VALIDATION))


def _inputs(spec: SyntheticModel, task: Task, part: slice) -> Array:
    inputs = task.inputs(part)
    return inputs[..., 0] if spec.flat else inputs
