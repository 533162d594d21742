"""The forwards of rnnfast in plain float64 NumPy, written from the equations: to read, and to check against.

Axes: N batch, T steps, I input size, H hidden size, P size of a projected h, G gates, K peepholes, L layers,
D directions. Weights have PyTorch's layout. Slow on purpose: one line per line of the paper, one place for
each formula. ``cells`` is one step of each cell, ``layers`` a cell over time and layers over each other with
every option, ``masks`` the random numbers, ``attention`` a decoder that looks at an encoder's outputs,
``convolution`` a convolution over time and the stack of a WaveNet. Imports NumPy alone. Not here: gradients,
which the tests check against differences of these forwards.
"""

from .attention import bahdanau_attention, decoder_step, luong_attention, masked_softmax
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
from .convolution import conv1d, wavenet_stack
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
    "bahdanau_attention",
    "conv1d",
    "decoder_step",
    "dropout_mask",
    "gru",
    "gru_reset_before",
    "layer_norm",
    "linear",
    "lstm",
    "lstm_coupled",
    "lstm_peephole",
    "lstm_peephole_coupled",
    "luong_attention",
    "masked_softmax",
    "philox4x32",
    "recurrent",
    "recurrent_layers",
    "rnn_relu",
    "rnn_tanh",
    "sigmoid",
    "wavenet_stack",
    "zoneout_mask",
]
