"""Layouts of sequences and recurrent states: what callers see, and what ``ops`` works on.

Callers see one array [L*D, N, size] per state of the cell (layer-major, direction-minor, as in PyTorch), the
array itself where a cell has a single state and a tuple where it has several. ``ops`` sees one tuple of [N,
size] arrays per layer and direction. The size is H, but P for a projected h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from .arguments import check_array
from .parameter import Array

State = Any  # the array h [L*D, N, P or H], or for a cell of several states the tuple of such arrays: (h, c)


class StateLayout:
    """The shape of a layer's state.

    Args:
        names: names of the cell's states, ("h",) or ("h", "c").
        count: L*D, layers times directions.
        sizes: units of each state: P or H for h, H for others.
        dtype: float32 or float64.
    """

    def __init__(
        self, names: tuple[str, ...], count: int, sizes: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.names = names
        self.count = count
        self.sizes = sizes
        self.dtype = dtype

    def zeros(self, batch: int) -> State:
        """The zero state of `batch` sequences."""
        return self.public([np.zeros((self.count, batch, size), self.dtype) for size in self.sizes])

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
            `count` tuples of [N, size] arrays, or of None.

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
        for name, part, size in zip(self.names, parts, self.sizes, strict=True):
            if part is None and optional:
                continue
            check_array(
                operation,
                argument if len(self.names) == 1 else f"{argument} {name}",
                part,
                dtype=self.dtype,
                axes=("layers*directions", "N", "proj_size" if size < self.sizes[-1] else "hidden_size"),
                sizes=(self.count, batch, size),
                hint=_swapped_axes_hint if np.shape(part)[1:2] == (steps,) != (batch,) else None,
            )
        return [tuple(None if part is None else part[k] for part in parts) for k in range(self.count)]

    def stack(self, states: Sequence[tuple[Array, ...]]) -> State:
        """Put the tuples of all layers and directions together again; the arrays must be nobody else's."""
        if len(states) == 1:
            return self.public([part[None] for part in states[0]])
        front = len(states), len(states[0][0])
        joined = [np.concatenate(parts) for parts in zip(*states, strict=True)]
        return self.public([array.reshape(*front, *array.shape[1:]) for array in joined])

    def arrays(self, state: State) -> Sequence[Array]:
        """The arrays of a state as callers see them, in a sequence even where there is one."""
        return (state,) if len(self.names) == 1 else state

    def public(self, arrays: Sequence[Array]) -> State:
        """One array per state as callers see them: the array itself where there is one, else a tuple."""
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
        return self.swap(ops.empty((*shape, features), self.dtype))

    def check_resets(self, operation: str, resets: Any, sizes: tuple[int, ...]) -> Array | None:
        """Check where sequences are cut and return it as bool [N, T], or [N] of a single step, a copy.

        Args:
            operation: who asks, for errors.
            resets: bool array in the callers' order of axes; None for no cuts.
            sizes: (N, T), or (N,) of a single step.

        Raises:
            TypeError: if it is not a bool array.
            ValueError: if its shape is wrong.
        """
        if resets is None:
            return None
        if not isinstance(resets, np.ndarray):
            raise TypeError(
                f"{operation}: resets must be a NumPy array of dtype bool, got {type(resets).__name__}; "
                f"pass np.asarray(resets, bool)"
            )
        if resets.dtype != np.bool_:
            raise TypeError(
                f"{operation}: resets must have dtype bool, got {resets.dtype}; pass resets.astype(bool)"
            )
        expected, axes = (sizes, "NT") if self.batch_first else (sizes[::-1], "TN")
        if resets.shape != expected:
            named = "(N,)" if len(sizes) == 1 else f"({', '.join(axes)})"
            fix = ""
            if len(sizes) == 2 and resets.shape == expected[::-1]:
                fix = "; looks transposed, pass resets.T"
            raise ValueError(
                f"{operation}: resets must have shape {named} = {expected}, got {resets.shape}{fix}"
            )
        return np.array(resets if self.batch_first else resets.T)

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


def check_lengths(operation: str, lengths: Any, batch: int, steps: int) -> Array | None:
    """Check the lengths of sequences and return them as int64 [N], a copy.

    Args:
        operation: who asks, for errors.
        lengths: N ints in 0..T, in an array, list or tuple; None where all sequences have T steps.
        batch: N.
        steps: T.

    Raises:
        TypeError: if they are not ints.
        ValueError: if there are not N of them or one is not in 0..T.
    """
    if lengths is None:
        return None
    if not isinstance(lengths, (np.ndarray, list, tuple)):
        raise TypeError(
            f"{operation}: lengths must be an array, list or tuple of ints, got {type(lengths).__name__}"
        )
    try:
        array = np.asarray(lengths)
    except ValueError as error:
        raise ValueError(
            f"{operation}: lengths must have shape (N,) = ({batch},), got {lengths!r}"
        ) from error
    if array.dtype.kind not in "iu" and (array.size > 0 or isinstance(lengths, np.ndarray)):
        fix = "; pass np.asarray(lengths, np.int64)" if array.dtype.kind in "fb" else ""
        if array.shape == (batch, steps) and array.dtype == bool:
            fix = "; pass mask.sum(axis=1)"
        raise TypeError(f"{operation}: lengths must be ints, got {array.dtype}{fix}")
    if array.shape != (batch,):
        raise ValueError(f"{operation}: lengths must have shape (N,) = ({batch},), got {array.shape}")
    wrong = np.flatnonzero((array < 0) | (array > steps))
    if wrong.size:
        n = int(wrong[0])
        raise ValueError(
            f"{operation}: lengths must be in 0..T={steps}, got {array[n]} at n={n}"
            + (f" and {wrong.size - 1} more" if wrong.size > 1 else "")
        )
    return np.array(array, np.int64)


def padding(lengths: Array, steps: int) -> Array:
    """True where a step is behind the end of its sequence, shape (N, T)."""
    return np.arange(steps) >= lengths[:, None]


def zero_padding(x: Array, lengths: Array | None) -> Array:
    """x [N, T, …] with zeros behind the ends, whatever was there: a weight or gradient of 0 does not make 0
    of a NaN. A copy, or x itself where there are no lengths.
    """
    if lengths is None:
        return x
    behind = padding(lengths, x.shape[1])
    zeroed: Array = np.where(behind.reshape(behind.shape + (1,) * (x.ndim - 2)), x.dtype.type(0), x)
    return zeroed


def _swapped_axes_hint() -> str:
    return "its N is the T of x; pass the batch_first that x has"
