import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

FIRST, LAST = np.datetime64("1900-01-01").item(), np.datetime64("2099-12-31").item()
SOURCE, TARGET, STEPS = data.DATE_SOURCE_CHARACTERS, data.DATE_TARGET_CHARACTERS, 10


def dates(samples, seed):
    """Dates as people write them, "April 22, 19", and as machines do: "1919-04-22" or "2019-04-22"."""
    sources, targets = data.date_strings(samples, first=FIRST, last=LAST, seed=seed)
    return [text[:-4] + text[-2:] for text in sources], targets


sources, targets = dates(4000, seed=0)
source, lengths = data.encode_characters(sources, SOURCE)  # [4000, S], 0 after the end
target, _ = data.encode_characters(targets, TARGET)  # [4000, 10]
model = models.EncoderDecoder(
    len(SOURCE) + 1, len(TARGET) + 1, 48, cell="gru", embedding_size=16, attention="luong", seed=0
)
epochs = 8
train.fit(
    model,
    ({"source": source, "target": target, "lengths": lengths}, target),
    loss="cross_entropy",
    optimizer=optim.Adam(0.01),
    schedule=optim.CosineLR(epochs),
    epochs=epochs,
    seed=0,
)

new_sources, new_targets = dates(1000, seed=1)
new, new_lengths = data.encode_characters(new_sources, SOURCE)
greedy = model.greedy(new, STEPS, lengths=new_lengths)
written = data.decode_characters(greedy.tokens, TARGET)
pairs = list(zip(written, new_targets, strict=True))
print(f"greedy: {np.mean([a[2:] == b[2:] for a, b in pairs]):.1%} right but for the century,", end=" ")
print(f"{np.mean([a == b for a, b in pairs]):.1%} with it, of {len(pairs)} new dates")

text = "April 22, 19"
one, one_length = data.encode_characters([text], SOURCE)
found = model.greedy(one, STEPS, lengths=one_length)
print(f"{text!r}, greedy:", data.decode_characters(found.tokens, TARGET)[0])
many = model.sample(np.repeat(one, 200, axis=0), STEPS, lengths=np.repeat(one_length, 200), seed=0)
drawn, counts = np.unique(data.decode_characters(many.tokens, TARGET), return_counts=True)
for place in np.argsort(-counts)[:3]:
    print(f"  sampled {counts[place]:3} times of 200: {drawn[place]}")
beams = model.beam_search(one, STEPS, beam_size=3, lengths=one_length)
for tokens, log_probability in zip(beams.tokens[0], beams.log_probabilities[0], strict=True):
    print(f"  beam, P = {np.exp(log_probability):.4f}: {data.decode_characters(tokens[None], TARGET)[0]}")

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
figure = Figure(figsize=(6.4, 5), dpi=100, layout="constrained")
axes = figure.subplots()
image = axes.imshow(found.attention_weights[0], cmap="Blues", vmin=0, vmax=1, aspect="auto")
axes.set_xticks(range(len(text)), list(text.replace(" ", "␣")))
axes.set_yticks(range(STEPS), list(data.decode_characters(found.tokens, TARGET)[0]))
axes.set(xlabel="source, read from left to right", ylabel="target, written from top to bottom")
axes.tick_params(labelsize=12)
figure.colorbar(image, label="attention weight (1 in each row)")
figure.savefig(parser.parse_args().out / "encoder_decoder.png")
