"""A sequence from one vector: the vector as the input of every step or as the initial state, with or without
the model's own output fed back.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np

from .. import ops
from ..nn import Linear, Tape
from ..nn.arguments import check_array, check_flag, check_size
from ..nn.parameter import Array
from ..nn.recurrent import Recurrent
from ..nn.states import State
from .recurrent import RecurrentModel


class Vec2Seq(RecurrentModel):
    """Vector to sequence: y_t = W h_t + b, h_t from stacked recurrent layers over T steps.

    With mode="repeat" the vector x is the input of every step; with mode="state" the initial states of all
    layers are an affine map of it, ``start``, and the steps have no input. With feedback the output of the
    step before, y_{t-1} with y_0 = 0, is input too: [x, y_{t-1}] or y_{t-1}; the gradient runs through it.

    Args:
        input_size: I, size of the vector.
        hidden_size: H, hidden units per layer and direction.
        output_size: O, values per step.
        steps: T, steps of the sequences that come out.
        num_layers: L.
        mode: "repeat" (the default) or "state".
        feedback: whether the output of the step before is input; False by default.
        options: cell ("gru"), bias (True), bidirectional (False), dropout (0.0), dtype (np.float32), seed
            (None) and all others of :class:`RecurrentModel`. With feedback the layers have one direction;
            with mode="state" there is no trainable_state.

    Raises:
        TypeError: if an argument is of another type, or the cell has no such option.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.Vec2Seq(3, 8, 1, steps=14, mode="state", feedback=True, seed=0)
        >>> model.predict(np.ones((2, 3), np.float32)).shape
        (2, 14, 1)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        steps: int,
        num_layers: int = 1,
        *,
        mode: str = "repeat",
        feedback: bool = False,
        **options: Any,
    ) -> None:
        if mode not in ("repeat", "state"):
            raise ValueError(f"Vec2Seq: mode must be 'repeat' or 'state', got {mode!r}")
        self.steps = check_size("Vec2Seq", "steps", steps)
        self.mode = mode
        self.feedback = check_flag("Vec2Seq", "feedback", feedback)
        if mode == "state" and options.get("trainable_state", False):
            raise ValueError(
                "Vec2Seq: trainable_state must be False with mode='state', as the vector gives the initial "
                "states, got True"
            )
        if self.feedback and options.get("bidirectional", False):
            raise ValueError(
                "Vec2Seq: bidirectional must be False with feedback, as a direction from the last step to "
                "the first would need outputs that are not there yet, got True"
            )
        super().__init__(input_size, hidden_size, output_size, num_layers, **options)
        self.arguments |= {"steps": self.steps, "mode": mode, "feedback": self.feedback}

    def _layer_inputs(self, input_size: int, output_size: int) -> int:
        # The output size is checked by the head, which is made last.
        fed = check_size("Vec2Seq", "output_size", output_size) if self.feedback else 0
        return (input_size if self.mode == "repeat" else 0) + fed

    def _make_front(self, recurrent: Recurrent, seed: int) -> None:
        self.start: Linear | None = None
        if self.mode == "state":
            size = recurrent.num_layers * recurrent.num_directions * sum(recurrent.state_sizes)
            self.start = Linear(self.input_size, size, dtype=recurrent.dtype, seed=seed)

    def __call__(self, x: Array, target: Array | None = None) -> Array:
        """Inference: y alone. Arguments as in `forward`."""
        return self.forward(x, target, training=False)[0]

    def forward(
        self, x: Array, target: Array | None = None, *, training: bool = True
    ) -> tuple[Array, Tape | None]:
        """Compute y of all steps.

        Args:
            x: shape (N, I).
            target: with feedback, what is fed back in place of the model's own output (teacher forcing):
                shape (N, T, O), step t sees target_{t-1}; None for the model's own. It gets no gradient.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, T, O). The tape refers to x: leave it unchanged until `backward`.

        Raises:
            TypeError: if an array has another dtype than the model.
            ValueError: if one has the wrong shape, or there is a target without feedback.
        """
        operation, dtype = f"{type(self).__name__}.forward", self.head.dtype
        sizes = (None, self.input_size)
        check_array(operation, "x", x, dtype=dtype, axes=("N", "input_size"), sizes=sizes)
        if target is not None:
            if not self.feedback:
                raise ValueError(
                    f"{operation}: target must be None without feedback, where nothing would see it; make "
                    f"the model with feedback=True"
                )
            shape = (len(x), self.steps, self.head.output_size)
            check_array(
                operation, "target", target, dtype=dtype, axes=("N", "steps", "output_size"), sizes=shape
            )
        state, start_tape = None, None
        if self.start is not None:
            initial, start_tape = self.start.forward(x, training=training)
            state = self._split(initial)
        own = self.feedback and target is None
        steps = 1 if own else self.steps  # of one call of the layers
        fed = self._first_fed(x, target)
        outputs, tapes = [], []
        # Masks that are one for all steps are so here too; inference leaves the counter to whoever trains.
        with self.recurrent.counter.sequence() if training else nullcontext():
            for _ in range(0, self.steps, steps):
                hidden, state, layer_tape = self.recurrent.forward(
                    self._inputs(x, fed, steps), state, training=training
                )
                y, head_tape = self.head.forward(hidden, training=training)
                fed = y
                outputs.append(y)
                tapes.append((layer_tape, head_tape))
        y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)
        return y, Tape(self, (start_tape, tapes, own, len(x))) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array:
        """Add the gradients of all parameters; return dx.

        Args:
            tape: from `forward`.
            dy: shape (N, T, O).

        Returns:
            dx, shape (N, I).
        """
        start_tape, tapes, own, batch = self._read(tape)
        operation, sizes = f"{type(self).__name__}.backward", (batch, self.steps, self.head.output_size)
        axes = ("N", "steps", "output_size")
        check_array(operation, "dy", dy, dtype=self.head.dtype, axes=axes, sizes=sizes)
        self._close(tape)
        dx = np.zeros((batch, self.input_size), dy.dtype)
        dfed, dstate = None, None
        for t, (layer_tape, head_tape) in reversed(list(enumerate(tapes))):
            dpart = dy[:, t : t + 1] if own else dy
            if own and dfed is not None:
                dpart = dpart + dfed
            dhidden = self.head.backward(head_tape, dpart)
            dinputs, dstate = self.recurrent.backward(layer_tape, dhidden, dstate)
            if self.mode == "repeat":
                dx += ops.sum_over_steps(dinputs[:, :, : self.input_size])
                dinputs = dinputs[:, :, self.input_size :]
            dfed = dinputs
        return dx if self.start is None else self.start.backward(start_tape, self._joined(dstate))

    def _first_fed(self, x: Array, target: Array | None) -> Array | None:
        """What the first call of the layers is fed: y_0 = 0, or the target one step later."""
        if not self.feedback:
            return None
        steps = 1 if target is None else self.steps
        fed = np.zeros((len(x), steps, self.head.output_size), x.dtype)
        if target is not None:
            fed[:, 1:] = target[:, :-1]
        return fed

    def _inputs(self, x: Array, fed: Array | None, steps: int) -> Array:
        """What the layers see in one call: x at every step, what is fed back, both, or nothing."""
        parts = [np.broadcast_to(x[:, None], (len(x), steps, x.shape[1]))] if self.mode == "repeat" else []
        parts += [] if fed is None else [fed]
        if not parts:
            return np.empty((len(x), steps, 0), x.dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _split(self, initial: Array) -> State:
        """The states of all layers in an array [N, L*D*sizes], layer by layer, h first."""
        count, sizes = self.recurrent.num_layers * self.recurrent.num_directions, self.recurrent.state_sizes
        by_layer = initial.reshape(len(initial), count, sum(sizes)).transpose(1, 0, 2)
        parts = np.split(by_layer, np.cumsum(sizes)[:-1].tolist(), axis=2)
        arrays = tuple(np.ascontiguousarray(part) for part in parts)
        return arrays[0] if len(arrays) == 1 else arrays

    def _joined(self, dstate: State) -> Array:
        """The inverse of `_split`."""
        parts = dstate if isinstance(dstate, tuple) else (dstate,)
        together = np.concatenate(parts, axis=2).transpose(1, 0, 2)
        return together.reshape(len(together), together.shape[1] * together.shape[2])
