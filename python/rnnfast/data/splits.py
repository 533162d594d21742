"""Time-ordered splits: the past trains, what follows validates, the end tests. Nothing overlaps."""

from __future__ import annotations

from typing import NamedTuple


class TimeSplit(NamedTuple):
    """Three slices of one time axis, in order and disjoint; validation and test may be empty.

    Example:
        >>> import numpy as np
        >>> split = TimeSplit(slice(0, 3), slice(3, 4), slice(4, 5))
        >>> np.arange(5)[split.validation]
        array([3])
    """

    train: slice
    validation: slice
    test: slice


def time_split(length: int, *, validation: int | float = 0, test: int | float = 0, gap: int = 0) -> TimeSplit:
    """Cut `length` steps into train | gap | validation | gap | test, oldest first.

    Args:
        length: steps in the series, ≥ 1.
        validation: steps (int), or share of the series (float in [0, 1)), rounded down.
        test: steps or share, at the end of the series.
        gap: steps left unused before validation and before test. Models whose training *inputs* must not
            touch the later targets either (overlapping windows made after the split never do) need none.

    Returns:
        TimeSplit(train, validation, test) of slices.

    Raises:
        ValueError: a size out of range, or nothing left to train on.

    Example:
        >>> time_split(100, validation=0.2, test=10).validation
        slice(70, 90, None)
    """
    if length < 1:
        raise ValueError(f"time_split: length must be at least 1, got {length}")
    if gap < 0:
        raise ValueError(f"time_split: gap must be at least 0, got {gap}")
    steps_validation = _steps("validation", validation, length)
    steps_test = _steps("test", test, length)
    test_start = length - steps_test
    validation_stop = test_start - (gap if steps_test else 0)
    validation_start = validation_stop - steps_validation
    train_stop = validation_start - (gap if steps_validation else 0)
    if train_stop < 1:
        raise ValueError(
            f"time_split: validation={validation} and test={test} with gap={gap} must leave at least one "
            f"of {length} steps to train on; take smaller parts"
        )
    return TimeSplit(
        slice(0, train_stop), slice(validation_start, validation_stop), slice(test_start, length)
    )


def _steps(name: str, size: int | float, length: int) -> int:
    if isinstance(size, float):
        if not 0.0 <= size < 1.0:
            raise ValueError(f"time_split: {name} as a share must lie in [0, 1), got {size}")
        return int(size * length)
    if size < 0:
        raise ValueError(f"time_split: {name} must be at least 0, got {size}")
    return int(size)
