"""Saved models: named arrays and one JSON header with format version, class and arguments; never pickle.

``.npz`` needs NumPy alone; ``.safetensors`` needs the package of that name. A file is written whole or not at
all.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..files import whole_file
from ..nn.parameter import Array

# Every version reads all formats up to its own. A file is written in the oldest format that can hold it, so
# that an older rnnfast says "upgrade" only of what it does not know.
FORMAT_VERSION = 2

# The first format with a class, and with an argument of a model; of all others it is 1.
_CLASS_FORMATS = {"Vec2Seq": 2, "EncoderDecoder": 2, "WaveNet": 2}
_ARGUMENT_FORMATS = {"conv": 2, "pooling": 2}

_HEADER = "rnnfast.json"

# Where each class that can be saved is defined. Names, not imports: this floor does not know those above it,
# a file does.
_CLASSES = {
    "Seq2Seq": "rnnfast.models",
    "Seq2Vec": "rnnfast.models",
    "Vec2Seq": "rnnfast.models",
    "EncoderDecoder": "rnnfast.models",
    "WaveNet": "rnnfast.models",
    "Forecaster": "rnnfast.forecast",
}

# Arguments that are the size of an axis of some array.
_SIZES = {
    "channels",
    "condition_size",
    "future_size",
    "hidden_size",
    "input_size",
    "kernel_size",
    "output_size",
    "skip_channels",
    "source_size",
    "target_size",
}

# What zipfile, zlib and NumPy raise on bytes that are not what was written.
_DAMAGE = (
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write_archive(
    path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write named arrays and a header to one file.

    Args:
        path: ends in ``.npz`` or ``.safetensors``.
        header: what JSON can hold; must have "class".
        arrays: by name.

    Raises:
        ValueError: if the suffix is another one.
        OSError: if the file cannot be written.
    """
    text = json.dumps({"format_version": _format_version(header), **header}, allow_nan=False)
    if _suffix("save", path) == ".npz":
        with whole_file(path, "wb") as file:
            entries: dict[str, Any] = {_HEADER: np.array(text), **arrays}
            np.savez(file, **entries)
    else:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        data = _safetensors("numpy").save(contiguous, metadata={_HEADER: text})
        with whole_file(path, "wb") as file:
            file.write(data)


def read_archive(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `write_archive` wrote.

    Args:
        path: ends in ``.npz`` or ``.safetensors``.

    Returns:
        (header, arrays).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a file of this kind, is damaged, or is of a newer format.
    """
    arrays: dict[str, Array] = {}
    text = None
    if _suffix("load", path) == ".npz":
        if not Path(path).exists():
            raise FileNotFoundError(f"load: path must be an existing file, got {os.fspath(path)}")
        # In memory, so that an OSError is one of the disk, not of a seek to where damaged bytes point.
        content = BytesIO(Path(path).read_bytes())
        if not zipfile.is_zipfile(content):
            raise ValueError(f"load: path must be an .npz file that save wrote, got {os.fspath(path)}")
        content.seek(0)
        try:
            with np.load(content, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except _DAMAGE as error:
            raise _damaged(path, f"an entry that cannot be read: {error}") from error
        if _HEADER in arrays:
            text = str(arrays.pop(_HEADER))
    else:
        safetensors = _safetensors("")
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
                text = (file.metadata() or {}).get(_HEADER)
        except safetensors.SafetensorError as error:
            raise ValueError(
                f"load: path must be a .safetensors file that save wrote, got {os.fspath(path)}"
            ) from error
    if text is None:
        raise ValueError(
            f"load: path must be a file that save wrote, with the entry {_HEADER}, got {os.fspath(path)} "
            f"with {', '.join(sorted(arrays)) or 'no entries'}"
        )
    try:
        header = json.loads(text)
    except ValueError as error:
        raise _damaged(path, f"a header that is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise _damaged(path, f"a header that is not a JSON object: {text}")
    version = header.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise _damaged(path, f"a header with format_version {version!r}, not an integer")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"load: format_version must be {FORMAT_VERSION} or less, got {version}; upgrade rnnfast"
        )
    return header, arrays


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that was saved with its `save`.

    Args:
        path: ends in ``.npz`` or ``.safetensors``.

    Returns:
        The model, of the class that was saved.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if the path is no path.
        ValueError: if it is not a saved model, is damaged, or is of a newer format.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Seq2Vec(3, 8, 1, seed=0)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.npz"
        >>> model.save(path)
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> bool((models.load(path)(x) == model(x)).all())
        True
    """
    header, arrays = read_archive(path)
    name = header.get("class")
    if not isinstance(name, str) or name not in _CLASSES:
        raise ValueError(
            f"load: class must be one of {', '.join(_CLASSES)}, got {name!r} in {os.fspath(path)}; "
            f"upgrade rnnfast"
        )
    kind = getattr(importlib.import_module(_CLASSES[name]), name)
    try:
        _check_sizes(header.get("network", header.get("arguments")), arrays)
        return kind.from_archive(header, arrays)
    except KeyError as error:
        raise _damaged(path, f"a header or arrays of {name} without {error}") from error
    except (AttributeError, IndexError, MemoryError, OverflowError, TypeError, ValueError) as error:
        raise _damaged(path, f"a header or arrays that make no {name}: {error}") from error


def _format_version(header: Mapping[str, Any]) -> int:
    """The oldest format that can hold a file of this header."""
    named = [name for part in ("arguments", "network") for name in header.get(part, ())]
    formats = [_ARGUMENT_FORMATS.get(name, 1) for name in named]
    return max(_CLASS_FORMATS.get(header["class"], 1), *formats, 1)


def _check_sizes(arguments: Any, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError if a model's size is larger than every axis of the arrays: making it might take all
    memory before it is seen that the arrays are not its own.
    """
    if not isinstance(arguments, Mapping):
        return
    longest = max((size for array in arrays.values() for size in array.shape), default=1)
    for name, value in arguments.items():
        most = longest if name in _SIZES else max(len(arrays), 1) if name == "num_layers" else None
        if most is not None and isinstance(value, int) and value > most:
            raise ValueError(f"{name}={value}, and no more than {most} in the arrays")
        _check_sizes(value, arrays)


def _damaged(path: str | os.PathLike[str], found: str) -> ValueError:
    return ValueError(
        f"load: path must be an undamaged file that save wrote, got {os.fspath(path)} with {found}"
    )


def _suffix(operation: str, path: str | os.PathLike[str]) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{operation}: path must be a str or a path, got {type(path).__name__}")
    suffix = Path(path).suffix
    if suffix not in (".npz", ".safetensors"):
        raise ValueError(
            f"{operation}: path must end in .npz or .safetensors, got {os.fspath(path)}"
            + ("" if suffix else "; add .npz")
        )
    return suffix


def _safetensors(submodule: str) -> ModuleType:
    try:
        return importlib.import_module("safetensors" + ("." + submodule if submodule else ""))
    except ModuleNotFoundError as error:
        raise ImportError(
            ".safetensors files need safetensors: pip install 'rnnfast[safetensors]'"
        ) from error
