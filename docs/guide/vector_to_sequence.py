import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

table = data.load_i94_traffic()
volume, _ = data.fill_from_past(table["traffic_volume"], 168)  # missing hours from the week before
days = volume.reshape(-1, 24, 1).astype(np.float32) / 1000  # [730, 24, 1], thousands of vehicles per hour
dates = table.time[::24].astype("datetime64[D]")
calendar = data.calendar_features(dates, np.timedelta64(1, "D"), holidays="us")
angle = 2 * np.pi * (dates - dates.astype("datetime64[Y]")).astype(np.int64) / 365.25
season = np.stack([np.sin(angle), np.cos(angle)], axis=1)
facts = np.concatenate([calendar.values, season], axis=1).astype(np.float32)  # [730, 13]
past, future = slice(0, 547), slice(547, 730)  # a year and a half to learn from, half a year to test
scaler = data.Scaler().fit(days[past].reshape(-1, 1))

forecasts = {}
for mode in ("repeat", "state"):
    for feedback in (False, True):
        model = models.Vec2Seq(
            facts.shape[1], 32, 1, steps=24, cell="gru", mode=mode, feedback=feedback, seed=0
        )
        epochs = 20
        train.fit(
            model,
            (facts[past], scaler.transform(days[past])),
            loss="huber",
            optimizer=optim.Adam(0.02),
            schedule=optim.CosineLR(epochs),
            epochs=epochs,
            batch_size=16,
            seed=0,
        )
        name = f"{mode}, with feedback" if feedback else mode
        forecasts[name] = scaler.inverse_transform(model.predict(facts[future]))

weekday = calendar.values[:, :7].argmax(axis=1)
means = np.stack([days[past][weekday[past] == day].mean(axis=0) for day in range(7)])
forecasts["mean of the weekday"] = means[weekday[future]]

holiday = calendar.values[future, calendar.names.index("holiday")] == 1
print(f"{facts.shape[1]} numbers in, 24 hours out; {holiday.sum()} holidays among {len(holiday)} test days")
print("mean absolute error, vehicles per hour   all days   holidays")
for name, forecast in forecasts.items():
    error = 1000 * abs(forecast - days[future]).mean(axis=(1, 2))
    print(f"{name:40} {error.mean():8.0f} {error[holiday].mean():10.0f}")

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
figure = Figure(figsize=(9, 3.4), dpi=100, layout="constrained")
shown = {
    "2018-08-29": "Wednesday, 29 August",
    "2018-09-01": "Saturday, 1 September",
    "2018-09-03": "Labor Day, Monday",
}
for axes, (date, title) in zip(figure.subplots(1, 3, sharey=True), shown.items(), strict=True):
    day = int(np.flatnonzero(dates[future] == np.datetime64(date))[0])
    axes.plot(days[future][day], "o", color="black", markersize=4, label="measured")
    axes.plot(forecasts["mean of the weekday"][day], "--", color="#0072B2", label="mean of the weekday")
    axes.plot(forecasts["state"][day], color="#D55E00", linewidth=2, label='Vec2Seq, mode="state"')
    axes.set(title=title, xlabel="hour of the day", xticks=range(0, 25, 6))
    axes.grid(alpha=0.3)
figure.axes[0].set(ylabel="thousand vehicles per hour", ylim=0)
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
figure.savefig(parser.parse_args().out / "vector_to_sequence.png")
