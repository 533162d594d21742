"""The functional kernels: arrays in, arrays out. Arrays are checked and normalised here, once, and only here
and in ``backend`` is ``_core`` called. Sequences are ``[N, T, F]`` with any strides in N and T: pass
``x.transpose(1, 0, 2)`` for a time-major ``x``.

Results do not depend, to the bit, on the number of threads, on the other samples of a batch, on where a
sequence is cut in time, nor on which instruction set with FMA runs them. Not here: layers, parameters and the
accumulation of their gradients (``rnnfast.nn``).
"""

from .arrays import empty
from .cells import CellInfo, cells
from .elementwise import activation, dropout_mask, fma_operations
from .linear import linear_backward, linear_forward
from .memory import TapeMemory
from .optimizer import adam, global_norm, rmsprop, sgd
from .options import Zoneout
from .recurrent import recurrent_backward, recurrent_forward, recurrent_step
from .tape import RecurrentGradients, RecurrentTape
from .weights import RecurrentWeights

__all__ = [
    "CellInfo",
    "RecurrentGradients",
    "RecurrentTape",
    "RecurrentWeights",
    "TapeMemory",
    "Zoneout",
    "activation",
    "adam",
    "cells",
    "dropout_mask",
    "empty",
    "fma_operations",
    "global_norm",
    "linear_backward",
    "linear_forward",
    "recurrent_backward",
    "recurrent_forward",
    "recurrent_step",
    "rmsprop",
    "sgd",
]
