import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

table = data.load_i94_traffic()
volume, _ = data.fill_from_past(table["traffic_volume"], 168)  # missing hours from the week before
levels, width = 32, 240.0  # each hour is one of 32 levels of 240 vehicles per hour
tokens = np.minimum(volume // width, levels - 1).astype(np.int64)
border = 547 * 24  # a year and a half to learn from, half a year to test

# Pieces of three weeks and an hour: the model reads all but the last hour and names each next one. The first
# 255 hours are context alone, so that both models below are asked the same.
steps, context = 504, 255
pieces = data.windows(tokens[:border], steps + 1, 1, stride=249)[0][:, :, 0]
test = data.windows(tokens[border:], steps + 1, 1, stride=steps - context)[0][:, :, 0]
asked = np.broadcast_to(np.arange(steps) >= context, (len(pieces), steps))
start = border + 24 * 36  # Monday, 7 May 2018: the three weeks before it are the prime, then we generate
prime = np.repeat(tokens[None, start - steps : start], 40, axis=0)

futures = {}
for dilations in ((1, 2, 4, 8), (1, 2, 4, 8, 16, 32, 64, 128)):
    model = models.WaveNet(levels, 32, levels, dilations=dilations, tokens=True, seed=0)
    epochs = 8
    train.fit(
        model,
        (pieces[:, :-1], pieces[:, 1:], asked),
        loss="cross_entropy",
        optimizer=optim.Adam(0.005),
        schedule=optim.CosineLR(epochs),
        epochs=epochs,
        batch_size=2,
        seed=0,
    )
    measured = train.evaluate(
        model, (test[:, :-1], test[:, 1:], asked[: len(test)]), loss="cross_entropy", metrics=["accuracy"]
    )
    drawn = model.generate(168, prime=prime, seed=0)  # [40, 168], a week, 40 times
    futures[model.receptive_field] = (drawn + 0.5) * width
    median = np.median(futures[model.receptive_field], axis=0)
    error = abs(median - volume[start : start + 168]).mean()
    print(
        f"receptive field {model.receptive_field:3} hours: {measured['loss'] / np.log(2):.2f} bits per hour,",
        end=" ",
    )
    print(f"median of 40 generated weeks off by {error:.0f} vehicles per hour")

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
for axes, (field, drawn) in zip(
    figure.subplots(2, 1, sharex=True, sharey=True), futures.items(), strict=True
):
    low, median, high = np.quantile(drawn / 1000, (0.1, 0.5, 0.9), axis=0)
    hours = np.arange(168) / 24
    axes.fill_between(hours, low, high, color="#56B4E9", alpha=0.5, label="generated, 10 % to 90 %")
    axes.plot(hours, median, color="#0072B2", label="generated, median")
    axes.plot(
        hours,
        volume[start : start + 168] / 1000,
        color="black",
        linestyle="--",
        linewidth=1,
        label="measured",
    )
    axes.set(title=f"receptive field {field} hours", ylabel="thousand vehicles\nper hour", xlim=(0, 7))
    axes.set_xticks(range(7), ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), ha="left")
    axes.grid(alpha=0.3)
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
figure.savefig(parser.parse_args().out / "wavenet.png")
