"""Nothing is written around an output: whatever the layers ask NumPy for lies between guards."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnfast
from rnnfast import nn, ops
from test_convolution import inputs_of, modules
from test_rows import make_norm, random_array

Array = np.ndarray[Any, np.dtype[Any]]
GUARDS = 64  # elements on each side


class Guarded:
    """A stand-in for ``np.empty`` that remembers what it gave and what lies around it."""

    def __init__(self) -> None:
        self.given: list[tuple[Array, Array]] = []

    def empty(self, shape: Any, dtype: Any = np.float64) -> Array:
        """As ``np.empty``, with guards before and behind."""
        count = math.prod(shape) if isinstance(shape, tuple) else int(shape)
        memory = np.full(count + 2 * GUARDS, 0, dtype)
        memory.view(np.uint8)[:] = 0xA5
        self.given.append((memory, memory.copy()))
        return memory[GUARDS : GUARDS + count].reshape(shape)

    def check(self, at_least: int) -> None:
        """All guards are as they were; and something was given."""
        assert len(self.given) >= at_least
        for memory, before in self.given:
            for edge in (slice(None, GUARDS), slice(-GUARDS, None)):
                assert memory[edge].tobytes() == before[edge].tobytes()


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Guarded:
    guards = Guarded()
    monkeypatch.setattr(np, "empty", guards.empty)
    return guards


def train(module: nn.Module, *given: Array) -> None:
    y, tape = module.forward(*given)
    module.backward(tape, np.cos(y))


@pytest.mark.parametrize("threads", [1, 3])
def test_convolution_and_stack(threads: int, variant: str, dtype: type, guarded: Guarded) -> None:
    rnnfast.set_num_threads(threads)
    for module, sizes in modules(dtype):
        train(module, *(array for array in inputs_of(sizes, dtype) if array is not None))
    guarded.check(40)


@pytest.mark.parametrize("features", [1, 5, 16, 37, 130])
def test_rows(features: int, variant: str, dtype: type, guarded: Guarded) -> None:
    train(make_norm(features, dtype, "tanh"), random_array(7, features, dtype=dtype))
    train(nn.Embedding(9, features, dtype=dtype, seed=0), np.arange(20) % 9)
    calls: list[Callable[[], Any]] = []
    a, b = random_array(3, 5, features, dtype=dtype), random_array(3, features, 19, dtype=dtype)
    turned = [np.ascontiguousarray(array.transpose(0, 2, 1)) for array in (a, b)]
    calls.append(lambda: ops.batched_product(a, b))
    calls.append(lambda: ops.batched_product(turned[0], b, transpose_a=True))
    calls.append(lambda: ops.batched_product(a, turned[1], transpose_b=True))
    p = ops.masked_softmax(a, np.array([features, 1, 0]))
    calls.append(lambda: ops.softmax_backward(p, a))
    for call in calls:
        call()
    guarded.check(10)
