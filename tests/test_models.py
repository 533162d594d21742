"""Models: gradients, prediction in batches, options of their layers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from model_gradients import check_model
from problems import same_bits
from rnnfast import models, nn

Array = np.ndarray[Any, np.dtype[Any]]

CLASSES = [models.Seq2Seq, models.Seq2Vec]
CELLS = ["rnn", "lstm", "gru", "rnn_relu"]


def make(kind: type[models.Model], cell: str, dtype: type = np.float32, **options: Any) -> Any:
    return kind(3, 5, 2, **{"num_layers": 2, "cell": cell, "dtype": dtype, "seed": 7, **options})  # type: ignore[call-arg]


def sequences(count: int, dtype: type = np.float32) -> Array:
    return np.random.default_rng(0).standard_normal((count, 4, 3)).astype(dtype)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "dropout": 0.3}, {"bias": False, "num_layers": 1}], ids=str
)
def test_gradients_are_central_differences(
    kind: type[models.Model], name: str, options: dict[str, Any]
) -> None:
    model = make(kind, name, np.float64, **options)
    # The seed is one at which no direction of a relu layer is dead: where no sequence has a unit above zero
    # at the last step and at the one before it, the gradient of weight_hh truly is zero.
    check_model(model, sequences(3, np.float64), seed=3)


@pytest.mark.parametrize("name", CELLS)
def test_models_are_their_layers(name: str) -> None:
    x = sequences(3)
    seq2seq, seq2vec = make(models.Seq2Seq, name), make(models.Seq2Vec, name)
    y, state = seq2seq.recurrent(x)
    assert same_bits(seq2seq(x), seq2seq.head(y))
    y, state = seq2vec.recurrent(x)
    h = state if isinstance(state, np.ndarray) else state[0]
    assert same_bits(seq2vec(x), seq2vec.head(np.ascontiguousarray(y[:, -1])))
    assert same_bits(seq2vec(x), seq2vec.head(h[-1]))


def test_two_directions_give_both_final_states() -> None:
    x = sequences(3)
    model = make(models.Seq2Vec, "gru", bidirectional=True)
    y, h = model.recurrent(x)
    last = np.concatenate([y[:, -1, :5], y[:, 0, 5:]], axis=1)
    assert same_bits(np.concatenate([h[-2], h[-1]], axis=1), last)
    assert same_bits(model(x), model.head(last))


@pytest.mark.parametrize("kind", CLASSES)
def test_prediction_does_not_depend_on_the_batch_size(kind: type[models.Model]) -> None:
    model, x = make(kind, "lstm"), sequences(65)
    whole = model.predict(x, batch_size=65)
    assert whole.shape == ((65, 4, 2) if kind is models.Seq2Seq else (65, 2))
    for batch_size in (1, 7, 64, 1000):
        assert same_bits(whole, model.predict(x, batch_size=batch_size))
    assert same_bits(whole, model(x))


def test_prediction_takes_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = make(models.Seq2Vec, "gru"), []
    forward = model.forward
    monkeypatch.setattr(
        model, "forward", lambda x, **options: (seen.append(len(x)), forward(x, **options))[1]
    )
    model.predict(sequences(10), batch_size=4)
    assert seen == [4, 4, 2]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)], ids=str)
def test_empty_input(kind: type[models.Model], shape: tuple[int, int]) -> None:
    model = make(kind, "lstm")
    x = np.zeros((*shape, 3), np.float32)
    y, tape = model.forward(x)
    assert y.shape == ((*shape, 2) if kind is models.Seq2Seq else (shape[0], 2))
    assert model.predict(x).shape == y.shape
    assert model.backward(tape, y).shape == x.shape


@pytest.mark.parametrize("kind", CLASSES)
def test_arguments_are_checked(kind: type[models.Model]) -> None:
    with pytest.raises(ValueError, match=r"Recurrent: cell must be one of .*, got 'elman'"):
        make(kind, "elman")
    with pytest.raises(ValueError, match=r"Linear: output_size must be 1 or more, got 0"):
        kind(3, 5, 0)  # type: ignore[call-arg]
    model = make(kind, "gru")
    with pytest.raises(ValueError, match=r"GRU.forward: x must have shape .*got \(3, 4, 2\)"):
        model(sequences(3)[:, :, :2])
    with pytest.raises(TypeError, match=r"GRU.forward: x must have dtype float32, got float64"):
        model.predict(sequences(3, np.float64))
    with pytest.raises(ValueError, match=rf"{kind.__name__}.predict: batch_size must be 1 or more, got 0"):
        model.predict(sequences(3), batch_size=0)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lstm", {"forget_bias": np.float32(0.5)}),
        ("rnn", {"activation": "relu"}),
        ("gru", {"reset": "after"}),
    ],
)
def test_options_of_the_cell_reach_the_layers_and_the_file(
    tmp_path: Path, kind: type[models.Model], name: str, options: dict[str, Any]
) -> None:
    model = make(kind, name, **options)
    plain = make(kind, name)
    x = sequences(3)
    assert same_bits(model(x), plain(x)) == (name == "gru")
    model.save(tmp_path / "model.npz")
    loaded = rnnfast.load(tmp_path / "model.npz")
    assert same_bits(loaded(x), model(x))
    assert loaded.arguments == model.arguments == plain.arguments | options


@pytest.mark.parametrize("kind", CLASSES)
def test_options_of_no_cell_or_of_another_are_refused(kind: type[models.Model]) -> None:
    with pytest.raises(
        TypeError, match=rf"{kind.__name__}: options must be among .*reset.*, got 'forget_bias'"
    ):
        make(kind, "gru", forget_bias=2.0)
    with pytest.raises(TypeError, match=rf"{kind.__name__}: options must be among .*, got 'activation'"):
        make(kind, "rnn_relu", activation="relu")
    with pytest.raises(TypeError, match=rf"{kind.__name__}: options must .*got 'batch_first'"):
        make(kind, "gru", batch_first=False)


@pytest.mark.parametrize(
    ("wrong", "options", "meant"),
    [
        (models.EncoderDecoder, {"atention": "luong"}, "attention"),
        (models.Seq2Vec, {"poling": "mean"}, "pooling"),
        (models.Seq2Seq, {"convolution": {}}, "conv"),
        (models.Seq2Seq, {"num_layer": 2}, "num_layers"),
    ],
)
def test_misspelt_options_name_the_model_and_what_was_meant(wrong: Any, options: Any, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"^{wrong.__name__}: options .*did you mean '{meant}'\?$") as found:
        wrong(3, 4, 2, **options)
    assert "batch_first" not in str(found.value)


@pytest.mark.parametrize("kind", [*CLASSES, models.Vec2Seq])
def test_signatures_show_the_options_that_all_models_have(kind: type[models.Model]) -> None:
    parameters = inspect.signature(kind).parameters
    assert (parameters["cell"].default, parameters["dropout"].default) == ("gru", 0.0)
    assert list(parameters)[-1] == "options"
    assert ("pooling" in parameters) == (kind is models.Seq2Vec)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_new_model_lies_in_one_buffer(kind: type[models.Model]) -> None:
    model = make(kind, "gru")
    (buffer,) = {id(parameter.buffer): parameter.buffer for parameter in model.parameters()}.values()
    assert model.flatten() is buffer


@pytest.mark.parametrize("kind", CLASSES)
def test_a_tape_is_used_once(kind: type[models.Model]) -> None:
    model = make(kind, "gru")
    y, tape = model.forward(sequences(3))
    model.backward(tape, y)
    with pytest.raises(RuntimeError, match=rf"{kind.__name__}.backward: tape must be used once"):
        model.backward(tape, y)


def test_seeds_and_summary() -> None:
    first, second, other = (make(models.Seq2Vec, "gru", seed=seed) for seed in (1, 1, 2))
    assert all(map(same_bits, first.state_dict().values(), second.state_dict().values()))
    assert not same_bits(first.head.weight.data, other.head.weight.data)
    assert first.summary().splitlines()[0] == "Seq2Vec"


def test_repr_shows_class_and_arguments() -> None:
    model = models.Seq2Vec(3, 8, 1, cell="lstm", pooling="max", peephole=True)
    sizes = "input_size=3, hidden_size=8, output_size=1, num_layers=1"
    assert repr(model) == f"Seq2Vec({sizes}, cell='lstm', pooling='max', peephole=True)"
    assert repr(nn.Conv1d(3, 4, 2, stride=2, padding="valid")) == (
        "Conv1d(in_channels=3, out_channels=4, kernel_size=2, stride=2, padding='valid')"
    )
    chain = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    assert repr(chain) == "Sequential(Linear(input_size=3, output_size=4), LayerNorm(size=4))"
    assert repr(models.WaveNet(1, 4, 1)) == "WaveNet(input_size=1, channels=4, output_size=1)"
    assert repr(nn.Recurrent("gru", 3, 8)).startswith("Recurrent(cell='gru', input_size=3, ")
    assert repr(nn.GRU(3, 8)) == "GRU(input_size=3, hidden_size=8, num_layers=1)"


def test_errors_of_paths_and_steps_say_what_to_do(tmp_path: Path) -> None:
    model = models.EncoderDecoder(5, 4, 6)
    with pytest.raises(ValueError, match=r"save: path must end in .*; add \.npz$"):
        model.save(tmp_path / "model")
    with pytest.raises(TypeError, match=r"load: path must be a str or a path, got int"):
        rnnfast.load(123)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"steps must be an int, got an array of shape \(1, 2\) and dtype int64$"
    ):
        model.decode(np.ones((1, 2), np.int64), np.ones((1, 2), np.int64))  # type: ignore[arg-type]
