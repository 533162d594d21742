"""Layers with explicit forward and backward: recurrent layers, convolution, LayerNorm, Embedding, Linear,
Dropout, Sequential.
"""

from __future__ import annotations

from .attention import Attention, BahdanauAttention, LuongAttention
from .buffer import ParameterBuffer
from .cells import GRU, LSTM, RNN
from .conv import Conv1d
from .counter import RandomCounter
from .dropout import Dropout
from .embedding import Embedding
from .linear import Linear
from .module import Module, Tape
from .norm import LayerNorm
from .parameter import Parameter
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
