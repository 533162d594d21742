"""Seq2Seq and Seq2Vec with lengths, resets, states, pooling and a convolution in front."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from model_gradients import check_model
from problems import randomize, same_bits
from rnnfast import init, models, nn, train

Array = np.ndarray[Any, np.dtype[Any]]

CONV = {"channels": 4, "kernel_size": 3, "stride": 2}
LENGTHS = np.array([9, 0, 6, 5])
KINDS: list[tuple[type[models.SequenceModel], dict[str, Any]]] = [
    (models.Seq2Seq, {}),
    (models.Seq2Vec, {}),
    (models.Seq2Vec, {"pooling": "mean"}),
    (models.Seq2Vec, {"pooling": "max"}),
]
FRONTS: list[dict[str, Any]] = [{}, {"conv": CONV}, {"conv": {**CONV, "dilation": 2, "activation": "tanh"}}]


def make(kind: type[models.SequenceModel], dtype: type = np.float32, **options: Any) -> Any:
    model = kind(3, 5, 2, **{"num_layers": 2, "cell": "gru", "dtype": dtype, "seed": 7, **options})
    randomize(model)
    return model


def sequences(dtype: type = np.float32, batch: int = 4, steps: int = 9) -> Array:
    return np.random.default_rng(0).standard_normal((batch, steps, 3)).astype(dtype)


def cuts(batch: int = 4, steps: int = 9) -> Array:
    resets = np.random.default_rng(1).random((batch, steps)) < 0.3
    resets[0, :2] = (True, False)
    return resets


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("front", FRONTS, ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize(
    "layers", [{"cell": "lstm"}, {"bidirectional": True, "dropout": 0.3}, {"cell": "rnn"}], ids=str
)
def test_gradients_are_central_differences(
    kind: Any, options: dict[str, Any], front: dict[str, Any], lengths: Any, layers: dict[str, Any]
) -> None:
    model = make(kind, np.float64, **options, **front, **layers)
    check_model(model, sequences(np.float64), lengths=lengths)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_with_resets(kind: Any, options: dict[str, Any], bidirectional: bool) -> None:
    model = make(kind, np.float64, bidirectional=bidirectional, trainable_state=True, **options)
    check_model(model, sequences(np.float64), lengths=LENGTHS, resets=cuts())


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_gradients_from_a_given_state(kind: Any, options: dict[str, Any]) -> None:
    model = make(kind, np.float64, cell="lstm", **options)
    random = np.random.default_rng(4)
    state = tuple(random.standard_normal((2, 4, 5)) for _ in range(2))
    check_model(model, sequences(np.float64), state=state, lengths=LENGTHS)
    x = sequences(np.float64)
    assert not same_bits(model(x, state), model(x))


def as_written(model: Any, x: Array, lengths: Array) -> Array:
    """The model sample by sample, each without its padding."""
    rows = []
    for row, length in zip(x, lengths, strict=True):
        steps = row[None, :length]
        if model.conv is not None:
            kept = model.conv.output_steps(int(length))
            steps = model.conv(steps) if kept else np.zeros((1, 0, 4), x.dtype)
        hidden, state = model.recurrent(steps)
        pooling = getattr(model, "pooling", None)
        if pooling is None:
            rows.append(model.head(hidden[0]))
        elif pooling == "last":
            h = state if isinstance(state, np.ndarray) else state[0]
            rows.append(model.head(np.concatenate(list(h[-model.recurrent.num_directions :]), axis=1))[0])
        elif hidden.shape[1] == 0:
            rows.append(model.head(np.zeros((1, hidden.shape[2]), x.dtype))[0])
        else:
            pooled = hidden.mean(axis=1) if pooling == "mean" else hidden.max(axis=1)
            rows.append(model.head(pooled)[0])
    if getattr(model, "pooling", None) is not None:
        return np.stack(rows)
    result = np.zeros((len(x), max(map(len, rows)), 2), x.dtype)
    for n, row in enumerate(rows):
        result[n, : len(row)] = row
    return result


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("front", FRONTS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_only_real_steps_count(
    kind: Any, options: dict[str, Any], front: dict[str, Any], bidirectional: bool
) -> None:
    model = make(kind, np.float64, bidirectional=bidirectional, cell="lstm", **options, **front)
    x = sequences(np.float64)
    y = model(x, lengths=LENGTHS)
    np.testing.assert_allclose(y, as_written(model, x, LENGTHS), rtol=1e-12, atol=1e-13)
    behind = np.arange(9) >= LENGTHS[:, None]
    gradients = []
    for value in (0.0, np.nan, np.inf, 1e3):
        x[behind] = value
        assert same_bits(model(x, lengths=LENGTHS), y)
        again, tape = model.forward(x, lengths=LENGTHS.tolist())
        assert same_bits(again, y)
        model.zero_grad()
        dx = model.backward(tape, np.ones_like(y))
        assert not dx[behind].any()
        assert dx[~behind].any()
        assert (x[behind] == value).all() or np.isnan(x[behind]).all()  # the caller's array is as it was
        gradients.append([dx, *(parameter.grad.copy() for parameter in model.parameters())])
    assert all(np.isfinite(gradient).all() for gradient in gradients[0])
    for found in gradients[1:]:
        assert all(map(same_bits, found, gradients[0]))


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_sequences_shorter_than_the_kernel_are_named(kind: Any) -> None:
    model, x = make(kind, conv={**CONV, "dilation": 2}), sequences()
    message = (
        rf"{kind.__name__}.forward: lengths must be 0, or 5 or more, as conv reads as many steps for one "
        r"output, got 4 at n=1 and 1 more; leave such sequences out, pad them in front"
    )
    with pytest.raises(ValueError, match=message):
        model.forward(x, lengths=[9, 4, 0, 1])
    with pytest.raises(ValueError, match=r"got 4 at n=0; leave"):
        model(x, lengths=[4, 5, 9, 0])
    assert np.isfinite(model(x, lengths=[5, 9, 0, 0])).all()


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("front", FRONTS[:2], ids=str)
@pytest.mark.parametrize("size", [1, 5])
def test_a_sample_does_not_see_its_mates_or_its_padding(
    kind: Any, options: dict[str, Any], front: dict[str, Any], size: int
) -> None:
    """With one unit too, where NumPy would sum in pairs over all of an array."""
    model = kind(3, size, 2, cell="gru", seed=7, **options, **front)
    x, lengths = sequences(batch=40, steps=35), np.random.default_rng(2).integers(0, 36, 40)
    lengths[(lengths > 0) & (lengths < 3)] = 3  # as few as the convolution takes
    lengths[:5] = (0, 35, 33, 34, 12)
    whole = model.predict(x, lengths=lengths)
    for batch_size in (1, 7, 39):
        assert same_bits(model.predict(x, lengths=lengths, batch_size=batch_size), whole)
    for n in (2, 3, 4):
        alone = model(x[n : n + 1], lengths=lengths[n : n + 1])
        assert same_bits(alone[0], whole[n])
    padded = model(np.concatenate([x, np.ones((40, 300, 3), np.float32)], axis=1), lengths=lengths)
    assert same_bits(padded[:, : whole.shape[1]] if kind is models.Seq2Seq else padded, whole)
    with np.errstate(invalid="ignore"):
        x[5] = np.nan
        bad = model(x, lengths=lengths)
    assert same_bits(np.delete(bad, 5, axis=0), np.delete(whole, 5, axis=0))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_resets_are_those_of_the_layers(kind: Any, options: dict[str, Any]) -> None:
    model = make(kind, **options)
    x, resets = sequences(), np.zeros((4, 9), bool)
    resets[:, 4] = True
    late = model(x[:, 4:])
    y = model(x, resets=resets)
    if kind is models.Seq2Seq:
        assert same_bits(y[:, 4:], late)
        assert same_bits(y[:, :4], model(x[:, :4]))
    elif model.pooling == "last":
        assert same_bits(y, late)
    else:
        assert not same_bits(y, model(x))


def test_output_behind_the_end_is_zero_and_its_gradient_is_not_read() -> None:
    model, x = make(models.Seq2Seq), sequences()
    y, tape = model.forward(x, lengths=LENGTHS)
    behind = np.arange(9) >= LENGTHS[:, None]
    assert not y[behind].any()
    assert y[~behind].all()
    dy = np.where(behind[:, :, None], np.float32(np.nan), np.ones_like(y))
    dx = model.backward(tape, dy)
    gradients = [parameter.grad.copy() for parameter in model.parameters()]
    model.zero_grad()
    _, tape = model.forward(x, lengths=LENGTHS)
    assert same_bits(model.backward(tape, np.where(behind[:, :, None], np.float32(0), dy)), dx)
    assert all(map(same_bits, gradients, [parameter.grad for parameter in model.parameters()]))
    assert np.isfinite(dx).all()


def test_of_equal_maxima_the_first_gets_the_gradient() -> None:
    model = make(models.Seq2Vec, num_layers=1, pooling="max", cell="rnn", activation="relu")
    model.recurrent.bias_ih_l0.data = np.full(5, -100)  # all units are 0 at all steps
    readout = model._readout
    hidden, _ = model.recurrent(sequences())
    assert not hidden.any()
    _, kept = readout.forward(hidden, None, LENGTHS)
    dhidden, _ = readout.backward(kept, np.ones((4, 5), np.float32))
    assert dhidden[:, 0].all()
    assert not dhidden[:, 1:].any()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooling_nothing_gives_zero(pooling: str) -> None:
    model, x = make(models.Seq2Vec, pooling=pooling), sequences()
    bias = np.broadcast_to(model.head.bias.data, (4, 2))
    assert same_bits(model(x, lengths=np.zeros(4, np.int64)), bias.copy())
    assert same_bits(model(x[:, :0]), bias.copy())
    y, tape = model.forward(x[:, :0])
    assert model.backward(tape, y).shape == (4, 0, 3)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("front", FRONTS[:2], ids=str)
def test_no_samples(kind: Any, options: dict[str, Any], front: dict[str, Any]) -> None:
    model = make(kind, **options, **front)
    y, tape = model.forward(sequences()[:0], lengths=[])
    assert y.shape == ((0, 4 if front else 9, 2) if kind is models.Seq2Seq else (0, 2))
    assert model.backward(tape, y).shape == (0, 9, 3)


def test_a_convolution_in_front_is_its_layer() -> None:
    x = sequences()
    model = make(models.Seq2Seq, conv=CONV)
    front = nn.Conv1d(3, 4, 3, stride=2, padding="valid", activation="relu")
    front.load_state_dict(model.conv.state_dict())
    assert same_bits(model(x), model.head(model.recurrent(front(x))[0]))
    assert model(x).shape == (4, 4, 2)
    assert [name for name, _ in model.named_parameters()][:2] == ["conv.weight", "conv.bias"]


def test_seeds_are_those_they_always_were() -> None:
    """The first two of the model's seeds are of the layers and the head, with a convolution in front too."""
    layer_seed, head_seed = init.child_seeds(3, 2)
    plain = models.Seq2Seq(4, 5, 2, seed=3).state_dict()
    fronted = models.Seq2Seq(3, 5, 2, conv=CONV, seed=3).state_dict()
    assert all(same_bits(fronted[name], array) for name, array in plain.items())
    layer, head = nn.GRU(4, 5, seed=layer_seed).state_dict(), nn.Linear(5, 2, seed=head_seed).state_dict()
    assert all(same_bits(plain[f"recurrent.{name}"], array) for name, array in layer.items())
    assert all(same_bits(plain[f"head.{name}"], array) for name, array in head.items())


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
@pytest.mark.parametrize("front", FRONTS, ids=str)
@pytest.mark.parametrize("cell_name", ["gru", "lstm"])
def test_blocks_of_a_stream_are_the_whole(kind: Any, front: dict[str, Any], cell_name: str) -> None:
    model, x = make(kind, cell=cell_name, **front), sequences(steps=12)
    whole = model(x)
    for places in ([0, 12], list(range(13)), [0, 1, 1, 6, 12]):
        state = model.stream_state(4)
        blocks = [model.stream_process(x[:, a:b], state) for a, b in pairwise(places)]
        streamed = np.concatenate(blocks, axis=1) if kind is models.Seq2Seq else blocks[-1]
        assert same_bits(streamed, whole)


def test_streams_refuse_what_has_to_see_the_end() -> None:
    with pytest.raises(ValueError, match=r"Seq2Vec.stream_state: pooling must be 'last' .*got 'mean'"):
        make(models.Seq2Vec, pooling="mean").stream_state(2)
    with pytest.raises(ValueError, match=r"stream_state: bidirectional must be False"):
        make(models.Seq2Seq, bidirectional=True).stream_state(2)


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_pieces_with_lengths_and_resets_are_the_whole(kind: Any) -> None:
    model, x, resets = make(kind, cell="lstm"), sequences(), cuts()
    whole = model(x, lengths=LENGTHS, resets=resets)
    state, parts = None, []
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        real = np.clip(LENGTHS - start, 0, stop - start)
        piece = {"lengths": real, "resets": resets[:, start:stop], "training": False}
        y, state, tape = model.forward_piece(x[:, start:stop], state, **piece)
        assert tape is None
        parts.append(y)
    assert same_bits(np.concatenate(parts, axis=1) if kind is models.Seq2Seq else parts[-1], whole)


def test_what_cannot_run_in_pieces_says_so() -> None:
    for options, message in (
        ({"conv": CONV}, r"Seq2Vec.piece_outputs: conv must be None .*'kernel_size': 3"),
        ({"pooling": "max"}, r"Seq2Vec.piece_outputs: pooling must be 'last' .*got 'max'"),
        ({"bidirectional": True}, r"Seq2Vec.piece_outputs: bidirectional must be False"),
    ):
        model = make(models.Seq2Vec, **options)
        with pytest.raises(ValueError, match=message):
            model.piece_outputs()
        with pytest.raises(ValueError, match=message.replace("piece_outputs", "forward_piece")):
            model.forward_piece(sequences())
        with pytest.raises(ValueError, match=rf"train.fit: bptt must be None for this model.*{message}"):
            train.fit(model, (sequences(), np.ones((4, 2), np.float32)), bptt=3, verbose=0)


@pytest.mark.parametrize(
    ("conv", "error", "message"),
    [
        (4, TypeError, r"Seq2Seq: conv must be a dict with channels and kernel_size, or None, got 4"),
        ({"channels": 4}, TypeError, r"Seq2Seq: conv must have kernel_size, got channels"),
        ({}, TypeError, r"Seq2Seq: conv must have channels, got nothing"),
        ({**CONV, "strides": 2}, TypeError, r"conv must have names among channels, .*got 'strides'"),
        ({**CONV, "channels": 0}, ValueError, r"Seq2Seq: channels of conv must be 1 or more, got 0"),
        ({**CONV, "stride": 0}, ValueError, r"Conv1d: stride must be 1 or more, got 0"),
        ({**CONV, "activation": "gelu"}, ValueError, r"Conv1d: activation must be .*got 'gelu'"),
    ],
)
def test_settings_of_the_convolution_are_checked(conv: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make(models.Seq2Seq, conv=conv)


def test_inputs_are_checked() -> None:
    x = sequences()
    with pytest.raises(ValueError, match=r"Seq2Vec: pooling must be 'last', 'mean' or 'max', got 'sum'"):
        make(models.Seq2Vec, pooling="sum")
    plain, fronted = make(models.Seq2Seq), make(models.Seq2Seq, conv=CONV)
    with pytest.raises(ValueError, match=r"GRU.forward: lengths must be in 0..T=9, got 10 at n=1"):
        plain(x, lengths=[9, 10, 9, 9])
    with pytest.raises(ValueError, match=r"Seq2Seq.forward: lengths must be in 0..T=9, got 10 at n=1"):
        fronted(x, lengths=[9, 10, 9, 9])
    with pytest.raises(ValueError, match=r"Seq2Seq.forward: resets must be None with conv"):
        fronted(x, resets=cuts())
    with pytest.raises(ValueError, match=r"Seq2Seq.forward: x must have 3 or more steps"):
        fronted(x[:, :2])
    with pytest.raises(ValueError, match=r"Seq2Seq.forward: x must have shape .*input_size.*got \(4, 9, 2\)"):
        fronted(x[:, :, :2], lengths=LENGTHS)
    y, tape = plain.forward(x, lengths=LENGTHS)
    with pytest.raises(ValueError, match=r"Seq2Seq.backward: dy must have shape .*got \(4, 8, 2\)"):
        plain.backward(tape, y[:, :8])
    assert plain.backward(tape, y).shape == x.shape


def test_summary_shows_the_parts_and_their_totals() -> None:
    lines = make(models.Seq2Vec, conv=CONV, num_layers=1).summary().splitlines()
    assert lines[0] == "Seq2Vec"
    assert [line.split() for line in lines[1:] if not line.startswith("  ")] == [
        ["conv", "Conv1d", "40"],
        ["recurrent", "GRU", "165"],
        ["head", "Linear", "12"],
        ["total", "217"],
    ]
    assert [line.split() for line in lines if line.startswith("  weight ")] == [
        ["weight", "(4,", "3,", "3)", "36"],
        ["weight", "(2,", "5)", "10"],
    ]
