"""What one step is made from: the whole sequences of a batch, or pieces of them with the state carried on.

Truncated backpropagation through time (Williams & Peng 1990): with s_0 the model's own initial state,

    (y_j, s_j) = model(x_j, s_{j-1}),   p ← optimizer(p, ∂ mean loss(y_j) / ∂p with s_{j-1} held constant),

for the pieces x_j of k steps, one after the other. At most one piece's tape is alive. Not here: the step
itself (``epoch``), how a model runs a piece (``models``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from rnnfast.nn.inputs import Inputs
from rnnfast.nn.module import Module, Tape
from rnnfast.nn.states import State, check_lengths

from .batches import Array, Batch
from .metrics import batch_weight


@runtime_checkable
class RunsInPieces(Protocol):
    """What `train.fit(…, bptt=k)` asks of a model, beside what every module has.

    x has samples on axis 0 and time on axis 1. The tape of a piece goes to the model's
    `accumulate_gradients`, which by default calls its `backward`; that takes the state at the start of the
    piece for a constant. Where X has lengths or resets, `forward_piece` gets those of the piece by keyword.
    """

    def piece_outputs(self) -> str:
        """Where the outputs are: "steps" for one per step, (N, T, …), "last" for one after the last step.

        Raises:
            ValueError: if the model cannot run in pieces as it is set up.
        """

    def forward_piece(
        self, x: Array, state: State = None, *, training: bool = True
    ) -> tuple[Array, State, Tape | None]:
        """Run over one piece.

        Args:
            x: the piece, one array.
            state: what the piece before gave back; None at the start of the sequences.
            training: False for inference without a tape.

        Returns:
            (y, state, tape): y as from `forward` on the piece alone; the state after it; what
            `accumulate_gradients` needs.
        """


class Piece(NamedTuple):
    """What one step is made from.

    Args:
        x: input, one array or several by name.
        y: target.
        mask: of the target, or None.
        weight: target elements that count.
        place: where it lies in its sequences, for error texts.
    """

    x: Inputs
    y: Array
    mask: Array | None
    weight: int
    place: str


class WholeSequences:
    """Every batch is one piece, for any module.

    Args:
        model: what is trained.
    """

    def __init__(self, model: Module) -> None:
        self.model = model

    def pieces(self, batch: Batch) -> Iterator[Piece]:
        """The batch as it is; nothing where no element counts."""
        x, y, mask = batch
        weight = batch_weight(y, mask)
        if weight:
            yield Piece(x, y, mask, weight, "")

    def forward(self, x: Inputs) -> tuple[Array, Tape | None]:
        """Run the model on the piece in training."""
        return self.model.chain_forward(x, True)


class TruncatedSequences:
    """The sequences of every batch in pieces of `length` steps, in the order of time.

    `forward` must be called for a piece before the next one is asked for: it carries the state.

    Args:
        model: what is trained.
        length: k, steps per piece.
        outputs: as from `RunsInPieces.piece_outputs`.
    """

    def __init__(self, model: RunsInPieces, length: int, outputs: str) -> None:
        self.model = model
        self.length = length
        self.outputs = outputs
        self._state: State = None

    def pieces(self, batch: Batch) -> Iterator[Piece]:
        """The pieces to make a step from.

        Those before them without an element that counts are run at inference, for the state alone; those
        after the last one that counts are not run at all.

        Raises:
            ValueError: if x has no axis of time, or y not one target per step where the model has one output
                per step.
        """
        self._state = None
        for piece in self._cuts(*batch):
            if piece.weight:
                yield piece
            else:
                with np.errstate(over="ignore", invalid="ignore"):  # shows in the loss of a later piece
                    self._run(piece.x, training=False)

    def forward(self, x: Inputs) -> tuple[Array, Tape | None]:
        """Run the model on the piece in training, from the state after the piece before."""
        return self._run(x, training=True)

    def _run(self, x: Inputs, *, training: bool) -> tuple[Array, Tape | None]:
        inputs = x if isinstance(x, Mapping) else {"x": x}
        others = {name: array for name, array in inputs.items() if name != "x"}
        y, self._state, tape = self.model.forward_piece(inputs["x"], self._state, **others, training=training)
        return y, tape

    def _check_names(self, x: Mapping[str, Array]) -> None:
        allowed = ("x", "lengths", "resets") if self.outputs == "steps" else ("x", "resets")
        for name in x:
            if name not in allowed:
                why = "has its last steps at other places" if name == "lengths" else "cannot be cut in time"
                raise ValueError(
                    f"train.fit: X must have names among {', '.join(allowed)} to be cut into pieces of "
                    f"bptt={self.length} steps, got {name!r}, which {why}; leave bptt out"
                )

    def _cuts(self, x: Inputs, y: Array, mask: Array | None) -> Iterator[Piece]:
        """The pieces up to the last one that counts, with weight 0 where there is nothing to learn from."""
        if isinstance(x, Mapping):
            self._check_names(x)
        shape = tuple(getattr(x["x"] if isinstance(x, Mapping) else x, "shape", ()))
        if len(shape) < 2:
            raise ValueError(
                f"train.fit: x must have shape (N, T, …) to be cut into pieces of bptt={self.length} steps, "
                f"got {shape}"
            )
        steps, length = shape[1], self.length
        if isinstance(x, Mapping):
            # Before the cuts, which would make a length that is none into one; signed, as they subtract.
            lengths = check_lengths("train.fit", x.get("lengths"), *shape[:2])
            x = x if lengths is None else {**x, "lengths": lengths}
        left = batch_weight(y, mask)  # elements that count and are still to come
        if self.outputs == "steps" and y.shape[:2] != shape[:2]:
            raise ValueError(
                f"train.fit: y must have a target per step, (N, T, …) = ({shape[0]}, {steps}, …), to be cut "
                f"into pieces of bptt={length} steps, got {y.shape}"
            )
        if not left:
            return
        if self.outputs == "last":
            # Counted from the end: the piece with the target has all k steps, the first one what is left.
            starts = sorted({0, *range(steps - length, 0, -length)})
            for start, stop in pairwise(starts):
                yield Piece(_cut(x, start, stop), y, mask, 0, "")
            yield Piece(_cut(x, starts[-1], steps), y, mask, left, _place(starts[-1], steps, steps))
            return
        along = mask is not None and mask.ndim > 1 and mask.shape[1] != 1  # else the same for every piece
        for start in range(0, steps, length):
            stop = min(start + length, steps)
            target, kept = y[:, start:stop], mask[:, start:stop] if mask is not None and along else mask
            weight = batch_weight(target, kept)
            yield Piece(_cut(x, start, stop), target, kept, weight, _place(start, stop, steps))
            left -= weight
            if not left:
                return


Sequences = WholeSequences | TruncatedSequences


def make_sequences(model: Module, bptt: int | None) -> Sequences:
    """Whole sequences, or pieces of `bptt` steps.

    Args:
        model: what is trained.
        bptt: steps per piece, checked; None for whole sequences.

    Raises:
        TypeError: if the model does not run in pieces.
        ValueError: if it does not as it is set up.
    """
    if bptt is None:
        return WholeSequences(model)
    if not isinstance(model, RunsInPieces):
        raise TypeError(
            f"train.fit: bptt must be None for a module without forward_piece, got bptt={bptt} for "
            f"{type(model).__name__}; use models.Seq2Seq or models.Seq2Vec, or see train.RunsInPieces"
        )
    try:
        outputs = model.piece_outputs()
    except ValueError as error:
        raise ValueError(f"train.fit: bptt must be None for this model, got bptt={bptt}: {error}") from error
    if outputs not in ("steps", "last"):
        raise ValueError(
            f"train.fit: {type(model).__name__}.piece_outputs must return 'steps' or 'last', got {outputs!r}"
        )
    return TruncatedSequences(model, int(bptt), outputs)


def _cut(x: Inputs, start: int, stop: int) -> Inputs:
    """The steps of a piece; its lengths, of int64, are the real steps among them."""
    if not isinstance(x, Mapping):
        return x[:, start:stop]
    return {
        name: np.clip(array - start, 0, stop - start) if name == "lengths" else array[:, start:stop]
        for name, array in x.items()
    }


def _place(start: int, stop: int, steps: int) -> str:
    return "" if stop - start == steps else f" in steps {start} to {stop - 1} of the sequences"
