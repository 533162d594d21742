"""The named recurrent layers beside the LSTM: what each cell computes, and the options it has of its own.

Everything else — layers, directions, states, backward — is ``Recurrent``'s, for every cell alike, and so is
the description of the options common to all. The signatures name these nevertheless, so that ``help`` and
editors show every option with its default. Not here: LSTM, which has most options of its own (``lstm``).
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .lstm import LSTM
from .recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN", "option_names", "recurrent_layer"]


class RNN(Recurrent):
    """Vanilla recurrent layer: h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), φ tanh or relu.

    tanh keeps the unrolled net from exploding; relu is the unstable choice.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        activation: "tanh" or "relu".
        bias, batch_first, …, seed: options of every cell, see :class:`Recurrent`.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> y, h = nn.RNN(3, 8, seed=0)(np.ones((2, 5, 3), np.float32))
        >>> y.shape, h.shape
        ((2, 5, 8), (1, 2, 8))

    Reference:
        Elman, Finding structure in time, 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        activation: str = "tanh",
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: str | None = None,
        trainable_state: bool = False,
        state_gradient_bound: float | None = None,
        recompute: int = 0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        if activation not in ("tanh", "relu"):
            raise ValueError(f"RNN: activation must be 'tanh' or 'relu', got {activation!r}")
        super().__init__(
            f"rnn_{activation}", input_size, hidden_size, num_layers,
            bias=bias, batch_first=batch_first, bidirectional=bidirectional, dropout=dropout,
            input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, weight_dropout=weight_dropout,
            zoneout=zoneout, layer_norm=layer_norm, trainable_state=trainable_state,
            state_gradient_bound=state_gradient_bound, recompute=recompute, dtype=dtype, seed=seed,
        )  # fmt: skip


class GRU(Recurrent):
    """Gated recurrent unit: r, z = sigmoid(p + q); h_t = (1 - z)∘n + z∘h_{t-1}; gate order r, z, n.

    p = W_ih x_t + b_ih; q = W_hh h_{t-1} + b_hh; with reset="after" n = tanh(p_n + r∘q_n), as PyTorch and
    cuDNN; with reset="before" n = tanh(p_n + W_hn (r∘h_{t-1}) + b_hn), as in the paper.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        reset: "after" or "before", whether the reset gate acts after or before the product with W_hn.
        bias, batch_first, …, seed: options of every cell, see :class:`Recurrent`; layer_norm is None or
            "split", and None with reset="before".

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> y, h = nn.GRU(3, 8, bidirectional=True, seed=0)(np.ones((2, 5, 3), np.float32))
        >>> y.shape, h.shape
        ((2, 5, 16), (2, 2, 8))

    Reference:
        Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
        translation, 2014.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset: str = "after",
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float = 0.0,
        layer_norm: str | None = None,
        trainable_state: bool = False,
        state_gradient_bound: float | None = None,
        recompute: int = 0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        if reset not in ("after", "before"):
            raise ValueError(f"GRU: reset must be 'after' or 'before', got {reset!r}")
        super().__init__(
            "gru" if reset == "after" else "gru_reset_before", input_size, hidden_size, num_layers,
            bias=bias, batch_first=batch_first, bidirectional=bidirectional, dropout=dropout,
            input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, weight_dropout=weight_dropout,
            zoneout=zoneout, layer_norm=layer_norm, trainable_state=trainable_state,
            state_gradient_bound=state_gradient_bound, recompute=recompute, dtype=dtype, seed=seed,
        )  # fmt: skip


_CLASSES: dict[str, type[RNN] | type[LSTM] | type[GRU]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


def recurrent_layer(
    cell: str, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any
) -> Recurrent:
    """The recurrent layer of a cell's name, for models that leave the choice to their user.

    Args:
        cell: "rnn", "lstm" or "gru" for those classes with their defaults, or any name of ``ops.cells()``.
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        options: further arguments of the class.

    Returns:
        The layer.

    Raises:
        TypeError: if the class has no such option.
        ValueError: if there is no such cell.

    Example:
        >>> from rnnfast.nn.cells import recurrent_layer
        >>> type(recurrent_layer("gru", 3, 8)).__name__
        'GRU'
    """
    known = option_names(cell)
    for option in options:
        if option not in known:
            name = _CLASSES.get(cell, Recurrent).__name__
            raise TypeError(f"{name}: options must be among {', '.join(known)}, got {option!r}")
    if cell in _CLASSES:
        return _CLASSES[cell](input_size, hidden_size, num_layers, **options)
    return Recurrent(cell, input_size, hidden_size, num_layers, **options)


def option_names(cell: str) -> list[str]:
    """Names of the options that `recurrent_layer` takes for a cell's name, sorted."""
    parameters = inspect.signature(_CLASSES.get(cell, Recurrent)).parameters.values()
    return sorted(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
