"""Options of models: what one takes beside its sizes, of its own and of its cell; what a wrong name meant.

Not here: what the options of a cell mean and which go together, which the layers say (``nn.options``).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

from ..nn.cells import option_names


def joined_signature(model: type) -> inspect.Signature:
    """The signature of a class whose constructor hands ``**options`` on to those of its bases.

    Args:
        model: the class.

    Returns:
        Its own parameters, the keyword-only ones of the bases that its options reach, and options.
    """
    names: dict[str, inspect.Parameter] = {}
    rest: dict[str, inspect.Parameter] = {}
    for kind in model.__mro__:
        if kind is object or "__init__" not in vars(kind):
            continue
        parameters = [*inspect.signature(vars(kind)["__init__"]).parameters.values()][1:]
        taken = [p for p in parameters if p.kind is p.KEYWORD_ONLY or not rest]
        names = {p.name: p for p in taken if p.kind is not p.VAR_KEYWORD} | names
        rest = {p.name: p for p in parameters if p.kind is p.VAR_KEYWORD}
        if not rest:
            break
    ordered = sorted([*names.values(), *rest.values()], key=lambda p: p.kind)
    return inspect.Signature(ordered)


def check_options(model: type, cell: str, options: Iterable[str]) -> None:
    """Refuse options that neither the model nor its cell has.

    Args:
        model: class of the model, for its own options and for errors.
        cell: name of its cell.
        options: names that the caller passed.

    Raises:
        TypeError: for a name that is none; it says what may have been meant.
    """
    parameters = inspect.signature(model).parameters.values()
    own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    sizes = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    known = sorted({*own, *option_names(cell)} - {"batch_first"})
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, [*known, *sizes], n=1, cutoff=0.75)
            close = close or [name for name in known if option.startswith(name)]  # convolution is conv
            fix = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(
                f"{model.__name__}: options must be among {', '.join(known)} with cell={cell!r}, "
                f"got {option!r}{fix}"
            )
