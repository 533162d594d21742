"""Batches for training and evaluation: from arrays, or from any object that can be iterated again.

Arrays hold samples along axis 0; X may be several arrays by name. They are checked once, before training:
names, lengths, NaN, masks that leave nothing. Not here: windows and splits (``data``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rnnfast.losses import broadcast_mask
from rnnfast.nn.inputs import Inputs, check_inputs, named_arrays, number_of_samples, take, title
from rnnfast.nn.module import Module

from .padding import mask_of_lengths, real_steps

Array = np.ndarray[Any, np.dtype[Any]]
Batch = tuple[Inputs, Array, Array | None]
Data = tuple[Array, ...] | Iterable[tuple[Array, ...]]

FINITE_CHECK_ELEMENTS = 1 << 20  # window views can be far larger than memory, so they are checked in slabs


class ArrayBatches:
    """Mini-batches of arrays, in order or shuffled anew at every pass.

    Args:
        x: samples along axis 0, one array or several by name.
        y: targets along axis 0.
        mask: bool, leading axes of y, or None.
        batch_size: samples per batch; the last batch may be smaller.
        generator: source of the order; None for the order of the arrays.
    """

    def __init__(
        self,
        x: Inputs,
        y: Array,
        mask: Array | None,
        *,
        batch_size: int,
        generator: np.random.RandomState | None,
    ) -> None:
        self.x, self.y, self.mask = x, y, mask
        self.samples = len(y)
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        x, y, mask, size = self.x, self.y, self.mask, self.batch_size
        order = None if self.generator is None else self.generator.permutation(self.samples)
        for start in range(0, self.samples, size):
            rows: Any = slice(start, start + size) if order is None else order[start : start + size]
            yield take(x, rows), y[rows], None if mask is None else mask[rows]


class GivenBatches:
    """Batches that the caller makes: (x, y) or (x, y, mask), one full pass per epoch, in the caller's order.

    Args:
        operation: who asks, for error texts.
        name: name of the argument.
        batches: an object that can be iterated again and again.
        model: what x goes to.
    """

    def __init__(self, operation: str, name: str, batches: Any, model: Module) -> None:
        self.batches = batches
        self.model = model
        self._operation, self._x = operation, f"{_prefix(name)}X"
        self.length = len(batches) if hasattr(batches, "__len__") else None
        self._rule = f"{operation}: {name} must give batches (x, y) or (x, y, mask)"

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.batches:
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise TypeError(f"{self._rule}, got {_kind(batch)}; whole arrays go in a tuple (X, Y)")
            x = check_inputs(self._operation, self._x, self.model, batch[0])
            mask = batch[2] if len(batch) == 3 else None
            yield x, batch[1], mask_of_lengths(self.model, x, batch[1]) if mask is None else mask


Batches = ArrayBatches | GivenBatches


def number_of_batches(batches: Batches) -> int | None:
    """Batches of one pass, None where that is not known."""
    return batches.length if isinstance(batches, GivenBatches) else len(batches)


def make_batches(
    operation: str,
    name: str,
    data: Any,
    *,
    model: Module,
    batch_size: int,
    generator: np.random.RandomState | None = None,
) -> Batches:
    """Turn what the caller passed into batches; a tuple of arrays is checked here, once.

    Args:
        operation: who asks, for error texts.
        name: name of the argument; "data" for the training data.
        data: tuple (X, Y) or (X, Y, mask) of arrays, or an object that can be iterated again and again.
        model: what X goes to; its `forward` says which names there may be.
        batch_size: samples per batch, for arrays.
        generator: source of the order, for arrays; None keeps theirs.

    Raises:
        TypeError: for anything else, one-shot iterators included.
        ValueError: for arrays that do not belong together, are empty, or hold NaN or infinite values.
    """
    if isinstance(data, tuple):
        x, y, mask = check_arrays(operation, name, data, model)
        return ArrayBatches(x, y, mask, batch_size=batch_size, generator=generator)
    if not hasattr(data, "__iter__") or hasattr(data, "shape"):
        raise TypeError(
            f"{operation}: {name} must be a tuple (X, Y) or (X, Y, mask) of arrays, or batches, "
            f"got {_kind(data)}"
        )
    if iter(data) is data:
        raise TypeError(
            f"{operation}: {name} must give its batches anew at every epoch, got a one-shot {_kind(data)}; "
            f"pass a list, or an object whose __iter__ starts over"
        )
    given = GivenBatches(operation, name, data, model)
    if given.length == 0:
        raise ValueError(
            f"{operation}: {name} must give at least one batch with elements that count, got none"
        )
    return given


def check_arrays(operation: str, name: str, data: tuple[Any, ...], model: Module) -> Batch:
    """Check (X, Y) or (X, Y, mask): arrays, as many samples each, none NaN or infinite where it counts."""
    prefix = _prefix(name)
    several = bool(data) and isinstance(data[0], Mapping)
    if len(data) not in (2, 3) or not all(hasattr(array, "shape") for array in data[several:]):
        raise TypeError(
            f"{operation}: {name} must be a tuple (X, Y) or (X, Y, mask) of arrays, "
            f"got ({', '.join(_kind(part) for part in data)}); pass batches as a list"
        )
    x, y = check_inputs(operation, f"{prefix}X", model, data[0]), data[1]
    mask: Array | None = data[2] if len(data) == 3 else None
    named = named_arrays(x)
    first, like = named[0]
    for role, array in zip(("Y", "mask"), data[1:], strict=False):
        if array.ndim < 1 or len(array) != len(like):
            raise ValueError(
                f"{operation}: {prefix}{role} must have as many samples along axis 0 as {title('X', first)}, "
                f"{like.shape}, got {array.shape}"
            )
    if len(like) == 0:
        raise ValueError(
            f"{operation}: {prefix}{title('X', first)} must hold at least one sample, got {like.shape}"
        )
    kept = None
    if mask is None:
        mask = mask_of_lengths(model, x, y)
        if mask is not None and not mask.any():
            raise ValueError(
                f"{operation}: {prefix}{title('X', 'lengths')} must leave at least one output, got "
                f"{dict(named)['lengths'].max()} as the largest"
            )
    if mask is not None:
        kept, count = broadcast_mask(operation, mask, y.shape)
        if count == 0:
            raise ValueError(
                f"{operation}: {prefix}mask must keep at least one element, got False everywhere"
            )
    for key, array in named:
        check_finite(operation, f"{prefix}{title('X', key)}", array, real_steps(model, x, key))
    check_finite(operation, f"{prefix}Y", y, kept)
    return x, y, mask


def check_finite(operation: str, name: str, array: Array, kept: Array | None = None) -> None:
    """Raise ValueError, with count and first index, if `array` is NaN or infinite where `kept` is True."""
    found = describe_nonfinite(array, kept)
    if found:
        raise ValueError(
            f"{operation}: {name} must be finite, got {found}; drop, fill or mask them before training"
        )


def describe_nonfinite(array: Array, kept: Array | None = None) -> str:
    """Count NaN and infinite values and name the first: "3 NaN, the first at index (0, 1)"; "" if none."""
    if array.dtype.kind != "f":
        return ""
    nans = infinities = 0
    first: tuple[int, ...] = ()
    rows = max(1, FINITE_CHECK_ELEMENTS // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        slab = array[start : start + rows]
        finite = np.isfinite(slab)
        if finite.all():
            continue
        bad = ~finite
        if kept is not None:
            bad &= np.broadcast_to(kept, array.shape)[start : start + rows]
        if not first and bad.any():
            index = np.unravel_index(int(bad.argmax()), bad.shape)
            first = (start + int(index[0]), *(int(axis) for axis in index[1:]))
        nans_here = int((np.isnan(slab) & bad).sum())
        nans += nans_here
        infinities += int(bad.sum()) - nans_here
    kinds = [f"{count} {kind}" for count, kind in ((nans, "NaN"), (infinities, "infinite")) if count]
    return f"{' and '.join(kinds)}, the first at index {first}" if kinds else ""


def split_tail(operation: str, data: Batch, fraction: float) -> tuple[Batch, Batch]:
    """Cut the last `fraction` of the samples off, in their order, for validation.

    Raises:
        ValueError: if the fraction is not in (0, 1), or one of the parts would be empty.
    """
    samples = number_of_samples(data[0])
    held_out = round(samples * fraction)
    if not 0 < fraction < 1 or not 0 < held_out < samples:
        raise ValueError(
            f"{operation}: validation, as a fraction, must be in (0, 1) and leave samples on both sides of "
            f"the cut, got {fraction} of {samples} samples"
        )
    cut = samples - held_out
    x, y, mask = data
    head = None if mask is None else mask[:cut]
    tail = None if mask is None else mask[cut:]
    before, after = slice(0, cut), slice(cut, samples)
    return (take(x, before), y[before], head), (take(x, after), y[after], tail)


def _prefix(name: str) -> str:
    """What errors put in front of X, Y and mask of an argument: nothing for the training data."""
    return "" if name == "data" else f"{name} "


def _kind(value: Any) -> str:
    return (
        f"{type(value).__name__} of {len(value)}"
        if isinstance(value, (tuple, list))
        else type(value).__name__
    )
