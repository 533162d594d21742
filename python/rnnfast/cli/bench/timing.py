"""The clock: contenders take turns, round by round, so that a slow moment of the machine hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Job = Callable[[], object]

# A round of a contender lasts at least this long, so that the clock's own cost disappears.
_SHORTEST_ROUND = 2e-3


class Timing(NamedTuple):
    """Median, quartiles and first call in milliseconds per call, and the number of rounds."""

    milliseconds: float
    quartiles: tuple[float, float]
    first_call: float
    repeats: int


def measure(contenders: Mapping[str, Job], seconds: float) -> dict[str, Timing]:
    """Time jobs in turn: A B A B …

    Args:
        contenders: jobs by name.
        seconds: roughly how long each of them is run.

    Returns:
        Their timings; at least five rounds each.
    """
    first = {name: _round(job, 1) for name, job in contenders.items()}
    warm = {name: _round(job, 1) for name, job in contenders.items()}
    calls = {name: max(1, int(_SHORTEST_ROUND / max(duration, 1e-7))) for name, duration in warm.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    longest = max(warm[name] * calls[name] for name in contenders)
    for _ in range(max(5, int(seconds / max(longest, _SHORTEST_ROUND)))):
        for name, job in contenders.items():
            rounds[name].append(_round(job, calls[name]))
    return {
        name: Timing(
            statistics.median(durations) * 1e3,
            (quantiles[0] * 1e3, quantiles[2] * 1e3),
            first[name] * 1e3,
            len(durations),
        )
        for name, durations in rounds.items()
        for quantiles in [statistics.quantiles(durations, n=4)]
    }


def _round(job: Job, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls
