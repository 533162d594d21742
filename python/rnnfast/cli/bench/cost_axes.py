"""The sizes that the suite `cost` goes through, one axis at a time, and the goals along them.

Odd sizes lie beside the multiples of a vector that they should cost as much as. Not here: the clock (`cost`).
"""

from __future__ import annotations

from .problems import Shape

BASE = Shape(steps=100, batch=32, inputs=64, hidden=128)

AXES: dict[str, tuple[int, ...]] = {
    "steps": (1, 2, 3, 5, 8, 10, 16, 20, 32, 50, 64, 100, 128, 200, 333, 500, 777, 1000),
    "batch": (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 24, 31, 32, 33, 48, 64, 96, 127, 128, 129, 256, 512),
    "hidden": (
        *(1, 3, 8, 16, 20, 24, 32, 48, 64, 96, 127, 128, 129, 192, 255, 256, 257, 384, 511, 512, 513),
    ),
    "inputs": (1, 2, 3, 4, 7, 8, 15, 16, 17, 20, 32, 33, 48, 64, 100, 127, 128, 129, 256, 512),
}
# Along these time should be a straight line.
STRAIGHT = ("steps", "batch")
# Per floating point operation, H costs at most `CLIFF` times what the neighbouring multiple of 16 does.
NEIGHBOURS = {127: 128, 129: 128, 513: 512}
CLIFF = 1.15
