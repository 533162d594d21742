"""PyTorch on the problems of `kernels` and `step`, eager and compiled: imported when asked for."""

from __future__ import annotations

import importlib
from typing import Any

from .peer import Job, Peer, Stepper, Unavailable
from .problems import Problem

# The layer, the cell and their further arguments.
MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
}


class Torch(Peer):
    """PyTorch, eager."""

    name = "torch"

    def __init__(self, threads: int, folder: str | None = None) -> None:
        super().__init__(threads)
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(threads)

    @property
    def version(self) -> str:
        return str(self._torch.__version__)

    def job(self, problem: Problem, mode: str) -> Job | None:
        if problem.cell.name not in self.cells:
            return None
        layer, infer, train, tracked = self.work(problem)
        self.compare(problem, infer())
        if mode == "inference":
            return infer
        train()
        theirs = {"x": tracked.grad.numpy()}
        theirs |= {name: getattr(layer, f"{name}_l0").grad.numpy() for name in problem.arrays}
        self.compare_gradients(problem, theirs)
        return train

    def work(self, problem: Problem) -> tuple[Any, Job, Job, Any]:
        """The layer, one inference, one training step, and the x that the latter has a gradient for; not
        called yet, nothing is checked."""
        torch = self._torch
        layer = self._module(problem, "", batch_first=True)
        layer.load_state_dict(
            {f"{name}_l0": torch.from_numpy(array) for name, array in problem.arrays.items()}
        )
        called = self._prepared(layer)
        x, dy = torch.from_numpy(problem.x), torch.from_numpy(problem.dy)
        tracked = x.clone().requires_grad_()

        def infer() -> Any:
            with torch.inference_mode():
                return called(x)[0]

        def train() -> object:
            layer.zero_grad(set_to_none=True)
            tracked.grad = None
            return called(tracked)[0].backward(dy)

        return layer, infer, train, tracked

    def stepper(self, problem: Problem) -> Stepper | None:
        if problem.cell.name not in self.cells:
            return None
        torch = self._torch
        cell = self._module(problem, "Cell")
        cell.load_state_dict({name: torch.from_numpy(array) for name, array in problem.arrays.items()})
        zeros = torch.zeros(problem.shape.batch, problem.shape.hidden, dtype=cell.weight_hh.dtype)
        convert, context = torch.from_numpy, torch.inference_mode
        if len(problem.cell.states) > 1:

            def advance(x: Any, state: Any) -> tuple[Any, Any]:
                state = cell(x, state)
                return state[0], state

            return Stepper(advance, (zeros, zeros), convert, context)

        def advance_one(x: Any, state: Any) -> tuple[Any, Any]:
            state = cell(x, state)
            return state, state

        return Stepper(advance_one, zeros, convert, context)

    def _module(self, problem: Problem, suffix: str, **words: Any) -> Any:
        name, settings = MODULES[problem.cell.name]
        dtype = self._torch.from_numpy(problem.x[:0]).dtype
        kind = getattr(self._torch.nn, name + suffix)
        return kind(problem.shape.inputs, problem.shape.hidden, **settings, **words).to(dtype)

    def _prepared(self, layer: Any) -> Any:
        """What is called in the layer's place."""
        return layer


class CompiledTorch(Torch):
    """The same layer through torch.compile, with its defaults.

    Where it captures nothing of the layer, what runs is eager PyTorch once more: the row says so, and nothing
    is timed twice. (`torch._dynamo.config.allow_rnn` makes it capture every step of the loop: minutes of
    compilation for each shape.)
    """

    name = "torch-compile"

    def job(self, problem: Problem, mode: str) -> Job | None:
        if problem.cell.name not in self.cells:
            return None
        dynamo: Any = importlib.import_module("torch._dynamo")
        counters: Any = importlib.import_module("torch._dynamo.utils").counters
        dynamo.reset()
        counters.clear()
        try:
            job = super().job(problem, mode)
        except ArithmeticError:
            raise
        except Exception as error:  # of whatever kind: the compiler of the machine is part of it
            line = (str(error).strip().splitlines() or [""])[0]
            raise Unavailable(f"compilation failed: {type(error).__name__}: {line[:200]}") from None
        if not counters["stats"]["unique_graphs"]:
            raise Unavailable("torch.compile leaves this layer to eager PyTorch: it captured no graph")
        return job

    def stepper(self, problem: Problem) -> Stepper | None:
        return None

    def _prepared(self, layer: Any) -> Any:
        return self._torch.compile(layer)
