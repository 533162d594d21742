"""Texts as padded arrays of character numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnfast.data.padding import pad, unpad

Array = np.ndarray[Any, np.dtype[Any]]


def encode_characters(texts: Sequence[str], characters: str) -> tuple[Array, Array]:
    """Number the characters: ids[n, t] = 1 + the place of the character in `characters`, 0 after the end.

    Args:
        texts: N texts; an empty text is legal.
        characters: all that may occur, each once.

    Returns:
        ids int64 [N, T] in 0…len(characters), T the length of the longest text, and lengths int64 [N].

    Raises:
        TypeError: texts is one string.
        ValueError: no texts, a character that is not in `characters`, or one that is there twice.

    Example:
        >>> ids, lengths = encode_characters(["abc", "ca"], "abc")
        >>> ids.tolist(), lengths.tolist()
        ([[1, 2, 3], [3, 1, 0]], [3, 2])
    """
    numbers = {character: place for place, character in enumerate(characters, start=1)}
    if len(numbers) < len(characters):
        twice = next(character for character in characters if characters.count(character) > 1)
        raise ValueError(f"encode_characters: characters must hold each one once, got {twice!r} twice")
    if isinstance(texts, str):
        # A string is a sequence of strings too: each character would become a text.
        raise TypeError(f"encode_characters: texts must be a list of strings, got {texts!r}; pass [text]")
    if not texts:
        raise ValueError("encode_characters: texts must hold at least one text, got none")
    for index, text in enumerate(texts):
        unknown = set(text) - numbers.keys()
        if unknown:
            raise ValueError(
                f"encode_characters: texts must be made of {characters!r}, got {min(unknown)!r} in text "
                f"{index}, {text!r}; add it to characters"
            )
    return pad([np.array([numbers[character] for character in text], np.int64) for text in texts])


def decode_characters(ids: Array, characters: str, lengths: Array | None = None) -> list[str]:
    """The texts that `encode_characters` was given.

    Args:
        ids: integers [N, T] in 0…len(characters).
        characters: as for `encode_characters`.
        lengths: integers [N]; None ends each text before its first 0.

    Returns:
        N texts; a 0 within the length is left out.

    Raises:
        ValueError: a number out of range, or lengths that do not fit.

    Example:
        >>> decode_characters(np.array([[1, 2, 3], [3, 1, 0]]), "abc")
        ['abc', 'ca']
    """
    values = np.asarray(ids)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise ValueError(
            f"decode_characters: ids must be integers of shape (N, T), got {values.dtype} {values.shape}"
        )
    if values.size and (values.min() < 0 or values.max() > len(characters)):
        raise ValueError(
            f"decode_characters: ids must lie in 0..{len(characters)}, got {values.min()}..{values.max()}"
        )
    if lengths is None:
        lengths = np.cumprod(values != 0, axis=1).sum(axis=1)
    table = ["", *characters]
    return ["".join(table[number] for number in row) for row in unpad(values, lengths)]
