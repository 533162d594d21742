"""Progress on stderr: one bar (tqdm, else lines) on a terminal alone, or a line per epoch anywhere."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Mapping
from typing import Any

REFRESH_SECONDS = 0.1  # often enough for the eye, rare enough to cost nothing


class Progress:
    """Shows how far a fit is.

    Args:
        epochs: epochs in all.
        steps: batches per epoch, None where not known.
        done: epochs that are done already, on resume.
        lines: a line per epoch even where tqdm could draw a bar.
    """

    def __init__(self, *, epochs: int, steps: int | None, done: int, lines: bool = False) -> None:
        self.epochs, self.steps, self.epoch = epochs, steps, done
        self._pending = 0
        self._refresh_at = 0.0
        self._shown = ""
        self._bar: Any = None
        if lines:
            return
        try:
            tqdm = importlib.import_module("tqdm")
        except ImportError:
            return
        total = None if steps is None else epochs * steps
        self._bar = tqdm.tqdm(
            total=total, initial=done * (steps or 0), unit="step", file=sys.stderr, dynamic_ncols=True
        )

    def advance(self, loss: float) -> None:
        """Count one batch."""
        self._pending += 1
        if time.monotonic() >= self._refresh_at:
            self._refresh(f"loss {loss:.4g}" if not self._shown else self._shown)

    def _refresh(self, text: str) -> None:
        self._refresh_at = time.monotonic() + REFRESH_SECONDS
        if self._bar is not None:
            self._bar.set_description_str(
                f"epoch {min(self.epoch + 1, self.epochs)}/{self.epochs}", refresh=False
            )
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(self._pending)
            self._pending = 0

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Show what an epoch measured."""
        self.epoch += 1
        self._shown = ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name != "seconds")
        if self._bar is None:
            print(
                f"epoch {self.epoch}/{self.epochs}: {self._shown}, {logs['seconds']:.1f} s", file=sys.stderr
            )
        self._refresh(self._shown)

    def close(self) -> None:
        """Leave the last state on the terminal."""
        if self._bar is not None:
            self._bar.close()


def start_progress(verbose: int, *, epochs: int, steps: int | None, done: int) -> Progress | None:
    """Make a progress display, or None where nothing is to be shown: 0, or 1 and stderr is no terminal."""
    if not verbose or (verbose == 1 and not sys.stderr.isatty()):
        return None
    return Progress(epochs=epochs, steps=steps, done=done, lines=verbose == 2)
