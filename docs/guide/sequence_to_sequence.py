import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

table = data.load_i94_traffic()
volume, _ = data.fill_from_past(table["traffic_volume"], 168)  # missing hours from the week before
series = volume.astype(np.float32)[:, None] / 1000  # [17520, 1], thousands of vehicles per hour
border = 547 * 24  # a year and a half to learn from, half a year to test
scaler = data.Scaler().fit(series[:border])
scaled = scaler.transform(series)[:, 0]

# Three weeks of hours in; after every hour the 24 hours to come: x [N, 504, 1], y [N, 504, 24].
hours, ahead = 504, 24
x, y = data.windows(scaled[:border], hours, ahead, stride=24, target="seq2seq")
test_x, test_y = data.windows(scaled[border:], hours, ahead, stride=24, target="seq2seq")

same = np.arange(hours, 24 * len(test_x))  # hours of the test that every step of a window can stand at
fronts = {"every hour": None, "conv, every 6th hour": {"channels": 32, "kernel_size": 12, "stride": 6}}
trained, errors, ends = {}, {}, {}
print(f"{len(x)} windows of {hours} hours to learn from, {len(test_x)} to test")
print("mean absolute error, vehicles per hour   first 2 days   last week")
for name, conv in fronts.items():
    # Output j of the convolution is made of hours 6j ... 6j + 11, so it is known after hour 6j + 11.
    steps = slice(None) if conv is None else slice(conv["kernel_size"] - 1, None, conv["stride"])
    model = models.Seq2Seq(1, 32, ahead, cell="gru", conv=conv, seed=0)
    epochs = 16
    train.fit(
        model,
        (x, np.ascontiguousarray(y[:, steps])),
        loss="huber",
        optimizer=optim.Adam(0.01),
        schedule=optim.CosineLR(epochs),
        epochs=epochs,
        seed=0,
    )
    error, known = abs(model.predict(test_x) - test_y[:, steps]).mean(axis=2), np.arange(hours)[steps]
    # Window n has begun 24n hours into the test: every step is judged on the same hours of the calendar.
    judged = np.isin(24 * np.arange(len(test_x))[:, None] + known, same)
    error = 1000 * scaler.scale[0] * (error * judged).sum(axis=0) / judged.sum(axis=0)
    trained[name], errors[name], ends[name] = model, error, known + 1
    first, last = error[ends[name] <= 48].mean(), error[ends[name] > hours - 168].mean()
    print(f"{name:40} {first:12.0f} {last:11.0f}")
test = scaled[border:]
naive = 1000 * scaler.scale[0] * abs(test[same + 1] - test[same - 167]).mean()
print(f"{'the same hour of the week before':40} {'-':>12} {naive:11.0f}")

# A new counter from hour 300 on: what stood before the cut must not be seen after it.
model = trained["every hour"]
resets = np.zeros((1, hours), bool)
resets[0, 300] = True
row = test_x[-1:]
cut = model(row, resets=resets)
print("before the cut as if there were none:", np.array_equal(cut[:, :300], model(row)[:, :300]))
print("after the cut as a sequence of its own:", np.array_equal(cut[:, 300:], model(row[:, 300:])))

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
figure = Figure(figsize=(9, 3.8), dpi=100, layout="constrained")
axes = figure.subplots()
for (name, error), style in zip(errors.items(), ("-", "o"), strict=True):
    colour = "#0072B2" if style == "-" else "#D55E00"
    axes.plot(ends[name] / 24, error, style, color=colour, linewidth=1, markersize=4, label=name)
axes.axhline(naive, color="#666666", linestyle="--", label="the same hour of the week before")
axes.set(
    xlabel="days of the sequence seen", ylabel="mean absolute error of the next\n24 hours (vehicles per hour)"
)
axes.set(xlim=(0, 21), xticks=range(0, 22), ylim=(0, 1200))
axes.grid(alpha=0.3)
axes.legend(frameon=False)
figure.savefig(parser.parse_args().out / "sequence_to_sequence.png")
