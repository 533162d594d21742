"""Ragged sequences with a class each, from files in the .ts format; the data set JapaneseVowels among them.

A .ts file: comments after #, header lines after @, `@data`, then one line per sequence: the values of each
channel with commas between them, the channels with colons between them, the class last. JapaneseVowels: nine
speakers say two vowels; 12 channels, 7 to 29 steps, 270 sequences to learn from and 370 to be tested with
(UCI Machine Learning Repository). The data are not part of rnnfast; the wheels of aeon and of sktime hold
them.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.data.padding import pad

Array = np.ndarray[Any, np.dtype[Any]]

PARTS = ("TRAIN", "TEST")


@dataclass(frozen=True)
class LabelledSequences:
    """Sequences of unequal length, each with a class.

    Args:
        x: float32 [N, T, C], zeros after the end.
        lengths: int64 [N].
        labels: int64 [N], 0…len(classes) - 1.
        classes: their names.
    """

    x: Array
    lengths: Array
    labels: Array
    classes: tuple[str, ...]


def read_ts(path: str | os.PathLike[str]) -> LabelledSequences:
    """Read one .ts file of classified sequences.

    Args:
        path: the file; every channel of a sequence has the same number of steps, ? is a missing value (NaN).

    Returns:
        The sequences in the order of the file.

    Raises:
        OSError: if the file cannot be read.
        ValueError: one line naming file, line, what was expected and what was found.

    Example:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "two.ts")
        >>> _ = file.write_text("@classLabel true up down\\n@data\\n1,2,3:4,5,6:up\\n2,1:3,0:down\\n")
        >>> sequences = read_ts(file)
        >>> sequences.x.shape, sequences.lengths.tolist(), sequences.labels.tolist()
        ((2, 3, 2), [3, 2], [0, 1])
        >>> folder.cleanup()

    Reference: the format of the UEA and UCR archives (timeseriesclassification.com).
    """
    return _parsed(os.fspath(path), Path(path).read_bytes())


def read_japanese_vowels(path: str | os.PathLike[str]) -> tuple[LabelledSequences, LabelledSequences]:
    """Read JapaneseVowels: who of nine speakers says two vowels; 12 channels, 7 to 29 steps.

    Args:
        path: the wheel of aeon (``pip download aeon==1.0.0 --no-deps``) or sktime or any other zip file that
            holds JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts; or a folder with these two files; or one
            of the two, with the other one beside it.

    Returns:
        (training, test): 270 and 370 sequences, if it is the published data set.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if it is no such file; one line naming file, line, what was expected and what was found.

    Reference: Kudo, Toyama, Shimbo (1999), Multidimensional curve classification using passing-through
    regions; UCI Machine Learning Repository, Japanese Vowels.
    """
    place = Path(path)
    names = [f"JapaneseVowels_{part}.ts" for part in PARTS]
    if place.is_dir() or place.suffix == ".ts":
        folder = place if place.is_dir() else place.parent
        training, test = (read_ts(folder / name) for name in names)
    else:
        training, test = _from_archive(place, names)
    if (training.classes, training.x.shape[2]) != (test.classes, test.x.shape[2]):
        raise ValueError(
            f"{place}: expected the same channels and classes in {names[0]} and {names[1]}, got "
            f"{training.x.shape[2]} and {test.x.shape[2]} channels, {len(training.classes)} and "
            f"{len(test.classes)} classes"
        )
    return training, test


def _from_archive(path: Path, names: list[str]) -> list[LabelledSequences]:
    expected = f"expected a wheel or another zip file with {names[0]} and {names[1]}"
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path}: {expected}, got a file that is not a zip file")
        with zipfile.ZipFile(file) as archive:
            entries = {entry.rpartition("/")[2]: entry for entry in archive.namelist()}
            for name in names:
                if name not in entries:
                    raise ValueError(f"{path}: {expected}, got one without {name}")
            try:
                return [_parsed(f"{path}/{entries[name]}", archive.read(entries[name])) for name in names]
            except (EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise ValueError(f"{path}: {expected}, got a damaged one: {error}") from error


def _parsed(path: str, content: bytes) -> LabelledSequences:
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: must be a .ts file in UTF-8, got a byte that is not at position {error.start}"
        ) from None
    classes: tuple[str, ...] = ()
    sequences: list[Array] = []
    labels: list[int] = []
    in_data = False
    for number, line in enumerate(map(str.strip, lines), start=1):
        place = f"{path}, line {number}"
        if not line or line.startswith("#"):
            continue
        if in_data:
            *channels, label = line.split(":")
            if label not in classes:
                raise ValueError(f"{place}: expected a class of {', '.join(classes)}, got {label[:40]!r}")
            sequences.append(_sequence(place, channels))
            labels.append(classes.index(label))
            _check_channels(place, sequences)
        elif line.startswith("@"):
            in_data, classes = _header(place, line, classes)
        else:
            raise ValueError(f"{place}: expected a line with @ or # before @data, got {line[:40]!r}")
    if not sequences:
        raise ValueError(f"{path}: expected sequences after a line @data, got none")
    x, lengths = pad(sequences)
    return LabelledSequences(x, lengths, np.array(labels, np.int64), classes)


def _header(place: str, line: str, classes: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Whether the data follow, and the classes, after one header line."""
    key, *values = line.split()
    key = key.lower()
    if key == "@timestamps" and values[:1] != ["false"]:
        raise ValueError(f"{place}: expected sequences without time stamps, @timeStamps false, got {line!r}")
    if key == "@classlabel":
        if values[:1] != ["true"] or len(values) < 2:
            raise ValueError(f"{place}: expected @classLabel true and the classes, got {line!r}")
        classes = tuple(values[1:])
    if key == "@data" and not classes:
        raise ValueError(f"{place}: expected @classLabel before @data, got none")
    return key == "@data", classes


def _sequence(place: str, channels: list[str]) -> Array:
    """float32 [T, C] of the channels' texts."""
    if not channels:
        raise ValueError(f"{place}: expected values, a colon and a class, got no colon")
    columns = []
    for channel, text in enumerate(channels, start=1):
        cells = [cell.strip() for cell in text.split(",")]
        try:
            columns.append([float("nan" if cell == "?" else cell) for cell in cells])
        except ValueError as error:
            raise ValueError(f"{place}, channel {channel}: expected numbers with commas, {error}") from None
        if len(columns[-1]) != len(columns[0]):
            raise ValueError(
                f"{place}, channel {channel}: expected {len(columns[0])} steps as in channel 1, got "
                f"{len(columns[-1])}"
            )
    return np.array(columns, np.float32).T


def _check_channels(place: str, sequences: list[Array]) -> None:
    first, last = sequences[0], sequences[-1]
    if first.shape[1] != last.shape[1]:
        raise ValueError(
            f"{place}: expected {first.shape[1]} channels as in the first sequence, got {last.shape[1]}"
        )
