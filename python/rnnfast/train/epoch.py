"""One epoch of training: per piece forward, loss, backward, gradient norm, one fused optimizer step.

A piece is a whole batch, or with truncated backpropagation k steps of its sequences. A step is made only with
a finite loss and a finite gradient. Few Python calls per piece, as small models are won here. Not here: the
kernels (``ops``), the order of batches (``batches``), what a piece is (``pieces``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnnfast import ops, optim
from rnnfast.losses import LossFunction

from .batches import Batches
from .callbacks import Callback
from .metrics import RunningMean
from .nonfinite import step_limit, training_error
from .pieces import Sequences
from .progress import Progress
from .run import Run


def train_epoch(
    run: Run,
    batches: Batches,
    *,
    sequences: Sequences,
    loss: LossFunction,
    metrics: Sequence[RunningMean],
    clip_norm: float | None,
    clip_value: float | None,
    watchers: Sequence[Callback],
    progress: Progress | None,
) -> dict[str, float]:
    """Make one step per piece of every batch.

    Args:
        run: the fit.
        batches: one pass of them.
        sequences: gives the pieces of a batch and runs the model on them.
        loss: (prediction, target[, mask]) → (value, dprediction).
        metrics: of the predictions that the steps are made from.
        clip_norm: bound on the global norm of the gradient, or None.
        clip_value: bound on every single gradient, applied first, or None.
        watchers: callbacks to be called after every batch.
        progress: to be told of every batch, or None.

    Returns:
        The means over the epoch, "loss" first.

    Raises:
        NonFiniteError: if a loss or a gradient is not finite; the parameters are those before that step.
        ValueError: if there was no batch, or none with an element that counts.
    """
    model, buffer, optimizer = run.model, run.buffer, run.optimizer
    grad = buffer.grad
    limit = step_limit(grad.dtype)
    step = weights = 0
    total = 0.0
    for metric in metrics:
        metric.reset()
    for batch in batches:
        pieces = batch_weights = 0
        batch_total = 0.0
        # No piece is given where nothing counts: a step without evidence would still move the parameters by
        # momentum.
        for x, y, mask, weight, place in sequences.pieces(batch):
            step += 1
            # NumPy need not warn of an overflow: it is reported below, with its circumstances.
            with np.errstate(over="ignore", invalid="ignore"):
                prediction, tape = sequences.forward(x)
                value, dprediction = loss(prediction, y) if mask is None else loss(prediction, y, mask)
                grad.fill(0)
                model.accumulate_gradients(tape, dprediction)
            value = float(value)  # a float32 scalar of the caller's loss would make the sums below float32
            norm = ops.global_norm(grad)
            if not math.isfinite(value):
                what = f"the loss is {value}{place}"
                raise training_error(run, what, batch=batch, step=step, norm=norm)
            if not math.isfinite(norm):
                what = f"the gradient is not finite{place}"
                raise training_error(run, what, batch=batch, step=step, norm=norm)
            clipped = norm
            if clip_value is not None:
                optim.clip_value(buffer, clip_value)
                clipped = ops.global_norm(grad)
            scale = 1.0 if clip_norm is None else optim.norm_scale(clipped, clip_norm)
            if clipped * scale * max(1.0, optimizer.lr) >= limit:
                what = f"the gradient times the learning rate {optimizer.lr:g} is too large for a step{place}"
                raise training_error(run, what, batch=batch, step=step, norm=norm)
            run.gradient_norm = norm
            optimizer.step(buffer, grad_scale=scale)
            run.step += 1
            total += value * weight
            weights += weight
            batch_total += value * weight
            batch_weights += weight
            pieces += 1
            for metric in metrics:
                metric.add(prediction, y, mask, weight)
        if not pieces:
            continue
        mean = value if pieces == 1 else batch_total / batch_weights  # the quotient alone would be rounded
        for watcher in watchers:
            watcher.on_batch_end(run, mean)
        if progress is not None:
            progress.advance(mean)
    if not step:
        raise ValueError("train.fit: data must give at least one batch with elements that count, got none")
    return {"loss": total / weights, **{metric.name: metric.result() for metric in metrics}}
