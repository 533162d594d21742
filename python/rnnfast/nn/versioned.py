"""What layers derive from their parameters, kept until these change: packed weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from .parameter import Parameter

Value = TypeVar("Value")


class Versioned(Generic[Value]):
    """A value made from parameters, and made anew when one of them may have changed."""

    def __init__(self) -> None:
        # One attribute, replaced as a whole: another thread sees versions and a value that belong together.
        self._kept: tuple[tuple[int, ...], Value] | None = None

    def get(self, parameters: Sequence[Parameter], make: Callable[[], Value]) -> Value:
        """The value for the parameters as they are now.

        Args:
            parameters: what it depends on, the same ones at every call.
            make: makes it.
        """
        kept = self._kept
        if kept is not None and all(
            parameter.unchanged_since(version) for parameter, version in zip(parameters, kept[0], strict=True)
        ):
            return kept[1]
        # The versions are read first: a change while making is then seen the next time.
        versions = tuple(parameter.version for parameter in parameters)
        value = make()
        self._kept = versions, value
        return value

    def __getstate__(self) -> dict[str, Any]:
        return {"_kept": None}
