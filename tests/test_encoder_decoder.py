"""The encoder–decoder: its equations, gradients of every kind of it, and every way to decode."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import losses, models, nn, optim, reference, train
from rnnfast.models.decoding import at_temperature, log_softmax, uniforms

Array = np.ndarray[Any, np.dtype[Any]]
ATTENTIONS = [None, "luong", "bahdanau"]
EVERY_ATTENTION = pytest.mark.parametrize("attention", ATTENTIONS, ids=str)
EVERY_TARGET = pytest.mark.parametrize("target", ["tokens", "values"])
LENGTHS = [4, 1, 0, 3]
END = 0


def make(dtype: type = np.float64, **options: Any) -> models.EncoderDecoder:
    """6 source tokens or features, 5 target tokens or values, random weights."""
    end = END if options.get("target", "tokens") == "tokens" else None
    model = models.EncoderDecoder(6, 5, 4, **{"dtype": dtype, "seed": 1, "end_token": end, **options})
    randomize(model, seed=2)
    for name, parameter in model.named_parameters():
        if "attention" in name or "embedding" in name:
            parameter.data *= 2  # with less nearly all is looked at alike, and gradients drown in rounding
    return model


def lively(model: models.EncoderDecoder) -> models.EncoderDecoder:
    """The model with weights so large that what it puts out changes from step to step."""
    for parameter in model.parameters():
        parameter.data *= 8
    return model


def inputs(model: models.EncoderDecoder, batch: int = 4) -> dict[str, Any]:
    """Source, target and, where the model has them, start and covariates."""
    random, settings = np.random.default_rng(3), model.arguments
    dtype = np.dtype(settings["dtype"])

    def draw(kind: str, steps: int, size: int) -> Array:
        if kind == "tokens":
            return random.integers(0, size, (batch, steps))
        return random.standard_normal((batch, steps, size)).astype(dtype)

    found = {"source": draw(settings["source"], 4, 6), "target": draw(settings["target"], 3, 5)}
    if settings["target"] == "values":
        found["start"] = draw("values", 1, 5)[:, 0]
    if settings["future_size"]:
        found["future"] = draw("values", 3, settings["future_size"])
    return found


def known(model: models.EncoderDecoder, batch: int = 4) -> dict[str, Any]:
    """`inputs` without the target."""
    return {name: array for name, array in inputs(model, batch).items() if name != "target"}


def check(model: models.EncoderDecoder, **changes: Any) -> None:
    """The gradients of all parameters, and of a source of values, are central differences."""
    given = {**inputs(model), **changes}
    parameters = model.state_dict()
    start = model.random_state()
    y, tape = model.forward(**given)
    dy = np.random.default_rng(4).standard_normal(y.shape)
    dsource = model.backward(tape, dy)
    at = dict(parameters)
    gradients = {name: parameter.grad.copy() for name, parameter in model.named_parameters()}
    assert (dsource is None) == (model.arguments["source"] == "tokens")
    if dsource is not None:
        at["source"], gradients["source"] = given["source"], dsource

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict({name: arrays[name] for name in parameters})
        model.set_random_state(start)
        changed = {"source": arrays["source"]} if "source" in arrays else {}
        return (model.forward(**{**given, **changed})[0],)

    check_gradients(outputs, (dy,), at, gradients)


@EVERY_ATTENTION
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "two directions"])
@pytest.mark.parametrize(("source", "target"), [("tokens", "tokens"), ("values", "values")])
@pytest.mark.parametrize("sampling", [0.0, 0.5])
def test_gradients_are_central_differences(
    attention: str | None, cell: str, bidirectional: bool, source: str, target: str, sampling: float
) -> None:
    kinds = {"source": source, "target": target, "sampling": sampling}
    check(make(cell=cell, attention=attention, bidirectional=bidirectional, **kinds), lengths=LENGTHS)


@EVERY_ATTENTION
@pytest.mark.parametrize("sampling", [0.0, 1.0])
def test_gradients_with_all_options(attention: str | None, sampling: float) -> None:
    model = make(
        num_layers=2, cell="lstm", attention=attention, bidirectional=True, source="values", target="values",
        future_size=2, sampling=sampling, dropout=0.2, input_dropout=0.2, recurrent_dropout=0.2,
        weight_dropout=0.2, zoneout=0.2, proj_size=3, layer_norm="split", trainable_state=True,
        conv={"channels": 3, "kernel_size": 2, "activation": "tanh"},
    )  # fmt: skip
    check(model, lengths=[4, 2, 0, 3])


@EVERY_ATTENTION
def test_gradients_of_the_mixed_kinds(attention: str | None) -> None:
    check(make(attention=attention, source="values", start_token=2, future_size=1))
    check(make(attention=attention, target="values", embedding_size=3))


def step_by_step(model: models.EncoderDecoder, given: Mapping[str, Any], lengths: Any) -> Array:
    """What the equations give for a model of one layer without regularisers, float64."""
    settings, names = model.arguments, dict(model.state_dict())
    cell = settings["cell"]

    def of(part: str) -> dict[str, Array]:
        return {name.removeprefix(part): array for name, array in names.items() if name.startswith(part)}

    x = given["source"]
    if settings["source"] == "tokens":
        x = names["encoder.embedding.weight"][x]
    both = settings["bidirectional"]
    layers = of("encoder.recurrent.")
    memory, state = reference.recurrent_layers(cell, x, None, layers, bidirectional=both, lengths=lengths)
    if both:
        joined = [np.concatenate([part[0], part[1]], axis=1) for part in state]
        bridges = [of(f"encoder.bridge_{name}_l0.") for name in reference.CELLS[cell].states]
        state = [
            reference.linear(h, b["weight"], b["bias"])[None] for h, b in zip(joined, bridges, strict=True)
        ]
    tokens = settings["target"] == "tokens"
    start = settings["start_token"] if settings["start_token"] is not None else 5
    read = np.full(len(x), start) if tokens else given["start"]
    y = []
    for t in range(given["target"].shape[1]):
        x_t = names["decoder.embedding.weight"][read] if tokens else read
        if "future" in given:
            x_t = np.concatenate([x_t, given["future"][:, t]], axis=1)
        y_t, state, _ = reference.decoder_step(
            cell, x_t, state, of("decoder."), memory, attention=settings["attention"], lengths=lengths
        )
        y.append(y_t)
        read = given["target"][:, t]
    return np.stack(y, axis=1)


@EVERY_ATTENTION
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "two directions"])
@pytest.mark.parametrize(("source", "target"), [("tokens", "tokens"), ("values", "values")])
def test_forward_is_the_reference(
    attention: str | None, cell: str, bidirectional: bool, source: str, target: str, dtype: type
) -> None:
    options = {"attention": attention, "cell": cell, "bidirectional": bidirectional, "future_size": 2}
    model = make(
        dtype, source=source, target=target, start_token=3 if target == "tokens" else None, **options
    )
    tolerance = 1e-12 if dtype is np.float64 else 5e-5
    for lengths in (None, LENGTHS):
        given = inputs(model)
        y, _ = model.forward(**given, lengths=lengths)
        expected = step_by_step(model, given, lengths)
        np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
        assert same_bits(model.forward(**given, lengths=lengths, training=False)[0], y)


@EVERY_ATTENTION
@EVERY_TARGET
def test_the_target_is_read_one_step_late(attention: str | None, target: str) -> None:
    model = make(attention=attention, target=target)
    given = inputs(model)
    y, _ = model.forward(**given)
    changed = given["target"].copy()
    changed[:, 1] = (changed[:, 1] + 1) % 5
    other, _ = model.forward(**{**given, "target": changed})
    assert same_bits(y[:, :2], other[:, :2])
    assert (y[:, 2] != other[:, 2]).all()


@EVERY_ATTENTION
@EVERY_TARGET
def test_forced_and_decoded_steps_have_the_same_bits(attention: str | None, target: str, dtype: type) -> None:
    model = make(dtype, attention=attention, target=target, num_layers=2, cell="lstm", end_token=None)
    if target == "tokens":
        lively(model)
    given = known(model)
    if target == "tokens":
        tokens = model.greedy(**given, steps=6, lengths=LENGTHS).tokens
        y, _ = model.forward(given["source"], tokens, lengths=LENGTHS)
        assert len(np.unique(tokens)) > 1
        assert np.array_equal(y.argmax(axis=-1), tokens)
        assert same_bits(model.decode(**given, steps=6, lengths=LENGTHS), tokens)
    else:
        tokens = model.decode(**given, steps=6, lengths=LENGTHS)
        y, _ = model.forward(**given, target=tokens, lengths=LENGTHS)
        assert same_bits(y, tokens)
    # So is what is read where the decoder always reads its own outputs.
    model.sampling = 1.0
    own, _ = model.forward(**given, target=np.zeros_like(tokens), lengths=LENGTHS)
    assert same_bits(own, y)
    assert same_bits(model.forward(**given, target=tokens, lengths=LENGTHS, training=False)[0], y)


def test_sampling_mixes_targets_and_own_outputs() -> None:
    model = make(target="values", sampling=0.5)
    given = inputs(model, batch=50)
    start = model.random_state()
    y, _ = model.forward(**given)
    model.sampling = 0.0
    forced, _ = model.forward(**given)
    model.sampling = 1.0
    own, _ = model.forward(**given)
    assert same_bits(np.ascontiguousarray(y[:, 0]), np.ascontiguousarray(forced[:, 0]))
    as_forced = (y[:, 1] == forced[:, 1]).all(axis=1)
    assert 10 < as_forced.sum() < 40
    assert np.array_equal(as_forced, (y[:, 1] != own[:, 1]).any(axis=1))
    model.sampling = 0.5
    assert not same_bits(model.forward(**given)[0], y)
    model.set_random_state(start)
    assert same_bits(model.forward(**given)[0], y)


def test_steps_of_one_sequence_share_its_masks(cell: str) -> None:
    options = {"input_dropout": 0.3, "recurrent_dropout": 0.3, "weight_dropout": 0.3}
    layer = nn.Recurrent(cell, 3, 8, 2, seed=0, **options)
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    whole, *_ = layer.forward(x)
    layer.counter.call = 0
    state, steps = layer.init_state(2), []
    with layer.counter.sequence():
        for t in range(5):
            y, state, _ = layer.forward(x[:, t : t + 1], state)
            steps.append(y)
    assert same_bits(np.concatenate(steps, axis=1), whole)
    layer.counter.call = 1
    y, *_ = layer.forward(x[:, :1])
    assert not same_bits(y, steps[0])
    # Sequences within sequences have masks of their own, and leave the outer ones as they were.
    layer.counter.call = 0
    state, steps = layer.init_state(2), []
    with layer.counter.sequence():
        for t in range(5):
            y, state, _ = layer.forward(x[:, t : t + 1], state)
            steps.append(y)
            with layer.counter.sequence():
                inner, *_ = layer.forward(x[:, :1])
            assert not same_bits(inner, steps[0])
    assert same_bits(np.concatenate(steps, axis=1), whole)
    # What is drawn anew at every step is not the same at two steps.
    layer = nn.Recurrent(cell, 3, 8, 2, seed=0, dropout=0.5)
    state = layer.init_state(2)
    with layer.counter.sequence():
        first, *_ = layer.forward(x[:, :1], state)
        assert not same_bits(layer.forward(x[:, :1], state)[0], first)


@EVERY_ATTENTION
@EVERY_TARGET
def test_steps_one_by_one_have_the_masks_of_the_whole(attention: str | None, target: str) -> None:
    rates = {"input_dropout": 0.3, "recurrent_dropout": 0.3, "weight_dropout": 0.3}
    model = make(attention=attention, target=target, num_layers=2, **rates)
    given, start = inputs(model), model.random_state()
    y, tape = model.forward(**given)
    model.backward(tape, y)
    gradient = model.flatten().grad.copy()
    model.set_random_state(start)
    model.zero_grad()
    model.sampling = 1e-12  # no step reads its own output, but each might
    steps, tape = model.forward(**given)
    assert same_bits(steps, y)
    model.backward(tape, y)
    np.testing.assert_allclose(model.flatten().grad, gradient, rtol=1e-9, atol=1e-12)


@EVERY_ATTENTION
@EVERY_TARGET
def test_batch_mates_padding_and_threads_do_not_matter(attention: str | None, target: str) -> None:
    model = lively(make(np.float32, attention=attention, target=target, bidirectional=True))
    given, lengths = known(model), np.array(LENGTHS)

    def decoded(rows: slice, **changes: Any) -> list[Any]:
        own = {name: array[rows] for name, array in given.items()} | changes
        if target == "values":
            return [*model.decode(**own, steps=5, lengths=lengths[rows], return_attention=True)]
        found = model.greedy(**own, steps=5, lengths=lengths[rows])
        best = model.beam_search(**own, steps=5, beam_size=3, lengths=lengths[rows])
        return [*found, *best]

    def same(whole: Array | None, part: Array | None, rows: slice) -> bool:
        return part is None if whole is None else part is not None and same_bits(whole[rows], part)

    whole = decoded(slice(None))
    assert all(array is not None for array in whole) == (attention is not None)
    for n in range(4):
        rows = slice(n, n + 1)
        assert all(same(a, b, rows) for a, b in zip(whole, decoded(rows), strict=True))
    spoiled = given["source"].copy()
    for n, length in enumerate(LENGTHS):
        spoiled[n, length:] = 77 if model.arguments["source"] == "tokens" else np.nan
    assert all(
        same(a, b, slice(None)) for a, b in zip(whole, decoded(slice(None), source=spoiled), strict=True)
    )
    rnnfast.set_num_threads(2)
    assert all(same(a, b, slice(None)) for a, b in zip(whole, decoded(slice(None)), strict=True))
    predicted = model.predict(**given, steps=5, lengths=lengths, batch_size=3)
    assert same_bits(predicted, whole[0])
    assert same_bits(model(**given, steps=5, lengths=lengths), whole[0])


def test_padding_of_values_may_hold_anything() -> None:
    model = make(source="values", attention="luong", conv={"channels": 3, "kernel_size": 2})
    given, lengths = inputs(model), [4, 2, 0, 3]
    spoiled = given["source"].copy()
    for n, length in enumerate(lengths):
        spoiled[n, length:] = np.nan
    y, tape = model.forward(**given, lengths=lengths)
    other, spoiled_tape = model.forward(**{**given, "source": spoiled}, lengths=lengths)
    assert same_bits(y, other)
    dsource = model.backward(spoiled_tape, y)
    gradient = model.flatten().grad.copy()
    model.zero_grad()
    assert same_bits(dsource, model.backward(tape, y))
    assert same_bits(gradient, model.flatten().grad)
    assert all((dsource[n, length:] == 0).all() for n, length in enumerate(lengths))


@EVERY_ATTENTION
def test_one_beam_and_low_temperatures_are_greedy(attention: str | None) -> None:
    model = lively(make(attention=attention))
    source = np.random.default_rng(0).integers(0, 6, (20, 4))
    greedy = model.greedy(source, 6)
    assert len(set(greedy.lengths.tolist())) > 1
    for penalty in (0.0, 1.5):
        beam = model.beam_search(source, 6, 1, length_penalty=penalty)
        assert all(
            b is None if a is None else same_bits(a, b[:, 0]) for a, b in zip(greedy, beam, strict=True)
        )
    cold = model.sample(source, 6, temperature=1e-9, seed=0)
    assert all(b is None if a is None else same_bits(a, b) for a, b in zip(greedy, cold, strict=True))


@EVERY_ATTENTION
def test_decoded_sequences_end_with_the_end_token(attention: str | None) -> None:
    model = make(attention=attention)
    source = np.random.default_rng(0).integers(0, 6, (30, 4))
    found = model.sample(source, 6, seed=1)
    assert 1 in found.lengths
    for n, length in enumerate(found.lengths):
        assert (found.tokens[n, : length - 1] != END).all()
        assert (found.tokens[n, length:] == END).all()
        assert length == 6 or found.tokens[n, length - 1] == END
    logits, _ = model.forward(source, found.tokens)
    steps = np.take_along_axis(
        log_softmax(logits.reshape(-1, 5)).reshape(30, 6, 5), found.tokens[..., None], 2
    )
    real = np.arange(6) < found.lengths[:, None]
    total = np.where(real, steps[..., 0], 0).sum(axis=1)
    np.testing.assert_allclose(found.log_probabilities, total, rtol=1e-12)
    assert (found.attention_weights is None) == (attention is None)
    if found.attention_weights is not None:
        np.testing.assert_allclose(found.attention_weights.sum(axis=2), real, rtol=0, atol=1e-12)


def test_samples_follow_the_probabilities() -> None:
    model = make()
    one = np.array([[1, 2, 3, 4]])
    source = np.repeat(one, 4000, axis=0)
    logits, _ = model.forward(one, np.zeros((1, 1), np.int64))
    for temperature in (0.5, 1.0, 3.0):
        tokens = model.sample(source, 1, temperature=temperature, seed=5).tokens[:, 0]
        expected = np.exp(log_softmax(logits[:, 0] / temperature))[0]
        share = np.bincount(tokens, minlength=5) / len(tokens)
        assert np.abs(share - expected).max() < 4 * 0.5 / len(tokens) ** 0.5


def test_draws_belong_to_seed_and_sample() -> None:
    model = make()
    source = np.random.default_rng(0).integers(0, 6, (40, 4))
    tokens = model.sample(source, 5, seed=3).tokens
    assert same_bits(model.sample(source, 5, seed=3).tokens, tokens)
    assert same_bits(model.sample(source[:7], 5, seed=3).tokens, tokens[:7])
    assert not same_bits(model.sample(source, 5, seed=4).tokens, tokens)
    draws = uniforms(3, 5, 8)
    assert same_bits(uniforms(3, 9, 8)[:5], draws)
    assert same_bits(np.ascontiguousarray(uniforms(3, 5, 9)[:, :8]), draws)
    assert len(np.unique(draws)) == draws.size
    assert ((draws >= 0) & (draws < 1)).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nothing_is_drawn_from_logits_that_are_not_finite(wrong: float) -> None:
    choose = at_temperature(0.5, uniforms(0, 3, 4))
    logits = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    assert choose(logits, 2).shape == (3,)
    logits[1, 4] = wrong
    with pytest.raises(
        ValueError, match=rf"at_temperature: logits must be finite, got {wrong} for token 4 of "
    ):
        choose(logits, 2)
    model = make(np.float32)
    model.decoder.head.bias.data = np.full(5, wrong)
    with pytest.raises(
        ValueError, match=r"EncoderDecoder.sample: logits must .* for token 0 of sample 0 at step 0; look for"
    ):
        model.sample(np.array([[1, 2]]), 3, seed=0)


def every_sequence(tokens: int, steps: int) -> list[tuple[int, ...]]:
    """All sequences that decoding can give: ended by END, or of full length."""
    found = []
    for length in range(1, steps + 1):
        for sequence in product(range(tokens), repeat=length):
            if END not in sequence[:-1] and (sequence[-1] == END or length == steps):
                found.append(sequence)
    return found


@EVERY_ATTENTION
@pytest.mark.parametrize("penalty", [0.0, 0.8])
def test_wide_beams_find_the_best_of_all_sequences(attention: str | None, penalty: float) -> None:
    model = models.EncoderDecoder(6, 3, 4, attention=attention, end_token=END, dtype=np.float64, seed=1)
    randomize(model, seed=5)
    steps, source = 4, np.array([[1, 5, 2], [3, 0, 4]])
    sequences = every_sequence(3, steps)
    found = model.beam_search(source, steps, beam_size=len(sequences) + 2, length_penalty=penalty)
    for n in range(2):
        scores = {}
        for sequence in sequences:
            logits, _ = model.forward(source[n : n + 1], np.array([sequence]))
            rows = log_softmax(logits[0])
            total = sum(rows[t, token] for t, token in enumerate(sequence))
            scores[sequence] = (total / ((5 + len(sequence)) / 6) ** penalty, total)
        ranked = sorted(sequences, key=lambda sequence: -scores[sequence][0])
        for rank, sequence in enumerate(ranked):
            assert found.lengths[n, rank] == len(sequence)
            assert tuple(found.tokens[n, rank, : len(sequence)]) == sequence
            assert abs(found.log_probabilities[n, rank] - scores[sequence][1]) < 1e-12
        assert np.isneginf(found.log_probabilities[n, len(sequences) :]).all()


def test_a_narrow_beam_keeps_the_best_beginnings() -> None:
    """A second, plain search over lists, without ends."""
    model = lively(make(end_token=None, attention="luong"))
    source = np.array([[1, 5, 2, 0]])
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for _ in range(5):
        grown = []
        for total, sequence in beams:
            logits, _ = model.forward(source, np.array([[*sequence, 0]]))
            rows = log_softmax(logits[0])[-1]
            grown += [(total + rows[token], (*sequence, token)) for token in range(5)]
        beams = sorted(grown, reverse=True)[:3]
    found = model.beam_search(source, 5, beam_size=3)
    assert [tuple(row) for row in found.tokens[0]] == [sequence for _, sequence in beams]
    np.testing.assert_allclose(found.log_probabilities[0], [total for total, _ in beams], rtol=1e-12)
    weights = found.attention_weights
    forced = [model.greedy(source, 1).attention_weights]
    assert weights is not None
    assert forced[0] is not None
    assert weights.shape == (1, 3, 5, 4)
    assert all(same_bits(weights[0, beam, 0], forced[0][0, 0]) for beam in range(3))


def test_beams_carry_their_own_attention() -> None:
    model = lively(make(attention="bahdanau", end_token=None))
    source = np.array([[1, 5, 2, 0], [2, 2, 3, 1]])
    found = model.beam_search(source, 5, beam_size=4)
    assert found.attention_weights is not None
    names = {name.removeprefix("decoder."): array for name, array in model.state_dict().items()}
    for beam in range(4):
        memory, _, state, _ = model.encoder.forward(source, None, training=False)
        parts: Any = (state,)
        read = np.full(2, 5)
        for t in range(5):
            x = names["embedding.weight"][read]
            _, parts, p = reference.decoder_step("gru", x, parts, names, memory, attention="bahdanau")
            assert p is not None
            np.testing.assert_allclose(found.attention_weights[:, beam, t], p, rtol=1e-10)
            read = found.tokens[:, beam, t]


@EVERY_ATTENTION
@EVERY_TARGET
def test_nothing_to_do(attention: str | None, target: str) -> None:
    for sampling in (0.0, 1.0):
        model = make(attention=attention, target=target, bidirectional=True, sampling=sampling)
        for batch, steps, sources in ((0, 3, 4), (2, 0, 4), (2, 3, 0)):
            target_shape = (batch, steps) if target == "tokens" else (batch, steps, 5)
            wanted = np.zeros(target_shape, np.int64 if target == "tokens" else np.float64)
            source = np.ones((batch, sources), np.int64)
            y, tape = model.forward(source, wanted)
            assert y.shape == (batch, steps, 5)
            model.backward(tape, y)
            assert model.predict(source, steps).shape == target_shape
            if target == "tokens":
                assert model.sample(source, steps, seed=0).tokens.shape == target_shape
                assert model.beam_search(source, steps, 2).tokens.shape == (batch, 2, steps)


def test_streams_are_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match=r"EncoderDecoder.stream: .*after the whole source; call decode"):
        make().stream(1)


def test_a_source_shorter_than_the_kernel() -> None:
    model = make(source="values", conv={"channels": 3, "kernel_size": 6, "stride": 2})
    with pytest.raises(ValueError, match=r"EncoderDecoder.forward: source must have 6 or more steps"):
        model.forward(**inputs(model))
    for source in ("values", "tokens"):
        model = make(source=source, conv={"channels": 3, "kernel_size": 2})
        message = (
            r": lengths must be 0, or 2 or more, as conv reads .*, got 1 at n=1; leave such sequences out"
        )
        with pytest.raises(ValueError, match="EncoderDecoder.forward" + message):
            model.forward(**inputs(model), lengths=[4, 1, 0, 3])
        with pytest.raises(ValueError, match="EncoderDecoder.decode" + message):
            model.decode(**known(model), steps=2, lengths=[4, 1, 0, 3])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@EVERY_ATTENTION
def test_a_saved_model_comes_back(tmp_path: Path, attention: str | None, suffix: str) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    model = make(
        np.float32, attention=attention, num_layers=2, cell="lstm", bidirectional=True, source="values",
        target="values", future_size=1, sampling=0.25, dropout=0.1, zoneout=(0.1, 0.2), embedding_size=3,
        conv={"channels": 3, "kernel_size": np.int64(2)},
    )  # fmt: skip
    model.forward(**inputs(model))
    model.sampling = 0.5
    model.save(tmp_path / f"model{suffix}")
    loaded = rnnfast.load(tmp_path / f"model{suffix}")
    assert type(loaded) is models.EncoderDecoder
    assert loaded.arguments == model.arguments
    assert loaded.sampling == 0.5
    assert loaded.random_state() == model.random_state()
    assert same_bits(loaded.forward(**inputs(model))[0], model.forward(**inputs(model))[0])
    given = known(model)
    assert same_bits(loaded.decode(**given, steps=3), model.decode(**given, steps=3))
    tokens = make(attention=attention, start_token=np.int64(2), end_token=4)
    tokens.save(tmp_path / f"tokens{suffix}")
    loaded = rnnfast.load(tmp_path / f"tokens{suffix}")
    assert loaded.arguments == tokens.arguments
    assert same_bits(loaded.greedy([[1, 2]] @ np.eye(2, dtype=int), 4).tokens,
                     tokens.greedy(np.array([[1, 2]]), 4).tokens)  # fmt: skip


@EVERY_ATTENTION
def test_it_learns_to_turn_sequences_round(attention: str | None) -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 5, 256)
    source = random.integers(1, 6, (256, 4))
    target = np.zeros((256, 5), np.int64)
    for n, length in enumerate(lengths):
        target[n, :length] = source[n, :length][::-1]
    mask = np.arange(5) <= lengths[:, None]
    model = models.EncoderDecoder(6, 6, 24, attention=attention, end_token=END, sampling=0.1, seed=0)
    x = {"source": source, "target": target, "lengths": lengths}
    options = {"loss": "cross_entropy", "optimizer": optim.Adam(0.02), "epochs": 12, "verbose": 0}
    history = train.fit(model, (x, target, mask), **options).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    measured = train.evaluate(model, (x, target, mask), loss="cross_entropy")
    logits, _ = model.forward(**x, training=False)
    assert abs(measured["loss"] - losses.CrossEntropy().value(logits, target, mask)) < 1e-6
    tokens = model.predict(source, 5, lengths=lengths)
    assert (np.where(mask, tokens, 0) == target).all(axis=1).mean() > 0.5


def test_prediction_takes_a_dict_and_never_the_target() -> None:
    model = make()
    given = inputs(model)
    source, target = given["source"], given["target"]
    named = model.predict({"source": source, "lengths": LENGTHS, "future": None}, steps=5, batch_size=3)
    assert same_bits(named, model.decode(source, 5, lengths=LENGTHS))
    with pytest.raises(TypeError, match=r"EncoderDecoder.predict: source must .*got 'target'; pass steps"):
        model.predict({"source": source, "target": target})
    with pytest.raises(TypeError, match=r"EncoderDecoder.predict: steps must be an int"):
        model.predict(source)
    with pytest.raises(TypeError, match=r"EncoderDecoder.predict: source must have 'source'"):
        model.predict({"lengths": LENGTHS}, 5)
    with pytest.raises(ValueError, match=r"train.predict: .*use EncoderDecoder.predict\(source, steps\)"):
        train.predict(model, {"source": source, "target": target})


def test_a_model_lies_in_one_buffer_and_seeds_make_it() -> None:
    first, second, other = (models.EncoderDecoder(6, 5, 4, attention="luong", seed=s) for s in (1, 1, 2))
    (buffer,) = {id(parameter.buffer): parameter.buffer for parameter in first.parameters()}.values()
    assert first.flatten() is buffer
    assert same_bits(buffer.data, second.flatten().data)
    assert not same_bits(buffer.data, other.flatten().data)
    assert first.decoder.embedding.num_embeddings == 6  # type: ignore[union-attr]
    fixed = models.EncoderDecoder(6, 5, 4, start_token=0)
    assert fixed.decoder.embedding.num_embeddings == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"start_token": 5},
            ValueError,
            r"start_token must be a target token, 0\.\.4, got 5; raise target_size",
        ),
        ({"start_token": -1}, ValueError, "start_token must be 0 or more, got -1"),
        ({"start_token": 1.0}, TypeError, "start_token must be an int, got 1.0"),
        ({"end_token": 9}, ValueError, r"end_token must be a target token, 0\.\.4, got 9"),
        (
            {"target": "values", "end_token": 1},
            ValueError,
            "end_token must be None with target='values', got 1",
        ),
        ({"source": "words"}, ValueError, "source must be 'tokens' or 'values', got 'words'"),
        ({"attention": "dot"}, ValueError, "attention must be None, 'luong' or 'bahdanau', got 'dot'"),
        ({"sampling": 1.5}, ValueError, r"sampling must be in \[0, 1\], got 1.5"),
        ({"sampling": "0"}, TypeError, "sampling must be a float, got '0'"),
        ({"future_size": -1}, ValueError, "future_size must be 0 or more, got -1"),
        ({"embedding_size": 0}, ValueError, "embedding_size must be 1 or more, got 0"),
        ({"target_size": 0}, ValueError, "target_size must be 1 or more, got 0"),
        ({"source_size": 0}, ValueError, "source_size must be 1 or more, got 0"),
        ({"batch_first": False}, TypeError, "options must be the cell's own, got 'batch_first'"),
        ({"conv": {"channels": 3}}, TypeError, "conv must have kernel_size, got channels"),
    ],
    ids=str,
)
def test_arguments_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    sizes = {"source_size": 6, "target_size": 5, "hidden_size": 4}
    with pytest.raises(error, match=f"^EncoderDecoder: {message}"):
        models.EncoderDecoder(**{**sizes, **options})


def test_inputs_are_checked() -> None:
    model, values = make(), make(source="values", target="values", future_size=2)
    source, target = np.ones((2, 4), np.int64), np.ones((2, 3), np.int64)
    name = "EncoderDecoder.forward"
    for wrong, argument in ((6, "source"), (-1, "source"), (5, "target")):
        arrays = {"source": source.copy(), "target": target.copy()}
        arrays[argument][1, 2] = wrong
        most = 5 if argument == "source" else 4
        message = rf"{name}: {argument} must hold token numbers 0\.\.{most}, got {wrong} at index \(1, 2\)"
        with pytest.raises(ValueError, match=message):
            model.forward(**arrays)
    with pytest.raises(TypeError, match=f"{name}: source must be a NumPy array of ints.*got float64; pass"):
        model.forward(source.astype(float), target)
    with pytest.raises(TypeError, match=f"{name}: target must be a NumPy array of ints.*got list"):
        model.forward(source, [[1]])  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=rf"{name}: target must have shape \(N, steps\) = \(2, \*\), got \(3, 4\)"
    ):
        model.forward(source, np.ones((3, 4), np.int64))
    with pytest.raises(ValueError, match=rf"{name}: lengths must be in 0..T=4, got 5 at n=1"):
        model.forward(source, target, lengths=[4, 5])
    with pytest.raises(ValueError, match=rf"{name}: start must be None for a target of tokens"):
        model.forward(source, target, start=np.zeros((2, 5)))
    with pytest.raises(ValueError, match=rf"{name}: future must be None for a model with future_size=0"):
        model.forward(source, target, future=np.zeros((2, 3, 1)))
    given = inputs(values)
    with pytest.raises(TypeError, match=rf"{name}: source must have dtype float64, got float32"):
        values.forward(**{**given, "source": given["source"].astype(np.float32)})
    with pytest.raises(
        ValueError, match=rf"{name}: target must have shape .*= \(4, \*, 5\), got \(4, 3, 2\)"
    ):
        values.forward(**{**given, "target": given["target"][:, :, :2]})
    with pytest.raises(ValueError, match=rf"{name}: start must have shape .*= \(4, 5\), got \(5,\)"):
        values.forward(**{**given, "start": given["start"][0]})
    with pytest.raises(TypeError, match=rf"{name}: future must be a NumPy array .*got NoneType"):
        values.forward(**{**given, "future": None})
    with pytest.raises(ValueError, match=r"decode: future must have shape .*= \(4, 5, 2\), got \(4, 3, 2\)"):
        values.decode(**known(values), steps=5)
    y, tape = model.forward(source, target)
    with pytest.raises(ValueError, match=r"EncoderDecoder.backward: dy must have shape .*got \(2, 3, 4\)"):
        model.backward(tape, y[:, :, :4])
    model.backward(tape, y)
    with pytest.raises(RuntimeError, match=r"EncoderDecoder.backward: tape must be used once"):
        model.backward(tape, y)


def test_ways_to_decode_check_their_arguments() -> None:
    model, source = make(), np.ones((2, 4), np.int64)
    values = make(target="values")
    for name in ("greedy", "sample", "decode"):
        with pytest.raises(ValueError, match=rf"EncoderDecoder.{name}: steps must be 0 or more, got -1"):
            getattr(model, name)(source, -1)
        with pytest.raises(ValueError, match=rf"EncoderDecoder.{name}: source must hold token numbers"):
            getattr(model, name)(source + 5, 3)
    for temperature in (0, -1.0):
        with pytest.raises(ValueError, match=f"temperature must be above 0, got {temperature}; use greedy"):
            model.sample(source, 3, temperature=temperature)
    with pytest.raises(ValueError, match=r"EncoderDecoder.sample: temperature must be finite, got nan"):
        model.sample(source, 3, temperature=float("nan"))
    with pytest.raises(ValueError, match=r"EncoderDecoder.beam_search: beam_size must be 1 or more, got 0"):
        model.beam_search(source, 3, 0)
    with pytest.raises(
        ValueError, match=r"EncoderDecoder.beam_search: length_penalty must be finite, got inf"
    ):
        model.beam_search(source, 3, 2, length_penalty=float("inf"))
    for name, more in (("greedy", ()), ("sample", ()), ("beam_search", (2,))):
        with pytest.raises(ValueError, match=rf"EncoderDecoder.{name}: target must be 'tokens'.*use decode"):
            getattr(values, name)(source, 3, *more)
    with pytest.raises(
        ValueError, match=r"EncoderDecoder.predict: lengths must have as many samples as source"
    ):
        model.predict(source, 3, lengths=[1, 2, 3])
    with pytest.raises(ValueError, match=r"EncoderDecoder.predict: batch_size must be 1 or more, got 0"):
        model.predict(source, 3, batch_size=0)
