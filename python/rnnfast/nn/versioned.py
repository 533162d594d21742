"""What layers derive from their parameters, kept until these change: packed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .buffer import ParameterBuffer
from .parameter import Parameter

Value = TypeVar("Value")
Stamps = list[tuple[ParameterBuffer, int | None]]


class Mark:
    """A moment in the life of some parameters, and whether they still have its values.

    The stamps of the buffers that they live in are compared first: one number for all parameters of a model.
    Only where these differ, as when another parameter was written to, is each parameter asked.

    Args:
        parameters: in any order.
    """

    __slots__ = ("_stamps", "_versions")

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._versions = [(parameter, parameter.version) for parameter in parameters]
        self._stamps = self._stamps_of_now()

    def holds(self) -> bool:
        """Whether no parameter can have changed."""
        for buffer, stamp in self._stamps:
            if stamp is None or buffer.stamp != stamp:
                break
        else:
            return True
        versions = self._versions
        if versions and not versions[0][0].unchanged_since(versions[0][1]):
            return False  # after a step of an optimizer all have changed
        stamps = self._stamps_of_now()  # read first: a change from here on is then seen the next time
        for parameter, version in versions:
            if not parameter.unchanged_since(version):
                return False
        self._stamps = stamps
        return True

    def stamps(self) -> Stamps:
        """The buffers and their stamps: as long as all are the same, and none is None, the mark holds."""
        return self._stamps

    def _stamps_of_now(self) -> Stamps:
        if self._versions:
            first = self._versions[0][0].buffer
            if all(parameter.buffer is first for parameter, _ in self._versions):  # as in every model
                return [(first, first.stamp)]
        buffers: dict[int, ParameterBuffer] = {}
        for parameter, _ in self._versions:
            buffers[id(parameter.buffer)] = parameter.buffer
        return [(buffer, buffer.stamp) for buffer in buffers.values()]


class Versioned(Generic[Value]):
    """A value made from a module's parameters, and made anew when one of them may have changed."""

    def __init__(self) -> None:
        # One attribute, replaced as a whole: another thread sees what belongs together.
        self._kept: tuple[int, Mark, Value] | None = None

    def get(
        self, generation: int, parameters: Callable[[], Iterable[Parameter]], make: Callable[[], Value]
    ) -> Value:
        """The value for the parameters as they are now.

        Args:
            generation: `Module.generation`, which tells whether a parameter was put in another's place.
            parameters: gives what it depends on.
            make: makes it.
        """
        return self.marked(generation, parameters, make)[1]

    def marked(
        self, generation: int, parameters: Callable[[], Iterable[Parameter]], make: Callable[[], Value]
    ) -> tuple[Mark, Value]:
        """As `get`, with the mark from which on the value holds."""
        kept = self._kept
        if kept is not None and kept[0] == generation and kept[1].holds():
            return kept[1], kept[2]
        # The mark comes first: a change while making is then seen the next time.
        mark = Mark(parameters())
        value = make()
        self._kept = (generation, mark, value)
        return mark, value

    def __getstate__(self) -> dict[str, Any]:
        return {"_kept": None}
