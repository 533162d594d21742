"""What an encoder–decoder puts out without a target: greedy, drawn at random, by beam search, fed back.

log P(y | x) = Σ_t log softmax(logits_t)[y_t], in float64, over the tokens up to and with the end token. Every
sample is decoded by itself: what it gives does not depend on the others of its batch. Not here: the steps of
the decoder (``decoder``), the checks of arguments (``encoder_decoder``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import ops
from ..nn.parameter import Array
from ..nn.states import State
from .decoder import Decoder, Memory
from .encoder import as_arrays, as_state


class Given(NamedTuple):
    """What decoding starts from, checked.

    Args:
        decoder: the decoder.
        memory, state: what it looks at and starts from.
        read: what step 0 reads: tokens (N,), or values (N, O).
        steps: U, the most tokens of a sequence, or the values.
        future: covariates, shape (N, U, future_size), or None.
        end: token that ends a sequence, or None.
    """

    decoder: Decoder
    memory: Memory
    state: State
    read: Array
    steps: int
    future: Array | None
    end: int | None

    def step(self, t: int, read: Array, state: State) -> tuple[Array, State, Array | None]:
        """Step t of B continuations of each sample, which read (N, B) or (N, B, O); as `Decoder.step`."""
        future = self.future
        if future is not None:
            future = np.repeat(future[:, t : t + 1], read.shape[1], axis=1)
        return self.decoder.step(self.decoder.features(read, future), state, self.memory)

    def no_weights(self, *front: int) -> Array | None:
        """Zeros for the probabilities of attention, shape (…, S); None without attention."""
        if self.memory.keys is None:
            return None
        values = self.memory.values
        return np.zeros((*front, values.shape[1]), values.dtype)

    def no_tokens(self, *front: int) -> Array:
        """Tokens for all steps, shape (…, U): the end token, which stays behind the end of a sequence."""
        return np.full((*front, self.steps), 0 if self.end is None else self.end, np.int64)


class Decoded(NamedTuple):
    """Decoded token sequences; from a beam search each shape has an axis of beams, best first, behind N.

    Args:
        tokens: int64, shape (N, steps); the end token behind the end of a sequence.
        lengths: int64, shape (N,), tokens of each sequence, its end token among them.
        log_probabilities: float64, shape (N,), of each sequence, whatever temperature or length penalty chose
            it; -inf for beams beyond the number of sequences that there are.
        attention_weights: shape (N, steps, S), 0 behind the end; None without attention.
    """

    tokens: Array
    lengths: Array
    log_probabilities: Array
    attention_weights: Array | None


def decode_values(given: Given) -> tuple[Array, Array | None]:
    """Feed values back, y_t from y_{t-1}.

    Args:
        given: with a decoder of values.

    Returns:
        (y, p): shape (N, U, O); probabilities of attention, shape (N, U, S), or None.
    """
    read, state, steps = given.read, given.state, given.steps
    y = np.empty((len(read), steps, given.decoder.target_size), read.dtype)
    weights = given.no_weights(len(read), steps)
    for t in range(steps):
        y_t, state, p = given.step(t, read[:, None], state)
        read = y[:, t] = y_t[:, 0]
        if weights is not None and p is not None:
            weights[:, t] = p[:, 0]
    return y, weights


def decode_tokens(given: Given, choose: Callable[[Array, int], Array]) -> Decoded:
    """One token after the other, as `choose` says.

    Args:
        given: with a decoder of tokens.
        choose: (logits (N, O), t) -> tokens (N,).
    """
    state, steps = given.state, given.steps
    batch = len(given.read)
    rows = np.arange(batch)
    tokens, weights = given.no_tokens(batch), given.no_weights(batch, steps)
    lengths, total = np.zeros(batch, np.int64), np.zeros(batch)
    read, alive = given.read[:, None], np.ones(batch, bool)
    for t in range(steps):
        if not alive.any():
            break
        y, state, p = given.step(t, read, state)
        chosen = choose(y[:, 0], t)
        total += np.where(alive, log_softmax(y[:, 0])[rows, chosen], 0.0)
        lengths += alive
        tokens[alive, t] = chosen[alive]
        if weights is not None and p is not None:
            weights[alive, t] = p[alive, 0]
        if given.end is not None:
            alive &= chosen != given.end
        read = chosen[:, None]
    return Decoded(tokens, lengths, total, weights)


def at_temperature(
    temperature: float, uniform: Array, operation: str = "at_temperature"
) -> Callable[[Array, int], Array]:
    """`choose` that draws from softmax(logits / temperature), by inversion of its distribution function.

    Args:
        temperature: above 0.
        uniform: float64 in [0, 1), shape (N, steps).
        operation: who asks, for errors.

    Returns:
        (logits (N, O), t) -> tokens (N,). It raises ValueError if a logit is NaN or infinite.
    """

    def choose(logits: Array, t: int) -> Array:
        if not np.isfinite(logits).all():
            n, token = np.argwhere(~np.isfinite(logits))[0].tolist()
            raise ValueError(
                f"{operation}: logits must be finite, got {logits[n, token]} for token {token} of sample {n} "
                f"at step {t}; look for NaN and very large numbers in the input and the parameters"
            )
        wide = logits.astype(np.float64)
        wide -= wide.max(axis=-1, keepdims=True)
        with np.errstate(over="ignore"):  # a logit far below the largest has probability 0
            wide /= temperature
        # exp(-800) is 0, and the softmax then meets no infinite score.
        p = ops.masked_softmax(np.maximum(wide, -800.0)[:, None])[:, 0]
        cumulative = np.cumsum(p, axis=-1)
        # Below the sum even where the product is rounded up: a token of probability 0 is never drawn.
        last = np.nextafter(cumulative[:, -1], 0.0)
        below = np.minimum(uniform[:, t] * cumulative[:, -1], last)
        drawn: Array = np.count_nonzero(cumulative <= below[:, None], axis=-1)
        return drawn

    return choose


def uniforms(seed: int, batch: int, steps: int) -> Array:
    """Numbers in [0, 1), shape (batch, steps); those of sample n depend on the seed and n alone.

    Args:
        seed: 64 bits.
        batch: N.
        steps: how many for each sample; fewer are the first of more.
    """
    words = np.empty((batch, steps), np.uint64)
    for n in range(batch):
        # The counter's low word counts the draws of one sample, the next one the samples.
        words[n] = np.random.Philox(key=seed, counter=n << 64).random_raw(steps)
    return (words >> np.uint64(11)) * 2.0**-53


def log_softmax(logits: Array) -> Array:
    """log softmax over the last axis of (rows, O), in float64."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    # The largest logit is 0 now: its probability is one over the sum of all exponentials.
    largest = ops.masked_softmax(wide[:, None])[:, 0].max(axis=-1, keepdims=True)
    wide += np.log(largest)
    return wide


def beam_search(given: Given, beams: int, penalty: float) -> Decoded:
    """Keep the B best beginnings, step by step; those that have ended compete with the others.

    score = log P / ((5 + length) / 6)^penalty (Wu et al. 2016, equation 14, without coverage). The beams are
    B queries of one sample, so that memory and keys are held once a sample.

    Args:
        given: with a decoder of tokens.
        beams: B.
        penalty: 0 for the plain probability; above it longer sequences are preferred.
    """
    steps, end, batch = given.steps, given.end, len(given.read)
    samples = np.arange(batch)[:, None]
    state = as_state([np.repeat(part, beams, axis=1) for part in as_arrays(given.state)])
    read = np.repeat(given.read[:, None], beams, axis=1)
    total = np.full((batch, beams), -np.inf)  # at first all beams are the same: one of them counts
    total[:, 0] = 0.0
    lengths, alive = np.zeros((batch, beams), np.int64), np.ones((batch, beams), bool)
    chosen: list[Array] = []
    parents: list[Array] = []
    looked: list[Array | None] = []
    for t in range(steps):
        if not (alive & (total > -np.inf)).any():
            break
        y, state, p = given.step(t, read, state)
        steps_log = log_softmax(y.reshape(batch * beams, y.shape[2])).reshape(y.shape)
        if end is not None:
            # What has ended goes on in one way, at no cost.
            steps_log[~alive] = -np.inf
            steps_log[~alive, end] = 0.0
        lengths = lengths + alive
        candidates = total[:, :, None] + steps_log
        scores = candidates / (((5.0 + lengths) / 6.0) ** penalty)[:, :, None]
        best, found = _best(scores.reshape(batch, beams * y.shape[2]), beams)
        parent, token = np.divmod(best, y.shape[2])
        total = np.where(found > -np.inf, candidates[samples, parent, token], -np.inf)
        lengths, alive = lengths[samples, parent], alive[samples, parent]
        looked.append(None if p is None else np.where(alive[:, :, None], p[samples, parent], 0))
        chosen.append(token)
        parents.append(parent)
        if end is not None:
            alive = alive & (token != end)
        read = token
        rows = (samples * beams + parent).reshape(-1)
        state = as_state([part[:, rows] for part in as_arrays(state)])
    tokens, weights = given.no_tokens(batch, beams), given.no_weights(batch, beams, steps)
    beam = np.tile(np.arange(beams), (batch, 1))
    for t in reversed(range(len(chosen))):
        tokens[:, :, t] = chosen[t][samples, beam]
        at_t = looked[t]
        if weights is not None and at_t is not None:
            weights[:, :, t] = at_t[samples, beam]
        beam = parents[t][samples, beam]
    return Decoded(tokens, lengths, total, weights)


def _best(scores: Array, count: int) -> tuple[Array, Array]:
    """Indices and values of the `count` largest of each row, largest first, the first of equals first; spoils
    `scores`. Where fewer are above -inf, the others are -inf.
    """
    rows = np.arange(len(scores))
    best = np.empty((len(scores), count), np.int64)
    found = np.empty((len(scores), count))
    # One pass for each: a sort of all continuations would cost more, a partition leaves equals in any order.
    for rank in range(count):
        best[:, rank] = scores.argmax(axis=1)
        found[:, rank] = scores[rows, best[:, rank]]
        scores[rows, best[:, rank]] = -np.inf
    return best, found
