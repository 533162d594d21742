"""What a forward call of a recurrent layer leaves for its backward call, and what that returns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnfast import _core

from .arrays import Array, empty
from .weights import RecurrentWeights


class RecurrentTape:
    """What one forward call leaves for one backward call. It refers to x, y, the states, resets and masks
    that were passed: leave them unchanged.
    """

    __slots__ = ("call", "checkpoints", "used", "values", "weights", "with_reset_state", "x", "y")

    def __init__(
        self,
        weights: RecurrentWeights,
        call: _core.RecurrentCall,
        x: Array,
        y: Array,
        with_reset_state: bool,
    ) -> None:
        self.weights = weights
        self.call = call
        self.x = x
        self.y = y
        self.with_reset_state = with_reset_state
        self.used = False
        shape = call.checkpoints_shape()
        self.checkpoints: Array | None = None if shape is None else np.empty(shape, weights.dtype)
        self.values: Array | None = self.room() if shape is None else None

    def room(self) -> Array:
        """Memory for the tape of the longest segment."""
        return empty(self.call.tape_shape(), self.weights.dtype)


class RecurrentGradients(NamedTuple):
    """Gradients of everything that entered one layer in one direction; None for what did not.

    ``dx`` and the gradients of weights have the shapes of what they are of, ``dstate`` is ``[N, O]`` and
    ``[N, H]`` each, and so is ``dreset_state``: by sample, the gradients of the state that follows a cut.
    """

    dx: Array
    dstate: tuple[Array, ...]
    dreset_state: tuple[Array, ...] | None
    dweight_ih: Array
    dweight_hh: Array
    dbias_ih: Array | None = None
    dbias_hh: Array | None = None
    dweight_ch: Array | None = None
    dweight_hr: Array | None = None
    dgamma_ih: Array | None = None
    dgamma_hh: Array | None = None
    dgamma_c: Array | None = None
    dbeta_c: Array | None = None
    dgamma: Array | None = None
    dbeta: Array | None = None
