"""The options of recurrent layers: their defaults, their ranges, and which of them go together.

One frozen record holds all of them; every refusal is written here, each with its reason. What an option
computes is elsewhere: masks (``masks``), weights (``weights``), the sequence itself (``recurrent``). Not
here: what only one named class has (activation, reset, peephole, coupled, forget_bias: ``cells``, ``lstm``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..ops import CellInfo
from .arguments import check_dtype, check_finite, check_flag, check_rate, check_size

_RATES = ("dropout", "input_dropout", "recurrent_dropout", "weight_dropout")

# Why a cell lacks a layer norm; which ones it has, the registry says.
_WITHOUT_LAYER_NORM = {
    "gru": "r acts on W_hh h alone, so that the two products are never one sum",
    "gru_reset_before": "reset='before' puts r∘h into W_hn, so that W_hh h is never there as a whole",
}


@dataclass(frozen=True)
class Options:
    """What a recurrent layer was asked for beside its cell and sizes.

    Args:
        proj_size: P, size of the projected h, 0 for none.
        bias: whether there are b_ih and b_hh.
        batch_first: whether sequences are [N, T, F].
        bidirectional: whether a second direction runs from the last step to the first.
        dropout: rate between layers.
        input_dropout: rate on the input of every layer, one mask for all steps.
        recurrent_dropout: rate on h where it enters W_hh, one mask for all steps.
        weight_dropout: rate on W_hh itself.
        zoneout: rates per state; before `checked` also one rate for all.
        layer_norm: None, "split" or "joint".
        trainable_state: whether the initial state is a parameter.
        state_gradient_bound: largest \\|dh_t\\| in backward, None for no bound.
        recompute: keep states every so many steps in the tape, 0 for everything of every step.
        dtype: float32 or float64.
    """

    proj_size: int = 0
    bias: bool = True
    batch_first: bool = True
    bidirectional: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    zoneout: Any = 0.0
    layer_norm: str | None = None
    trainable_state: bool = False
    state_gradient_bound: float | None = None
    recompute: int = 0
    dtype: Any = np.float32

    def checked(self, operation: str, cell: CellInfo, hidden_size: int, num_layers: int) -> Options:
        """The same options as plain Python values, if each is in its range and they go together.

        Args:
            operation: who asks, for errors.
            cell: the layer's cell.
            hidden_size: H.
            num_layers: L.

        Raises:
            TypeError: if an option is of another type.
            ValueError: if one is out of its range or does not go with the cell, the sizes or another one.
        """
        flags = ("bias", "batch_first", "bidirectional", "trainable_state")
        bound = self.state_gradient_bound
        plain: dict[str, Any] = {name: check_flag(operation, name, getattr(self, name)) for name in flags}
        plain |= {name: check_rate(operation, name, getattr(self, name)) for name in _RATES}
        options = replace(
            self,
            **plain,
            zoneout=_zoneout(operation, cell, self.zoneout),
            proj_size=check_size(operation, "proj_size", self.proj_size, minimum=0),
            recompute=check_size(operation, "recompute", self.recompute, minimum=0),
            state_gradient_bound=None if bound is None else _bound(operation, bound, self.dtype),
            dtype=check_dtype(operation, self.dtype),
        )
        options._check_together(operation, cell, hidden_size, num_layers)
        return options

    def _check_together(self, operation: str, cell: CellInfo, hidden_size: int, num_layers: int) -> None:
        if self.dropout > 0 and num_layers == 1:
            raise ValueError(
                f"{operation}: dropout must be 0 with num_layers=1, as it acts between layers, "
                f"got {self.dropout}; add layers, or put nn.Dropout behind this one"
            )
        if self.proj_size and not cell.projectable:
            raise ValueError(
                f"{operation}: proj_size must be 0 with cell {cell.name}, as only an h that is an output of "
                f"c is projected, got {self.proj_size}"
            )
        if self.proj_size >= hidden_size:
            raise ValueError(
                f"{operation}: proj_size must be smaller than hidden_size={hidden_size}, as a projection "
                f"shortens h, got {self.proj_size}"
            )
        named = self.layer_norm is None or isinstance(self.layer_norm, str)  # not an array, say
        if not named or self.layer_norm not in (None, "split", "joint"):
            raise ValueError(
                f"{operation}: layer_norm must be None, 'split' or 'joint', got {self.layer_norm!r}"
            )
        if self.layer_norm is not None and self.layer_norm not in cell.layer_norms:
            allowed = " or ".join(map(repr, (None, *cell.layer_norms)))
            reason = _WITHOUT_LAYER_NORM.get(cell.name, "its sums are not made that way")
            raise ValueError(
                f"{operation}: layer_norm must be {allowed} with cell {cell.name}, as {reason}, "
                f"got {self.layer_norm!r}"
            )

    @cached_property
    def stochastic(self) -> bool:
        """Whether training draws random numbers."""
        return any(getattr(self, name) > 0 for name in _RATES) or any(rate > 0 for rate in self.zoneout)

    def state_sizes(self, cell: CellInfo, hidden_size: int) -> tuple[int, ...]:
        """Units of each state of the cell: P or H for h, H for the others."""
        return (self.proj_size or hidden_size, *(hidden_size for _ in cell.states[1:]))


def _zoneout(operation: str, cell: CellInfo, value: Any) -> tuple[float, ...]:
    if not isinstance(value, (tuple, list)):
        return (check_rate(operation, "zoneout", value),) * len(cell.states)
    names = ", ".join(cell.states)
    if len(cell.states) == 1:
        raise ValueError(
            f"{operation}: zoneout must be one rate with cell {cell.name}, as {names} is its only state, "
            f"got {value}"
        )
    if len(value) != len(cell.states):
        raise ValueError(f"{operation}: zoneout must be one rate, or ({names}), got {value}")
    return tuple(
        check_rate(operation, f"zoneout of {state}", rate)
        for state, rate in zip(cell.states, value, strict=True)
    )


def _bound(operation: str, value: Any, dtype: Any) -> float:
    bound = check_finite(operation, "state_gradient_bound", value)
    if not np.dtype(dtype).type(bound) > 0:  # 1e-50 is 0 in float32
        raise ValueError(
            f"{operation}: state_gradient_bound must be above 0, or None for no bound, got {value}"
        )
    return bound
