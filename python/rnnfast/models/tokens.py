"""Checks of token numbers. Not here: their embedding, which is ``nn.Embedding``."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn.parameter import Array


def check_token_array(
    operation: str, argument: str, tokens: Any, sizes: tuple[int | None, int | None]
) -> Array:
    """Return `tokens` if it is an array of ints of the shape `sizes`, None where any will do; else raise."""
    if not isinstance(tokens, np.ndarray) or tokens.dtype.kind not in "iu":
        found = tokens.dtype if isinstance(tokens, np.ndarray) else type(tokens).__name__
        raise TypeError(
            f"{operation}: {argument} must be a NumPy array of ints, token numbers, got {found}; "
            f"pass np.asarray({argument}, np.int64)"
        )
    fits = tokens.ndim == 2 and all(size in (None, n) for size, n in zip(sizes, tokens.shape, strict=True))
    if not fits:
        expected = ", ".join("*" if size is None else str(size) for size in sizes)
        raise ValueError(
            f"{operation}: {argument} must have shape (N, steps) = ({expected}), got {tokens.shape}"
        )
    return tokens


def check_tokens(operation: str, argument: str, tokens: Array, size: int) -> None:
    """Raise ValueError, naming the first, if a token is not in 0..size-1."""
    if tokens.size and (int(tokens.min()) < 0 or int(tokens.max()) >= size):
        at = tuple(int(axis[0]) for axis in ((tokens < 0) | (tokens >= size)).nonzero())
        raise ValueError(
            f"{operation}: {argument} must hold token numbers 0..{size - 1}, "
            f"got {int(tokens[at])} at index {at}"
        )
