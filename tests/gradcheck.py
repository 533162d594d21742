"""Analytic gradients against central differences, in float64.

The derivative of L(a + s·d) at s = 0 along a random unit direction d is taken from four points, (8 [L(s) -
L(-s)] - [L(2s) - L(-2s)]) / 12 s: its error of order s⁴ and rounding, of order 1e-16 / s, are both far below
the tolerance at the s used here, and a relu unit hardly ever crosses zero within 2s. L is a weighted sum of
outputs, and each output is differenced before they are summed, so that rounding in the sum does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

STEP = 1e-5
TOLERANCE = 1e-7


def check_gradients(
    outputs: Callable[[Mapping[str, Array]], Sequence[Array]],
    weights: Sequence[Array],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    *,
    blocks: Mapping[str, int] | None = None,
    seed: int = 0,
) -> None:
    """Assert that `gradients` are those of L = Σ weights · outputs(arrays).

    Three random directions through all arrays at once, then one through each array alone, then one through
    each of its blocks alone; nowhere may the analytic gradient be zero. The error is relative to the
    derivative or, where a random direction happens to be almost level, to the root mean square of the
    derivative over all directions.

    Args:
        outputs: of a mapping like `arrays`.
        weights: of the outputs: the incoming gradients.
        arrays: float64, by name.
        gradients: analytic, like `arrays`.
        blocks: number of equal blocks that the first axis of an array falls into (gates), by name.
        seed: of the directions.
    """
    assert gradients.keys() == arrays.keys()
    assert all(gradients[name].shape == array.shape for name, array in arrays.items())
    random = np.random.default_rng(seed)
    for label, parts in _parts(arrays, blocks or {}):
        directions = {name: np.zeros_like(array) for name, array in arrays.items()}
        for name, part in parts:
            directions[name][part] = random.standard_normal(directions[name][part].shape)
        norm = sum(np.vdot(d, d) for d in directions.values()) ** 0.5
        directions = {name: d / norm for name, d in directions.items()}

        def at(s: float, directions: Mapping[str, Array] = directions) -> Sequence[Array]:
            return outputs({name: array + s * directions[name] for name, array in arrays.items()})

        points = zip(weights, at(STEP), at(-STEP), at(2 * STEP), at(-2 * STEP), strict=True)
        numeric = sum(float(np.vdot(w, 8 * (a - b) - (c - d))) for w, a, b, c, d in points) / (12 * STEP)
        analytic = sum(float(np.vdot(gradients[name], d)) for name, d in directions.items())
        covered = [gradients[name][part] for name, part in parts]
        mean_square = sum(np.vdot(g, g) for g in covered) / sum(g.size for g in covered)
        assert mean_square > 0, f"{label}: the analytic gradient is zero"
        error = abs(analytic - numeric) / max(abs(analytic), abs(numeric), mean_square**0.5)
        assert error <= TOLERANCE, f"{label}: analytic {analytic}, numeric {numeric}, relative error {error}"


def _parts(
    arrays: Mapping[str, Array], blocks: Mapping[str, int]
) -> Iterator[tuple[str, list[tuple[str, slice]]]]:
    everything = slice(None)
    for number in range(3):
        yield f"direction {number}", [(name, everything) for name in arrays]
    for name, array in arrays.items():
        yield name, [(name, everything)]
        count = blocks.get(name, 1)
        rows = len(array) // count
        for block in range(count) if count > 1 else ():
            yield f"{name}, block {block}", [(name, slice(block * rows, (block + 1) * rows))]
