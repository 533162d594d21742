"""Text by characters: an LSTM that learns to write the names of numbers, and how many of its lines are right.

The model reads a line character by character and puts out logits of the next one. The lines are drawn from a
million, by rules that are known, and so is what no book tells: the best possible loss, log2(1e6) bits a line;
whether a generated line is right; whether it is one of the lines that were read, or a new one.

    training    x [N, T, C] one-hot, targets the same lines one character on, padding masked out
    generation  logits = stream.process(x_t), then c_{t+1} from softmax(logits / temperature)

A temperature below 1 makes lines that are safer and more alike, above 1 bolder ones with more mistakes.
"""

import math
from typing import Any

import numpy as np

import rnnfast
from rnnfast import data, models, optim, train

Array = np.ndarray[Any, np.dtype[Any]]
# fmt: off
ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
        "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
# fmt: on
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
LIMIT = 10**6  # numbers from 1 to LIMIT - 1
CHARACTERS = "\n -abcdefghijklmnopqrstuvwxyz"
ONE_HOT = np.eye(len(CHARACTERS) + 1, dtype=np.float32)  # character number 0 stands for padding


def name(number: int) -> str:
    """ "three hundred and twelve thousand and five" of 312005."""
    if number < 20:
        return ONES[number - 1]
    if number < 100:
        return TENS[number // 10 - 2] + (f"-{ONES[number % 10 - 1]}" if number % 10 else "")
    size, word = (1000, "thousand") if number >= 1000 else (100, "hundred")
    more, rest = divmod(number, size)
    joint = " and " if rest < 100 else " "
    return f"{name(more)} {word}" + (joint + name(rest) if rest else "")


SMALL = {name(number): number for number in range(1, 1000)}


def value(text: str) -> int | None:
    """The number whose name the text is; None if it is no name."""
    thousands, _, rest = text.rpartition(" thousand")
    number = 1000 * SMALL.get(thousands, 0) + SMALL.get(rest.removeprefix(" and").strip(), 0)
    return number if number and name(number) == text else None


def encode(numbers: Array) -> Array:
    """Character numbers [N, T] of the lines, each between two line ends; 0 where a line is shorter."""
    return data.encode_characters([f"\n{name(int(number))}\n" for number in numbers], CHARACTERS)[0]


def bits_of_pairs(ids: Array) -> float:
    """Bits per character of the best forecast that looks at one character: what the model has to beat."""
    pairs = np.zeros((len(ONE_HOT), len(ONE_HOT)))
    np.add.at(pairs, (ids[:, :-1], ids[:, 1:]), ids[:, 1:] > 0)
    p, given = pairs / pairs.sum(), pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
    return float(-(p[p > 0] * np.log2(given[p > 0])).sum())


def generate(model: models.Seq2Seq, lines: int, temperature: float, seed: int) -> list[str]:
    """`lines` lines at once, each up to its line end, or cut at 100 characters."""
    random = np.random.default_rng(seed)
    stream = model.stream(lines)
    line_end = CHARACTERS.index("\n") + 1
    ids, steps = np.full((lines, 1), line_end), []
    while ids.shape[1] <= 100 and not (ids[:, 1:] == line_end).any(axis=1).all():
        logits = stream.process(ONE_HOT[ids[:, -1:]])  # [lines, 1, C]; the state stays in the stream
        steps.append(logits)
        drawn = (logits[:, 0] / temperature + random.gumbel(size=logits[:, 0].shape)).argmax(axis=1)
        ids = np.concatenate([ids, drawn[:, None]], axis=1)
    assert np.array_equal(np.concatenate(steps, axis=1), model(ONE_HOT[ids[:, :-1]]))
    return [text.partition("\n")[0] for text in data.decode_characters(ids[:, 1:], CHARACTERS)]


def run(lines: int = 3000, epochs: int = 16, seed: int = 0) -> dict[str, float]:
    """Train, generate, and measure: losses in bits per character, shares of right lines by temperature."""
    drawn = np.random.default_rng(seed).integers(1, LIMIT, lines)
    ids = encode(drawn)
    x, y = ONE_HOT[ids[:, :-1]], ids[:, 1:]
    model = models.Seq2Seq(len(ONE_HOT), 64, len(ONE_HOT), cell="lstm", seed=seed)
    history = train.fit(
        model,
        (x, y, y > 0),
        loss="cross_entropy",
        optimizer=optim.Adam(1e-2),
        epochs=epochs,
        validation=0.1,
        schedule=optim.CosineLR(epochs),
        seed=seed,
        verbose=0,
    )
    measured = {
        "model": history.history["val_loss"][-1] / math.log(2),
        "pairs": bits_of_pairs(ids),
        "best possible": math.log2(LIMIT - 1) / (y > 0).sum(axis=1).mean(),
    }
    print("bits per character, lines held out:", ", ".join(f"{k} {v:.3f}" for k, v in measured.items()))
    for temperature in (0.5, 1.0):
        texts = generate(model, 200, temperature, seed)
        values = [value(text) for text in texts]
        right = [number for number in values if number is not None]
        measured[f"right at {temperature}"] = share = len(right) / len(texts)
        measured[f"new at {temperature}"] = new = len(set(right) - set(drawn.tolist())) / len(texts)
        print(f"\ntemperature {temperature}: {share:.0%} of the lines are right, {new:.0%} were never read")
        for text, number in list(zip(texts, values, strict=True))[:5]:
            print(f"  {'' if number is None else f'{number:,}':>9}  {text}")
    return measured


if __name__ == "__main__":
    rnnfast.set_num_threads(1)
    run()
