"""Drawing sequences from a model, one step after the other: each output becomes the next input.

Not here: the models; decoding of an encoder–decoder (``decoding``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import init
from ..nn.arguments import check_finite, check_size
from ..nn.parameter import Array
from .stream import Stream

if TYPE_CHECKING:
    from .wavenet import WaveNet

Sampler = Callable[[Array, np.random.RandomState], Array]


def draw_tokens(logits: Array, temperature: float, random: np.random.RandomState) -> Array:
    """One token per row from softmax(logits / temperature); the most likely one at temperature 0.

    Args:
        logits: shape (N, O).
        temperature: 0 or above.
        random: source of random numbers; one uniform number per row.
    """
    if temperature == 0:
        found: Array = logits.argmax(axis=1)
        return found
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    bounds = weights.cumsum(axis=1)
    # Inversion: the first token whose cumulative weight exceeds u times the sum.
    wanted = random.random_sample(len(logits))[:, None] * bounds[:, -1:]
    drawn: Array = np.minimum((bounds <= wanted).sum(axis=1), logits.shape[1] - 1)
    return drawn


def generate(
    model: WaveNet,
    steps: int,
    *,
    prime: Array | None,
    condition: Array | None,
    batch_size: int,
    temperature: float,
    sampler: Sampler | None,
    seed: int | None,
    progress: Callable[[int], None] | None,
) -> Array:
    """See :meth:`rnnfast.models.WaveNet.generate`."""
    operation = f"{type(model).__name__}.generate"
    steps = check_size(operation, "steps", steps, minimum=0)
    if model.conv is not None:
        raise ValueError(
            f"{operation}: conv must be None, as outputs then are fewer than the inputs they become"
        )
    temperature = check_finite(operation, "temperature", temperature)
    if temperature < 0:
        raise ValueError(f"{operation}: temperature must be 0 or above, got {temperature}")
    if sampler is None and not model.tokens and model.output_size != model.input_size:
        raise ValueError(
            f"{operation}: sampler must be given where output_size={model.output_size} is not "
            f"input_size={model.input_size}, as outputs become inputs; pass a function of (y_t, generator)"
        )
    if prime is None:
        batch_size = check_size(operation, "batch_size", batch_size)
        shape = (batch_size, 1) if model.tokens else (batch_size, 1, model.input_size)
        prime = np.zeros(shape, np.int64 if model.tokens else model.dtype)
    elif np.ndim(prime) != (2 if model.tokens else 3) or prime.shape[1] < 1:
        expected = "ints of shape (N, P)" if model.tokens else f"shape (N, P, {model.input_size})"
        raise ValueError(
            f"{operation}: prime must have {expected} with P of 1 or more, got {np.shape(prime)}"
        )
    stream, random = Stream(model, len(prime)), init.generator(seed)
    before = prime.shape[1]

    def condition_of(start: int, stop: int) -> dict[str, Any]:
        if condition is None:
            return {}
        held = np.ndim(condition) == 2
        return {"condition": condition if held else condition[:, start:stop]}

    if condition is not None and np.ndim(condition) == 3 and condition.shape[1] < before + steps:
        raise ValueError(
            f"{operation}: condition must have shape (N, Q) or (N, P + steps, Q) with P + steps = "
            f"{before + steps}, got {condition.shape}"
        )
    drawn = np.empty((len(prime), steps, *prime.shape[2:]), prime.dtype)
    if steps == 0:
        return drawn
    y = stream.process(prime, **condition_of(0, before))[:, -1]
    for step in range(steps):
        if sampler is not None:
            drawn[:, step] = sampler(y, random)
        elif model.tokens:
            drawn[:, step] = draw_tokens(y, temperature, random)
        else:
            drawn[:, step] = y
        if progress is not None:
            progress(step + 1)
        if step + 1 < steps:
            here = before + step
            y = stream.process(drawn[:, step : step + 1], **condition_of(here, here + 1))[:, -1]
    return drawn
