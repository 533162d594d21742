"""Layers against PyTorch's, an independent implementation: same state dict, same numbers, same gradients.

What PyTorch has as a layer is here: stacks, two directions, projections, ragged batches (packed sequences
there, `lengths` here). Options that it lacks are in ``test_torch_options``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rnnfast import nn

torch = pytest.importorskip("torch", reason="torch is not installed")

Array = np.ndarray[Any, np.dtype[Any]]
Options = dict[str, Any]
BATCH, STEPS, INPUTS, HIDDEN = 5, 6, 5, 7
# Neither sorted nor without ties; PyTorch packs no sequence of length zero.
LENGTHS = [2, 6, 1, 4, 4]
# Of the largest value: a product of H, or a weight gradient over all steps of the batch, rounds so far.
TOLERANCE = {np.float32: 2e-6 * (BATCH * STEPS) ** 0.5, np.float64: 1e-12}

# Class, own options, PyTorch's.
LAYERS: dict[str, tuple[str, Options, Options]] = {
    "RNN": ("RNN", {}, {}),
    "RNN-relu": ("RNN", {"activation": "relu"}, {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}, {}),
    "LSTM-projected": ("LSTM", {"proj_size": 3}, {"proj_size": 3}),
    "GRU": ("GRU", {}, {}),
}
OPTIONS: list[Options] = [
    {},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "bias": False},
    {"bidirectional": True, "batch_first": False},
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Nothing here is large, and threads that wait for one another take longest of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def own(
    layer: nn.Recurrent, x: Array, states: list[Array], lengths: Any, dy: Array, dfinals: list[Array]
) -> Any:
    """y, final states, dx, gradients of the initial states and of the parameters."""
    several = len(states) > 1
    y, final, tape = layer.forward(x, tuple(states) if several else states[0], lengths=lengths)
    dx, dstate = layer.backward(tape, dy, tuple(dfinals) if several else dfinals[0])
    parameters = {f"d{name}": parameter.grad for name, parameter in layer.named_parameters()}
    return named(y, final if several else (final,), dx, dstate if several else (dstate,)) | parameters


def theirs(layer: Any, x: Array, states: list[Array], lengths: Any, dy: Array, dfinals: list[Array]) -> Any:
    """The same out of a layer of PyTorch."""
    tracked, *initial = (torch.from_numpy(array).requires_grad_() for array in (x, *states))
    incoming, packing = tracked, torch.nn.utils.rnn
    if lengths is not None:
        incoming = packing.pack_padded_sequence(tracked, lengths, layer.batch_first, enforce_sorted=False)
    y, final = layer(incoming, tuple(initial) if len(initial) > 1 else initial[0])
    if lengths is not None:
        y, _ = packing.pad_packed_sequence(y, layer.batch_first, total_length=STEPS)
    finals = final if len(initial) > 1 else (final,)
    gradients = [torch.from_numpy(array) for array in (dy, *dfinals)]
    torch.autograd.backward((y, *finals), gradients)
    arrays = [a.detach().numpy() for a in (y, *finals, tracked.grad, *(part.grad for part in initial))]
    count = len(initial)
    parameters = {f"d{name}": parameter.grad.numpy() for name, parameter in layer.named_parameters()}
    return named(arrays[0], arrays[1 : 1 + count], arrays[1 + count], arrays[2 + count :]) | parameters


def named(y: Array, finals: Any, dx: Array, dstates: Any) -> dict[str, Array]:
    found = {"y": y, "dx": dx}
    found |= {f"final state {number}": part for number, part in enumerate(finals)}
    return found | {f"initial state gradient {number}": part for number, part in enumerate(dstates)}


# The same numbers by a slower way; PyTorch says so once.
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_that_of_torch(name: str, options: Options, lengths: Any, dtype: type) -> None:
    kind, own_options, peer_options = LAYERS[name]
    layer = getattr(nn, kind)(INPUTS, HIDDEN, dtype=dtype, seed=0, **own_options, **options)
    torch.manual_seed(0)
    peer_options = {"batch_first": True, **options, **peer_options}
    peer = getattr(torch.nn, kind)(INPUTS, HIDDEN, **peer_options).to(getattr(torch, np.dtype(dtype).name))
    assert [key for key, _ in peer.named_parameters()] == [key for key, _ in layer.named_parameters()]
    layer.load_state_dict({key: value.numpy() for key, value in peer.state_dict().items()})

    random = np.random.default_rng(1)
    front = (BATCH, STEPS) if options.get("batch_first", True) else (STEPS, BATCH)
    count = layer.num_layers * layer.num_directions
    shapes = [(*front, INPUTS), (*front, layer.output_size)]
    shapes += 2 * [(count, BATCH, size) for size in layer.state_sizes]
    x, dy, *others = (random.standard_normal(shape).astype(dtype) for shape in shapes)
    states, dfinals = others[: len(layer.state_sizes)], others[len(layer.state_sizes) :]
    mine = own(layer, x, states, lengths, dy, dfinals)
    expected = theirs(peer, x, states, lengths, dy, dfinals)
    assert mine.keys() == expected.keys()
    for key, array in expected.items():
        bound = TOLERANCE[dtype] * max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(mine[key], array, rtol=0, atol=bound, err_msg=key)
