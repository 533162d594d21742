"""Weights of one direction of one recurrent layer: shapes, rules, and the packed forms that kernels read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, shape_of
from .cells import CellInfo, cells

# The weights that act on single units, in no packed form.
UNIT_WEIGHTS = ("weight_ch", "gamma_ih", "gamma_hh", "gamma_c", "beta_c", "gamma", "beta")
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr", *UNIT_WEIGHTS)


@dataclass(eq=False)
class RecurrentWeights:
    """Weights of one direction of one layer, with their packed forms, which are made when first needed.

    O, the size of h, is H, or P with a projection. They are `hidden_size`, `output_size` and `projection` (0
    for none); `state_sizes` are the units of every state, O for h and H for the others.

    Args:
        cell: a name in ``cells()``, with G gates.
        weight_ih: ``[G*H, I]``.
        weight_hh: ``[G*H, O]``.
        bias_ih: ``[G*H]``, or None together with bias_hh.
        bias_hh: ``[G*H]``.
        weight_ch: ``[K*H]``, for cells with K peepholes.
        weight_hr: ``[P, H]``, projects h; None for none.
        layer_norm: None, "split" or "joint".
        gamma_ih: ``[G*H]``, split.
        gamma_hh: ``[G*H]``, split.
        gamma_c: ``[H]``, split, for cells whose h is an output of c.
        beta_c: ``[H]``, likewise.
        gamma: ``[G*H]``, joint.
        beta: ``[G*H]``, joint.

    Raises:
        TypeError: not float32 or float64 throughout.
        ValueError: an unknown cell, a wrong shape, or weights that the cell or the layer norm does not have.
    """

    cell: str
    weight_ih: Array
    weight_hh: Array
    bias_ih: Array | None = None
    bias_hh: Array | None = None
    weight_ch: Array | None = field(default=None, kw_only=True)
    weight_hr: Array | None = field(default=None, kw_only=True)
    layer_norm: str | None = field(default=None, kw_only=True)
    gamma_ih: Array | None = field(default=None, kw_only=True)
    gamma_hh: Array | None = field(default=None, kw_only=True)
    gamma_c: Array | None = field(default=None, kw_only=True)
    beta_c: Array | None = field(default=None, kw_only=True)
    gamma: Array | None = field(default=None, kw_only=True)
    beta: Array | None = field(default=None, kw_only=True)
    info: CellInfo = field(init=False, repr=False)
    dtype: np.dtype[Any] = field(init=False, repr=False)
    hidden_size: int = field(init=False, repr=False)
    output_size: int = field(init=False, repr=False)
    projection: int = field(init=False, repr=False)
    state_sizes: tuple[int, ...] = field(init=False, repr=False)
    _packed: dict[str, _core.PackedWeights] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        where = "RecurrentWeights"
        if self.cell not in cells():
            raise ValueError(f"{where}: cell must be one of {', '.join(cells())}, got {self.cell!r}")
        self.info = cells()[self.cell]
        self._check_options(where)
        check_float(where, "weight_ih", self.weight_ih)
        gates = len(self.info.gates)
        rows, outputs = shape_of(where, "weight_hh", self.weight_hh, 2)
        if rows % gates or (self.weight_hr is None and rows != gates * outputs):
            size = "O" if self.weight_hr is not None else "H"
            raise ValueError(
                f"{where}: weight_hh must have shape (gates*H, {size}) with {gates} gates, "
                f"got ({rows}, {outputs})"
            )
        hidden = rows // gates
        inputs = shape_of(where, "weight_ih", self.weight_ih, 2)[1]
        shapes = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, outputs),
            "weight_hr": (outputs, hidden),
            "weight_ch": (len(self.info.unit_weights) * hidden,),
            "gamma_c": (hidden,),
            "beta_c": (hidden,),
        }
        for name in NAMES:
            array = getattr(self, name)
            if array is not None:
                check_array(where, name, array, shapes.get(name, (rows,)), self.weight_ih.dtype)
                setattr(self, name, contiguous(array))
        self.dtype, self.hidden_size, self.output_size = self.weight_ih.dtype, hidden, outputs
        self.projection = 0 if self.weight_hr is None else outputs
        self.state_sizes = (outputs, *(hidden for _ in self.info.states[1:]))

    def _check_options(self, where: str) -> None:
        """The optional weights must be those of this cell and layer norm: all of them, and no others."""
        if (self.bias_ih is None) != (self.bias_hh is None):
            raise ValueError(f"{where}: bias_ih and bias_hh must be given together, or neither")
        kinds = self.info.layer_norms
        if self.layer_norm is not None and self.layer_norm not in kinds:
            raise ValueError(
                f"{where}: layer_norm of cell {self.cell} must be "
                f"{' or '.join(map(repr, (None, *kinds)))}, got {self.layer_norm!r}"
            )
        if self.weight_hr is not None and not self.info.projectable:
            raise ValueError(
                f"{where}: weight_hr must be None for cell {self.cell}, whose h enters its own formula"
            )
        split, joint = self.layer_norm == "split", self.layer_norm == "joint"
        wanted = {
            "weight_ch": bool(self.info.unit_weights),
            "gamma_ih": split,
            "gamma_hh": split,
            "gamma_c": split and self.info.output_state,
            "beta_c": split and self.info.output_state,
            "gamma": joint,
            "beta": joint,
        }
        for name, needed in wanted.items():
            if (getattr(self, name) is not None) != needed:
                rule = "given" if needed else "None"
                raise ValueError(
                    f"{where}: {name} must be {rule} for cell {self.cell} with layer_norm={self.layer_norm!r}"
                )

    def arrays(self) -> dict[str, Array]:
        """The weights that are there, by name."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: array for name, array in found.items() if array is not None}

    def packed(self, for_backward: bool) -> Array:
        """The weights as the active variant reads them."""
        packed = self.core()
        return packed.backward() if for_backward else packed.forward()

    def core(self) -> _core.PackedWeights:
        """The weights as ``_core`` knows them, packed for the active variant."""
        return self.core_of(_core.active_variant())

    def core_of(self, variant: str) -> _core.PackedWeights:
        """As `core`, where the name of the active variant is known already."""
        packed = self._packed.get(variant)
        if packed is None:
            packed = self._packed[variant] = _core.PackedWeights(
                self.info.number,
                layer_norm=self.layer_norm or "none",
                weight_ih=self.weight_ih,
                weight_hh=self.weight_hh,
                bias_ih=self.bias_ih,
                bias_hh=self.bias_hh,
                weight_hr=self.weight_hr,
                unit_weights={
                    name: value for name in UNIT_WEIGHTS if (value := getattr(self, name)) is not None
                },
            )
        return packed

    def refresh(self) -> None:
        """The arrays have been written to: pack them again at the next use."""
        self._packed.clear()

    def renewed(self, unit_weights: dict[str, Array]) -> RecurrentWeights:
        """Weights after the arrays have been written to: new packed forms, without a new check of the arrays.

        These stay as they are, for as long as nobody asks them for a form that was not made yet.

        Args:
            unit_weights: those that act on single units and are in no packed form, of the same shapes.
        """
        variant = _core.active_variant()
        packed = self.core_of(variant).renewed(unit_weights)
        renewed = object.__new__(type(self))
        renewed.__dict__ = {**vars(self), **unit_weights, "_packed": {variant: packed}}
        return renewed

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_packed": {}}
