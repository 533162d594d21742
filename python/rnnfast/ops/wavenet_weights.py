"""Weights of a stack of gated WaveNet layers: shapes, rules, and the packed forms that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous, shape_of

# The arrays of one layer, in the order of the kernels; residuals and condition where a layer has them.
LAYER_ARRAYS = (
    "weight",
    "bias",
    "weight_condition",
    "weight_residual",
    "bias_residual",
    "weight_skip",
    "bias_skip",
)
Layer = tuple[Array | None, ...]


@dataclass(eq=False)
class WaveNetWeights:
    """Weights of a stack, with the packed forms that kernels read.

    Args:
        layers: per layer a tuple in the order of `LAYER_ARRAYS`: ``[2C, C, K]``, ``[2C]``, ``[2C, Q]`` or
            None, ``[C, C]`` and ``[C]`` or None in the last layer, ``[S, C]``, ``[S]``.
        dilations: one per layer.
        condition_size: Q, 0 for no condition.

    Raises:
        TypeError: not float32 or float64 throughout.
        ValueError: a wrong shape, or an array that is missing or left over.
    """

    layers: Sequence[Layer]
    dilations: Sequence[int]
    condition_size: int = 0
    steps_back: Array = field(init=False, repr=False)
    _packed: dict[tuple[str, bool], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        where = "WaveNetWeights"
        if not self.layers or len(self.layers) != len(self.dilations) or min(self.dilations) < 1:
            raise ValueError(
                f"{where}: dilations must be one of 1 or more for each layer, got {tuple(self.dilations)} "
                f"for {len(self.layers)} layers"
            )
        count = len(LAYER_ARRAYS)
        if any(len(layer) != count or layer[0] is None or layer[5] is None for layer in self.layers):
            raise ValueError(
                f"{where}: layers must be tuples of {count}, {', '.join(LAYER_ARRAYS)}, with weight and "
                f"weight_skip in each"
            )
        weight, skip = self.weight, self.layers[0][5]
        assert skip is not None
        check_float(where, "weight", weight)
        _, channels, kernel = shape_of(where, "weight", weight, 3)
        skip_channels = shape_of(where, "weight_skip", skip, 2)[0]
        if min(channels, kernel, skip_channels) < 1:
            raise ValueError(
                f"{where}: weight must have shape (2C, C, K) and weight_skip (S, C) with C, K and S of 1 or "
                f"more, got {weight.shape} and {skip.shape}"
            )
        checked = []
        for number, layer in enumerate(self.layers):
            last = number + 1 == len(self.layers)
            shapes: tuple[tuple[int, ...] | None, ...] = (
                (2 * channels, channels, kernel),
                (2 * channels,),
                (2 * channels, self.condition_size) if self.condition_size else None,
                None if last else (channels, channels),
                None if last else (channels,),
                (skip_channels, channels),
                (skip_channels,),
            )
            arrays: list[Array | None] = []
            for name, shape, array in zip(LAYER_ARRAYS, shapes, layer, strict=True):
                title = f"{name} of layer {number}"
                if (array is None) != (shape is None):
                    rule = "None" if shape is None else f"an array {shape}"
                    raise ValueError(f"{where}: {title} must be {rule}")
                if array is not None and shape is not None:
                    check_array(where, title, array, shape, weight.dtype)
                    array = contiguous(array)
                arrays.append(array)
            checked.append(tuple(arrays))
        self.layers = tuple(checked)
        # An array, which kernels read where it lies.
        self.steps_back = np.asarray(self.dilations, np.int64)

    @property
    def weight(self) -> Array:
        """That of the first layer, whose shape is that of all."""
        weight = self.layers[0][0]
        assert weight is not None
        return weight

    @property
    def channels(self) -> int:
        """C."""
        return int(self.weight.shape[1])

    @property
    def skip_channels(self) -> int:
        """S."""
        skip = self.layers[0][6]
        assert skip is not None
        return int(skip.shape[0])

    @property
    def kernel_size(self) -> int:
        """K."""
        return int(self.weight.shape[2])

    @property
    def ring_rows(self) -> int:
        """Rows that a stream keeps per sample: Σ (K − 1) d."""
        return (self.kernel_size - 1) * sum(self.dilations)

    def packed(self, for_backward: bool) -> Array:
        """The weights as the active variant reads them."""
        key = (_core.active_variant(), for_backward)
        if key not in self._packed:
            self._packed[key] = _core.wavenet_pack(
                for_backward=for_backward,
                layers=self.layers,
                dilations=self.steps_back,
                condition=self.condition_size,
            )
        return self._packed[key]
