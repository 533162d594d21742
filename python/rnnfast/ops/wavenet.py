"""A stack of gated WaveNet layers and its gradients, all layers in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_ring, empty, empty_like_sequence, shape_of, with_rows
from .memory import TapeMemory
from .wavenet_weights import Layer, WaveNetWeights


@dataclass(eq=False)
class WaveNetTape:
    """What one forward call leaves for one backward call; refers to x and the condition."""

    weights: WaveNetWeights
    x: Array
    condition: Array | None
    inputs: Array
    gates: Array
    memories: tuple[TapeMemory, TapeMemory] | None
    used: bool = False


def _checked_inputs(
    where: str, weights: WaveNetWeights, x: Array, condition: Array | None
) -> tuple[Array, Array | None]:
    batch, steps, _ = shape_of(where, "x", x, 3)
    dtype = weights.weight.dtype
    check_array(where, "x", x, (batch, steps, weights.channels), dtype)
    if (condition is not None) != (weights.condition_size > 0):
        rule = "an array" if weights.condition_size else "None"
        raise ValueError(
            f"{where}: condition must be {rule} with condition_size={weights.condition_size}, "
            f"got {'None' if condition is None else 'an array'}"
        )
    if condition is not None:
        check_array(where, "condition", condition, (batch, steps, weights.condition_size), dtype)
        condition = with_rows(condition)
    return with_rows(x), condition


def _stack(weights: WaveNetWeights, x: Array, condition: Array | None, backward: bool) -> dict[str, Any]:
    """What every call says of the stack."""
    return {
        "x": x,
        "condition": condition,
        "packed": weights.packed(backward),
        "dilations": weights.steps_back,
        "kernel": weights.kernel_size,
    }


def wavenet_forward(
    weights: WaveNetWeights,
    x: Array,
    condition: Array | None = None,
    *,
    training: bool = True,
    memories: tuple[TapeMemory, TapeMemory] | None = None,
    name: str = "wavenet_forward",
) -> tuple[Array, WaveNetTape | None]:
    """skip = Σ_l (W_s z_l + b_s), z_l = tanh(f)∘σ(g), (f, g) = W ∗ x_l + V condition + b, x_{l+1} = x_l +
    W_r z_l + b_r.

    Args:
        weights: of all layers.
        x: ``[N, T, C]``, any strides in N and T.
        condition: ``[N, T, Q]``, any strides in N and T; None without.
        training: whether to keep a tape.
        memories: where the tape's two arrays may lie; None for new memory.
        name: who asks, for errors.

    Returns:
        (skip, tape): ``[N, T, S]``; None without training.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    x, condition = _checked_inputs(name, weights, x, condition)
    batch, steps, channels = x.shape
    skip = empty_like_sequence(x, weights.skip_channels)
    inputs = gates = None
    if training:
        layers = len(weights.layers)
        takes = (empty, empty) if memories is None else (memories[0].take, memories[1].take)
        inputs = takes[0]((layers - 1, batch, steps, channels), x.dtype)
        gates = takes[1]((layers, batch, steps, 2 * channels), x.dtype)
    _core.wavenet_forward(
        **_stack(weights, x, condition, False),
        ring=None,
        position=0,
        skip=skip,
        inputs=inputs,
        gates=gates,
    )
    if inputs is None or gates is None:
        return skip, None
    return skip, WaveNetTape(weights, x, condition, inputs, gates, memories)


def wavenet_block(
    weights: WaveNetWeights,
    x: Array,
    condition: Array | None,
    ring: Array,
    steps: int,
    *,
    name: str = "wavenet_block",
) -> Array:
    """skip of one more block of a sequence, with the bits of the whole.

    Args:
        weights: of all layers.
        x: the block, ``[N, B, C]``, B of 0 or more.
        condition: of the block, ``[N, B, Q]``; None without.
        ring: flat, N Σ (K − 1) d C values: for every layer the last (K − 1) d inputs, that of step t at
            t mod (K − 1) d; zeros at the start. Updated in place.
        steps: steps before the block.
        name: who asks, for errors.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    x, condition = _checked_inputs(name, weights, x, condition)
    check_ring(name, ring, (len(x) * weights.ring_rows * weights.channels,), x.dtype)
    if steps < 0:
        raise ValueError(f"{name}: steps must be 0 or more, got {steps}")
    skip = empty_like_sequence(x, weights.skip_channels)
    _core.wavenet_forward(
        **_stack(weights, x, condition, False),
        ring=ring,
        position=steps,
        skip=skip,
        inputs=None,
        gates=None,
    )
    return skip


def wavenet_backward(
    tape: WaveNetTape, dskip: Array, *, name: str = "wavenet_backward"
) -> tuple[Array, Array | None, tuple[Layer, ...]]:
    """Gradients (dx, dcondition, layers) of `wavenet_forward`; those of the layers like the weights.

    Args:
        tape: from the forward call; used up.
        dskip: gradient of skip, ``[N, T, S]``.
        name: who asks, for errors.

    Raises:
        RuntimeError: the tape was used before.
        TypeError, ValueError: naming the argument.
    """
    if tape.used:
        raise RuntimeError(
            f"{name}: tape was used before; a tape serves one backward call, run forward again"
        )
    weights, x, condition = tape.weights, tape.x, tape.condition
    check_array(name, "dskip", dskip, (*x.shape[:2], weights.skip_channels), x.dtype)
    tape.used = True
    dx = empty_like_sequence(x, weights.channels)
    dcondition = None if condition is None else empty_like_sequence(x, weights.condition_size)
    gradients = tuple(
        tuple(None if array is None else np.empty(array.shape, x.dtype) for array in layer)
        for layer in weights.layers
    )
    _core.wavenet_backward(
        **_stack(weights, x, condition, True),
        inputs=tape.inputs,
        gates=tape.gates,
        dskip=with_rows(dskip),
        dx=dx,
        dcondition=dcondition,
        gradients=gradients,
    )
    if tape.memories is not None:
        tape.memories[0].give_back(tape.inputs)
        tape.memories[1].give_back(tape.gates)
    return dx, dcondition, gradients
