"""Where random numbers of layers come from: a seed and a count. Not here: the masks (``masks.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident


class RandomCounter:
    """The random state of a stochastic layer: its seed and the number of forward calls that drew from it.

    Masks are a pure function of (seed, call, position), so these two integers are all there is to save.
    """

    __slots__ = ("_sequences", "call", "seed")

    def __init__(self, seed: int, call: int = 0) -> None:
        self.seed = seed
        self.call = call
        self._sequences: dict[int, int] = {}  # by thread: several may train one model

    def draw(self) -> int:
        """The number of this call; the next one gets the next number."""
        call = self.call
        self.call = call + 1
        return call

    def of_sequence(self, call: int) -> int:
        """The call that keys masks which are the same at all steps: `call`, or that of `sequence`."""
        return self._sequences.get(get_ident(), call)

    @contextmanager
    def sequence(self) -> Iterator[None]:
        """The calls made inside are steps of the same sequences: they share what is drawn once a sequence.

        For calls in training; inference draws nothing and must not enter.
        """
        thread = get_ident()
        outer = self._sequences.get(thread)
        self._sequences[thread] = self.call
        try:
            yield
        finally:
            if outer is None:
                del self._sequences[thread]
            else:
                self._sequences[thread] = outer

    def __reduce__(self) -> tuple[type[RandomCounter], tuple[int, int]]:
        return RandomCounter, (self.seed, self.call)
