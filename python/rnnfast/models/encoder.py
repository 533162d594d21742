"""The first half of an encoder–decoder: from a source sequence vectors to look at and a state to start from.

Not here: attention over those vectors (``nn.attention``), the decoder that starts from the state
(``decoder``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..init import child_seeds
from ..nn import Embedding, Linear, Module, Tape
from ..nn.arguments import check_array, check_flag, check_size
from ..nn.cells import recurrent_layer
from ..nn.parameter import Array
from ..nn.states import State, check_lengths, zero_padding
from .front import check_long_enough, make_conv
from .tokens import check_token_array, check_tokens


class Encoder(Module):
    """Embedding or values, a strided convolution where asked for, recurrent layers, and a bridge.

    With one direction the final states are handed on as they are; with two, each state of a layer is
    W [forward; backward] + b, an affine map of its own per layer and state, ``bridge_h_l0``, ….

    Args:
        source_size: number of tokens, or features per step.
        hidden_size: H.
        num_layers: L.
        tokens: whether the source is token numbers.
        cell: name of the cell.
        embedding_size: size of the vectors that stand for tokens.
        bidirectional: whether a second direction runs from the last step to the first.
        conv: settings of a convolution in front, from `check_conv`; None for none.
        options: of the recurrent layers.
        dtype: float32 or float64.
        seed: seed of initial weights and masks, None for a fresh one.
    """

    def __init__(
        self,
        source_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        tokens: bool,
        cell: str,
        embedding_size: int,
        bidirectional: bool,
        conv: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        dtype: Any,
        seed: int | None,
    ) -> None:
        embedding_seed, conv_seed, layer_seed, bridge_seed = child_seeds(seed, 4)
        self.source_size = check_size("EncoderDecoder", "source_size", source_size)
        self.embedding = self.conv = None
        features = self.source_size
        if tokens:
            self.embedding = Embedding(features, embedding_size, dtype=dtype, seed=embedding_seed)
            features = self.embedding.embedding_dim
        if conv is not None:
            self.conv = make_conv(conv, features, dtype, conv_seed)
            features = conv["channels"]
        self.recurrent = recurrent_layer(
            cell, features, hidden_size, num_layers,
            bidirectional=check_flag("EncoderDecoder", "bidirectional", bidirectional),
            dtype=dtype, seed=layer_seed, **options,
        )  # fmt: skip
        self.dtype = self.recurrent.dtype
        self.output_size = self.recurrent.output_size
        names, sizes = self.recurrent.cell.states, self.recurrent.state_sizes
        if bidirectional:
            seeds = iter(child_seeds(bridge_seed, num_layers * len(names)))
            for layer in range(num_layers):
                for name, size in zip(names, sizes, strict=True):
                    bridge = Linear(2 * size, size, dtype=dtype, seed=next(seeds))
                    setattr(self, f"bridge_{name}_l{layer}", bridge)

    def check_source(self, operation: str, source: Any, lengths: Any) -> tuple[Array, Array | None]:
        """The source with zeros on padding, whatever was there, and the lengths as an array.

        Args:
            operation: who asks, for errors.
            source: ints (N, S), or float (N, S, source_size).
            lengths: N ints in 0..S, or None.

        Raises:
            TypeError: if the source has another dtype.
            ValueError: if a shape is wrong, a token or a length is out of its range, or a source is too short
                for the convolution.
        """
        if self.embedding is None:
            sizes = (None, None, self.source_size)
            axes = ("N", "S", "source_size")
            check_array(operation, "source", source, dtype=self.dtype, axes=axes, sizes=sizes)
        else:
            check_token_array(operation, "source", source, (None, None))
        counts = check_lengths(operation, lengths, *source.shape[:2])
        if self.conv is not None:
            check_long_enough(operation, self.conv, source, counts, "source")
        source = zero_padding(source, counts)
        if self.embedding is not None:
            check_tokens(operation, "source", source, self.source_size)
        return source, counts

    def forward(  # type: ignore[override]
        self, source: Array, lengths: Array | None, *, training: bool = True
    ) -> tuple[Array, Array | None, State, Tape | None]:
        """Run over the source.

        Args:
            source, lengths: from `check_source`.
            training: False switches dropout off and keeps no tape.

        Returns:
            (memory, lengths, state, tape): memory of shape (N, S', D*H), S' steps after the convolution, 0 on
            padding; how many of these are real; the state for the decoder's L layers.
        """
        x, embedding_tape, conv_tape = source, None, None
        if self.embedding is not None:
            x, embedding_tape = self.embedding.forward(source, training=training)
        if self.conv is not None:
            x, conv_tape = self.conv.forward(x, training=training)
            lengths = None if lengths is None else self.conv.output_lengths(lengths)
        memory, state, layer_tape = self.recurrent.forward(x, lengths=lengths, training=training)
        bridge_tapes: list[Tape | None] = []
        if self.recurrent.num_directions == 2:
            state, bridge_tapes = self._cross(state, training)
        tapes = embedding_tape, conv_tape, layer_tape, bridge_tapes
        return memory, lengths, state, Tape(self, tapes) if training else None

    def backward(  # type: ignore[override]
        self, tape: Tape | None, dmemory: Array | None, dstate: State
    ) -> Array | None:
        """Add the gradients of all parameters; return dsource, None for tokens.

        Args:
            tape: from `forward`.
            dmemory: like memory, None for zero.
            dstate: gradient of the state that was handed on.
        """
        embedding_tape, conv_tape, layer_tape, bridge_tapes = self._read(tape)
        self._close(tape)
        if self.recurrent.num_directions == 2:
            dstate = self._cross_back(bridge_tapes, dstate)
        dx = self.recurrent.backward(layer_tape, dmemory, dstate)[0]
        if self.conv is not None:
            dx = self.conv.backward(conv_tape, dx)
        if self.embedding is None:
            return dx
        self.embedding.backward(embedding_tape, dx)
        return None

    def _bridges(self) -> Iterator[tuple[int, int, Linear]]:
        """Layer, number of the state, and the map of it."""
        for layer in range(self.recurrent.num_layers):
            for k, name in enumerate(self.recurrent.cell.states):
                yield layer, k, getattr(self, f"bridge_{name}_l{layer}")

    def _cross(self, state: State, training: bool) -> tuple[State, list[Tape | None]]:
        """The state over the bridge: [L*2, N, size] -> [L, N, size]."""
        parts = as_arrays(state)
        crossed = [np.empty((len(part) // 2, *part.shape[1:]), self.dtype) for part in parts]
        tapes: list[Tape | None] = []
        for layer, k, bridge in self._bridges():
            both = np.concatenate([parts[k][2 * layer], parts[k][2 * layer + 1]], axis=1)
            crossed[k][layer], tape = bridge.forward(both, training=training)
            tapes.append(tape)
        return as_state(crossed), tapes

    def _cross_back(self, tapes: list[Tape | None], dstate: State) -> State:
        """The gradient of the encoder's own final state from that of the crossed one."""
        parts = as_arrays(dstate)
        dboth = [np.empty((2 * len(part), *part.shape[1:]), self.dtype) for part in parts]
        for tape, (layer, k, bridge) in zip(tapes, self._bridges(), strict=True):
            dboth[k][2 * layer], dboth[k][2 * layer + 1] = np.split(
                bridge.backward(tape, parts[k][layer]), 2, axis=1
            )
        return as_state(dboth)


def as_arrays(state: State) -> tuple[Array, ...]:
    """The arrays of a state, in a tuple also where there is one."""
    return state if isinstance(state, tuple) else (state,)


def as_state(arrays: list[Array]) -> State:
    """The state as recurrent layers take it: the array itself where there is one, else a tuple."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
