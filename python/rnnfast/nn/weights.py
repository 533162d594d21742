"""The weights of one direction of one recurrent layer: parameters, and a packed form made anew when they
change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

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
        # One attribute, replaced as a whole: another thread sees versions and weights that belong together.
        self._published: tuple[tuple[int, ...], ops.RecurrentWeights] | None = None

    def packed(self) -> ops.RecurrentWeights:
        """The weights for ``ops``, packed at most once per version of the parameters."""
        published = self._published
        if published is not None and all(
            parameter.unchanged_since(version)
            for parameter, version in zip(self.parameters.values(), published[0], strict=True)
        ):
            return published[1]
        # The versions are read first: a change while packing is then seen the next time. Weights that were
        # published stay as they are, as other threads and open tapes use them.
        versions = tuple(parameter.version for parameter in self.parameters.values())
        arrays = {name: parameter.value for name, parameter in self.parameters.items()}
        weights = ops.RecurrentWeights(self.cell, **arrays)
        weights.packed(False)
        self._published = versions, weights
        return weights

    def packed_like(self, operation: str, tape: ops.RecurrentTape) -> ops.RecurrentWeights:
        """The weights for a backward call, if their values are still those of the forward call.

        Values and not versions, as who reads `Parameter.data` in between raises the version too.

        Raises:
            RuntimeError: if they have changed.
        """
        weights = self.packed()
        before = tape.weights
        if weights is not before and not np.array_equal(
            weights.packed(False).view(np.uint8), before.packed(False).view(np.uint8)
        ):
            raise RuntimeError(
                f"{operation}: tape must come from the present weights, but the weights have changed since "
                f"forward; call forward again"
            )
        return weights

    def accumulate(self, gradients: ops.RecurrentGradients) -> None:
        """Add the gradients of one backward call into those of the parameters."""
        for name, parameter in self.parameters.items():
            parameter.grad_value += getattr(gradients, f"d{name}")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_published": None}
