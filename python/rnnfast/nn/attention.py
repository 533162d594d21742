"""Attention: for every query a mean of memory vectors, weighted by how well their keys match the query.

p[n, u, s] = softmax over s of score(query[n, u], memory[n, s]), 0 on padding;
context[n, u] = Σ_s p[n, u, s] memory[n, s]. The kinds differ in their score and in what they put out. Keys
are computed once per memory; `attend` takes one query or many, so that a decoder can go step by step. Not
here: the products and the softmax (``ops``), what a decoder does with the context (``models``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..init import child_seeds
from .arguments import check_array, check_dtype, check_size
from .linear import Linear
from .module import Module, Tape
from .parameter import Array
from .states import check_lengths, zero_padding


class Attention(Module):
    """Base of the kinds of attention: keys = memory W_kᵀ, and what is done with them is the subclass's.

    A subclass sets `key`, `query_size`, `memory_size` and `output_size` and defines `attend` and
    `attend_backward`.
    """

    key: Linear
    query_size: int
    memory_size: int
    output_size: int

    def attend(
        self, query: Array, keys: Array, memory: Array, *, lengths: Array | None = None, training: bool = True
    ) -> tuple[Array, Array, Tape | None]:
        """Compute the output from keys that are there already.

        Args:
            query: shape (N, U, Q).
            keys: ``key(memory)``.
            memory: shape (N, S, M), finite on padding too.
            lengths: int64, shape (N,): how many of the S vectors are real; None for all.
            training: whether to return a tape.

        Returns:
            (y, p, tape): y of shape (N, U, output_size); the probabilities, shape (N, U, S).
        """
        raise NotImplementedError(f"{type(self).__name__}.attend is not defined")

    def attend_backward(self, tape: Tape | None, dy: Array) -> tuple[Array, Array, Array]:
        """Add the gradients of all parameters but `key`'s; return (dquery, dkeys, dmemory).

        Args:
            tape: from `attend`.
            dy: shape (N, U, output_size).

        Returns:
            dquery, dkeys, and dmemory without what comes through the keys.
        """
        raise NotImplementedError(f"{type(self).__name__}.attend_backward is not defined")

    def forward(  # type: ignore[override]
        self, query: Array, memory: Array, *, lengths: Any = None, training: bool = True
    ) -> tuple[Array, Tape | None]:
        """Compute the output for all queries at once.

        Args:
            query: shape (N, U, Q).
            memory: shape (N, S, M).
            lengths: how many of the S vectors are real, N ints in 0..S, None for all; the others have
                probability 0 and may hold anything. With length 0 the context is 0.
            training: whether to return a tape.

        Returns:
            (y, tape): y of shape (N, U, output_size).

        Raises:
            TypeError: if an array has another dtype than the module.
            ValueError: if a shape is wrong or a length is not in 0..S.
        """
        memory, counts = self._checked("forward", query, memory, lengths)
        keys, key_tape = self.key.forward(memory, training=training)
        y, _, tape = self.attend(query, keys, memory, lengths=counts, training=training)
        return y, Tape(self, (key_tape, tape, y.shape)) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> tuple[Array, Array]:  # type: ignore[override]
        """Add the gradients of all parameters; return (dquery, dmemory).

        Args:
            tape: from `forward`.
            dy: shape (N, U, output_size).

        Returns:
            (dquery, dmemory), shapes (N, U, Q) and (N, S, M); dmemory is 0 on padding.

        Raises:
            TypeError: if dy has another dtype than the module.
            ValueError: if it has another shape than y.
        """
        key_tape, attend_tape, sizes = self._read(tape)
        operation, axes = f"{type(self).__name__}.backward", ("N", "U", "output_size")
        check_array(operation, "dy", dy, dtype=self.key.dtype, axes=axes, sizes=sizes)
        dquery, dkeys, dmemory = self.attend_backward(attend_tape, dy)
        self._close(tape)
        dmemory += self.key.backward(key_tape, dkeys)
        return dquery, dmemory

    def __call__(self, query: Array, memory: Array, lengths: Any = None) -> Array:  # type: ignore[override]
        """Inference: y alone, arguments as in `forward`."""
        return self.forward(query, memory, lengths=lengths, training=False)[0]

    def weights(self, query: Array, memory: Array, lengths: Any = None) -> Array:
        """The probabilities p, shape (N, U, S), to look at; arguments as in `forward`."""
        memory, counts = self._checked("weights", query, memory, lengths)
        return self.attend(query, self.key(memory), memory, lengths=counts, training=False)[1]

    def _checked(self, name: str, query: Array, memory: Array, lengths: Any) -> tuple[Array, Array | None]:
        operation, dtype = f"{type(self).__name__}.{name}", self.key.dtype
        axes, size = ("N", "U", "query_size"), self.query_size
        check_array(operation, "query", query, dtype=dtype, axes=axes, sizes=(None, None, size))
        axes, size = ("N", "S", "memory_size"), self.memory_size
        check_array(operation, "memory", memory, dtype=dtype, axes=axes, sizes=(len(query), None, size))
        counts = check_lengths(operation, lengths, *memory.shape[:2])
        return zero_padding(memory, counts), counts


class LuongAttention(Attention):
    """Attention with the general score, after the recurrent step: y = tanh(W_c [c; h]), score(h, s) = hᵀ W s.

    h is the query, c the context; W is ``key.weight`` (Q, M), W_c is ``combine.weight`` (Q, M + Q). As y of a
    step goes into no other step, all steps of a sequence are computed at once.

    Args:
        query_size: Q, size of h and of y.
        memory_size: M, size of the vectors looked at.
        dtype: float32 or float64.
        seed: seed of the initial weights (Glorot uniform), None for a fresh one.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if a size is below 1.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> attention = nn.LuongAttention(4, 6, seed=0)
        >>> attention(np.ones((2, 3, 4), np.float32), np.ones((2, 5, 6), np.float32), [5, 2]).shape
        (2, 3, 4)

    Reference:
        Luong, Pham & Manning, Effective approaches to attention-based neural machine translation, 2015,
        equations 5 to 8.
    """

    def __init__(
        self, query_size: int, memory_size: int, *, dtype: Any = np.float32, seed: int | None = None
    ) -> None:
        self.query_size = self.output_size = check_size("LuongAttention", "query_size", query_size)
        self.memory_size = check_size("LuongAttention", "memory_size", memory_size)
        dtype = check_dtype("LuongAttention", dtype)
        key_seed, combine_seed = child_seeds(seed, 2)
        self.key = Linear(memory_size, query_size, bias=False, dtype=dtype, seed=key_seed)
        both = memory_size + query_size
        self.combine = Linear(both, query_size, bias=False, dtype=dtype, seed=combine_seed)

    def attend(
        self, query: Array, keys: Array, memory: Array, *, lengths: Array | None = None, training: bool = True
    ) -> tuple[Array, Array, Tape | None]:
        """As :meth:`Attention.attend`: y = tanh(W_c [context; query])."""
        p = ops.masked_softmax(ops.batched_product(query, keys, transpose_b=True), lengths)
        both = np.concatenate([ops.batched_product(p, memory), query], axis=2)
        summed, combine_tape = self.combine.forward(both, training=training)
        y = ops.activation("tanh", summed)
        return y, p, Tape(self, (query, keys, memory, p, combine_tape, y)) if training else None

    def attend_backward(self, tape: Tape | None, dy: Array) -> tuple[Array, Array, Array]:
        """As :meth:`Attention.attend_backward`."""
        query, keys, memory, p, combine_tape, y = self._read(tape)
        dboth = self.combine.backward(combine_tape, dy * (1 - y * y))
        self._close(tape)
        dcontext = dboth[:, :, : self.memory_size]
        dscores = ops.softmax_backward(p, ops.batched_product(dcontext, memory, transpose_b=True))
        dquery = dboth[:, :, self.memory_size :] + ops.batched_product(dscores, keys)
        dkeys = ops.batched_product(dscores, query, transpose_a=True)
        return dquery, dkeys, ops.batched_product(p, dcontext, transpose_a=True)


class BahdanauAttention(Attention):
    """Attention with the additive score, before the recurrent step: y = context,
    score(q, s) = vᵀ tanh(W_q q + b + W_k s).

    W_q and b are ``query.weight`` (A, Q) and ``query.bias`` (A,), W_k is ``key.weight`` (A, M), v is
    ``score.weight`` (1, A). For many queries at once memory grows with N·U·S·A.

    Args:
        query_size: Q.
        memory_size: M, size of the vectors looked at, and of y.
        attention_size: A, None for Q.
        dtype: float32 or float64.
        seed: seed of the initial weights (Glorot uniform; b is zero), None for a fresh one.

    Raises:
        TypeError: if a size is not an int or the dtype is another one.
        ValueError: if a size is below 1.

    Example:
        >>> import numpy as np
        >>> from rnnfast import nn
        >>> attention = nn.BahdanauAttention(4, 6, seed=0)
        >>> attention(np.ones((2, 3, 4), np.float32), np.ones((2, 5, 6), np.float32), [5, 2]).shape
        (2, 3, 6)

    Reference:
        Bahdanau, Cho & Bengio, Neural machine translation by jointly learning to align and translate, 2015,
        equations 5 and 6 and appendix A.1.2.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        attention_size: int | None = None,
        *,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        self.query_size = check_size("BahdanauAttention", "query_size", query_size)
        self.memory_size = self.output_size = check_size("BahdanauAttention", "memory_size", memory_size)
        asked = query_size if attention_size is None else attention_size
        size = check_size("BahdanauAttention", "attention_size", asked)
        dtype = check_dtype("BahdanauAttention", dtype)
        query_seed, key_seed, score_seed = child_seeds(seed, 3)
        self.query = Linear(query_size, size, dtype=dtype, seed=query_seed)
        self.key = Linear(memory_size, size, bias=False, dtype=dtype, seed=key_seed)
        self.score = Linear(size, 1, bias=False, dtype=dtype, seed=score_seed)

    def attend(
        self, query: Array, keys: Array, memory: Array, *, lengths: Array | None = None, training: bool = True
    ) -> tuple[Array, Array, Tape | None]:
        """As :meth:`Attention.attend`: y is the context."""
        mapped, query_tape = self.query.forward(query, training=training)
        hidden = ops.activation("tanh", mapped[:, :, None] + keys[:, None])
        scores, score_tape = self.score.forward(hidden, training=training)
        p = ops.masked_softmax(scores[..., 0], lengths)
        kept = (memory, hidden, p, query_tape, score_tape)
        return ops.batched_product(p, memory), p, Tape(self, kept) if training else None

    def attend_backward(self, tape: Tape | None, dy: Array) -> tuple[Array, Array, Array]:
        """As :meth:`Attention.attend_backward`."""
        memory, hidden, p, query_tape, score_tape = self._read(tape)
        dscores = ops.softmax_backward(p, ops.batched_product(dy, memory, transpose_b=True))
        self._close(tape)
        dhidden = self.score.backward(score_tape, dscores[..., None])
        dhidden *= 1 - hidden * hidden
        batch, queries, steps, size = hidden.shape
        # Sums over s and over u in one order, whatever N is: NumPy's own order may change with the shape.
        rows = dhidden.reshape(batch * queries, steps, size)
        dmapped = ops.batched_product(np.ones((len(rows), 1, steps), rows.dtype), rows)
        dkeys = np.zeros((batch, steps, size), rows.dtype)
        for u in range(queries):
            dkeys += dhidden[:, u]
        dquery = self.query.backward(query_tape, dmapped.reshape(batch, queries, size))
        return dquery, dkeys, ops.batched_product(p, dy, transpose_a=True)
