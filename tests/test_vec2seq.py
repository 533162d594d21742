"""Vec2Seq: the vector repeated or as initial state, with and without feedback, and teacher forcing."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from model_gradients import check_model
from problems import randomize, same_bits
from rnnfast import models, optim, train
from rnnfast.nn import RandomCounter

Array = np.ndarray[Any, np.dtype[Any]]
MODES = list(product(("repeat", "state"), (False, True)))


def make(mode: str, feedback: bool, dtype: type = np.float32, **options: Any) -> models.Vec2Seq:
    arguments = {"steps": 4, "num_layers": 2, "cell": "gru", "seed": 7, **options}
    model = models.Vec2Seq(3, 5, 2, mode=mode, feedback=feedback, dtype=dtype, **arguments)
    randomize(model)
    return model


def vectors(count: int = 4, dtype: type = np.float32) -> Array:
    return np.random.default_rng(0).standard_normal((count, 3)).astype(dtype)


@pytest.mark.parametrize(("mode", "feedback"), MODES)
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 1, "steps": 2, "bias": False},
        {"dropout": 0.3, "recurrent_dropout": 0.2, "weight_dropout": 0.2, "zoneout": 0.2},
        {"layer_norm": "split", "state_gradient_bound": 1e3},
    ],
    ids=str,
)
def test_gradients_are_central_differences(
    mode: str, feedback: bool, name: str, options: dict[str, Any]
) -> None:
    if mode == "state" and not feedback:  # the norm of no input has a gradient of zero
        options = options | {"layer_norm": None}
    check_model(make(mode, feedback, np.float64, cell=name, **options), vectors(dtype=np.float64))


@pytest.mark.parametrize("mode", ["repeat", "state"])
def test_gradients_with_a_teacher(mode: str) -> None:
    target = np.random.default_rng(1).standard_normal((4, 4, 2))
    check_model(make(mode, True, np.float64, cell="lstm"), vectors(dtype=np.float64), target=target)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("repeat", {"bidirectional": True}),
        ("state", {"bidirectional": True, "cell": "lstm", "proj_size": 2}),
        ("repeat", {"trainable_state": True}),
    ],
    ids=str,
)
def test_gradients_without_feedback(mode: str, options: dict[str, Any]) -> None:
    check_model(make(mode, False, np.float64, **options), vectors(dtype=np.float64))


def test_gradients_of_a_trainable_state_with_feedback() -> None:
    check_model(make("repeat", True, np.float64, trainable_state=True), vectors(dtype=np.float64))


def by_steps(model: models.Vec2Seq, x: Array, target: Array | None = None) -> Array:
    """The model as its docstring says it, one step of the layers after the other."""
    state = None
    if model.start is not None:
        flat = model.start(x)
        sizes, count = model.recurrent.state_sizes, model.recurrent.num_layers
        parts: list[list[Array]] = [[] for _ in sizes]
        place = 0
        for _ in range(count):
            for part, size in zip(parts, sizes, strict=True):
                part.append(flat[:, place : place + size])
                place += size
        state = tuple(np.stack(part) for part in parts) if len(parts) > 1 else np.stack(parts[0])
    fed, rows = np.zeros((len(x), 2), x.dtype), []
    for t in range(model.steps):
        inputs = [x] if model.mode == "repeat" else []
        inputs += [fed] if model.feedback else []
        step = np.concatenate(inputs, axis=1) if inputs else np.zeros((len(x), 0), x.dtype)
        h, state = model.recurrent.step(step, state)
        rows.append(model.head(h))
        fed = rows[-1] if target is None else np.ascontiguousarray(target[:, t])
    return np.stack(rows, axis=1)


@pytest.mark.parametrize(("mode", "feedback"), MODES)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_model_is_its_steps(mode: str, feedback: bool, name: str) -> None:
    model, x = make(mode, feedback, cell=name), vectors()
    y = model(x)
    assert y.shape == (4, 4, 2)
    assert same_bits(y, by_steps(model, x))
    assert same_bits(y, model.forward(x)[0])
    assert all(not same_bits(y[:, 0], y[:, t]) for t in range(1, 4))


@pytest.mark.parametrize("mode", ["repeat", "state"])
def test_a_teacher_takes_the_place_of_the_output(mode: str) -> None:
    model, x = make(mode, True, cell="lstm"), vectors()
    target = np.random.default_rng(1).standard_normal((4, 4, 2)).astype(np.float32)
    assert same_bits(model.forward(x, target)[0], by_steps(model, x, target))
    assert same_bits(model.forward(x, model(x))[0], model(x))
    assert same_bits(model.predict(x, target=target), model.predict({"x": x, "target": target}, batch_size=1))
    # The last target is seen by no step.
    target[:, -1] = np.nan
    assert np.isfinite(model.forward(x, target)[0]).all()


@pytest.mark.parametrize(("mode", "feedback"), MODES)
def test_a_sample_does_not_see_its_mates(mode: str, feedback: bool) -> None:
    model, x = make(mode, feedback, cell="lstm"), vectors(65)
    whole = model.predict(x, batch_size=65)
    for batch_size in (1, 7, 64):
        assert same_bits(model.predict(x, batch_size=batch_size), whole)
    x[3] = np.nan
    assert same_bits(np.delete(model(x), 3, axis=0), np.delete(whole, 3, axis=0))
    y, tape = model.forward(x[:2])
    both = model.backward(tape, y)
    y, tape = model.forward(x[:1])
    assert same_bits(model.backward(tape, y)[0], both[0])


@pytest.mark.parametrize(("mode", "feedback"), MODES)
def test_no_samples(mode: str, feedback: bool) -> None:
    model = make(mode, feedback, cell="lstm")
    y, tape = model.forward(vectors(0))
    assert y.shape == (0, 4, 2)
    assert model.backward(tape, y).shape == (0, 3)


@pytest.mark.parametrize("option", ["recurrent_dropout", "weight_dropout", "input_dropout"])
def test_masks_of_a_sequence_are_the_same_at_all_steps(option: str) -> None:
    """Feeding a model its own output by hand, in one call of the layers, draws what its own loop draws."""
    model, x = make("repeat", True, **{option: 0.4}), vectors()
    start = model.random_state()
    y = model.forward(x)[0]
    after = model.random_state()
    model.set_random_state(start)
    assert same_bits(model.forward(x, y)[0], y)
    assert not same_bits(model.forward(x)[0], y)
    assert after != start


def test_inference_leaves_the_masks_of_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run in another thread, between two steps of a training call."""
    model, x = make("repeat", True, recurrent_dropout=0.4), vectors()
    start = model.random_state()
    y = model.forward(x)[0]
    model.set_random_state(start)
    step = model.recurrent.forward

    def interrupted(*inputs: Any, training: bool, **options: Any) -> Any:
        found = step(*inputs, training=training, **options)
        if training:
            model(x)
        return found

    monkeypatch.setattr(model.recurrent, "forward", interrupted)
    assert same_bits(model.forward(x)[0], y)
    monkeypatch.setattr(RandomCounter, "sequence", None)
    assert same_bits(model.forward(x, training=False)[0], model(x))


@pytest.mark.parametrize(("mode", "feedback"), MODES)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_saved_model_comes_back(tmp_path: Path, mode: str, feedback: bool, suffix: str) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    model, x = make(mode, feedback, cell="lstm", dropout=0.25), vectors()
    model.forward(x)
    model.save(tmp_path / f"model{suffix}")
    loaded = rnnfast.load(tmp_path / f"model{suffix}")
    assert type(loaded) is models.Vec2Seq
    assert loaded.arguments == model.arguments
    assert same_bits(loaded(x), model(x))
    assert same_bits(loaded.forward(x)[0], model.forward(x)[0])


def test_feedback_learns_what_needs_memory_of_its_own_output() -> None:
    """The powers of a number: y_t = x y_{t-1}, from the number alone."""
    random = np.random.default_rng(0)
    x = random.uniform(0.5, 1, (64, 1)).astype(np.float32)
    y = (x[:, :, None] ** np.arange(1, 6)[:, None]).astype(np.float32)
    model = models.Vec2Seq(1, 16, 1, steps=5, mode="state", feedback=True, seed=0)
    options = {"optimizer": optim.Adam(0.01), "epochs": 100, "verbose": 0}
    history = train.fit(model, ({"x": x, "target": y}, y), validation=({"x": x}, y), **options)
    assert history.history["val_loss"][-1] < 1e-3
    assert train.evaluate(model, (x, y))["loss"] == pytest.approx(history.history["val_loss"][-1])


def test_summary_begins_with_the_map_of_the_vector() -> None:
    lines = make("state", False, num_layers=1).summary().splitlines()
    assert [line.split() for line in lines if not line.startswith("  ")] == [
        ["Vec2Seq"],
        ["start", "Linear", "20"],
        ["recurrent", "GRU", "105"],
        ["head", "Linear", "12"],
        ["total", "137"],
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "once"}, ValueError, r"Vec2Seq: mode must be 'repeat' or 'state', got 'once'"),
        ({"steps": 0}, ValueError, r"Vec2Seq: steps must be 1 or more, got 0"),
        ({"steps": 2.0}, TypeError, r"Vec2Seq: steps must be an int, got 2.0"),
        ({"feedback": 1}, TypeError, r"Vec2Seq: feedback must be True or False, got 1"),
        ({"feedback": True, "output_size": 0}, ValueError, r"output_size must be 1 or more, got 0"),
        ({"input_size": 0}, ValueError, r"Vec2Seq: input_size must be 1 or more, got 0"),
        ({"feedback": True, "bidirectional": True}, ValueError, r"bidirectional must be False with feedback"),
        ({"mode": "state", "trainable_state": True}, ValueError, r"trainable_state must be False with mode="),
        ({"batch_first": False}, TypeError, r"Vec2Seq: options must be .*got 'batch_first'"),
        ({"forget_bias": 1.0}, TypeError, r"Vec2Seq: options must be among .*got 'forget_bias'"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    sizes: dict[str, Any] = {"input_size": 3, "hidden_size": 5, "output_size": 2, "steps": 4}
    with pytest.raises(error, match=message):
        models.Vec2Seq(**{**sizes, **arguments})


def test_inputs_are_checked() -> None:
    model, x = make("repeat", True), vectors()
    with pytest.raises(ValueError, match=r"Vec2Seq.forward: x must have shape \(N, input_size\) = \(\*, 3\)"):
        model(x[:, :2])
    with pytest.raises(TypeError, match=r"Vec2Seq.forward: x must have dtype float32, got float64"):
        model(x.astype(np.float64))
    with pytest.raises(ValueError, match=r"target must have shape .* = \(4, 4, 2\), got \(4, 3, 2\)"):
        model.forward(x, np.zeros((4, 3, 2), np.float32))
    with pytest.raises(ValueError, match=r"Vec2Seq.forward: target must be None without feedback"):
        make("repeat", False).forward(x, np.zeros((4, 4, 2), np.float32))
    y, tape = model.forward(x)
    with pytest.raises(ValueError, match=r"Vec2Seq.backward: dy must have shape .*got \(4, 3, 2\)"):
        model.backward(tape, y[:, :3])
    model.backward(tape, y)
    with pytest.raises(RuntimeError, match=r"Vec2Seq.backward: tape must be used once"):
        model.backward(tape, y)


def test_a_call_takes_what_forward_takes() -> None:
    model, x = make("repeat", True), vectors()
    target = np.ones((4, 4, 2), np.float32)
    assert same_bits(model(x, target=target), model.forward(x, target, training=False)[0])
    assert not same_bits(model(x, target=target), model(x))
