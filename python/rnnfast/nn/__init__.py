"""Layers with explicit forward and backward: recurrent layers, Linear, Dropout, Sequential."""

from __future__ import annotations

from .cells import GRU, LSTM, RNN
from .dropout import Dropout
from .linear import Linear
from .module import Module, RandomCounter, Tape
from .parameter import Parameter, ParameterBuffer
from .recurrent import Recurrent
from .sequential import Sequential

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dropout",
    "Linear",
    "Module",
    "Parameter",
    "ParameterBuffer",
    "RandomCounter",
    "Recurrent",
    "Sequential",
    "Tape",
]
