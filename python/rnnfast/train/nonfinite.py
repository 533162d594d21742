"""What to say, and to whom, when a loss or a gradient is no longer finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnfast.nn.inputs import named_arrays, title

from .batches import Batch, describe_nonfinite
from .history import History
from .padding import real_steps
from .run import Run


class NonFiniteError(FloatingPointError):
    """A loss or a gradient was NaN, infinite or beyond what an optimizer can take; no step was made with it.

    Attributes:
        epoch: epoch in which it happened, counted from 1.
        step: step within the epoch, counted from 1; 0 for the validation after it.
        parameter: name of the first parameter whose gradient is not finite, else of the one with the largest
            gradient; None for a validation loss.
        gradient_norm: norm of that step's gradient; None for a validation loss.
        checkpoint: path of the last good checkpoint, None if there is none.
        history: of the epochs done.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.epoch: int = facts["epoch"]
        self.step: int = facts["step"]
        self.parameter: str | None = facts["parameter"]
        self.gradient_norm: float | None = facts["gradient_norm"]
        self.checkpoint: str | None = facts["checkpoint"]
        self.history: History = facts["history"]


def training_error(run: Run, what: str, *, batch: Batch, step: int, norm: float) -> NonFiniteError:
    """The error for a training step whose gradient lies in the buffer.

    Args:
        run: the fit.
        what: what is wrong, as in "the loss is nan".
        batch: the batch it happened on.
        step: step within the epoch, counted from 1.
        norm: norm of the gradient in the buffer.
    """
    epoch = run.epoch + 1
    parameter, found = _worst_gradient(run)
    before = "none" if run.gradient_norm is None else f"{run.gradient_norm:.4g}"
    parts = [
        f"train.fit: {what} at epoch {epoch}, step {step} (step {run.step + 1} in all)",
        f"gradient norm {norm:.4g} (of the step before: {before}), {found}",
    ]
    x, y, mask = batch
    kept = None if mask is None else mask.reshape(mask.shape + (1,) * (y.ndim - mask.ndim))
    faults = [
        (title("X", name), describe_nonfinite(array, real_steps(run.model, x, name)))
        for name, array in named_arrays(x)
    ]
    for role, fault in (*faults, ("Y", describe_nonfinite(y, kept))):
        if fault:
            parts.append(f"the batch's {role} holds {fault}")
    parts.append("the parameters are those before this step")
    checkpoint = _last_checkpoint(run)
    parts.append(
        f"last good checkpoint: {checkpoint or 'none, pass callbacks=(Checkpoint(path),) to have one'}"
    )
    if not any("the batch's" in part for part in parts):
        parts.append(f"likely fix: a learning rate below {run.optimizer.lr:g}, or clip_norm")
    return NonFiniteError(
        "; ".join(parts),
        epoch=epoch,
        step=step,
        parameter=parameter,
        gradient_norm=norm,
        checkpoint=checkpoint,
        history=run.history,
    )


def validation_error(run: Run, value: float) -> NonFiniteError:
    """The error for a validation loss that is not finite."""
    epoch = run.epoch + 1
    checkpoint = _last_checkpoint(run)
    return NonFiniteError(
        f"train.fit: the validation loss is {value} after epoch {epoch} (step {run.step} in all); look for "
        "NaN in the validation data, or for outputs too large for the loss; "
        f"last good checkpoint: {checkpoint or 'none'}",
        epoch=epoch,
        step=0,
        parameter=None,
        gradient_norm=None,
        checkpoint=checkpoint,
        history=run.history,
    )


def _worst_gradient(run: Run) -> tuple[str | None, str]:
    largest, worst = -1.0, None
    for name, parameter in run.model.named_parameters():
        grad = parameter.grad
        bad = grad.size - int(np.isfinite(grad).sum())
        if bad:
            return name, f"first not finite in {name} ({bad} of {grad.size} values)"
        size = float(np.abs(grad).max()) if grad.size else 0.0
        if size > largest:
            largest, worst = size, name
    return worst, f"the largest value, {largest:.4g}, in {worst}"


def _last_checkpoint(run: Run) -> str | None:
    paths = [saved for callback in run.callbacks if (saved := getattr(callback, "saved", None)) is not None]
    return str(paths[-1]) if paths else run.resumed_from


def step_limit(dtype: np.dtype[Any]) -> float:
    """Norm from which on a finite gradient is treated as if it were not: its square overflows in the moments.

    Below it no update can carry a finite parameter to infinity, so parameters need no check and no copy.
    """
    return math.sqrt(float(np.finfo(dtype).max))
