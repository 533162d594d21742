"""Drawing sequences from a model, one step after the other: each output becomes the next input.

Not here: the models; decoding of an encoder–decoder (``decoding``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import init
from ..nn import Conv1d
from ..nn.arguments import check_finite, check_size
from ..nn.parameter import Array
from .decoding import at_temperature, uniforms
from .model import Model
from .stream import Stream

Sampler = Callable[[Array, np.random.RandomState], Array]


def most_likely(logits: Array, _: int) -> Array:
    """The tokens of the largest logits (N, O); the first of several."""
    tokens: Array = logits.argmax(axis=1)
    return tokens


class GeneratingModel(Model):
    """Base of the models whose outputs may become their inputs, step by step.

    A subclass sets what is declared here.
    """

    tokens: bool
    input_size: int
    output_size: int
    dtype: np.dtype[Any]
    conv: Conv1d | None

    def generate(
        self,
        steps: int,
        *,
        prime: Array | None = None,
        condition: Array | None = None,
        batch_size: int = 1,
        temperature: float = 1.0,
        sampler: Sampler | None = None,
        seed: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Array:
        """Draw sequences step by step, each output being the next input: O(layers) work per step.

        With tokens y holds logits, and the next token is drawn from softmax(y / temperature), or is the most
        likely one at temperature 0. With values the next input is y itself (then O = I), unless `sampler`
        makes it.

        Args:
            steps: steps to draw.
            prime: what comes before, shape (N, P, I), or ints (N, P) with tokens; None for one step of
                zeros (token 0).
            condition: shape (N, Q), or (N, P + steps, Q), that of the prime first; None without. The prime
                has P steps, one if it is None.
            batch_size: N, where neither prime nor condition says it.
            temperature: 0 or above, with tokens.
            sampler: (y_t of shape (N, O), generator) → next input, (N, I), or ints (N,) with tokens.
            seed: of the draws; None for a fresh one.
            progress: called with the number of steps done after each.

        Returns:
            The drawn steps, shape (N, steps, I), or ints (N, steps) with tokens.

        Raises:
            TypeError: if an argument is of another type.
            ValueError: if one is out of its range or has the wrong shape.
        """
        operation = f"{type(self).__name__}.generate"
        steps = check_size(operation, "steps", steps, minimum=0)
        choosing = self.tokens and sampler is None
        temperature = check_finite(operation, "temperature", temperature)
        if temperature < 0:
            raise ValueError(f"{operation}: temperature must be 0 or above, got {temperature}")
        if temperature != 1.0 and not choosing:
            raise ValueError(
                f"{operation}: temperature must be 1 where no token is drawn from logits, got {temperature}"
            )
        if self.conv is not None:
            raise ValueError(
                f"{operation}: conv must be None, as outputs then are fewer than the inputs that they become"
            )
        if sampler is None and not self.tokens and self.output_size != self.input_size:
            raise ValueError(
                f"{operation}: sampler must be given where output_size={self.output_size} is not "
                f"input_size={self.input_size}, as outputs become inputs; pass a function of (y_t, generator)"
            )
        if choosing and self.output_size > self.input_size:
            raise ValueError(
                f"{operation}: sampler must be given where output_size={self.output_size} is above "
                f"input_size={self.input_size}, as not every token drawn is one that the model reads"
            )
        prime = _checked_prime(operation, self, prime, condition, batch_size)
        stream, random = Stream(self, len(prime)), init.generator(seed)
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
        drawn = np.empty((len(prime), steps, *prime.shape[2:]), np.int64 if self.tokens else self.dtype)
        if steps == 0:
            return drawn
        choose: Callable[[Array, int], Array] = most_likely
        if choosing and temperature > 0:
            uniform = uniforms(init.resolve_seed(seed), len(prime), steps)
            choose = at_temperature(temperature, uniform, operation)
        y = stream.process(prime, **condition_of(0, before))[:, -1]
        for step in range(steps):
            if sampler is not None:
                drawn[:, step] = _checked_draw(operation, sampler(y, random), drawn[:, step])
            elif choosing:
                drawn[:, step] = choose(y, step)
            else:
                drawn[:, step] = y
            if progress is not None:
                progress(step + 1)
            if step + 1 < steps:
                here = before + step
                y = stream.process(drawn[:, step : step + 1], **condition_of(here, here + 1))[:, -1]
        return drawn


def _checked_draw(operation: str, draw: Any, like: Array) -> Array:
    """What a sampler made, if it is the next input."""
    array: Array = np.asarray(draw)
    if array.shape != like.shape or array.dtype.kind not in ("iu" if like.dtype.kind == "i" else "fiu"):
        kind = "ints" if like.dtype.kind == "i" else "numbers"
        raise ValueError(
            f"{operation}: sampler must return {kind} of shape {like.shape}, got {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{operation}: sampler must return finite numbers, got {array[~np.isfinite(array)][0]}"
        )
    return array


def _checked_prime(
    operation: str, model: GeneratingModel, prime: Array | None, condition: Any, batch_size: int
) -> Array:
    """What comes before the first drawn step; one step of zeros where nothing does."""
    batch_size = check_size(operation, "batch_size", batch_size)
    if isinstance(condition, np.ndarray) and condition.ndim and prime is None and batch_size == 1:
        batch_size = len(condition)
    if prime is None:
        shape = (batch_size, 1) if model.tokens else (batch_size, 1, model.input_size)
        return np.zeros(shape, np.int64 if model.tokens else model.dtype)
    axes = 2 if model.tokens else 3
    if not isinstance(prime, np.ndarray) or prime.ndim != axes or prime.shape[1] < 1:
        expected = "ints of shape (N, P)" if model.tokens else f"shape (N, P, {model.input_size})"
        got = prime.shape if isinstance(prime, np.ndarray) else type(prime).__name__
        raise ValueError(f"{operation}: prime must be an array, {expected} with P of 1 or more, got {got}")
    if batch_size not in (1, len(prime)):
        raise ValueError(
            f"{operation}: batch_size must be left out with a prime, which has N={len(prime)}, "
            f"got {batch_size}"
        )
    return prime
