"""A stack of recurrent layers of any registered cell: layers, directions, dropout between layers, states,
single steps.

The maths of one layer over time is ``ops.recurrent_forward`` and ``ops.recurrent_backward``; here its calls
are put together. Parameter names and layouts are PyTorch's: ``weight_ih_l0`` [G*H, I], ``weight_hh_l0`` [G*H,
H], ``bias_ih_l0`` and ``bias_hh_l0`` [G*H], then ``…_l0_reverse``, ``…_l1``, and so on. Not here: the named
classes RNN, LSTM and GRU (``cells``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import init, ops
from .arguments import check_array, check_dtype, check_flag, check_rate, check_size
from .module import Module, RandomCounter, Tape
from .parameter import Array, Parameter
from .states import SequenceLayout, State, StateLayout
from .weights import DirectionWeights


class Recurrent(Module):
    """Stacked recurrent layers of one cell.

    h_t = cell(x_t, h_{t-1}) over T steps, layer on layer; the equations of each cell are in its own class.

    Args:
        cell: name of a registered cell, a key of ``ops.cells()``.
        input_size: I, features per step.
        hidden_size: H, hidden units per layer and direction.
        num_layers: L.
        bias: whether there are b_ih and b_hh.
        batch_first: x and y are [N, T, F], or [T, N, F] if False; neither is copied.
        bidirectional: a second direction runs from the last step to the first; y is [forward, backward] on
            the last axis.
        dropout: rate of dropout on y of every layer but the last, in training.
        dtype: float32 or float64.
        seed: seed of initial weights and dropout masks, None for a fresh one.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> layer = nn.Recurrent("gru", 3, 8, seed=0)
        >>> y, h = layer(np.ones((2, 5, 3), np.float32))
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
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        name = type(self).__name__
        for option, flag in {
            "bias": bias,
            "batch_first": batch_first,
            "bidirectional": bidirectional,
        }.items():
            check_flag(name, option, flag)
        if cell not in ops.cells():
            raise ValueError(f"{name}: cell must be one of {', '.join(ops.cells())}, got {cell!r}")
        self.cell = ops.cells()[cell]
        self.input_size = check_size(name, "input_size", input_size)
        self.hidden_size = check_size(name, "hidden_size", hidden_size)
        self.num_layers = check_size(name, "num_layers", num_layers)
        self.num_directions = 2 if bidirectional else 1
        self.dropout = check_rate(name, "dropout", dropout)
        if self.dropout > 0 and self.num_layers == 1:
            raise ValueError(
                f"{name}: dropout must be 0 with num_layers=1, as it acts between layers, got {dropout}; "
                f"add layers, or put nn.Dropout behind this one"
            )
        self.dtype = check_dtype(name, dtype)
        self.counter = RandomCounter(init.resolve_seed(seed))
        self._layout = SequenceLayout(bool(batch_first), self.dtype)
        self._states = StateLayout(
            self.cell.states, self.num_layers * self.num_directions, self.hidden_size, self.dtype
        )
        random = init.generator(self.counter.seed)
        self._weights = [
            self._make_weights(layer, direction, bias, random)
            for layer in range(self.num_layers)
            for direction in range(self.num_directions)
        ]

    def _make_weights(
        self, layer: int, direction: int, bias: bool, random: np.random.RandomState
    ) -> DirectionWeights:
        hidden, gates = self.hidden_size, len(self.cell.gates)
        inputs = self.input_size if layer == 0 else hidden * self.num_directions
        # Gate by gate: the fans of Glorot's formula and orthogonality are those of the map into one gate.
        input_weights = [init.glorot_uniform((hidden, inputs), random, self.dtype) for _ in range(gates)]
        hidden_weights = [init.orthogonal(hidden, random, self.dtype) for _ in range(gates)]
        parameters = {
            "weight_ih": Parameter(np.concatenate(input_weights)),
            "weight_hh": Parameter(np.concatenate(hidden_weights)),
        }
        if bias:
            parameters["bias_ih"] = Parameter(np.zeros(gates * hidden, self.dtype))
            parameters["bias_hh"] = Parameter(np.zeros(gates * hidden, self.dtype))
        for name, parameter in parameters.items():
            setattr(self, f"{name}_l{layer}" + ("_reverse" if direction else ""), parameter)
        return DirectionWeights(self.cell.name, parameters)

    def init_state(self, batch_size: int) -> State:
        """The zero state.

        Args:
            batch_size: N.

        Returns:
            h of shape (L*D, N, H); for a cell of several states a tuple of such arrays, LSTM (h, c).
        """
        return self._states.zeros(
            check_size(f"{type(self).__name__}.init_state", "batch_size", batch_size, minimum=0)
        )

    def __call__(self, x: Array, state: State = None) -> tuple[Array, State]:
        """Inference.

        Args:
            x: shape (N, T, I), or (T, N, I) if not batch_first.
            state: initial state as from `init_state`, None for zeros.

        Returns:
            (y, state): y of shape (N, T, D*H), or (T, N, D*H); the final state.
        """
        y, final, _ = self.forward(x, state, training=False)
        return y, final

    def forward(  # type: ignore[override]
        self, x: Array, state: State = None, *, training: bool = True
    ) -> tuple[Array, State, Tape | None]:
        """Run over all steps.

        Args:
            x: shape (N, T, I), or (T, N, I) if not batch_first.
            state: initial state as from `init_state`, None for zeros.
            training: False switches dropout off and keeps no tape (None is returned in its place).

        Returns:
            (y, state, tape): y of shape (N, T, D*H), or (T, N, D*H); the final state; what `backward` needs,
            which refers to x and y: leave both unchanged until then.

        Raises:
            TypeError: if x or the state has another dtype than the layer.
            ValueError: if x or the state has the wrong shape.
        """
        operation = f"{type(self).__name__}.forward"
        inputs = self._layout.check(operation, "x", x, self.input_size, "input_size")
        batch, steps = inputs.shape[:2]
        initial = self._states.split(operation, "state", state, batch, steps)
        if training and state is not None:
            # The tape keeps them: copies, as the caller may write to the state before backward.
            initial = [tuple(part.copy() for part in parts) for parts in initial]
        drop = training and self.dropout > 0
        call = self.counter.draw() if drop else 0
        finals, tapes, masks = [], [], []
        for layer in range(self.num_layers):
            mask = self._dropout_mask(batch, steps, call, layer - 1) if drop and layer > 0 else None
            masks.append(mask)
            if mask is not None:
                inputs = inputs * mask
            y = self._layout.empty(batch, steps, self.num_directions * self.hidden_size)
            for direction in range(self.num_directions):
                k = layer * self.num_directions + direction
                _, final, tape = ops.recurrent_forward(
                    self._weights[k].packed(),
                    inputs,
                    None if state is None else initial[k],
                    reverse=direction == 1,
                    training=training,
                    out=self._part(y, direction),
                    name=operation,
                )
                finals.append(final)
                tapes.append(tape)
            inputs = y
        state_after = self._states.stack(finals)
        tape_of_all = Tape(self, (tapes, masks, batch, steps)) if training else None
        return self._layout.swap(inputs), state_after, tape_of_all

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
            (dx, dstate): like x, and like the initial state.

        Raises:
            RuntimeError: if the tape was used before, is another module's, or is None, or if the weights have
                changed since forward.
        """
        operation = f"{type(self).__name__}.backward"
        tapes, masks, batch, steps = self._read(tape)
        incoming = self._states.split(operation, "dstate", dstate, batch, steps, optional=True)
        if dy is not None:
            features = self.num_directions * self.hidden_size
            dy = self._layout.check(operation, "dy", dy, features, "directions*hidden_size", (batch, steps))
        packed = [own.packed_like(operation, t) for own, t in zip(self._weights, tapes, strict=True)]
        self._close(tape)
        outgoing: list[tuple[Array, ...]] = []
        dlayer = dy
        for layer in reversed(range(self.num_layers)):
            dinputs = []
            for direction in range(self.num_directions):
                k = layer * self.num_directions + direction
                gradients = ops.recurrent_backward(
                    packed[k],
                    tapes[k],
                    None if dlayer is None else self._part(dlayer, direction),
                    None if dstate is None else incoming[k],
                )
                self._weights[k].accumulate(gradients)
                dinputs.append(gradients.dx)
                outgoing.insert(direction, gradients.dstate)
            dx = dinputs[0] if len(dinputs) == 1 else dinputs[0] + dinputs[1]
            mask = masks[layer]
            dx = dlayer = dx if mask is None else dx * mask
        return self._layout.swap(dx), self._states.stack(outgoing)

    def step(self, x_t: Array, state: State = None) -> tuple[Array, State]:
        """One time step: the same numbers as the whole sequence at once.

        Args:
            x_t: shape (N, I).
            state: state after the step before, None for zeros.

        Returns:
            (y_t, state): y_t of shape (N, H).

        Raises:
            ValueError: if the layer is bidirectional or a shape is wrong.
        """
        operation = f"{type(self).__name__}.step"
        if self.num_directions == 2:
            raise ValueError(
                f"{operation}: bidirectional must be False, as one direction starts at the end, got True"
            )
        check_array(
            operation, "x_t", x_t, dtype=self.dtype, axes=("N", "input_size"), sizes=(None, self.input_size)
        )
        parts = self._states.split(operation, "state", state, len(x_t), -1)
        y, finals = x_t, []
        for weights, part in zip(self._weights, parts, strict=True):
            finals.append(ops.recurrent_step(weights.packed(), y, None if state is None else part))
            y = finals[-1][0]
        # A copy: whoever changes y_t must not change the state.
        return y.copy(), self._states.stack(finals)

    def chain_forward(self, x: Array, training: bool) -> tuple[Array, Tape | None]:
        """As `forward` from a zero state, the final state dropped."""
        y, _, tape = self.forward(x, training=training)
        return y, tape

    def chain_backward(self, tape: Tape | None, dy: Array) -> Array:
        """The partner of `chain_forward`."""
        return self.backward(tape, dy)[0]

    def _part(self, y: Array, direction: int) -> Array:
        return y[:, :, direction * self.hidden_size : (direction + 1) * self.hidden_size]

    def _dropout_mask(self, batch: int, steps: int, call: int, layer: int) -> Array:
        mask = self._layout.empty(batch, steps, self.num_directions * self.hidden_size)
        for direction in range(self.num_directions):
            self._part(mask, direction)[...] = ops.dropout_mask(
                (batch, steps, self.hidden_size),
                self.dropout,
                self.dtype,
                seed=self.counter.seed,
                call=call,
                layer=layer,
                direction=direction,
            )
        return mask
