"""A value for every step: recurrent layers, then an affine map on each step."""

from __future__ import annotations

from ..nn import Tape
from ..nn.parameter import Array
from .model import RecurrentModel


class Seq2Seq(RecurrentModel):
    """Sequence to sequence of the same length: y_t = W h_t + b, h_t from stacked recurrent layers.

    The arguments are those of :class:`RecurrentModel`; the head puts out O values per step.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Seq(3, 8, 1, cell="lstm", seed=0)
        >>> model.predict(np.ones((2, 5, 3), np.float32)).shape
        (2, 5, 1)
    """

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y for every step.

        Args:
            x: shape (N, T, I).
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, T, O).
        """
        hidden, _, layer_tape = self.recurrent.forward(x, training=training)
        y, head_tape = self.head.forward(hidden, training=training)
        return y, Tape(self, (layer_tape, head_tape)) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, T, O).

        Returns:
            dx, shape (N, T, I).
        """
        layer_tape, head_tape = self._read(tape)
        dhidden = self.head.backward(head_tape, dy)
        self._close(tape)
        return self.recurrent.backward(layer_tape, dhidden)[0]
