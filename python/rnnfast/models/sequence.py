"""Models that read sequences: x → (convolution →) recurrent layers → readout → head.

One path for whole sequences and for pieces of them. Not here: the convolution in front (``front``), what the
head sees (``readout``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn import Conv1d, Module, Tape
from ..nn.arguments import check_array, overrides
from ..nn.parameter import Array
from ..nn.recurrent import Recurrent
from ..nn.states import State, padding
from ..nn.streaming import joined_state, part_of, process_chain
from .front import check_conv, make_conv, shorten
from .readout import Readout
from .recurrent import RecurrentModel


class SequenceModel(RecurrentModel):
    """Base of the models that read sequences. A subclass says what the head sees, `_make_readout`.

    Args:
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        output_size: O, values that the head puts out.
        num_layers: L.
        conv: settings of a convolution in front that shortens the sequences, None for none: a dict of
            channels, kernel_size, stride (1), dilation (1) and activation ("relu"), see
            :class:`rnnfast.nn.Conv1d`; its padding is "valid".
        options: cell ("gru"), bias (True), bidirectional (False), dropout (0.0), dtype (np.float32), seed
            (None) and all others of :class:`RecurrentModel`.

    Raises:
        TypeError: if an argument is of another type, or the cell has no such option.
        ValueError: if an argument is out of its range or does not go with the others.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_layers: int = 1,
        *,
        conv: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._conv_settings = check_conv(type(self).__name__, conv)
        super().__init__(input_size, hidden_size, output_size, num_layers, **options)
        if self._conv_settings is not None:
            self.arguments["conv"] = self._conv_settings
        self._readout = self._make_readout()

    def _layer_inputs(self, input_size: int, output_size: int) -> int:
        return input_size if self._conv_settings is None else self._conv_settings["channels"]

    def _make_front(self, recurrent: Recurrent, seed: int) -> None:
        self.conv: Conv1d | None = None
        if self._conv_settings is not None:
            self.conv = make_conv(self._conv_settings, self.input_size, recurrent.dtype, seed)

    def _make_readout(self) -> Readout:
        raise NotImplementedError(f"{type(self).__name__}._make_readout is not defined")

    def __call__(
        self, x: Array, state: State = None, *, lengths: Any = None, resets: Array | None = None
    ) -> Array:
        """Inference: y alone. Arguments as in `forward`."""
        return self.forward(x, state, lengths=lengths, resets=resets, training=False)[0]

    def forward(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Any = None,
        resets: Array | None = None,
        training: bool = True,
    ) -> tuple[Array, Tape | None]:
        """Compute y of whole sequences.

        Args:
            x: shape (N, T, I).
            state: initial state of the recurrent layers, None for their own; `backward` takes it for a
                constant.
            lengths: steps of each sequence in x, N ints in 0..T, None for T; padding may hold anything. With
                `conv` each is 0 or at least its receptive field.
            resets: bool, shape (N, T): resets[n, t] cuts sequence n between steps t-1 and t, as in
                :class:`rnnfast.nn.Recurrent`; None with `conv`.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, T', O), or (N, O) of a model with one output per sequence; T' is T, or
            what `conv` leaves of it. y is 0 on steps behind the end of a sequence.

        Raises:
            TypeError: if an argument has another dtype than it should.
            ValueError: if one has the wrong shape, a length is not in 0..T, or a sequence is too short for
                `conv`.
        """
        y, _, tape = self._run("forward", x, state, lengths, resets, training)
        return y, tape

    def forward_piece(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Any = None,
        resets: Array | None = None,
        training: bool = True,
    ) -> tuple[Array, State, Tape | None]:
        """As `forward`, over one piece of longer sequences: piece by piece it gives the numbers of the whole,
        or with one output per sequence y of the last piece is that of the whole.

        Args:
            x: shape (N, T, I).
            state: what the piece before gave back; None at the start of the sequences.
            lengths: steps of each sequence within this piece.
            resets: of this piece.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, state, tape): y as from `forward`; the state of the recurrent layers after the piece; what
            `backward` needs, which takes the state at the start for a constant.

        Raises:
            ValueError: if the model cannot run in pieces, see `piece_outputs`, or a shape is wrong.
        """
        self._check_pieces("forward_piece")
        return self._run("forward_piece", x, state, lengths, resets, training)

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx.

        Args:
            tape: from `forward` or `forward_piece`.
            dy: like y; not read behind the end of a sequence.

        Returns:
            dx, shape (N, T, I).
        """
        dx: Array = self._gradients(tape, dy, with_dx=True)
        return dx

    def accumulate_gradients(self, tape: Tape | None, dy: Array) -> None:
        """As `backward`, without the work for dx unless there is a convolution in front."""
        if overrides(self, SequenceModel, "backward", "chain_backward"):
            self.chain_backward(tape, dy)
        else:
            self._gradients(tape, dy, with_dx=False)

    def _gradients(self, tape: Tape | None, dy: Array, *, with_dx: bool) -> Any:
        conv_tape, layer_tape, kept, head_tape, behind = self._read(tape)
        if behind is not None:
            operation, sizes = f"{type(self).__name__}.backward", (*behind.shape, self.head.output_size)
            check_array(
                operation, "dy", dy, dtype=self.head.dtype, axes=("N", "T", "output_size"), sizes=sizes
            )
            dy = np.where(behind[:, :, None], self.head.dtype.type(0), dy)
        dfeatures = self.head.backward(head_tape, dy)
        self._close(tape)
        gradients = self._readout.backward(kept, dfeatures)
        if self.conv is None and not with_dx:
            return self.recurrent.accumulate_gradients(layer_tape, *gradients)
        dx = self.recurrent.backward(layer_tape, *gradients)[0]
        return dx if self.conv is None else self.conv.backward(conv_tape, dx)

    def piece_outputs(self) -> str:
        """Where a model that runs in pieces puts out: "steps", one vector for every step; "last", one after
        the last step.

        Raises:
            ValueError: if the model cannot run in pieces.
        """
        self._check_pieces("piece_outputs")
        return "steps" if self._readout.per_step else "last"

    def real_outputs(self, lengths: Array) -> Array | None:
        """How many outputs of each sequence are made of its real steps.

        Args:
            lengths: of the sequences in x, shape (N,).

        Returns:
            Ints, shape (N,); None for a model with one output per sequence.
        """
        if not self._readout.per_step:
            return None
        return lengths if self.conv is None else self.conv.output_lengths(lengths)

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """What a stream remembers: the last inputs of `conv`, the state of the recurrent layers.

        Args:
            batch_size: N.

        Raises:
            ValueError: if the model is bidirectional, or pools over all steps.
        """
        return joined_state(self._stages(), batch_size)

    def stream_process(self, x: Array, state: dict[str, Array]) -> Array:
        """The outputs that a block completes, or of a model with one output per sequence that after all steps
        so far.

        Args:
            x: block, shape (N, B, I).
            state: from `stream_state`; its arrays are updated in place.
        """
        hidden = process_chain(self._stages(), x, state)
        if self._readout.per_step:
            return self.head.forward(hidden, training=False)[0]
        after = self.recurrent.named_state(part_of(state, "recurrent"), self)
        return self.head.forward(self._readout.forward(hidden, after, None)[0], training=False)[0]

    def _stages(self) -> list[tuple[str, Module]]:
        front: list[tuple[str, Module]] = [] if self.conv is None else [("conv", self.conv)]
        return [*front, ("recurrent", self.recurrent)]

    def _run(
        self, method: str, x: Array, state: State, lengths: Any, resets: Array | None, training: bool
    ) -> tuple[Array, State, Tape | None]:
        conv_tape = None
        if self.conv is not None:
            operation = f"{type(self).__name__}.{method}"
            x, lengths, conv_tape = shorten(operation, self.conv, x, lengths, resets, training)
        hidden, state, layer_tape = self.recurrent.forward(
            x, state, lengths=lengths, resets=resets, training=training
        )
        real = None if lengths is None else np.asarray(lengths, np.int64)  # the layers have checked them
        features, kept = self._readout.forward(hidden, state, real)
        y, head_tape = self.head.forward(features, training=training)
        behind = None
        if real is not None and self._readout.per_step:
            behind = padding(real, y.shape[1])
            y[behind] = 0
        tape = Tape(self, (conv_tape, layer_tape, kept, head_tape, behind)) if training else None
        return y, state, tape

    def _check_pieces(self, method: str) -> None:
        """Raise ValueError if a piece's state cannot be all that the next piece has to know."""
        operation = f"{type(self).__name__}.{method}"
        if self.recurrent.num_directions == 2:
            raise ValueError(
                f"{operation}: bidirectional must be False to run in pieces, as the second direction starts "
                f"at the last step and brings its state from later pieces, got True"
            )
        if self.conv is not None:
            raise ValueError(
                f"{operation}: conv must be None to run in pieces, as its kernel reaches from one piece into "
                f"the next, got {self._conv_settings}"
            )
