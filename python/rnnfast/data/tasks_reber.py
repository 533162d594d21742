"""The Reber grammar, plain and embedded: strings that a machine of seven states puts out, and broken ones.

    plain     B (T S* X 4 | P T* V 5) E,   4 = S | X T* V 5,   5 = V | P 4     both branches equally likely
    embedded  B T plain T E | B P plain P E

In the embedded one the last letter but one must repeat the second letter, over a plain string of any length:
what a model must remember. Not here: the other tasks (`tasks`, `tasks_dates`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnfast.data.characters import encode_characters
from rnnfast.data.tasks import check_count

Array = np.ndarray[Any, np.dtype[Any]]

REBER_CHARACTERS = "BEPSTVX"

# From each state the letters that may follow, and the state each leads to; the end is the state after the
# last one.
_PLAIN: tuple[tuple[tuple[str, int], ...], ...] = (
    (("B", 1),),
    (("T", 2), ("P", 3)),
    (("S", 2), ("X", 4)),
    (("T", 3), ("V", 5)),
    (("X", 3), ("S", 6)),
    (("P", 4), ("V", 6)),
    (("E", 7),),
)


def reber_strings(
    samples: int, *, embedded: bool = True, corrupted: bool = False, seed: int = 0
) -> list[str]:
    """Strings of the Reber grammar, or strings that one wrong letter keeps out of it.

    Args:
        samples: N.
        embedded: the embedded grammar, not the plain one.
        corrupted: in each string one letter, uniform over its places, is replaced by another one, uniform
            over the six others, which takes any string out of the grammar.
        seed: of the generator.

    Returns:
        N strings of the letters `REBER_CHARACTERS`, drawn with replacement.

    Raises:
        TypeError: samples is no integer.
        ValueError: samples is below 1.

    Example:
        >>> reber_strings(3, seed=1)
        ['BPBPTTVVEPE', 'BPBPVPXVPSEPE', 'BPBTSXXTTVPXVPXTVPXTVVEPE']
        >>> reber_strings(2, corrupted=True, seed=1)
        ['BPBPTBVVEPE', 'BTBPTVEETE']

    Reference: Reber (1967); the embedded grammar Fahlman (1991), and Hochreiter, Schmidhuber (1997),
    section 5.1.
    """
    count = check_count("reber_strings", "samples", samples)
    random = np.random.RandomState(seed)
    draw = _corrupted if corrupted else _valid
    return [draw(random, embedded) for _ in range(count)]


def reber_grammar(
    samples: int, *, embedded: bool = True, one_hot: bool = False, seed: int = 0
) -> tuple[Array, Array, Array]:
    """A data set for telling strings of the Reber grammar from broken ones: half are valid, in random order.

    Args:
        samples: N; of an odd number one more is valid.
        embedded: the embedded grammar, not the plain one.
        one_hot: letters as rows of 0 and 1, not as numbers.
        seed: of the generator.

    Returns:
        (x, lengths, labels): x int64 [N, T], 1…7 for the letters of `REBER_CHARACTERS` and 0 after the end;
        or float32 [N, T, 7], zeros after the end; lengths int64 [N]; labels float32 [N, 1], 1 where valid.

    Raises:
        TypeError: samples is no integer.
        ValueError: samples is below 1.

    Example:
        >>> x, lengths, labels = reber_grammar(4, one_hot=True, seed=0)
        >>> x.shape[::2], bool((x.sum(axis=(1, 2)) == lengths).all()), float(labels.sum())
        ((4, 7), True, 2.0)

    Reference: see `reber_strings`.
    """
    count = check_count("reber_grammar", "samples", samples)
    random = np.random.RandomState(seed)
    strings = [(_corrupted if row % 2 else _valid)(random, embedded) for row in range(count)]
    order = random.permutation(count)
    ids, lengths = encode_characters([strings[row] for row in order], REBER_CHARACTERS)
    labels = (order % 2 == 0).astype(np.float32)[:, None]
    if not one_hot:
        return ids, lengths, labels
    rows = np.eye(len(REBER_CHARACTERS) + 1, dtype=np.float32)[:, 1:]
    return rows[ids], lengths, labels


def is_reber(string: str, *, embedded: bool = True) -> bool:
    """Whether a string is in the Reber grammar.

    Args:
        string: any string.
        embedded: the embedded grammar, not the plain one.

    Example:
        >>> is_reber("BTBPVVETE"), is_reber("BTBPVVEPE"), is_reber("BPVVE", embedded=False)
        (True, False, True)

    Reference: see `reber_strings`.
    """
    if embedded:
        frame = string[:2] + string[-2:]
        return frame in ("BTTE", "BPPE") and is_reber(string[2:-2], embedded=False)
    state = 0
    for letter in string:
        following = dict(_PLAIN[state]) if state < len(_PLAIN) else {}
        if letter not in following:
            return False
        state = following[letter]
    return state == len(_PLAIN)


def _valid(random: np.random.RandomState, embedded: bool) -> str:
    if embedded:
        repeated = "TP"[random.randint(2)]
        return f"B{repeated}{_valid(random, embedded=False)}{repeated}E"
    string, state = "", 0
    while state < len(_PLAIN):
        letter, state = _PLAIN[state][random.randint(len(_PLAIN[state]))]
        string += letter
    return string


def _corrupted(random: np.random.RandomState, embedded: bool) -> str:
    """No two strings of the grammar differ in one letter alone: with any other letter it is out of it."""
    string = _valid(random, embedded)
    place = random.randint(len(string))
    others = REBER_CHARACTERS.replace(string[place], "")
    return string[:place] + others[random.randint(len(others))] + string[place + 1 :]
