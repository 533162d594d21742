"""Learning rate schedules, one step per epoch: on a plateau, by steps, along a cosine. Rules are PyTorch's.

`train.fit` calls `schedule.step(optimizer, logs)` after every epoch, validation included. Not here: what the
learning rate does (``optimizers``).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from .optimizer import Optimizer, check_count, check_range


class Schedule(ABC):
    """Base of all schedules; a subclass sets its settings as public and its state as private attributes."""

    monitor: str | None = None  # the entry of `logs` that `step` reads, if any

    @abstractmethod
    def step(self, optimizer: Optimizer, logs: Mapping[str, float]) -> None:
        """Set `optimizer.lr` for the next epoch.

        Args:
            optimizer: whose learning rate to set.
            logs: what the epoch measured: "loss", "val_loss", the metrics.
        """

    def settings(self) -> dict[str, Any]:
        """The arguments it was made with; compared on resume."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def state_dict(self) -> dict[str, Any]:
        """Everything a later step depends on."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: if the state is another schedule's.
        """
        if state.keys() != self.state_dict().keys():
            name = type(self).__name__
            raise ValueError(f"{name}.load_state_dict: state must be of {name}, got {sorted(state)}")
        vars(self).update(state)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"{type(self).__name__}({settings})"


class ReduceLROnPlateau(Schedule):
    """Multiply the learning rate by `factor` once `monitor` has not improved for more than `patience` epochs.

    Args:
        monitor: entry of the history to watch.
        mode: "min" if lower is better, "max" if higher.
        factor: in (0, 1).
        patience: epochs without improvement that are tolerated.
        threshold: what counts as better: below best · (1 - threshold), in mode "max" above best · (1 +
            threshold).
        threshold_mode: "rel" as above, or "abs": below best - threshold, above best + threshold.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the floor of the learning rate.
        eps: a reduction by less than this is left out.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import optim
        >>> schedule, optimizer = optim.ReduceLROnPlateau(patience=1), optim.SGD(0.1)
        >>> for val_loss in (1.0, 1.0, 1.0):
        ...     schedule.step(optimizer, {"val_loss": val_loss})
        >>> round(optimizer.lr, 6)
        0.01
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        if mode not in ("min", "max"):
            raise ValueError(f"{name}: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"{name}: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.factor = check_range(name, "factor", factor, low=0.0, high=1.0, low_open=True)
        self.patience = check_count(name, "patience", patience, low=0)
        self.threshold = check_range(name, "threshold", threshold, low=0.0)
        self.threshold_mode = threshold_mode
        self.cooldown = check_count(name, "cooldown", cooldown, low=0)
        self.min_lr = check_range(name, "min_lr", min_lr, low=0.0)
        self.eps = check_range(name, "eps", eps, low=0.0)
        self._best: float | None = None
        self._bad_epochs = 0
        self._cooling = 0

    def step(self, optimizer: Optimizer, logs: Mapping[str, float]) -> None:
        value = float(logs[self.monitor])  # type: ignore[index]
        if self._better(value):
            self._best = value
            self._bad_epochs = 0
        else:
            self._bad_epochs += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._bad_epochs = 0
        if self._bad_epochs > self.patience:
            lr = max(optimizer.lr * self.factor, self.min_lr)
            if optimizer.lr - lr > self.eps:
                optimizer.lr = lr
            self._cooling = self.cooldown
            self._bad_epochs = 0

    def _better(self, value: float) -> bool:
        if self._best is None:
            return not math.isnan(value)
        sign = -1.0 if self.mode == "min" else 1.0
        bound = (
            self._best * (1.0 + sign * self.threshold)
            if self.threshold_mode == "rel"
            else self._best + sign * self.threshold
        )
        return value < bound if self.mode == "min" else value > bound


class StepLR(Schedule):
    """Multiply the learning rate by `gamma` every `step_size` epochs.

    Args:
        step_size: epochs between two reductions.
        gamma: in (0, 1].

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import optim
        >>> schedule, optimizer = optim.StepLR(2, gamma=0.5), optim.SGD(0.1)
        >>> for _ in range(4):
        ...     schedule.step(optimizer, {})
        >>> optimizer.lr
        0.025
    """

    def __init__(self, step_size: int, *, gamma: float = 0.1) -> None:
        self.step_size = check_count("StepLR", "step_size", step_size, low=1)
        self.gamma = check_range("StepLR", "gamma", gamma, low=0.0, high=1.0, low_open=True, high_open=False)
        self._epoch = 0

    def step(self, optimizer: Optimizer, logs: Mapping[str, float]) -> None:
        self._epoch += 1
        if self._epoch % self.step_size == 0:
            optimizer.lr *= self.gamma


class CosineLR(Schedule):
    """Half a cosine: lr_t = min_lr + (lr_0 - min_lr)(1 + cos(π t / T)) / 2.

    Epoch 1 runs at lr_0, epoch T + 1 and all after it at `min_lr`.

    Args:
        epochs: T.
        min_lr: the learning rate at the end.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import optim
        >>> schedule, optimizer = optim.CosineLR(2), optim.SGD(0.1)
        >>> schedule.step(optimizer, {})
        >>> round(optimizer.lr, 6)
        0.05

    Reference:
        Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, equation 5.
    """

    def __init__(self, epochs: int, *, min_lr: float = 0.0) -> None:
        self.epochs = check_count("CosineLR", "epochs", epochs, low=1)
        self.min_lr = check_range("CosineLR", "min_lr", min_lr, low=0.0)
        self._epoch = 0
        self._first_lr: float | None = None

    def step(self, optimizer: Optimizer, logs: Mapping[str, float]) -> None:
        if self._first_lr is None:
            self._first_lr = optimizer.lr
        self._epoch = min(self._epoch + 1, self.epochs)
        share = (1.0 + math.cos(math.pi * self._epoch / self.epochs)) / 2.0
        optimizer.lr = self.min_lr + (self._first_lr - self.min_lr) * share
