"""One layer of the suite `convolution` with its arrays: our jobs, and the check that comes before the clock.

The layer is called as a user calls it; all its parameters are random, also those that begin at zero or one.
Not here: which layers there are (`convolution_cases`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast import nn

from .checks import Array, check_gradients, check_outputs
from .convolution_cases import Case
from .timing import Job, Prepared


class ConvolutionProblem:
    """One case with its arrays.

    Args:
        case: the layer and its sizes.
        dtype: "float32" or "float64".
        seed: of everything random.
    """

    def __init__(self, case: Case, dtype: str, *, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.case = case
        self.layer = case.layer(np.dtype(dtype), seed)
        for name, parameter in self.layer.named_parameters():
            # Sums of any number of terms keep the size of one; layer norm's scale lies around one.
            scale = max(1, int(np.prod(parameter.shape[1:]))) ** -0.5
            centre = 1.0 if case.kind == "layer_norm" and name == "weight" else 0.0
            parameter.data = centre + random.uniform(-scale, scale, parameter.shape)
        self.x = random.standard_normal(case.x_shape).astype(dtype)
        self.dy = random.standard_normal(case.y_shape).astype(dtype)

    def arrays(self) -> dict[str, Array]:
        """The values of all parameters by name."""
        return {name: parameter.value for name, parameter in self.layer.named_parameters()}

    def gradients(self) -> dict[str, Array]:
        """Of one forward and backward: by name of the parameter, and of x."""
        self.layer.zero_grad()
        dx = self.layer.backward(self._tape(), self.dy)
        return {"x": dx} | {name: parameter.grad for name, parameter in self.layer.named_parameters()}

    def operations(self, mode: str) -> float | None:
        """Floating point operations of the products alone; None for a layer without any."""
        products = self.case.operations()
        return None if products is None else products * {"inference": 1, "backward": 2, "training": 3}[mode]

    def job(self, mode: str) -> Job | Prepared:
        """One inference, one training step whose weights have changed since the last one, or the backward
        half of that.
        """
        layer = self.layer
        if mode == "inference":
            return lambda: layer(self.x)
        buffers = [parameter.buffer for parameter in layer.parameters()]

        def begin() -> nn.Tape | None:
            for buffer in buffers:
                buffer.version += 1
            layer.zero_grad()
            return self._tape()

        if mode == "backward":
            return Prepared(begin, lambda tape: layer.backward(tape, self.dy))
        return lambda: layer.backward(begin(), self.dy)

    def check(self) -> tuple[float, float]:
        """Compare the first and the last sample with the reference, and all gradients with those of the same
        layer in float64, whose tiles lie elsewhere.

        Returns:
            The largest differences, of gradients relative to the largest element of an array.

        Raises:
            ArithmeticError: if one is above the tolerance of the dtype.
        """
        ends = [0, -1]
        named = {name: array.astype(np.float64) for name, array in self.arrays().items()}
        expected = self.case.expected(self.x[ends].astype(np.float64), named)
        error = check_outputs(str(self.case), self.layer(self.x)[ends], expected, self.case.terms)
        exact = ConvolutionProblem(self.case, "float64", seed=0)
        exact.layer.load_state_dict(named)
        exact.x, exact.dy = self.x.astype(np.float64), self.dy.astype(np.float64)
        others = exact.gradients()
        pairs = ((gradient, others[name]) for name, gradient in self.gradients().items())
        return error, check_gradients(str(self.case), pairs)

    def _tape(self) -> nn.Tape | None:
        tape: Any = self.layer.forward(self.x, training=True)[1]
        return tape  # type: ignore[no-any-return]
