"""What a fit measured, epoch by epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rnnfast.files import whole_file


class History:
    """Losses, metrics, learning rate and seconds of every epoch.

    `history["loss"]` is the mean over the epoch's elements, taken while the parameters were changing;
    `"val_loss"` was measured after the epoch; `"lr"` is the learning rate that the epoch ran with.

    Args:
        history: lists of equal length by name, to start from.

    Example:
        >>> from rnnfast.train import History
        >>> history = History()
        >>> history.append({"loss": 0.5, "lr": 0.1})
        >>> history.append({"loss": 0.25, "lr": 0.1})
        >>> history.history["loss"], history.best("loss")
        ([0.5, 0.25], (2, 0.25))
    """

    def __init__(self, history: Mapping[str, Sequence[float]] | None = None) -> None:
        self.history: dict[str, list[float]] = {
            name: list(values) for name, values in (history or {}).items()
        }

    def __len__(self) -> int:
        return max((len(values) for values in self.history.values()), default=0)

    def append(self, logs: Mapping[str, float]) -> None:
        """Add one epoch.

        Args:
            logs: a number for every name; the names of the first epoch are those of all.

        Raises:
            ValueError: if the names differ from the first epoch's.
        """
        if len(self) and logs.keys() != self.history.keys():
            raise ValueError(
                f"History.append: logs must have the names {list(self.history)}, got {list(logs)}"
            )
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    def best(self, monitor: str = "val_loss", mode: str = "min") -> tuple[int, float]:
        """The epoch, counted from 1, with the best value of `monitor`, and that value; the first of equals.

        Raises:
            ValueError: if there is no such entry, or mode is neither "min" nor "max".
        """
        if mode not in ("min", "max"):
            raise ValueError(f"History.best: mode must be 'min' or 'max', got {mode!r}")
        values = self.history.get(monitor)
        if not values:
            raise ValueError(f"History.best: monitor must be one of {list(self.history)}, got {monitor!r}")
        value = min(values) if mode == "min" else max(values)
        return values.index(value) + 1, value

    def plot(self) -> Any:
        """Draw losses and metrics over the epochs, training and validation together, one panel each.

        Returns:
            The matplotlib figure; nothing is written to disk.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise ImportError("History.plot needs matplotlib: pip install 'rnnfast[plot]'") from error
        names = [
            name for name in self.history if name not in ("lr", "seconds") and not name.startswith("val_")
        ]
        columns = max(1, len(names))
        figure, axes = pyplot.subplots(
            1, columns, figsize=(4.5 * columns, 3.4), squeeze=False, layout="constrained"
        )
        epochs = range(1, len(self) + 1)
        for panel, name in zip(axes[0], names, strict=False):
            panel.plot(epochs, self.history[name], label="training", marker="." if len(self) < 30 else "")
            if f"val_{name}" in self.history:
                panel.plot(
                    epochs,
                    self.history[f"val_{name}"],
                    label="validation",
                    marker="." if len(self) < 30 else "",
                )
            panel.set(xlabel="epoch", title=name)
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(alpha=0.3)
            panel.legend(frameon=False)
        return figure

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one line per epoch, whole or not at all; numbers keep all their digits.

        Args:
            path: the file; its folder must exist.

        Raises:
            OSError: if the file cannot be written.
        """
        with whole_file(path, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["epoch", *self.history])
            rows.writerows(enumerate_rows(self.history))

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items() if values)
        return f"History({len(self)} epochs{', last: ' + last if last else ''})"


def enumerate_rows(history: Mapping[str, Sequence[float]]) -> list[list[float]]:
    """The epochs as rows, each led by its number."""
    return [[epoch, *values] for epoch, values in enumerate(zip(*history.values(), strict=True), start=1)]
