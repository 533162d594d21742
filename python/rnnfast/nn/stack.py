"""The passes over a stack of recurrent layers: y of all directions of one layer is the input of the next.

One call of ``ops`` runs all layers; here the masks, states and gradients go to and come from these calls, and
packed weights are made anew when parameters have changed. Arrays are checked and [N, T, F] already. Not here:
what callers see, which is ``recurrent``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from .. import ops
from .masks import CallMasks
from .options import Options
from .parameter import Array, Parameter
from .states import SequenceLayout, State, StateLayout
from .versioned import Mark, Versioned
from .weights import DirectionWeights

States = tuple[Array, ...]


class Kept(NamedTuple):
    """What one forward pass leaves for one backward pass; lists are per layer and direction."""

    batch: int
    steps: int
    tape: ops.StackTape | None
    weights: list[ops.RecurrentWeights]
    weight_masks: list[Array | None]
    mark: Mark  # from which on the weights are those of the forward pass
    started: bool  # whether the sequences started from the layers' own initial states
    with_resets: bool


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
    memory: ops.TapeMemory = field(default_factory=ops.TapeMemory, init=False)
    _packed: Versioned[list[ops.RecurrentWeights]] = field(default_factory=Versioned, init=False, repr=False)

    def initial_state(self, batch: int) -> State:
        """The zero state, or the trainable one where the layers have it; a copy."""
        if not self.options.trainable_state:
            return self.states.zeros(batch)
        return self.states.stack([own.initial_state(batch) or () for own in self.weights])

    @property
    def _directions(self) -> int:
        return 2 if self.options.bidirectional else 1

    def packed(self, masks: Sequence[Array | None] | None = None) -> tuple[Mark, list[ops.RecurrentWeights]]:
        """The weights of all layers for ``ops``, and the mark from which on they hold.

        Args:
            masks: what each weight_hh is multiplied by, for this call alone; without them the weights are
                packed at most once per version of the parameters.
        """
        if masks is None or masks[0] is None:  # there are masks of all weights, or of none
            generation = sum(own.generation for own in self.weights)
            # All at once, as a step of an optimizer changes all. Weights that were handed out stay as they
            # are: other threads and open tapes use them.
            return self._packed.marked(generation, self._parameters, self._pack)
        mark = Mark(self._parameters())
        return mark, [own.pack(mask) for own, mask in zip(self.weights, masks, strict=True)]

    def _parameters(self) -> Iterator[Parameter]:
        return chain.from_iterable(own.parameters.values() for own in self.weights)

    def _pack(self) -> list[ops.RecurrentWeights]:
        return [own.pack() for own in self.weights]

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
    ) -> tuple[Array, list[Array], list[States], Kept]:
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
            (y, finals, every, kept): y of shape (N, T, D*P or D*H); the final states, one array (L*D, N,
            size) per state; per layer and direction every step's states if asked for; what `backward` needs.
        """
        batch, steps, _ = x.shape
        own_start, directions = initial is None, self._directions
        drawn = masks.of_stack(
            batch=batch,
            steps=steps,
            input_size=self.input_size,
            weight_shape=self.weights[0].parameters["weight_hh"].shape,
            layers=len(self.weights) // directions,
            directions=directions,
            layout=self.layout,
        )
        mark, weights = self.packed(drawn.weights)
        if self.options.trainable_state and initial is None:
            initial = [own.initial_state(batch) or () for own in self.weights]
        call = ops.StackCall(
            weights,
            state=initial,
            reset_state=self._reset_states() if resets is not None else None,
            lengths=lengths,
            resets=resets,
            input_masks=drawn.inputs,
            hidden_masks=drawn.hidden,
            zoneout=drawn.zoneout,
            recompute=self.options.recompute,
            time_major=not self.options.batch_first,
        )
        memory = self.memory if masks.training else None
        ys, finals, others, tape = ops.stack_forward(
            call, x, memory=memory, return_states=return_states, name=operation
        )
        every = [(self._h_of_every_step(ys, k), *states) for k, states in enumerate(others)]
        kept = Kept(batch, steps, tape, weights, drawn.weights, mark, own_start, resets is not None)
        return ys[-1], finals, every, kept

    def _reset_states(self) -> list[States] | None:
        if not self.options.trainable_state:
            return None
        return [own.reset_state() or () for own in self.weights]

    def _h_of_every_step(self, ys: list[Array], k: int) -> Array:
        (layer, direction), size = divmod(k, self._directions), self.state_sizes[0]
        h = ys[layer][:, :, direction * size : (direction + 1) * size]
        return h.copy() if len(self.weights) == 1 else h  # y is the caller's

    def check_unchanged(self, operation: str, kept: Kept) -> None:
        """RuntimeError unless the weights are those of the forward pass.

        Where versions differ the values decide: who reads `Parameter.data` in between raises the version too.
        """
        if kept.mark.holds():
            return
        _, weights = self.packed(kept.weight_masks)
        for own, now, used in zip(self.weights, weights, kept.weights, strict=True):
            if not own.same_values(now, used):
                raise RuntimeError(
                    f"{operation}: tape must come from the present weights, but the weights have changed "
                    f"since forward; call forward again, and zero_grad before it if layers behind this one "
                    f"have added their gradients already"
                )

    def backward(
        self,
        kept: Kept,
        dy: Array | None,
        incoming: Sequence[ops.States] | None,
        with_dx: bool,
    ) -> tuple[Any, list[Array]]:
        """Add the gradients of the parameters; return those of x and of the states, (L*D, N, size) each.

        Args:
            kept: from `forward`.
            dy: shape (N, T, D*P or D*H), None for zero.
            incoming: gradients of the final states, None for zero.
            with_dx: whether that of x is wanted, else None is returned in its place.
        """
        assert kept.tape is not None  # as forward was training
        trainable = self.options.trainable_state
        dx, dstate, dreset = ops.stack_backward(
            kept.tape,
            dy,
            incoming,
            targets=[own.gradients() for own in self.weights],
            weight_masks=kept.weight_masks,
            bound=self.options.state_gradient_bound,
            with_reset_state=trainable and kept.with_resets,
            with_dx=with_dx,
        )
        for k, own in enumerate(self.weights if trainable else ()):
            for of_states in ([dstate] if kept.started else []) + ([dreset] if dreset else []):
                own.accumulate_initial([array[k] for array in of_states])
        return dx, dstate
