"""The machine under rnnfast: instruction-set variants, threads, build facts, namespaces of arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from rnnfast import _core

__all__ = [
    "active_variant",
    "array_namespace",
    "available_cpus",
    "compiled_variants",
    "configuration",
    "get_num_threads",
    "set_num_threads",
    "show_config",
    "supported_variants",
    "use_variant",
]


_MOST_THREADS = 1024  # a slip of the finger must not start a million threads


def compiled_variants() -> tuple[str, ...]:
    """Names of the instruction sets compiled in, best first."""
    return tuple(name for name, _ in _core.compiled_variants())


def supported_variants() -> tuple[str, ...]:
    """Names of the compiled instruction sets that this CPU can run, best first."""
    return tuple(name for name, supported in _core.compiled_variants() if supported)


def active_variant() -> str:
    """Name of the instruction set that kernels run on now; ``RNNFAST_ISA`` chooses it at import."""
    return _core.active_variant()


@contextmanager
def use_variant(name: str) -> Iterator[None]:
    """Run the body on the named instruction set.

    Raises:
        RuntimeError: the name is unknown or this CPU cannot run it.
    """
    before = _core.active_variant()
    _core.use_variant(name)
    try:
        yield
    finally:
        _core.use_variant(before)


def available_cpus() -> int:
    """CPUs this process may use: affinity mask and cgroup quota taken into account."""
    return _core.available_cpus()


def get_num_threads() -> int:
    """Most threads a kernel uses. Small jobs use fewer; results do not depend on it."""
    return _core.thread_count()


def set_num_threads(count: int) -> None:
    """Set the most threads a kernel uses, for the whole process.

    Args:
        count: 1 to 1024; the default is ``RNNFAST_NUM_THREADS`` or else the CPUs this process may use.

    Raises:
        TypeError: count is not an integer.
        ValueError: count is out of that range.
    """
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise TypeError(f"set_num_threads: count must be an integer, got {type(count).__name__}")
    if not 1 <= count <= _MOST_THREADS:
        raise ValueError(f"set_num_threads: count must be in 1…{_MOST_THREADS}, got {count}")
    _core.set_thread_count(int(count))


def configuration() -> dict[str, Any]:
    """Version, compiler, instruction sets, threads and CUDA of this installation, as plain data."""
    return {
        "version": _core.version,
        "compiler": _core.compiler,
        "variants": list(compiled_variants()),
        "supported": list(supported_variants()),
        "active": active_variant(),
        "threads": get_num_threads(),
        "cpus": available_cpus(),
        "cuda": f"no: {_core.cuda_reason}",
        "numpy": np.__version__,
    }


def show_config() -> None:
    """Print `configuration()`, a line each."""
    for key, value in configuration().items():
        print(f"{key:<10} {', '.join(value) if isinstance(value, list) else value}")


def array_namespace(array: object) -> ModuleType:
    """The module whose functions work on ``array``: NumPy for NumPy arrays and scalars, else the array's own
    namespace (``__array_namespace__``), so that the same lines can run on arrays of another device."""
    namespace = getattr(array, "__array_namespace__", None)
    if namespace is None or isinstance(array, np.ndarray | np.generic):
        return np
    module: ModuleType = namespace()
    return module


def _threads_from_environment() -> None:
    text = os.environ.get("RNNFAST_NUM_THREADS", "").strip()
    if not text:
        return
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_THREADS:
        raise RuntimeError(f"RNNFAST_NUM_THREADS must be a whole number in 1…{_MOST_THREADS}, got {text!r}")
    _core.set_thread_count(int(text))


_threads_from_environment()
