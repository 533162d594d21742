"""Saved models: named arrays and one JSON header with format version, class and arguments; never pickle.

``.npz`` needs NumPy alone; ``.safetensors`` needs the package of that name. A file is written whole or not at
all.
"""

from __future__ import annotations

import importlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..files import whole_file
from ..nn.parameter import Array

# Raised when an older rnnfast could not read a new file; every version reads all older formats.
FORMAT_VERSION = 1

_HEADER = "rnnfast.json"

# Where each class that can be saved is defined. Names, not imports: this floor does not know those above it,
# a file does.
_CLASSES = {
    "Seq2Seq": "rnnfast.models",
    "Seq2Vec": "rnnfast.models",
    "Forecaster": "rnnfast.forecast",
}


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
    text = json.dumps({"format_version": FORMAT_VERSION, **header}, allow_nan=False)
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
        ValueError: if it is not a file of this kind, or of a newer format.
    """
    arrays: dict[str, Array] = {}
    text = None
    if _suffix("load", path) == ".npz":
        if not Path(path).exists():
            raise FileNotFoundError(f"load: path must be an existing file, got {os.fspath(path)}")
        if not zipfile.is_zipfile(path):
            raise ValueError(f"load: path must be an .npz file that save wrote, got {os.fspath(path)}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
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
    header: dict[str, Any] = json.loads(text)
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"load: format_version must be {FORMAT_VERSION} or less, got {header['format_version']}; "
            f"upgrade rnnfast"
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
        ValueError: if it is not a saved model, or is of a newer format.

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
    name = header["class"]
    if name not in _CLASSES:
        raise ValueError(f"load: class must be one of {', '.join(_CLASSES)}, got {name!r}; upgrade rnnfast")
    return getattr(importlib.import_module(_CLASSES[name]), name).from_archive(header, arrays)


def _suffix(operation: str, path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix
    if suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{operation}: path must end in .npz or .safetensors, got {os.fspath(path)}")
    return suffix


def _safetensors(submodule: str) -> ModuleType:
    try:
        return importlib.import_module("safetensors" + ("." + submodule if submodule else ""))
    except ModuleNotFoundError as error:
        raise ImportError(
            ".safetensors files need safetensors: pip install 'rnnfast[safetensors]'"
        ) from error
