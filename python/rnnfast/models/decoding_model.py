"""The side of an encoder–decoder that is used after training: its ways to decode, with arguments checked.

Not here: what they compute (``decoding``), training (``encoder_decoder``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..init import resolve_seed
from ..nn.arguments import check_array, check_finite, check_size
from ..nn.parameter import Array
from .decoder import Decoder
from .decoding import Decoded, Given, at_temperature, beam_search, decode_tokens, decode_values, uniforms
from .encoder import Encoder
from .model import Model


class DecodingModel(Model):
    """Base of models that decode: a subclass sets what stands below and defines `forward` and `backward`.

    Every sample is decoded by itself, to the bit: the others of its batch do not matter.
    """

    own_prediction = "EncoderDecoder.predict(source, steps)"
    encoder: Encoder
    decoder: Decoder
    start_token: int
    end_token: int | None

    def greedy(
        self, source: Array, steps: int, *, lengths: Any = None, future: Array | None = None
    ) -> Decoded:
        """At every step the most probable token, the first of equals.

        Args:
            source: ints, shape (N, S), or floats, shape (N, S, source_size).
            steps: the most tokens of a sequence; it ends earlier with `end_token`.
            lengths: steps of each source, N ints in 0..S, None for S.
            future: covariates, shape (N, steps, future_size), if the model has them.

        Returns:
            Tokens, lengths, log-probabilities and attention weights, see :class:`Decoded`.

        Raises:
            TypeError: if an argument is of another type.
            ValueError: if the target is values, a shape is wrong, or a token or a number is out of its range.

        Example:
            >>> import numpy as np
            >>> from rnnfast import models
            >>> model = models.EncoderDecoder(5, 4, 8, end_token=0, seed=0)
            >>> found = model.greedy(np.array([[1, 2, 3]]), steps=6)
            >>> found.tokens.shape, bool(found.log_probabilities[0] < 0)
            ((1, 6), True)
        """
        return self._greedy(self._tokens("greedy", source, steps, lengths, future))

    def sample(
        self,
        source: Array,
        steps: int,
        *,
        temperature: float = 1.0,
        seed: int | None = None,
        lengths: Any = None,
        future: Array | None = None,
    ) -> Decoded:
        """At every step a token drawn from softmax(logits / temperature).

        Args:
            source, steps, lengths, future: as in `greedy`.
            temperature: above 0; below 1 the probable tokens come more often, above 1 less.
            seed: seed of the draws, None for a fresh one; those of sample n depend on it and on n alone.

        Returns:
            As `greedy`; the log-probabilities are those at temperature 1.

        Raises:
            TypeError, ValueError: as in `greedy`, and if the temperature is not above 0 or the model gives a
                logit that is not finite.
        """
        if not check_finite("EncoderDecoder.sample", "temperature", temperature) > 0:
            raise ValueError(
                f"EncoderDecoder.sample: temperature must be above 0, got {temperature}; use greedy for the "
                f"most probable tokens"
            )
        key = resolve_seed(seed)
        given = self._tokens("sample", source, steps, lengths, future)
        draws = uniforms(key, len(given.read), steps)
        return decode_tokens(given, at_temperature(float(temperature), draws, "EncoderDecoder.sample"))

    def beam_search(
        self,
        source: Array,
        steps: int,
        beam_size: int,
        *,
        length_penalty: float = 0.0,
        lengths: Any = None,
        future: Array | None = None,
    ) -> Decoded:
        """The `beam_size` best sequences that are found by keeping as many beginnings at every step.

        Sequences, ended or not, are ranked by log P / ((5 + length) / 6)^length_penalty. One beam is the
        greedy sequence; as many beams as there are sequences find the best of all.

        Args:
            source, steps, lengths, future: as in `greedy`.
            beam_size: B.
            length_penalty: 0 for the plain probability; above it longer sequences are preferred.

        Returns:
            As `greedy`, with an axis of B sequences behind N, best first: ``tokens[:, 0]`` are the best.

        Raises:
            TypeError, ValueError: as in `greedy`, and if the beam size is below 1.

        Example:
            >>> import numpy as np
            >>> from rnnfast import models
            >>> model = models.EncoderDecoder(5, 4, 8, end_token=0, seed=0)
            >>> model.beam_search(np.array([[1, 2, 3]]), 6, beam_size=3).tokens.shape
            (1, 3, 6)

        Reference:
            Wu et al., Google's neural machine translation system, 2016 (the length penalty).
        """
        beams = check_size("EncoderDecoder.beam_search", "beam_size", beam_size)
        penalty = check_finite("EncoderDecoder.beam_search", "length_penalty", length_penalty)
        return beam_search(self._tokens("beam_search", source, steps, lengths, future), beams, penalty)

    def decode(
        self,
        source: Array,
        steps: int,
        *,
        lengths: Any = None,
        start: Array | None = None,
        future: Array | None = None,
        return_attention: bool = False,
    ) -> Any:
        """What the model puts out for a source: its values fed back, or its greedy tokens.

        Args:
            source, steps, lengths, future: as in `greedy`.
            start: values that the first step reads, shape (N, O), None for zeros; None for tokens.
            return_attention: whether to return the attention weights too.

        Returns:
            Values, shape (N, steps, O), or tokens, int64, shape (N, steps), `end_token` behind the end. With
            return_attention (those, p): p of shape (N, steps, S), None without attention.

        Raises:
            TypeError, ValueError: as in `greedy`, for either kind of target.
        """
        given = self._given("decode", source, steps, lengths, future, start)
        if self.decoder.embedding is None:
            y, weights = decode_values(given)
        else:
            y, _, _, weights = self._greedy(given)
        return (y, weights) if return_attention else y

    def __call__(self, source: Array, steps: int, **inputs: Any) -> Any:  # type: ignore[override]
        """Inference: as `decode`."""
        return self.decode(source, steps, **inputs)

    def predict(  # type: ignore[override]
        self,
        source: Array | Mapping[str, Any],
        steps: int | None = None,
        *,
        lengths: Any = None,
        start: Array | None = None,
        future: Array | None = None,
        batch_size: int = 256,
    ) -> Array:
        """As `decode`, in batches, which bounds memory; the result does not depend on their size.

        Args:
            source, steps, lengths, start, future: as in `decode`; or source a dict with those names but
                steps.
            batch_size: samples at a time.

        Returns:
            As `decode`.

        Raises:
            TypeError, ValueError: as in `decode`, if there are no steps, a name of the dict is another one,
                and if the batch size is below 1.
        """
        inputs = {"lengths": lengths, "start": start, "future": future}
        source, inputs = _named_inputs(source, inputs)
        if steps is None:
            raise TypeError(
                "EncoderDecoder.predict: steps must be an int, the steps to put out, got none; pass "
                "predict(source, steps=…)"
            )
        check_size("EncoderDecoder.predict", "batch_size", batch_size)
        for name, array in inputs.items():
            if array is not None and len(array) != len(source):
                raise ValueError(
                    f"EncoderDecoder.predict: {name} must have as many samples as source, {len(source)}, "
                    f"got {len(array)}"
                )
        parts = []
        for first in range(0, max(len(source), 1), batch_size):
            rows = slice(first, first + batch_size)
            own: dict[str, Any] = {
                name: None if array is None else array[rows] for name, array in inputs.items()
            }
            parts.append(self.decode(source[rows], steps, **own))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def stream_state(self, batch_size: int) -> dict[str, Array]:
        """Refused: there is nothing to put out before the source has ended.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "EncoderDecoder.stream: models must have a streaming form, and the decoder starts from the last "
            "state of the encoder, after the whole source; call decode on the source"
        )

    def _greedy(self, given: Given) -> Decoded:
        return decode_tokens(given, lambda logits, t: self.decoder.choose(logits))

    def _tokens(self, name: str, source: Array, steps: int, lengths: Any, future: Any) -> Given:
        """As `_given`, refused for a target of values."""
        if self.decoder.embedding is None:
            raise ValueError(
                f"EncoderDecoder.{name}: target must be 'tokens', as values are not chosen among, "
                f"got 'values'; use decode"
            )
        return self._given(name, source, steps, lengths, future, None)

    def _given(self, name: str, source: Array, steps: int, lengths: Any, future: Any, start: Any) -> Given:
        """Check the arguments of method `name`; run the encoder at inference."""
        operation = f"EncoderDecoder.{name}"
        check_size(operation, "steps", steps, minimum=0)
        source, counts = self.encoder.check_source(operation, source, lengths)
        self._check_future(operation, future, (len(source), steps))
        read = self._first(operation, start, len(source))
        memory, counts, state, _ = self.encoder.forward(source, counts, training=False)
        seen = self.decoder.look(memory, counts)
        return Given(self.decoder, seen, state, read, steps, future, self.end_token)

    def _first(self, operation: str, start: Any, batch: int) -> Array:
        """What step 0 reads: the start token (N,), or values (N, O)."""
        if self.decoder.embedding is not None:
            if start is not None:
                raise ValueError(
                    f"{operation}: start must be None for a target of tokens, which starts from "
                    f"start_token={self.start_token}, got {type(start).__name__}"
                )
            return np.full(batch, self.start_token, np.int64)
        size, dtype = self.decoder.target_size, self.encoder.dtype
        if start is None:
            return np.zeros((batch, size), dtype)
        return check_array(
            operation, "start", start, dtype=dtype, axes=("N", "target_size"), sizes=(batch, size)
        )

    def _check_future(self, operation: str, future: Any, front: tuple[int, int]) -> None:
        size = self.decoder.future_size
        if size == 0 and future is None:
            return
        if size == 0:
            raise ValueError(
                f"{operation}: future must be None for a model with future_size=0, "
                f"got {type(future).__name__}"
            )
        sizes, axes = (*front, size), ("N", "U", "future_size")
        check_array(operation, "future", future, dtype=self.encoder.dtype, axes=axes, sizes=sizes)


def _named_inputs(source: Any, inputs: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
    """The source and the other inputs of `predict`, which may come as a dict in the place of the source."""
    if not isinstance(source, Mapping):
        return source, inputs
    for name in source:
        if name not in ("source", *inputs):
            fix = "; pass steps: outputs are read in its place" if name == "target" else ""
            raise TypeError(
                f"EncoderDecoder.predict: source must have names among source, {', '.join(inputs)}, "
                f"got {name!r}{fix}"
            )
    if "source" not in source:
        raise TypeError(f"EncoderDecoder.predict: source must have 'source', got {sorted(source)}")
    given = {name: value for name, value in source.items() if value is not None}
    return given.pop("source"), {**inputs, **given}
