"""Layers against the recurrent operators of ONNX, as ONNX Runtime computes them: peepholes, coupled gates,
both GRUs, ragged batches, directions.

Its operators are float32 and have T before N, one layer and other orders of gates: rows are moved from ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from problems import randomize
from rnnfast import nn, ops

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

Array = np.ndarray[Any, np.dtype[Any]]
BATCH, STEPS, INPUTS, HIDDEN = 5, 7, 3, 6
# None is 0: of a sequence without steps ONNX Runtime makes the final state zero, we the initial one.
LENGTHS = [4, 7, 1, 2, 4]
# Of the largest value: a product of H, and their own approximations of σ and tanh.
TOLERANCE = 2e-6 * HIDDEN**0.5
# Our gates in the order of ONNX. What a coupled cell lacks, f, the operator gets and must not use.
GATES = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
PEEPHOLES = "iof"
OPERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}),
    "lstm": ("LSTM", {}),
    "lstm_peephole": ("LSTM", {}),
    "lstm_coupled": ("LSTM", {"input_forget": 1}),
    "lstm_peephole_coupled": ("LSTM", {"input_forget": 1}),
    "gru": ("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}),
}


def moved(weight: Array, gates: tuple[str, ...], order: str, random: np.random.Generator) -> Array:
    """The rows of a weight in another order of gates; anything at all for a gate that it has not."""
    blocks = dict(zip(gates, np.split(weight, len(gates)), strict=True))
    unused = random.standard_normal(weight[:HIDDEN].shape).astype(weight.dtype)
    return np.concatenate([blocks.get(gate, unused) for gate in order])


def arrays(layer: nn.Recurrent, operator: str) -> dict[str, Array]:
    """W, R, B and P of the operator; one of each for each direction."""
    random, own, found = np.random.default_rng(2), layer.state_dict(), {}

    def stacked(name: str, of: Callable[[str], Array]) -> None:
        found[name] = np.stack([of("_l0" + "_reverse" * k) for k in range(layer.num_directions)])

    def rows(name: str) -> Array:
        return moved(own[name], layer.cell.gates, GATES[operator], random)

    stacked("W", lambda suffix: rows("weight_ih" + suffix))
    stacked("R", lambda suffix: rows("weight_hh" + suffix))
    if layer.options.bias:
        stacked("B", lambda end: np.concatenate([rows("bias_ih" + end), rows("bias_hh" + end)]))
    seeing = layer.cell.unit_weights
    if seeing:
        stacked("P", lambda suffix: moved(own["weight_ch" + suffix], seeing, PEEPHOLES, random))
    return found


def run(cell: str, directions: str, feeds: dict[str, Array]) -> list[Array]:
    """y, [T, N, D*H], and the final states of a model of one node."""
    operator, attributes = OPERATORS[cell]
    states = ops.cells()[cell].states
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    names = names[: 8 if operator == "LSTM" else 6]
    node = onnx.helper.make_node(
        operator,
        [name if name in feeds else "" for name in names],
        ["Y", *(f"Y_{state}" for state in states)],
        hidden_size=HIDDEN,
        direction=directions,
        **{key: 2 * value if key == "activations" and directions == "bidirectional" else value
           for key, value in attributes.items()},
    )  # fmt: skip
    types = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}
    inputs = [
        onnx.helper.make_tensor_value_info(name, types[array.dtype.name], array.shape)
        for name, array in feeds.items()
    ]
    shapes = [[None] * 4, *([None] * 3 for _ in states)]
    outputs = [
        onnx.helper.make_tensor_value_info(name, types["float32"], shape)
        for name, shape in zip(node.output, shapes, strict=True)
    ]
    graph = onnx.helper.make_graph([node], cell, inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    y, *finals = session.run(None, feeds)
    return [np.moveaxis(y, 1, 2).reshape(STEPS, BATCH, -1), *finals]


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("directions", ["forward", "reverse", "bidirectional"])
def test_layer_is_the_operator(cell: str, directions: str, lengths: Any, bias: bool) -> None:
    layer = nn.Recurrent(
        cell, INPUTS, HIDDEN, bias=bias, bidirectional=directions != "forward", batch_first=False, seed=0
    )
    randomize(layer)
    random = np.random.default_rng(1)
    x = random.standard_normal((STEPS, BATCH, INPUTS)).astype(np.float32)
    shape = (layer.num_directions, BATCH, HIDDEN)
    states = [random.standard_normal(shape).astype(np.float32) for _ in layer.cell.states]
    several = len(states) > 1
    y, final = layer(x, tuple(states) if several else states[0], lengths=lengths)
    mine = [y, *(final if several else (final,))]

    feeds = arrays(layer, OPERATORS[cell][0])
    feeds |= {f"initial_{name}": part for name, part in zip(layer.cell.states, states, strict=True)}
    if directions == "reverse":  # the second of our two directions alone
        feeds = {name: array[1:] for name, array in feeds.items()}
        mine = [y[:, :, HIDDEN:], *(part[1:] for part in mine[1:])]
    feeds["X"] = x
    if lengths is not None:
        feeds["sequence_lens"] = np.array(lengths, np.int32)
    for array, expected in zip(mine, run(cell, directions, feeds), strict=True):
        bound = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(array, expected, rtol=0, atol=bound)
