"""Training: `fit`, `evaluate`, `predict`, callbacks, history, checkpoints."""

from __future__ import annotations

from .callbacks import Callback, Checkpoint, EarlyStopping
from .checkpoint import load_checkpoint, save_checkpoint
from .evaluate import evaluate, predict
from .fit import fit
from .history import History
from .metrics import accuracy
from .nonfinite import NonFiniteError
from .pieces import RunsInPieces
from .run import Run

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "NonFiniteError",
    "Run",
    "RunsInPieces",
    "accuracy",
    "evaluate",
    "fit",
    "load_checkpoint",
    "predict",
    "save_checkpoint",
]
