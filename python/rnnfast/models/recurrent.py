"""What those models share that put an affine map, the head, on recurrent layers: how they are made.

Not here: what runs before, between and behind the two (``sequence``, ``vec2seq``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..init import child_seeds
from ..nn import Linear
from ..nn.arguments import check_size
from ..nn.cells import recurrent_layer
from ..nn.recurrent import Recurrent
from .model import Model, as_json
from .options import check_options, joined_signature


class RecurrentModel(Model):
    """Base of the models of recurrent layers, `recurrent`, with an affine map, `head`, behind them.

    A subclass defines `forward` and `backward` with both, and `_layer_inputs` and `_make_front` if something
    is in front of the layers.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # So that `help` and editors show every option with its default, not `**options` alone.
        setattr(cls, "__signature__", joined_signature(cls))  # noqa: B010 (mypy knows no such attribute)

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
        **options: Any,
    ) -> None:
        """Make the layers.

        Args:
            input_size: I, features per step, or per sample.
            hidden_size: H, hidden units per layer and direction.
            output_size: O, values that the head puts out.
            num_layers: L.
            cell: "rnn", "lstm", "gru" or any name of ``ops.cells()``.
            bias: whether the recurrent layers have biases.
            bidirectional: whether a second direction runs from the last step to the first.
            dropout: rate of dropout between recurrent layers, in training.
            dtype: float32 or float64.
            seed: seed of initial weights and dropout masks, None for a fresh one.
            options: all others of the recurrent layers, see :class:`rnnfast.nn.Recurrent`, and the cell's
                own: proj_size, peephole, coupled and forget_bias of "lstm", activation of "rnn", reset of
                "gru".

        Raises:
            TypeError: if a size is not an int, the dtype is another one or the cell has no such option.
            ValueError: if an argument is out of its range or does not go with the others.
        """
        name = type(self).__name__
        if "batch_first" in options:
            raise TypeError(
                f"{name}: options must be the cell's own, got 'batch_first'; models take and return samples "
                f"on the first axis, pass x.transpose(1, 0, 2)"
            )
        check_options(type(self), cell, options)
        self.input_size = check_size(name, "input_size", input_size)
        # The seed of what is in front comes last: a model without it has the weights it always had.
        layer_seed, head_seed, front_seed = child_seeds(seed, 3)
        recurrent = recurrent_layer(
            cell,
            self._layer_inputs(self.input_size, output_size),
            hidden_size,
            num_layers,
            bias=bias,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            seed=layer_seed,
            **options,
        )
        self._make_front(recurrent, front_seed)
        self.recurrent = recurrent
        self.head = Linear(self.recurrent.output_size, output_size, dtype=dtype, seed=head_seed)
        self.arguments = {
            "input_size": self.input_size,
            "hidden_size": self.recurrent.hidden_size,
            "output_size": self.head.output_size,
            "num_layers": self.recurrent.num_layers,
            "cell": cell,
            "bias": bool(bias),
            "bidirectional": bool(bidirectional),
            "dropout": self.recurrent.dropout,
            "dtype": self.head.dtype.name,
            **{option: as_json(value) for option, value in options.items()},
        }
        self.flatten()

    def _layer_inputs(self, input_size: int, output_size: int) -> int:
        """Features per step that the recurrent layers take."""
        return input_size

    def _make_front(self, recurrent: Recurrent, seed: int) -> None:
        """Set the modules in front of the recurrent layers, which come first among the parameters."""
