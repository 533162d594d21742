import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from rnnfast import data, models, optim, train

table = data.load_i94_traffic()
volume, _ = data.fill_from_past(table["traffic_volume"], 168)  # missing hours from the week before
border = 547 * 24  # a year and a half to learn from, half a year to run live
scaler = data.Scaler().fit(volume[:border, None])
scaled = scaler.transform(volume[:, None].astype(np.float32))

# A model of the next hour, on pieces of three weeks: it sees 256 hours.
x, y = data.windows(scaled[:border], 504, 1, stride=96, target="seq2seq")
model = models.WaveNet(1, 16, 1, dilations=(1, 2, 4, 8, 16, 32, 64, 128), seed=0)
epochs = 20
train.fit(
    model,
    (x, y[..., 0, :]),
    loss="huber",
    optimizer=optim.Adam(0.01),
    schedule=optim.CosineLR(epochs),
    epochs=epochs,
    batch_size=16,
    seed=0,
)

live = scaled[None, border:]  # [1, 4392, 1]: what comes in, hour by hour
whole = model(live)
said, came = scaler.inverse_transform(whole[0, :-1])[:, 0], volume[border + 1 :]
print(
    f"next hour, half a year live: off by {abs(said - came).mean():.0f} vehicles per hour on average,",
    end=" ",
)
print(f"the hour before by {abs(np.diff(volume[border:])).mean():.0f}")
for hours in (1, 7, 24):
    stream = model.stream(1)
    blocks = [stream.process(live[:, t : t + hours]) for t in range(0, live.shape[1], hours)]
    print(
        f"blocks of {hours:2}: the bits of the whole call:",
        np.array_equal(np.concatenate(blocks, axis=1), whole),
    )

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture and the state")
out = parser.parse_args().out
stream = model.stream(1)
stream.process(live[:, :1000])
model.save(out / "next_hour.npz")
np.savez(out / "state.npz", **stream.state())  # plain arrays; the process may end here

later = models.load(out / "next_hour.npz").stream(1)
with np.load(out / "state.npz") as state:
    later.load_state(state)
    size = sum(state[name].nbytes for name in state)
rest = later.process(live[:, 1000:])
print(f"restored after hour 1000 from {size} bytes, the same bits:", np.array_equal(rest, whole[:, 1000:]))


def microseconds(calls, function, *arguments):
    """Time of the fastest of so many calls, as other programs on the machine only ever add to it."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - began)
    return 1e6 * min(times)


fields, streamed, again = [], [], []
print("receptive field   stream, µs per hour   window again, µs per hour")
for layers in range(4, 12):
    one = models.WaveNet(1, 16, 1, dilations=tuple(2**layer for layer in range(layers)), seed=0)
    stream, hour, window = one.stream(1), live[:, :1], live[:, : one.receptive_field]
    fields.append(one.receptive_field)
    streamed.append(microseconds(500, stream.process, hour))
    again.append(microseconds(50, one, window))
    print(f"{fields[-1]:15} {streamed[-1]:21.1f} {again[-1]:27.1f}")

figure = Figure(figsize=(9, 3.8), dpi=100, layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
left.loglog(fields, again, "s--", color="#0072B2", label="the window again")
left.loglog(fields, streamed, "o-", color="#D55E00", label="stream")
left.set(xlabel="receptive field (hours)", ylabel="time per new hour (µs)", title="Cost of one more hour")
left.legend(frameon=False)
dates = table.time[border + 1 :].astype("datetime64[h]")
july = (dates >= np.datetime64("2018-07-02T00")) & (dates < np.datetime64("2018-07-07T00"))
days = np.arange(july.sum()) / 24
right.plot(days, came[july] / 1000, color="black", linestyle="--", linewidth=1, label="measured")
right.plot(days, said[july] / 1000, color="#D55E00", label="said an hour before")
right.set_xticks(range(5), ("Mon 2", "Tue 3", "Wed 4", "Thu 5", "Fri 6"), ha="left")
right.set(title="Live, week of 4 July 2018", ylabel="thousand vehicles per hour", xlim=(0, 5), ylim=(0, 8))
right.legend(frameon=False)
for axes in (left, right):
    axes.grid(alpha=0.3)
figure.savefig(out / "streaming.png")
