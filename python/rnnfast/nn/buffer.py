"""The flat buffers that parameters live in: values and gradients, and who may be writing to them.

Any number of parameters may share one buffer, so that an optimizer step, clipping or a reduction over
processes is one call over one array. Not here: the parameters (``parameter.py``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class ParameterBuffer:
    """One flat array of values and one of gradients.

    Args:
        data: values, shape (size,), float32 or float64.
        grad: gradients, like `data`; zeros when not given.
        version: raised by whoever changes `data`, so that packed copies are made anew.

    Raises:
        TypeError: if `data` has another dtype or `grad` has not that of `data`.
        ValueError: if one is not flat, contiguous and aligned, or `grad` is of another size or read-only.

    `stamp` changes with every change of a parameter that lives here, and is None while somebody holds an
    array through which one may be written to.
    """

    __slots__ = ("_exposures", "_touched", "data", "grad", "version")

    def __init__(self, data: Array, grad: Array | None = None, version: int = 0) -> None:
        self.data = _memory("data", data, (np.dtype(np.float32), np.dtype(np.float64)), np.size(data))
        size, dtype = self.data.size, self.data.dtype
        self.grad = np.zeros_like(self.data) if grad is None else _memory("grad", grad, (dtype,), size)
        if not self.grad.flags.writeable:
            raise ValueError("ParameterBuffer: grad must be writable, got a read-only array; pass a copy")
        if np.may_share_memory(self.data, self.grad):  # of contiguous arrays that is whether they do
            raise ValueError("ParameterBuffer: grad must not share memory with data; pass a copy")
        self.version = version
        self._touched = 0
        self._exposures: set[int] = set()  # not a count: threads may add and discard at once

    def touch(self) -> None:
        """A parameter that lives here has changed, or has moved away."""
        self._touched += 1

    def expose(self, array: Array) -> Exposure:
        """A base for views of `array` that others may write to."""
        exposure = Exposure(array, self)
        self._exposures.add(id(exposure))
        return exposure

    def cover(self, exposure: Exposure) -> None:
        """The last view of such a base is gone: it may have been written to until now."""
        self.version += 1
        self._exposures.discard(id(exposure))

    @property
    def stamp(self) -> int | None:
        """Equal stamps: equal values; None: nobody can tell."""
        return None if self._exposures else self.version + self._touched

    def __getstate__(self) -> tuple[Array, Array, int]:
        return self.data, self.grad, self.version + self._touched

    def __setstate__(self, state: tuple[Array, Array, int]) -> None:
        self.data, self.grad, self.version = state
        if not self.grad.flags.writeable:  # memory that a pickle shares
            self.grad = self.grad.copy()
        self._touched = 0
        self._exposures = set()  # a copy has views of its own


def _memory(name: str, given: Array, dtypes: tuple[np.dtype[Any], ...], size: int) -> Array:
    """The same memory, for kernels that read plain arrays."""
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError(f"ParameterBuffer: {name} must not be masked, got a MaskedArray; pass its filled()")
    array = np.asarray(given)
    if array.dtype not in dtypes:
        wanted = " or ".join(map(str, dtypes))
        raise TypeError(
            f"ParameterBuffer: {name} must be {wanted}, got {array.dtype}; pass .astype({dtypes[0]})"
        )
    if array.shape != (size,):
        raise ValueError(f"ParameterBuffer: {name} must have shape ({size},), got {array.shape}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(
            f"ParameterBuffer: {name} must be contiguous and aligned, got strides {array.strides} at "
            f"{array.ctypes.data:#x}; pass a copy"
        )
    return array


class Exposure:
    """The base of every array that `Parameter.data` hands out.

    NumPy shortens chains of views only while the base is itself an array, so this object lives exactly as
    long as one of those arrays, or a view of one, does.
    """

    __slots__ = ("__array_interface__", "__weakref__", "buffer", "owner")

    def __init__(self, array: Array, buffer: ParameterBuffer) -> None:
        self.owner = array
        self.buffer = buffer
        self.__array_interface__ = array.__array_interface__

    def __del__(self) -> None:
        self.buffer.cover(self)
