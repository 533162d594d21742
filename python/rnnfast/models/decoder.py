"""The second half of an encoder–decoder: recurrent layers that read what was put out before, attention, head.

x_t = [embedding or value of what is read, future covariates], and

    no attention:  h_t = cell(x_t, h_{t-1}),                                    y_t = W h_t + b,
    "luong":       h_t = cell(x_t, h_{t-1}),  h̃_t = tanh(W_c [context(h_t); h_t]),  y_t = W h̃_t + b,
    "bahdanau":    h_t = cell([x_t; context(h_{t-1})], h_{t-1}),     y_t = W [h_t; context(h_{t-1})] + b.

With what is read given, the first two are one recurrent call for all steps; the third, and a decoder that
reads its own outputs, go step by step. Not here: which tokens to choose at inference (``decoding``).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ..init import child_seeds
from ..nn import BahdanauAttention, Embedding, Linear, LuongAttention, Module, Tape
from ..nn.arguments import check_size
from ..nn.attention import Attention
from ..nn.cells import recurrent_layer
from ..nn.parameter import Array
from ..nn.states import State
from .encoder import as_arrays


class Memory(NamedTuple):
    """What a decoder looks at: the encoder's outputs [N, S, M], their keys, how many of them are real."""

    values: Array
    keys: Array | None
    lengths: Array | None


class Decoder(Module):
    """Recurrent layers from a given state, with attention where asked for, and an affine map to the outputs.

    Args:
        target_size: O, number of tokens, or values per step.
        hidden_size: H.
        num_layers: L.
        memory_size: M, size of the encoder's outputs.
        tokens: whether tokens are read and put out, rather than values.
        own_start: whether there is one more token, number O, that is read first and never put out.
        cell: name of the cell.
        embedding_size: size of the vectors that stand for tokens.
        attention: None, "luong" or "bahdanau".
        future_size: covariates per step that are known ahead.
        options: of the recurrent layers.
        dtype: float32 or float64.
        seed: seed of initial weights and masks, None for a fresh one.
    """

    def __init__(
        self,
        target_size: int,
        hidden_size: int,
        num_layers: int,
        memory_size: int,
        *,
        tokens: bool,
        own_start: bool,
        cell: str,
        embedding_size: int,
        attention: str | None,
        future_size: int,
        options: Mapping[str, Any],
        dtype: Any,
        seed: int | None,
    ) -> None:
        embedding_seed, layer_seed, attention_seed, head_seed = child_seeds(seed, 4)
        self.target_size = check_size("EncoderDecoder", "target_size", target_size)
        self.future_size = check_size("EncoderDecoder", "future_size", future_size, minimum=0)
        self.embedding = None
        self.read_size = self.target_size
        if tokens:
            rows = self.target_size + own_start
            self.embedding = Embedding(rows, embedding_size, dtype=dtype, seed=embedding_seed)
            self.read_size = self.embedding.embedding_dim
        self.before = attention == "bahdanau"  # whether the context goes into the recurrent step
        features = self.read_size + self.future_size
        self.recurrent = recurrent_layer(
            cell, features + (memory_size if self.before else 0), hidden_size, num_layers,
            dtype=dtype, seed=layer_seed, **options,
        )  # fmt: skip
        size = self.recurrent.output_size
        self.attention: Attention | None = None
        if attention == "luong":
            self.attention = LuongAttention(size, memory_size, dtype=dtype, seed=attention_seed)
        elif self.before:
            self.attention = BahdanauAttention(size, memory_size, dtype=dtype, seed=attention_seed)
        outputs = size + (memory_size if self.before else 0)
        self.head = Linear(outputs, self.target_size, dtype=dtype, seed=head_seed)

    def look(self, memory: Array, lengths: Array | None) -> Memory:
        """The memory with its keys, for `step`."""
        return Memory(memory, None if self.attention is None else self.attention.key(memory), lengths)

    def choose(self, y: Array) -> Array:
        """What is read after y: the most probable token [...], the first of equals; or the values."""
        return y if self.embedding is None else y.argmax(axis=-1)

    def features(self, read: Array, future: Array | None) -> Array:
        """x of the recurrent layers, without a context.

        Args:
            read: tokens (N, U), or values (N, U, O).
            future: shape (N, U, future_size), or None without covariates.
        """
        x = read if self.embedding is None else self.embedding(read)
        return x if future is None else np.concatenate([x, future], axis=2)

    def step(self, x: Array, state: State, memory: Memory) -> tuple[Array, State, Array | None]:
        """One step at inference, of B continuations of each sample at once.

        Args:
            x: shape (N, B, features), from `features`.
            state: state of N*B rows.
            memory: from `look`.

        Returns:
            (y, state, p): y of shape (N, B, O); probabilities of attention, shape (N, B, S), or None.
        """
        out, state, p, _ = self._advance(x, state, memory, training=False)
        return self.head(out), state, p

    def forward(  # type: ignore[override]
        self,
        read: Array,
        state: State,
        memory: Array,
        lengths: Array | None,
        *,
        future: Array | None = None,
        own: Array | None = None,
        training: bool = True,
    ) -> tuple[Array, Tape | None]:
        """Run over all steps.

        Args:
            read: what each step reads, tokens (N, U) or values (N, U, O).
            state: to start from.
            memory: shape (N, S, M).
            lengths: int64, shape (N,), of the memory; None for S.
            future: shape (N, U, future_size), or None without covariates.
            own: bool, shape (N, U), in training: steps that read what was put out before in place of `read`.
                The gradient passes through values, and not through the choice of a token.
            training: False switches dropout off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, U, O).
        """
        embedding_tape = key_tape = keys = None
        if self.attention is not None:
            keys, key_tape = self.attention.key.forward(memory, training=training)
        seen = Memory(memory, keys, lengths)
        if own is not None:
            y, read, tapes, head_tapes = self._own_steps(read, state, seen, future, own)
        x = read
        if self.embedding is not None:
            x, embedding_tape = self.embedding.forward(read, training=training)
        if own is None:
            x = x if future is None else np.concatenate([x, future], axis=2)
            run = self._steps if self.before else self._whole
            out, tapes = run(x, state, seen, training)
            y, head_tape = self.head.forward(out, training=training)
            head_tapes = [head_tape]
        kept = (embedding_tape, key_tape, tapes, head_tapes, own, memory.shape)
        return y, Tape(self, kept) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> tuple[State, Array | None]:  # type: ignore[override]
        """Add the gradients of all parameters; return those of the state and of the memory.

        Args:
            tape: from `forward`.
            dy: shape (N, U, O).

        Returns:
            (dstate, dmemory): dmemory None without attention.
        """
        embedding_tape, key_tape, tapes, head_tapes, own, shape = self._read(tape)
        self._close(tape)
        dstate: State = self.recurrent.init_state(len(dy))
        dkeys: Any = None
        dmemory: Any = None
        dout = dy if own is not None else self.head.backward(head_tapes[0], dy)
        if own is None and not self.before:
            dx, dstate, dkeys, dmemory = self._advance_back(tapes, dout, dstate)
        else:
            batch, steps, _ = dy.shape
            dx = np.zeros((batch, steps, self.read_size), dy.dtype)
            if self.attention is not None:
                dkeys = np.zeros((*shape[:2], self.attention.key.output_size), dy.dtype)
                dmemory = np.zeros(shape, dy.dtype)
            for t in reversed(range(steps)):
                dout_t = dout[:, t : t + 1]
                if own is not None:
                    if self.embedding is None and t + 1 < steps:
                        dout_t = dout_t + dx[:, t + 1 : t + 2] * own[:, t + 1, None, None]
                    dout_t = self.head.backward(head_tapes[t], dout_t)
                dx_t, dstate, dkeys_t, dmemory_t = self._advance_back(tapes[t], dout_t, dstate)
                dx[:, t] = dx_t[:, 0, : self.read_size]
                if self.attention is not None:
                    dkeys += dkeys_t
                    dmemory += dmemory_t
        if self.embedding is not None:
            self.embedding.backward(embedding_tape, np.ascontiguousarray(dx[:, :, : self.read_size]))
        if self.attention is not None:
            dmemory += self.attention.key.backward(key_tape, dkeys)
        return dstate, dmemory

    def _attend(self, query: Array, memory: Memory, training: bool) -> tuple[Array, Array, Tape | None]:
        assert self.attention is not None  # who calls has seen to it
        assert memory.keys is not None
        return self.attention.attend(
            query, memory.keys, memory.values, lengths=memory.lengths, training=training
        )

    def _whole(self, x: Array, state: State, memory: Memory, training: bool) -> tuple[Array, Any]:
        """All steps at once, where no step needs what another one made of its state."""
        out, _, layer_tape = self.recurrent.forward(x, state, training=training)
        attention_tape = None
        if self.attention is not None:
            out, _, attention_tape = self._attend(out, memory, training)
        return out, (layer_tape, attention_tape)

    def _steps(self, x: Array, state: State, memory: Memory, training: bool) -> tuple[Array, Any]:
        """Step by step with what is read given."""
        out = np.empty((*x.shape[:2], self.head.input_size), x.dtype)
        tapes = []
        with self.recurrent.counter.sequence() if training else nullcontext():
            for t in range(x.shape[1]):
                out_t, state, _, tape = self._advance(x[:, t : t + 1], state, memory, training)
                out[:, t] = out_t[:, 0]
                tapes.append(tape)
        return out, tapes

    def _own_steps(
        self, read: Array, state: State, memory: Memory, future: Array | None, own: Array
    ) -> tuple[Array, Array, list[Any], list[Tape | None]]:
        """Step by step, reading its own outputs where `own` says so: (y, what was read, tapes)."""
        batch, steps = read.shape[:2]
        y = np.empty((batch, steps, self.target_size), self.head.dtype)
        read, tapes, head_tapes = read.copy(), [], []
        with self.recurrent.counter.sequence():
            for t in range(steps):
                if t > 0:
                    chosen, given = self.choose(y[:, t - 1]), read[:, t]
                    read[:, t] = np.where(own[:, t].reshape(-1, *(1,) * (given.ndim - 1)), chosen, given)
                x = self.features(read[:, t : t + 1], None if future is None else future[:, t : t + 1])
                out, state, _, tape = self._advance(x, state, memory, training=True)
                y_t, head_tape = self.head.forward(out)
                y[:, t] = y_t[:, 0]
                tapes.append(tape)
                head_tapes.append(head_tape)
        return y, read, tapes, head_tapes

    def _advance(
        self, x: Array, state: State, memory: Memory, training: bool
    ) -> tuple[Array, State, Array | None, tuple[Tape | None, Tape | None]]:
        """One step of B continuations, what goes into the head and all that `_advance_back` needs."""
        front, size = x.shape[:2], self.recurrent.output_size
        p = layer_tape = attention_tape = None
        if self.before:
            query = as_arrays(state)[0][-1].reshape(*front, size)
            context, p, attention_tape = self._attend(query, memory, training)
            x = np.concatenate([x, context], axis=2)
        rows = np.ascontiguousarray(x).reshape(front[0] * front[1], x.shape[2])
        if training:
            h, state, layer_tape = self.recurrent.forward(rows[:, None], state)
        else:
            h, state = self.recurrent.step(rows, state)
        out = h.reshape(*front, size)
        if self.before:
            out = np.concatenate([out, context], axis=2)
        elif self.attention is not None:
            out, p, attention_tape = self._attend(out, memory, training)
        return out, state, p, (layer_tape, attention_tape)

    def _advance_back(
        self, tapes: tuple[Tape | None, Tape | None], dout: Array, dstate: State
    ) -> tuple[Array, State, Any, Any]:
        """The gradients (dx, dstate, dkeys, dmemory) of one step, or of all steps at once."""
        layer_tape, attention_tape = tapes
        dkeys = dmemory = None
        size = self.recurrent.output_size
        dh = dout[:, :, :size]
        if self.attention is not None and not self.before:
            dh, dkeys, dmemory = self.attention.attend_backward(attention_tape, dout)
        dx, dstate = self.recurrent.backward(layer_tape, dh, dstate)
        if self.attention is not None and self.before:
            dcontext = dout[:, :, size:] + dx[:, :, self.read_size + self.future_size :]
            dquery, dkeys, dmemory = self.attention.attend_backward(attention_tape, dcontext)
            as_arrays(dstate)[0][-1] += dquery[:, 0]
        return dx, dstate, dkeys, dmemory
