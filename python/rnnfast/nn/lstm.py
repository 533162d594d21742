"""Long short-term memory with what was proposed for it: peepholes, projection, coupled gates, forget bias.

Everything that other cells have too is ``Recurrent``'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import check_finite, check_flag
from .recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory.

    a = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh; i, f, o = sigmoid(a) and g = tanh(a), each of its own rows;
    c_t = f∘c_{t-1} + i∘g; h_t = o∘tanh(c_t). Gate order i, f, g, o; the state is (h, c).

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        proj_size: P, 0 < P < H: h_t = W_hr (o∘tanh(c_t)), with weight_hr [P, H]; then h has P units, c has H.
            0 for no projection.
        peephole: whether the gates see c: p_i∘c_{t-1}, p_f∘c_{t-1} and p_o∘c_t are added to a of i, f and o;
            weight_ch [3*H], order i, f, o, zero at initialisation, so that training begins at the plain cell.
        coupled: whether f = 1 - i; gates are then i, g, o, and weight_ch is [2*H], order i, o.
        forget_bias: constant added to b_ih of gate f at initialisation. With coupled=True it is subtracted
            from b_ih of gate i, which is the same: f = 1 - sigmoid(a) = sigmoid(-a). Without biases there is
            nothing to add it to; with layer_norm="joint" the biases are normalised with the rest.
        bias, batch_first, …, seed: options of every cell, see :class:`Recurrent`; zoneout may be a pair of
            rates, for h and for c.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> y, (h, c) = nn.LSTM(3, 8, num_layers=2, seed=0)(np.ones((2, 5, 3), np.float32))
        >>> y.shape, h.shape, c.shape
        ((2, 5, 8), (2, 2, 8), (2, 2, 8))

    Reference:
        Hochreiter & Schmidhuber, Long short-term memory, 1997; Gers, Schmidhuber & Cummins, Learning to
        forget, 2000; Gers & Schmidhuber, Recurrent nets that time and count, 2000 (peephole); Sak, Senior &
        Beaufays, Long short-term memory recurrent neural network architectures for large scale acoustic
        modeling, 2014 (projection); Greff et al., LSTM: a search space odyssey, 2017 (coupled).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        proj_size: int = 0,
        peephole: bool = False,
        coupled: bool = False,
        forget_bias: float = 1.0,
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        layer_norm: str | None = None,
        trainable_state: bool = False,
        state_gradient_bound: float | None = None,
        recompute: int = 0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        added = check_finite("LSTM", "forget_bias", forget_bias)
        if not check_flag("LSTM", "bias", bias) and added not in (0.0, 1.0):
            raise ValueError(
                f"LSTM: forget_bias must be left out with bias=False, as there is no bias to add it to, "
                f"got {forget_bias}"
            )
        cell = "lstm"
        if check_flag("LSTM", "peephole", peephole):
            cell += "_peephole"
        if check_flag("LSTM", "coupled", coupled):
            cell += "_coupled"
        super().__init__(
            cell, input_size, hidden_size, num_layers, proj_size=proj_size,
            bias=bias, batch_first=batch_first, bidirectional=bidirectional, dropout=dropout,
            input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, weight_dropout=weight_dropout,
            zoneout=zoneout, layer_norm=layer_norm, trainable_state=trainable_state,
            state_gradient_bound=state_gradient_bound, recompute=recompute, dtype=dtype, seed=seed,
        )  # fmt: skip
        gate, sign = ("i", -1.0) if coupled else ("f", 1.0)
        first = self.cell.gates.index(gate) * self.hidden_size
        for name, parameter in self.named_parameters():
            if name.startswith("bias_ih"):
                parameter.data[first : first + self.hidden_size] += sign * added
