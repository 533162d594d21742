"""What layers derive from their parameters, kept until these change: packed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from .parameter import Parameter, ParameterBuffer

Value = TypeVar("Value")


class Versioned(Generic[Value]):
    """A value made from parameters, and made anew when one of them may have changed.

    What is compared is the stamps of the buffers that they live in: one for all parameters of a model.
    """

    def __init__(self) -> None:
        # One attribute, replaced as a whole: another thread sees stamps and a value that belong together.
        self._kept: tuple[list[tuple[ParameterBuffer, int | None]], Value] | None = None

    def get(self, parameters: Callable[[], Iterable[Parameter]], make: Callable[[], Value]) -> Value:
        """The value for the parameters as they are now.

        Args:
            parameters: gives what it depends on.
            make: makes it.
        """
        kept = self._kept
        if kept is not None:
            for buffer, stamp in kept[0]:
                if stamp is None or buffer.stamp != stamp:
                    break
            else:
                return kept[1]
        # The stamps are read first: a change while making is then seen the next time.
        buffers = {id(parameter.buffer): parameter.buffer for parameter in parameters()}
        stamps = [(buffer, buffer.stamp) for buffer in buffers.values()]
        value = make()
        self._kept = stamps, value
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {"_kept": None}
