"""Measuring and predicting with a model as it is: no dropout, no gradients, no change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnfast import losses
from rnnfast.nn.inputs import Inputs, predict_in_batches
from rnnfast.nn.module import Module

from .batches import Batches, make_batches
from .metrics import MeanFunction, RunningMean, batch_weight, make_metrics, mean_function

Array = np.ndarray[Any, np.dtype[Any]]


def evaluate(
    model: Module,
    data: Any,
    *,
    loss: str | losses.LossFunction = "mse",
    metrics: Sequence[str | Callable[..., Any]] = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Measure loss and metrics: means over all unmasked elements, accumulated in float64.

    Args:
        model: any module. An encoder–decoder is measured with teacher forcing: each step reads the true
            target of the step before, not what the model puts out itself.
        data: as in `fit`, where lengths make a mask too.
        loss: name or callable, see `losses.get`.
        metrics: names or callables, as in `fit`.
        batch_size: samples per batch, for arrays; it changes memory and time alone.

    Returns:
        "loss" and the metrics by name.

    Raises:
        ValueError: for arrays that do not fit together or hold NaN.
        TypeError: for data, losses or metrics of the wrong kind.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn, train
        >>> x = np.ones((8, 3), np.float32)
        >>> model = nn.Linear(3, 1, seed=0)
        >>> train.evaluate(model, (x, model(x)), metrics=("mae",))
        {'loss': 0.0, 'mae': 0.0}
    """
    batches = make_batches("train.evaluate", "data", data, model=model, batch_size=batch_size)
    running = make_metrics("train.evaluate", metrics)
    return measure("train.evaluate", model, batches, mean_function(losses.get(loss)), running)


def measure(
    operation: str,
    model: Module,
    batches: Batches,
    value_of: MeanFunction,
    metrics: Sequence[RunningMean],
) -> dict[str, float]:
    """Measure one pass of batches.

    Args:
        operation: who asks, for the error text.
        model: any module.
        batches: one pass of them.
        value_of: (prediction, target[, mask]) → mean loss over the batch.
        metrics: reset first.

    Returns:
        "loss" and the metrics by name.

    Raises:
        ValueError: if nothing was there to be measured.
    """
    means = [RunningMean("loss", value_of), *metrics]
    for mean in means:
        mean.reset()
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the result
        for x, y, mask in batches:
            weight = batch_weight(y, mask)
            if weight:
                prediction = model.chain_forward(x, False)[0]
                for mean in means:
                    mean.add(prediction, y, mask, weight)
    if not means[0].weight:
        raise ValueError(f"{operation}: data must give at least one batch with elements that count, got none")
    return {mean.name: mean.result() for mean in means}


def predict(model: Module, x: Inputs, *, batch_size: int = 256) -> Array:
    """Compute model(x) piece by piece, with memory for `batch_size` samples at a time.

    Args:
        model: any module but one whose `forward` reads the target, as that of an encoder–decoder does: what
            it puts out then is no prediction, use ``EncoderDecoder.predict(source, steps)``.
        x: samples along axis 0; or a dict of such arrays by the names of the arguments of the model's
            `forward`.
        batch_size: samples per piece; it changes memory and time, not a bit of the result.

    Returns:
        What the model gives for all samples, stacked along axis 0.

    Raises:
        TypeError: if x is not an array, or the model takes none of a name.
        ValueError: if x has no axis of samples, its arrays not as many each, batch_size is below 1, or the
            model's `forward` reads the target.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn, train
        >>> train.predict(nn.Linear(3, 2, seed=0), np.ones((1000, 3), np.float32)).shape
        (1000, 2)
    """
    if model.own_prediction is not None:
        raise ValueError(
            f"train.predict: model must predict from x alone, got {type(model).__name__}, whose forward "
            f"reads the target (teacher forcing); use {model.own_prediction}"
        )
    return predict_in_batches("train.predict", model, x, batch_size)
