"""What a model of sequences may begin with: a strided convolution that shortens them.

The recurrent layers then see T' = (T - d (K - 1) - 1) // s + 1 steps, each made of K steps of x. Not here:
the convolution itself, which is ``nn.Conv1d``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..nn import Conv1d, Tape
from ..nn.arguments import check_size
from ..nn.parameter import Array
from ..nn.states import SequenceLayout, check_lengths, zero_padding
from .model import as_json

_DEFAULTS = {"stride": 1, "dilation": 1, "activation": "relu"}
_NAMES = ("channels", "kernel_size", *_DEFAULTS)


def check_conv(operation: str, conv: Any) -> dict[str, Any] | None:
    """The settings of a convolution in front, with every name; None for none.

    Args:
        operation: who asks, for errors.
        conv: dict of channels, kernel_size and if need be stride, dilation and activation; or None.

    Raises:
        TypeError: if it is something else, or a name is unknown or missing.
    """
    if conv is None:
        return None
    if not isinstance(conv, Mapping):
        raise TypeError(
            f"{operation}: conv must be a dict with channels and kernel_size, or None, got {conv!r}"
        )
    settings: dict[str, Any] = {**_DEFAULTS, **as_json(conv)}
    for name in settings:
        if name not in _NAMES:
            raise TypeError(f"{operation}: conv must have names among {', '.join(_NAMES)}, got {name!r}")
    for name in _NAMES:
        if name not in settings:
            raise TypeError(
                f"{operation}: conv must have {name}, got {', '.join(map(str, conv)) or 'nothing'}"
            )
    check_size(operation, "channels of conv", settings["channels"])  # the layers behind are made first
    return {name: settings[name] for name in _NAMES}


def make_conv(settings: Mapping[str, Any], input_size: int, dtype: Any, seed: int) -> Conv1d:
    """The convolution of the settings from `check_conv`."""
    options = {name: value for name, value in settings.items() if name != "channels"}
    return Conv1d(input_size, settings["channels"], padding="valid", dtype=dtype, seed=seed, **options)


def check_long_enough(operation: str, conv: Conv1d, x: Array, lengths: Array | None, name: str = "x") -> None:
    """Raise ValueError where a sequence has steps, and fewer than the convolution reads for one output.

    Args:
        operation: who asks, for errors.
        conv: the convolution.
        x: the sequences, shape (N, T, I).
        lengths: int64, shape (N,), of them; None where they fill their array.
        name: what the caller calls x.
    """
    if x.shape[1] < conv.receptive_field:
        raise ValueError(
            f"{operation}: {name} must have {conv.receptive_field} or more steps, as conv reads as many "
            f"for one output, got {x.shape}; pad the sequences in front, or make conv with a smaller kernel"
        )
    if lengths is None:
        return
    short = np.flatnonzero((lengths > 0) & (lengths < conv.receptive_field))
    if short.size:
        n = int(short[0])
        raise ValueError(
            f"{operation}: lengths must be 0, or {conv.receptive_field} or more, as conv reads as many steps "
            f"for one output, got {lengths[n]} at n={n}"
            + (f" and {short.size - 1} more" if short.size > 1 else "")
            + "; leave such sequences out, pad them in front, or make conv with a smaller kernel"
        )


def shorten(
    operation: str, conv: Conv1d, x: Array, lengths: Any, resets: Any, training: bool
) -> tuple[Array, Array | None, Tape | None]:
    """Run the convolution in front.

    Args:
        operation: who asks, for errors.
        conv: the convolution.
        x: shape (N, T, I).
        lengths: of the sequences in x, None for T.
        resets: must be None.
        training: whether to return a tape.

    Returns:
        (x, lengths, tape): x of shape (N, T', C); the steps of it that are made of real steps alone.

    Raises:
        TypeError: if x or the lengths have another dtype.
        ValueError: if there are resets, x has another shape, a length is not in 0..T, or a sequence is too
            short.
    """
    if resets is not None:
        raise ValueError(
            f"{operation}: resets must be None with conv, as the convolution would mix steps from both sides "
            f"of a cut; cut the sequences there and pass the parts as samples of their own"
        )
    x = SequenceLayout(True, conv.dtype).check(operation, "x", x, conv.in_channels, "input_size")
    checked = check_lengths(operation, lengths, *x.shape[:2])
    check_long_enough(operation, conv, x, checked)
    shorter, tape = conv.forward(zero_padding(x, checked), training=training)
    return shorter, None if checked is None else conv.output_lengths(checked), tape
