"""`rnnfast reproduce ridership`: models of a chapter on recurrent networks, digit for digit, without PyTorch.

Source: A. Géron, Hands-On Machine Learning with Scikit-Learn and PyTorch, 2025, chapter on processing
sequences (notebook of ageron/handson-mlp at commit 3bac4bf6). Initial weights and shuffles come from
PyTorch's generator (`torch_random`), everything else is rnnfast's own: layers, loss, optimizer, schedule,
training loop. A further model of the chapter is one more entry of `MODELS`. Not here: reading the file
(`ridership_data`), the table (`comparison`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rnnfast import data, losses, models, nn, optim, train
from rnnfast.nn.parameter import Array

from .comparison import AllDigits, Bound, Report, Within
from .ridership_data import Ridership
from .torch_random import TorchGenerator, draw_parameters

SOURCE = "Géron, Hands-On Machine Learning with Scikit-Learn and PyTorch (2025), notebook at 3bac4bf6"
SEED = 42
BATCH_SIZE = 32
HIDDEN_SIZE = 32
WINDOW = 56
TRAINING = ("2016-01-01", "2018-12-31")
VALIDATION = ("2019-01-01", "2019-05-31")
NAIVE = ("2019-03-01", "2019-05-31")
NAIVE_PUBLISHED = {"rail": "42,143.271739", "bus": "43,915.608696"}
ALL_INPUTS = ("rail", "bus", "A", "U", "W")

Windows = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class RidershipModel:
    """One model of the chapter: what it is, how it is trained, what was published.

    Args:
        build: makes the model; its weights are then drawn in the order of its parameters.
        windows: cuts a series [days, columns] into the model's inputs and targets.
        epochs: how many to train.
        first_epochs: train loss, train MAE and validation MAE after each of the first epochs, as printed.
        best: the best validation MAE of all epochs, in boardings, as printed.
        best_bound: what the measured one must fulfil.
        columns: the model's inputs, columns of :class:`Ridership`.
        learning_rate: of SGD.
        momentum: of SGD.
        patience: epochs without a better validation MAE after which the learning rate falls.
        factor: to which share of itself it falls.
    """

    build: Callable[[], nn.Module]
    windows: Windows
    epochs: int
    first_epochs: tuple[tuple[str, str, str], ...]
    best: str
    best_bound: Bound
    columns: tuple[str, ...] = ("rail",)
    learning_rate: float = 0.05
    momentum: float = 0.95
    patience: int = 20
    factor: float = 0.1


def next_days(days: int, *, window: int = WINDOW, flat: bool = False) -> Windows:
    """Inputs [N, window, columns], or flat; targets: their first column on the next days [N, days]."""

    def cut(series: Array) -> tuple[Array, Array]:
        inputs, targets = data.windows(series, window, days)
        return inputs.reshape(len(inputs), -1) if flat else inputs, targets[..., 0]

    return cut


def last_state(cell: str, inputs: int, outputs: int) -> Callable[[], nn.Module]:
    """One recurrent layer, its last hidden state into a linear layer."""
    return lambda: models.Seq2Vec(inputs, HIDDEN_SIZE, outputs, cell=cell)


MODELS = {
    "linear": RidershipModel(
        build=lambda: nn.Linear(WINDOW, 1),
        windows=next_days(1, flat=True),
        epochs=50,
        first_epochs=(("0.0154", "0.1458", "0.1235"), ("0.0100", "0.1117", "0.0996")),
        best="37,725.72",
        best_bound=Within(1e-3),
        learning_rate=0.003,
        momentum=0.9,
        patience=10,
    ),
    "rnn": RidershipModel(
        build=last_state("rnn", 1, 1),
        windows=next_days(1),
        epochs=50,
        first_epochs=(("0.0487", "0.2535", "0.1329"), ("0.0181", "0.1523", "0.1268")),
        best="30,659.41",
        best_bound=Within(1e-3),
    ),
    "lstm": RidershipModel(
        build=last_state("lstm", 5, 14),
        windows=next_days(14),
        epochs=2,
        first_epochs=(("0.0940", "0.3618", "0.2087"), ("0.0258", "0.1747", "0.1717")),
        best="171,688.46726",
        best_bound=Within(1e-5),
        columns=ALL_INPUTS,
    ),
    "gru": RidershipModel(
        build=last_state("gru", 5, 14),
        windows=next_days(14),
        epochs=2,
        first_epochs=(("0.0813", "0.3289", "0.1561"), ("0.0212", "0.1757", "0.1410")),
        best="141,033.32162",
        best_bound=Within(1e-5),
        columns=ALL_INPUTS,
    ),
}
ROWS = ("naive", *MODELS)


class TorchBatches:
    """Batches in the order of a shuffling PyTorch `DataLoader`, another one at each pass.

    Args:
        inputs: [N, ...].
        targets: [N, ...].
        generator: PyTorch's global generator, after the weights were drawn from it.
    """

    def __init__(self, inputs: Array, targets: Array, generator: TorchGenerator) -> None:
        self._inputs, self._targets, self._generator = inputs, targets, generator

    def __len__(self) -> int:
        return -(-len(self._inputs) // BATCH_SIZE)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        self._generator.integer()  # a loader draws a seed for worker processes, whether it has any or not
        order = TorchGenerator(self._generator.integer()).permutation(len(self._inputs))
        for start in range(0, len(order), BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            yield self._inputs[chosen], self._targets[chosen]
        self._generator.integer()  # the validation loader's pass, which follows, draws one as well


class BatchLosses(train.Callback):
    """Keeps each loss: the chapter's train loss gives every batch one weight, the short last one too."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_batch_end(self, run: train.Run, loss: float) -> None:
        """Keep `loss`."""
        self.values.append(loss)


def run_row(row: str, ridership: Ridership, report: Report) -> None:
    """Compute one of `ROWS` and add it to the report."""
    started = time.perf_counter()
    if row == "naive":
        for name, published in NAIVE_PUBLISHED.items():
            report.add(row, f"{name} MAE", (published,), (naive_error(ridership, name),), AllDigits())
    else:
        spec = MODELS[row]
        history = fit_like_torch(spec, ridership)
        for epoch, printed in enumerate(spec.first_epochs):
            measured = tuple(history[name][epoch] for name in ("loss", "mae", "val_mae"))
            quantity = f"epoch {epoch + 1}: train loss, train MAE, validation MAE"
            report.add(row, quantity, printed, measured, AllDigits())
        best = min(history["val_mae"]) * 1e6
        quantity = f"best validation MAE of {spec.epochs} epochs"
        report.add(row, quantity, (spec.best,), (best,), spec.best_bound)
    report.seconds[row] = time.perf_counter() - started


def naive_error(ridership: Ridership, name: str) -> float:
    """Mean absolute error, in boardings, of forecasting each day as seven days before it."""
    chosen = ridership.days(*NAIVE)
    values = ridership.boardings[name]
    return float(np.abs(values[chosen] - values[chosen - 7]).mean())


def fit_like_torch(spec: RidershipModel, ridership: Ridership) -> dict[str, list[float]]:
    """Train a model with the weights and batches that PyTorch would have after `torch.manual_seed(42)`.

    Args:
        spec: the model and how it is trained.
        ridership: the data.

    Returns:
        By epoch: "loss" (mean of the batches' losses), "mae" (of the predictions made while training) and
        "val_mae", in millions.
    """
    generator = TorchGenerator(SEED)
    model = spec.build()
    draw_parameters(model.named_parameters(), generator)
    batches = TorchBatches(*spec.windows(ridership.series(spec.columns, *TRAINING)), generator)
    batch_losses = BatchLosses()
    history = train.fit(
        model,
        batches,
        loss=losses.Huber(delta=1.0),
        optimizer=optim.SGD(spec.learning_rate, momentum=spec.momentum),
        epochs=spec.epochs,
        validation=spec.windows(ridership.series(spec.columns, *VALIDATION)),
        metrics=("mae",),
        clip_norm=None,
        schedule=optim.ReduceLROnPlateau("val_mae", factor=spec.factor, patience=spec.patience),
        callbacks=(batch_losses,),
        verbose=0,
    )
    losses_by_epoch = np.reshape(batch_losses.values, (spec.epochs, len(batches)))
    return history.history | {"loss": losses_by_epoch.mean(axis=1).tolist()}
