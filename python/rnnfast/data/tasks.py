"""Tasks that measure memory, with a known answer: the adding problem and copy memory.

Both ask for something that lies far back: two marked numbers, ten symbols. The length T is free, so that one
generator tests how far any model can look. Not here: the grammar (`tasks_reber`) and the dates
(`tasks_dates`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def adding_problem(samples: int, steps: int, *, seed: int = 0) -> tuple[Array, Array]:
    """Two of T numbers are marked; the answer is their sum: y = Σ_t x[t, 0]·x[t, 1].

    x[t, 0] is uniform in [0, 1); x[t, 1] is 1 at two distinct steps, uniform over all pairs, and 0 elsewhere.
    The best answer without a look at the numbers is 1, of mean squared error 1/6.

    Args:
        samples: N.
        steps: T, 2 or more.
        seed: of the generator.

    Returns:
        x float32 [N, T, 2] and y float32 [N, 1].

    Raises:
        TypeError: a count that is no integer.
        ValueError: no samples, or fewer than two steps.

    Example:
        >>> x, y = adding_problem(3, 50, seed=0)
        >>> x.shape, y.shape, x[..., 1].sum(axis=1).tolist()
        ((3, 50, 2), (3, 1), [2.0, 2.0, 2.0])

    Reference: Hochreiter, Schmidhuber (1997), section 5.4; in this form Bai, Kolter, Koltun (2018),
    section 5.1.
    """
    count = check_count("adding_problem", "samples", samples)
    length = check_count("adding_problem", "steps", steps, least=2)
    random = np.random.RandomState(seed)
    x = np.zeros((count, length, 2), np.float32)
    # Below 1 in float32 too, which a rounded float64 may not be.
    x[..., 0] = random.randint(0, 1 << 24, (count, length)) * np.float32(2.0**-24)
    first = random.randint(0, length, count)
    second = (first + random.randint(1, length, count)) % length
    rows = np.arange(count)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, x[rows, first, :1] + x[rows, second, :1]


def copy_memory(
    samples: int, blanks: int, *, symbols: int = 10, alphabet: int = 8, seed: int = 0
) -> tuple[Array, Array]:
    """Remember some symbols over T blanks: y is blank until the signal, then the symbols in their order.

    With K symbols of an alphabet 1…A, blank 0 and signal A + 1:

        x = s_1 … s_K  0 … 0 (T - 1 times)  A+1 … A+1 (K + 1 times)
        y = 0 … 0 (T + K times)             s_1 … s_K

    Args:
        samples: N.
        blanks: T.
        symbols: K.
        alphabet: A.
        seed: of the generator.

    Returns:
        x and y, int64 [N, T + 2 K]: numbers 0…A + 1 and 0…A, for an :class:`~rnnfast.nn.Embedding`, or
        one-hot as ``np.eye(A + 2, dtype=np.float32)[x]``, and for :class:`~rnnfast.losses.CrossEntropy`.

    Raises:
        TypeError: a count that is no integer.
        ValueError: a count below 1.

    Example:
        >>> x, y = copy_memory(1, 3, symbols=2, seed=0)
        >>> x.tolist(), y.tolist()
        ([[5, 8, 0, 0, 9, 9, 9]], [[0, 0, 0, 0, 0, 5, 8]])

    Reference: Hochreiter, Schmidhuber (1997); in this form Arjovsky, Shah, Bengio (2016), section 4.1, and
    Bai, Kolter, Koltun (2018), section 5.1.
    """
    counts = (("samples", samples), ("blanks", blanks), ("symbols", symbols), ("alphabet", alphabet))
    count, gap, kept, size = (check_count("copy_memory", name, number) for name, number in counts)
    shown = np.random.RandomState(seed).randint(1, size + 1, (count, kept))
    x = np.zeros((count, gap + 2 * kept), np.int64)
    y = np.zeros_like(x)
    x[:, :kept] = y[:, -kept:] = shown
    x[:, -kept - 1 :] = size + 1
    return x, y


def copy_memory_baseline(blanks: int, *, symbols: int = 10, alphabet: int = 8) -> float:
    """Cross-entropy of `copy_memory` without memory: blanks known, symbols guessed, K ln A / (T + 2 K).

    Args:
        blanks: T.
        symbols: K.
        alphabet: A.

    Returns:
        Mean over all T + 2 K steps, in nats.

    Raises:
        TypeError: a count that is no integer.
        ValueError: a count below 1.

    Example:
        >>> round(copy_memory_baseline(1000), 4)
        0.0204

    Reference: Arjovsky, Shah, Bengio (2016), section 4.1.
    """
    counts = (("blanks", blanks), ("symbols", symbols), ("alphabet", alphabet))
    gap, kept, size = (check_count("copy_memory_baseline", name, number) for name, number in counts)
    return kept * math.log(size) / (gap + 2 * kept)


def check_count(operation: str, name: str, count: int, *, least: int = 1) -> int:
    """The count as an int; TypeError if it is no integer, ValueError if it is below `least`."""
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
        raise TypeError(f"{operation}: {name} must be an int, got {count!r}")
    if count < least:
        raise ValueError(f"{operation}: {name} must be {least} or more, got {count}")
    return int(count)
