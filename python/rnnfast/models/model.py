"""What all models share: arguments that rebuild them, prediction in batches, files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from ..nn import Module
from ..nn.arguments import check_size
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
