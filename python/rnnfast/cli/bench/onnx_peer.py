"""ONNX Runtime on the problems of `kernels` and `step`: inference only; models are made with package onnx."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from .peer import Job, Peer, Stepper, gate_rows
from .problems import Problem


class OnnxRuntime(Peer):
    """ONNX Runtime."""

    name = "onnxruntime"
    trains = False

    # Where the gates of an ONNX operator lie among ours.
    _OPERATORS: dict[str, tuple[str, str, dict[str, Any]]] = {  # noqa: RUF012
        "lstm": ("LSTM", "iofg", {}),
        "gru": ("GRU", "zrn", {"linear_before_reset": 1}),
        "rnn_tanh": ("RNN", "h", {"activations": ["Tanh"]}),
        "rnn_relu": ("RNN", "h", {"activations": ["Relu"]}),
    }

    def __init__(self, threads: int, folder: str | None = None) -> None:
        super().__init__(threads)
        self._runtime: Any = importlib.import_module("onnxruntime")
        self._onnx: Any = importlib.import_module("onnx")

    @property
    def version(self) -> str:
        return str(self._runtime.__version__)

    def job(self, problem: Problem, mode: str) -> Job | None:
        if mode != "inference" or not self._has(problem):
            return None
        session = self._session(problem, ())
        feed = {"x": np.ascontiguousarray(problem.x.transpose(1, 0, 2))}  # the operators are time-major

        def infer() -> Any:
            return session.run(["y"], feed)[0]

        self.compare(problem, infer()[:, 0].transpose(1, 0, 2))
        return infer

    def stepper(self, problem: Problem) -> Stepper | None:
        if not self._has(problem):
            return None
        names = problem.cell.states
        session = self._session(problem, names)
        finals = [f"final_{name}" for name in names]
        zeros = np.zeros((1, problem.shape.batch, problem.shape.hidden), np.float32)
        run = session.run
        if len(names) == 2:

            def advance(x: Any, state: Any) -> tuple[Any, Any]:
                state = run(finals, {"x": x, "h": state[0], "c": state[1]})
                return state[0][0], state

        else:

            def advance(x: Any, state: Any) -> tuple[Any, Any]:
                state = run(finals, {"x": x, "h": state[0]})
                return state[0][0], state

        return Stepper(advance, [zeros] * len(names), lambda x: x[None])

    def save(self, problem: Problem, path: str) -> None:
        """Write the problem's layer as a file."""
        self._onnx.save(self._model(problem, ()), path)

    def _has(self, problem: Problem) -> bool:
        return problem.cell.name in self.cells and problem.x.dtype == np.float32

    def _session(self, problem: Problem, states: tuple[str, ...]) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Its threads spin within a call; after it they would take a core from the next contender.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        return self._runtime.InferenceSession(
            self._model(problem, states).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _model(self, problem: Problem, states: tuple[str, ...]) -> Any:
        """One operator: from x to y, or with states from x and them to the final ones."""
        operator, order, attributes = self._OPERATORS[problem.cell.name]
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        arrays, (steps, batch, inputs, hidden) = problem.arrays, problem.shape
        rows = gate_rows(problem.cell.gates, tuple(order), hidden)
        bias = np.concatenate([arrays["bias_ih"][rows], arrays["bias_hh"][rows]])
        constants = {"w": arrays["weight_ih"][rows], "r": arrays["weight_hh"][rows], "b": bias}
        finals = [f"final_{name}" for name in states]
        node = helper.make_node(
            operator,
            ["x", *constants, *([""] if states else []), *states],
            ["" if states else "y", *finals],
            hidden_size=hidden,
            **attributes,
        )
        given = {"x": [1 if states else steps, batch, inputs]} | {name: [1, batch, hidden] for name in states}
        graph = helper.make_graph(
            [node],
            "layer",
            [helper.make_tensor_value_info(name, float32, sizes) for name, sizes in given.items()],
            [helper.make_tensor_value_info(name, float32, None) for name in finals or ["y"]],
            [self._onnx.numpy_helper.from_array(array[None], name) for name, array in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
