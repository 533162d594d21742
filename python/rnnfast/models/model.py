"""What all models share: arguments that rebuild them, prediction in batches, a summary by parts, files."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..nn import Module
from ..nn.description import described
from ..nn.inputs import Inputs, predict_in_batches
from ..nn.parameter import Array
from .io import write_archive
from .stream import Stream

ModelType = TypeVar("ModelType", bound="Model")


class Model(Module):
    """Base of all models: a module that can be saved and that predicts in batches.

    A subclass sets `arguments`, with which its constructor makes the same model again.
    """

    arguments: dict[str, Any]

    def predict(self, x: Inputs, *, batch_size: int = 256, **inputs: Array | None) -> Array:
        """Inference in batches, which bounds memory; the result does not depend on their size.

        Args:
            x: input with samples on the first axis; or a dict of arrays by the names of the arguments of
                `forward`.
            batch_size: samples at a time.
            inputs: further arguments of `forward`, with samples on the first axis too: ``lengths=…``; None
                for its default.

        Returns:
            y of all samples.

        Raises:
            TypeError: if `forward` takes no argument of a name.
            ValueError: if the batch size is below 1, an array has another number of samples than x, or one
                has the wrong shape.
        """
        argument = "x"
        if inputs:
            named: dict[str, Any] = {**(x if isinstance(x, Mapping) else {"x": x}), **inputs}
            argument, x = "", named
        return predict_in_batches(f"{type(self).__name__}.predict", self, x, batch_size, argument)

    def stream(self, batch_size: int = 1) -> Stream:
        """Run the model on live sequences: blocks of any size give the numbers of the whole.

        Args:
            batch_size: N, sequences that run side by side.

        Returns:
            A :class:`Stream` at the start of its sequences.

        Raises:
            TypeError: if the model has no streaming form.
            ValueError: if it has none as it is set up, or the batch size is below 1.
        """
        return Stream(self, batch_size)

    def __repr__(self) -> str:
        arguments: dict[str, Any] = getattr(self, "arguments", {})  # a model that is not whole has none yet
        known = inspect.signature(type(self)).parameters
        others = [f"{name}={value!r}" for name, value in arguments.items() if name not in known]
        shown = described(type(self), arguments)
        return f"{shown[:-1]}, {', '.join(others)})" if others else shown

    def summary(self) -> str:
        """A table of the model's parts, each with its parameters: name, shape, number of elements, totals."""
        members = dict(self._named_members())
        rows = [("", "", "")]
        part = None
        for name, parameter in self.named_parameters():
            first, _, rest = name.partition(".")
            if first != part:
                part = first
                count = sum(p.size for own, p in self.named_parameters() if own.partition(".")[0] == first)
                kind = members.get(first)
                rows.append((first, type(kind).__name__ if isinstance(kind, Module) else "", f"{count:,}"))
            if rest:
                rows.append((f"  {rest}", str(parameter.shape), f"{parameter.size:,}"))
        rows.append(("total", "", f"{sum(p.size for p in self.parameters()):,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows[1:]]
        return "\n".join([type(self).__name__, *lines])

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


def as_json(value: Any) -> Any:
    """The value as it comes back from a file: JSON has neither NumPy numbers nor tuples."""
    if isinstance(value, Mapping):
        return {name: as_json(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [as_json(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
