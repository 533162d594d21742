"""One ``nn`` layer with its options at one shape: our job, and the check that comes before the clock.

The layer is called as a user calls it: forward, backward, masks drawn anew, weights changed since the last
step. All its parameters are random, also those that begin at zero or one. Not here: which options there are
(`catalogue`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnfast import nn, reference

from .catalogue import Call, nothing
from .checks import Array, check_gradients, check_outputs
from .problems import Shape

# Samples and steps of the check: enough for some of all masks, and for two segments of a recomputed pass.
_SAMPLES, _STEPS = 3, 40


class LayerProblem:
    """One layer with its input.

    Args:
        cell: a name in ``ops.cells()``.
        shape: T, N, I, H.
        dtype: "float32" or "float64".
        settings: further arguments of ``nn.Recurrent``.
        call: makes the further arguments of ``forward``.
        seed: of everything random; x is the same for all layers of a shape.
    """

    def __init__(
        self,
        cell: str,
        shape: Shape,
        dtype: str,
        *,
        settings: Mapping[str, Any] | None = None,
        call: Call = nothing,
        seed: int,
    ) -> None:
        random = np.random.default_rng(seed)
        self.shape = shape
        self.settings = dict(settings or {})
        self._call, self._seed = call, seed
        front = shape.batch, shape.steps
        self.x = random.standard_normal((*front, shape.inputs)).astype(dtype)
        dy = random.standard_normal((*front, shape.hidden)).astype(dtype)
        self.layer = self._layer(cell, self.settings, self.x.dtype)
        self.dy = np.ascontiguousarray(dy[:, :, : self.layer.output_size])
        self.arguments = call(random, *front)
        bound = shape.hidden**-0.5
        for name, parameter in self.layer.named_parameters():
            centre = 1.0 if name.startswith("gamma") else 0.0
            parameter.data = centre + random.uniform(-bound, bound, parameter.shape)

    def _layer(self, cell: str, settings: Mapping[str, Any], dtype: Any) -> nn.Recurrent:
        sizes = self.shape.inputs, self.shape.hidden
        return nn.Recurrent(cell, *sizes, **settings, dtype=np.dtype(dtype), seed=self._seed)

    @property
    def real_steps(self) -> float:
        """The share of steps that are no padding."""
        lengths = self.arguments.get("lengths")
        return 1.0 if lengths is None else float(np.mean(lengths) / self.shape.steps)

    def forward(self) -> tuple[Array, Any, nn.Tape | None]:
        """Forward in training."""
        return self.layer.forward(self.x, **self.arguments)

    def training(self) -> Callable[[], object]:
        """One training step without its optimizer, which has changed the weights since the last one."""
        layer = self.layer
        buffers = [parameter.buffer for parameter in layer.parameters()]

        def train() -> object:
            for buffer in buffers:
                buffer.version += 1
            layer.zero_grad()
            return layer.backward(self.forward()[2], self.dy)

        return train

    def inference(self) -> Callable[[], object]:
        """One inference; the weights stay as they are."""
        return lambda: self.layer(self.x, **self.arguments)

    def check(self) -> tuple[float, float]:
        """Compare some samples and steps in training: y with the float64 reference, under the same masks;
        gradients with those of the same layer in float64, which keeps the whole tape.

        Returns:
            The largest differences, of gradients relative to the largest element of an array.

        Raises:
            ArithmeticError: if one is above the tolerance of the dtype.
        """
        x, dy = self.x[:_SAMPLES, :_STEPS], self.dy[:_SAMPLES, :_STEPS]
        arguments = self._call(np.random.default_rng(self._seed), *x.shape[:2])
        what = f"{self.layer.cell.name} with {self.settings | dict.fromkeys(arguments, '…')} at {self.shape}"
        exact = self._layer(self.layer.cell.name, self.settings | {"recompute": 0}, np.float64)
        for own, other in zip(self.layer.parameters(), exact.parameters(), strict=True):
            other.data = own.value
        exact.counter.call = call = self.layer.counter.call
        self.layer.zero_grad()
        y, _, tape = self.layer.forward(x, **arguments)
        dx, _ = self.layer.backward(tape, dy)
        terms = self.shape.inputs + self.shape.hidden
        error = check_outputs(what, y, self._expected(x, arguments, call), terms)
        _, _, tape = exact.forward(x.astype(np.float64), **arguments)
        pairs = [(dx, exact.backward(tape, dy.astype(np.float64))[0])]
        parameters = zip(self.layer.parameters(), exact.parameters(), strict=True)
        pairs += [(own.grad, other.grad) for own, other in parameters]
        return error, check_gradients(what, pairs)

    def _expected(self, x: Array, arguments: Mapping[str, Any], call: int) -> Array:
        """y of the reference, under the masks of that call."""
        options, cell = self.layer.options, self.layer.cell
        batch, steps, inputs = x.shape
        drawn = {"seed": self.layer.counter.seed, "call": call}
        parameters = {name: parameter.value for name, parameter in self.layer.named_parameters()}
        masks: dict[str, Any] = {}
        if options.input_dropout:
            shape = (batch, 1, inputs)
            masks["input_masks"] = [
                reference.dropout_mask(shape, options.input_dropout, what="input", **drawn)
            ]
        if options.recurrent_dropout:
            shape = (batch, 1, self.layer.output_size)
            mask = reference.dropout_mask(shape, options.recurrent_dropout, what="recurrent", **drawn)
            masks["hidden_masks"] = [mask[:, 0]]
        if options.weight_dropout:
            shape = (1, *parameters["weight_hh_l0"].shape)
            masks["weight_masks"] = reference.dropout_mask(
                shape, options.weight_dropout, what="weight", **drawn
            )
        if any(options.zoneout):
            each = zip(cell.states, self.layer.state_sizes, options.zoneout, strict=True)
            masks["zoneout"] = [
                [
                    reference.zoneout_mask((batch, steps, size), rate, what=f"zoneout_{state}", **drawn)
                    for state, size, rate in each
                ]
            ]
        y: Array = reference.recurrent_layers(cell.name, x, None, parameters, **masks, **arguments)[0]
        return y
