"""What `repr` shows of a module: its class, its sizes, and the options that are not the default."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ..ops import CellInfo

_PLAIN = (bool, int, float, str, tuple, list, dict, type(None))


def described(kind: type, values: Mapping[str, Any], parts: Iterable[object] = ()) -> str:
    """The call that makes a module, as far as its arguments are plain values and known.

    Args:
        kind: class of the module.
        values: its arguments by name, among others; those without a value are left out.
        parts: what stands for a constructor's ``*modules``.
    """
    shown: list[str] = []
    for p in inspect.signature(kind).parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            shown += map(repr, parts)
            continue
        value = values.get(p.name, p.empty)
        value = value.name if isinstance(value, CellInfo) else value
        if type(value) in _PLAIN and (p.kind is not p.KEYWORD_ONLY or value not in _forms(p.default)):
            shown.append(f"{p.name}={value!r}")
    return f"{kind.__name__}({', '.join(shown)})"


def _forms(default: Any) -> tuple[Any, ...]:
    """A default, and how a file's arguments spell it: dtypes by name, tuples as lists."""
    return (default, list(default) if type(default) is tuple else getattr(default, "__name__", default))
