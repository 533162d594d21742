"""oneDNN's recurrent primitives called from C++, without a framework: bench/onednn/onednn.cpp.

Its weights are packed once and its arrays are time-major already, neither of which a Python user gets: the
strongest peer. Not here: how it is compiled (`native`).
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from . import native
from .checks import Array
from .peer import Job, Peer, Unavailable, gate_rows
from .problems import Problem

_ORDERS = {"lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "n"), "rnn_tanh": ("h",), "rnn_relu": ("h",)}
_ARRAYS = ("x", "weight_ih", "weight_hh", "bias", "y", "dy")
_GRADIENTS = ("dx", "dweight_ih", "dweight_hh", "dbias")


class _Sizes(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int)
        for name in ("steps", "batch", "inputs", "hidden", "gates", "bias_gates", "threads", "training")
    ]


class _Arrays(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in (*_ARRAYS, *_GRADIENTS)]


class OneDnn(Peer):
    """oneDNN, directly."""

    name = "onednn"
    packed = True

    def __init__(self, threads: int, folder: str | None = None) -> None:
        super().__init__(threads, folder)
        root = Path(folder or "/usr")
        libraries = [path for path in (root / "lib", root / "lib64", root / "src") if path.is_dir()]
        includes = [f"-I{path}" for path in (root / "include",) if path.is_dir()]
        try:
            self._library = native.compiled(
                "onednn/onednn.cpp",
                (*native.PORTABLE, "-fopenmp", *includes),
                [
                    *(f"-L{path}" for path in libraries),
                    *(f"-Wl,-rpath,{path}" for path in libraries),
                    "-ldnnl",
                ],
            )
        except Unavailable as error:
            raise ImportError(str(error)) from None
        self._library.onednn_create.restype = ctypes.c_void_p
        self._library.onednn_error.restype = ctypes.c_char_p
        self._library.onednn_version.restype = ctypes.c_char_p

    @property
    def version(self) -> str:
        return str(self._library.onednn_version().decode())

    def job(self, problem: Problem, mode: str) -> Job | None:
        if problem.cell.name not in self.cells or problem.x.dtype != np.float32:
            return None
        layer = _Layer(self._library, problem, self.threads, mode == "training")
        layer.run()
        self.compare(problem, layer.arrays["y"].swapaxes(0, 1))
        if mode == "training":
            self.compare_gradients(problem, layer.gradients())
        return layer.run


class _Layer:
    """One primitive with its arrays, which live as long as it does."""

    def __init__(self, library: Any, problem: Problem, threads: int, training: bool) -> None:
        steps, batch, inputs, hidden = problem.shape
        gates = len(problem.cell.gates)
        self._problem, self._library, self._train = problem, library, int(training)
        self._rows = gate_rows(problem.cell.gates, _ORDERS[problem.cell.name], hidden)
        arrays = {name: array[self._rows] for name, array in problem.arrays.items()}
        bias = arrays["bias_ih"] + arrays["bias_hh"]
        if problem.cell.name == "gru":
            last = slice(2 * hidden, None)
            bias = np.concatenate([bias[: 2 * hidden], arrays["bias_ih"][last], arrays["bias_hh"][last]])
        self.arrays: dict[str, Array] = {
            "x": np.ascontiguousarray(problem.x.swapaxes(0, 1)),
            "weight_ih": np.ascontiguousarray(arrays["weight_ih"].T),
            "weight_hh": np.ascontiguousarray(arrays["weight_hh"].T),
            "bias": bias,
            "y": np.zeros((steps, batch, hidden), np.float32),
            "dy": np.ascontiguousarray(problem.dy.swapaxes(0, 1)),
        }
        for name in _GRADIENTS:
            self.arrays[name] = np.zeros_like(self.arrays[name[1:]])
        sizes = _Sizes(steps, batch, inputs, hidden, gates, bias.size // hidden, threads, self._train)
        pointers = _Arrays(*(native.pointer(self.arrays[name]).value for name in (*_ARRAYS, *_GRADIENTS)))
        made = library.onednn_create(problem.cell.name.encode(), ctypes.byref(sizes), ctypes.byref(pointers))
        if not made:
            raise Unavailable(f"oneDNN refuses: {library.onednn_error().decode()}")
        self._layer = ctypes.c_void_p(made)

    def __del__(self) -> None:
        if hasattr(self, "_layer"):
            self._library.onednn_destroy(self._layer)

    def run(self) -> None:
        """One inference, or one training step."""
        if not self._library.onednn_run(self._layer, self._train):
            raise RuntimeError(f"bench: oneDNN failed: {self._library.onednn_error().decode()}")

    def gradients(self) -> dict[str, Array]:
        """Of the last step, in our layout."""
        back, hidden = np.argsort(self._rows), self._problem.shape.hidden
        bias = self.arrays["dbias"]
        candidate = bias[-hidden:] if self._problem.cell.name == "gru" else bias[:0]
        of_input = bias[: len(self._rows)]
        of_hidden = np.concatenate([bias[: 2 * hidden], candidate]) if candidate.size else of_input
        return {
            "x": self.arrays["dx"].swapaxes(0, 1),
            "weight_ih": self.arrays["dweight_ih"].T[back],
            "weight_hh": self.arrays["dweight_hh"].T[back],
            "bias_ih": of_input[back],
            "bias_hh": of_hidden[back],
        }
