"""Layouts of sequences and recurrent states: what callers see, and what ``ops`` works on.

Callers see one array [L*D, N, H] per state of the cell (layer-major, direction-minor, as in PyTorch), the
array itself where a cell has a single state and a tuple where it has several. ``ops`` sees one tuple of [N,
H] arrays per layer and direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arguments import check_array
from .parameter import Array

State = Any  # the array h [L*D, N, H], or for a cell of several states the tuple of such arrays: LSTM (h, c)


class StateLayout:
    """The shape of a layer's state.

    Args:
        names: names of the cell's states, ("h",) or ("h", "c").
        count: L*D, layers times directions.
        hidden_size: H.
        dtype: float32 or float64.
    """

    def __init__(self, names: tuple[str, ...], count: int, hidden_size: int, dtype: np.dtype[Any]) -> None:
        self.names = names
        self.count = count
        self.hidden_size = hidden_size
        self.dtype = dtype

    def zeros(self, batch: int) -> State:
        """The zero state of `batch` sequences."""
        return self._public([np.zeros((self.count, batch, self.hidden_size), self.dtype) for _ in self.names])

    def split(
        self, operation: str, argument: str, state: State, batch: int, steps: int, *, optional: bool = False
    ) -> list[tuple[Any, ...]]:
        """Check a state and cut it into one tuple per layer and direction.

        Args:
            operation: who asks, for errors.
            argument: name of the argument, for errors.
            state: what the caller passed; None for zeros.
            batch: N.
            steps: T, to see whether N and T were mistaken for each other.
            optional: whether None may stand for one of several arrays.

        Returns:
            `count` tuples of [N, H] arrays, or of None.

        Raises:
            TypeError: if it is not an array, or not a tuple of them, of the right dtype.
            ValueError: if a shape is wrong.
        """
        if state is None:
            return [(None,) * len(self.names)] * self.count
        parts = (state,) if len(self.names) == 1 else state
        names = ", ".join(self.names)
        if not isinstance(parts, (tuple, list)):
            raise TypeError(
                f"{operation}: {argument} must be a tuple ({names}) of arrays, got {type(state).__name__}"
            )
        if len(parts) != len(self.names):
            raise ValueError(
                f"{operation}: {argument} must have {len(self.names)} arrays, ({names}), got {len(parts)}"
            )
        for name, part in zip(self.names, parts, strict=True):
            if part is None and optional:
                continue
            check_array(
                operation,
                argument if len(self.names) == 1 else f"{argument} {name}",
                part,
                dtype=self.dtype,
                axes=("layers*directions", "N", "hidden_size"),
                sizes=(self.count, batch, self.hidden_size),
                hint=_time_major_hint if np.shape(part)[1:2] == (steps,) != (batch,) else None,
            )
        return [tuple(None if part is None else part[k] for part in parts) for k in range(self.count)]

    def stack(self, states: Sequence[tuple[Array, ...]]) -> State:
        """Put the tuples of all layers and directions together again; the arrays must be nobody else's."""
        if len(states) == 1:
            return self._public([part[None] for part in states[0]])
        return self._public([np.stack(parts) for parts in zip(*states, strict=True)])

    def _public(self, arrays: list[Array]) -> State:
        return arrays[0] if len(arrays) == 1 else tuple(arrays)


class SequenceLayout:
    """The axes of a layer's sequences.

    Args:
        batch_first: whether callers see [N, T, F] rather than [T, N, F].
        dtype: float32 or float64.
    """

    def __init__(self, batch_first: bool, dtype: np.dtype[Any]) -> None:
        self.batch_first = batch_first
        self.dtype = dtype

    def swap(self, x: Array) -> Array:
        """The same memory, from the callers' order of axes to [N, T, F] or back."""
        return x if self.batch_first else x.transpose(1, 0, 2)

    def empty(self, batch: int, steps: int, features: int) -> Array:
        """A new array [N, T, F], contiguous in the callers' order of axes."""
        shape = (batch, steps) if self.batch_first else (steps, batch)
        return self.swap(np.empty((*shape, features), self.dtype))

    def check(
        self,
        operation: str,
        argument: str,
        x: Any,
        features: int,
        feature_axis: str,
        steps: tuple[int, int] | None = None,
    ) -> Array:
        """Check a sequence and return it as [N, T, F].

        Args:
            operation: who asks, for errors.
            argument: name of the argument, for errors.
            x: what the caller passed.
            features: expected size of the last axis.
            feature_axis: name of the last axis, for errors.
            steps: expected (N, T), None where any will do.
        """
        front: tuple[int | None, ...] = steps or (None, None)
        if not self.batch_first:
            front = front[::-1]
        if (  # the common case, without building what only an error needs
            type(x) is np.ndarray
            and x.ndim == 3
            and x.shape[2] == features
            and x.dtype == self.dtype
            and (steps is None or x.shape[:2] == front)
        ):
            return self.swap(x)
        check_array(
            operation,
            argument,
            x,
            dtype=self.dtype,
            axes=(*("NT" if self.batch_first else "TN"), feature_axis),
            sizes=(*front, features),
            hint=lambda: self._hint(argument, x, features, steps),
        )
        return self.swap(x)

    def _hint(self, argument: str, x: Array, features: int, steps: tuple[int, int] | None) -> str:
        shape = x.shape
        if len(shape) == 2 and shape[1] == features:
            return f"looks like one sequence; pass {argument}{'[None]' if self.batch_first else '[:, None]'}"
        if len(shape) == 2 and features == 1:
            return f"looks like sequences of one feature; pass {argument}[..., None]"
        if len(shape) != 3:
            return ""
        expected = None if steps is None else (steps if self.batch_first else steps[::-1])
        if shape[2] == features and expected is not None and shape[:2] == expected[::-1]:
            order = "time" if self.batch_first else "batch"
            return f"looks {order}-major; pass batch_first={not self.batch_first}"
        if shape[2] != features and shape[1] == features:
            return f"looks like the feature axis comes second; pass {argument}.transpose(0, 2, 1)"
        return ""


def _time_major_hint() -> str:
    return "its N is the T of x, which looks time-major; pass batch_first=False"
