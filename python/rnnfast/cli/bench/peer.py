"""What a library has to answer to be compared with. Not here: the libraries (`peers` lists them)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from rnnfast import ops

from .checks import Array, check_peer
from .problems import Problem

Job = Callable[[], object]


class Unavailable(Exception):
    """A peer has the cell, yet cannot be timed: the row says why."""


class Stepper(NamedTuple):
    """One step at a time, as a user of the library makes it.

    Args:
        advance: (x_t, state) → (y_t, state).
        state: the initial one.
        convert: makes x_t of an array [N, I].
        context: what surrounds a loop of steps.
    """

    advance: Callable[[Any, Any], tuple[Any, Any]]
    state: Any
    convert: Callable[[Array], Any]
    context: Callable[[], AbstractContextManager[Any]] = nullcontext


class Peer:
    """A library to compare with.

    Args:
        threads: how many it may use.
        folder: where it is, for a library that is no Python package.
    """

    name = ""
    # The cells that it has too.
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu", "lstm", "gru")
    # Whether it has gradients.
    trains = True
    # Whether its training starts from packed weights, where ours packs those that have changed.
    packed = False

    def __init__(self, threads: int, folder: str | None = None) -> None:
        self.threads = threads

    @property
    def version(self) -> str:
        """The version installed."""
        raise NotImplementedError

    def job(self, problem: Problem, mode: str) -> Job | None:
        """The same work as ``problem.job(mode)``, or None where the library has no such thing.

        Raises:
            Unavailable: if it has, but this once it cannot be timed.
            ArithmeticError: if it computes something else.
        """
        raise NotImplementedError

    def stepper(self, problem: Problem) -> Stepper | None:
        """One step of the problem's layer from Python, or None where the library has no such thing."""
        return None

    def compare(self, problem: Problem, y: Any) -> None:
        """Refuse to time what computes something else."""
        expected, _, _ = ops.recurrent_forward(problem.weights, problem.x)
        error = float(np.abs(np.asarray(y) - expected).max())
        if not error < 1e-3:
            raise ArithmeticError(
                f"bench: {self.name} differs from rnnfast by {error:.1e} for {problem.cell.name}"
            )

    def compare_gradients(self, problem: Problem, theirs: dict[str, Any]) -> None:
        """Refuse to time other gradients: of "x", "weight_ih", "weight_hh" and the biases, in our layout."""
        ours = problem.gradients()
        pairs = [(ours[name], np.asarray(array)) for name, array in theirs.items()]
        check_peer(f"{self.name}'s gradients of {problem.cell.name}", pairs)


def gate_rows(gates: tuple[str, ...], order: tuple[str, ...], hidden: int) -> Array:
    """Rows of our weights in another order of the gates."""
    return np.concatenate([np.arange(hidden) + gates.index(gate) * hidden for gate in order])
