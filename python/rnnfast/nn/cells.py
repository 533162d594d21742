"""The named recurrent layers: what each cell computes, and the options it has of its own.

Everything else — layers, directions, states, backward — is ``Recurrent``'s, for every cell alike, and so is
the description of the options common to all. The signatures name these nevertheless, so that ``help`` and
editors show every option with its default.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .arguments import check_finite, check_flag
from .recurrent import Recurrent


class RNN(Recurrent):
    """Vanilla recurrent layer: h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), φ tanh or relu.

    tanh keeps the unrolled net from exploding; relu is the unstable choice.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        activation: "tanh" or "relu".
        bias, batch_first, bidirectional, dropout, dtype, seed: options of every cell, see :class:`Recurrent`.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if an argument is out of its range.

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
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        if activation not in ("tanh", "relu"):
            raise ValueError(f"RNN: activation must be 'tanh' or 'relu', got {activation!r}")
        super().__init__(
            f"rnn_{activation}",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            seed=seed,
        )


class LSTM(Recurrent):
    """Long short-term memory.

    a = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh; i, f, o = sigmoid(a) and g = tanh(a), each of its own rows;
    c_t = f∘c_{t-1} + i∘g; h_t = o∘tanh(c_t). Gate order i, f, g, o; the state is (h, c).

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        forget_bias: constant added to b_ih of gate f at initialisation; without biases there is nothing to
            add it to.
        bias, batch_first, bidirectional, dropout, dtype, seed: options of every cell, see :class:`Recurrent`.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> y, (h, c) = nn.LSTM(3, 8, num_layers=2, seed=0)(np.ones((2, 5, 3), np.float32))
        >>> y.shape, h.shape, c.shape
        ((2, 5, 8), (2, 2, 8), (2, 2, 8))

    Reference:
        Hochreiter & Schmidhuber, Long short-term memory, 1997; Gers, Schmidhuber & Cummins, Learning to
        forget, 2000.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        forget_bias: float = 1.0,
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        added = check_finite("LSTM", "forget_bias", forget_bias)
        if not check_flag("LSTM", "bias", bias) and added not in (0.0, 1.0):
            raise ValueError(
                f"LSTM: forget_bias must be left out with bias=False, as there is no bias to add it to, "
                f"got {forget_bias}"
            )
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            seed=seed,
        )
        first = self.cell.gates.index("f") * self.hidden_size
        for name, parameter in self.named_parameters():
            if name.startswith("bias_ih"):
                parameter.data[first : first + self.hidden_size] += added


class GRU(Recurrent):
    """Gated recurrent unit, the reset gate applied after the product (as PyTorch and cuDNN).

    p = W_ih x_t + b_ih; q = W_hh h_{t-1} + b_hh; r, z = sigmoid(p + q); n = tanh(p_n + r∘q_n);
    h_t = (1 - z)∘n + z∘h_{t-1}. Gate order r, z, n.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        reset: "after", the reset gate applied after the product with W_hh; "before" is not there yet.
        bias, batch_first, bidirectional, dropout, dtype, seed: options of every cell, see :class:`Recurrent`.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if an argument is out of its range.

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
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        if reset != "after":
            raise ValueError(f"GRU: reset must be 'after' (reset='before' is not there yet), got {reset!r}")
        super().__init__(
            "gru",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            dtype=dtype,
            seed=seed,
        )


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
    classes: dict[str, type[RNN] | type[LSTM] | type[GRU]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
    kind = classes.get(cell, Recurrent)
    parameters = inspect.signature(kind).parameters.values()
    known = sorted(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)
    for option in options:
        if option not in known:
            raise TypeError(f"{kind.__name__}: options must be among {', '.join(known)}, got {option!r}")
    if cell in classes:
        return classes[cell](input_size, hidden_size, num_layers, **options)
    return Recurrent(cell, input_size, hidden_size, num_layers, **options)
