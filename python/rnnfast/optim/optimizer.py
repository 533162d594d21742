"""The base of all optimizers: one flat buffer, its moments, a learning rate that schedules may change.

An optimizer serves one flat buffer (``model.flatten()``): its moments are made at the first step and stay
with that buffer. Each step is one fused kernel over the flat arrays. Not here: the kernels (``ops``),
schedules, clipping.
"""

from __future__ import annotations

import math
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from rnnfast.backend import array_namespace

Array = np.ndarray[Any, np.dtype[Any]]


class FlatBuffer(Protocol):
    """All parameters of a model in one array: what `model.flatten()` returns."""

    data: Array
    grad: Array
    version: int


class Optimizer(ABC):
    """Base of all optimizers.

    A subclass sets `moments`, the names of its arrays, passes its settings here and defines `_update`.

    Args:
        lr: learning rate, positive; the attribute `lr` may be changed between steps.
        weight_decay: factor of the penalty on the parameters.
        settings: further settings, kept in checkpoints and compared on resume.
    """

    moments: tuple[str, ...] = ()

    def __init__(self, lr: float, *, weight_decay: float = 0.0, **settings: float | bool) -> None:
        name = type(self).__name__
        self.lr = check_range(name, "lr", lr, low=0.0, low_open=True)
        self.weight_decay = check_range(name, "weight_decay", weight_decay, low=0.0)
        self.steps = 0
        self.settings: dict[str, float | bool] = {
            "lr": self.lr,
            "weight_decay": self.weight_decay,
            **settings,
        }
        self._scalars: dict[str, float] = {}  # what a step depends on beside the moments and the step count
        self._arrays: dict[str, Array] = {}
        self._owner: weakref.ref[Array] | None = None

    def step(self, buffer: FlatBuffer, *, grad_scale: float = 1.0) -> None:
        """Change the parameters by one step, in place.

        Args:
            buffer: the model's flat buffer, `model.flatten()`.
            grad_scale: factor on every gradient, from clipping by the global norm.

        Raises:
            TypeError: if it is none.
            ValueError: if the moments belong to another buffer.
        """
        owner = self._owner
        if owner is None or owner() is not getattr(buffer, "data", None):
            self._bind(buffer)
        self.steps += 1
        self._update(buffer.data, buffer.grad, grad_scale)
        buffer.version += 1

    @abstractmethod
    def _update(self, data: Array, grad: Array, grad_scale: float) -> None:
        """Write the new parameters into `data`; `self.steps` counts from 1."""

    def _bind(self, buffer: FlatBuffer) -> None:
        name = type(self).__name__
        if not all(hasattr(buffer, part) for part in FlatBuffer.__annotations__):
            raise TypeError(
                f"{name}.step: buffer must be a flat one, got {type(buffer).__name__}; pass model.flatten()"
            )
        if self._owner is not None:
            raise ValueError(
                f"{name}.step: buffer must be the one of the first step, got another; the moments "
                f"belong to the first model, make a new {name} for this one"
            )
        xp = array_namespace(buffer.data)
        for moment in self.moments:
            kept = self._arrays.get(moment)
            if kept is None:
                self._arrays[moment] = xp.zeros_like(buffer.data)
            elif kept.shape != buffer.data.shape or kept.dtype != buffer.data.dtype:
                raise ValueError(
                    f"{name}.step: {moment} must be {buffer.data.dtype} of shape {buffer.data.shape} as the "
                    f"parameters, got {kept.dtype} of {kept.shape}; the loaded state is another model's"
                )
        self._owner = weakref.ref(buffer.data)

    def state_dict(self) -> dict[str, Any]:
        """Copies of everything a later step depends on, numbers and moments, with name and settings."""
        arrays = {name: array.copy() for name, array in self._arrays.items()}
        return {
            "optimizer": type(self).__name__,
            "settings": dict(self.settings),
            "lr": self.lr,
            "steps": self.steps,
            "scalars": dict(self._scalars),
            "moments": arrays,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            ValueError: if the state is another optimizer's, has other settings, or lacks a moment; nothing is
                changed.
        """
        name = type(self).__name__
        if state["optimizer"] != name:
            raise ValueError(f"{name}.load_state_dict: state must be of {name}, got {state['optimizer']}")
        if dict(state["settings"]) != self.settings:
            raise ValueError(
                f"{name}.load_state_dict: settings must be {dict(state['settings'])} as saved, "
                f"got {self.settings}"
            )
        expected = set(self.moments) if state["steps"] else set()
        if set(state["moments"]) != expected:
            raise ValueError(
                f"{name}.load_state_dict: moments must be {sorted(expected)}, got {sorted(state['moments'])}"
            )
        self.lr = float(state["lr"])
        self.steps = int(state["steps"])
        self._scalars = dict(state["scalars"])
        self._arrays = {moment: array.copy() for moment, array in state["moments"].items()}
        self._owner = None  # the next step binds the buffer anew and checks its shape

    def __getstate__(self) -> dict[str, Any]:
        # A copy is bound to no buffer: its next step binds the one it gets, as after `load_state_dict`.
        return {**vars(self), "_owner": None}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"


def check_count(name: str, argument: str, value: int, *, low: int) -> int:
    """Return `value` as an int if it is one and at least `low`, else raise TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: {argument} must be an int, got {value!r}")
    if value < low:
        raise ValueError(f"{name}: {argument} must be at least {low}, got {value}")
    return int(value)


def check_range(
    name: str,
    argument: str,
    value: float,
    *,
    low: float,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = True,
) -> float:
    """Return `value` as a float if it lies between `low` and `high`, else raise TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: {argument} must be a number, got {value!r}")
    above = value > low if low_open else value >= low
    below = value < high if high_open else value <= high
    if not (above and below):
        brackets = "(["[not low_open], ")]"[not high_open]
        raise ValueError(
            f"{name}: {argument} must be in {brackets[0]}{low:g}, {high:g}{brackets[1]}, got {value}"
        )
    return float(value)
