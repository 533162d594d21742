"""The clock: contenders take turns, round by round, so that a slow moment of the machine hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Job = Callable[[], object]


class Prepared(NamedTuple):
    """A job whose beginning is not timed, as the forward pass where backward alone is.

    Args:
        begin: makes what one call of the work uses up.
        work: what is timed.
    """

    begin: Callable[[], Any]
    work: Callable[[Any], object]


# A round of a contender lasts at least this long, so that the clock's own cost disappears.
SHORT_ROUND = 2e-3
# Where the wake of a contender (caches, freed memory) costs the next one time: rounds of several calls, so
# that most calls follow one of their own kind, as in a loop of training.
LONG_ROUND = 2e-2
# Threads of a library go on spinning for some milliseconds after its last call, and would take a core from
# the contender whose turn it is: with several threads there is a rest before every turn. Those of that
# contender sleep then as well, and a core that slept can take milliseconds to come back: a turn begins with
# as many calls, not timed, as fit into WAKE, and one at least.
REST = 1e-2
WAKE = 2e-2


class Timing(NamedTuple):
    """Seconds per call of a job: of its first call, and of each round.

    Args:
        cores: processor time of this process over the time that passed, in this job's turns.
    """

    first: float
    rounds: tuple[float, ...]
    cores: float = 0.0

    @property
    def milliseconds(self) -> float:
        """The median, per call."""
        return statistics.median(self.rounds) * 1e3

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third, in milliseconds per call."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return low * 1e3, high * 1e3

    @property
    def repeats(self) -> int:
        """The number of rounds."""
        return len(self.rounds)

    def figures(self) -> dict[str, Any]:
        """What a row of results keeps."""
        return {
            "milliseconds": self.milliseconds,
            "quartiles": self.quartiles,
            "first_call_milliseconds": self.first * 1e3,
            "cores_used": self.cores,
        }

    def over(self, other: Timing) -> tuple[float, tuple[float, float]]:
        """This time over that of `other`, round by round: each round took place beside its partner, so what
        slows the machine for longer than a round cancels.

        Returns:
            (ratio, quartiles): the median of the ratios, the first and the third quartile.
        """
        ratios = [own / partner for own, partner in zip(self.rounds, other.rounds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        return middle, (low, high)


def measure(
    contenders: Mapping[str, Job | Prepared],
    seconds: float,
    shortest_round: float = SHORT_ROUND,
    *,
    rest: float = 0.0,
) -> dict[str, Timing]:
    """Time jobs in turn: A B A B …

    Args:
        contenders: jobs by name.
        seconds: roughly how long each of them is run.
        shortest_round: a turn lasts at least so many seconds, or a fifth of `seconds` if that is less.
        rest: seconds of sleep before every turn; calls that are not timed follow it.

    Returns:
        Their timings; at least five rounds each, and as many of one as of the other.
    """
    # A turn that begins with a rest is worth as much as what comes before the clock runs.
    shortest = min(max(shortest_round, WAKE) if rest else shortest_round, seconds / 5)
    first = {name: _round(job, 1) for name, job in contenders.items()}
    warm, whole = {}, {}  # seconds of a call, and with what of it is not timed
    for name, job in contenders.items():
        start = time.perf_counter()
        warm[name] = _round(job, 1)
        whole[name] = time.perf_counter() - start
    calls = {name: max(1, int(shortest / max(duration, 1e-7))) for name, duration in warm.items()}
    waking = {name: max(1, int(WAKE / max(duration, 1e-7))) for name, duration in whole.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    busy, passed = dict.fromkeys(contenders, 0.0), dict.fromkeys(contenders, 0.0)
    longest = max(warm[name] * calls[name] for name in contenders)
    for _ in range(max(5, int(seconds / max(longest, shortest)))):
        for name, job in contenders.items():
            if rest:
                time.sleep(rest)
                _round(job, waking[name])
            before, start = time.process_time(), time.perf_counter()
            rounds[name].append(_round(job, calls[name]))
            passed[name] += time.perf_counter() - start
            busy[name] += time.process_time() - before
    return {
        name: Timing(first[name], tuple(durations), busy[name] / (passed[name] or 1.0))
        for name, durations in rounds.items()
    }


def _round(job: Job | Prepared, calls: int) -> float:
    if isinstance(job, Prepared):
        return sum(_call(job) for _ in range(calls)) / calls
    start = time.perf_counter()
    for _ in range(calls):
        job()
    return (time.perf_counter() - start) / calls


def _call(job: Prepared) -> float:
    begun = job.begin()
    start = time.perf_counter()
    job.work(begun)
    return time.perf_counter() - start
