"""The suite `streaming`: what one sample costs a WaveNet on a live stream, whatever its receptive field.

Networks of the same number of layers, whose dilations reach up to other powers of two, take turns: one sample
a call, blocks, and generation, in which each output is the next input. Flat is what the dearest sample costs
over the cheapest. Not here: whole sequences (`convolution`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import models

from .arguments import Request
from .checks import Array
from .peer import Peer
from .timing import LONG_ROUND, Timing, measure

LAYERS, CHANNELS, BLOCK = 20, 32, 64
# The largest dilation is 2 to this power; the dilations begin again at 1 until there are `LAYERS`.
POWERS = (4, 6, 8, 10)
# Largest ratio of a sample's cost to the cheapest network's.
_GOAL = 1.1
# Steps of the naive recomputation, which runs over the whole past for each of them.
_NAIVE_STEPS = 5


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: none; the suite compares with itself.

    Returns:
        rows: one dict for each mode and receptive field; flatness: one for each mode.

    Raises:
        ArithmeticError: if a stream gives other numbers than the whole sequence.
    """
    networks = {power: network(power, request.dtype, request.seed) for power in POWERS}
    for model in networks.values():
        check_stream(model, request.seed)
    print(f"{'mode':<9} {'receptive field':>15} {'µs per sample':>13} {'ratio':>6} {'quartiles':>13}")
    rows, flatness = [], []
    for mode in request.modes:
        samples = 1 if mode == "sample" else BLOCK
        timings = measure(
            {str(power): job(model, mode, request.seed) for power, model in networks.items()},
            request.seconds,
            LONG_ROUND,
        )
        found = [
            _row(mode, model, samples, timings[str(power)], timings[str(POWERS[0])])
            for power, model in networks.items()
        ]
        ratios = [row["ratio"] for row in found]
        flat = max(ratios) / min(ratios)
        flatness.append({"mode": mode, "ratio": flat, "goal": _GOAL, "met": flat <= _GOAL})
        for row in found:
            print(_line(row))
        verdict = "ok" if flat <= _GOAL else "above"
        print(f"{mode:<9} {'dearest over cheapest':<29} {flat:>5.2f}x  goal {_GOAL} {verdict}", flush=True)
        rows += found
    return {"layers": LAYERS, "channels": CHANNELS, "block": BLOCK, "rows": rows, "flatness": flatness}


def network(power: int, dtype: str, seed: int) -> models.WaveNet:
    """A network of one input and one output with dilations 1, 2, 4 … 2^power, 1, 2, 4 …"""
    dilations = tuple(2 ** (layer % (power + 1)) for layer in range(LAYERS))
    return models.WaveNet(1, CHANNELS, 1, dilations=dilations, blocks=1, dtype=np.dtype(dtype), seed=seed)


def check_stream(model: models.WaveNet, seed: int) -> None:
    """Compare pieces with the whole sequence, and what is generated with whole sequences that grow step by
    step: bit for bit, beyond the receptive field.

    Raises:
        ArithmeticError: if a bit differs.
    """
    x = _signal(model, model.receptive_field + 3 * BLOCK, seed)
    stream = model.stream(1)
    single = [stream.process(x[:, step : step + 1]) for step in range(BLOCK)]
    blocks = [stream.process(x[:, start : start + BLOCK]) for start in range(BLOCK, x.shape[1], BLOCK)]
    if not np.array_equal(np.concatenate(single + blocks, axis=1), model(x)):
        raise ArithmeticError(
            f"bench: the stream of a WaveNet with receptive field {model.receptive_field} differs from the "
            f"whole sequence; not timed"
        )
    grown = x
    for _ in range(_NAIVE_STEPS):
        grown = np.concatenate([grown, model(grown)[:, -1:]], axis=1)
    if not np.array_equal(model.generate(_NAIVE_STEPS, prime=x), grown[:, x.shape[1] :]):
        raise ArithmeticError(
            f"bench: what a WaveNet with receptive field {model.receptive_field} generates differs from the "
            f"naive recomputation; not timed"
        )


def job(model: models.WaveNet, mode: str, seed: int) -> Callable[[], object]:
    """One sample, one block, or the generation of one block."""
    if mode == "generate":
        prime = _signal(model, 1, seed)
        return lambda: model.generate(BLOCK, prime=prime)
    block = _signal(model, 1 if mode == "sample" else BLOCK, seed)
    stream = model.stream(1)
    return lambda: stream.process(block)


def _signal(model: models.WaveNet, steps: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((1, steps, 1)).astype(model.dtype)


def _row(mode: str, model: models.WaveNet, samples: int, own: Timing, first: Timing) -> dict[str, Any]:
    ratio, quartiles = own.over(first)
    return {
        "mode": mode,
        "receptive_field": model.receptive_field,
        "microseconds_per_sample": own.milliseconds * 1e3 / samples,
        "quartiles": [milliseconds * 1e3 / samples for milliseconds in own.quartiles],
        "repeats": own.repeats,
        "ratio": ratio,
        "ratio_quartiles": quartiles,
    }


def _line(row: dict[str, Any]) -> str:
    low, high = row["ratio_quartiles"]
    return (
        f"{row['mode']:<9} {row['receptive_field']:>15} {row['microseconds_per_sample']:>13.2f} "
        f"{row['ratio']:>5.2f}x {f'{low:.2f} - {high:.2f}':>13}"
    )
