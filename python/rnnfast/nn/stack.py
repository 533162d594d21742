"""The passes over a stack of recurrent layers: y of all directions of one layer is the input of the next.

One call of ``ops`` runs one direction of one layer; here the masks, states and gradients go to and come from
these calls. Arrays are checked and [N, T, F] already. Not here: what callers see, which is ``recurrent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from .. import ops
from .masks import CallMasks
from .options import Options
from .parameter import Array
from .states import SequenceLayout, State, StateLayout
from .versioned import Mark
from .weights import DirectionWeights

States = tuple[Array, ...]


class Kept(NamedTuple):
    """What one forward pass leaves for one backward pass: lists are per layer, or per layer and direction."""

    batch: int
    steps: int
    tapes: list[Any]
    input_masks: list[Array | None]
    weight_masks: list[Array | None]
    marks: list[Mark]  # from which on the weights are those of the forward pass
    started: bool  # whether the sequences started from the layers' own initial states


@dataclass(frozen=True)
class Stack:
    """The layers.

    Args:
        weights: one per layer and direction, layer-major.
        options: of all layers.
        input_size: I, of the first layer.
        state_sizes: units of each state of one direction.
        layout: axes of sequences.
        states: layout of the state.
    """

    weights: list[DirectionWeights]
    options: Options
    input_size: int
    state_sizes: tuple[int, ...]
    layout: SequenceLayout
    states: StateLayout

    def initial_state(self, batch: int) -> State:
        """The zero state, or the trainable one where the layers have it; a copy."""
        if not self.options.trainable_state:
            return self.states.zeros(batch)
        return self.states.stack([own.initial_state(batch) or () for own in self.weights])

    @property
    def _directions(self) -> int:
        return 2 if self.options.bidirectional else 1

    def _part(self, y: Array, direction: int) -> Array:
        if self._directions == 1:
            return y
        size = self.state_sizes[0]
        return y[:, :, direction * size : (direction + 1) * size]

    def forward(
        self,
        operation: str,
        x: Array,
        initial: list[States] | None,
        lengths: Array | None,
        resets: Array | None,
        masks: CallMasks,
        *,
        return_states: bool = False,
    ) -> tuple[Array, list[States], list[States], Kept]:
        """Run over all steps.

        Args:
            operation: who asks, for errors.
            x: shape (N, T, I).
            initial: states to start from, None for the layers' own.
            lengths: int64, shape (N,), or None.
            resets: bool, shape (N, T), or None.
            masks: of this call; they say whether it is training.
            return_states: whether to return every step's states.

        Returns:
            (y, finals, every, kept): y of shape (N, T, D*P or D*H); per layer and direction the final states,
            and every step's if asked for; what `backward` needs.
        """
        batch, steps, _ = x.shape
        kept = Kept(batch, steps, [], [], [], [], initial is None)
        finals: list[States] = []
        every: list[States] = []
        inputs = x
        sizes: tuple[int, ...] = (self.input_size,)
        directions, training = self._directions, masks.training
        others: tuple[Array, ...] = ()
        for k, own in enumerate(self.weights):
            layer, direction = divmod(k, directions)
            if direction == 0:
                factors = masks.of_input(layer, batch, steps, sizes, self.layout)
                kept.input_masks.append(factors)
                if factors is not None:
                    inputs = inputs * factors
                sizes = self.state_sizes[:1] * directions
                y = self.layout.empty(batch, steps, sum(sizes))
            if return_states:
                others = tuple(self.layout.empty(batch, steps, n) for n in self.state_sizes[1:])
            weight_mask = masks.of_weight(layer, direction, own.parameters["weight_hh"].shape)
            kept.weight_masks.append(weight_mask)
            mark, weights = own.packed(weight_mask)
            kept.marks.append(mark)
            _, final, tape = ops.recurrent_forward(
                weights,
                inputs,
                own.initial_state(batch) if initial is None else initial[k],
                reverse=direction == 1,
                training=training,
                lengths=lengths,
                resets=resets,
                reset_state=None if resets is None else own.reset_state(),
                hidden_mask=masks.of_hidden(layer, direction, batch, sizes[0]),
                zoneout=masks.zoneout(layer, direction),
                recompute=self.options.recompute,
                states_out=others or None,
                out=self._part(y, direction),
                memory=own.memory,
                name=operation,
            )
            finals.append(final)
            kept.tapes.append(tape)
            if return_states:
                h = self._part(y, direction)
                every.append((h.copy() if len(self.weights) == 1 else h, *others))  # y is the caller's
            if direction == directions - 1:
                inputs = y
        return inputs, finals, every, kept

    def check_unchanged(self, operation: str, kept: Kept) -> None:
        """RuntimeError unless the weights are those of the forward pass."""
        for k, own in enumerate(self.weights):
            own.check_unchanged(operation, kept.marks[k], kept.tapes[k].weights, kept.weight_masks[k])

    def backward(
        self,
        kept: Kept,
        dy: Array | None,
        incoming: list[States] | None,
    ) -> tuple[Array, list[States]]:
        """Add the gradients of the parameters; return those of x and, per layer and direction, of the states.

        Args:
            kept: from `forward`.
            dy: shape (N, T, D*P or D*H), None for zero.
            incoming: gradients of the final states, None for zero.
        """
        outgoing: list[States] = [()] * len(self.weights)
        dx = dy
        for layer in reversed(range(len(kept.input_masks))):
            dinputs = []
            for direction in range(self._directions):
                k = layer * self._directions + direction
                gradients = ops.recurrent_backward(
                    kept.tapes[k].weights,
                    kept.tapes[k],
                    None if dx is None else self._part(dx, direction),
                    None if incoming is None else incoming[k],
                    bound=self.options.state_gradient_bound,
                )
                self.weights[k].accumulate(gradients, kept.weight_masks[k], started=kept.started)
                dinputs.append(gradients.dx)
                outgoing[k] = gradients.dstate
            dx = dinputs[0] if len(dinputs) == 1 else dinputs[0] + dinputs[1]
            mask = kept.input_masks[layer]
            if mask is not None:
                dx = dx * mask
        assert dx is not None  # there is a layer
        return dx, outgoing
