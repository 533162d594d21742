"""The shapes of all suites, and the problems of `kernels`: arrays, our job, the check before the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops, reference

from .checks import Array, check_gradients, check_outputs


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
    # Nothing is tuned on these.
    "odd": Shape(73, 17, 37, 127),
    "prime": Shape(41, 5, 19, 513),
    "tiny": Shape(30, 1, 3, 7),
    "wide": Shape(20, 256, 16, 48),
    "deep": Shape(400, 2, 40, 96),
}
# The shapes of the goals.
NAMED_SHAPES = ("geron", "small", "mid", "large", "b1", "rl")
# Hidden units of the suites of single steps and of blocks.
UNITS = {"h16": 16, "h32": 32, "h64": 64}


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
        sizes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, shape.inputs),
            "weight_hh": (rows, shape.hidden),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        if self.cell.unit_weights:
            sizes["weight_ch"] = (len(self.cell.unit_weights) * shape.hidden,)
        self.arrays: dict[str, Any] = {
            name: random.uniform(-bound, bound, size).astype(dtype) for name, size in sizes.items()
        }
        self.x = random.standard_normal((shape.batch, shape.steps, shape.inputs)).astype(dtype)
        self.dy = random.standard_normal((shape.batch, shape.steps, shape.hidden)).astype(dtype)
        self.weights = ops.RecurrentWeights(cell, **self.arrays)
        self._targets = {name: np.zeros_like(array) for name, array in self.arrays.items()}
        self._memory = ops.TapeMemory()

    def operations(self, mode: str) -> float:
        """Floating point operations of the products alone; training is three times inference."""
        steps, batch, inputs, hidden = self.shape
        products = 2.0 * steps * batch * len(self.cell.gates) * hidden * (inputs + hidden)
        return products if mode == "inference" else 3 * products

    def job(self, mode: str, *, packed: bool = False) -> Callable[[], object]:
        """One inference, or one training step without its optimizer: forward, gradients cleared, backward.

        Args:
            mode: "inference" or "training".
            packed: whether a training step finds its weights packed; else they have changed since the last
                one, as in training they have.
        """
        if mode == "inference":
            return lambda: ops.recurrent_forward(self.weights, self.x)
        if packed:
            return self._train

        def train() -> object:
            self.weights.refresh()
            return self._train()

        return train

    def _train(self) -> Array:
        """One forward and backward as layers of ``nn`` make them: gradients of weights are cleared and
        added to, and the tape has the memory of the last one. Returns dx.
        """
        for target in self._targets.values():
            target.fill(0)
        call = ops.StackCall(
            [self.weights],
            state=None,
            reset_state=None,
            lengths=None,
            resets=None,
            input_masks=[None],
            hidden_masks=[None],
            zoneout=[None],
            recompute=0,
            time_major=False,
        )
        _, _, _, tape = ops.stack_forward(call, self.x, memory=self._memory)
        assert tape is not None
        targets = [list(self._targets.values())]
        dx, _, _ = ops.stack_backward(tape, self.dy, targets=targets, weight_masks=[None])
        assert dx is not None
        return dx

    def gradients(self) -> dict[str, Array]:
        """Of x, as "x", and of every weight, by one training step; the next step overwrites those."""
        return {"x": self._train()} | self._targets

    def check_gradients(self) -> float:
        """Compare all gradients, at full size, with those in float64, whose tiles and blocks lie elsewhere.

        Returns:
            The largest difference, relative to the largest element of its array.

        Raises:
            ArithmeticError: if it is above the tolerance of the dtype.
        """
        exact = Problem(self.cell.name, self.shape, "float64", seed=0)
        exact.x, exact.dy = self.x.astype(np.float64), self.dy.astype(np.float64)
        arrays: dict[str, Any] = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        exact.weights = ops.RecurrentWeights(self.cell.name, **arrays)
        expected = exact.gradients()
        self._train()  # what follows is then, as what is timed, a step in memory of a step before
        pairs = ((gradient, expected[name]) for name, gradient in self.gradients().items())
        return check_gradients(f"{self.cell.name} at {self.shape}", pairs)

    def check(self) -> float:
        """Compare some samples and steps with the float64 reference.

        Returns:
            The largest difference.

        Raises:
            ArithmeticError: if it is above the tolerance of the dtype.
        """
        x = self.x[:3, :5]
        weights = reference.Weights(**{name: array.astype(np.float64) for name, array in self.arrays.items()})
        expected, _ = reference.recurrent(self.cell.name, x, None, weights)
        y, _, _ = ops.recurrent_forward(self.weights, x)
        terms = self.shape.inputs + self.shape.hidden
        return check_outputs(f"{self.cell.name} at {self.shape}", y, expected, terms)
