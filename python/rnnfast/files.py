"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        OSError: if the file cannot be written; it names the destination.

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
    unfinished = _unfinished(destination)
    try:
        with open(unfinished, mode, encoding="utf-8" if mode == "w" else None, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, destination)
    except OSError as error:
        raise _of_destination(error, unfinished, destination) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def check_destination(path: str | os.PathLike[str]) -> None:
    """Find out whether `whole_file` could write `path`, before the work whose result it is to hold.

    Raises:
        OSError: if it could not; it names the destination.

    Example:
        >>> import tempfile, pathlib
        >>> check_destination(pathlib.Path(tempfile.mkdtemp()) / "note.txt")
    """
    destination = Path(path)
    if destination.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(destination))
    unfinished = _unfinished(destination)
    try:
        with open(unfinished, "wb"):
            pass
    except OSError as error:
        raise _of_destination(error, unfinished, destination) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _unfinished(destination: Path) -> Path:
    # The process number keeps two writers of the same destination apart.
    return destination.with_name(f".{destination.name}.{os.getpid()}.unfinished")


def _of_destination(error: OSError, unfinished: Path, destination: Path) -> OSError:
    """The same error under the name that the caller knows; a full disk names no file at all."""
    if error.errno is None or error.filename not in (None, str(unfinished), unfinished):
        return error
    return OSError(error.errno, error.strerror, str(destination))
