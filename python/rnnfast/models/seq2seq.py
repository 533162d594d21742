"""A value for every step: recurrent layers, then an affine map on each step."""

from __future__ import annotations

from ..nn import Tape
from ..nn.parameter import Array
from ..nn.states import State
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

    def piece_outputs(self) -> str:
        """Where a model that runs in pieces puts out: "steps", one vector for every step.

        Raises:
            ValueError: if the model is bidirectional.
        """
        self._check_pieces("piece_outputs")
        return "steps"

    def forward_piece(
        self, x: Array, state: State = None, *, training: bool = True
    ) -> tuple[Array, State, Tape | None]:
        """As `forward`, over one piece of longer sequences: piece by piece it gives the numbers of the whole.

        Args:
            x: shape (N, T, I).
            state: what the piece before gave back; None at the start of the sequences.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, state, tape): y of shape (N, T, O); the state of the recurrent layers after the piece; what
            `backward` needs, which takes the state at the start for a constant.

        Raises:
            ValueError: if the model is bidirectional or a shape is wrong.
        """
        self._check_pieces("forward_piece")
        hidden, state, layer_tape = self.recurrent.forward(x, state, training=training)
        y, head_tape = self.head.forward(hidden, training=training)
        return y, state, Tape(self, (layer_tape, head_tape)) if training else None
