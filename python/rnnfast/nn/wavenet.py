"""The gated stack of a WaveNet as one layer. Not here: its kernels (``ops.wavenet``), input and head
(``models.WaveNet``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from .. import init, ops
from ..ops.wavenet_weights import LAYER_ARRAYS
from .arguments import check_array, check_dtype, check_size
from .module import Module, Tape
from .parameter import Array, Parameter, add_gradients
from .states import SequenceLayout
from .versioned import Versioned


def check_dilations(operation: str, dilations: Any) -> tuple[int, ...]:
    """The dilations of a stack as ints, if they are one or more of 1 or more."""
    if not isinstance(dilations, (tuple, list)) or not dilations:
        raise ValueError(f"{operation}: dilations must be a tuple of one or more ints, got {dilations!r}")
    return tuple(check_size(operation, "dilations", dilation) for dilation in dilations)


class WaveNetStack(Module):
    """Dilated gated layers with residuals; what it puts out is the sum of their skips.

    For layer l with dilation d, x_0 = x: f, g = W ∗ x_l + V c + b (causal, W [2C, C, K], filters first);
    z = tanh(f)∘σ(g); x_{l+1} = x_l + W_r z + b_r; y = Σ_l (W_s z + b_s). c is an optional condition per step,
    or one per sequence. The last layer has no W_r, as nobody reads x_L.

    Args:
        channels: C, features of x and of every layer.
        skip_channels: S, features of y; None for C.
        kernel_size: K.
        dilations: one per layer, for example (1, 2, 4, 8) * 2.
        condition_size: Q, features of the condition, 0 for none.
        dtype: float32 or float64.
        seed: seed of the initial weights (Glorot uniform, biases zero), None for a fresh one.

    Parameters of layer l: weight_l0 [2C, C, K], bias_l0 [2C], weight_condition_l0 [2C, Q], weight_residual_l0
    [C, C], bias_residual_l0 [C], weight_skip_l0 [S, C], bias_skip_l0 [S].

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if one is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> stack = nn.WaveNetStack(8, dilations=(1, 2, 4), seed=0)
        >>> stack.receptive_field, stack(np.ones((2, 20, 8), np.float32)).shape
        (8, (2, 20, 8))

    Reference:
        van den Oord et al., WaveNet: a generative model for raw audio, 2016, sections 2.3 to 2.5.
    """

    def __init__(
        self,
        channels: int,
        *,
        skip_channels: int | None = None,
        kernel_size: int = 2,
        dilations: Sequence[int] = (1, 2, 4, 8),
        condition_size: int = 0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        name = "WaveNetStack"
        self.channels = check_size(name, "channels", channels)
        self.skip_channels = check_size(
            name, "skip_channels", self.channels if skip_channels is None else skip_channels
        )
        self.kernel_size = check_size(name, "kernel_size", kernel_size)
        self.dilations = check_dilations(name, dilations)
        self.condition_size = check_size(name, "condition_size", condition_size, minimum=0)
        self.dtype = check_dtype(name, dtype)
        random = init.generator(seed)
        for number in range(len(self.dilations)):
            arrays = self._initial(random, last=number + 1 == len(self.dilations))
            parameters = {key: Parameter(array) for key, array in arrays.items()}
            for key, parameter in parameters.items():
                setattr(self, f"{key}_l{number}", parameter)
        self._layout = SequenceLayout(True, self.dtype)
        self._versioned: Versioned[ops.WaveNetWeights] = Versioned()
        self._memories = (ops.TapeMemory(), ops.TapeMemory())

    def _initial(self, random: np.random.RandomState, *, last: bool) -> dict[str, Array]:
        """Initial values of one layer by name."""
        channels, skip, kernel = self.channels, self.skip_channels, self.kernel_size

        def glorot(rows: int, columns: int) -> Array:
            return init.glorot_uniform((rows, columns), random, self.dtype)

        # Filters and gates are maps of their own: the fans of each, not of both together.
        taps = [glorot(channels * kernel, channels * kernel)[:channels] for _ in range(2)]
        weight = np.concatenate(taps).reshape(2 * channels, channels, kernel)
        arrays = {"weight": weight, "bias": np.zeros(2 * channels, self.dtype)}
        if self.condition_size:
            parts = [glorot(channels, self.condition_size) for _ in range(2)]
            arrays["weight_condition"] = np.concatenate(parts)
        if not last:
            arrays |= {
                "weight_residual": glorot(channels, channels),
                "bias_residual": np.zeros(channels, self.dtype),
            }
        return arrays | {"weight_skip": glorot(skip, channels), "bias_skip": np.zeros(skip, self.dtype)}

    @property
    def receptive_field(self) -> int:
        """1 + Σ (K − 1) d: steps of x that one step of y depends on."""
        return 1 + (self.kernel_size - 1) * sum(self.dilations)

    def _weights(self) -> ops.WaveNetWeights:
        def parameters() -> list[Parameter]:
            return [parameter for layer in self._layers() for parameter in layer if parameter is not None]

        def make() -> ops.WaveNetWeights:
            # Copies: forms packed later, by an open tape, are those of the same values.
            layers = [
                tuple(None if parameter is None else parameter.value.copy() for parameter in layer)
                for layer in self._layers()
            ]
            return ops.WaveNetWeights(layers, self.dilations, self.condition_size)

        return self._versioned.get(self.generation, parameters, make)

    def _layers(self) -> list[tuple[Parameter | None, ...]]:
        """The parameters of every layer in the order of `LAYER_ARRAYS`; None where a layer has none."""
        return [
            tuple(getattr(self, f"{key}_l{number}", None) for key in LAYER_ARRAYS)
            for number in range(len(self.dilations))
        ]

    def check_condition(self, operation: str, condition: Any, batch: int, steps: int) -> Array | None:
        """The condition as [N, T, Q]; one per sequence is held over time without a copy."""
        if not self.condition_size:
            if condition is not None:
                raise ValueError(
                    f"{operation}: condition must be None with condition_size=0, got an array; make the "
                    f"stack with condition_size={np.shape(condition)[-1] if np.ndim(condition) else 1}"
                )
            return None
        if condition is None:
            raise ValueError(
                f"{operation}: condition must be given with condition_size={self.condition_size}, got None; "
                f"pass condition=…, one vector per step or one per sequence"
            )
        held = isinstance(condition, np.ndarray) and condition.ndim == 2
        front: tuple[tuple[str, int], ...] = (("N", batch),) if held else (("N", batch), ("T", steps))
        check_array(
            operation,
            "condition",
            condition,
            dtype=self.dtype,
            axes=(*(axis for axis, _ in front), "condition_size"),
            sizes=(*(size for _, size in front), self.condition_size),
        )
        found: Array = condition
        if held:
            found = np.broadcast_to(found[:, None], (batch, steps, self.condition_size))
        return found

    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Inference: y alone. Arguments as in `forward`."""
        return self.forward(x, condition, training=False)[0]

    def forward(
        self, x: Array, condition: Array | None = None, *, training: bool = True
    ) -> tuple[Array, Tape | None]:
        """Compute the sum of skips.

        Args:
            x: shape (N, T, C), any strides in N and T.
            condition: shape (N, T, Q), or (N, Q) for one per sequence; None without.
            training: whether to return a tape, which refers to x and the condition: leave both unchanged.

        Returns:
            (y, tape): y of shape (N, T, S).

        Raises:
            TypeError: if an array has another dtype than the stack.
            ValueError: if one has another shape.
        """
        x = self._layout.check("WaveNetStack.forward", "x", x, self.channels, "channels")
        full = self.check_condition("WaveNetStack.forward", condition, *x.shape[:2])
        if not training:
            for memory in self._memories:
                memory.release()  # who only infers does not need the memory of tapes
        y, tape = ops.wavenet_forward(
            self._weights(),
            x,
            full,
            training=training,
            memories=self._memories,
            name="WaveNetStack.forward",
        )
        return y, None if tape is None else Tape(self, (tape, condition is not None and condition.ndim == 2))

    def backward_with_condition(self, tape: Tape | None, dy: Array) -> tuple[Array, Array | None]:
        """As `backward`; returns the gradient of the condition too, like the condition."""
        own, held = self._read(tape)
        dy = self._layout.check(
            "WaveNetStack.backward", "dy", dy, self.skip_channels, "skip_channels", own.x.shape[:2]
        )
        self._close(tape)
        dx, dcondition, layers = ops.wavenet_backward(own, dy)
        add_gradients(chain.from_iterable(self._layers()), chain.from_iterable(layers))
        if held and dcondition is not None:
            dcondition = ops.sum_over_steps(dcondition)
        return dx, dcondition

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters into their `grad`; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, T, S).

        Returns:
            dx, shape (N, T, C).
        """
        return self.backward_with_condition(tape, dy)[0]

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """Every layer's last (K − 1) d inputs, zeros at the start, and how many steps there were."""
        ring = np.zeros(batch_size * self._weights().ring_rows * self.channels, self.dtype)
        return {"ring": ring, "steps": np.zeros(1, np.int64)}

    def stream_process(self, x: Array, state: dict[str, Array], condition: Array | None = None) -> Array:
        """The outputs of one more block; condition as in `forward`, of the block."""
        x = self._layout.check("WaveNetStack.stream_process", "x", x, self.channels, "channels")
        full = self.check_condition("WaveNetStack.stream_process", condition, *x.shape[:2])
        steps = state["steps"]
        y = ops.wavenet_block(self._weights(), x, full, state["ring"], int(steps[0]))
        steps += x.shape[1]
        return y
