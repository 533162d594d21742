"""The problems that are timed: shapes, arrays, our own job, and the check that comes before the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops, reference


class Shape(NamedTuple):
    """Sizes of one layer: T steps, N sequences, I inputs, H hidden units."""

    steps: int
    batch: int
    inputs: int
    hidden: int


SHAPES = {
    "geron": Shape(56, 32, 1, 32),
    "small": Shape(100, 32, 64, 128),
    "mid": Shape(100, 64, 128, 256),
    "large": Shape(50, 64, 512, 1024),
    "b1": Shape(100, 1, 128, 256),
    "rl": Shape(16, 8, 64, 256),
}

# Largest difference to the float64 reference per square root of the number of terms in a sum.
_TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


def _arrays(gradient: Any) -> Sequence[np.ndarray[Any, Any]]:
    return gradient if isinstance(gradient, tuple) else (gradient,)


class Problem:
    """One cell at one shape: weights as PyTorch initialises them, normal inputs and incoming gradients.

    Args:
        cell: a name in ``ops.cells()``.
        shape: T, N, I, H.
        dtype: "float32" or "float64".
        seed: of everything random.
    """

    def __init__(self, cell: str, shape: Shape, dtype: str, *, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.cell = ops.cells()[cell]
        self.shape = shape
        rows = len(self.cell.gates) * shape.hidden
        bound = shape.hidden**-0.5
        self.arrays = {
            name: random.uniform(-bound, bound, size).astype(dtype)
            for name, size in {
                "weight_ih": (rows, shape.inputs),
                "weight_hh": (rows, shape.hidden),
                "bias_ih": (rows,),
                "bias_hh": (rows,),
            }.items()
        }
        self.x = random.standard_normal((shape.batch, shape.steps, shape.inputs)).astype(dtype)
        self.dy = random.standard_normal((shape.batch, shape.steps, shape.hidden)).astype(dtype)
        self.weights = ops.RecurrentWeights(cell, **self.arrays)

    def operations(self, mode: str) -> float:
        """Floating point operations of the products alone; training is three times inference."""
        steps, batch, inputs, hidden = self.shape
        products = 2.0 * steps * batch * len(self.cell.gates) * hidden * (inputs + hidden)
        return products if mode == "inference" else 3 * products

    def job(self, mode: str) -> Callable[[], object]:
        """One inference, or one training step, whose weights have changed since the last one."""
        if mode == "inference":
            return lambda: ops.recurrent_forward(self.weights, self.x)

        def train() -> object:
            self.weights.refresh()
            _, _, tape = ops.recurrent_forward(self.weights, self.x, training=True)
            assert tape is not None
            return ops.recurrent_backward(self.weights, tape, self.dy)

        return train

    def gradients(self) -> ops.RecurrentGradients:
        """One forward and backward."""
        _, _, tape = ops.recurrent_forward(self.weights, self.x, training=True)
        assert tape is not None
        return ops.recurrent_backward(self.weights, tape, self.dy)

    def check_gradients(self) -> float:
        """Compare all gradients, at full size, with those in float64, whose tiles and blocks lie elsewhere.

        Returns:
            The largest difference, relative to the largest element of its array.

        Raises:
            ArithmeticError: if it is above the tolerance of the dtype.
        """
        exact = Problem(self.cell.name, self.shape, "float64", seed=0)
        exact.x, exact.dy = self.x.astype(np.float64), self.dy.astype(np.float64)
        arrays = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        exact.weights = ops.RecurrentWeights(self.cell.name, **arrays)
        worst = 0.0
        for own, other in zip(self.gradients(), exact.gradients(), strict=True):
            for mine, expected in zip(_arrays(own), _arrays(other), strict=True):
                worst = max(worst, float(np.abs(mine - expected).max() / np.abs(expected).max()))
        if not worst <= (1e-3 if self.x.dtype == np.float32 else 1e-12):
            raise ArithmeticError(f"bench: gradients of {self.cell.name} are off by {worst:.1e}")
        return worst

    def check(self) -> float:
        """Compare some samples and steps with the float64 reference.

        Returns:
            The largest difference.

        Raises:
            ArithmeticError: if it is above the tolerance of the dtype.
        """
        x = self.x[:3, :5]
        weights = reference.Weights(**{name: array.astype(np.float64) for name, array in self.arrays.items()})
        batch = x.shape[0]
        zeros = tuple(np.zeros((batch, self.shape.hidden)) for _ in self.cell.states)
        expected, _ = reference.recurrent(self.cell.name, x.astype(np.float64), zeros, weights)
        y, _, _ = ops.recurrent_forward(self.weights, x)
        error = float(np.abs(y - expected).max())
        if not error <= _TOLERANCE[self.x.dtype.name] * (self.shape.inputs + self.shape.hidden) ** 0.5:
            raise ArithmeticError(f"bench: {self.cell.name} at {self.shape} is off by {error:.1e}; not timed")
        return error
