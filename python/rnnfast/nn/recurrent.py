"""Recurrent layers of any registered cell, as callers see them: construction, forward, backward, single
steps, with every argument checked.

Parameters are named as in PyTorch: ``weight_ih_l0``, ``…_l0_reverse``, ``…_l1``. Not here: the passes over
layers (``stack``), options (``options``), weights (``weights``), masks (``masks``), named cells (``cells``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import init, ops
from .arguments import check_size, overrides
from .counter import RandomCounter
from .masks import CallMasks
from .module import Tape
from .options import Options
from .parameter import Array, Parameter
from .recurrent_streams import RecurrentStreams
from .stack import Kept, Stack
from .states import SequenceLayout, State, StateLayout, check_lengths
from .stepping import Stepper
from .weights import DirectionWeights, make_parameters


class Recurrent(RecurrentStreams):
    """Stacked recurrent layers of one cell.

    h_t = cell(x_t, h_{t-1}) over T steps, layer on layer; the equations of each cell are in its own class.

    Args:
        cell: name of a registered cell, a key of ``ops.cells()``.
        input_size: I, features per step; 0 for a layer that runs from its initial state alone.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        proj_size: P < H, size of the projected output h of an LSTM, 0 for none.
        bias: whether there are b_ih and b_hh.
        batch_first: x and y are [N, T, F], or [T, N, F] if False; neither is copied.
        bidirectional: a second direction runs from the last step to the first; y is [forward, backward] on
            the last axis.
        dropout: rate of dropout on y of every layer but the last, fresh at every step.
        input_dropout: rate on the input of every layer, the same mask at all steps of a sequence.
        recurrent_dropout: rate on h_{t-1} where it enters W_hh, the same mask at all steps of a sequence.
        weight_dropout: rate on the weights W_hh, one mask per call of `forward` (DropConnect).
        zoneout: rate with which a unit keeps its state for a step; one for all states, or LSTM (h, c).
        layer_norm: None, "split" (W_ih x and W_hh h normalised each, and c of the LSTM) or "joint" (their
            sum).
        trainable_state: whether the initial state is learned: parameters ``initial_h_l0``, ….
        state_gradient_bound: largest allowed absolute value of the gradient of h at each step, None for none.
        recompute: keep states for `backward` every so many steps only, and run forward again between them;
            0 keeps everything of every step. It changes memory and time, not one bit of the result.
        dtype: float32 or float64.
        seed: seed of initial weights and random masks, None for a fresh one.

    Dropout and zoneout masks are drawn in training alone; at inference zoneout takes its rate in place of the
    mask. Sizes of what the layer puts out are `output_size`, D*H (D*P), and `state_sizes`.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if one is out of its range, or options do not go together.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> layer = nn.Recurrent("gru", 3, 8, seed=0)
        >>> y, h = layer(np.ones((2, 5, 3), np.float32), lengths=[5, 2])
        >>> y.shape, h.shape
        ((2, 5, 8), (1, 2, 8))
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        proj_size: int = 0,
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        layer_norm: str | None = None,
        trainable_state: bool = False,
        state_gradient_bound: float | None = None,
        recompute: int = 0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        name = type(self).__name__
        if cell not in ops.cells():
            raise ValueError(f"{name}: cell must be one of {', '.join(ops.cells())}, got {cell!r}")
        self.cell = ops.cells()[cell]
        self.input_size = check_size(name, "input_size", input_size, minimum=0)
        self.hidden_size = check_size(name, "hidden_size", hidden_size)
        self.num_layers = check_size(name, "num_layers", num_layers)
        self.options = Options(
            proj_size, bias, batch_first, bidirectional, dropout, input_dropout, recurrent_dropout,
            weight_dropout, zoneout, layer_norm, trainable_state, state_gradient_bound, recompute, dtype,
        ).checked(name, self.cell, self.hidden_size, self.num_layers)  # fmt: skip
        self.dtype = self.options.dtype
        self.dropout = self.options.dropout
        self.num_directions = 2 if bidirectional else 1
        self.state_sizes = self.options.state_sizes(self.cell, self.hidden_size)
        self.output_size = self.num_directions * self.state_sizes[0]
        self.counter = RandomCounter(init.resolve_seed(seed))
        self._layout = SequenceLayout(self.options.batch_first, self.dtype)
        count = self.num_layers * self.num_directions
        self._states = StateLayout(self.cell.states, count, self.state_sizes, self.dtype)
        random = init.generator(self.counter.seed)
        self._weights: list[DirectionWeights] = []
        for k in range(count):
            layer, direction = divmod(k, self.num_directions)
            inputs = self.input_size if layer == 0 else self.output_size
            parameters = make_parameters(self.cell, self.options, inputs, self.hidden_size, random)
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            for parameter_name, parameter in parameters.items():
                setattr(self, parameter_name + suffix, parameter)
            self._weights.append(DirectionWeights(cell, self.options.layer_norm, parameters, suffix))
        self._stack = Stack(
            self._weights, self.options, self.input_size, self.state_sizes, self._layout, self._states
        )
        self._stepper = Stepper(self._stack)
        self.flatten()  # one buffer: whether any parameter has changed is one question

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            for own in vars(self).get("_weights", ()):
                own.replace(name, value)
        super().__setattr__(name, value)

    def init_state(self, batch_size: int) -> State:
        """The zero state, or the trainable one where the layer has it; a copy.

        Args:
            batch_size: N.

        Returns:
            h of shape (L*D, N, H), or (L*D, N, P); for a cell of several states a tuple: LSTM (h, c).
        """
        name = f"{type(self).__name__}.init_state"
        return self._stack.initial_state(check_size(name, "batch_size", batch_size, minimum=0))

    def __call__(
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Any = None,
        resets: Array | None = None,
        return_states: bool = False,
    ) -> Any:
        """Inference.

        Args:
            x, state, lengths, resets: as in `forward`.
            return_states: whether to return every step's state too.

        Returns:
            (y, state): y of shape (N, T, D*H), or (T, N, D*H); the final state. With return_states (y, state,
            states): each state after every step, shape (L*D, N, T, H), or (L*D, T, N, H), 0 on padding; a
            tuple of such arrays like the state.
        """
        self._stack.memory.release()  # who only infers does not need the memory of tapes
        y, final, _, states = self._run("forward", x, state, lengths, resets, False, return_states)
        return (y, final, states) if return_states else (y, final)

    def forward(  # type: ignore[override]
        self,
        x: Array,
        state: State = None,
        *,
        lengths: Any = None,
        resets: Array | None = None,
        training: bool = True,
    ) -> tuple[Array, State, Tape | None]:
        """Run over all steps.

        Args:
            x: shape (N, T, I), or (T, N, I) if not batch_first.
            state: initial state as from `init_state`, None for that.
            lengths: steps of each sequence, N ints in 0..T, None for T; y is 0 on the padding behind; the
                final state is that after the last step of each.
            resets: bool, shape (N, T), or (T, N); resets[n, t] cuts sequence n between steps t-1 and t: the
                state that would pass, forward or backward in time, is replaced by the initial one.
            training: False switches random masks off and keeps no tape (None is returned in its place).

        Returns:
            (y, state, tape): y of shape (N, T, D*H), or (T, N, D*H); the final state; what `backward` needs,
            which refers to x and y: leave both unchanged until then.

        Raises:
            TypeError: if an argument has another dtype than it should.
            ValueError: if one has the wrong shape, or a length is not in 0..T.
        """
        return self._run("forward", x, state, lengths, resets, training, False)[:3]

    def _run(
        self, method: str, x: Array, state: State, lengths: Any, resets: Any, training: bool, every: bool
    ) -> tuple[Array, State, Tape | None, State]:
        plain = not (training or every) and lengths is None and resets is None
        if plain and (block := self._stepper.block(x, state)) is not None:
            return *block, None, None
        operation = f"{type(self).__name__}.{method}"
        x = self._layout.check(operation, "x", x, self.input_size, "input_size")
        batch, steps = x.shape[:2]
        initial = self._states.split(operation, "state", state, batch, steps)
        if training and state is not None:
            # The tape keeps them: copies, as the caller may write to the state before backward.
            initial = [tuple(part.copy() for part in parts) for parts in initial]
        y, finals, by_step, kept = self._stack.forward(
            operation,
            x,
            None if state is None else initial,
            check_lengths(operation, lengths, batch, steps),
            self._layout.check_resets(operation, resets, (batch, steps)),
            CallMasks(self.options, self.counter, training),
            return_states=every,
        )
        swapped = [tuple(map(self._layout.swap, parts)) for parts in by_step]
        states = self._states.stack(swapped) if every else None
        tape = Tape(self, kept) if training else None
        return self._layout.swap(y), self._states.public(finals), tape, states

    def backward(  # type: ignore[override]
        self, tape: Tape | None, dy: Array | None, dstate: State = None
    ) -> tuple[Array, State]:
        """Add the gradients of the parameters into their `grad`; return those of x and of the initial state.

        Args:
            tape: from `forward`; used once.
            dy: gradient of y, like y; None for zero.
            dstate: gradient of the final state, like the state; None, or None in place of one of its arrays,
                for zero.

        Returns:
            (dx, dstate): like x, and like the initial state; the latter is in the gradients of a trainable
            initial state already, where the sequences started from that.

        Raises:
            RuntimeError: if the tape was used before, is another module's, or is None, or if the weights have
                changed since forward.
        """
        return self._gradients(tape, dy, dstate, with_dx=True)

    def _gradients(self, tape: Any, dy: Any, dstate: State, *, with_dx: bool) -> tuple[Any, State]:
        operation = f"{type(self).__name__}.backward"
        kept: Kept = self._read(tape)
        front = kept.batch, kept.steps
        incoming = self._states.split(operation, "dstate", dstate, *front, optional=True)
        if dy is not None:
            axis = f"directions*{'proj_size' if self.options.proj_size else 'hidden_size'}"
            dy = self._layout.check(operation, "dy", dy, self.output_size, axis, front)
        self._stack.check_unchanged(operation, kept)
        self._close(tape)
        dx, outgoing = self._stack.backward(kept, dy, incoming if dstate is not None else None, with_dx)
        return self._layout.swap(dx) if with_dx else None, self._states.public(outgoing)

    def step(self, x_t: Array, state: State = None, *, resets: Array | None = None) -> tuple[Array, State]:
        """One time step at inference: the same numbers as the whole sequence at once.

        Args:
            x_t: shape (N, I).
            state: state after the step before, None for the initial one.
            resets: bool, shape (N,): samples whose state is replaced by the initial one before the step.

        Returns:
            (y_t, state): y_t of shape (N, H), or (N, P).

        Raises:
            ValueError: if the layer is bidirectional or a shape is wrong.
        """
        if resets is None and (result := self._stepper.run(x_t, state)) is not None:
            return result  # type: ignore[no-any-return]
        return self._stepper.checked(f"{type(self).__name__}.step", x_t, state, resets)

    def chain_forward(self, x: Array | Mapping[str, Array], training: bool) -> tuple[Array, Tape | None]:
        """As `forward` from the initial state, the final state dropped."""
        y, _, tape = self.forward(**(x if isinstance(x, Mapping) else {"x": x}), training=training)
        return y, tape

    def chain_backward(self, tape: Tape | None, dy: Array) -> Array:
        """The partner of `chain_forward`."""
        return self.backward(tape, dy)[0]

    def accumulate_gradients(self, tape: Tape | None, dy: Array | None, dstate: State = None) -> None:
        """As `backward`, without the work for dx."""
        if not overrides(self, Recurrent, "backward", "chain_backward"):
            self._gradients(tape, dy, dstate, with_dx=False)
        elif dy is not None and dstate is None:
            self.chain_backward(tape, dy)
        else:
            self.backward(tape, dy, dstate)
