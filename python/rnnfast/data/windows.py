"""Windows over a series: the inputs a model reads and the targets it has to predict.

An *origin* o is the index of the first step to predict: the input is series[o - input_length : o], the target
series[o : o + horizon]. A window is valid when both lie inside the series. Nothing is copied: windows are
read-only strided views, so a thousand windows of a long series cost no memory until a batch of them is
gathered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, np.dtype[Any]]


def window_origins(
    length: int,
    input_length: int,
    horizon: int,
    *,
    stride: int = 1,
    start: int = 0,
    stop: int | None = None,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Origins stop - horizon - k·stride, ascending, with targets in [start, stop) and inputs that exist.

    Origins are counted back from the end, so that the most recent window is always among them. Windows of two
    segments that do not overlap never share a target: give the training part as stop=n and the rest as
        start=n.

    Args:
        length: steps in the series.
        input_length: steps read before an origin, ≥ 0.
        horizon: steps predicted from an origin, ≥ 1.
        stride: steps between two origins, ≥ 1.
        start: first step that may be a target.
        stop: one past the last step that may be a target; None is the end of the series.

    Returns:
        int64 [N], ascending; empty where the segment is too short.

    Raises:
        ValueError: a size out of range.

    Example:
        >>> window_origins(10, input_length=4, horizon=2, stride=2)
        array([4, 6, 8])
    """
    for name, value, least in (
        ("input_length", input_length, 0),
        ("horizon", horizon, 1),
        ("stride", stride, 1),
        ("start", start, 0),
    ):
        if value < least:
            raise ValueError(f"window_origins: {name} must be at least {least}, got {value}")
    end = length if stop is None else stop
    if not 0 <= end <= length:
        raise ValueError(f"window_origins: stop must lie in 0..{length} (the length), got {end}")
    return np.arange(end - horizon, max(start, input_length) - 1, -stride, dtype=np.int64)[::-1]


def windows(
    series: Array,
    input_length: int,
    horizon: int,
    *,
    stride: int = 1,
    target: str = "seq2vec",
) -> tuple[Array, Array]:
    """Inputs and targets of every window: X = series[o - input_length : o], Y = series[o : o + horizon].

    Args:
        series: [T] or [T, F], any dtype.
        input_length: steps in an input, ≥ 1.
        horizon: steps to predict, ≥ 1.
        stride: steps between two windows; the last window ends at the end of the series.
        target: "seq2vec": one target of `horizon` steps per window; "seq2seq": one target of `horizon` steps
            after *every* input step, Y[n, t] = series[s + 1 : s + 1 + horizon] with s the position of X[n,
            t].

    Returns:
        X [N, input_length, F] (F = 1 for a series [T]) and Y: seq2vec [N, horizon] or [N, horizon, F],
        seq2seq [N, input_length, horizon] or [N, input_length, horizon, F]. Read-only views of the series.

    Raises:
        ValueError: series neither [T] nor [T, F], shorter than one window, or an unknown target.

    Example:
        >>> X, Y = windows(np.arange(6.0), input_length=3, horizon=2)
        >>> X[..., 0].tolist(), Y.tolist()
        ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [[3.0, 4.0], [4.0, 5.0]])
    """
    values = np.asarray(series)
    if values.ndim not in (1, 2):
        raise ValueError(f"windows: series must have shape (T,) or (T, F), got {values.shape}")
    if target not in ("seq2vec", "seq2seq"):
        raise ValueError(f'windows: target must be "seq2vec" or "seq2seq", got {target!r}')
    if input_length < 1:
        raise ValueError(f"windows: input_length must be at least 1, got {input_length}")
    steps = values.shape[0]
    if steps < input_length + horizon:
        raise ValueError(
            f"windows: series must have at least input_length + horizon = {input_length + horizon} steps, "
            f"got {steps}"
        )
    origins = window_origins(steps, input_length, horizon, stride=stride)
    table = values if values.ndim == 2 else values[:, None]
    first = int(origins[0])
    # sliding_window_view puts the window axis last; inputs want it before the features.
    inputs = sliding_window_view(table[: steps - horizon], input_length, axis=0)[
        first - input_length :: stride
    ]
    ahead = sliding_window_view(values, horizon, axis=0)  # [T - horizon + 1, (F,) horizon], indexed by origin
    if values.ndim == 2:
        ahead = np.swapaxes(ahead, 1, 2)
    if target == "seq2vec":
        return np.swapaxes(inputs, 1, 2), ahead[first::stride]
    # Input step s is followed by the target with origin s + 1.
    every_step = sliding_window_view(ahead[1:], input_length, axis=0)[first - input_length :: stride]
    return np.swapaxes(inputs, 1, 2), np.moveaxis(every_step, -1, 1)
