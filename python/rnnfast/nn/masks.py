"""All random masks of one forward call of a recurrent layer.

Each is a pure function of (seed, call, layer, direction, what, position), drawn by ``ops.dropout_mask``, or
by the kernels themselves for zoneout; so nothing is kept here but the number of the call. At inference, and
for an option that is off, there is no mask (None).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import ops
from .counter import RandomCounter
from .options import Options
from .parameter import Array
from .states import SequenceLayout


class StackMasks(NamedTuple):
    """What one forward call of a stack is multiplied by, None where by nothing."""

    weights: list[Array | None]  # of weight_hh, by layer and direction, layer-major
    inputs: list[Array | None]  # by layer
    hidden: list[Array | None]  # by layer and direction
    zoneout: list[ops.Zoneout | None]  # by layer and direction


class CallMasks:
    """The masks of one forward call.

    Args:
        options: the layer's options.
        counter: the layer's random state; a call in training draws one number from it, if any option is
            stochastic.
        training: whether masks are drawn; at inference zoneout takes its rates in place of masks.
    """

    def __init__(self, options: Options, counter: RandomCounter, training: bool) -> None:
        self.options = options
        self.seed = counter.seed
        self.call = counter.draw() if training and options.stochastic else 0
        self.sequence_call = counter.of_sequence(self.call)
        self.training = training

    def of_stack(
        self,
        *,
        batch: int,
        steps: int,
        input_size: int,
        weight_shape: tuple[int, ...],
        layers: int,
        directions: int,
        layout: SequenceLayout,
    ) -> StackMasks:
        """All masks.

        Args:
            batch: N.
            steps: T.
            input_size: I, of the first layer.
            weight_shape: of every weight_hh, (G*H, P or H).
            layers: L.
            directions: D.
            layout: axes of the layers' sequences.
        """
        places = [(layer, direction) for layer in range(layers) for direction in range(directions)]
        if not self.options.stochastic:  # in few words, as for small layers they count
            none: list[Any] = [None] * len(places)
            return StackMasks(none, none[:layers], none, none)
        outputs = weight_shape[1]
        sizes = [(input_size,), *[(outputs,) * directions] * (layers - 1)]
        return StackMasks(
            [self.of_weight(*place, weight_shape) for place in places],
            [self.of_input(layer, batch, steps, sizes[layer], layout) for layer in range(layers)],
            [self.of_hidden(*place, batch, outputs) for place in places],
            [self.zoneout(*place) for place in places],
        )

    def of_input(
        self, layer: int, batch: int, steps: int, sizes: tuple[int, ...], layout: SequenceLayout
    ) -> Array | None:
        """What the input of a layer is multiplied by: dropout on y of the layer before, times input dropout.

        Args:
            layer: number of the layer.
            batch: N.
            steps: T.
            sizes: features of each part of the input: of x, or of each direction of the layer before.
            layout: axes of the layer's sequences.

        Returns:
            Mask [N, T, F], or [N, 1, F] of input dropout alone.
        """
        between = None
        if self.training and self.options.dropout > 0 and layer > 0:
            between = layout.empty(batch, steps, sum(sizes))
            stops = np.cumsum(sizes).tolist()
            for direction, (size, stop) in enumerate(zip(sizes, stops, strict=True)):
                drawn = self._draw("output", self.options.dropout, (batch, steps, size), layer - 1, direction)
                between[:, :, stop - size : stop] = drawn
        if not self.training or self.options.input_dropout == 0:
            return between
        same = self._draw("input", self.options.input_dropout, (batch, 1, sum(sizes)), layer)
        if between is None:
            return same
        between *= same
        return between

    def of_hidden(self, layer: int, direction: int, batch: int, size: int) -> Array | None:
        """Recurrent dropout: what h is multiplied by where it enters W_hh, [N, P or H]."""
        if not self.training or self.options.recurrent_dropout == 0:
            return None
        shape, rate = (batch, 1, size), self.options.recurrent_dropout
        return self._draw("recurrent", rate, shape, layer, direction).reshape(batch, size)

    def of_weight(self, layer: int, direction: int, shape: tuple[int, ...]) -> Array | None:
        """DropConnect: what weight_hh is multiplied by, [G*H, P or H]."""
        if not self.training or self.options.weight_dropout == 0:
            return None
        rows, columns = shape
        rate = self.options.weight_dropout
        return self._draw("weight", rate, (1, rows, columns), layer, direction).reshape(shape)

    def zoneout(self, layer: int, direction: int) -> ops.Zoneout | None:
        """Zoneout of one direction of one layer; at inference too."""
        if not any(self.options.zoneout):
            return None
        return ops.Zoneout(
            self.options.zoneout,
            self.training,
            seed=self.seed,
            call=self.call,
            layer=layer,
            direction=direction,
        )

    def _draw(
        self, what: str, rate: float, shape: tuple[int, int, int], layer: int, direction: int = 0
    ) -> Array:
        return ops.dropout_mask(
            shape,
            rate,
            self.options.dtype,
            seed=self.seed,
            call=self.call if what == "output" else self.sequence_call,
            layer=layer,
            direction=direction,
            what=what,
        )
