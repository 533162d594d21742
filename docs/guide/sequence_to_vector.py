import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

table = data.load_i94_traffic()
volume, _ = data.fill_from_past(table["traffic_volume"], 168)  # missing hours from the week before
days = volume.reshape(-1, 24).astype(np.float32) / 1000  # [730, 24], thousands of vehicles per hour
dates = table.time[::24].astype("datetime64[D]")
test_days = 547  # the first day of the last half year; everything before is for training
seen = np.arange(5, 21)  # hours of the day that are known when we ask


def samples(which):
    """Every day cut off after 5, 6, … 20 hours: x [N, 20, 1], lengths [N], y [N, 1] the rest of the day."""
    starts = [day[:hours, None] for day in which for hours in seen]
    x, lengths = data.pad(starts)
    rest = [day[hours:].sum() for day in which for hours in seen]
    return x, lengths, np.array(rest, np.float32)[:, None]


x, lengths, y = samples(days[:test_days])
test_x, test_lengths, test_y = samples(days[test_days:])
input_scaler = data.Scaler().fit(days[:test_days].reshape(-1, 1))
target_scaler = data.Scaler().fit(y)
x, test_x = input_scaler.transform(x), input_scaler.transform(test_x)

forecasts = {}
for pooling in ("last", "mean", "max"):
    model = models.Seq2Vec(1, 32, 1, cell="gru", pooling=pooling, seed=0)
    epochs = 8
    train.fit(
        model,
        ({"x": x, "lengths": lengths}, target_scaler.transform(y)),
        loss="huber",
        optimizer=optim.Adam(0.01),
        schedule=optim.CosineLR(epochs),
        epochs=epochs,
        batch_size=64,
        seed=0,
    )
    forecasts[pooling] = target_scaler.inverse_transform(model.predict(test_x, lengths=test_lengths))
    if pooling == "last":
        without = target_scaler.inverse_transform(model.predict(test_x))
        forecasts["last, lengths forgotten"] = without

# What anyone with a calendar knows: the mean rest of the day of the same weekday, in the training days.
weekday = (dates.astype(np.int64) + 3) % 7
rest_of_day = y.reshape(test_days, len(seen))
means = np.stack([rest_of_day[weekday[:test_days] == day].mean(axis=0) for day in range(7)])
forecasts["mean of the weekday"] = means[weekday[test_days:]].reshape(-1, 1)

print(f"{len(x)} samples to learn from, {len(test_x)} to test, {seen[0]} to {seen[-1]} hours long")
print("mean absolute error, thousand vehicles   all days   4 July")
july = dates[test_days:] == np.datetime64("2018-07-04")
errors = {name: abs(forecast - test_y).reshape(-1, len(seen)) for name, forecast in forecasts.items()}
for name, error in errors.items():
    print(f"{name:40} {error.mean():8.2f} {error[july].mean():8.2f}")

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
figure = Figure(figsize=(9, 3.8), dpi=100, layout="constrained")
left, right = figure.subplots(1, 2)
styles = {"last": "-", "mean": "--", "max": ":", "mean of the weekday": "-."}
colours = dict(zip(styles, ("#D55E00", "#0072B2", "#009E73", "#666666"), strict=True))
for name, style in styles.items():
    left.plot(seen, errors[name].mean(axis=0), style, color=colours[name], label=name, linewidth=2)
    if name in ("last", "mean of the weekday"):
        shown = forecasts[name].reshape(-1, len(seen))[july][0]
        right.plot(seen, shown, style, color=colours[name], label=name, linewidth=2)
right.plot(seen, test_y.reshape(-1, len(seen))[july][0], "o", color="black", markersize=4, label="what came")
left.set(title="Mean error, 183 test days", ylabel="mean absolute error\n(thousand vehicles)", ylim=0)
right.set(title="Wednesday, 4 July 2018", ylabel="rest of the day\n(thousand vehicles)", ylim=0)
for axes in (left, right):
    axes.set_xlabel("hours of the day seen")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
figure.savefig(parser.parse_args().out / "sequence_to_vector.png")
