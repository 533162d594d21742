"""Models built from layers, with prediction in batches and files: Seq2Seq, Seq2Vec, Vec2Seq, EncoderDecoder,
WaveNet, streams, load.
"""

from __future__ import annotations

from .decoding import Decoded
from .encoder_decoder import EncoderDecoder
from .io import load
from .model import Model
from .recurrent import RecurrentModel
from .seq2seq import Seq2Seq
from .seq2vec import Seq2Vec
from .sequence import SequenceModel
from .stream import Stream
from .vec2seq import Vec2Seq
from .wavenet import WaveNet

__all__ = [
    "Decoded",
    "EncoderDecoder",
    "Model",
    "RecurrentModel",
    "Seq2Seq",
    "Seq2Vec",
    "SequenceModel",
    "Stream",
    "Vec2Seq",
    "WaveNet",
    "load",
]
