"""The memory of one training step, as tracemalloc sees it: every NumPy array that the step makes.

It is the first step of a new layer, as a layer may keep memory from one step to the next. What the caller
holds (x, dy, the parameters, their gradients) was there before and does not count. NumPy reports its arrays
to tracemalloc; the workspace of the C++ kernels is not among them.
"""

from __future__ import annotations

import copy
import tracemalloc
from typing import NamedTuple

import numpy as np

from .layers import LayerProblem


class Memory(NamedTuple):
    """Bytes: the peak of a step, and what is held between forward and backward beside y and the state."""

    peak: int
    tape: int


def step_memory(problem: LayerProblem) -> Memory:
    """Measure one step of a copy of the problem's layer."""
    layer = copy.deepcopy(problem.layer)
    layer(problem.x, **problem.arguments)  # packs the weights, which are no part of the tape
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        y, state, tape = layer.forward(problem.x, **problem.arguments)
        held = tracemalloc.get_traced_memory()[0] - before
        gradients = layer.backward(tape, problem.dy)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    del gradients
    states = state if isinstance(state, tuple) else (state,)
    return Memory(peak, held - y.nbytes - sum(np.asarray(part).nbytes for part in states))
