"""The state of a fit: what callbacks see, what a checkpoint holds, how one fit goes on from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnfast.nn.buffer import ParameterBuffer
from rnnfast.nn.module import Module
from rnnfast.optim import Optimizer, Schedule

from .history import History

if TYPE_CHECKING:
    from .callbacks import Callback

# Settings that are kept together in checkpoints, by the names that a caller knows.
_PARTS = {"data": ("samples", "batch_size", "shuffle"), "clip": ("clip_norm", "clip_value")}
_PLAIN = (
    "batch_size",
    "shuffle",
    "clip_norm",
    "clip_value",
    "bptt",
)  # a number or a flag that can be passed as shown


@dataclass
class Run:
    """One fit while it runs.

    Args:
        model: what is trained.
        buffer: its flat buffer.
        optimizer: with its moments.
        schedule: of the learning rate, or None.
        callbacks: in the order they are called.
        generator: source of the shuffle.
        source: the caller's batches, or None for arrays.
        settings: what has to be the same for a resumed fit to give the same bits.
        epochs: epochs to train in all.
        history: of the epochs done.
        epoch: epochs done.
        step: optimizer steps done.
        stop: True ends the fit after this epoch.
        gradient_norm: of the last step, before clipping; None before the first.
        resumed_from: the checkpoint that the fit started from, if any.
    """

    model: Module
    buffer: ParameterBuffer
    optimizer: Optimizer
    schedule: Schedule | None
    callbacks: Sequence[Callback]
    generator: np.random.RandomState
    source: Any
    settings: dict[str, Any]
    epochs: int
    history: History = field(default_factory=History)
    epoch: int = 0
    step: int = 0
    stop: bool = False
    gradient_norm: float | None = None
    resumed_from: str | None = None

    @property
    def logs(self) -> dict[str, float]:
        """What the last epoch measured."""
        return {name: values[-1] for name, values in self.history.history.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything the rest of the fit depends on, as a tree for `save_checkpoint`."""
        return {
            "model": {
                "class": type(self.model).__name__,
                "parameters": self.model.state_dict(),
                "random_state": self.model.random_state(),
            },
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "shuffle": self.generator.get_state(legacy=False),
            "batches": self.source.state_dict() if hasattr(self.source, "state_dict") else None,
            "history": self.history.history,
            "epoch": self.epoch,
            "step": self.step,
            "stop": self.stop,
            "settings": self.settings,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: if the fit that wrote it was set up differently, naming every difference.
        """
        saved, now = state["settings"], self.settings
        differences = [d for name in now for d in _differences(name, saved.get(name), now[name])]
        if differences:
            pairs = ", ".join(f"{name} was {was!r}, now {is_now!r}" for name, was, is_now in differences)
            again = [f"{name}={was!r}" for name, was, _ in differences if name in _PLAIN]
            fix = ", ".join(again) if len(again) == len(differences) else "what it was"
            raise ValueError(
                f"train.fit: resume must be set up as the fit that wrote the checkpoint: {pairs}; "
                f"pass {fix}, or leave resume out to train anew"
            )
        self.model.load_state_dict(state["model"]["parameters"])
        self.model.set_random_state(state["model"]["random_state"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        for callback, saved_state in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved_state)
        self.generator.set_state(state["shuffle"])
        if state["batches"] is not None:
            self.source.load_state_dict(state["batches"])
        self.history.history = {name: list(values) for name, values in state["history"].items()}
        self.epoch, self.step, self.stop = state["epoch"], state["step"], state["stop"]


def _differences(name: str, was: Any, now: Any) -> list[tuple[str, Any, Any]]:
    """(name, was, now) of everything that differs in one setting, parts of it by their own names."""
    parts = _PARTS.get(name, ())
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now) == len(parts):
        return [part for part in zip(parts, was, now, strict=True) if part[1] != part[2]]
    return [(name, was, now)] if was != now else []
