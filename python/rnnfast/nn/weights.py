"""The weights of one direction of one recurrent layer: parameters, and a packed form made anew when they
change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ops
from .parameter import Parameter


class DirectionWeights:
    """Parameters of one direction of one layer.

    Args:
        cell: name of the cell.
        parameters: ``weight_ih``, ``weight_hh`` and, where there are biases, ``bias_ih`` and ``bias_hh``.
    """

    def __init__(self, cell: str, parameters: Mapping[str, Parameter]) -> None:
        self.cell = cell
        self.parameters = dict(parameters)
        self._versions: tuple[int, ...] = ()
        self._packed: ops.RecurrentWeights | None = None

    def packed(self) -> ops.RecurrentWeights:
        """The weights for ``ops``, packed at most once per version of the parameters."""
        parameters = self.parameters.values()
        if self._packed is None or not all(
            parameter.unchanged_since(version)
            for parameter, version in zip(parameters, self._versions, strict=True)
        ):
            # The versions are read first: a change while packing is then seen the next time.
            self._versions = tuple(parameter.version for parameter in parameters)
            arrays = {name: parameter.value for name, parameter in self.parameters.items()}
            if self._packed is None or any(
                getattr(self._packed, name) is not array for name, array in arrays.items()
            ):
                # The first use, or the parameters have moved to another buffer.
                self._packed = ops.RecurrentWeights(self.cell, **arrays)
            else:
                self._packed.refresh()
        return self._packed

    def accumulate(self, gradients: ops.RecurrentGradients) -> None:
        """Add the gradients of one backward call into those of the parameters."""
        for name, parameter in self.parameters.items():
            parameter.grad_value += getattr(gradients, f"d{name}")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_packed": None}
