"""JAX on the problems of `kernels` and `step`: a plain scan of the cell, and the layers of Keras on JAX.

Both jitted, with `jax.vjp` for all gradients. XLA asks for its threads once, when its first array is made:
`_start` limits them before. Not here: epochs of Keras (`epoch`).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .checks import Array
from .peer import Job, Peer, Stepper, gate_rows
from .problems import Problem

# Keras' order of the gates.
_ORDERS = {"lstm": ("i", "f", "g", "o"), "gru": ("z", "r", "n"), "rnn_tanh": ("h",), "rnn_relu": ("h",)}


class Jax(Peer):
    """A scan of the cell over time; the product of all inputs with their weights comes before it."""

    name = "jax"

    def __init__(self, threads: int, folder: str | None = None) -> None:
        super().__init__(threads)
        self.jax: Any = start(threads)

    @property
    def version(self) -> str:
        return str(self.jax.__version__)

    def job(self, problem: Problem, mode: str) -> Job | None:
        if problem.cell.name not in self.cells:
            return None
        jax, x, dy = self.jax, self.array(problem.x), self.array(problem.dy)
        layer, weights = self._layer(problem)
        infer = jax.jit(layer)
        self.compare(problem, infer(weights, x))
        if mode == "inference":
            return lambda: infer(weights, x).block_until_ready()

        def gradients(weights: Any, x: Any, dy: Any) -> Any:
            return jax.vjp(layer, weights, x)[1](dy)

        train = jax.jit(gradients)
        self.compare_gradients(problem, self._ours(problem, *train(weights, x, dy)))
        return lambda: jax.block_until_ready(train(weights, x, dy))

    def stepper(self, problem: Problem) -> Stepper | None:
        if problem.cell.name not in self.cells:
            return None
        jax = self.jax
        weights = {name: self.array(array) for name, array in problem.arrays.items()}
        cell = jax.jit(one_step(jax, problem.cell.name))
        inputs = jax.jit(lambda x: x @ weights["weight_ih"].T + weights["bias_ih"])

        whole = jax.jit(lambda x, state: cell(weights, inputs(x), state))

        def advance(x: Any, state: Any) -> tuple[Any, Any]:
            state = whole(x, state)
            return state[0].block_until_ready(), state  # whoever makes single steps needs each of their y

        zeros = self.array(np.zeros((problem.shape.batch, problem.shape.hidden), problem.x.dtype))
        return Stepper(advance, (zeros,) * len(problem.cell.states), self.array)

    def array(self, values: Any) -> Any:
        """The same numbers in the same dtype."""
        return self.jax.numpy.array(values)

    def _layer(self, problem: Problem) -> tuple[Callable[[Any, Any], Any], Any]:
        """A function of weights and x, and the weights."""
        jax = self.jax
        cell = one_step(jax, problem.cell.name)
        sizes, states = (problem.shape.batch, problem.shape.hidden), len(problem.cell.states)

        def layer(weights: Any, x: Any) -> Any:
            sums = x.swapaxes(0, 1) @ weights["weight_ih"].T + weights["bias_ih"]
            zeros = jax.numpy.zeros(sizes, x.dtype)

            def body(state: Any, inputs: Any) -> tuple[Any, Any]:
                state = cell(weights, inputs, state)
                return state, state[0]

            return jax.lax.scan(body, (zeros,) * states, sums)[1].swapaxes(0, 1)

        return layer, {name: self.array(array) for name, array in problem.arrays.items()}

    def _ours(self, problem: Problem, weights: Any, x: Any) -> dict[str, Any]:
        """Gradients by our names."""
        return {"x": x, **weights}


class Keras(Jax):
    """Keras' layers on JAX, called without state of their own."""

    name = "keras"

    def __init__(self, threads: int, folder: str | None = None) -> None:
        super().__init__(threads)
        self.keras: Any = load_keras()

    @property
    def version(self) -> str:
        return f"{self.keras.__version__} on jax {self.jax.__version__}"

    def stepper(self, problem: Problem) -> Stepper | None:
        return None  # a step of a jitted Keras cell is one of jax

    def _layer(self, problem: Problem) -> tuple[Callable[[Any, Any], Any], Any]:
        layer = keras_layer(self.keras, problem.cell.name, problem.shape.hidden, str(problem.x.dtype))
        layer.build(problem.x.shape)
        layer.set_weights(weights_of(problem.cell.name, problem.cell.gates, problem.arrays))
        fixed = [variable.value for variable in layer.non_trainable_variables]

        def call(weights: Any, x: Any) -> Any:
            return layer.stateless_call(weights, fixed, x)[0]

        return call, [variable.value for variable in layer.trainable_variables]

    def _ours(self, problem: Problem, weights: Any, x: Any) -> dict[str, Any]:
        kernel, recurrent, bias = (np.asarray(array) for array in weights)
        cell = problem.cell
        back = np.argsort(gate_rows(cell.gates, _ORDERS[cell.name], problem.shape.hidden))
        found = {"x": x, "weight_ih": kernel.T[back], "weight_hh": recurrent.T[back]}
        biases = bias if bias.ndim == 2 else (bias, bias)
        return found | {"bias_ih": biases[0][back], "bias_hh": biases[1][back]}


def start(threads: int) -> Any:
    """Import JAX such that it uses so many threads, with float64 where asked for."""
    os.environ["PJRT_NPROC"] = str(threads)
    if threads == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        if "multi_thread_eigen" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return jax


def load_keras() -> Any:
    """Import Keras with JAX behind it."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras: Any = importlib.import_module("keras")
    if keras.backend.backend() != "jax":
        raise ImportError(f"keras runs on {keras.backend.backend()} already, jax is needed")
    return keras


def keras_layer(keras: Any, cell: str, hidden: int, dtype: str) -> Any:
    """The layer of that cell that gives y of every step."""
    words = {"return_sequences": True, "dtype": dtype}
    if cell == "lstm":
        return keras.layers.LSTM(hidden, **words)
    if cell == "gru":
        return keras.layers.GRU(hidden, reset_after=True, **words)
    return keras.layers.SimpleRNN(hidden, activation=cell.removeprefix("rnn_"), **words)


def weights_of(cell: str, gates: tuple[str, ...], arrays: Mapping[str, Array]) -> list[Array]:
    """Kernel, recurrent kernel and bias in Keras' layout, of our weights and biases."""
    rows = gate_rows(gates, _ORDERS[cell], arrays["weight_hh"].shape[1])
    biases = arrays["bias_ih"][rows], arrays["bias_hh"][rows]
    bias = np.stack(biases) if cell == "gru" else biases[0] + biases[1]
    return [arrays["weight_ih"][rows].T, arrays["weight_hh"][rows].T, bias]


def one_step(jax: Any, cell: str) -> Callable[[Any, Any, Any], tuple[Any, ...]]:
    """(weights, inputs' sums, state) → state, h first."""
    numpy, sigmoid = jax.numpy, jax.nn.sigmoid

    def lstm(weights: Any, sums: Any, state: Any) -> tuple[Any, ...]:
        sums = sums + state[0] @ weights["weight_hh"].T + weights["bias_hh"]
        i, f, g, o = numpy.split(sums, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * numpy.tanh(g)
        return sigmoid(o) * numpy.tanh(c), c

    def gru(weights: Any, sums: Any, state: Any) -> tuple[Any, ...]:
        hidden = state[0] @ weights["weight_hh"].T + weights["bias_hh"]
        (r, z, n), (r_h, z_h, n_h) = (numpy.split(part, 3, axis=-1) for part in (sums, hidden))
        n = numpy.tanh(n + sigmoid(r + r_h) * n_h)
        return (n + sigmoid(z + z_h) * (state[0] - n),)

    def rnn(weights: Any, sums: Any, state: Any) -> tuple[Any, ...]:
        sums = sums + state[0] @ weights["weight_hh"].T + weights["bias_hh"]
        return (jax.nn.relu(sums) if cell == "rnn_relu" else numpy.tanh(sums),)

    return {"lstm": lstm, "gru": gru}.get(cell, rnn)
