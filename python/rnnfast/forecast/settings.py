"""What a forecaster's arguments may be; wrong ones are refused when it is made, not when it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnfast import losses
from rnnfast.optim.optimizer import check_count, check_range

MODELS = ("gru", "lstm", "rnn")
SIZES = (
    "input_length", "horizon", "season_count", "hidden_size", "num_layers", "stride", "epochs", "batch_size",
)  # fmt: skip


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the arguments of `Forecaster`, all of them by name.

    Raises:
        TypeError: one of the wrong kind. ValueError: one out of range.
    """
    name = "Forecaster"
    if settings["model"] not in MODELS:
        raise ValueError(f'{name}: model must be "gru", "lstm" or "rnn", got {settings["model"]!r}')
    for size in SIZES:
        check_count(name, size, settings[size], low=1)
    for size in ("season", "patience"):
        if settings[size] is not None:
            check_count(name, size, settings[size], low=1)
    check_count(name, "seed", settings["seed"], low=0)
    check_range(name, "dropout", settings["dropout"], low=0.0, high=1.0)
    check_range(name, "learning_rate", settings["learning_rate"], low=0.0, low_open=True)
    if settings["clip_norm"] is not None:
        check_range(name, "clip_norm", settings["clip_norm"], low=0.0, low_open=True)
    loss = settings["loss"]
    if not isinstance(loss, str):
        raise TypeError(f"{name}: loss must be a name, got {loss!r}")
    if loss not in losses.NAMED:
        raise ValueError(f"{name}: loss must be one of {', '.join(losses.NAMED)}, got {loss!r}")
    if np.dtype(settings["dtype"]) not in (np.float32, np.float64):
        raise TypeError(f"{name}: dtype must be float32 or float64, got {np.dtype(settings['dtype'])}")
    if settings["verbose"] not in (0, 1, 2):
        raise ValueError(f"{name}: verbose must be 0, 1 or 2, got {settings['verbose']!r}")
