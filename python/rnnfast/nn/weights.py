"""The weights of one direction of one recurrent layer: what there is, its initial values, its packed form.

Initial values, gate by gate: weight_ih Glorot uniform; weight_hh orthogonal (with a projection the first P
columns of an orthogonal matrix); weight_hr Glorot uniform; layer norm gammas one, betas zero, so that it
starts as the plain norm; biases, peepholes and trainable initial states zero, so that a layer starts as the
plain cell from the zero state — their gradients are not zero, they grow as they are needed.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import init, ops
from ..ops.weights import UNIT_WEIGHTS
from .options import Options
from .parameter import Array, Parameter, add_gradients

_INITIAL = "initial_"


def make_parameters(
    cell: ops.CellInfo, options: Options, inputs: int, hidden: int, random: np.random.RandomState
) -> dict[str, Parameter]:
    """New parameters of one direction of one layer by their names in ``ops``, and initial_<state>.

    Args:
        cell: its cell.
        options: the layer's options.
        inputs: size of its input.
        hidden: H.
        random: source of random numbers.

    Returns:
        Parameters, PyTorch's first and in its order: weight_ih [G*H, I], weight_hh [G*H, P or H], bias_ih and
        bias_hh [G*H], weight_hr [P, H]; then weight_ch [K*H], gamma_ih, gamma_hh, gamma and beta [G*H],
        gamma_c and beta_c [H], initial_h [P or H], initial_c [H], as far as the options ask for them.
    """
    gates, dtype, rows = len(cell.gates), options.dtype, len(cell.gates) * hidden
    output = options.proj_size or hidden
    # Gate by gate: the fans of Glorot's formula and orthogonality are those of the map into one gate.
    input_weights = [init.glorot_uniform((hidden, inputs), random, dtype) for _ in range(gates)]
    hidden_weights = [init.orthogonal(hidden, random, dtype)[:, :output] for _ in range(gates)]
    arrays = {"weight_ih": np.concatenate(input_weights), "weight_hh": np.concatenate(hidden_weights)}
    if options.bias:
        arrays |= {name: np.zeros(rows, dtype) for name in ("bias_ih", "bias_hh")}
    if options.proj_size:
        arrays["weight_hr"] = init.glorot_uniform((output, hidden), random, dtype)
    if cell.unit_weights:
        arrays["weight_ch"] = np.zeros(len(cell.unit_weights) * hidden, dtype)
    if options.layer_norm == "split":
        arrays |= {name: np.ones(rows, dtype) for name in ("gamma_ih", "gamma_hh")}
        if cell.output_state:
            arrays |= {"gamma_c": np.ones(hidden, dtype), "beta_c": np.zeros(hidden, dtype)}
    elif options.layer_norm == "joint":
        arrays |= {"gamma": np.ones(rows, dtype), "beta": np.zeros(rows, dtype)}
    if options.trainable_state:
        sizes = options.state_sizes(cell, hidden)
        arrays |= {_INITIAL + s: np.zeros(n, dtype) for s, n in zip(cell.states, sizes, strict=True)}
    return {name: Parameter(array) for name, array in arrays.items()}


class DirectionWeights:
    """Parameters of one direction of one layer.

    Args:
        cell: name of the cell.
        layer_norm: None, "split" or "joint".
        parameters: as from `make_parameters`.
        suffix: what the layer appends to their names: "_l0", "_l0_reverse", ….
    """

    def __init__(
        self, cell: str, layer_norm: str | None, parameters: Mapping[str, Parameter], suffix: str
    ) -> None:
        self.cell = cell
        self.layer_norm = layer_norm
        self.suffix = suffix
        self.parameters = {name: p for name, p in parameters.items() if not name.startswith(_INITIAL)}
        # One per state where the initial state is trainable, else none.
        self.initial = tuple(p for name, p in parameters.items() if name.startswith(_INITIAL))
        self._unit_names = [name for name in self.parameters if name in UNIT_WEIGHTS]
        order = [field.removeprefix("d") for field in ops.RecurrentGradients._fields]
        self._gradient_names = sorted(self.parameters, key=order.index)
        self.generation = 0  # grows when a parameter is put in another's place
        # Arrays that were checked, and their weights; they serve for as long as the parameters live there.
        self._checked: tuple[list[Array], ops.RecurrentWeights] | None = None

    def replace(self, name: str, parameter: Parameter) -> None:
        """Take a parameter in the place of the one of that name, if it is of this direction.

        Raises:
            ValueError: if it has another shape or dtype.
        """
        own = name.removesuffix(self.suffix)
        if own == name:
            return
        states = [_INITIAL + state for state in ops.cells()[self.cell].states] if self.initial else []
        place = states.index(own) if own in states else -1
        before = self.initial[place] if place >= 0 else self.parameters.get(own)
        if before is None:
            return
        if parameter.shape != before.shape or parameter.dtype != before.dtype:
            raise ValueError(
                f"{name}: must have shape {before.shape} and dtype {before.dtype} as the parameter in whose "
                f"place it comes, got {parameter.shape} and {parameter.dtype}"
            )
        if place >= 0:
            self.initial = (*self.initial[:place], parameter, *self.initial[place + 1 :])
        else:
            self.parameters = {**self.parameters, own: parameter}
        self.generation += 1
        before.changed()  # for whoever trusts in a mark or a stamp

    def pack(self, mask: Array | None = None) -> ops.RecurrentWeights:
        """The weights as they are now, for ``ops``.

        Args:
            mask: what weight_hh is multiplied by, None for nothing.
        """
        arrays = [parameter.value for parameter in self.parameters.values()]
        checked = self._checked
        if mask is None and checked is not None and all(map(operator.is_, arrays, checked[0])):
            return checked[1].renewed(self._unit_weights())
        named = dict(zip(self.parameters, arrays, strict=True))
        if mask is not None:
            named["weight_hh"] = named["weight_hh"] * mask
            return ops.RecurrentWeights(
                self.cell, layer_norm=self.layer_norm, **(named | self._unit_weights())
            )
        weights = ops.RecurrentWeights(self.cell, layer_norm=self.layer_norm, **named)
        self._checked = arrays, weights
        return weights.renewed(self._unit_weights())

    def _unit_weights(self) -> dict[str, Array]:
        """Kernels read these as they are, from no packed form: copies, which later changes do not touch."""
        return {name: self.parameters[name].value.copy() for name in self._unit_names}

    def same_values(self, one: ops.RecurrentWeights, other: ops.RecurrentWeights) -> bool:
        """Whether both have the same bits."""
        return _same_bits(one.packed(False), other.packed(False)) and all(
            _same_bits(getattr(one, name), getattr(other, name)) for name in self._unit_names
        )

    def initial_state(self, batch: int) -> tuple[Array, ...] | None:
        """The trainable initial state of `batch` sequences, new arrays [N, size]; None without one."""
        if not self.initial:
            return None
        return tuple(np.tile(parameter.value, (batch, 1)) for parameter in self.initial)

    def reset_state(self) -> tuple[Array, ...] | None:
        """What a reset goes back to where the initial state is trainable, new arrays [size]; else None."""
        return tuple(parameter.value.copy() for parameter in self.initial) or None

    def gradients(self) -> list[Array]:
        """The gradients of the parameters, in the order in which ``ops`` adds to them."""
        return [self.parameters[name].grad_value for name in self._gradient_names]

    def accumulate_initial(self, gradients: list[Array]) -> None:
        """Add gradients of states, [N, size] each, to those of the trainable initial state."""
        add_gradients(self.initial, (gradient.sum(axis=0) for gradient in gradients))

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_checked": None}


def _same_bits(a: Array, b: Array) -> bool:
    return np.array_equal(a.view(np.uint8), b.view(np.uint8))
