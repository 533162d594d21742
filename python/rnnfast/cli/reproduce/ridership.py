"""`rnnfast reproduce ridership`: models of a chapter on recurrent networks, digit for digit, without PyTorch.

Source: A. Géron, Hands-On Machine Learning with Scikit-Learn and PyTorch, 2025, chapter on processing
sequences (notebook of ageron/handson-mlp at commit 3bac4bf6). Initial weights and shuffles come from
PyTorch's generator (`torch_random`), everything else is rnnfast's own: layers, loss, optimizer, schedule,
training loop. Not here: the models and what was printed for them (`ridership_models`), reading the file
(`ridership_data`), the table (`comparison`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from rnnfast import losses, optim, train
from rnnfast.nn.parameter import Array

from .comparison import AllDigits, Report
from .ridership_data import Ridership
from .ridership_models import MODELS, RidershipModel
from .torch_random import TorchGenerator

SOURCE = "Géron, Hands-On Machine Learning with Scikit-Learn and PyTorch (2025), notebook at 3bac4bf6"
SEED = 42
BATCH_SIZE = 32
TRAINING = ("2016-01-01", "2018-12-31")
VALIDATION = ("2019-01-01", "2019-05-31")
NAIVE = ("2019-03-01", "2019-05-31")
NAIVE_PUBLISHED = {"rail": "42,143.271739", "bus": "43,915.608696"}
ROWS = ("naive", *MODELS)
# The chapter's digits, for what is measured without its numbers at hand.
LIKE_AN_EPOCH = ("0.0000", "0.0000", "0.0000")
LIKE_THE_BEST = ("0,000.00000",)


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
        for epoch, printed in spec.epochs_printed.items():
            measured = tuple(history[name][epoch - 1] for name in ("loss", "mae", "val_mae"))
            quantity = f"epoch {epoch}: train loss, train MAE, validation MAE"
            if printed is None:
                report.add_unpublished(row, quantity, measured, printed_as=LIKE_AN_EPOCH)
            else:
                report.add(row, quantity, printed, measured, AllDigits())
        best = min(history["val_mae"]) * 1e6
        quantity = f"best validation MAE of {spec.epochs} epochs"
        if spec.best is None:
            report.add_unpublished(row, quantity, (best,), printed_as=LIKE_THE_BEST)
        else:
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
    spec.draw(model, generator)
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
