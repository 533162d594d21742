"""Contenders of the suite `blocks`: layers in C++ whose sizes the compiler knows, called in this process.

A loop written by hand (bench/fixed_size/fixed_size.cpp), and RTNeural's layers on Eigen and on xsimd where
its sources are given. Not here: the clock (`blocks`), the compiler (`native`).
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np

from rnnfast import ops

from . import native
from .checks import Array, check_peer
from .peer import Job, Unavailable
from .problems import Problem

# RTNeural's own choices of what its layers are made of: its macro, the folder of headers, bytes of alignment.
_BACKENDS = {
    "rtneural-eigen": ("RTNEURAL_USE_EIGEN", "modules/Eigen", 32),
    "rtneural-xsimd": ("RTNEURAL_USE_XSIMD", "modules/xsimd/include", 64),
}


class FixedSize:
    """One shared library that offers bench/fixed_size/layer.h.

    Args:
        name: of the contender.
        library: the loaded library.
    """

    def __init__(self, name: str, library: Any) -> None:
        self.name = name
        self._library = library
        library.layer_create.restype = ctypes.c_void_p

    def job(self, problem: Problem) -> Job | None:
        """One call over the problem's samples, whose state goes on from call to call, or None where there is
        no such cell or size.

        Raises:
            ArithmeticError: if it computes something else.
        """
        library, (steps, _, _, hidden) = self._library, problem.shape
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        pointers = [native.pointer(problem.arrays[name]) for name in names]
        made = library.layer_create(problem.cell.name.encode(), hidden, *pointers)
        if not made:
            return None
        # The layer and its arrays live as long as the job does.
        layer, x, y = _Owned(library, made), problem.x, np.empty((1, steps, hidden), np.float32)
        words = (layer.handle, native.pointer(x), native.pointer(y), ctypes.c_int(steps))
        process = library.layer_process
        process(*words)
        _check(self.name, problem, y)

        def job(kept: Any = (layer, x, y)) -> object:
            return process(*words)

        return job


class _Owned:
    """A layer of the library, until it goes."""

    def __init__(self, library: Any, address: int) -> None:
        self._library, self.handle = library, ctypes.c_void_p(address)

    def __del__(self) -> None:
        self._library.layer_destroy(self.handle)


def contenders(rtneural: str | None) -> tuple[list[FixedSize], dict[str, str]]:
    """What can be compiled here, and by name why the rest cannot.

    Args:
        rtneural: folder of RTNeural's sources, or None to do without.
    """
    wanted: dict[str, tuple[str, tuple[str, ...]]] = {"fixed-size": ("fixed_size/fixed_size.cpp", ())}
    found, notes = [], {}
    for name, (macro, headers, alignment) in _BACKENDS.items() if rtneural else ():
        folder = os.path.join(rtneural or "", headers)
        if os.path.isdir(folder):
            macros = (f"-D{macro}=1", f"-DRTNEURAL_DEFAULT_ALIGNMENT={alignment}")
            wanted[name] = ("fixed_size/rtneural.cpp", (*macros, f"-I{rtneural}", f"-I{folder}"))
        else:
            notes[name] = f"no folder {headers} in {rtneural}"
    for name, (source, flags) in wanted.items():
        try:
            found.append(FixedSize(name, native.compiled(source, (*native.FAST, *flags))))
        except Unavailable as reason:
            notes[name] = str(reason)
    return found, notes


def _check(name: str, problem: Problem, y: Array) -> None:
    expected, _, _ = ops.recurrent_forward(problem.weights, problem.x)
    check_peer(f"{name}'s outputs of {problem.cell.name}", [(expected, y)])
