"""One vector per sequence: recurrent layers, then an affine map of the last state."""

from __future__ import annotations

import numpy as np

from ..nn import Tape
from ..nn.parameter import Array
from ..nn.states import State
from .model import RecurrentModel


class Seq2Vec(RecurrentModel):
    """Sequence to vector: y = W h + b, h the final state of the last recurrent layer.

    The arguments are those of :class:`RecurrentModel`; the head puts out O values per sequence.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Vec(3, 8, 1, cell="lstm", seed=0)
        >>> model.predict(np.ones((2, 5, 3), np.float32)).shape
        (2, 1)
    """

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y from the final state.

        Args:
            x: shape (N, T, I).
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, O).
        """
        _, state, layer_tape = self.recurrent.forward(x, training=training)
        h = state if len(self.recurrent.cell.states) == 1 else state[0]
        # The last layer's directions side by side: [D, N, H] -> [N, D*H].
        last = h[-self.recurrent.num_directions :].transpose(1, 0, 2).reshape(len(x), self.head.input_size)
        y, head_tape = self.head.forward(last, training=training)
        return y, Tape(self, (layer_tape, head_tape)) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, O).

        Returns:
            dx, shape (N, T, I).
        """
        layer_tape, head_tape = self._read(tape)
        dlast = self.head.backward(head_tape, dy)
        self._close(tape)
        directions, size = self.recurrent.num_directions, self.recurrent.state_sizes[0]
        dh = np.zeros((self.recurrent.num_layers * directions, len(dlast), size), dlast.dtype)
        dh[-directions:] = dlast.reshape(-1, directions, size).transpose(1, 0, 2)
        # h is the first state of every cell; no gradient comes in on the others, nor on the steps before.
        others = (None,) * (len(self.recurrent.cell.states) - 1)
        return self.recurrent.backward(layer_tape, None, (dh, *others) if others else dh)[0]

    def piece_outputs(self) -> str:
        """Where a model that runs in pieces puts out: "last", one vector after the last step.

        Raises:
            ValueError: if the model is bidirectional.
        """
        self._check_pieces("piece_outputs")
        return "last"

    def forward_piece(
        self, x: Array, state: State = None, *, training: bool = True
    ) -> tuple[Array, State, Tape | None]:
        """As `forward`, over one piece of longer sequences: y of the last piece is that of the whole.

        Args:
            x: shape (N, T, I).
            state: what the piece before gave back; None at the start of the sequences.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, state, tape): y of shape (N, O); the state of the recurrent layers after the piece; what
            `backward` needs, which takes the state at the start for a constant.

        Raises:
            ValueError: if the model is bidirectional or a shape is wrong.
        """
        self._check_pieces("forward_piece")
        _, state, layer_tape = self.recurrent.forward(x, state, training=training)
        h = state if len(self.recurrent.cell.states) == 1 else state[0]
        y, head_tape = self.head.forward(h[-1], training=training)
        return y, state, Tape(self, (layer_tape, head_tape)) if training else None
