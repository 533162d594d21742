"""The suites of `rnnfast bench`: what each takes, and what it takes when nothing is said.

Not here: the arguments (`arguments`), what the suites do (modules of their names).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from rnnfast import ops

from .catalogue import OPTIONS
from .convolution_cases import CASES
from .cost_axes import AXES
from .peers import PEERS
from .problems import NAMED_SHAPES, SHAPES, UNITS

MODES = ("inference", "training")
# Backward alone is timed where a goal is for it: layer norm.
CONVOLUTION_MODES = (*MODES, "backward")
STREAMING_MODES = ("sample", "block", "generate")
BLOCK_MODES = ("block64", "block512")
# The cells of the goals; the others are variants of theirs.
MAIN_CELLS = ("lstm", "gru", "rnn_tanh")

_FLOATS = ("float32", "float64")
_SINGLE = ("float32",)


class Suite(NamedTuple):
    """What a suite takes.

    Args:
        help: what it does.
        cells: default of --cells; none where the suite has no cells.
        shapes: default of --shapes.
        known_shapes: choices of --shapes; none where the suite has one shape of its own.
        modes: choices and default of --modes; none where the suite has no modes.
        options: choices and default of --options; none where the suite has no options.
        peers: choices of --against.
        dtypes: choices of --dtype.
        threads: the numbers of threads that `rnnfast bench all` runs it with.
        folders: arguments that say where the sources of a peer are.
    """

    help: str
    cells: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    known_shapes: Mapping[str, Any] = {}
    modes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = _SINGLE
    threads: tuple[int, ...] = (1,)
    folders: tuple[str, ...] = ()


SUITES = {
    "kernels": Suite(
        "(default) every cell beside other libraries",
        cells=tuple(ops.cells()),
        shapes=NAMED_SHAPES,
        known_shapes=SHAPES,
        modes=MODES,
        peers=tuple(PEERS),
        dtypes=_FLOATS,
        threads=(1, 2),
        folders=("onednn",),
    ),
    "options": Suite(
        "each option of a layer against the plain layer",
        cells=MAIN_CELLS,
        shapes=("small", "mid", "rl"),
        known_shapes=SHAPES,
        options=tuple(OPTIONS),
        peers=("torch",),
        dtypes=_FLOATS,
    ),
    "convolution": Suite(
        "WaveNet stacks, convolutions, layer norm, and the memory of a WaveNet's training step",
        shapes=tuple(CASES),
        known_shapes=CASES,
        modes=CONVOLUTION_MODES,
        peers=("torch",),
        dtypes=_FLOATS,
        threads=(1, 2),
    ),
    "streaming": Suite(
        "a WaveNet's cost per sample against its receptive field", modes=STREAMING_MODES, dtypes=_FLOATS
    ),
    "step": Suite(
        "one step of a layer from Python, batch 1",
        cells=MAIN_CELLS,
        shapes=tuple(UNITS),
        known_shapes=UNITS,
        peers=("torch", "onnxruntime", "jax"),
        dtypes=_FLOATS,
    ),
    "blocks": Suite(
        "a layer on a live stream in blocks, batch 1, beside C++ whose sizes the compiler knows",
        cells=MAIN_CELLS,
        shapes=tuple(UNITS),
        known_shapes=UNITS,
        modes=BLOCK_MODES,
        folders=("rtneural",),
    ),
    "epoch": Suite(
        "one epoch of a two-layer forecaster of 20 units",
        cells=MAIN_CELLS,
        peers=("torch", "keras"),
        threads=(1, 2),
    ),
    "memory": Suite(
        "resident memory of one training step, in processes of their own", cells=MAIN_CELLS, peers=("torch",)
    ),
    "startup": Suite(
        "import, first call and size on disk, in fresh processes",
        peers=("torch", "onnxruntime", "jax", "keras"),
    ),
    "cost": Suite(
        "what time costs along each axis: T, N, H, I",
        cells=MAIN_CELLS,
        shapes=tuple(AXES),
        known_shapes=AXES,
        modes=MODES,
        dtypes=_FLOATS,
    ),
}
# What runs them all; its arguments are those of `everything`.
ALL = "all"


def choices(suite: Suite, argument: str) -> Collection[str]:
    """The choices of an argument, by what a suite takes."""
    if argument == "cells":
        return ops.cells() if suite.cells else ()
    known: dict[str, Collection[str]] = {
        "shapes": suite.known_shapes,
        "modes": suite.modes,
        "options": suite.options,
        "against": suite.peers,
    }
    return known[argument]
