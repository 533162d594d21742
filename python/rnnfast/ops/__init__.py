"""The functional kernels: arrays in, arrays out. Arrays are checked and normalised here, once, and only here
and in ``backend`` is ``_core`` called. Sequences are ``[N, T, F]`` with any strides in N and T: pass
``x.transpose(1, 0, 2)`` for a time-major ``x``.

Results do not depend, to the bit, on the number of threads, on the other samples of a batch, on where a
sequence is cut in time, nor on which instruction set with FMA runs them. Not here: layers and their
parameters (``rnnfast.nn``).
"""

from .arrays import States, empty
from .attention import batched_product, masked_softmax, softmax_backward, sum_over_steps
from .cells import CellInfo, cells
from .conv1d import Conv1dWeights, conv1d_backward, conv1d_block, conv1d_forward
from .elementwise import activation, dropout_mask, fma_operations
from .linear import linear_backward, linear_forward
from .loss import element_loss
from .memory import TapeMemory, accumulate
from .optimizer import adam, global_norm, rmsprop, sgd
from .options import Zoneout
from .recurrent import recurrent_backward, recurrent_forward
from .rows import embedding_backward, embedding_forward, layer_norm_backward, layer_norm_forward
from .stack import StackCall, StackTape, stack_backward, stack_forward
from .step import Step, recurrent_step, recurrent_stepper
from .tape import RecurrentGradients, RecurrentTape
from .wavenet import WaveNetTape, wavenet_backward, wavenet_block, wavenet_forward
from .wavenet_weights import WaveNetWeights
from .weights import RecurrentWeights

__all__ = [
    "CellInfo",
    "Conv1dWeights",
    "RecurrentGradients",
    "RecurrentTape",
    "RecurrentWeights",
    "StackCall",
    "StackTape",
    "States",
    "Step",
    "TapeMemory",
    "WaveNetTape",
    "WaveNetWeights",
    "Zoneout",
    "accumulate",
    "activation",
    "adam",
    "batched_product",
    "cells",
    "conv1d_backward",
    "conv1d_block",
    "conv1d_forward",
    "dropout_mask",
    "element_loss",
    "embedding_backward",
    "embedding_forward",
    "empty",
    "fma_operations",
    "global_norm",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "masked_softmax",
    "recurrent_backward",
    "recurrent_forward",
    "recurrent_step",
    "recurrent_stepper",
    "rmsprop",
    "sgd",
    "softmax_backward",
    "stack_backward",
    "stack_forward",
    "sum_over_steps",
    "wavenet_backward",
    "wavenet_block",
    "wavenet_forward",
]
