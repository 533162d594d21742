"""Callbacks: code that runs at the seams of a fit. Early stopping and checkpoints are callbacks."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rnnfast.optim.optimizer import check_count

from .checkpoint import save_checkpoint
from .run import Run

Array = np.ndarray[Any, np.dtype[Any]]


class Callback:
    """Base of all callbacks; a subclass overrides what it needs.

    `run` is the :class:`~rnnfast.train.run.Run`: model, optimizer, history, `run.logs` of the last epoch, and
    `run.stop`, which a callback sets to True to end the fit after the epoch. Attributes that a resumed fit
    must find again go into `state_dict`.

    Example:
        >>> from rnnfast.train import Callback
        >>> class Target(Callback):
        ...     def on_epoch_end(self, run):
        ...         run.stop = run.logs["loss"] < 0.01
    """

    monitor: str | None = None  # the entry of the history that it reads, if any; checked before training
    order: ClassVar[int] = 0  # callbacks with a lower number are called first; Checkpoint comes last

    def on_fit_begin(self, run: Run) -> None:
        """Called once before the first epoch, on resume before the saved state is loaded."""

    def on_batch_end(self, run: Run, loss: float) -> None:
        """Called after every batch with its loss; costs nothing where it is not overridden.

        With `bptt` a batch makes several steps, and its loss is the mean over the elements of all of them.
        """

    def on_epoch_end(self, run: Run) -> None:
        """Called after every epoch, when validation, history and schedule are done."""

    def on_fit_end(self, run: Run) -> None:
        """Called once after the last epoch; not after an error."""

    def settings(self) -> dict[str, Any]:
        """The arguments it was made with; compared on resume.

        By default those arguments that are attributes of the same name and numbers, strings or None. A
        callback whose arguments change nothing in the fit, a log's file say, overrides this.
        """
        names = inspect.signature(type(self)).parameters
        kept = {name: vars(self)[name] for name in names if name in vars(self)}
        return {
            name: value
            for name, value in kept.items()
            if value is None or isinstance(value, (bool, int, float, str, np.number))
        }

    def state_dict(self) -> dict[str, Any]:
        """What a resumed fit must find again: numbers, strings, None, arrays."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""


def _check_mode(name: str, mode: str) -> str:
    if mode not in ("min", "max"):
        raise ValueError(f"{name}: mode must be 'min' or 'max', got {mode!r}")
    return mode


def _improved(value: float, best: float | None, mode: str, min_delta: float = 0.0) -> bool:
    if best is None:
        return not math.isnan(value)
    return value < best - min_delta if mode == "min" else value > best + min_delta


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved for `patience` epochs.

    Args:
        monitor: entry of the history to watch.
        patience: epochs without improvement after which to stop, at least 1.
        min_delta: an improvement by this much or less does not count.
        mode: "min" if lower is better, "max" if higher.
        restore_best: put the parameters of the best epoch back when the fit ends, whether it was stopped or
            not.

    Attributes:
        best: the best value, None before the first epoch.
        best_epoch: its epoch, counted from 1.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast.train import EarlyStopping
        >>> callbacks = (EarlyStopping(monitor="val_loss", patience=5, restore_best=True),)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = True,
    ) -> None:
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"EarlyStopping: min_delta must be 0 or more, got {min_delta}")
        self.monitor: str = monitor
        self.patience = check_count("EarlyStopping", "patience", patience, low=1)
        self.min_delta = min_delta
        self.mode = _check_mode("EarlyStopping", mode)
        self.restore_best = restore_best
        self._reset()

    def _reset(self) -> None:
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self._best_parameters: Array | None = None

    def on_fit_begin(self, run: Run) -> None:
        self._reset()

    def on_epoch_end(self, run: Run) -> None:
        value = run.logs[self.monitor]
        if _improved(value, self.best, self.mode, self.min_delta):
            self.best, self.best_epoch, self.waited = value, run.epoch, 0
            if self.restore_best:
                self._best_parameters = run.buffer.data.copy()
            return
        self.waited += 1
        if self.waited >= self.patience:
            run.stop = True

    def on_fit_end(self, run: Run) -> None:
        if self._best_parameters is not None:
            run.buffer.data[...] = self._best_parameters
            run.buffer.version += 1
            self._best_parameters = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "best_parameters": self._best_parameters,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self._best_parameters = state["best_parameters"]


class Checkpoint(Callback):
    """Write a checkpoint from which `train.fit(..., resume=path)` goes on with the same bits.

    Args:
        path: the file; "{epoch}" in it, as in "run-{epoch:03d}.npz", gives every checkpoint a file of its
            own.
        every: epochs between two checkpoints; the last epoch is always one.
        best_only: write only when `monitor` is better than at the last checkpoint.
        monitor: entry of the history to watch, for best_only.
        mode: "min" if lower is better, "max" if higher.

    Attributes:
        saved: path of the last checkpoint written, None before the first.

    Raises:
        ValueError: for a setting out of range.
        OSError: from `train.fit`, before training, if the folder does not exist or cannot be written to.

    Example:
        >>> from rnnfast.train import Checkpoint
        >>> callbacks = (Checkpoint("run.npz", every=5),)
    """

    order = 1  # after all others, whose state it saves

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        best_only: bool = False,
        monitor: str = "val_loss",
        mode: str = "min",
    ) -> None:
        self.path = os.fspath(path)
        self.every = check_count("Checkpoint", "every", every, low=1)
        self.best_only = best_only
        self.monitor = monitor if best_only else None
        self.mode = _check_mode("Checkpoint", mode)
        self.best: float | None = None
        self.saved: Path | None = None

    def on_fit_begin(self, run: Run) -> None:
        self.best = self.saved = None
        folder = self._target(1).parent
        if not folder.is_dir():
            raise FileNotFoundError(
                f"Checkpoint: the folder of path must exist, got {str(folder)!r}; make it first"
            )
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"Checkpoint: the folder of path must be writable, got {str(folder)!r}")

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch % self.every and not run.stop and run.epoch != run.epochs:
            return
        if self.monitor is not None:
            value = run.logs[self.monitor]
            if not _improved(value, self.best, self.mode):
                return
            self.best = value
        target = self._target(run.epoch)
        save_checkpoint(target, run.state_dict())
        self.saved = target

    def settings(self) -> dict[str, Any]:
        # Where and how often it writes changes nothing in the fit, so a resumed fit may choose anew.
        return {name: value for name, value in super().settings().items() if name not in ("path", "every")}

    def _target(self, epoch: int) -> Path:
        return Path(self.path.format(epoch=epoch) if "{epoch" in self.path else self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]
