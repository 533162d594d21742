"""The forwards of rnnfast in plain float64 NumPy, written from the equations: to read, and to check against.

Axes: N batch, T steps, I input size, H hidden size, P size of a projected h, G gates, K peepholes, L layers,
D directions. Weights have PyTorch's layout. Slow on purpose: one line per line of the paper, one place for
each formula. ``cells`` is one step of each cell, ``layers`` a cell over time and layers over each other with
every option, ``masks`` the random numbers. Imports NumPy alone. Not here: gradients, which the tests check
against differences of these forwards.
"""

from .cells import (
    CELLS,
    Cell,
    Inside,
    gru,
    gru_reset_before,
    lstm,
    lstm_coupled,
    lstm_peephole,
    lstm_peephole_coupled,
    rnn_relu,
    rnn_tanh,
)
from .formulas import Array, layer_norm, linear, sigmoid
from .layers import Weights, recurrent, recurrent_layers
from .masks import DROPOUT_PURPOSES, dropout_mask, philox4x32, zoneout_mask

__all__ = [
    "CELLS",
    "DROPOUT_PURPOSES",
    "Array",
    "Cell",
    "Inside",
    "Weights",
    "dropout_mask",
    "gru",
    "gru_reset_before",
    "layer_norm",
    "linear",
    "lstm",
    "lstm_coupled",
    "lstm_peephole",
    "lstm_peephole_coupled",
    "philox4x32",
    "recurrent",
    "recurrent_layers",
    "rnn_relu",
    "rnn_tanh",
    "sigmoid",
    "zoneout_mask",
]
