"""Convolution over time, dilated and causal or strided and valid. Not here: its kernels (``ops.conv1d``), the
gated stack of a WaveNet (``wavenet``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from ..ops.conv1d import activation_name, steps_out
from .arguments import check_dtype, check_flag, check_size
from .module import Module, Tape
from .parameter import Array, Parameter, add_gradients
from .states import SequenceLayout
from .versioned import Versioned


class Conv1d(Module):
    """y[n, j, o] = act(b[o] + Σ_k Σ_c W[o, c, k] x[n, s j + k d − offset, c]): dilation d, stride s.

    padding="causal" puts zeros before the first step (offset d (K − 1), stride 1): y_t depends on x_t and
    steps before it alone, and there is one output per step. padding="valid" reads real steps only (offset 0):
    T_out = (T − d (K − 1) − 1) // s + 1, which shortens a long sequence in front of a recurrent layer.

    Args:
        in_channels: C, features per step of x.
        out_channels: O, features per step of y.
        kernel_size: K, taps.
        dilation: d, steps from one tap to the next.
        stride: s, steps of x from one output to the next; 1 with causal padding.
        padding: "causal" or "valid".
        activation: None, "relu", "tanh" or "sigmoid", applied in the same pass.
        bias: whether b is added.
        dtype: float32 or float64.
        seed: seed of the initial weights (Glorot uniform, fans C K and O K; b is zero), None for a fresh one.

    Parameters have PyTorch's names and layout: weight [O, C, K], bias [O].

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if one is out of its range, or padding="causal" meets a stride.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> x = np.ones((2, 9, 3), np.float32)
        >>> nn.Conv1d(3, 8, 2, dilation=4, seed=0)(x).shape
        (2, 9, 8)
        >>> nn.Conv1d(3, 8, 4, stride=2, padding="valid", seed=0)(x).shape
        (2, 3, 8)

    Reference:
        van den Oord et al., WaveNet: a generative model for raw audio, 2016.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        stride: int = 1,
        padding: str = "causal",
        activation: str | None = None,
        bias: bool = True,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        self.in_channels = check_size("Conv1d", "in_channels", in_channels)
        self.out_channels = check_size("Conv1d", "out_channels", out_channels)
        self.kernel_size = check_size("Conv1d", "kernel_size", kernel_size)
        self.dilation = check_size("Conv1d", "dilation", dilation)
        self.stride = check_size("Conv1d", "stride", stride)
        if padding not in ("causal", "valid"):
            raise ValueError(f"Conv1d: padding must be 'causal' or 'valid', got {padding!r}")
        if padding == "causal" and self.stride != 1:
            raise ValueError(
                f"Conv1d: stride must be 1 with padding='causal', which has one output per step, "
                f"got {stride}; pass padding='valid' to shorten the sequence"
            )
        self.padding = padding
        activation_name("Conv1d", activation)
        self.activation = activation
        self.dtype = check_dtype("Conv1d", dtype)
        shape = (self.out_channels, self.in_channels, self.kernel_size)
        random = init.generator(seed)
        fans = (self.out_channels * self.kernel_size, self.in_channels * self.kernel_size)
        bound = (6.0 / sum(fans)) ** 0.5
        self.weight = Parameter(init.uniform(shape, bound, random, self.dtype))
        self.bias = (
            Parameter(np.zeros(self.out_channels, self.dtype)) if check_flag("Conv1d", "bias", bias) else None
        )
        self._layout = SequenceLayout(True, self.dtype)
        self._versioned: Versioned[ops.Conv1dWeights] = Versioned()

    @property
    def receptive_field(self) -> int:
        """1 + (K − 1) d: steps of x that one output depends on."""
        return 1 + (self.kernel_size - 1) * self.dilation

    def output_steps(self, steps: int) -> int:
        """T_out of T steps; 0 where "valid" padding finds too few."""
        return steps_out(steps, self.receptive_field - 1, self.stride, self.padding)

    def output_lengths(self, lengths: Any) -> Array:
        """What `output_steps` makes of each length, as int64."""
        return np.array([self.output_steps(int(length)) for length in lengths], np.int64)

    def _weights(self) -> ops.Conv1dWeights:
        def parameters() -> list[Parameter]:
            return [self.weight] if self.bias is None else [self.weight, self.bias]

        def make() -> ops.Conv1dWeights:
            # Copies: forms packed later, by an open tape, are those of the same values.
            return ops.Conv1dWeights(
                *(parameter.value.copy() for parameter in parameters()),
                dilation=self.dilation,
                stride=self.stride,
                padding=self.padding,
                activation=self.activation,
            )

        return self._versioned.get(self.generation, parameters, make)

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y.

        Args:
            x: shape (N, T, C), any strides in N and T.
            training: whether to return a tape, which refers to x and y: leave both unchanged until backward.

        Returns:
            (y, tape): y of shape (N, T_out, O).

        Raises:
            TypeError: if x has another dtype than the layer.
            ValueError: if x has another shape, or fewer steps than "valid" padding needs.
        """
        x = self._layout.check("Conv1d.forward", "x", x, self.in_channels, "in_channels")
        if self.padding == "valid" and x.shape[1] < self.receptive_field:
            raise ValueError(
                f"Conv1d.forward: x must have T of {self.receptive_field} or more steps, as padding='valid' "
                f"with kernel_size={self.kernel_size} and dilation={self.dilation} reads as many for one "
                f"output, got {x.shape}; pad the sequence in front, or use padding='causal'"
            )
        weights = self._weights()
        y = ops.conv1d_forward(weights, x, name="Conv1d.forward")
        return y, Tape(self, (weights, x, y)) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of weight and bias into their `grad`; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, T_out, O).

        Returns:
            dx, shape (N, T, C).
        """
        weights, x, y = self._read(tape)
        front = (len(x), self.output_steps(x.shape[1]))
        dy = self._layout.check("Conv1d.backward", "dy", dy, self.out_channels, "out_channels", front)
        self._close(tape)
        dx, dweight, dbias = ops.conv1d_backward(weights, x, y, dy)
        add_gradients((self.weight, self.bias), (dweight, dbias))
        assert dx is not None
        return dx

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """The last d (K − 1) inputs, zeros at the start, and how many steps there were."""
        span = self.receptive_field - 1
        ring = np.zeros((batch_size, span, self.in_channels), self.dtype)
        return {"ring": ring, "steps": np.zeros(1, np.int64)}

    def stream_steps(self, block: int, state: dict[str, Array]) -> int:
        """How many outputs a block of so many steps completes."""
        before = int(state["steps"][0])
        return self.output_steps(before + block) - self.output_steps(before)

    def stream_process(self, x: Array, state: dict[str, Array]) -> Array:
        """The outputs that a block completes: one per step with causal padding, else perhaps none."""
        x = self._layout.check("Conv1d.stream_process", "x", x, self.in_channels, "in_channels")
        steps = state["steps"]
        y = ops.conv1d_block(self._weights(), x, state["ring"], int(steps[0]), name="Conv1d.stream_process")
        steps += x.shape[1]
        return y
