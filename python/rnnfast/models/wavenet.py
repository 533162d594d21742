"""WaveNet: stacked causal convolutions with doubling dilation, a value or logits for every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..init import child_seeds
from ..nn import Conv1d, Embedding, Linear, Sequential, Tape, WaveNetStack
from ..nn.arguments import check_array, check_flag, check_size
from ..nn.parameter import Array
from ..nn.streaming import joined_state, part_of
from ..nn.wavenet import check_dilations
from ..ops.rows import row_numbers
from .front import check_conv, check_long_enough, make_conv
from .generation import GeneratingModel
from .model import as_json


class WaveNet(GeneratingModel):
    """Sequence to sequence of the same length by dilated causal convolution: y_t depends on x up to t.

    activation="gated": x_0 = W_i x + b_i, or the vectors of tokens; the gated layers of
    :class:`rnnfast.nn.WaveNetStack`; y = W_2 relu(W_1 relu(Σ skips) + b_1) + b_2.
    activation="relu": the plain stack, x_{l+1} = relu(W ∗ x_l + b) with x_0 = x, then y = W x_L + b.

    Args:
        input_size: I, features per step; with tokens their number.
        channels: C, features of every layer.
        output_size: O, values or logits per step.
        kernel_size: K.
        dilations: of the layers of one block; they usually double.
        blocks: how often the block is repeated: ``dilations=(1, 2, 4, 8), blocks=2`` are eight layers.
        activation: "gated" or "relu".
        skip_channels: S, features between stack and output, gated alone; None for C.
        condition_size: Q, features of a condition per step or per sequence, gated alone; 0 for none.
        tokens: whether x holds ints in 0 … I − 1 instead of features.
        conv: a strided convolution in front that shortens the sequences, see :class:`rnnfast.models.Seq2Seq`;
            None for none. Not with tokens.
        dtype: float32 or float64.
        seed: seed of the initial weights, None for a fresh one.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if one is out of its range, or does not go with the activation.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.WaveNet(1, 16, 14, dilations=(1, 2, 4, 8), blocks=2, seed=0)
        >>> model.receptive_field, model(np.ones((3, 50, 1), np.float32)).shape
        (31, (3, 50, 14))

    Reference:
        van den Oord et al., WaveNet: a generative model for raw audio, 2016.
    """

    def __init__(
        self,
        input_size: int,
        channels: int,
        output_size: int,
        *,
        kernel_size: int = 2,
        dilations: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 1,
        activation: str = "gated",
        skip_channels: int | None = None,
        condition_size: int = 0,
        tokens: bool = False,
        conv: dict[str, Any] | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        name = "WaveNet"
        self.input_size = check_size(name, "input_size", input_size)
        self.channels = check_size(name, "channels", channels)
        self.output_size = check_size(name, "output_size", output_size)
        blocks = check_size(name, "blocks", blocks)
        if activation not in ("gated", "relu"):
            raise ValueError(f"{name}: activation must be 'gated' or 'relu', got {activation!r}")
        if activation == "relu" and (skip_channels is not None or condition_size):
            raise ValueError(
                f"{name}: skip_channels must be None and condition_size 0 with activation='relu', the plain "
                f"stack without either, got {skip_channels} and {condition_size}; use activation='gated'"
            )
        self.gated = activation == "gated"
        self.condition_size = check_size(name, "condition_size", condition_size, minimum=0)
        self.tokens = check_flag(name, "tokens", tokens)
        every = check_dilations(name, dilations) * blocks
        seeds = child_seeds(seed, 5 + len(every))
        options: dict[str, Any] = {"dtype": dtype}
        settings = check_conv(name, conv)
        if settings is not None and self.tokens:
            raise ValueError(f"{name}: conv must be None with tokens=True, as it reads features, got {conv}")
        self.conv = None if settings is None else make_conv(settings, self.input_size, dtype, seeds[-1])
        width = self.input_size if settings is None else int(settings["channels"])
        self.input: Embedding | Linear | None = None
        if self.tokens:
            self.input = Embedding(self.input_size, self.channels, seed=seeds[0], **options)
        elif self.gated:
            self.input = Linear(width, self.channels, seed=seeds[0], **options)
        if self.gated:
            self.stack = WaveNetStack(
                self.channels,
                skip_channels=skip_channels,
                kernel_size=kernel_size,
                dilations=every,
                condition_size=condition_size,
                seed=seeds[1],
                **options,
            )
            skip = self.stack.skip_channels
            self.hidden = Conv1d(skip, skip, 1, activation="relu", seed=seeds[2], **options)
            self.head = Linear(skip, self.output_size, seed=seeds[3], **options)
        else:
            inputs = [self.channels if self.tokens else width, *[self.channels] * (len(every) - 1)]
            self.convolutions = Sequential(
                *(
                    Conv1d(size, self.channels, kernel_size, dilation=d, activation="relu", seed=s, **options)
                    for size, d, s in zip(inputs, every, seeds[4:-1], strict=True)
                )
            )
            self.head = Linear(self.channels, self.output_size, seed=seeds[3], **options)
        self.dtype = self.head.dtype
        self.arguments = {
            "input_size": self.input_size,
            "channels": self.channels,
            "output_size": self.output_size,
            "kernel_size": int(kernel_size),
            "dilations": as_json(dilations),
            "blocks": blocks,
            "activation": activation,
            "skip_channels": as_json(skip_channels),
            "condition_size": self.condition_size,
            "tokens": self.tokens,
            "dtype": self.dtype.name,
        }
        if settings is not None:
            self.arguments["conv"] = settings
        self._steps: int = 1 + (int(kernel_size) - 1) * sum(every)
        self.flatten()

    @property
    def receptive_field(self) -> int:
        """1 + Σ (K − 1) d: steps of x that one step of y depends on; with `conv` as many as these reach."""
        if self.conv is None:
            return self._steps
        return self.conv.receptive_field + (self._steps - 1) * self.conv.stride

    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Inference: y alone. Arguments as in `forward`."""
        return self.forward(x, condition, training=False)[0]

    def forward(
        self, x: Array, condition: Array | None = None, *, training: bool = True
    ) -> tuple[Array, Tape | None]:
        """Compute y for every step.

        Args:
            x: shape (N, T, I), or ints of shape (N, T) with tokens.
            condition: shape (N, T', Q), T' the steps of y, or (N, Q) for one per sequence; None without.
            training: False keeps no tape.

        Returns:
            (y, tape): y of shape (N, T', O), T' = T, or what `conv` leaves of it.

        Raises:
            TypeError: if an array has another dtype than the model.
            ValueError: if one has another shape, a token is out of range, or the sequences are too short for
                `conv`.
        """
        inputs = self._checked("forward", x, condition)
        conv_tape = input_tape = None
        if self.conv is not None:
            inputs, conv_tape = self.conv.forward(inputs, training=training)
        if self.input is not None:
            inputs, input_tape = self.input.forward(inputs, training=training)
        if not self.gated:
            hidden, layers_tape = self.convolutions.forward(inputs, training=training)
            y, head_tape = self.head.forward(hidden, training=training)
            plain = (conv_tape, input_tape, layers_tape, None, head_tape)
            return y, Tape(self, plain) if training else None
        skip, layers_tape = self.stack.forward(inputs, condition, training=training)
        rectified = ops.activation("relu", skip)
        hidden, hidden_tape = self.hidden.forward(rectified, training=training)
        y, head_tape = self.head.forward(hidden, training=training)
        kept = (conv_tape, input_tape, layers_tape, (rectified, hidden_tape), head_tape)
        return y, Tape(self, kept) if training else None

    def _checked(
        self, method: str, x: Array, condition: Array | None, state: dict[str, Array] | None = None
    ) -> Array:
        """x, if it and the condition are what the model takes, before anything of a stream is changed.

        Args:
            method: who asks, for errors.
            x: what the caller passed.
            condition: likewise.
            state: of the stream that x is a block of; None for whole sequences.
        """
        operation = f"WaveNet.{method}"
        if self.tokens:
            if np.ndim(x) != 2:
                raise ValueError(f"{operation}: x must have ints of shape (N, T), got {np.shape(x)}")
            row_numbers(operation, x, self.input_size, name="x")
        else:
            sizes = (None, None, self.input_size)
            check_array(operation, "x", x, dtype=self.dtype, axes=("N", "T", "input_size"), sizes=sizes)
        steps = x.shape[1]
        if self.conv is not None and state is not None:
            steps = self.conv.stream_steps(steps, part_of(state, "conv"))
        elif self.conv is not None:
            check_long_enough(operation, self.conv, x, None)
            steps = self.conv.output_steps(steps)
        if self.gated:
            self.stack.check_condition(operation, condition, len(x), steps)
        elif condition is not None:
            raise ValueError(f"{operation}: condition must be None with activation='relu', got an array")
        return x

    def backward_with_condition(self, tape: Tape | None, dy: Array) -> tuple[Array, Array | None]:
        """As `backward`; returns the gradient of the condition too, like the condition."""
        conv_tape, input_tape, layers_tape, middle, head_tape = self._read(tape)
        dhidden = self.head.backward(head_tape, dy)
        self._close(tape)
        dcondition = None
        if middle is None:
            dx = self.convolutions.backward(layers_tape, dhidden)
        else:
            rectified, hidden_tape = middle
            drectified = self.hidden.backward(hidden_tape, dhidden)
            dskip = np.where(rectified > 0, drectified, self.dtype.type(0))
            dx, dcondition = self.stack.backward_with_condition(layers_tape, dskip)
        if self.input is not None:
            dx = self.input.backward(input_tape, dx)
        return (dx if self.conv is None else self.conv.backward(conv_tape, dx)), dcondition

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, T, O).

        Returns:
            dx, like x; zeros with tokens, which have no gradient.
        """
        return self.backward_with_condition(tape, dy)[0]

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """What the layers remember; see :class:`Stream`."""
        layers = ("stack", self.stack) if self.gated else ("convolutions", self.convolutions)
        front = [] if self.conv is None else [("conv", self.conv)]
        return joined_state([*front, layers], batch_size)

    def stream_process(self, x: Array, state: dict[str, Array], condition: Array | None = None) -> Array:
        """One block; see :class:`Stream`."""
        x = self._checked("stream_process", x, condition, state)
        if self.conv is not None:
            x = self.conv.stream_process(x, part_of(state, "conv"))
        if self.input is not None:
            x = self.input.stream_process(x, {})
        if not self.gated:
            x = self.convolutions.stream_process(x, part_of(state, "convolutions"))
        else:
            skip = self.stack.stream_process(x, part_of(state, "stack"), condition)
            x = self.hidden.forward(ops.activation("relu", skip), training=False)[0]
        return self.head.stream_process(x, {})
