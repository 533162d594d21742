"""Modules on a live stream: blocks of steps come in, the numbers of the whole sequence come out.

What a module has to remember between blocks is a dict of plain arrays, made by `stream_state` and updated in
place by `stream_process`. A module of modules joins theirs under dotted names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .parameter import Array

StreamState = dict[str, Array]


class Streaming:
    """The streaming side of every module; the default is that of one that acts on each step alone."""

    # Whether y of a step depends on x of that step alone: then there is nothing to remember.
    acts_per_step = False

    def stream_state(self, batch_size: int) -> StreamState:
        """What a stream has to remember between blocks: a fresh state, arrays by name.

        Args:
            batch_size: N.

        Raises:
            TypeError: if the module has no streaming form.
            ValueError: if it has none as it is set up.
        """
        if not self.acts_per_step:
            name = type(self).__name__
            raise TypeError(f"{name}.stream_state: {name} has no streaming form")
        return {}

    def stream_process(self, x: Array, state: StreamState) -> Array:
        """Compute the outputs that one more block of steps completes: the bits of the whole sequence at once.

        Args:
            x: block, shape (N, B, …), B of 0 or more.
            state: from `stream_state`; its arrays are updated in place. After an error those of a layer are
                what they were; of several modules the first ones may have gone on.
        """
        y: Array = self.forward(x, training=False)[0]  # type: ignore[attr-defined]
        return y


def joined_state(modules: Iterable[tuple[str, Any]], batch_size: int) -> StreamState:
    """The states of named modules in one dict, under dotted names."""
    return {
        f"{name}.{key}": array
        for name, module in modules
        for key, array in module.stream_state(batch_size).items()
    }


def part_of(state: StreamState, name: str) -> StreamState:
    """The state of one module in a joined state: the same arrays, under its own names."""
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in state.items() if key.startswith(start)}


def process_chain(modules: Iterable[tuple[str, Any]], x: Array, state: StreamState) -> Array:
    """One block through named modules, one after the other."""
    for name, module in modules:
        x = module.stream_process(x, part_of(state, name))
    return x
