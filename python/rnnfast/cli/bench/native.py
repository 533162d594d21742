"""Contenders in C++: compiled on the spot into a temporary folder, and called in this process, so that they
take turns with ours. Their sources lie under bench/ of a checkout. Not here: what they compute.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rnnfast

from .checks import Array
from .peer import Unavailable

# What a program for this very machine is compiled with; -ffast-math is what such loops are written for.
FAST = ("-O3", "-march=native", "-ffast-math")
PORTABLE = ("-O2",)


def sources() -> Path:
    """bench/ of the checkout that the package runs from.

    Raises:
        Unavailable: for an installed copy, which has none.
    """
    folder = Path(rnnfast.__file__).resolve().parents[2] / "bench"
    if not folder.is_dir():
        raise Unavailable("the sources, bench/ of the repository, are not beside this installed package")
    return folder


def compiler() -> str:
    """The C++ compiler: $CXX, or the first of c++, g++, clang++.

    Raises:
        Unavailable: if there is none.
    """
    named = os.environ.get("CXX")
    for name in [named] if named else ["c++", "g++", "clang++"]:
        path = shutil.which(name)
        if path:
            return path
    raise Unavailable(f"no C++ compiler found ({named or 'c++, g++, clang++'})")


def compiled(source: str, flags: Sequence[str], libraries: Sequence[str] = ()) -> ctypes.CDLL:
    """Compile one file of bench/ as a shared library, and load it.

    Args:
        source: below bench/.
        flags: of the compiler.
        libraries: what comes after the source.

    Raises:
        Unavailable: if there is no compiler or no source, or the compilation or the loading fails.
    """
    compile_it = [compiler(), "-std=c++17", *flags, "-w", "-fPIC", "-c", str(sources() / source)]
    # Apart, as -ffast-math adds code to a library that switches denormals off for the process that loads it.
    link_it = [compiler(), "-shared", *(flag for flag in flags if flag == "-fopenmp")]
    with tempfile.TemporaryDirectory(prefix="rnnfast-bench-") as folder:
        compiled_to, path = os.path.join(folder, "contender.o"), os.path.join(folder, "contender.so")
        for command in ([*compile_it, "-o", compiled_to], [*link_it, compiled_to, *libraries, "-o", path]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                errors = [line for line in done.stderr.splitlines() if "error" in line]
                reason = errors[0][:200] if errors else f"exit {done.returncode}"
                raise Unavailable(f"{source} does not compile: {reason}")
        try:
            return ctypes.CDLL(path)  # which stays mapped when the folder has gone
        except OSError as error:
            raise Unavailable(f"{source} cannot be loaded: {error}") from None


def pointer(array: Array) -> Any:
    """The address of a contiguous array's first element."""
    if not array.flags.c_contiguous:
        raise ValueError("native.pointer: array must be contiguous, got one with gaps")
    return ctypes.c_void_p(array.ctypes.data)
