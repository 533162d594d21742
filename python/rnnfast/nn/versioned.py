"""What layers derive from their parameters, kept until these change: packed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .parameter import Parameter, ParameterBuffer

Value = TypeVar("Value")


class Versioned(Generic[Value]):
    """A value made from a module's parameters, and made anew when one of them may have changed.

    The stamps of the buffers that they live in are compared first: one number for all parameters of a model.
    Only where these differ, as when another parameter was written to, is each parameter asked.
    """

    def __init__(self) -> None:
        # One attribute, replaced as a whole: another thread sees what belongs together.
        self._kept: _Kept[Value] | None = None

    def get(
        self, generation: int, parameters: Callable[[], Iterable[Parameter]], make: Callable[[], Value]
    ) -> Value:
        """The value for the parameters as they are now.

        Args:
            generation: `Module.generation`, which tells whether a parameter was put in another's place.
            parameters: gives what it depends on.
            make: makes it.
        """
        kept = self._kept
        if kept is not None and kept.generation == generation:
            if kept.stamps_hold():
                return kept.value
            if all(parameter.unchanged_since(version) for parameter, version in kept.versions):
                self._kept = _Kept.of(generation, kept.versions, kept.value)
                return kept.value
        # The versions are read first: a change while making is then seen the next time.
        versions = [(parameter, parameter.version) for parameter in parameters()]
        stamps = _stamps(versions)
        value = make()
        self._kept = _Kept(generation, versions, stamps, value)
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {"_kept": None}


Versions = list[tuple[Parameter, int]]
Stamps = list[tuple[ParameterBuffer, int | None]]


def _stamps(versions: Versions) -> Stamps:
    buffers = {id(parameter.buffer): parameter.buffer for parameter, _ in versions}
    return [(buffer, buffer.stamp) for buffer in buffers.values()]


class _Kept(Generic[Value]):
    """A value, and how to see that it still holds."""

    def __init__(self, generation: int, versions: Versions, stamps: Stamps, value: Value) -> None:
        self.generation = generation
        self.versions = versions
        self.stamps = stamps
        self.value = value

    @classmethod
    def of(cls, generation: int, versions: Versions, value: Value) -> _Kept[Value]:
        """With the stamps of now."""
        return cls(generation, versions, _stamps(versions), value)

    def stamps_hold(self) -> bool:
        """Whether no parameter of any of the buffers has changed."""
        return all(stamp is not None and buffer.stamp == stamp for buffer, stamp in self.stamps)
