"""Modules one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .arguments import overrides
from .module import Module, Tape
from .parameter import Array
from .streaming import joined_state, process_chain


class Sequential(Module):
    """Modules applied one after the other: y = m_k(… m_2(m_1(x))).

    A recurrent layer passes its y on and drops its state. Parameter names begin with the module's position:
    ``0.weight_ih_l0``.

    Args:
        modules: the modules, first applied first.

    Raises:
        TypeError: if one of them is not a Module.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> model = nn.Sequential(nn.GRU(3, 8, seed=0), nn.Linear(8, 1, seed=1))
        >>> model(np.ones((2, 5, 3), np.float32)).shape
        (2, 5, 1)
    """

    def __init__(self, *modules: Module) -> None:
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                kind = type(module).__name__
                raise TypeError(
                    f"Sequential: argument {position} must be a Module, got {kind}; pass the modules alone"
                )
        self.modules = modules

    def _named_members(self) -> Iterator[tuple[str, Any]]:
        return ((str(position), module) for position, module in enumerate(self.modules))

    def forward(self, x: Array, *, training: bool = True) -> tuple[Array, Tape | None]:
        """Apply all modules.

        Args:
            x: input of the first module.
            training: passed to every module.

        Returns:
            (y, tape): y of the last module.
        """
        tapes = []
        for module in self.modules:
            x, tape = module.chain_forward(x, training)
            tapes.append(tape)
        return x, Tape(self, tapes) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Run all modules backward, last first.

        Args:
            tape: from `forward`.
            dy: gradient of y.

        Returns:
            dx, gradient of the first module's input.
        """
        dy, first = self._to_first(tape, dy)
        return self.modules[0].chain_backward(first, dy) if self.modules else dy

    def accumulate_gradients(self, tape: Tape | None, dy: Array) -> None:
        """As `backward`, without the work for dx if the first module can leave it out."""
        if overrides(self, Sequential, "backward", "chain_backward"):
            self.chain_backward(tape, dy)
            return
        dy, first = self._to_first(tape, dy)
        if self.modules:
            self.modules[0].accumulate_gradients(first, dy)

    def _to_first(self, tape: Tape | None, dy: Array) -> tuple[Array, Tape | None]:
        """Run all modules but the first one backward: the gradient of what that returned, and its tape."""
        tapes = self._read(tape)
        self._close(tape)
        for module, tape_of_module in zip(reversed(self.modules[1:]), reversed(tapes[1:]), strict=True):
            dy = module.chain_backward(tape_of_module, dy)
        return dy, tapes[0] if tapes else None

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """The states of all modules, under their positions."""
        return joined_state(self._named_members(), batch_size)

    def stream_process(self, x: Array, state: dict[str, Array]) -> Array:
        """One block through all modules."""
        return process_chain(self._named_members(), x, state)

    def __len__(self) -> int:
        return len(self.modules)

    def __getitem__(self, position: int) -> Module:
        return self.modules[position]
