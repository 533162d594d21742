"""What the head of a model sees of its recurrent layers: every step, the last state, or a mean or maximum.

Each is a plain object with forward and backward and no parameters. Lengths are int64 [N] here, checked. Not
here: the models (``seq2seq``, ``seq2vec``).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .. import ops
from ..nn.parameter import Array
from ..nn.recurrent import Recurrent
from ..nn.states import State, padding

Gradients = tuple[Array | None, State]  # of y of the layers and of their final state; None for zero


class Readout(Protocol):
    """What the head sees."""

    per_step: bool  # whether the head's output has an axis of time

    def forward(self, hidden: Array, state: State, lengths: Array | None) -> tuple[Array, Any]:
        """Read from the layers.

        Args:
            hidden: y of the last layer, shape (N, T, F), 0 on padding.
            state: final state of all layers.
            lengths: shape (N,), None for T.

        Returns:
            (features, kept): shape (N, F), or (N, T, F) per step; what `backward` needs.
        """

    def backward(self, kept: Any, dfeatures: Array) -> Gradients:
        """The gradients of what `forward` was given."""


class EveryStep:
    """All of y: f_t = h_t."""

    per_step = True

    def forward(self, hidden: Array, state: State, lengths: Array | None) -> tuple[Array, Any]:
        return hidden, None

    def backward(self, kept: Any, dfeatures: Array) -> Gradients:
        return dfeatures, None


class LastState:
    """The final state h of the last layer, its directions side by side.

    Args:
        recurrent: the layers.
    """

    per_step = False

    def __init__(self, recurrent: Recurrent) -> None:
        self.num_layers, self.directions = recurrent.num_layers, recurrent.num_directions
        self.size = recurrent.state_sizes[0]
        self.states = len(recurrent.cell.states)

    def forward(self, hidden: Array, state: State, lengths: Array | None) -> tuple[Array, Any]:
        h = state if self.states == 1 else state[0]
        # [D, N, H] -> [N, D*H].
        return h[-self.directions :].transpose(1, 0, 2).reshape(h.shape[1], self.directions * self.size), None

    def backward(self, kept: Any, dfeatures: Array) -> Gradients:
        batch = len(dfeatures)
        dh = np.zeros((self.num_layers * self.directions, batch, self.size), dfeatures.dtype)
        dh[-self.directions :] = dfeatures.reshape(batch, self.directions, self.size).transpose(1, 0, 2)
        # h is the first state of every cell; no gradient comes in on the others, nor on the steps before.
        others = (None,) * (self.states - 1)
        return None, (dh, *others) if others else dh


class MeanOverSteps:
    """The mean over real steps: f = Σ_t h_t / length, 0 for length 0."""

    per_step = False

    def forward(self, hidden: Array, state: State, lengths: Array | None) -> tuple[Array, Any]:
        batch, steps, _ = hidden.shape
        counts = np.full(batch, steps) if lengths is None else lengths
        share = (1 / np.maximum(counts, 1)).astype(hidden.dtype)[:, None]
        return ops.sum_over_steps(hidden) * share, (share, counts, steps)

    def backward(self, kept: Any, dfeatures: Array) -> Gradients:
        share, counts, steps = kept
        # The layers do not read it on padding.
        each = (dfeatures * share)[:, None]
        return np.broadcast_to(each, (len(counts), steps, each.shape[2])), None


class MaxOverSteps:
    """The maximum over real steps, unit by unit: f = max_t h_t, 0 for length 0; the first of equal ones."""

    per_step = False

    def forward(self, hidden: Array, state: State, lengths: Array | None) -> tuple[Array, Any]:
        batch, steps, size = hidden.shape
        if steps == 0:
            return np.zeros((batch, size), hidden.dtype), (None, hidden.shape)
        seen = hidden
        if lengths is not None:
            seen = np.where(padding(lengths, steps)[:, :, None], hidden.dtype.type(-np.inf), hidden)
        first = seen.argmax(axis=1)[:, None]
        features = np.take_along_axis(hidden, first, axis=1)[:, 0]  # 0 for length 0, as y is 0 on padding
        return features, (first, hidden.shape)

    def backward(self, kept: Any, dfeatures: Array) -> Gradients:
        first, shape = kept
        dhidden = np.zeros(shape, dfeatures.dtype)
        if first is not None:
            # For length 0 it goes to step 0, where the layers do not read it.
            np.put_along_axis(dhidden, first, dfeatures[:, None], axis=1)
        return dhidden, None
