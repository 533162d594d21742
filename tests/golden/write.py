"""Write the golden files: saved models with what they put out, which every later version must load.

A file that exists is never written again; a new class or option is a new entry of `CASES`. Run once, with the
version whose files are to be kept: ``python tests/golden/write.py``. Beside ``name.npz``, what `save` wrote,
lies ``name.expected.npz``: the arguments of `forward` by their names, and y.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rnnfast import models

FOLDER = Path(__file__).parent

Array = np.ndarray[Any, np.dtype[Any]]


def sequences(*shape: int, dtype: type = np.float32) -> dict[str, Array]:
    """Random input x."""
    return {"x": np.random.default_rng(5).standard_normal(shape).astype(dtype)}


TRANSLATION = {
    "source": np.arange(10).reshape(2, 5) % 6,
    "target": np.arange(6).reshape(2, 3) % 5,
    "lengths": np.array([5, 3]),
}
CONV = {"channels": 4, "kernel_size": 3, "stride": 2, "dilation": 1}

# By name: a model, and its inputs. The "format1" ones were written before conv and pooling were there; of
# those with what came after the first format, the "format2" ones alone say so in their header.
CASES: dict[str, tuple[Callable[[], models.Model], dict[str, Array]]] = {
    "seq2seq-format1.npz": (
        lambda: models.Seq2Seq(3, 4, 2, 2, cell="lstm", bidirectional=True, dropout=0.25, seed=1),
        sequences(2, 5, 3),
    ),
    "seq2vec-format1.npz": (
        lambda: models.Seq2Vec(3, 4, 2, cell="gru", layer_norm="split", trainable_state=True, seed=2),
        sequences(2, 5, 3),
    ),
    "seq2vec-float64-format1.npz": (
        lambda: models.Seq2Vec(3, 4, 2, cell="rnn", activation="relu", dtype=np.float64, seed=3),
        sequences(2, 5, 3, dtype=np.float64),
    ),
    "seq2seq-conv.npz": (
        lambda: models.Seq2Seq(3, 4, 2, cell="gru", reset="before", conv=CONV, seed=4),
        {**sequences(3, 9, 3), "lengths": np.array([9, 0, 6])},  # in the file 2, refused since
    ),
    "seq2seq-layers.npz": (
        lambda: models.Seq2Seq(
            3, 4, 2, 2, cell="lstm", proj_size=2, peephole=True, zoneout=0.25, recurrent_dropout=0.25, seed=5
        ),
        {**sequences(3, 5, 3), "resets": np.eye(3, 5, dtype=bool)},
    ),
    "seq2vec-mean.npz": (
        lambda: models.Seq2Vec(3, 4, 2, cell="lstm", pooling="mean", bidirectional=True, seed=6),
        {**sequences(3, 5, 3), "lengths": np.array([5, 0, 3])},
    ),
    "seq2vec-max-conv.npz": (
        lambda: models.Seq2Vec(3, 4, 2, pooling="max", conv={**CONV, "activation": "tanh"}, seed=7),
        sequences(3, 9, 3),
    ),
    "vec2seq-repeat.npz": (lambda: models.Vec2Seq(3, 4, 2, steps=4, cell="lstm", seed=8), sequences(3, 3)),
    "vec2seq-repeat-feedback.npz": (
        lambda: models.Vec2Seq(3, 4, 2, 4, 2, feedback=True, dropout=0.25, dtype=np.float64, seed=9),
        sequences(3, 3, dtype=np.float64),
    ),
    "vec2seq-state.npz": (
        lambda: models.Vec2Seq(3, 4, 2, 4, cell="lstm", mode="state", seed=10),
        sequences(3, 3),
    ),
    "vec2seq-state-feedback.npz": (
        lambda: models.Vec2Seq(3, 4, 2, 4, cell="rnn", mode="state", feedback=True, seed=11),
        sequences(3, 3),
    ),
    "vec2seq.safetensors": (lambda: models.Vec2Seq(3, 4, 2, 4, mode="state", seed=12), sequences(3, 3)),
    "wavenet.npz": (
        lambda: models.WaveNet(
            3, 4, 2, dilations=(1, 2), blocks=2, skip_channels=5, condition_size=2, dtype=np.float64, seed=13
        ),
        {**sequences(2, 9, 3, dtype=np.float64), "condition": np.full((2, 2), 0.5)},
    ),
    "wavenet-relu-tokens.npz": (
        lambda: models.WaveNet(5, 4, 5, kernel_size=3, activation="relu", tokens=True, seed=14),
        {"x": np.arange(12).reshape(2, 6) % 5},
    ),
    "encoder-decoder.npz": (lambda: models.EncoderDecoder(6, 5, 4, end_token=0, seed=15), TRANSLATION),
    "encoder-decoder-luong.npz": (
        lambda: models.EncoderDecoder(
            6,
            5,
            4,
            2,
            cell="lstm",
            embedding_size=3,
            attention="luong",
            bidirectional=True,
            start_token=1,
            end_token=0,
            dropout=0.25,
            seed=16,
        ),
        TRANSLATION,
    ),
    "encoder-decoder-bahdanau-values.npz": (
        lambda: models.EncoderDecoder(
            3, 2, 4, attention="bahdanau", source="values", target="values", conv=CONV, seed=17
        ),
        {"source": sequences(2, 9, 3)["x"], "target": sequences(2, 4, 2)["x"]},
    ),
    "seq2seq-conv-format2.npz": (
        lambda: models.Seq2Seq(3, 4, 2, cell="lstm", conv={**CONV, "dilation": 2}, seed=18),
        {**sequences(3, 9, 3), "lengths": np.array([9, 0, 6])},
    ),
    "seq2vec-mean-conv-format2.npz": (
        lambda: models.Seq2Vec(3, 4, 2, pooling="mean", conv=CONV, bidirectional=True, seed=19),
        {**sequences(3, 9, 3), "lengths": np.array([9, 0, 5])},
    ),
    "vec2seq-format2.npz": (
        lambda: models.Vec2Seq(3, 4, 2, 4, mode="state", feedback=True, seed=20),
        sequences(3, 3),
    ),
    "wavenet-conv-format2.npz": (
        lambda: models.WaveNet(3, 4, 2, dilations=(1, 2), conv=CONV, seed=21),
        sequences(2, 15, 3),
    ),
    "encoder-decoder-format2.npz": (
        lambda: models.EncoderDecoder(
            6, 5, 4, attention="luong", conv={**CONV, "stride": 1}, end_token=0, seed=22
        ),
        TRANSLATION,
    ),
}


def randomized(model: models.Model, seed: int) -> models.Model:
    """The model with nothing left at zero."""
    random = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data = 0.5 * random.standard_normal(parameter.shape)
    return model


def write(name: str, model: models.Model, inputs: dict[str, Array]) -> None:
    """Write one golden file and what is expected of it, unless it is there."""
    path = FOLDER / name
    if not path.exists():
        model.save(path)
        y = model.forward(**inputs, training=False)[0]
        np.savez(path.with_suffix(".expected.npz"), y=y, **inputs)


if __name__ == "__main__":
    for number, (name, (build, inputs)) in enumerate(CASES.items()):
        write(name, randomized(build(), number), inputs)
