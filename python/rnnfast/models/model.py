"""What all models share: arguments that rebuild them, prediction in batches, files; and what those share
that put an affine map on recurrent layers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..init import child_seeds
from ..nn import Linear, Module
from ..nn.arguments import check_size
from ..nn.cells import recurrent_layer
from ..nn.parameter import Array
from .io import write_archive

ModelType = TypeVar("ModelType", bound="Model")


class Model(Module):
    """Base of all models: a module that can be saved and that predicts in batches.

    A subclass sets `arguments`, with which its constructor makes the same model again.
    """

    arguments: dict[str, Any]

    def predict(self, x: Array, *, batch_size: int = 256) -> Array:
        """Inference in batches, which bounds memory; the result does not depend on their size.

        Args:
            x: input with samples on the first axis.
            batch_size: samples at a time.

        Returns:
            y of all samples.

        Raises:
            ValueError: if the batch size is below 1 or x has the wrong shape.
        """
        check_size(f"{type(self).__name__}.predict", "batch_size", batch_size)
        if len(x) <= batch_size:
            return self(x)  # type: ignore[no-any-return]
        return np.concatenate([self(x[start : start + batch_size]) for start in range(0, len(x), batch_size)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, whole or not at all; ``rnnfast.load`` reads it.

        Args:
            path: ends in ``.npz`` or ``.safetensors``.

        Raises:
            ValueError: if the suffix is another one.
            OSError: if the file cannot be written.
        """
        header = {
            "class": type(self).__name__,
            "arguments": self.arguments,
            "random_state": self.random_state(),
        }
        write_archive(path, header, self.state_dict())

    @classmethod
    def from_archive(
        cls: type[ModelType], header: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> ModelType:
        """The model of a header and arrays as `save` wrote them."""
        model = cls(**header["arguments"])
        model.load_state_dict(arrays)
        model.set_random_state(header["random_state"])
        return model


class RecurrentModel(Model):
    """Base of the models of recurrent layers with an affine map, the head, on what these put out.

    A subclass defines `forward` and `backward` with `recurrent` and `head`.
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
        **options: Any,
    ) -> None:
        """Make the layers.

        Args:
            input_size: I, features per step.
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
        if "batch_first" in options:
            raise TypeError(
                f"{type(self).__name__}: options must be the cell's own, got 'batch_first'; models take and "
                f"return samples on the first axis, pass x.transpose(1, 0, 2)"
            )
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
            **options,
        )
        self.head = Linear(self.recurrent.output_size, output_size, dtype=dtype, seed=head_seed)
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
            **{name: _as_json(value) for name, value in options.items()},
        }
        self.flatten()

    def _check_pieces(self, operation: str) -> None:
        """Raise ValueError if a piece's state cannot be all that the next piece has to know."""
        if self.recurrent.num_directions == 2:
            raise ValueError(
                f"{type(self).__name__}.{operation}: bidirectional must be False to run in pieces, as the "
                f"second direction starts at the last step and brings its state from later pieces, got True"
            )


def _as_json(value: Any) -> Any:
    """The value as it comes back from a file: JSON has neither NumPy numbers nor tuples."""
    if isinstance(value, (tuple, list)):
        return [_as_json(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
