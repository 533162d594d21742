"""`rnnfast reproduce tasks`: tasks with known answers, learned from scratch and measured on unseen samples.

Sources: A. Géron, Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow, second edition, 2019,
exercises of chapter 16 (Reber grammar, dates); The MathWorks, Deep Learning Toolbox, examples of sequence
classification with a bidirectional LSTM and with 1-D convolutions (JapaneseVowels); Bai, Kolter, Koltun, An
empirical evaluation of generic convolutional and recurrent networks for sequence modeling, 2018, table 1
(adding problem, copy memory). Initial weights, samples and shuffles are rnnfast's own, so that numbers are
compared by a bound, not by digits. Not here: the models and their training (`tasks_training`).
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass

from rnnfast import data, models

from . import tasks_training
from .comparison import AtMost, Bound, Report

SOURCE = "Géron (2019), chapter 16; MathWorks, sequence classification; Bai, Kolter, Koltun (2018), table 1"
SPEAKERS = "japanese-vowels"
ROWS = ("reber", "dates", f"{SPEAKERS}:lstm", f"{SPEAKERS}:conv", "adding", "copy")
EXPECTED = (
    "the wheel of aeon (pip download aeon==1.0.0 --no-deps), or JapaneseVowels_TRAIN.ts with "
    "JapaneseVowels_TEST.ts beside it, which are not part of rnnfast"
)

ADDING_STEPS = 600
COPY_BLANKS = 1000
FACTOR = 1.5  # how far above a published error one may end with other initial weights and samples
SPEAKERS_LEAST = 0.94  # five of the 370 below the lower published share


@dataclass(frozen=True)
class AtLeast:
    """measured ≥ least."""

    least: float

    def holds(self, published: str, measured: float) -> bool:
        """Whether `measured` is large enough; NaN is not."""
        return measured >= self.least

    def __str__(self) -> str:
        return f"≥ {self.least:g}"


class Runner:
    """Computes rows; the file is read once.

    Args:
        report: where the rows go.
        seed: of samples, initial weights and shuffles.
        path: of JapaneseVowels, see :func:`rnnfast.data.read_japanese_vowels`; None for rows without it.
    """

    def __init__(self, report: Report, seed: int, path: str | None) -> None:
        self._report, self._seed, self._path = report, seed, path

    @functools.cached_property
    def _speakers(self) -> tuple[data.LabelledSequences, data.LabelledSequences]:
        assert self._path is not None
        return data.read_japanese_vowels(self._path)

    def run(self, row: str) -> None:
        """Compute one of `ROWS` and add it to the report."""
        started = time.perf_counter()
        bound: Bound
        if row == "adding":
            quantity = f"MSE, T = {ADDING_STEPS} (LSTM 0.164, TCN 0.000058)"
            measured, constant = tasks_training.adding_errors(ADDING_STEPS, tasks_training.ADDING, self._seed)
            bound = AtMost(FACTOR, below=constant, below_name=f"answer 1 {constant:.3f}")
            published = "0.000053"
        elif row == "copy":
            quantity = f"cross-entropy, T = {COPY_BLANKS} (LSTM 0.0204)"
            measured = tasks_training.copy_error(COPY_BLANKS, tasks_training.COPY, self._seed)
            memoryless = data.copy_memory_baseline(COPY_BLANKS)
            bound = AtMost(FACTOR, below=memoryless, below_name=f"memoryless {memoryless:.4f}")
            published = "0.000035"
        elif row.startswith(SPEAKERS):
            quantity, bound = "test accuracy", AtLeast(SPEAKERS_LEAST)
            published, measured = self._speaker_accuracy(row)
        else:
            quantity, bound, published = "validation accuracy", AtLeast(1.0), "1.0000"
            measured = (
                tasks_training.reber_accuracy(tasks_training.REBER, self._seed)
                if row == "reber"
                else tasks_training.date_accuracy(tasks_training.DATES, self._seed)
            )
        self._report.add(row, quantity, (published,), (measured,), bound)
        self._report.seconds[row] = time.perf_counter() - started

    def _speaker_accuracy(self, row: str) -> tuple[str, float]:
        """What was published and what is measured."""
        training = self._speakers[0]
        channels, classes = training.x.shape[2], len(training.classes)
        if row.endswith(":lstm"):
            lstm = models.Seq2Vec(channels, 100, classes, cell="lstm", bidirectional=True, seed=self._seed)
            settings = tasks_training.SPEAKERS_LSTM
            return "0.954", tasks_training.speaker_accuracy(lstm, self._speakers, settings, self._seed)
        convolutions = tasks_training.CausalConvolutions(channels, classes, seed=self._seed)
        settings = tasks_training.SPEAKERS_CONVOLUTIONS
        return "0.957", tasks_training.speaker_accuracy(convolutions, self._speakers, settings, self._seed)
