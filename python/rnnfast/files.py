"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(
    path: str | os.PathLike[str], mode: str = "wb", *, newline: str | None = None
) -> Iterator[IO[Any]]:
    """Open a new file that takes the name `path` only when the block has ended without an error.

    It is written beside its destination, so that the last move is one step of the file system; a reader sees
    the old file or the whole new one. After an error nothing is left behind.

    Args:
        path: destination; replaced if it exists.
        mode: "wb" for bytes, "w" for UTF-8 text.
        newline: for text, as in `open`; "" for what writes its own line ends, such as `csv.writer`.

    Yields:
        The open file.

    Raises:
        ValueError: if the mode is another one.
        OSError: if the folder does not exist or cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> from rnnfast.files import whole_file
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
        >>> with whole_file(path, "w") as file:
        ...     _ = file.write("done")
        >>> path.read_text()
        'done'
    """
    if mode not in ("w", "wb"):
        raise ValueError(f"whole_file: mode must be 'w' or 'wb', got {mode!r}")
    destination = Path(path)
    # The process number keeps two writers of the same destination apart.
    unfinished = destination.with_name(f".{destination.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, mode, encoding="utf-8" if mode == "w" else None, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, destination)
    finally:
        unfinished.unlink(missing_ok=True)
