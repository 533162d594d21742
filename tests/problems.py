"""Random recurrent layers for tests, with any options: nothing in them is zero, neither biases nor states nor
incoming gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    layer_norm: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    bound: float | None = None
    packed: ops.RecurrentWeights = field(init=False)

    def __post_init__(self) -> None:
        self.packed = ops.RecurrentWeights(self.cell, **self.weights, layer_norm=self.layer_norm)

    def forward(self, **changes: Any) -> tuple[Array, tuple[Array, ...], Any]:
        """y, final state, tape."""
        options = {"reverse": self.reverse, "training": True, **self.options, **changes}
        return ops.recurrent_forward(
            self.packed, options.pop("x", self.x), options.pop("state", self.state), **options
        )

    def backward(self, tape: Any) -> ops.RecurrentGradients:
        """All gradients."""
        return ops.recurrent_backward(self.packed, tape, self.dy, self.dstate, bound=self.bound)

    def pack_again(self) -> None:
        """Pack the weights, after others, so that no memory used again holds them already."""
        for factor in (0.5, 2.0):
            for array in self.weights.values():
                array *= factor
            self.packed.refresh()
            self.gradients()

    def gradients(self, **changes: Any) -> dict[str, Array]:
        """The gradients of a forward and backward call, by the names of `inputs`."""
        _, _, tape = self.forward(**changes)
        return gradients_by_name(self, self.backward(tape))

    def reference(self) -> tuple[Array, tuple[Array, ...]]:
        """What forward should have given, in float64."""
        options = {key: value for key, value in self.options.items() if key != "recompute"}
        zoneout = options.pop("zoneout", None)
        if zoneout is not None:
            options["zoneout"] = self.zoneout_masks(zoneout)
        return reference.recurrent(
            self.cell,
            self.x,
            self.state,
            reference.Weights(**self.weights),
            reverse=self.reverse,
            **options,
        )

    def zoneout_masks(self, zoneout: ops.Zoneout) -> list[Any]:
        """m of every state: the masks, or the rates."""
        if not zoneout.training:
            return list(zoneout.rates)
        names = ops.cells()[self.cell].states
        return [
            reference.zoneout_mask(
                (*self.x.shape[:2], size),
                rate,
                seed=zoneout.seed,
                call=zoneout.call,
                layer=zoneout.layer,
                direction=zoneout.direction,
                what=f"zoneout_{name}",
            )
            for name, rate, size in zip(names, zoneout.rates, self.packed.state_sizes, strict=True)
        ]

    def inputs(self) -> dict[str, Array]:
        """Everything with a gradient, by name."""
        names = ops.cells()[self.cell].states
        found = {"x": self.x}
        found |= {f"state_{name}": part for name, part in zip(names, self.state, strict=True)}
        if "reset_state" in self.options:
            parts = zip(names, self.options["reset_state"], strict=True)
            found |= {f"reset_{name}": part for name, part in parts}
        return {**found, **self.weights}

    def blocks(self) -> dict[str, int]:
        """How many gates the rows of each weight belong to."""
        info = ops.cells()[self.cell]
        rows = len(info.gates) * self.packed.hidden_size
        found = {name: len(info.gates) for name, array in self.weights.items() if len(array) == rows}
        return found | {"weight_ch": len(info.unit_weights)}

    def with_inputs(self, arrays: Mapping[str, Array]) -> Problem:
        """The same problem at other values."""
        state = tuple(array for name, array in arrays.items() if name.startswith("state_"))
        reset = tuple(array for name, array in arrays.items() if name.startswith("reset_"))
        options = {**self.options, "reset_state": reset} if reset else dict(self.options)
        weights = {name: arrays[name] for name in self.weights}
        return replace(self, x=arrays["x"], state=state, weights=weights, options=options)

    def outputs(self, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
        """y and the final state at other values."""
        # With masks, inference is another function; without, one that needs no tape.
        y, final, _ = self.with_inputs(arrays).forward(training="zoneout" in self.options)
        return (y, *final)


def weight_shapes(
    cell: str, inputs: int, hidden: int, *, bias: bool, layer_norm: str | None, projection: int
) -> Iterator[tuple[str, tuple[int, ...], float, float]]:
    """Name, shape, mean and standard deviation of every weight of a layer."""
    info = ops.cells()[cell]
    rows, outputs = len(info.gates) * hidden, projection or hidden
    yield "weight_ih", (rows, inputs), 0.0, inputs**-0.5
    yield "weight_hh", (rows, outputs), 0.0, outputs**-0.5
    if bias:
        yield "bias_ih", (rows,), 0.0, 0.5
        yield "bias_hh", (rows,), 0.0, 0.5
    if info.unit_weights:
        yield "weight_ch", (len(info.unit_weights) * hidden,), 0.0, 0.5
    if projection:
        yield "weight_hr", (projection, hidden), 0.0, hidden**-0.5
    if layer_norm == "split":
        yield "gamma_ih", (rows,), 0.8, 0.3
        yield "gamma_hh", (rows,), 0.8, 0.3
    if layer_norm == "split" and info.output_state:
        yield "gamma_c", (hidden,), 1.0, 0.3
        yield "beta_c", (hidden,), 0.0, 0.3
    if layer_norm == "joint":
        yield "gamma", (rows,), 0.8, 0.3
        yield "beta", (rows,), 0.0, 0.3


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
    layer_norm: str | None = None,
    projection: int = 0,
    lengths: bool = False,
    resets: bool = False,
    reset_state: bool = False,
    dropout: bool = False,
    zoneout: bool = False,
    recompute: int = 0,
    bound: float | None = None,
) -> Problem:
    """A problem of these sizes and options; the lengths include 0 and T where there is room."""
    random = np.random.default_rng([seed, batch, steps, inputs, hidden])
    info = ops.cells()[cell]

    def normal(*shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
        return (mean + scale * random.standard_normal(shape)).astype(dtype)

    shapes = weight_shapes(cell, inputs, hidden, bias=bias, layer_norm=layer_norm, projection=projection)
    weights = {name: normal(*shape, scale=scale, mean=mean) for name, shape, mean, scale in shapes}
    sizes = [projection or hidden, *(hidden for _ in info.states[1:])]
    problem = Problem(
        cell,
        normal(batch, steps, inputs),
        tuple(normal(batch, size) for size in sizes),
        weights,
        normal(batch, steps, sizes[0]),
        tuple(normal(batch, size) for size in sizes),
        reverse,
        layer_norm,
        bound=bound,
    )
    if lengths:
        problem.options["lengths"] = random.integers(0, steps + 1, batch)
        problem.options["lengths"][1:3] = (0, steps)[: max(0, batch - 1)]
    if resets:
        problem.options["resets"] = random.random((batch, steps)) < 0.3
        problem.options["resets"][:1, :1] = True
        problem.options["resets"][2:3, 1:2] = (
            True  # of a sample of full length: a cut in both directions of time
        )
    if reset_state:
        problem.options["reset_state"] = tuple(normal(size) for size in sizes)
    if dropout:
        kept = random.random((batch, sizes[0])) < 0.7
        problem.options["hidden_mask"] = (kept / 0.7).astype(dtype)
    if zoneout:
        rates = (0.3, 0.4)[: len(sizes)]
        problem.options["zoneout"] = ops.Zoneout(rates, True, seed=7, call=3, layer=1, direction=int(reverse))
    if recompute:
        problem.options["recompute"] = recompute
    return problem


def gradients_by_name(problem: Problem, gradients: ops.RecurrentGradients) -> dict[str, Array]:
    """The gradients under the names of `Problem.inputs`."""
    names = ops.cells()[problem.cell].states
    found = {"x": gradients.dx}
    found |= {f"state_{name}": part for name, part in zip(names, gradients.dstate, strict=True)}
    if gradients.dreset_state is not None:
        parts = zip(names, gradients.dreset_state, strict=True)
        found |= {f"reset_{name}": part.sum(axis=0) for name, part in parts}
    return {**found, **{name: getattr(gradients, f"d{name}") for name in problem.weights}}


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bytes: +0 and -0 differ, a NaN equals itself."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def randomize(module: nn.Module, seed: int = 0) -> None:
    """All parameters random, biases too."""
    random = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data = 0.5 * random.standard_normal(parameter.shape)
