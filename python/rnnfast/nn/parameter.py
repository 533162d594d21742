"""Parameters: shaped windows on stretches of a :class:`ParameterBuffer`.

Layers keep packed copies of their weights and ask :meth:`Parameter.unchanged_since` whether those are still
good. Not here: the buffers (``buffer.py``), initial values (``rnnfast.init``).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import ops
from .buffer import Array as Array
from .buffer import Exposure, ParameterBuffer


class Parameter:
    """A trainable array and its gradient.

    Args:
        data: initial values, float32 or float64; copied.

    Example:
        >>> import numpy as np
        >>> from rnnfast.nn import Parameter
        >>> weight = Parameter(np.ones((2, 3), np.float32))
        >>> weight.data[0, 0] = 5
        >>> weight.grad.shape
        (2, 3)
    """

    __slots__ = ("_changes", "_exposure", "_offset", "buffer", "grad_value", "shape", "value")

    buffer: ParameterBuffer
    shape: tuple[int, ...]
    value: Array  # the values, untracked: for layers, which read and never keep a writable copy
    grad_value: Array

    def __init__(self, data: Array) -> None:
        array = np.asarray(data)
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"Parameter: data must be float32 or float64, got {array.dtype}")
        self.shape = array.shape
        self._changes = 0
        self._exposure: weakref.ref[Exposure] | None = None
        self._bind(ParameterBuffer(array.flatten()), 0)

    def _bind(self, buffer: ParameterBuffer, offset: int) -> None:
        stop = offset + math.prod(self.shape)
        self.buffer = buffer
        self._offset = offset
        self.value = buffer.data[offset:stop].reshape(self.shape)
        self.grad_value = buffer.grad[offset:stop].reshape(self.shape)
        self._exposure = None

    def move_to(self, buffer: ParameterBuffer, offset: int) -> None:
        """Copy values and gradients into `buffer` from `offset` on, and live there from now on.

        Raises:
            TypeError: if the buffer has another dtype.
            ValueError: if there is no room from `offset` on, or the buffer's values are read-only.
        """
        if buffer.data.dtype != self.dtype:
            raise TypeError(
                f"Parameter.move_to: buffer must be of dtype {self.dtype}, got {buffer.data.dtype}"
            )
        if not 0 <= offset <= buffer.data.size - self.size:
            raise ValueError(
                f"Parameter.move_to: offset must leave room for {self.size} values in a buffer of "
                f"{buffer.data.size}, got {offset}"
            )
        if not buffer.data.flags.writeable:
            raise ValueError("Parameter.move_to: data of the buffer must be writable, got a read-only array")
        value, grad, changes = self.value, self.grad_value, self.version + 1
        self.buffer.touch()
        self._bind(buffer, offset)
        self.value[...] = value
        self.grad_value[...] = grad
        self._changes = changes  # the version never goes back, whatever the new buffer's own count is

    def lives_at(self, buffer: ParameterBuffer, offset: int) -> bool:
        """Whether the values start at `offset` of `buffer`."""
        return self.buffer is buffer and self._offset == offset

    @property
    def data(self) -> Array:
        """The values, writable in place; assignment copies in."""
        self.changed()
        exposure = self._exposure() if self._exposure is not None else None
        if exposure is None:
            exposure = self.buffer.expose(self.value)
            self._exposure = weakref.ref(exposure)
        return np.asarray(exposure)

    @data.setter
    def data(self, values: Any) -> None:
        self.value[...] = _values_like(self, values, "data")
        self.changed()

    def changed(self) -> None:
        """The values may have changed, or another parameter has come in this one's place."""
        self._changes += 1
        self.buffer.touch()

    @property
    def grad(self) -> Array:
        """The gradient, writable in place; assignment copies in."""
        return self.grad_value

    @grad.setter
    def grad(self, values: Any) -> None:
        self.grad_value[...] = _values_like(self, values, "grad")

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self.value.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.size

    @property
    def version(self) -> int:
        """Grows whenever the values may have changed."""
        return self._changes + self.buffer.version

    def unchanged_since(self, version: int) -> bool:
        """Whether the values are those of `version`: same version, and nobody holds an array that could write
        to them.
        """
        return self.version == version and (self._exposure is None or self._exposure() is None)

    def __getstate__(self) -> tuple[ParameterBuffer, int, tuple[int, ...], int]:
        return self.buffer, self._offset, self.shape, self._changes

    def __setstate__(self, state: tuple[ParameterBuffer, int, tuple[int, ...], int]) -> None:
        # Views would be copied one by one; binding them again keeps parameters of one buffer together.
        buffer, offset, self.shape, self._changes = state
        self._bind(buffer, offset)

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


def check_replacement(owner: str, name: str, before: Any, value: Any) -> None:
    """Raise TypeError if a parameter would give way to something else, which nothing would read or train.

    Args:
        owner: class of the module.
        name: of the attribute.
        before: what it is.
        value: what it would be.
    """
    if isinstance(before, Parameter) and not isinstance(value, Parameter):
        raise TypeError(
            f"{owner}.{name}: must be a Parameter, got {type(value).__name__}; assign to {name}.data to "
            f"change its values, or pass nn.Parameter(…)"
        )


def add_gradients(parameters: Iterable[Parameter | None], gradients: Iterable[Array | None]) -> None:
    """Add to the gradients of parameters, in one call. A layer without bias has None in its place.

    Threads that do so at once lose nothing: see ``ops.accumulate``.
    """
    targets, sources = [], []
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter is not None:
            assert gradient is not None
            targets.append(parameter.grad_value)
            sources.append(gradient)
    ops.accumulate(targets, sources)


def zero_gradients(parameters: Sequence[Parameter]) -> None:
    """Set all gradients to zero: at once where the parameters are all that lives in one buffer."""
    if parameters:
        buffer = parameters[0].buffer
        sizes = [p.grad_value.size for p in parameters if p.buffer is buffer]
        if len(sizes) == len(parameters) and sum(sizes) == buffer.grad.size:
            buffer.grad.fill(0)
            return
    for parameter in parameters:
        parameter.grad_value.fill(0)


def _values_like(parameter: Parameter, values: Any, attribute: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        got = "None" if values is None else str(array.dtype)
        raise TypeError(
            f"Parameter.{attribute}: values must be real numbers, got {got}; zero_grad() of a module clears "
            f"its gradients"
        )
    if array.shape not in ((), parameter.shape):
        raise ValueError(
            f"Parameter.{attribute}: values must have shape {parameter.shape}, got {array.shape}"
        )
    return array
