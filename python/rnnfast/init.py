"""Initial values of weights.

Glorot & Bengio 2010 (equation 16) for input weights, orthogonal matrices (Saxe, McClelland & Ganguli 2014)
for recurrent ones. Random numbers come from MT19937, whose stream NumPy has frozen, and sums from ``ops``:
the same seed gives the same bits on every machine with FMA, which a LAPACK factorisation would not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import ops

Array = np.ndarray[Any, np.dtype[Any]]

# Rows made orthogonal at once: products with earlier rows then run on matrices, while a block stays small.
_BLOCK = 64


def resolve_seed(seed: int | None) -> int:
    """The seed itself, or a fresh one from the operating system for None.

    Args:
        seed: int from 0 on, or None.

    Raises:
        TypeError: if it is not an int.
        ValueError: if it is negative or has more than 64 bits.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be an int or None, got {seed!r}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    return int(seed)


def child_seeds(seed: int | None, count: int) -> list[int]:
    """Independent seeds for the parts of a model.

    Args:
        seed: seed of the whole, None for a fresh one.
        count: number of parts.

    Returns:
        `count` ints of 64 bits, the same ones for the same seed.

    Example:
        >>> from rnnfast import init
        >>> init.child_seeds(42, 2) == init.child_seeds(42, 3)[:2]
        True
    """
    words = np.random.SeedSequence(resolve_seed(seed)).generate_state(max(count, 0), np.uint64)
    return [int(word) for word in words]


def generator(seed: int | None) -> np.random.RandomState:
    """A random generator whose stream never changes with the NumPy version.

    Args:
        seed: int from 0 on, None for a fresh one.
    """
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(resolve_seed(seed))))


def uniform(
    shape: tuple[int, ...], bound: float, random: np.random.RandomState, dtype: Any = np.float32
) -> Array:
    """Values from U(-bound, bound).

    Args:
        shape: shape of the result.
        bound: largest absolute value.
        random: source of random numbers.
        dtype: float32 or float64.

    Example:
        >>> from rnnfast import init
        >>> bool(abs(init.uniform((100,), 0.5, init.generator(0))).max() <= 0.5)
        True
    """
    return random.uniform(-bound, bound, size=shape).astype(dtype)


def glorot_uniform(shape: tuple[int, int], random: np.random.RandomState, dtype: Any = np.float32) -> Array:
    """Values from U(-b, b), b = sqrt(6 / (fan_in + fan_out)).

    Args:
        shape: (fan_out, fan_in).
        random: source of random numbers.
        dtype: float32 or float64.

    Returns:
        A weight matrix, shape (fan_out, fan_in).

    Example:
        >>> from rnnfast import init
        >>> init.glorot_uniform((3, 2), init.generator(0)).shape
        (3, 2)

    Reference:
        Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010,
        equation 16.
    """
    fan_out, fan_in = shape
    return uniform(shape, math.sqrt(6.0 / max(fan_in + fan_out, 1)), random, dtype)


def orthogonal(size: int, random: np.random.RandomState, dtype: Any = np.float32) -> Array:
    """A random orthogonal matrix, uniform over the orthogonal group: W Wᵀ = 1.

    The rows of a Gaussian matrix made orthonormal from first to last (Gram-Schmidt), in blocks.

    Args:
        size: number of rows and of columns.
        random: source of random numbers.
        dtype: float32 or float64.

    Returns:
        The matrix, shape (size, size).

    Example:
        >>> import numpy as np
        >>> from rnnfast import init
        >>> w = init.orthogonal(4, init.generator(0), np.float64)
        >>> bool(np.allclose(w @ w.T, np.eye(4)))
        True

    Reference:
        Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks, 2014.
    """
    rows = random.standard_normal((size, size))
    columns = np.empty((size, size))  # of finished rows, the transpose
    for start in range(0, size, _BLOCK):
        block = rows[start : start + _BLOCK]
        # The first factor is shifted, as a block may be ill-conditioned by chance; one more pass makes it
        # exact, or two where the rows came out far from orthonormal.
        error, shift = 1.0, 1e-14 * size
        while error > 1e-6:
            if start > 0:
                block -= ops.linear_forward(ops.linear_forward(block, rows[:start]), columns[:, :start])
            gram = ops.linear_forward(block, block)
            error = float(np.abs(gram - np.eye(len(block))).max())
            gram.flat[:: len(block) + 1] *= 1.0 + shift
            block[...] = ops.linear_forward(_inverse_cholesky(gram), block.T)
            shift = 0.0
        columns[:, start : start + _BLOCK] = block.T
    return rows.astype(dtype)


def _inverse_cholesky(gram: Array) -> Array:
    """L⁻¹ for gram = L Lᵀ, by elimination on gram and the unit matrix side by side."""
    size = len(gram)
    both = np.hstack([gram, np.eye(size)])
    for row in range(size):
        both[row] /= math.sqrt(both[row, row])
        both[row + 1 :] -= both[row, row + 1 : size, None] * both[row]
    return both[:, size:]
