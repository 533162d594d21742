"""Layers against those of Keras, on JAX: both GRUs, LSTM, RNN, masks of padding against `lengths`, two
directions; gradients are JAX's.

Keras has weights [I, G*H] in other orders of gates, and one bias where the two of ours are only ever added.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest

from problems import randomize
from rnnfast import nn

Array = np.ndarray[Any, np.dtype[Any]]
Options = dict[str, Any]
BATCH, STEPS, INPUTS, HIDDEN = 4, 6, 3, 5
LENGTHS = [6, 0, 2, 5]
# Of the largest value: a product of H, or a weight gradient over all steps of the batch, rounds so far.
TOLERANCE = 2e-6 * (BATCH * STEPS) ** 0.5
# Our class and options, Keras' class and options, our gates in its order.
LAYERS: dict[str, tuple[str, Options, str, Options, str]] = {
    "RNN": ("RNN", {}, "SimpleRNN", {}, "h"),
    "RNN-relu": ("RNN", {"activation": "relu"}, "SimpleRNN", {"activation": "relu"}, "h"),
    "LSTM": ("LSTM", {}, "LSTM", {}, "ifgo"),
    "GRU-after": ("GRU", {"reset": "after"}, "GRU", {"reset_after": True}, "zrn"),
    "GRU-before": ("GRU", {"reset": "before"}, "GRU", {"reset_after": False}, "zrn"),
}


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """A process for Keras: one in which JAX has run must not be forked any more, as other tests do."""
    for package in ("jax", "keras"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    context, folder = multiprocessing.get_context("spawn"), str(tmp_path_factory.mktemp("keras"))
    with ProcessPoolExecutor(1, context, initializer=start_keras, initargs=(folder,)) as process:
        yield process


# In the process of Keras.


def start_keras(folder: str) -> None:
    """Keras reads its settings when it is imported, and writes some into its folder."""
    os.environ |= {"KERAS_BACKEND": "jax", "KERAS_HOME": folder, "JAX_PLATFORMS": "cpu"}


def run_layer(
    name: str, directions: int, weights: list[Array], x: Array, initial: list[Array], mask: Any, incoming: Any
) -> Any:
    """y with all states of the first direction, then of the second; gradients of weights, x and states."""
    import jax
    import keras

    _, _, kind, options, _ = LAYERS[name]
    layer = getattr(keras.layers, kind)(
        HIDDEN, return_sequences=True, return_state=True, zero_output_for_mask=True,
        kernel_initializer="zeros", recurrent_initializer="zeros", **options,
    )  # fmt: skip
    if directions == 2:
        layer = keras.layers.Bidirectional(layer)
    layer.build(x.shape)
    assert [tuple(variable.shape) for variable in layer.trainable_variables] == [w.shape for w in weights]
    others = [variable.value for variable in layer.non_trainable_variables]

    def outputs(weights: Any, x: Any, initial: Any) -> Any:
        return tuple(layer.stateless_call(weights, others, x, mask=mask, initial_state=initial)[0])

    @jax.jit  # compiled as a whole, not one operation after another
    def run(incoming: Any, *inputs: Any) -> Any:
        found, pullback = jax.vjp(outputs, *inputs)
        return found, *pullback(incoming)

    return jax.tree.map(np.asarray, run(tuple(incoming), weights, x, initial))


def run_masking(value: float, weights: list[Array], x: Array) -> Array:
    """y of a GRU behind a layer that masks every step in which all of x has this value."""
    import keras

    layer = keras.layers.GRU(HIDDEN, return_sequences=True, zero_output_for_mask=True)
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Masking(value), layer])
    layer.set_weights(weights)
    return np.asarray(model(x))


def initial_bias() -> Array:
    import keras

    layer = keras.layers.LSTM(HIDDEN)
    layer.build((BATCH, STEPS, INPUTS))
    return np.asarray(layer.weights[2].value)


# In this one.


def moved(rows: Array, gates: tuple[str, ...], order: str) -> Array:
    """Rows in another order of gates; into that of Keras, and the same way back."""
    blocks = dict(zip(gates, np.split(rows, len(gates)), strict=True))
    return np.concatenate([blocks[gate] for gate in order])


def into_keras(arrays: dict[str, Array], suffix: str, layer: nn.Recurrent, order: str, biases: int) -> Any:
    """The weights of one direction, as Keras has them: kernel, recurrent kernel, bias."""
    own = [
        moved(arrays[name + suffix], layer.cell.gates, order)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    return [own[0].T, own[1].T, np.stack(own[2:]) if biases == 2 else own[2] + own[3]]


def out_of_keras(arrays: Any, suffix: str, layer: nn.Recurrent, order: str) -> dict[str, Array]:
    """Gradients of the weights of one direction, as we have them. Both our biases get that of their sum."""
    kernel, recurrent, bias = (np.asarray(array) for array in arrays)
    first, second = bias if bias.ndim == 2 else (bias, bias)
    gates = tuple(order)
    parts = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": first, "bias_hh": second}
    return {f"d{n}{suffix}": moved(part, gates, "".join(layer.cell.gates)) for n, part in parts.items()}


# What the other two pairs would show is in these: the first of two directions, a sequence of all steps.
@pytest.mark.parametrize(("directions", "ragged"), [(1, False), (2, True)], ids=["whole", "masked"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_that_of_keras(keras: Executor, name: str, directions: int, ragged: bool) -> None:
    kind, own_options, _, peer_options, order = LAYERS[name]
    layer = getattr(nn, kind)(INPUTS, HIDDEN, bidirectional=directions == 2, seed=0, **own_options)
    randomize(layer)
    random = np.random.default_rng(1)
    shapes = [(BATCH, STEPS, INPUTS), (BATCH, STEPS, directions * HIDDEN)]
    shapes += 2 * len(layer.cell.states) * [(directions, BATCH, HIDDEN)]
    x, dy, *others = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    states, dfinals = others[: len(others) // 2], others[len(others) // 2 :]
    lengths = LENGTHS if ragged else None
    several = len(states) > 1
    y, final, tape = layer.forward(x, tuple(states) if several else states[0], lengths=lengths)
    dx, dstate = layer.backward(tape, dy, tuple(dfinals) if several else dfinals[0])
    mine = {"y": y, "dx": dx}
    for label, parts in (("final", final), ("d initial", dstate)):
        mine |= {f"{label} {k}": part for k, part in enumerate(parts if several else (parts,))}
    mine |= {f"d{key}": parameter.grad for key, parameter in layer.named_parameters()}

    own, suffixes = layer.state_dict(), ["_l0", "_l0_reverse"][:directions]
    biases = 2 if peer_options.get("reset_after", False) else 1
    weights = [w for suffix in suffixes for w in into_keras(own, suffix, layer, order, biases)]
    initial, dfinal = ([part[k] for k in range(directions) for part in parts] for parts in (states, dfinals))
    mask = np.arange(STEPS) < np.array(LENGTHS)[:, None] if ragged else None
    run = keras.submit(run_layer, name, directions, weights, x, initial, mask, [dy, *dfinal])
    found, dweights, dx, dinitial = run.result(timeout=300)
    expected = {"y": found[0], "dx": dx}
    for label, parts in (("final", found[1:]), ("d initial", dinitial)):
        count = len(states)
        expected |= {f"{label} {k}": np.stack(parts[k::count]) for k in range(count)}
    for k, suffix in enumerate(suffixes):
        expected |= out_of_keras(dweights[3 * k : 3 * k + 3], suffix, layer, order)

    assert mine.keys() == expected.keys()
    for key, array in expected.items():
        bound = TOLERANCE * max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(mine[key], array, rtol=0, atol=bound, err_msg=key)


def test_a_masking_layer_makes_the_mask_of_lengths(keras: Executor) -> None:
    layer = nn.GRU(INPUTS, HIDDEN, seed=0)
    randomize(layer)
    random = np.random.default_rng(1)
    x = random.standard_normal((BATCH, STEPS, INPUTS)).astype(np.float32)
    x[np.arange(STEPS) >= np.array(LENGTHS)[:, None]] = -7
    weights = into_keras(layer.state_dict(), "_l0", layer, "zrn", 2)
    expected = keras.submit(run_masking, -7.0, weights, x).result(timeout=300)
    y, _ = layer(x, lengths=LENGTHS)
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE)


def test_forget_bias_begins_as_in_keras(keras: Executor) -> None:
    """Theirs is one bias, ours the sum of two."""
    layer = nn.LSTM(INPUTS, HIDDEN)
    mine = into_keras(layer.state_dict(), "_l0", layer, "ifgo", 1)[2]
    np.testing.assert_array_equal(mine, keras.submit(initial_bias).result(timeout=300))
