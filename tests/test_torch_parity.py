"""Layers against PyTorch, an independent implementation: same state dict, same numbers, same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnfast import nn

LAYERS = {
    "RNN": ({}, {}),
    "RNN-relu": ({"activation": "relu"}, {"nonlinearity": "relu"}),
    "LSTM": ({}, {}),
    "GRU": ({}, {}),
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "bias": False},
    {"bidirectional": True, "batch_first": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_that_of_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    own, theirs = LAYERS[name]
    class_name = name.split("-")[0]
    layer = getattr(nn, class_name)(5, 7, dtype=np.float64, seed=0, **own, **options)
    peer_options = {"batch_first": True, **options, "dtype": torch.float64, **theirs}
    peer = getattr(torch.nn, class_name)(5, 7, **peer_options)
    assert [key for key, _ in peer.named_parameters()] == [key for key, _ in layer.named_parameters()]
    layer.load_state_dict({key: value.numpy() for key, value in peer.state_dict().items()})

    random = np.random.default_rng(1)
    lead = (4, 6) if options.get("batch_first", True) else (6, 4)
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [random.standard_normal((count, 4, 7)) for _ in layer.cell.states]
    x = random.standard_normal((*lead, 5))
    state = tuple(states) if len(states) > 1 else states[0]
    y, final, tape = layer.forward(x, state)
    dy = random.standard_normal(y.shape)
    dfinal = [random.standard_normal(s.shape) for s in states]
    dx, dstate = layer.backward(tape, dy, tuple(dfinal) if len(states) > 1 else dfinal[0])

    tracked = [torch.from_numpy(array).requires_grad_() for array in (x, *states)]
    peer_y, peer_final = peer(tracked[0], tuple(tracked[1:]) if len(states) > 1 else tracked[1])
    peer_finals = peer_final if len(states) > 1 else (peer_final,)
    loss = (peer_y * torch.from_numpy(dy)).sum()
    for array, gradient in zip(peer_finals, dfinal, strict=True):
        loss = loss + (array * torch.from_numpy(gradient)).sum()
    loss.backward()

    finals = final if len(states) > 1 else (final,)
    dstates = dstate if len(states) > 1 else (dstate,)
    pairs = [(y, peer_y), *zip(finals, peer_finals, strict=True), (dx, tracked[0].grad)]
    pairs += [(mine, array.grad) for mine, array in zip(dstates, tracked[1:], strict=True)]
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), peer.parameters(), strict=True)]
    for mine, other in pairs:
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-10, atol=1e-11)
