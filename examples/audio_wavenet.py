"""A WaveNet that learns the sound of plucked strings, then plays a tune that it never heard.

The sound is made here (Karplus & Strong 1983): a plucked string of period P repeats its last P samples, each
averaged with its neighbour, and so decays. µ-law turns a sample into one of 256 classes; the model puts out
the logits of the next one. Its condition is the score: which string sounds, and whether it is being plucked.

    training    x [N, T] the classes one sample before the targets, condition [N, T, Q]
    generation  model.generate(steps, condition=score): O(layers) per sample, whatever the receptive field

Losses are in bits per sample, on a tune held out, beside 8 (no knowledge) and what the sample before tells.

    python examples/audio_wavenet.py --out tune.wav    # 1 s as held out, 1 s as generated
"""

import argparse
import math
import wave
from typing import Any

import numpy as np

import rnnfast
from rnnfast import data, models, optim, train

Array = np.ndarray[Any, np.dtype[Any]]
RATE = 8000  # samples a second
NOTE = 1600  # samples of a note
PERIODS = (36, 30, 27, 24, 20)  # of the strings, in samples: a pentatonic scale from 222 Hz on
CLASSES = 256
SILENCE = CLASSES // 2
SEGMENT = 400  # samples of a training sequence


def pluck(period: int, strength: float) -> Array:
    """One note, [NOTE]: the string starts as a triangle, pulled at a fifth of its length."""
    shape = np.interp(np.arange(period), [0, period // 5, period], [0.0, 1.0, 0.0])
    shape -= shape.mean()
    sound = np.zeros(NOTE + 1)
    sound[1 : period + 1] = strength * shape / abs(shape).max()
    for n in range(period + 1, NOTE + 1):
        sound[n] = 0.998 * (sound[n - period] + sound[n - period - 1]) / 2
    return sound[1:]


def play(strings: Array, random: np.random.Generator) -> Array:
    """Classes [len(strings) · NOTE] of the strings, one plucked after the other, some harder than others."""
    notes = [pluck(PERIODS[string], random.uniform(0.5, 0.9)) for string in strings]
    return data.mu_law_encode(np.concatenate(notes), CLASSES)


def score(strings: Array) -> Array:
    """The condition [len(strings) · NOTE, Q]: the string one-hot, and 1 while it is being plucked."""
    condition = np.zeros((len(strings), NOTE, len(PERIODS) + 1), np.float32)
    for note, string in zip(condition, strings, strict=True):
        note[:, string] = 1
        note[: PERIODS[string], -1] = 1
    return condition.reshape(-1, condition.shape[-1])


def examples(classes: Array, condition: Array, length: int) -> tuple[dict[str, Array], Array]:
    """Inputs and targets in sequences of `length` samples; an input is the sample before its target."""
    before = np.concatenate([[SILENCE], classes[:-1]])
    x = {"x": before.reshape(-1, length), "condition": condition.reshape(-1, length, condition.shape[-1])}
    return x, classes.reshape(-1, length)


def bits_of_pairs(known: Array, classes: Array) -> float:
    """Bits per sample of `classes`, forecast from the sample before alone: by the pairs that were `known`."""
    pairs = np.full((CLASSES, CLASSES), 0.02)  # more than none: a pair that never came is not impossible
    np.add.at(pairs, (known[:-1], known[1:]), 1)
    given = pairs / pairs.sum(axis=1, keepdims=True)
    return float(-np.log2(given[classes[:-1], classes[1:]]).mean())


def heard(note: Array) -> int:
    """The string that a note [NOTE] of classes sounds like: whose period it repeats best."""
    sound = data.mu_law_decode(note, CLASSES)[NOTE // 8 :]

    def likeness(lag: int) -> float:
        late, early = sound[lag:], sound[:-lag]
        return float(late @ early / math.sqrt(late @ late * (early @ early)))

    # The averaging delays the repetition by half a sample: the period is P or P + 1.
    return int(np.argmax([likeness(period) + likeness(period + 1) for period in PERIODS]))


def write_wav(path: str, sound: Array) -> None:
    """16 bits, one channel."""
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes())


def run(notes: int = 120, epochs: int = 10, seed: int = 0, out: str | None = None) -> dict[str, float]:
    """Train, generate, and measure: losses in bits per sample, share of the notes on the right string."""
    random = np.random.default_rng(seed)
    strings, tune = random.integers(0, len(PERIODS), notes), np.array([0, 2, 4, 1, 3])
    classes, held_out = play(strings, random), play(tune, random)
    model = models.WaveNet(
        CLASSES,
        32,
        CLASSES,
        dilations=(1, 2, 4, 8, 16, 32),
        blocks=2,
        condition_size=len(PERIODS) + 1,
        tokens=True,
        seed=seed,
    )
    history = train.fit(
        model,
        examples(classes, score(strings), SEGMENT),
        loss="cross_entropy",
        optimizer=optim.Adam(5e-3),
        epochs=epochs,
        batch_size=4,
        validation=examples(held_out, score(tune), len(held_out)),
        schedule=optim.CosineLR(epochs),
        seed=seed,
        verbose=2,  # a line per epoch: the longest silence is two seconds
    )
    # As in training, a step's condition is that of the sample it puts out; after the last one none is.
    condition = np.concatenate([score(tune), score(tune)[-1:]])[None]
    prime = np.full((1, 1), SILENCE)
    generated = model.generate(len(held_out), prime=prime, condition=condition, temperature=0.8, seed=seed)[0]
    measured = {
        "uniform": math.log2(CLASSES),
        "sample before": bits_of_pairs(classes, held_out),
        "WaveNet": history.history["val_loss"][-1] / math.log(2),
    }
    print(f"receptive field {model.receptive_field} samples, trained on {len(classes) / RATE:.0f} s of sound")
    print("bits per sample, tune held out:", ", ".join(f"{k} {v:.2f}" for k, v in measured.items()))
    sounds_like = [heard(note) for note in generated.reshape(-1, NOTE)]
    measured["right notes"] = float(np.mean(sounds_like == tune))
    print(f"strings in the score {tune.tolist()}, heard in what was generated {sounds_like}")
    if out is not None:
        write_wav(out, data.mu_law_decode(np.concatenate([held_out, generated]), CLASSES))
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A WaveNet learns plucked strings and plays a tune.")
    parser.add_argument("--out", metavar="FILE.wav", help="write the tune, as played and as generated")
    rnnfast.set_num_threads(min(2, rnnfast.get_num_threads()))
    run(out=parser.parse_args().out)
