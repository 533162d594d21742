"""A value for every step: recurrent layers, then an affine map on each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..init import child_seeds
from ..nn import Linear, Tape
from ..nn.cells import recurrent_layer
from ..nn.parameter import Array
from .model import Model


class Seq2Seq(Model):
    """Sequence to sequence of the same length: y_t = W h_t + b, h_t from stacked recurrent layers.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        output_size: O, values per step.
        num_layers: L.
        cell: "rnn", "lstm", "gru" or any name of ``ops.cells()``.
        bias: whether the recurrent layers have biases.
        bidirectional: whether a second direction runs from the last step to the first.
        dropout: rate of dropout between recurrent layers, in training.
        dtype: float32 or float64.
        seed: seed of initial weights and dropout masks, None for a fresh one.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Seq(3, 8, 1, cell="lstm", seed=0)
        >>> model.predict(np.ones((2, 5, 3), np.float32)).shape
        (2, 5, 1)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_layers: int = 1,
        *,
        cell: str = "gru",
        bias: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        layer_seed, head_seed = child_seeds(seed, 2)
        self.recurrent = recurrent_layer(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            seed=layer_seed,
        )
        features = hidden_size * self.recurrent.num_directions
        self.head = Linear(features, output_size, dtype=dtype, seed=head_seed)
        self.arguments = {
            "input_size": self.recurrent.input_size,
            "hidden_size": self.recurrent.hidden_size,
            "output_size": self.head.output_size,
            "num_layers": self.recurrent.num_layers,
            "cell": cell,
            "bias": bool(bias),
            "bidirectional": bool(bidirectional),
            "dropout": self.recurrent.dropout,
            "dtype": self.head.dtype.name,
        }
        self.flatten()

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
