"""Checkpoints: one .npz file with everything a fit depends on, arrays as they are and one JSON entry.

Entries: "checkpoint.json" (format version and a tree of JSON values, arrays replaced by {"__npy__": entry
name}) and one entry per array. Written whole or not at all; read with allow_pickle=False. Not here: saved
models (``models``), what the tree holds (``run``).
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast.files import whole_file

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT_VERSION = 1
JSON_ENTRY = "checkpoint.json"
ARRAY_KEY = "__npy__"


def save_checkpoint(path: str | os.PathLike[str], tree: Mapping[str, Any]) -> None:
    """Write a tree of dicts, lists, numbers, strings, None and arrays, whole or not at all.

    Args:
        path: the file, used as it is; its folder must exist.
        tree: what to write; keys are strings.

    Raises:
        OSError: if the file cannot be written; one that was there before is kept.
        TypeError: if the tree holds anything else.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from rnnfast.train import load_checkpoint, save_checkpoint
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "run.npz"
        ...     save_checkpoint(path, {"epoch": 3, "weights": [np.ones(2)]})
        ...     load_checkpoint(path)
        {'epoch': 3, 'weights': [array([1., 1.])]}
    """
    arrays: dict[str, Array] = {}
    document = {
        "format": "rnnfast checkpoint",
        "version": FORMAT_VERSION,
        "tree": _without_arrays(tree, "", arrays),
    }
    text = json.dumps(document).encode()
    # np.savez would take an entry name as a keyword; writing the zip here leaves every name free.
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(JSON_ENTRY, text)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; `load_checkpoint(path)["model"]["parameters"]` is a model's state.

    Args:
        path: the file.

    Returns:
        The tree, with fresh arrays.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no checkpoint, is damaged, or was written by a later version.
    """
    target = Path(path)
    if not target.is_file():
        raise FileNotFoundError(f"load_checkpoint: path must be an existing file, got {str(target)!r}")
    rule = f"load_checkpoint: {str(target)!r} must be a checkpoint written by rnnfast"
    try:
        with zipfile.ZipFile(target) as archive:
            document = json.loads(archive.read(JSON_ENTRY))
            version: int = document["version"]
            tree: dict[str, Any] = (
                _with_arrays(document["tree"], archive) if version <= FORMAT_VERSION else {}
            )
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{rule}, got something else or a damaged file ({error})") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{rule} in format version {FORMAT_VERSION} or lower, got {version}; upgrade rnnfast"
        )
    return tree


def _without_arrays(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Copy a tree, moving its arrays out into `arrays` under names that tell where they were."""
    if hasattr(value, "__array__") and hasattr(value, "shape") and not isinstance(value, np.generic):
        arrays[name] = value
        return {ARRAY_KEY: name}
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(item, _joined(name, key), arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item, _joined(name, place), arrays) for place, item in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, archive: zipfile.ZipFile) -> Any:
    if isinstance(value, dict):
        if value.keys() == {ARRAY_KEY}:
            with archive.open(f"{value[ARRAY_KEY]}.npy") as entry:
                return np.lib.format.read_array(entry, allow_pickle=False)
        return {key: _with_arrays(item, archive) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, archive) for item in value]
    return value


def _joined(name: str, part: Any) -> str:
    return f"{name}/{part}" if name else str(part)
