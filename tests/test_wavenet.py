"""The WaveNet model: gradients, generation against naive recomputation, files, errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import same_bits
from rnnfast import losses, models, nn, optim, train
from rnnfast.models.decoding import at_temperature, uniforms

Array = np.ndarray[Any, np.dtype[Any]]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"blocks": 2, "skip_channels": 7, "condition_size": 2},
    {"kernel_size": 3, "dilations": (1, 3)},
    {"activation": "relu", "blocks": 2},
    {"activation": "relu", "tokens": True},
    {"tokens": True, "condition_size": 2},
]
CONV = {"channels": 4, "kernel_size": 3, "stride": 2, "activation": "tanh"}


def make(options: Mapping[str, Any], dtype: Any = np.float64, outputs: int = 3) -> models.WaveNet:
    model = models.WaveNet(3, 6, outputs, **{"dilations": (1, 2, 4), "seed": 5, "dtype": dtype, **options})
    random = np.random.default_rng(1)
    for name, parameter in model.named_parameters():
        values = random.standard_normal(parameter.shape)
        scale = np.sqrt(np.prod(parameter.shape[1:])) if "input" not in name else 1.0
        parameter.data = values / scale if values.ndim > 1 else 0.3 * values
    return model


def inputs(model: models.WaveNet, dtype: Any = np.float64, steps: int = 12) -> dict[str, Array]:
    random = np.random.default_rng(2)
    x = (
        random.integers(0, 3, (2, steps))
        if model.tokens
        else random.standard_normal((2, steps, 3)).astype(dtype)
    )
    found = {"x": x}
    if model.arguments["condition_size"]:
        found["condition"] = random.standard_normal((2, steps, 2)).astype(dtype)
    return found


@pytest.mark.parametrize("options", [*OPTIONS, {"conv": CONV}, {"conv": CONV, "activation": "relu"}], ids=str)
def test_gradients_are_central_differences(options: dict[str, Any]) -> None:
    model = make(options)
    given = inputs(model)
    y, tape = model.forward(**given)
    dy = np.random.default_rng(3).standard_normal(y.shape)
    dx, dcondition = model.backward_with_condition(tape, dy)
    gradients = {name: parameter.grad.copy() for name, parameter in model.named_parameters()}
    arrays = model.state_dict()
    if model.tokens:
        assert not dx.any()
    else:
        gradients["x"], arrays["x"] = dx, given["x"]
    if dcondition is not None:
        gradients["condition"], arrays["condition"] = dcondition, given["condition"]

    def outputs(values: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict({name: v for name, v in values.items() if name not in given})
        return (model.forward(**{name: values.get(name, v) for name, v in given.items()}, training=False)[0],)

    check_gradients(outputs, (dy,), arrays, gradients)


def test_the_gated_model_is_its_layers(dtype: type) -> None:
    model = make(OPTIONS[1], dtype)
    given = inputs(model, dtype)
    assert isinstance(model.input, nn.Linear)
    skip, _ = model.stack.forward(model.input(given["x"]), given["condition"])
    assert same_bits(model.forward(**given)[0], model.head(model.hidden(np.maximum(skip, 0))))
    assert model.receptive_field == 1 + 2 * 7 == model.stack.receptive_field


def test_y_depends_on_the_receptive_field_and_no_more() -> None:
    for options in OPTIONS[:4]:
        model = make(options)
        given = inputs(model, steps=40)
        y = model.forward(**given)[0]
        changed = {**given, "x": given["x"].copy()}
        changed["x"][:, 10] += 1
        different = (model.forward(**changed)[0] != y).any(axis=(0, 2))
        assert not different[:10].any()  # causal
        assert different[10]
        assert not different[10 + model.receptive_field :].any()
        assert different[10 : 10 + model.receptive_field].any()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_generation_is_naive_recomputation(options: dict[str, Any], variant: str, dtype: type) -> None:
    model = make(options, dtype)
    given = inputs(model, dtype, steps=6)
    condition = given.get("condition")
    held = None if condition is None else condition[:, 0]
    temperature = 0.8 if model.tokens else 1.0
    drawn = model.generate(20, prime=given["x"], condition=held, seed=7, temperature=temperature)
    sequence, choose = given["x"], at_temperature(0.8, uniforms(7, 2, 20))
    for step in range(20):
        y = model(sequence) if held is None else model.forward(sequence, held, training=False)[0]
        following = choose(y[:, -1], step) if model.tokens else y[:, -1]
        sequence = np.concatenate([sequence, following[:, None]], axis=1)
    assert same_bits(drawn, np.ascontiguousarray(sequence[:, 6:]))


def test_generation_options() -> None:
    model = make({"tokens": True}, np.float32)
    assert model.generate(0, batch_size=3).shape == (3, 0)
    assert model.generate(5, batch_size=3, seed=0).shape == (3, 5)
    assert same_bits(model.generate(9, seed=1), model.generate(9, seed=1))
    cold = model.generate(9, temperature=0)
    assert same_bits(cold, model.generate(9, temperature=1e-6, seed=3))
    steps: list[int] = []
    own = make({"condition_size": 2}, np.float32, outputs=1)
    condition = np.ones((2, 5, 2), np.float32)
    drawn = own.generate(
        4, batch_size=2, condition=condition, progress=steps.append,
        sampler=lambda y, random: np.repeat(y, 3, axis=1) + random.standard_normal((2, 3)),
    )  # fmt: skip
    assert drawn.shape == (2, 4, 3)
    assert same_bits(own(drawn[:, :1], condition[:, :1]), own.forward(drawn[:, :1], condition[:, :1])[0])
    assert make({"condition_size": 2}, np.float32).generate(3, condition=condition[:, 0]).shape == (2, 3, 3)
    for wrong, got in ((np.zeros(3), r"float64 \(3,\)"), (np.full((2, 3), np.nan), "nan")):
        with pytest.raises(ValueError, match=f"WaveNet.generate: sampler must return .*got {got}"):
            own.generate(2, condition=condition, sampler=lambda y, random, wrong=wrong: wrong)
    assert steps == [1, 2, 3, 4]


def test_draws_do_not_depend_on_the_batch() -> None:
    model = make({"tokens": True}, np.float32)
    alone = model.generate(20, seed=3)
    assert same_bits(model.generate(20, seed=3, batch_size=3)[:1], alone)
    assert len(np.unique(model.generate(20, seed=3, batch_size=8), axis=0)) == 8
    prime = np.zeros((1, 1), np.int8)  # narrower than what is drawn
    assert same_bits(model.generate(20, seed=3, prime=prime), alone)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_saved_model_comes_back(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    model = make(options, np.float32)
    model.save(tmp_path / f"model{suffix}")
    loaded = rnnfast.load(tmp_path / f"model{suffix}")
    assert loaded.arguments == model.arguments
    given = inputs(model, np.float32)
    assert same_bits(loaded.forward(**given)[0], model.forward(**given)[0])


def test_a_convolution_in_front(dtype: type, tmp_path: Path) -> None:
    for options in ({}, {"activation": "relu"}):
        model = make({**options, "conv": CONV}, dtype)
        x = inputs(model, dtype, steps=31)["x"]
        y = model(x)
        assert y.shape == (2, 15, 3)
        assert model.receptive_field == 3 + 2 * 7
        stream = model.stream(2)
        parts = [stream.process(x[:, t : t + 4]) for t in range(0, 31, 4)]
        assert same_bits(np.concatenate(parts, axis=1), y)
        model.save(tmp_path / "model.npz")
        assert same_bits(rnnfast.load(tmp_path / "model.npz")(x), y)
        with pytest.raises(ValueError, match=r"WaveNet.generate: conv must be None"):
            model.generate(3)
        with pytest.raises(ValueError, match="x must have 3 or more steps"):
            model(x[:, :2])
    with pytest.raises(ValueError, match="WaveNet: conv must be None with tokens=True"):
        make({"tokens": True, "conv": CONV})


def test_it_learns_a_delay() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 40, 1)).astype(np.float32)
    y = np.concatenate([np.zeros((64, 5, 1), np.float32), x[:, :-5]], axis=1)
    for activation in ("gated", "relu"):
        model = models.WaveNet(1, 16, 1, dilations=(1, 2, 4), activation=activation, seed=0)
        history = train.fit(
            model, (x, y), optimizer=optim.Adam(0.01), epochs=30, batch_size=16, seed=0, verbose=0
        )
        assert history.history["loss"][-1] < 0.05 * float((y**2).mean())
    tokens = random.integers(0, 5, (64, 30))
    model = models.WaveNet(5, 16, 5, dilations=(1, 2, 4), tokens=True, seed=0)
    target = np.concatenate([np.zeros((64, 3), np.int64), tokens[:, :-3]], axis=1)
    loss = losses.get("cross_entropy")
    train.fit(
        model, (tokens, target), loss=loss, optimizer=optim.Adam(0.01), epochs=20, batch_size=16, verbose=0
    )
    assert (model(tokens)[:, 3:].argmax(axis=2) == target[:, 3:]).mean() > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "elu"}, "WaveNet: activation must be 'gated' or 'relu', got 'elu'"),
        (
            {"activation": "relu", "condition_size": 2},
            "condition_size 0 with activation='relu'.*got None and 2",
        ),
        ({"dilations": ()}, r"WaveNet: dilations must be a tuple of one or more ints, got \(\)"),
        ({"blocks": 0}, "WaveNet: blocks must be 1 or more, got 0"),
        ({"dilations": (1, 0)}, "dilation.* must be 1 or more, got 0"),
    ],
    ids=str,
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.WaveNet(3, 4, 3, **arguments)


def test_errors_name_what_is_wrong() -> None:
    model = make({}, np.float32)
    with pytest.raises(
        ValueError, match=r"WaveNet.forward: x must have shape \(N, T, input_size\) = .*, got \(4, 3\)"
    ):
        model(np.zeros((4, 3), np.float32))
    with pytest.raises(ValueError, match=r"WaveNet.generate: temperature must be 0 or above, got -1"):
        model.generate(3, temperature=-1)
    with pytest.raises(ValueError, match=r"temperature must be 1 where no token is drawn from logits, got 2"):
        model.generate(3, temperature=2)
    with pytest.raises(ValueError, match=r"batch_size must be left out with a prime, which has N=2, got 5"):
        model.generate(3, prime=np.zeros((2, 1, 3), np.float32), batch_size=5)
    with pytest.raises(ValueError, match=r"prime must be an array, shape \(N, P, 3\).*got list"):
        model.generate(3, prime=[[1, 2, 3]])  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"WaveNet.forward: x must have shape .* = \(\*, \*, 3\), got \(2, 5, 4\)"
    ):
        model(np.zeros((2, 5, 4), np.float32))
    plain = make({"activation": "relu"}, np.float32)
    for call in (
        lambda: plain.stream(1).process(np.zeros((1, 2, 3), np.float32), condition=np.zeros((1, 2, 1))),
        lambda: plain.generate(2, condition=np.zeros((1, 1), np.float32)),
    ):
        with pytest.raises(ValueError, match="condition must be None with activation='relu'"):
            call()
    with pytest.raises(ValueError, match=r"output_size=9 is above input_size=3, as not every token drawn"):
        models.WaveNet(3, 4, 9, tokens=True, seed=0).generate(3)
    with pytest.raises(ValueError, match=r"sampler must be given where output_size=1 is not input_size=3"):
        make({}, outputs=1).generate(3)
    with pytest.raises(ValueError, match=r"prime must be .*\(N, P, 3\) with P of 1 or more, got \(2, 0, 3\)"):
        model.generate(3, prime=np.zeros((2, 0, 3), np.float32))
    tokens = make({"tokens": True}, np.float32)
    with pytest.raises(ValueError, match=r"WaveNet.forward: x must be in 0 … 2, got 3 at \(0, 1\)"):
        tokens(np.array([[0, 3]]))
    with pytest.raises(ValueError, match=r"prime must be an array, ints of shape \(N, P\)"):
        tokens.generate(3, prime=np.zeros((2, 1, 3), np.int64))
    conditioned = make({"condition_size": 2}, np.float32)
    with pytest.raises(
        ValueError, match=r"condition must have shape .* with P \+ steps = 4, got \(1, 3, 2\)"
    ):
        conditioned.generate(3, condition=np.zeros((1, 3, 2), np.float32))


def test_a_block_that_is_refused_changes_nothing() -> None:
    model = models.WaveNet(3, 4, 2, dilations=(1, 2), condition_size=2, conv=CONV, seed=0)
    stream, x = model.stream(1), np.ones((1, 9, 3), np.float32)
    before = stream.state()
    for condition in (None, np.ones((1, 9, 2), np.float32), np.ones((1, 4, 3), np.float32)):
        given = {} if condition is None else {"condition": condition}
        with pytest.raises((TypeError, ValueError), match=r"WaveNet.stream_process: condition must"):
            stream.process(x, **given)
    assert all(same_bits(before[name], array) for name, array in stream.state().items())
    assert stream.process(x, condition=np.ones((1, 4, 2), np.float32)).shape == (1, 4, 2)


def test_the_weights_of_a_seed_stay() -> None:
    """A convolution in front, or another class beside it, must not change what a seed gives."""
    plain = models.WaveNet(4, 4, 2, activation="relu", seed=0)
    front = models.WaveNet(3, 4, 2, activation="relu", conv=CONV, seed=0)
    own, other = plain.state_dict(), front.state_dict()
    assert all(same_bits(own[name], other[name]) for name in own)
