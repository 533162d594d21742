"""Training over epochs: shuffle, validation, schedule, callbacks, exact resume.

Not here: what happens within an epoch (``epoch``), how batches are made (``batches``) and cut in time
(``pieces``), what is saved (``run``).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnfast import init, losses, optim
from rnnfast.nn.module import Module
from rnnfast.optim import Optimizer, Schedule

from .batches import ArrayBatches, Batches, check_arrays, make_batches, number_of_batches, split_tail
from .callbacks import Callback
from .checkpoint import load_checkpoint
from .epoch import train_epoch
from .evaluate import measure
from .history import History
from .metrics import RunningMean, make_metrics, mean_function
from .nonfinite import validation_error
from .pieces import make_sequences
from .progress import start_progress
from .run import Run


def fit(
    model: Module,
    data: Any,
    *,
    loss: str | losses.LossFunction = "mse",
    optimizer: str | Optimizer | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    shuffle: bool = True,
    validation: Any = None,
    metrics: Sequence[str | Callable[..., Any]] = (),
    clip_norm: float | None = 1.0,
    clip_value: float | None = None,
    bptt: int | None = None,
    schedule: Schedule | None = None,
    callbacks: Sequence[Callback] = (),
    seed: int | None = 0,
    verbose: int = 1,
    resume: str | os.PathLike[str] | None = None,
) -> History:
    """Train a model on batches: p ← optimizer(p, clip(∂ mean loss(model(x), y) / ∂p)), batch after batch.

    Args:
        model: any module; changed in place.
        data: tuple (X, Y) or (X, Y, mask) of arrays with samples along axis 0, the mask bool as in `losses`;
            or an object that gives batches (x, y) or (x, y, mask), each time it is iterated over. X, or x,
            may be a dict of arrays by the names of the arguments of the model's `forward`: {"x": x,
            "lengths": lengths}. Padding, the steps behind a length, may hold anything. A model with one
            output per step (:class:`~rnnfast.models.Seq2Seq`) is then trained on its real steps alone: where
            no mask is given, it follows from the lengths, shortened as the model's `conv` does. An
            encoder–decoder's lengths are those of the source: mask the padding of its target yourself.
        loss: name or callable, see `losses.get`.
        optimizer: an optimizer, or a name for one with its defaults, see `optim.get`; None for "adam".
        epochs: epochs in all, those before a resume included.
        batch_size: samples per batch, for arrays.
        shuffle: whether arrays are visited in a new random order every epoch; given batches keep theirs.
        validation: data as above, measured after every epoch; or a fraction of the training arrays: the last
            samples, in their order, are then held out.
        metrics: names (of losses, "rmse", "accuracy") or callables (prediction, target[, mask]) → mean.
        clip_norm: bound on the global norm of the gradient, None for no bound.
        clip_value: bound on every single gradient, applied before `clip_norm`; None for no bound.
        bptt: k, for truncated backpropagation through time, see below; None for whole sequences.
        schedule: of the learning rate, stepped after every epoch.
        callbacks: called in order, checkpoints last.
        seed: seed of the shuffle; None for a fresh one.
        verbose: 0 for silence, 1 for one progress bar on stderr where that is a terminal, 2 for one plain
            line per epoch on stderr, terminal or not.
        resume: checkpoint written by :class:`Checkpoint` in a fit that was set up alike; training goes on
            after it with the same bits as if it had never stopped. For given batches this holds if their
            order is a function of the pass alone, or they have `state_dict` and `load_state_dict`.

    Returns:
        The history: per epoch "loss", the metrics, "val_…" of both, "lr" and "seconds".

    Raises:
        ValueError: for arrays that do not fit together or hold NaN, or a setting out of range.
        TypeError: for data, losses, metrics or callbacks of the wrong kind.
        NonFiniteError: if a loss or a gradient is not finite; the parameters are those before that step.
        FileNotFoundError: if there is no checkpoint to resume.

    Truncated backpropagation: with ``bptt=k`` the sequences of a batch are cut into pieces of k steps, and
    every piece makes one step of its own from the mean loss over its elements, clipped by itself. This is the
    usual loop of language models, and Keras' stateful training: T / k steps per batch, and memory for one
    piece. Adding the gradients of all pieces up for one step per batch would make fewer steps at the same
    cost. The state passes from piece to piece, its gradient does not: a piece starts from the numbers that
    the parameters of the steps before have left. Every batch starts from the model's initial state.
    A model with an output per step (:class:`~rnnfast.models.Seq2Seq`) is trained on all pieces, the last one
    being what is left of T. One with an output after the last step (:class:`~rnnfast.models.Seq2Vec`) makes
    one step per batch, from the last k steps; those before only carry the state, and what it starts from is
    not trained. Pieces without a target to learn from run at inference: no tape, no dropout. Every piece in
    training draws dropout masks of its own. Loss and metrics of an epoch are means over the elements of all
    pieces. With k ≥ T every bit is as with None. Bidirectional models and modules that are not
    :class:`RunsInPieces` are refused. X may have resets, and with an output per step lengths.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn, optim, train
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> model = nn.Linear(1, 1, seed=0)
        >>> history = train.fit(model, (x, 3 * x), optimizer=optim.Adam(0.1), epochs=60, verbose=0)
        >>> history.history["loss"][-1] < 0.01
        True
    """
    _check_settings(epochs, batch_size, clip_norm, clip_value, bptt, verbose)
    optimizer = optim.get("adam" if optimizer is None else optimizer)
    _check_schedule(schedule)
    generator = init.generator(seed)
    batches, held_out = _split(model, data, validation, batch_size, generator if shuffle else None)
    loss_function = losses.get(loss)
    running = make_metrics("train.fit", metrics)
    sequences = make_sequences(model, bptt)
    ordered = _ordered(callbacks)
    run = Run(
        model=model,
        buffer=model.flatten(),
        optimizer=optimizer,
        schedule=schedule,
        callbacks=ordered,
        generator=generator,
        source=None if isinstance(batches, ArrayBatches) else batches.batches,
        epochs=epochs,
        settings=_json_values(
            {
                "data": [batches.samples, batch_size, shuffle]
                if isinstance(batches, ArrayBatches)
                else "batches",
                "loss": _described(loss_function),
                "metrics": [metric.name for metric in running],
                "validation": held_out is not None,
                "optimizer": [type(optimizer).__name__, optimizer.settings],
                "schedule": None if schedule is None else [type(schedule).__name__, schedule.settings()],
                "clip": [clip_norm, clip_value],
                "bptt": bptt,
                "callbacks": [[type(callback).__name__, callback.settings()] for callback in ordered],
            }
        ),
    )
    _check_monitors(run, running, held_out is not None)
    for callback in ordered:
        callback.on_fit_begin(run)
    if resume is not None:
        run.load_state_dict(load_checkpoint(resume))
        run.resumed_from = os.fspath(resume)
    progress = start_progress(verbose, epochs=epochs, steps=number_of_batches(batches), done=run.epoch)
    watchers = [callback for callback in ordered if type(callback).on_batch_end is not Callback.on_batch_end]
    value_of = mean_function(loss_function)
    try:
        while run.epoch < epochs and not run.stop:
            start = time.perf_counter()
            lr = optimizer.lr
            logs = train_epoch(
                run,
                batches,
                sequences=sequences,
                loss=loss_function,
                metrics=running,
                clip_norm=clip_norm,
                clip_value=clip_value,
                watchers=watchers,
                progress=progress,
            )
            if held_out is not None:
                measured = measure("train.fit", model, held_out, value_of, running)
                if not math.isfinite(measured["loss"]):
                    raise validation_error(run, measured["loss"])
                logs.update({f"val_{name}": value for name, value in measured.items()})
            run.history.append({**logs, "lr": lr, "seconds": time.perf_counter() - start})
            run.epoch += 1
            if schedule is not None:
                schedule.step(optimizer, run.logs)
            for callback in ordered:
                callback.on_epoch_end(run)
            if progress is not None:
                progress.end_epoch(run.logs)
    finally:
        if progress is not None:
            progress.close()
    for callback in ordered:
        callback.on_fit_end(run)
    return run.history


def _split(
    model: Module, data: Any, validation: Any, batch_size: int, generator: np.random.RandomState | None
) -> tuple[Batches, Batches | None]:
    """The training and the validation batches."""
    if isinstance(validation, float):
        if not isinstance(data, tuple):
            raise TypeError(
                f"train.fit: validation as a fraction, {validation}, needs data as a tuple (X, Y) of arrays, "
                f"got {type(data).__name__}; pass the validation data itself"
            )
        head, tail = split_tail("train.fit", check_arrays("train.fit", "data", data, model), validation)
        return (
            ArrayBatches(*head, batch_size=batch_size, generator=generator),
            ArrayBatches(*tail, batch_size=batch_size, generator=None),
        )
    training = make_batches(
        "train.fit", "data", data, model=model, batch_size=batch_size, generator=generator
    )
    if validation is None:
        return training, None
    return training, make_batches("train.fit", "validation", validation, model=model, batch_size=batch_size)


def _ordered(callbacks: Sequence[Callback]) -> list[Callback]:
    if isinstance(callbacks, Callback) or not all(isinstance(callback, Callback) for callback in callbacks):
        raise TypeError(f"train.fit: callbacks must be a sequence of Callback objects, got {callbacks!r}")
    return sorted(callbacks, key=lambda callback: callback.order)  # stable: otherwise in the caller's order


def _check_monitors(run: Run, metrics: Sequence[RunningMean], validated: bool) -> None:
    names = ["loss", *(metric.name for metric in metrics)]
    names += [f"val_{name}" for name in names] if validated else []
    for watcher in (run.schedule, *run.callbacks):
        if watcher is not None and watcher.monitor is not None and watcher.monitor not in names:
            hint = "" if validated else "; pass validation=… to have val_ entries"
            raise ValueError(
                f"train.fit: monitor of {type(watcher).__name__} must be one of {', '.join(names)}, "
                f"got {watcher.monitor!r}{hint}"
            )


def _check_settings(
    epochs: int,
    batch_size: int,
    clip_norm: float | None,
    clip_value: float | None,
    bptt: int | None,
    verbose: int,
) -> None:
    counts = {"epochs": epochs, "batch_size": batch_size, **({} if bptt is None else {"bptt": bptt})}
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
            raise TypeError(f"train.fit: {name} must be an int, got {count!r}")
        if count < 1:
            raise ValueError(f"train.fit: {name} must be 1 or more, got {count}")
    for name, bound in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if bound is not None and not bound > 0:
            raise ValueError(f"train.fit: {name} must be positive, or None for no bound, got {bound}")
    if verbose not in (0, 1, 2):
        raise ValueError(f"train.fit: verbose must be 0, 1 or 2, got {verbose!r}")


def _check_schedule(schedule: Any) -> None:
    if schedule is None or isinstance(schedule, Schedule):
        return
    raise TypeError(
        f"train.fit: schedule must be an object of optim.CosineLR, optim.ReduceLROnPlateau, optim.StepLR or "
        f"another Schedule, got {schedule!r}; pass schedule=optim.CosineLR(epochs), say"
    )


def _described(loss: losses.LossFunction) -> str:
    return repr(loss) if isinstance(loss, losses.Loss) else getattr(loss, "__name__", type(loss).__name__)


def _json_values(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the types they will have when read from a checkpoint."""
    text = json.dumps(
        settings, default=lambda value: value.item() if isinstance(value, np.generic) else repr(value)
    )
    values: dict[str, Any] = json.loads(text)
    return values
