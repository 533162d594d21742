"""Models: gradients, prediction in batches, files."""

from __future__ import annotations

import errno
import json
import os
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import same_bits
from rnnfast import models
from rnnfast.files import check_destination, whole_file

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
    # Of the first seeds one at which no direction of a relu layer is dead: where no sequence has a unit above
    # zero at the last step and at the one before it, the gradient of weight_hh truly is zero.
    random = np.random.default_rng(3)
    for parameter in model.parameters():
        parameter.data = 0.5 * random.standard_normal(parameter.shape)
    x = sequences(3, np.float64)
    start = model.random_state()
    inputs = {"x": x, **model.state_dict()}
    y, tape = model.forward(x)
    dy = random.standard_normal(y.shape)
    gradients = {"x": model.backward(tape, dy)}
    gradients |= {name: parameter.grad.copy() for name, parameter in model.named_parameters()}

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict({name: array for name, array in arrays.items() if name != "x"})
        model.set_random_state(start)
        return (model.forward(arrays["x"])[0],)

    check_gradients(outputs, (dy,), inputs, gradients)


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


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("name", CELLS)
def test_a_saved_model_comes_back(tmp_path: Path, suffix: str, kind: type[models.Model], name: str) -> None:
    if suffix == ".safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed")
    model, x = make(kind, name, bidirectional=True, dropout=0.25, bias=False), sequences(3)
    model.forward(x)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    loaded = rnnfast.load(str(path))
    assert type(loaded) is kind
    assert loaded.arguments == model.arguments
    assert same_bits(loaded(x), model(x))
    assert loaded.random_state() == model.random_state()
    assert same_bits(loaded.forward(x)[0], model.forward(x)[0])
    y, tape = loaded.forward(x)
    loaded.backward(tape, y)


def test_the_same_model_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        make(models.Seq2Vec, "gru").save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_is_plain_arrays_and_json(tmp_path: Path) -> None:
    model = make(models.Seq2Vec, "gru")
    model.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        header = json.loads(str(file["rnnfast.json"]))
        assert set(file.files) == {"rnnfast.json", *model.state_dict()}
    assert header["class"] == "Seq2Vec"
    assert header["format_version"] == 1
    assert header["arguments"]["cell"] == "gru"


def rewrite(path: Path, **changes: Any) -> None:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays.pop("rnnfast.json"))) | changes
    with open(path, "wb") as file:
        np.savez(file, **{"rnnfast.json": np.array(json.dumps(header))}, **arrays)


def test_load_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(FileNotFoundError, match=r"load: .*model.npz"):
        rnnfast.load(path)
    for name in ("model", "model.pkl", "model.npz.bak"):
        with pytest.raises(ValueError, match=r"load: path must end in .npz or .safetensors, got "):
            rnnfast.load(tmp_path / name)
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"load: .*model.npz"):
        rnnfast.load(path)
    np.savez(path, a=np.ones(3))
    with pytest.raises(ValueError, match=r"load: .*model.npz with a"):
        rnnfast.load(path)
    make(models.Seq2Vec, "gru").save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"load: .*model.npz"):
        rnnfast.load(path)
    path.write_bytes(whole)
    rewrite(path, format_version=2)
    with pytest.raises(ValueError, match=r"format_version must be 1 or less, got 2; upgrade rnnfast"):
        rnnfast.load(path)
    rewrite(path, format_version=1, **{"class": "WaveNet"})
    with pytest.raises(ValueError, match=r"load: class must be one of .*Seq2Vec.*, got 'WaveNet'"):
        rnnfast.load(path)
    rewrite(path, **{"class": "os.system"})
    with pytest.raises(ValueError, match=r"load: class must be"):
        rnnfast.load(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "format_version None"),
        ([], "not a JSON object"),
        ({"format_version": "1"}, "format_version '1'"),
        ({"format_version": 1}, "class must be one of .*got None"),
        ({"format_version": 1, "class": ["Seq2Vec"]}, "class must be one of"),
        ({"format_version": 1, "class": "Seq2Vec"}, "Seq2Vec without 'arguments'"),
        ({"format_version": 1, "class": "Forecaster"}, "Forecaster without 'arguments'"),
        ({"format_version": 1, "class": "Seq2Vec", "arguments": {}}, "make no Seq2Vec: .*input_size"),
        ({"format_version": 1, "class": "Seq2Vec", "arguments": 3}, "make no Seq2Vec: "),
        ({"format_version": 1, "class": "Seq2Vec", "arguments": {"input_size": 0, "hidden_size": 1,
          "output_size": 1}}, "make no Seq2Vec: .*input_size must be 1 or more"),
    ],
    ids=str,
)  # fmt: skip
def test_load_names_what_is_wrong_with_a_header(tmp_path: Path, header: Any, message: str) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **{"rnnfast.json": np.array(json.dumps(header))})
    with pytest.raises(ValueError, match=f"load: .*{message}") as caught:
        rnnfast.load(path)
    assert str(path) in str(caught.value)


def test_a_header_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **{"rnnfast.json": np.array("{")})
    with pytest.raises(ValueError, match=r"load: .*model.npz with a header that is not JSON"):
        rnnfast.load(path)


def test_a_flipped_byte_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    make(models.Seq2Vec, "gru", num_layers=1).save(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    for entry in entries:
        name_size, extra_size = struct.unpack_from("<HH", whole, entry.header_offset + 26)
        first = entry.header_offset + 30 + name_size + extra_size
        for position in (entry.header_offset, first, first + entry.compress_size - 1):
            damaged = bytearray(whole)
            damaged[position] ^= 0xFF
            path.write_bytes(damaged)
            with pytest.raises(
                ValueError, match=r"load: path .*model.npz with an entry that cannot be read: "
            ):
                rnnfast.load(path)


def test_load_refuses_pickles(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez(path, **{"rnnfast.json": np.array([{"class": "Seq2Vec"}], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        rnnfast.load(path)


def test_nothing_half_written(tmp_path: Path) -> None:
    model = make(models.Seq2Vec, "gru")
    path = tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()
    model.arguments = {"seed": float("nan")}
    with pytest.raises(ValueError, match="JSON"):
        model.save(path)
    model.state_dict = lambda: {"weight": Unwritable()}  # type: ignore[method-assign]
    model.arguments = {}
    with pytest.raises(ArithmeticError):
        model.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]
    with pytest.raises(FileNotFoundError):
        make(models.Seq2Vec, "gru").save(tmp_path / "absent" / "model.npz")


def test_a_broken_safetensors_file(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"neither header nor arrays")
    with pytest.raises(
        ValueError, match=r"load: path must be a .safetensors file that save wrote, got .*model"
    ):
        rnnfast.load(path)


def test_an_absent_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    path = tmp_path / "model.safetensors"
    for action in (make(models.Seq2Vec, "gru").save, rnnfast.load):
        with pytest.raises(ImportError, match=r"pip install 'rnnfast\[safetensors\]'"):
            action(path)
    assert not path.exists()


def test_errors_of_whole_file_name_the_destination(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "f", tmp_path / "file" / "f", tmp_path / "folder"):
        with pytest.raises(OSError, match="directory") as caught, whole_file(path):
            pass
        assert caught.value.filename == str(path)
        assert "unfinished" not in str(caught.value)
        with pytest.raises(type(caught.value)) as early:
            check_destination(path)
        assert str(early.value) == str(caught.value)
    # A full disk names no file.
    with pytest.raises(OSError, match="No space left") as full, whole_file(tmp_path / "f"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full.value.filename == str(tmp_path / "f")
    check_destination(tmp_path / "f")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_whole_file_refuses_other_modes(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="mode must be 'w' or 'wb', got 'a'"),
        whole_file(tmp_path / "f", "a"),
    ):
        pass


class Unwritable:
    """An array whose values cannot be had, as when memory runs out in the middle of a file."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise ArithmeticError


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
    with pytest.raises(TypeError, match=r"GRU: options must be among .*reset.*, got 'forget_bias'"):
        make(kind, "gru", forget_bias=2.0)
    with pytest.raises(TypeError, match=r"Recurrent: options must be among .*, got 'activation'"):
        make(kind, "rnn_relu", activation="relu")
    with pytest.raises(TypeError, match=rf"{kind.__name__}: options must .*got 'batch_first'"):
        make(kind, "gru", batch_first=False)


@pytest.mark.parametrize("kind", CLASSES)
def test_files_of_the_first_format_stay_readable(tmp_path: Path, kind: type[models.Model]) -> None:
    """The header as version 0.1.0 wrote it, every name of it."""
    model = make(kind, "lstm", dropout=0.25)
    path = tmp_path / "model.npz"
    model.save(path)
    arguments = {
        "input_size": 3, "hidden_size": 5, "output_size": 2, "num_layers": 2, "cell": "lstm", "bias": True,
        "bidirectional": False, "dropout": 0.25, "dtype": "float32",
    }  # fmt: skip
    rewrite(path, arguments=arguments)
    assert same_bits(rnnfast.load(path)(sequences(3)), model(sequences(3)))


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
