"""Convolution over time and its gradients, on ``[N, T, C]`` as it lies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnnfast import _core

from .arrays import (
    Array,
    check_array,
    check_float,
    check_ring,
    contiguous,
    empty_like_sequence,
    shape_of,
    with_rows,
)

ACTIVATIONS = (None, "relu", "tanh", "sigmoid")


def activation_name(where: str, activation: str | None) -> str:
    """The name by which kernels know an activation, "none" for None."""
    known = activation is None or isinstance(activation, str)  # not an array, say
    if not known or activation not in ACTIVATIONS:
        raise ValueError(f"{where}: activation must be None, 'relu', 'tanh' or 'sigmoid', got {activation!r}")
    return activation or "none"


def steps_out(steps: int, span: int, stride: int, padding: str) -> int:
    """T_out: T with causal padding, else (T − span − 1) // s + 1, and 0 where T is too short."""
    return steps if padding == "causal" else max(0, (steps - span - 1) // stride + 1)


@dataclass(eq=False)
class Conv1dWeights:
    """Weights of a convolution and how it moves over time, with the packed forms that kernels read.

    Args:
        weight: ``[O, C, K]``.
        bias: ``[O]`` or None.
        dilation: d, steps between taps.
        stride: s, steps between outputs.
        padding: "causal" (zeros before the first step, stride 1) or "valid".
        activation: None, "relu", "tanh" or "sigmoid", applied to the result.

    Raises:
        TypeError: not float32 or float64 throughout.
        ValueError: a wrong shape, dilation, stride, padding or activation.
    """

    weight: Array
    bias: Array | None = None
    dilation: int = field(default=1, kw_only=True)
    stride: int = field(default=1, kw_only=True)
    padding: str = field(default="causal", kw_only=True)
    activation: str | None = field(default=None, kw_only=True)
    _packed: dict[tuple[str, bool], Array] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        where = "Conv1dWeights"
        check_float(where, "weight", self.weight)
        outputs, _, kernel = shape_of(where, "weight", self.weight, 3)
        if kernel < 1:
            raise ValueError(f"{where}: weight must have shape (O, C, K) with K of 1 or more, got {kernel}")
        if self.bias is not None:
            check_array(where, "bias", self.bias, (outputs,), self.weight.dtype)
            self.bias = contiguous(self.bias)
        if self.padding not in ("causal", "valid"):
            raise ValueError(f"{where}: padding must be 'causal' or 'valid', got {self.padding!r}")
        for name, value in (("dilation", self.dilation), ("stride", self.stride)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                raise TypeError(f"{where}: {name} must be an int, got {value!r}")
            if value < 1:
                raise ValueError(f"{where}: {name} must be 1 or more, got {value}")
        if self.padding == "causal" and self.stride != 1:
            raise ValueError(f"{where}: stride must be 1 with padding='causal', got {self.stride}")
        activation_name(where, self.activation)
        self.weight = contiguous(self.weight)

    @property
    def span(self) -> int:
        """d (K − 1): how far the first tap lies before the last one."""
        return self.dilation * (int(self.weight.shape[2]) - 1)

    def output_steps(self, steps: int) -> int:
        """T_out of T steps."""
        return steps_out(steps, self.span, self.stride, self.padding)

    def geometry(self, first: int) -> dict[str, int | str]:
        """What kernels are told of the convolution; `first` is the step that tap 0 of output 0 reads."""
        return {
            "kernel": self.weight.shape[2],
            "dilation": self.dilation,
            "stride": self.stride,
            "first": first,
            "activation": self.activation or "none",
        }

    @property
    def first(self) -> int:
        """The step that tap 0 of output 0 reads in a whole sequence."""
        return -self.span if self.padding == "causal" else 0

    def packed(self, for_backward: bool) -> Array:
        """The weights as the active variant reads them."""
        key = (_core.active_variant(), for_backward)
        if key not in self._packed:
            self._packed[key] = _core.conv1d_pack(
                for_backward=for_backward, weight=self.weight, bias=self.bias
            )
        return self._packed[key]


def conv1d_forward(weights: Conv1dWeights, x: Array, *, name: str = "conv1d_forward") -> Array:
    """y[n, j, o] = act(b[o] + Σ_k Σ_c W[o, c, k] x[n, s j + k d − (causal: (K − 1) d), c]).

    Args:
        weights: W, b, dilation, stride, padding and activation.
        x: ``[N, T, C]``, any strides in N and T.
        name: who asks, for errors.

    Returns:
        y, ``[N, T_out, O]``: T steps with causal padding, (T − d (K − 1) − 1) // s + 1 without.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    batch, steps, _ = shape_of(name, "x", x, 3)
    outputs, inputs, _ = weights.weight.shape
    check_array(name, "x", x, (batch, steps, inputs), weights.weight.dtype)
    x = with_rows(x)
    y = empty_like_sequence(x, outputs, weights.output_steps(steps))
    _core.conv1d_forward(
        x=x, packed=weights.packed(False), y=y, **weights.geometry(weights.first), ring=None, position=0
    )
    return y


def conv1d_block(
    weights: Conv1dWeights, x: Array, ring: Array, steps: int, *, name: str = "conv1d_block"
) -> Array:
    """The outputs that become complete with one more block of a sequence, with the bits of the whole.

    Args:
        weights: as in `conv1d_forward`.
        x: the block, ``[N, B, C]``, B of 0 or more.
        ring: the last d (K − 1) inputs before the block, ``[N, d (K − 1), C]``, input of step t at
            t mod d (K − 1); zeros at the start. Updated in place.
        steps: steps before the block.
        name: who asks, for errors.

    Returns:
        y, ``[N, B', O]``: B' = B with causal padding; without, every output whose last tap lies in the block.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    batch, block, _ = shape_of(name, "x", x, 3)
    outputs, inputs, _ = weights.weight.shape
    check_array(name, "x", x, (batch, block, inputs), weights.weight.dtype)
    check_ring(name, ring, (batch, weights.span, inputs), weights.weight.dtype)
    if steps < 0:
        raise ValueError(f"{name}: steps must be 0 or more, got {steps}")
    before, after = weights.output_steps(steps), weights.output_steps(steps + block)
    x = with_rows(x)
    y = empty_like_sequence(x, outputs, after - before)
    _core.conv1d_forward(
        x=x,
        packed=weights.packed(False),
        y=y,
        **weights.geometry(weights.first + weights.stride * before - steps),
        ring=ring,
        position=steps % weights.span if weights.span else 0,
    )
    return y


def conv1d_backward(
    weights: Conv1dWeights,
    x: Array,
    y: Array,
    dy: Array,
    *,
    input_gradient: bool = True,
    name: str = "conv1d_backward",
) -> tuple[Array | None, Array, Array | None]:
    """Gradients (dx, dweight, dbias) of `conv1d_forward`.

    Args:
        weights: as in the forward call.
        x: its input.
        y: its result.
        dy: gradient of y.
        input_gradient: whether dx is wanted; None is returned in its place otherwise.
        name: who asks, for errors.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    batch, steps, _ = shape_of(name, "x", x, 3)
    outputs, inputs, _ = weights.weight.shape
    dtype = weights.weight.dtype
    check_array(name, "x", x, (batch, steps, inputs), dtype)
    shape = (batch, weights.output_steps(steps), outputs)
    check_array(name, "y", y, shape, dtype)
    check_array(name, "dy", dy, shape, dtype)
    x = with_rows(x)
    dx = empty_like_sequence(x, inputs) if input_gradient else None
    dweight = np.empty(weights.weight.shape, dtype)
    dbias = None if weights.bias is None else np.empty(outputs, dtype)
    _core.conv1d_backward(
        x=x,
        y=with_rows(y),
        dy=with_rows(dy),
        packed=weights.packed(True),
        dx=dx,
        dweight=dweight,
        dbias=dbias,
        **weights.geometry(weights.first),
    )
    return dx, dweight, dbias
