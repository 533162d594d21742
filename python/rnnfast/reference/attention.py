"""Attention of both kinds, and one step of a decoder with it, as their equations read.

Parameters come by the names that the modules of ``rnnfast.nn`` and ``rnnfast.models`` give them. Not here:
which tokens a decoder goes on with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .formulas import Array, linear
from .layers import recurrent_layers


def masked_softmax(scores: Array, lengths: Sequence[int] | Array | None = None) -> Array:
    """p = exp(s) / Σ exp(s) over the first lengths[n] of the last axis, 0 behind them.

    Args:
        scores: shape (N, U, S).
        lengths: N integers in 0..S, None for S. With 0 all of p is 0.

    Returns:
        p, like scores, float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> reference.masked_softmax(np.zeros((1, 1, 4)), [2]).tolist()
        [[[0.5, 0.5, 0.0, 0.0]]]
    """
    scores = np.asarray(scores, np.float64)
    batch, _, steps = scores.shape
    ends = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    p = np.zeros(scores.shape)
    for n, end in enumerate(ends):
        if end > 0:
            powers = np.exp(scores[n, :, :end] - scores[n, :, :end].max(axis=-1, keepdims=True))
            p[n, :, :end] = powers / powers.sum(axis=-1, keepdims=True)
    return p


def luong_attention(
    query: Array,
    memory: Array,
    parameters: Mapping[str, Array],
    lengths: Sequence[int] | Array | None = None,
) -> tuple[Array, Array]:
    """score(h, s) = hᵀ W s, c = Σ p s, h̃ = tanh(W_c [c; h]).

    Args:
        query: h, shape (N, U, Q).
        memory: s, shape (N, S, M).
        parameters: "key.weight" W (Q, M), "combine.weight" W_c (Q, M + Q).
        lengths: as in `masked_softmax`.

    Returns:
        (h̃, p), shapes (N, U, Q) and (N, U, S), float64.

    Reference:
        Luong, Pham & Manning, Effective approaches to attention-based neural machine translation, 2015.
    """
    scores = np.einsum("nuq,qm,nsm->nus", query, parameters["key.weight"], memory)
    p = masked_softmax(scores, lengths)
    context = np.einsum("nus,nsm->num", p, memory)
    return np.tanh(linear(np.concatenate([context, query], axis=2), parameters["combine.weight"])), p


def bahdanau_attention(
    query: Array,
    memory: Array,
    parameters: Mapping[str, Array],
    lengths: Sequence[int] | Array | None = None,
) -> tuple[Array, Array]:
    """score(q, s) = vᵀ tanh(W_q q + b + W_k s), c = Σ p s.

    Args:
        query: q, shape (N, U, Q).
        memory: s, shape (N, S, M).
        parameters: "query.weight" W_q (A, Q), "query.bias" b (A,), "key.weight" W_k (A, M), "score.weight" v
            (1, A).
        lengths: as in `masked_softmax`.

    Returns:
        (c, p), shapes (N, U, M) and (N, U, S), float64.

    Reference:
        Bahdanau, Cho & Bengio, Neural machine translation by jointly learning to align and translate, 2015.
    """
    queries = linear(query, parameters["query.weight"], parameters["query.bias"])
    keys = linear(memory, parameters["key.weight"])
    hidden = np.tanh(queries[:, :, None] + keys[:, None])
    p = masked_softmax(linear(hidden, parameters["score.weight"])[..., 0], lengths)
    return np.einsum("nus,nsm->num", p, memory), p


def decoder_step(
    cell: str,
    x: Array,
    state: Sequence[Array],
    parameters: Mapping[str, Array],
    memory: Array,
    *,
    num_layers: int = 1,
    attention: str | None = None,
    lengths: Sequence[int] | Array | None = None,
) -> tuple[Array, tuple[Array, ...], Array | None]:
    """One step of a decoder: y = W h + b; with "luong" h̃ in place of h; with "bahdanau" the context of
    h_{t-1} behind x and behind h.

    Args:
        cell: a key of `CELLS`.
        x: what is read, embedded, with its covariates: shape (N, I).
        state: states of all layers, each of shape (L, N, size).
        parameters: "recurrent.weight_ih_l0", …, "attention.key.weight", …, "head.weight", "head.bias".
        memory: outputs of the encoder, shape (N, S, M).
        num_layers: L.
        attention: None, "luong" or "bahdanau".
        lengths: as in `masked_softmax`.

    Returns:
        (y, state, p): y of shape (N, O); p of shape (N, S), or None. float64.
    """

    def of(part: str) -> dict[str, Any]:
        front = f"{part}."
        return {name[len(front) :]: array for name, array in parameters.items() if name.startswith(front)}

    p = None
    inputs = np.asarray(x, np.float64)[:, None]
    if attention == "bahdanau":
        context, p = bahdanau_attention(state[0][-1][:, None], memory, of("attention"), lengths)
        inputs = np.concatenate([inputs, context], axis=2)
    h, state = recurrent_layers(cell, inputs, state, of("recurrent"), num_layers=num_layers)
    if attention == "luong":
        h, p = luong_attention(h, memory, of("attention"), lengths)
    elif attention == "bahdanau":
        h = np.concatenate([h, context], axis=2)
    y = linear(h, parameters["head.weight"], parameters["head.bias"])
    return y[:, 0], tuple(state), None if p is None else p[:, 0]
