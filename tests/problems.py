"""Random recurrent layers for tests: nothing in them is zero, neither biases nor states nor incoming
gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import nn, ops, reference

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass
class Problem:
    """One direction of one layer with everything that goes in, forward and backward."""

    cell: str
    x: Array
    state: tuple[Array, ...]
    weights: dict[str, Array]
    dy: Array
    dstate: tuple[Array, ...]
    reverse: bool = False
    packed: ops.RecurrentWeights = field(init=False)

    def __post_init__(self) -> None:
        self.packed = ops.RecurrentWeights(self.cell, **self.weights)

    def forward(self, **changes: Any) -> tuple[Array, tuple[Array, ...], Any]:
        """y, final state, tape."""
        options = {"reverse": self.reverse, "training": True, **changes}
        return ops.recurrent_forward(
            self.packed, options.pop("x", self.x), options.pop("state", self.state), **options
        )

    def backward(self, tape: Any) -> ops.RecurrentGradients:
        """All gradients."""
        return ops.recurrent_backward(self.packed, tape, self.dy, self.dstate)

    def reference(self) -> tuple[Array, tuple[Array, ...]]:
        """What forward should have given, in float64."""
        return reference.recurrent(
            self.cell, self.x, self.state, tuple(self.weights.values()), reverse=self.reverse
        )

    def inputs(self) -> dict[str, Array]:
        """Everything with a gradient, by name."""
        states = {
            f"state_{name}": part
            for name, part in zip(ops.cells()[self.cell].states, self.state, strict=True)
        }
        return {"x": self.x, **states, **self.weights}

    def with_inputs(self, arrays: Mapping[str, Array]) -> Problem:
        """The same problem at other values."""
        state = tuple(array for name, array in arrays.items() if name.startswith("state_"))
        weights = {name: arrays[name] for name in self.weights}
        return Problem(self.cell, arrays["x"], state, weights, self.dy, self.dstate, self.reverse)

    def outputs(self, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        """y and the final state at other values."""
        y, final, _ = self.with_inputs(arrays).forward(training=False)
        return (y, *final)


def make_problem(
    cell: str,
    batch: int,
    steps: int,
    inputs: int,
    hidden: int,
    dtype: Any = np.float64,
    *,
    bias: bool = True,
    reverse: bool = False,
    seed: int = 0,
) -> Problem:
    """A problem of these sizes."""
    random = np.random.default_rng([seed, batch, steps, inputs, hidden])
    info = ops.cells()[cell]
    rows = len(info.gates) * hidden

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (scale * random.standard_normal(shape)).astype(dtype)

    weights = {
        "weight_ih": normal(rows, inputs, scale=inputs**-0.5),
        "weight_hh": normal(rows, hidden, scale=hidden**-0.5),
    }
    if bias:
        weights |= {"bias_ih": normal(rows, scale=0.5), "bias_hh": normal(rows, scale=0.5)}
    states = range(len(info.states))
    return Problem(
        cell,
        normal(batch, steps, inputs),
        tuple(normal(batch, hidden) for _ in states),
        weights,
        normal(batch, steps, hidden),
        tuple(normal(batch, hidden) for _ in states),
        reverse,
    )


def gradients_by_name(problem: Problem, gradients: ops.RecurrentGradients) -> dict[str, Array]:
    """The gradients under the names of `Problem.inputs`."""
    states = zip(ops.cells()[problem.cell].states, gradients.dstate, strict=True)
    weights = {name: getattr(gradients, f"d{name}") for name in problem.weights}
    return {"x": gradients.dx, **{f"state_{name}": part for name, part in states}, **weights}


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bytes: +0 and -0 differ, a NaN equals itself."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def randomize(module: nn.Module, seed: int = 0) -> None:
    """All parameters random, biases too."""
    random = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data = 0.5 * random.standard_normal(parameter.shape)
