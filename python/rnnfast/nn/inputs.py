"""Inputs of a module: one array, or several by the names of the arguments of its `forward`.

All of them have samples along axis 0: ``{"x": x, "lengths": lengths}``. Not here: what the arrays mean, which
the module's own `forward` says and checks.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backend import array_namespace
from .arguments import check_size
from .module import Module
from .parameter import Array

Inputs = Array | Mapping[str, Array]

# Arguments of `forward` that are not arrays of samples along axis 0: a state has its layers there.
_NO_INPUTS = ("training", "state")


def check_inputs(operation: str, argument: str, module: Module, x: Any) -> Inputs:
    """Return `x` if it is an array, or arrays by name that `module` takes and that have as many samples each.

    Args:
        operation: who asks, for errors.
        argument: name of the argument, for errors; "" where each array was an argument of its own.
        module: whose `forward` is to take them.
        x: what the caller passed; in a dict lists and tuples are turned into arrays, and None is left out
            where `forward` does without.

    Raises:
        TypeError: if it is something else, or a name is not one of the module's.
        ValueError: if an array has no axis of samples, or another number of them than the first one.
    """
    required = _input_names(module)[1]
    if not isinstance(x, Mapping):
        if len(required) > 1 and type(module).chain_forward is Module.chain_forward:
            parts = ", ".join(f"{name!r}: …" for name in required)
            raise TypeError(
                f"{operation}: {argument} must be a dict, as {type(module).__name__}.forward needs "
                f"{' and '.join(required)}, got {type(x).__name__}; pass {{{parts}}}"
            )
        if not hasattr(x, "shape"):
            raise TypeError(
                f"{operation}: {argument} must be an array, or a dict of arrays by name, "
                f"got {type(x).__name__}"
            )
        if len(x.shape) < 1:
            raise ValueError(f"{operation}: {argument} must hold samples along axis 0, got shape {x.shape}")
        return x  # type: ignore[no-any-return]
    _check_names(operation, argument, module, x)
    x = {name: value for name, value in x.items() if value is not None or name in required}
    arrays = {name: _as_array(operation, title(argument, name), value) for name, value in x.items()}
    first = next(iter(arrays))
    for name, array in arrays.items():
        if array.ndim < 1 or len(array) != len(arrays[first]):
            raise ValueError(
                f"{operation}: {title(argument, name)} must have as many samples along axis 0 as "
                f"{title(argument, first)}, {arrays[first].shape}, got {array.shape}"
            )
    return arrays


def title(argument: str, name: str | None) -> str:
    """How errors call one array of an argument: X['lengths'], or X where it is the only one; lengths where
    the argument is "".
    """
    if name is None:
        return argument
    return f"{argument}[{name!r}]" if argument else name


def named_arrays(x: Inputs) -> list[tuple[str | None, Array]]:
    """The arrays with their names, None for the name of a single one."""
    return list(x.items()) if isinstance(x, Mapping) else [(None, x)]


def number_of_samples(x: Inputs) -> int:
    """N, the size of axis 0."""
    return len(next(iter(x.values()))) if isinstance(x, Mapping) else len(x)


def take(x: Inputs, rows: Any) -> Inputs:
    """Some of the samples, by a slice or indices."""
    return {name: array[rows] for name, array in x.items()} if isinstance(x, Mapping) else x[rows]


def predict_in_batches(operation: str, module: Module, x: Any, batch_size: int, argument: str = "x") -> Array:
    """What `module` gives at inference for all samples, with memory for `batch_size` of them at a time.

    Args:
        operation: who asks, for errors.
        module: the module.
        x: an array, or several by name.
        batch_size: samples at a time.
        argument: as in `check_inputs`.

    Raises:
        TypeError, ValueError: as from `check_inputs`, and if the batch size is not an int from 1 on.
    """
    x = check_inputs(operation, argument, module, x)
    check_size(operation, "batch_size", batch_size)
    samples = number_of_samples(x)
    first = module.chain_forward(take(x, slice(0, batch_size)), False)[0]
    if samples <= batch_size:
        return first
    result: Array = array_namespace(first).empty((samples, *first.shape[1:]), first.dtype)
    result[:batch_size] = first
    for start in range(batch_size, samples, batch_size):
        rows = slice(start, start + batch_size)
        result[rows] = module.chain_forward(take(x, rows), False)[0]
    return result


def first_input(module: Module) -> str:
    """Name of the argument of `forward` that an array without a name goes to; "" if there is none."""
    return next(iter(_input_names(module)[0]), "")


def _input_names(module: Module) -> tuple[list[str], list[str]]:
    """Arguments of `forward` that are arrays of samples, and those of them that it needs."""
    named = [
        p
        for p in _parameters(module)
        if p.name not in _NO_INPUTS and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return [p.name for p in named], [p.name for p in named if p.default is p.empty]


def _parameters(module: Module) -> list[inspect.Parameter]:
    return list(inspect.signature(module.forward).parameters.values())


def _check_names(operation: str, argument: str, module: Module, x: Mapping[Any, Any]) -> None:
    open_end = any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(module))
    names, required = _input_names(module)
    who = f"{operation}: {argument or 'arguments'}"
    for name in x:
        if name not in names and (not open_end or name in _NO_INPUTS):
            raise TypeError(
                f"{who} must have names among {', '.join(names)}, the arguments of "
                f"{type(module).__name__}.forward, got {name!r}"
            )
    for name in required:
        if name not in x:
            raise TypeError(
                f"{who} must have {name!r}, which {type(module).__name__}.forward needs, "
                f"got {', '.join(map(repr, x)) or 'nothing'}"
            )


def _as_array(operation: str, name: str, value: Any) -> Array:
    if hasattr(value, "shape"):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{operation}: {name} must be an array, got {type(value).__name__}")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"{operation}: {name} must be an array, got a {type(value).__name__} of unequal parts; "
            f"pad them with data.pad"
        ) from error
