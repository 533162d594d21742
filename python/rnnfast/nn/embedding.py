"""Vectors for numbers of tokens: rows of a trainable table."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from .arguments import check_array, check_dtype, check_size
from .module import Module, Tape
from .parameter import Array, Parameter, add_gradients


class Embedding(Module):
    """y = W[index]: a trainable vector for each of a number of tokens.

    Args:
        num_embeddings: rows of W: indices are 0 … num_embeddings − 1.
        embedding_dim: D, size of a vector.
        padding_index: a row that is zero and stays so, for padding; None for none.
        dtype: float32 or float64.
        seed: seed of the initial vectors (standard normal, as PyTorch), None for a fresh one.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if a size is below 1 or the padding index not in range.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> nn.Embedding(10, 4, seed=0)(np.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    acts_per_step = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_index: int | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        self.num_embeddings = check_size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = check_size("Embedding", "embedding_dim", embedding_dim)
        self.dtype = check_dtype("Embedding", dtype)
        self.padding_index = None
        values = init.generator(seed).standard_normal((self.num_embeddings, self.embedding_dim))
        if padding_index is not None:
            self.padding_index = check_size("Embedding", "padding_index", padding_index, minimum=0)
            if self.padding_index >= self.num_embeddings:
                raise ValueError(
                    f"Embedding: padding_index must be below num_embeddings={self.num_embeddings}, "
                    f"got {padding_index}"
                )
            values[self.padding_index] = 0
        self.weight = Parameter(values.astype(self.dtype))

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Look the vectors up.

        Args:
            x: indices, any int dtype, any shape.
            training: whether to return a tape.

        Returns:
            (y, tape): y of shape (*x.shape, D).

        Raises:
            TypeError: if x does not hold ints.
            ValueError: if an index is out of range, naming the first one.
        """
        y = ops.embedding_forward(x, self.weight.value, name="Embedding.forward")
        # A copy: the caller may use the array of indices for the next batch.
        return y, Tape(self, x.copy()) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add dy into the rows of weight.grad that were looked up, in their order.

        Args:
            tape: from `forward`.
            dy: like y.

        Returns:
            Zeros of the shape of x: numbers of tokens have no gradient.
        """
        index = self._read(tape)
        shape = (*index.shape, self.embedding_dim)
        axes = ("*",) * index.ndim + ("embedding_dim",)
        check_array("Embedding.backward", "dy", dy, dtype=self.dtype, axes=axes, sizes=shape)
        self._close(tape)
        dweight = ops.embedding_backward(index, dy, self.num_embeddings, ignored=self.padding_index)
        add_gradients((self.weight,), (dweight,))
        return np.zeros(index.shape, self.dtype)
