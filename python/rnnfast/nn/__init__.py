"""Layers with explicit forward and backward: recurrent layers, convolution, LayerNorm, Embedding, Linear,
Dropout, Sequential.
"""

from __future__ import annotations

from .attention import Attention, BahdanauAttention, LuongAttention
from .cells import GRU, LSTM, RNN
from .conv import Conv1d
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module, RandomCounter, Tape
from .norm import LayerNorm
from .parameter import Parameter, ParameterBuffer
from .recurrent import Recurrent
from .sequential import Sequential
from .wavenet import WaveNetStack

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "BahdanauAttention",
    "Conv1d",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "Linear",
    "LuongAttention",
    "Module",
    "Parameter",
    "ParameterBuffer",
    "RandomCounter",
    "Recurrent",
    "Sequential",
    "Tape",
    "WaveNetStack",
]
