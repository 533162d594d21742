"""The module protocol: explicit forward and backward, named parameters, state dicts, random state.

A module finds its parameters, sub-modules and random counters among its own attributes, in the order they
were set. There is no autograd: `forward` returns what `backward` needs as a :class:`Tape`, and `backward`
adds into the gradients of the parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .buffer import ParameterBuffer
from .counter import RandomCounter
from .description import described
from .parameter import Array, Parameter, check_replacement, zero_gradients
from .streaming import Streaming


class Tape:
    """What one forward call leaves for its backward call; used once.

    Args:
        module: the module whose forward made it.
        contents: anything that module's backward needs.
    """

    __slots__ = ("_contents", "_module", "_used")

    def __init__(self, module: Module, contents: Any) -> None:
        self._module = module
        self._contents = contents
        self._used = False

    def read(self, module: Module) -> Any:
        """The contents, for `module`'s backward to check its other arguments against."""
        operation = f"{type(module).__name__}.backward"
        if self._module is not module:
            owner = type(self._module).__name__
            raise RuntimeError(
                f"{operation}: tape must be this module's own, got the tape of another {owner}"
            )
        if self._used:
            raise RuntimeError(f"{operation}: tape must be used once, got a used one; call forward again")
        return self._contents

    def close(self) -> None:
        """Forget the contents: the backward call has begun."""
        self._contents, self._used = None, True


class Module(Streaming):
    """Base of all layers and models.

    A subclass sets :class:`Parameter`, :class:`RandomCounter` and :class:`Module` attributes and defines
    `forward` and `backward`; everything else follows.
    """

    _flat: ParameterBuffer | None = None
    own_prediction: str | None = None  # how to predict with it, where `forward` reads what is to be predicted
    generation = 0  # grows when a parameter is put in another's place

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            super().__setattr__("generation", self.generation + 1)
        check_replacement(type(self).__name__, name, vars(self).get(name), value)
        super().__setattr__(name, value)

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Compute y and, in training, the tape for `backward`.

        Args:
            x: input.
            training: False switches dropout off and keeps no tape (None is returned in its place).

        Returns:
            (y, tape).
        """
        raise NotImplementedError(f"{type(self).__name__}.forward is not defined")

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of the parameters into their `grad` and return the gradient of x.

        Args:
            tape: what `forward(training=True)` returned; used once.
            dy: gradient of y.

        Returns:
            dx, like x.

        Raises:
            RuntimeError: if the tape was used before, is another module's, or is None.
        """
        raise NotImplementedError(f"{type(self).__name__}.backward is not defined")

    def __call__(self, x: Array) -> Any:
        """Inference: y alone."""
        return self.forward(x, training=False)[0]

    def chain_forward(self, x: Array | Mapping[str, Array], training: bool) -> tuple[Array, Tape | None]:
        """`forward` of every module alike: one array in, or several by its names; no state comes out."""
        if isinstance(x, Mapping):
            return self.forward(**x, training=training)
        return self.forward(x, training=training)

    def chain_backward(self, tape: Tape | None, dy: Array) -> Array:
        """The partner of `chain_forward`: dx alone."""
        return self.backward(tape, dy)

    def accumulate_gradients(self, tape: Tape | None, dy: Array) -> None:
        """As `chain_backward` where nobody needs dx, as in training: modules that can leave it out do."""
        self.chain_backward(tape, dy)

    def _read(self, tape: Tape | None) -> Any:
        if not isinstance(tape, Tape):
            got = None if tape is None else type(tape).__name__
            what = f"tape must be what forward(training=True) returned, got {got}"
            raise (RuntimeError if tape is None else TypeError)(f"{type(self).__name__}.backward: {what}")
        return tape.read(self)

    @staticmethod
    def _close(tape: Tape | None) -> None:
        if tape is not None:
            tape.close()

    def _named_attributes(self, kind: type[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in self._named_members():
            if isinstance(value, kind):
                yield prefix + name, value
            elif isinstance(value, Module):
                yield from value._named_attributes(kind, f"{prefix}{name}.")

    def _named_members(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted name and :class:`Parameter`, in the order of definition, shared ones once."""
        seen: set[int] = set()
        for name, parameter in self._named_attributes(Parameter):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def parameters(self) -> list[Parameter]:
        """All parameters, in the order of definition."""
        return list(self._gather({}).values())

    def _gather(self, found: dict[int, Parameter]) -> dict[int, Parameter]:
        for _, value in self._named_members():
            if isinstance(value, Parameter):
                found[id(value)] = value
            elif isinstance(value, Module):
                value._gather(found)
        return found

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        zero_gradients(self.parameters())

    def flatten(self) -> ParameterBuffer:
        """Lay all parameters, and all gradients, into one flat buffer each; the parameters become windows on
        it.

        Does nothing where they lie so already. Arrays taken from `Parameter.data` before the move keep the
        old memory. Whoever writes into the buffer's `data` must raise its version afterwards, as optimizers
        do (``buffer.version += 1``): layers keep packed copies of their weights and use these until then.

        Returns:
            The buffer: `data` and `grad` of shape (number of parameters,), in the order of `parameters()`.

        Raises:
            TypeError: if the parameters have more than one dtype.
        """
        named = list(self.named_parameters())
        parameters = [parameter for _, parameter in named]
        offsets = np.cumsum([0] + [parameter.size for parameter in parameters]).tolist()
        flat = self._flat
        if (
            flat is not None
            and flat.data.size == offsets[-1]
            and all(p.lives_at(flat, offset) for p, offset in zip(parameters, offsets, strict=False))
        ):
            return flat
        dtype = parameters[0].dtype if parameters else np.dtype(np.float32)
        for name, parameter in named:
            if parameter.dtype != dtype:
                raise TypeError(
                    f"{type(self).__name__}.flatten: all parameters must have one dtype, "
                    f"expected {dtype} as {named[0][0]}, got {parameter.dtype} for {name}"
                )
        flat = ParameterBuffer(np.empty(offsets[-1], dtype))
        for parameter, offset in zip(parameters, offsets, strict=False):
            parameter.move_to(flat, offset)
        self._flat = flat
        return flat

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters by name."""
        return {name: parameter.value.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy values into the parameters of the same names.

        Args:
            state: one floating-point array per parameter name; cast to the parameter's dtype.

        Raises:
            ValueError: if a name is missing or left over or an array has the wrong shape or dtype. All of
                them are listed and nothing is changed.
        """
        named = dict(self.named_parameters())
        arrays = {name: np.asarray(value) for name, value in state.items()}
        problems = [f"{name} is missing" for name in named if name not in arrays]
        problems += [f"{name} is left over" for name in arrays if name not in named]
        for name in (name for name in named if name in arrays):
            expected, got = named[name].shape, arrays[name]
            if got.shape != expected:
                problems.append(f"{name} must have shape {expected}, got {got.shape}")
            elif not np.issubdtype(got.dtype, np.floating):
                problems.append(f"{name} must be floating-point, got {got.dtype}")
        if problems:
            raise ValueError(f"{type(self).__name__}.load_state_dict: " + "; ".join(problems))
        for name, parameter in named.items():
            parameter.data = arrays[name]

    def random_state(self) -> dict[str, int]:
        """Seeds and call counters of all stochastic layers, for an exact resume."""
        state: dict[str, int] = {}
        for name, counter in self._named_attributes(RandomCounter):
            state[f"{name}.seed"] = counter.seed
            state[f"{name}.call"] = counter.call
        return state

    def set_random_state(self, state: Mapping[str, int]) -> None:
        """Restore what `random_state` returned.

        Raises:
            ValueError: if names are missing or left over; nothing is changed.
        """
        expected = self.random_state().keys()
        if state.keys() != expected:
            raise ValueError(
                f"{type(self).__name__}.set_random_state: state must have the names {sorted(expected)}, "
                f"got {sorted(state)}"
            )
        for name, counter in self._named_attributes(RandomCounter):
            counter.seed = int(state[f"{name}.seed"])
            counter.call = int(state[f"{name}.call"])

    def summary(self) -> str:
        """A table of all parameters: name, shape, number of elements, and their total."""
        rows = [(name, str(p.shape), f"{p.size:,}") for name, p in self.named_parameters()]
        rows.append(("total", "", f"{sum(p.size for p in self.parameters()):,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]
        return "\n".join([type(self).__name__, *lines])

    def __repr__(self) -> str:
        parts = [part for _, part in self._named_members() if isinstance(part, Module)]
        return described(type(self), vars(self), parts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_flat"}
