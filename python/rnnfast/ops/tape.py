"""What a forward call of a recurrent layer leaves for its backward call, and what that returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnfast import _core

from .arrays import Array, empty
from .memory import TapeMemory
from .weights import RecurrentWeights


@dataclass(eq=False)
class RecurrentTape:
    """What one forward call leaves for one backward call. It refers to x, y, the lengths, resets and
    masks that were passed: leave them unchanged.
    """

    weights: RecurrentWeights
    x: Array
    y: Array
    values: Array | None
    checkpoints: Array | None
    call: dict[str, Any]
    with_reset_state: bool
    memory: TapeMemory | None
    used: bool = False


class RecurrentGradients(NamedTuple):
    """Gradients of everything that entered one layer in one direction; None for what did not.

    ``dx`` and the gradients of weights have the shapes of what they are of, ``dstate`` is ``[N, O]`` and
    ``[N, H]`` each, and so is ``dreset_state``: by sample, the gradients of the state that follows a cut.
    """

    dx: Array
    dstate: tuple[Array, ...]
    dreset_state: tuple[Array, ...] | None
    dweight_ih: Array
    dweight_hh: Array
    dbias_ih: Array | None = None
    dbias_hh: Array | None = None
    dweight_ch: Array | None = None
    dweight_hr: Array | None = None
    dgamma_ih: Array | None = None
    dgamma_hh: Array | None = None
    dgamma_c: Array | None = None
    dbeta_c: Array | None = None
    dgamma: Array | None = None
    dbeta: Array | None = None


def tape_values(
    weights: RecurrentWeights,
    call: Mapping[str, Any],
    batch: int,
    steps: int,
    segment: int,
    memory: TapeMemory | None,
) -> Array:
    """Room for the tape of the longest segment, which is the first."""
    options = call["options"]
    lengths = options.get("lengths")
    longest = min(segment, steps)
    rows = batch * longest if lengths is None else int(np.minimum(lengths, longest).sum())
    row = _core.recurrent_tape_row(
        weights.info.number,
        dtype=weights.weight_ih.dtype.name,
        hidden=weights.hidden_size,
        projection=weights.projection,
        layer_norm=call["settings"]["layer_norm"],
        masked="hidden_mask" in options,
    )
    take = empty if memory is None else memory.take
    return take((rows, row), weights.weight_ih.dtype)
