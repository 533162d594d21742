"""The suite `epoch`: one epoch of a forecaster as a user runs it, Python layer and all; seconds.

Two layers of 20 units and ten outputs per step (Géron's sequence to sequence), 7,000 series of 50 points,
batches of 32, Adam, mean squared error. Epochs of the contenders take turns. Checked first: from the same
weights all of them have the same losses. Not here: the contenders (`epoch_contenders`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments import Request
from .checks import Array
from .epoch_contenders import Contender, Epoch, Forecaster, KerasForecaster, TorchForecaster
from .peer import Peer
from .timing import REST, measure

EPOCH = Epoch(samples=7000, steps=50, outputs=10, hidden=20, layers=2, batch=32)
# Most seconds of an epoch, and the smallest ratio of a peer's time to ours.
_GOAL, _PEER_GOAL = 0.15, 3.0
# Steps on one batch whose losses are compared, and by how much they may differ.
_CHECKED_STEPS, _TOLERANCE = 3, 1e-4
_PEERS: dict[str, type[Contender]] = {"torch": TorchForecaster, "keras": KerasForecaster}


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Check, time and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each cell.

    Raises:
        ArithmeticError: if a peer's losses are others.
    """
    columns = "".join(f" {rival.name + ' s':>10} {'ratio':>6}" for rival in rivals)
    print(f"{'cell':<9} {'s':>7} {'quartiles':>15} {'goal':>5}{columns}")
    rows = []
    for cell in request.cells:
        rows.append(_row(request, cell, rivals))
        print(_line(rows[-1], rivals), flush=True)
    return {"sizes": EPOCH._asdict(), "rows": rows}


def series(epoch: Epoch, seed: int) -> tuple[Array, Array]:
    """X [samples, T, 1], and of every step the next values, Y [samples, T, outputs]: noisy sums of sines."""
    random = np.random.default_rng(seed)
    frequency, phase = random.uniform(0.1, 0.5, (2, epoch.samples, 1)), random.random((2, epoch.samples, 1))
    time = np.arange(epoch.steps + epoch.outputs)
    waves = [np.sin(f * time + 6.28 * p) for f, p in zip(frequency, phase, strict=True)]
    values = 0.5 * waves[0] + 0.2 * waves[1] + 0.05 * random.standard_normal(waves[0].shape)
    next_values = np.lib.stride_tricks.sliding_window_view(values[:, 1:], epoch.outputs, axis=1)
    x = values[:, : epoch.steps, None].astype(np.float32)
    return x, np.ascontiguousarray(next_values[:, : epoch.steps].astype(np.float32))


def check_losses(name: str, cell: str, found: list[float], expected: list[float], band: float) -> None:
    """Compare the losses of the first steps: the first one, and the others up to a band.

    Raises:
        ArithmeticError: if one differs by more.
    """
    for step, (theirs, ours) in enumerate(zip(found, expected, strict=True)):
        if not abs(theirs - ours) <= _TOLERANCE + (band * ours if step else 0.0):
            raise ArithmeticError(
                f"bench: {name}'s loss of {cell} in step {step}, from the same weights, differs by "
                f"{abs(theirs - ours):.1e}; not timed"
            )


def _row(request: Request, cell: str, rivals: list[Peer]) -> dict[str, Any]:
    x, y = series(EPOCH, request.seed)
    own = Forecaster(cell, EPOCH, request.seed)
    arrays = own.arrays()
    contenders: dict[str, Contender] = {"rnnfast": own}
    for rival in rivals:
        contenders[rival.name] = _PEERS[rival.name](cell, EPOCH, request.seed)
        contenders[rival.name].load(arrays)
    losses = {
        name: contender.first_losses(x[: EPOCH.batch], y[: EPOCH.batch], _CHECKED_STEPS)
        for name, contender in contenders.items()
    }
    for name, found in losses.items():
        check_losses(name, cell, found, losses["rnnfast"], contenders[name].band)
    rest = REST if request.threads > 1 and rivals else 0.0
    jobs = {name: contender.epoch(x, y) for name, contender in contenders.items()}
    timings = measure(jobs, request.seconds, rest=rest)
    timing = timings.pop("rnnfast")
    low, high = timing.quartiles
    seconds = timing.milliseconds / 1e3
    row: dict[str, Any] = {
        "cell": cell,
        "seconds": seconds,
        "quartiles": [low / 1e3, high / 1e3],
        "repeats": timing.repeats,
        "cores_used": timing.cores,
        "goal": _GOAL,
        "met": seconds <= _GOAL,
        "first_losses": losses,
        "peers": {},
    }
    for name, theirs in timings.items():
        ratio, quartiles = theirs.over(timing)
        row["peers"][name] = {"seconds": theirs.milliseconds / 1e3, "first_seconds": theirs.first}
        row["peers"][name] |= {"cores_used": theirs.cores, "ratio": ratio, "ratio_quartiles": quartiles}
        row["peers"][name] |= {"goal": _PEER_GOAL, "met": ratio >= _PEER_GOAL}
    return row


def _line(row: dict[str, Any], rivals: list[Peer]) -> str:
    low, high = row["quartiles"]
    text = f"{row['cell']:<9} {row['seconds']:>7.3f} {f'{low:.3f} - {high:.3f}':>15} {row['goal']:>5.2f}"
    for rival in rivals:
        peer = row["peers"][rival.name]
        text += f" {peer['seconds']:>10.3f} {peer['ratio']:>5.2f}x"
    return text + ("  ok" if row["met"] else "  above")
