"""Models built from layers, with prediction in batches and files: Seq2Seq, Seq2Vec, load."""

from __future__ import annotations

from .io import load
from .model import Model, RecurrentModel
from .seq2seq import Seq2Seq
from .seq2vec import Seq2Vec

__all__ = ["Model", "RecurrentModel", "Seq2Seq", "Seq2Vec", "load"]
