"""An encoder–decoder with attention translates dates by characters: "April 22, 2019" → "2019-04-22".

Nothing is told about months, digits or commas. In training the decoder reads the right characters so far
(teacher forcing); afterwards it reads its own. Where it looks while it writes is in the attention weights.

    logits, tape = model.forward(source, target, lengths=lengths)      # what train.fit calls
    decoded = model.greedy(source, steps, lengths=lengths)             # .tokens, .attention_weights
"""

from typing import Any

import numpy as np

import rnnfast
from rnnfast import data, models, optim, train

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 10  # of every target: four digits, a dash, two, a dash, two


def learn(samples: int, epochs: int, *, attention: str = "luong", seed: int = 0) -> models.EncoderDecoder:
    """A model that has seen `samples` pairs of dates, `epochs` times each."""
    source, lengths, target = data.date_translation(samples, seed=seed)
    sizes = len(data.DATE_SOURCE_CHARACTERS) + 1, len(data.DATE_TARGET_CHARACTERS) + 1  # 0 is padding
    model = models.EncoderDecoder(*sizes, 64, cell="gru", embedding_size=16, attention=attention, seed=seed)
    train.fit(
        model,
        ({"source": source, "target": target, "lengths": lengths}, target),
        loss="cross_entropy",
        optimizer=optim.Adam(0.01),
        schedule=optim.CosineLR(epochs),
        epochs=epochs,
        seed=seed,
    )
    return model


def translate(model: models.EncoderDecoder, texts: list[str]) -> tuple[list[str], Array]:
    """The translations, and for each of their characters the source character that had the most attention."""
    source, lengths = data.encode_characters(texts, data.DATE_SOURCE_CHARACTERS)
    decoded = model.greedy(source, STEPS, lengths=lengths)
    assert decoded.attention_weights is not None
    return data.decode_characters(
        decoded.tokens, data.DATE_TARGET_CHARACTERS
    ), decoded.attention_weights.argmax(axis=2)


def report(model: models.EncoderDecoder, *, held_out: int = 1000, seed: int = 1) -> float:
    """Print some translations and the share of new dates that are right in every character."""
    sources, targets = data.date_strings(held_out, seed=seed)
    translations, looks = translate(model, sources)
    right = float(np.mean([ours == theirs for ours, theirs in zip(translations, targets, strict=True)]))
    for source, translation, look in list(zip(sources, translations, looks, strict=True))[:5]:
        print(f"{source:>18} → {translation}   looked at {''.join(source[place] for place in look)!r}")
    print(f"{right:.1%} of {held_out} new dates are right in every character")
    return right


if __name__ == "__main__":
    rnnfast.set_num_threads(1)
    trained = learn(samples=4000, epochs=6)
    report(trained)
    print("April 22, 2019 →", *translate(trained, ["April 22, 2019"])[0])
