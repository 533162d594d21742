"""Optimizers, learning rate schedules and gradient clipping over one flat parameter buffer."""

from __future__ import annotations

from .clipping import clip_global_norm, clip_value, norm_scale
from .named import NAMED, get
from .optimizer import Optimizer
from .optimizers import SGD, Adam, AdamW, Nadam, RMSprop
from .schedules import CosineLR, ReduceLROnPlateau, Schedule, StepLR

__all__ = [
    "NAMED",
    "SGD",
    "Adam",
    "AdamW",
    "CosineLR",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "StepLR",
    "clip_global_norm",
    "clip_value",
    "get",
    "norm_scale",
]
