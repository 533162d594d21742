"""What the suite `convolution` times: WaveNet stacks, convolutions and layer norms, their sizes and goals.

A case makes its layer, counts its products and says in float64 NumPy what should come out. Goals are for the
peer's time over ours, and for the share of the arithmetic peak. Not here: arrays and jobs
(`convolution_problem`), the clock (`convolution`), the same layers of other libraries (`torch_layers`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rnnfast import nn, reference

from .checks import Array

# Twice 1, 2, 4 … 128: the sixteen layers of a WaveNet with a receptive field of 511 steps.
DILATIONS = tuple(2 ** (layer % 8) for layer in range(16))


@dataclass(frozen=True)
class WaveNetCase:
    """A stack of gated causal convolutions with residual and skip: x [N, T, C] -> the sum of skips.

    Args:
        batch: N.
        steps: T.
        channels: C.
        dilations: of the layers.
        memory_goal: largest ratio of a training step's memory to a peer's; None where it is not measured.
    """

    batch: int
    steps: int
    channels: int
    dilations: tuple[int, ...] = DILATIONS
    memory_goal: float | None = None

    kind = "wavenet"
    kernel_size = 2
    goals: ClassVar[Mapping[str, float | None]] = {"inference": 2.0, "training": 2.0}
    peak_goal = 0.8

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.batch, self.steps, self.channels

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of y."""
        return self.x_shape

    @property
    def terms(self) -> int:
        """The number of terms that a value sums: a layer's products, and layer upon layer."""
        return self.kernel_size * self.channels * len(self.dilations)

    def layer(self, dtype: Any, seed: int) -> nn.Module:
        """The layer."""
        return nn.WaveNetStack(
            self.channels, kernel_size=self.kernel_size, dilations=self.dilations, dtype=dtype, seed=seed
        )

    def operations(self) -> float:
        """Floating point operations of the products of one inference: gates, skip, and residual of all layers
        but the last, whose residual nobody reads.
        """
        squares = (2 * self.kernel_size + 2) * len(self.dilations) - 1
        return 2.0 * self.batch * self.steps * self.channels**2 * squares

    def expected(self, x: Array, named: Mapping[str, Array]) -> Array:
        """What comes out, in float64."""
        suffixes = [f"_l{number}" for number in range(len(self.dilations))]
        layers = [
            {name.removesuffix(end): array for name, array in named.items() if name.endswith(end)}
            for end in suffixes
        ]
        return reference.wavenet_stack(x, layers, self.dilations)


@dataclass(frozen=True)
class ConvolutionCase:
    """One convolution: x [N, T, I] -> y [N, T_out, O].

    Args:
        batch: N.
        steps: T.
        inputs: I.
        outputs: O.
        kernel_size: K.
        dilation: d.
        stride: s.
        padding: "causal" or "valid".
    """

    batch: int
    steps: int
    inputs: int
    outputs: int
    kernel_size: int
    dilation: int = 1
    stride: int = 1
    padding: str = "causal"

    kind = "conv1d"
    goals: ClassVar[Mapping[str, float | None]] = {"inference": 1.3, "training": 1.3}
    peak_goal = None
    memory_goal = None

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.batch, self.steps, self.inputs

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of y."""
        reach = self.dilation * (self.kernel_size - 1)
        steps = self.steps if self.padding == "causal" else (self.steps - reach - 1) // self.stride + 1
        return self.batch, steps, self.outputs

    @property
    def terms(self) -> int:
        """The number of terms that a value sums."""
        return self.kernel_size * self.inputs

    def layer(self, dtype: Any, seed: int) -> nn.Module:
        """The layer."""
        return nn.Conv1d(
            self.inputs,
            self.outputs,
            self.kernel_size,
            dilation=self.dilation,
            stride=self.stride,
            padding=self.padding,
            dtype=dtype,
            seed=seed,
        )

    def operations(self) -> float:
        """Floating point operations of the products of one inference."""
        return 2.0 * math.prod(self.y_shape) * self.kernel_size * self.inputs

    def expected(self, x: Array, named: Mapping[str, Array]) -> Array:
        """What comes out, in float64."""
        options: dict[str, Any] = {"dilation": self.dilation, "stride": self.stride, "padding": self.padding}
        return reference.conv1d(x, named["weight"], named["bias"], **options)


@dataclass(frozen=True)
class LayerNormCase:
    """Layer norm of rows: x [R, F] -> y [R, F].

    Args:
        rows: R.
        features: F.
    """

    rows: int
    features: int

    kind = "layer_norm"
    goals: ClassVar[Mapping[str, float | None]] = {"inference": 2.0, "backward": 3.0, "training": None}
    peak_goal = None
    memory_goal = None

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of x."""
        return self.rows, self.features

    @property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of y."""
        return self.x_shape

    @property
    def terms(self) -> int:
        """The number of terms that a value sums."""
        return self.features

    def layer(self, dtype: Any, seed: int) -> nn.Module:
        """The layer."""
        return nn.LayerNorm(self.features, dtype=dtype)

    def operations(self) -> None:
        """It has no products: memory bounds it, not arithmetic."""

    def expected(self, x: Array, named: Mapping[str, Array]) -> Array:
        """What comes out, in float64."""
        return named["weight"] * reference.layer_norm(x) + named["bias"]


Case = WaveNetCase | ConvolutionCase | LayerNormCase

CASES: dict[str, Case] = {
    "wavenet_n8_c64": WaveNetCase(8, 1024, 64, memory_goal=0.6),
    "wavenet_n1_c64": WaveNetCase(1, 4096, 64),
    "wavenet_n4_c128": WaveNetCase(4, 2048, 128),
    "conv_c64_k3_d4": ConvolutionCase(8, 1024, 64, 64, 3, dilation=4),
    "conv_front": ConvolutionCase(32, 112, 1, 32, 4, stride=2, padding="valid"),
    "conv_c20_k2": ConvolutionCase(32, 112, 20, 20, 2),
    "conv_c128_k3": ConvolutionCase(8, 512, 128, 128, 3),
    "norm_512x64": LayerNormCase(512, 64),
    "norm_2048x256": LayerNormCase(2048, 256),
    "norm_4096x1024": LayerNormCase(4096, 1024),
}
