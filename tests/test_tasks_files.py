"""Files of ragged sequences with a class each, .ts: what is read, and what is said of bad ones."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnnfast import data

HEADER = """#A comment: with, all kinds of marks

@problemName Tiny
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true a b c
@data
"""
TRAINING = HEADER + "1,2,3:-1,-2.5,-3e-1:c\n  4:5:a\n"
TEST = HEADER + "0,?:7,8:b\n\n# one more\n1,2,3,4:0,0,0,0:a\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_sequences_are_padded_and_classes_numbered(tmp_path: Path) -> None:
    sequences = data.read_ts(written(tmp_path / "tiny.ts", TRAINING))
    assert sequences.x.dtype == np.float32
    expected = [[[1, -1], [2, -2.5], [3, np.float32(-0.3)]], [[4, 5], [0, 0], [0, 0]]]
    np.testing.assert_array_equal(sequences.x, np.array(expected, np.float32))
    assert sequences.lengths.tolist() == [3, 1]
    assert sequences.labels.tolist() == [2, 0]
    assert sequences.labels.dtype == np.int64
    assert sequences.classes == ("a", "b", "c")


def test_missing_values_are_nan(tmp_path: Path) -> None:
    sequences = data.read_ts(written(tmp_path / "tiny.ts", TEST))
    assert np.argwhere(np.isnan(sequences.x)).tolist() == [[0, 1, 0]]
    assert sequences.lengths.tolist() == [2, 4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path / "JapaneseVowels_TRAIN.ts", TRAINING)
    written(tmp_path / "JapaneseVowels_TEST.ts", TEST)
    return tmp_path


def test_both_parts_from_a_folder_one_of_the_files_or_a_wheel(folder: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "any-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("any/data/JapaneseVowels_eq_TRAIN.ts", "not this one")
        for part, text in (("TRAIN", TRAINING), ("TEST", TEST)):
            archive.writestr(f"any/data/JapaneseVowels_{part}.ts", text)
    for path in (folder, folder / "JapaneseVowels_TEST.ts", str(folder / "JapaneseVowels_TRAIN.ts"), wheel):
        training, test = data.read_japanese_vowels(path)
        assert training.lengths.tolist() == [3, 1]
        assert test.lengths.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": expected sequences after a line @data, got none"),
        (HEADER, ": expected sequences after a line @data, got none"),
        ("1,2:a\n", ", line 1: expected a line with @ or # before @data, got '1,2:a'"),
        ("@data\n1:a\n", ", line 1: expected @classLabel before @data, got none"),
        (
            "@classLabel false\n",
            ", line 1: expected @classLabel true and the classes, got '@classLabel false'",
        ),
        (
            "\n@timeStamps true\n",
            ", line 2: expected sequences without time stamps, @timeStamps false, got '@timeStamps true'",
        ),
        (HEADER + "1:2:d\n", ", line 11: expected a class of a, b, c, got 'd'"),
        (HEADER + "1,2\n", ", line 11: expected a class of a, b, c, got '1,2'"),
        (HEADER + "a\n", ", line 11: expected values, a colon and a class, got no colon"),
        (
            HEADER + "1:2:a\n1,x:3,4:a\n",
            ", line 12, channel 1: expected numbers with commas, could not convert string to float: 'x'",
        ),
        (HEADER + "1,2:3:a\n", ", line 11, channel 2: expected 2 steps as in channel 1, got 1"),
        (HEADER + "1:2:a\n1:2:3:a\n", ", line 12: expected 2 channels as in the first sequence, got 3"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path / "bad.ts", text)
    with pytest.raises(ValueError, match=re.escape(f"{path}{expected}") + "$"):
        data.read_ts(path)


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "bad.ts"
    path.write_bytes(b"@data\xff")
    with pytest.raises(
        ValueError, match=r"must be a \.ts file in UTF-8, got a byte that is not at position 5"
    ):
        data.read_ts(path)


def test_absent_file(folder: Path) -> None:
    (folder / "JapaneseVowels_TEST.ts").unlink()
    with pytest.raises(FileNotFoundError, match=r"JapaneseVowels_TEST\.ts"):
        data.read_japanese_vowels(folder)


def test_parts_that_do_not_belong_together(folder: Path) -> None:
    written(folder / "JapaneseVowels_TEST.ts", HEADER + "1:2:3:a\n")
    with pytest.raises(ValueError, match=r"got 2 and 3 channels, 3 and 3 classes"):
        data.read_japanese_vowels(folder)


def test_wheel_without_the_data_and_damaged_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("any/JapaneseVowels_TRAIN.ts", TRAINING)
    with pytest.raises(ValueError, match=r"got one without JapaneseVowels_TEST\.ts"):
        data.read_japanese_vowels(wheel)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("any/JapaneseVowels_TEST.ts", TEST)
    content = wheel.read_bytes()
    wheel.write_bytes(content.replace(b"7,8:b", b"7,9:b"))
    with pytest.raises(ValueError, match=r"got a damaged one: Bad CRC-32"):
        data.read_japanese_vowels(wheel)
