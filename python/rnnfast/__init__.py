"""rnnfast: fast recurrent and causal-convolutional sequence models; NumPy is the only dependency.

``nn`` layers, ``models`` whole networks, ``train`` the loop, ``data`` and ``forecast`` time series, ``ops``
the kernels, ``reference`` the same maths in plain NumPy. Sub-packages are imported at first use.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

try:
    from ._core import version as __version__
    from .backend import get_num_threads, set_num_threads, show_config
except (ImportError, RuntimeError) as error:
    # A program gets the exception. The command, which cannot start without this import, says it in one line.
    # It is the script `rnnfast`, or `python -m rnnfast`: argv[0] is "-m" then; orig_argv has the name.
    words = sys.orig_argv
    module = words[words.index("-m") + 1] if sys.argv[:1] == ["-m"] and "-m" in words[:-1] else ""
    if module == "rnnfast" or os.path.basename(sys.argv[0] if sys.argv else "") == "rnnfast":
        sys.exit(f"rnnfast: error: {error}")
    raise

if TYPE_CHECKING:
    from . import data, forecast, init, losses, models, nn, ops, optim, reference, train
    from .models import load

_SUBPACKAGES = (
    "data", "forecast", "init", "losses", "models", "nn", "ops", "optim", "reference", "train",
)  # fmt: skip

__all__ = [
    "__version__",
    "data",
    "forecast",
    "get_num_threads",
    "init",
    "load",
    "losses",
    "models",
    "nn",
    "ops",
    "optim",
    "reference",
    "set_num_threads",
    "show_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "load":
        return importlib.import_module(f"{__name__}.models").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
