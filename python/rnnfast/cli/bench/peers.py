"""Other libraries on the same problems: imported when asked for, checked before they are timed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops

from .problems import Problem

Job = Callable[[], object]


class Peer:
    """A library to compare with.

    Args:
        threads: how many it may use.
    """

    name = ""
    # The cells that it has too.
    cells: tuple[str, ...] = ("rnn_tanh", "rnn_relu", "lstm", "gru")

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @property
    def version(self) -> str:
        """The version installed."""
        raise NotImplementedError

    def job(self, problem: Problem, mode: str) -> Job | None:
        """The same work as ``problem.job(mode)``, or None where the library has no such thing."""
        raise NotImplementedError

    def compare(self, problem: Problem, y: Any) -> None:
        """Refuse to time what computes something else."""
        expected, _, _ = ops.recurrent_forward(problem.weights, problem.x)
        error = float(np.abs(np.asarray(y) - expected).max())
        if not error < 1e-3:
            raise ArithmeticError(
                f"bench: {self.name} differs from rnnfast by {error:.1e} for {problem.cell.name}"
            )


class Torch(Peer):
    """PyTorch, eager."""

    name = "torch"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(threads)

    @property
    def version(self) -> str:
        return str(self._torch.__version__)

    def job(self, problem: Problem, mode: str) -> Job | None:
        if problem.cell.name not in self.cells:
            return None
        torch = self._torch
        sizes = (problem.shape.inputs, problem.shape.hidden)
        layers: dict[str, Callable[[], Any]] = {
            "lstm": lambda: torch.nn.LSTM(*sizes, batch_first=True),
            "gru": lambda: torch.nn.GRU(*sizes, batch_first=True),
            "rnn_tanh": lambda: torch.nn.RNN(*sizes, batch_first=True),
            "rnn_relu": lambda: torch.nn.RNN(*sizes, nonlinearity="relu", batch_first=True),
        }
        layer = layers[problem.cell.name]().to(torch.from_numpy(problem.x[:0]).dtype)
        layer.load_state_dict(
            {f"{name}_l0": torch.from_numpy(array) for name, array in problem.arrays.items()}
        )
        x, dy = torch.from_numpy(problem.x), torch.from_numpy(problem.dy)

        def infer() -> Any:
            with torch.inference_mode():
                return layer(x)[0]

        self.compare(problem, infer())
        if mode == "inference":
            return infer
        tracked = x.clone().requires_grad_()

        def train() -> object:
            layer.zero_grad(set_to_none=True)
            tracked.grad = None
            return layer(tracked)[0].backward(dy)

        train()
        own = problem.gradients()
        for mine, other in ((own.dx, tracked.grad), (own.dweight_hh, layer.weight_hh_l0.grad)):
            error = float(np.abs(mine - other.numpy()).max() / np.abs(mine).max())
            if not error < 1e-3:
                raise ArithmeticError(f"bench: torch's gradients differ by {error:.1e}")
        return train


class OnnxRuntime(Peer):
    """ONNX Runtime: inference only; models are made with the package onnx."""

    name = "onnxruntime"

    # Where the gates of an ONNX operator lie among ours.
    _OPERATORS: dict[str, tuple[str, str, dict[str, Any]]] = {  # noqa: RUF012
        "lstm": ("LSTM", "iofg", {}),
        "gru": ("GRU", "zrn", {"linear_before_reset": 1}),
        "rnn_tanh": ("RNN", "h", {"activations": ["Tanh"]}),
        "rnn_relu": ("RNN", "h", {"activations": ["Relu"]}),
    }

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._runtime: Any = importlib.import_module("onnxruntime")
        self._onnx: Any = importlib.import_module("onnx")

    @property
    def version(self) -> str:
        return str(self._runtime.__version__)

    def job(self, problem: Problem, mode: str) -> Job | None:
        if mode != "inference" or problem.cell.name not in self.cells or problem.x.dtype != np.float32:
            return None
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = self._runtime.InferenceSession(
            self._model(problem).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        feed = {"x": np.ascontiguousarray(problem.x.transpose(1, 0, 2))}  # the operators are time-major

        def infer() -> Any:
            return session.run(["y"], feed)[0]

        self.compare(problem, infer()[:, 0].transpose(1, 0, 2))
        return infer

    def _model(self, problem: Problem) -> Any:
        operator, order, attributes = self._OPERATORS[problem.cell.name]
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        gates, hidden = problem.cell.gates, problem.shape.hidden
        rows = np.concatenate([np.arange(hidden) + gates.index(gate) * hidden for gate in order])
        arrays = problem.arrays
        bias = np.concatenate([arrays["bias_ih"][rows], arrays["bias_hh"][rows]])
        constants = {"w": arrays["weight_ih"][rows], "r": arrays["weight_hh"][rows], "b": bias}
        node = helper.make_node(operator, ["x", *constants], ["y"], hidden_size=hidden, **attributes)
        graph = helper.make_graph(
            [node],
            "layer",
            [
                helper.make_tensor_value_info(
                    "x", float32, [problem.shape.steps, problem.shape.batch, problem.shape.inputs]
                )
            ],
            [helper.make_tensor_value_info("y", float32, None)],
            [self._onnx.numpy_helper.from_array(array[None], name) for name, array in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Torch, OnnxRuntime)}


def load(name: str, threads: int) -> Peer:
    """A peer by name.

    Raises:
        ImportError: if it is not installed, naming the extra.
    """
    try:
        return PEERS[name](threads)
    except ImportError as error:
        raise ImportError(
            f"bench: {name} is not installed ({error}); install the extra, pip install 'rnnfast[bench]', "
            f"or leave it out of --against"
        ) from None
