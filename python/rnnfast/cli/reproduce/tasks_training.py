"""The models of `rnnfast reproduce tasks`: how each is trained, and how well it then does on new samples.

Sizes of data and models are the published ones where they are known, except where a comment says otherwise.
Every function trains one model from a seed and returns one number, measured on samples that training never
saw. Not here: the tasks themselves (`rnnfast.data`), what was published (`tasks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnfast import data, init, losses, models, nn, ops, optim, train
from rnnfast.nn.parameter import Array

EMBEDDING_SIZE = 32  # of the characters of dates, as published


@dataclass(frozen=True)
class Training:
    """How much a model is shown.

    Args:
        samples: of one pass.
        batch_size: samples per step.
        passes: over the samples; where these are made, every pass makes new ones.
        learning_rate: of Adam, at the start; it falls to 0 along half a cosine.
        held_out: samples to measure with; 0 where the data set says which.
        clip_norm: bound on the global norm of the gradient.
    """

    samples: int
    batch_size: int
    passes: int
    learning_rate: float
    held_out: int = 0
    clip_norm: float = 1.0


# Ten passes leave one string wrong for one seed of four, twenty none for six.
REBER = Training(10_000, 32, 20, 0.01, held_out=2_000)
DATES = Training(10_000, 32, 6, 0.005, held_out=2_000)
SPEAKERS_LSTM = Training(270, 27, 30, 0.002)
SPEAKERS_CONVOLUTIONS = Training(270, 27, 15, 0.01)
# Steps count here, not samples: batches of 32 take twice as long to the same error. At T = 200 a rate of 0.02
# ends at a third of the error of 0.01, and that at a quarter of the error of 0.005.
ADDING = Training(1_600, 16, 60, 0.03, held_out=1_000)
# The error falls off a cliff within some 300 steps, or stays at that of no memory: at T = 50 for two seeds of
# six with a rate of 0.005 and gradients bounded at 1, for none with 0.002 and 0.1. At T = 1000 the rate of
# 0.002 is slow to reach the cliff; 0.003 reaches it in the third pass.
COPY = Training(1_600, 16, 12, 0.003, held_out=200, clip_norm=0.1)


class NewSamples:
    """Batches of a task that is drawn anew, at every pass other samples.

    Args:
        make: (samples, seed) to one batch.
        training: how many batches of which size.
        seed: of all passes.
    """

    def __init__(
        self, make: Callable[[int, int], tuple[Array, Array]], training: Training, seed: int
    ) -> None:
        self._make, self._size = make, training.batch_size
        self._batches = training.samples // training.batch_size
        self._random = init.generator(seed)

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        for seed in self._random.randint(0, 1 << 32, self._batches, np.uint32):
            yield self._make(self._size, int(seed))


class CausalConvolutions(nn.Module):
    """Class of a sequence: twice causal convolution, relu and layer norm; mean over real steps; linear map.

    Args:
        channels: features per step.
        classes: size of the output.
        dtype: float32 or float64.
        seed: of the initial weights.
    """

    def __init__(self, channels: int, classes: int, *, dtype: Any = np.float32, seed: int) -> None:
        seeds = init.child_seeds(seed, 3)
        self.features = nn.Sequential(
            nn.Conv1d(channels, 32, 3, activation="relu", dtype=dtype, seed=seeds[0]),
            nn.LayerNorm(32, dtype=dtype),
            nn.Conv1d(32, 64, 3, activation="relu", dtype=dtype, seed=seeds[1]),
            nn.LayerNorm(64, dtype=dtype),
        )
        self.head = nn.Linear(64, classes, dtype=dtype, seed=seeds[2])

    def forward(  # type: ignore[override]
        self, x: Array, *, lengths: Array, training: bool = True
    ) -> tuple[Array, nn.Tape | None]:
        """Compute logits [N, classes] of x [N, T, channels]; what lies behind an end counts for nothing."""
        features, features_tape = self.features.forward(x, training=training)
        real = data.padding_mask(lengths, x.shape[1])
        share = (real / np.maximum(lengths, 1)[:, None]).astype(x.dtype)  # the mean of no steps is 0
        mean = ops.batched_product(share[:, None], features)[:, 0]
        y, head_tape = self.head.forward(mean, training=training)
        return y, nn.Tape(self, (features_tape, head_tape, share)) if training else None

    def backward(self, tape: nn.Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx."""
        features_tape, head_tape, share = self._read(tape)
        self._close(tape)
        dmean = self.head.backward(head_tape, dy)
        dx: Array = self.features.backward(features_tape, share[:, :, None] * dmean[:, None])
        return dx


def reber_accuracy(training: Training, seed: int) -> float:
    """Embedded Reber grammar, GRU of 30 units: share of strings rightly taken for valid or broken."""
    x, y = _by_name(*data.reber_grammar(training.samples, one_hot=True, seed=_half(seed, 0)))
    inputs, labels = _by_name(*data.reber_grammar(training.held_out, one_hot=True, seed=_half(seed, 1)))
    model = models.Seq2Vec(len(data.REBER_CHARACTERS), 30, 1, cell="gru", seed=seed)
    _fit(model, (x, y), losses.BernoulliNLL(), training, seed)
    return float(np.mean((model.predict(inputs) > 0) == (labels > 0)))


def date_accuracy(training: Training, seed: int) -> float:
    """Dates, encoder–decoder of LSTM of 128 units: share of dates right in all ten characters."""
    source, lengths, target = data.date_translation(training.samples, seed=_half(seed, 0))
    sizes = len(data.DATE_SOURCE_CHARACTERS) + 1, len(data.DATE_TARGET_CHARACTERS) + 1
    model = models.EncoderDecoder(*sizes, 128, cell="lstm", embedding_size=EMBEDDING_SIZE, seed=seed)
    inputs = {"source": source, "target": target, "lengths": lengths}
    _fit(model, (inputs, target), "cross_entropy", training, seed)
    source, lengths, target = data.date_translation(training.held_out, seed=_half(seed, 1))
    decoded = model.greedy(source, target.shape[1], lengths=lengths).tokens
    return float(np.mean((decoded == target).all(axis=1)))


def speaker_accuracy(
    model: nn.Module,
    parts: tuple[data.LabelledSequences, data.LabelledSequences],
    training: Training,
    seed: int,
) -> float:
    """JapaneseVowels, the speakers of the test part named by a model: share that is right."""
    x, test = ({"x": part.x, "lengths": part.lengths} for part in parts)
    _fit(model, (x, parts[0].labels), "cross_entropy", training, seed)
    return train.evaluate(model, (test, parts[1].labels), loss="cross_entropy", metrics=("accuracy",))[
        "accuracy"
    ]


def adding_errors(steps: int, training: Training, seed: int) -> tuple[float, float]:
    """Adding problem, GRU of 32 units: mean squared error, and that of the best constant answer."""

    def make(samples: int, seed: int) -> tuple[Array, Array]:
        return data.adding_problem(samples, steps, seed=seed)

    model = models.Seq2Vec(2, 32, 1, cell="gru", seed=seed)
    _fit(model, NewSamples(make, training, seed), "mse", training, seed)
    x, y = make(training.held_out, _half(seed, 1))
    return train.evaluate(model, (x, y), loss="mse")["loss"], float(np.mean((y - 1) ** 2))


def copy_error(blanks: int, training: Training, seed: int) -> float:
    """Copy memory, plain dilated causal convolutions: cross-entropy per step.

    As many layers as it takes to see each symbol where it is asked for. The plain stack, as gated layers with
    skips stay at the answer without memory much longer; kernels of 3, as fewer layers of 8 stay there too.
    """

    def make(samples: int, seed: int) -> tuple[Array, Array]:
        return data.copy_memory(samples, blanks, seed=seed)

    x, y = make(training.held_out, _half(seed, 1))
    dilations = [1]
    while 1 + 2 * sum(dilations) < blanks + 11:  # a symbol is asked for blanks + 10 steps after it was shown
        dilations.append(2 * dilations[-1])
    model = models.WaveNet(
        10, 32, 9, kernel_size=3, dilations=dilations, activation="relu", tokens=True, seed=seed
    )
    _fit(model, NewSamples(make, training, seed), "cross_entropy", training, seed)
    return train.evaluate(model, (x, y), loss="cross_entropy", batch_size=50)["loss"]


def _fit(
    model: nn.Module, samples: Any, loss: str | losses.LossFunction, training: Training, seed: int
) -> None:
    train.fit(
        model,
        samples,
        loss=loss,
        optimizer=optim.Adam(training.learning_rate),
        epochs=training.passes,
        batch_size=training.batch_size,
        clip_norm=training.clip_norm,
        schedule=optim.CosineLR(training.passes),
        seed=seed,
        verbose=0,
    )


def _half(seed: int, part: int) -> int:
    """A seed of its own for the samples to learn from, 0, and those to measure with, 1."""
    return init.child_seeds(seed, 2)[part] >> 32


def _by_name(x: Array, lengths: Array, labels: Array) -> tuple[dict[str, Array], Array]:
    return {"x": x, "lengths": lengths}, labels
