"""The options that the suite `options` times: what each asks of a layer and of a call, and its goal.

Which cells have an option follows from the registry. Not here: the clock (`options`), what one layer does
(`layers`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import ops

from .problems import Shape

# A function of H; a function of a generator, N and T.
Settings = Callable[[int], dict[str, Any]]
Call = Callable[[np.random.Generator, int, int], dict[str, Any]]

# Goals are for layers of at least so many units; smaller ones are timed without a verdict.
SMALLEST_HIDDEN = 128


def _no_settings(hidden: int) -> dict[str, Any]:
    return {}


def nothing(random: np.random.Generator, batch: int, steps: int) -> dict[str, Any]:
    """The arguments of a plain call besides x: none."""
    return {}


def _lengths(random: np.random.Generator, batch: int, steps: int) -> dict[str, Any]:
    """Uniform in 1..T, one out of each N-th part of it, so that the mean is T/2 for few sequences too."""
    places = (random.permutation(batch) + random.random(batch)) / batch
    return {"lengths": 1 + np.floor(places * steps).astype(np.int64)}


def _resets(random: np.random.Generator, batch: int, steps: int) -> dict[str, Any]:
    """An episode ends at 2 % of the steps, and in any case one in the first sequence."""
    cuts = random.random((batch, steps)) < 0.02
    cuts[0, steps // 2] = True
    return {"resets": cuts}


@dataclass(frozen=True)
class Option:
    """One option.

    Args:
        name: what --options calls it.
        settings: arguments of ``nn.Recurrent`` by H.
        call: arguments of ``forward`` besides x.
        variant: what the name of the cell that has the option says in addition, where it is a cell's own.
        goal: largest ratio to the time of the plain layer; None for no goal.
        memory_goal: largest ratio of memory, which is measured where there is one.
        own_shape: name and sizes of the one shape that makes sense, whatever --shapes says.
    """

    name: str
    settings: Settings = _no_settings
    call: Call = nothing
    variant: str = ""
    goal: float | None = None
    memory_goal: float | None = None
    own_shape: tuple[str, Shape] | None = None

    def cell(self, plain: str) -> str | None:
        """The cell that has the option, in place of `plain`; None if there is none."""
        info, settings = ops.cells()[plain], self.settings(2)
        if "layer_norm" in settings and settings["layer_norm"] not in info.layer_norms:
            return None
        if "proj_size" in settings and not info.projectable:
            return None
        words = {*plain.split("_"), *self.variant.split("_")} - {""}
        if self.variant and words == set(plain.split("_")):
            return None  # the cell has it already
        return next((name for name in ops.cells() if set(name.split("_")) == words), None)


_EVERY = (
    Option("layer_norm_split", lambda hidden: {"layer_norm": "split"}, goal=1.25),
    Option("layer_norm_joint", lambda hidden: {"layer_norm": "joint"}, goal=1.25),
    Option("zoneout", lambda hidden: {"zoneout": 0.1}, goal=1.15),
    Option("recurrent_dropout", lambda hidden: {"recurrent_dropout": 0.2}, goal=1.15),
    Option("input_dropout", lambda hidden: {"input_dropout": 0.2}),
    Option("resets", call=_resets, goal=1.15),
    Option("weight_dropout", lambda hidden: {"weight_dropout": 0.2}, goal=1.15),
    Option("peephole", variant="peephole", goal=1.1),
    Option("coupled", variant="coupled"),
    Option("projection", lambda hidden: {"proj_size": hidden // 2}),
    Option("reset_before", variant="reset_before"),
    Option("lengths", call=_lengths, goal=0.65),
    Option(
        "recompute",
        lambda hidden: {"recompute": 16},
        goal=1.4,
        memory_goal=0.35,
        own_shape=("long", Shape(512, 64, 64, 256)),
    ),
)
OPTIONS = {option.name: option for option in _EVERY}


def verdict(goal: float | None, ratio: float, hidden: int) -> bool | None:
    """Whether the goal is met; None where there is none, or H is below `SMALLEST_HIDDEN`."""
    return None if goal is None or hidden < SMALLEST_HIDDEN else ratio <= goal
