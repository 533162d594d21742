"""A sequence from a sequence of another length: an encoder, and a decoder that reads what it put out before.

Not here: the two halves (``encoder``, ``decoder``), the ways to decode (``decoding``), attention
(``nn.attention``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..init import child_seeds, resolve_seed
from ..nn import RandomCounter, Tape
from ..nn.arguments import check_array, check_dtype, check_size
from ..nn.parameter import Array
from .decoder import Decoder
from .decoding_model import DecodingModel
from .encoder import Encoder
from .front import check_conv
from .model import as_json
from .options import check_options
from .tokens import check_token_array, check_tokens


class EncoderDecoder(DecodingModel):
    """Encoder–decoder: P(y_t | y_1 … y_{t-1}, x) from recurrent layers that start from an encoder's state.

    In training the decoder reads the start and then the target, one step late (teacher forcing): one call for
    all steps without attention and with "luong". At inference it reads what it put out: a call or `predict`
    decodes greedily, `sample` and `beam_search` otherwise.

    Args:
        source_size: number of source tokens, or features per step of the source.
        target_size: O, number of target tokens, or values per step of the target.
        hidden_size: H, hidden units per layer, in both halves.
        num_layers: L, in both halves.
        cell: "rnn", "lstm", "gru" or any name of ``ops.cells()``.
        embedding_size: size of the vectors that stand for tokens, None for H.
        attention: None, "luong" or "bahdanau", see :class:`rnnfast.nn.LuongAttention` and
            :class:`rnnfast.nn.BahdanauAttention`.
        bidirectional: whether the encoder has a second direction; an affine map then brings both final states
            to one for the decoder.
        source: "tokens" (ints) or "values" (floats).
        target: "tokens" or "values"; values are fed back as they are.
        start_token: target token that the decoder reads first; None for one of its own, which it never puts
            out.
        end_token: target token that ends a sequence in decoding, None for none.
        future_size: covariates per target step that are known ahead and that the decoder reads too.
        sampling: rate of target steps in training at which the decoder reads its own output in place of the
            target, in [0, 1] (scheduled sampling); the attribute of that name may be changed between
            epochs. The gradient passes through values fed back, and not through the choice of a token.
        conv: settings of a convolution in front of the encoder that shortens the source, None for none: a
            dict of channels, kernel_size, stride (1), dilation (1) and activation ("relu").
        dtype: float32 or float64.
        seed: seed of initial weights and random masks, None for a fresh one.
        options: all others of the recurrent layers of both halves, see :class:`rnnfast.nn.Recurrent`, and the
            cell's own; trainable_state is the encoder's.

    Raises:
        TypeError: if an argument is of another type or the cell has no such option.
        ValueError: if an argument is out of its range or does not go with the others.

    Example:
        >>> import numpy as np
        >>> from rnnfast import models
        >>> model = models.EncoderDecoder(12, 10, 16, attention="luong", end_token=0, seed=0)
        >>> source = np.array([[3, 1, 4], [1, 5, 0]])
        >>> logits, tape = model.forward(source, np.array([[2, 7], [1, 0]]), lengths=[3, 2])
        >>> logits.shape, model.greedy(source, 4, lengths=[3, 2]).tokens.shape
        ((2, 2, 10), (2, 4))

    Reference:
        Sutskever, Vinyals & Le, Sequence to sequence learning with neural networks, 2014; Bengio, Vinyals,
        Jaitly & Shazeer, Scheduled sampling for sequence prediction with recurrent neural networks, 2015.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        cell: str = "gru",
        embedding_size: int | None = None,
        attention: str | None = None,
        bidirectional: bool = False,
        source: str = "tokens",
        target: str = "tokens",
        start_token: int | None = None,
        end_token: int | None = None,
        future_size: int = 0,
        sampling: float = 0.0,
        conv: dict[str, Any] | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        name = "EncoderDecoder"
        for argument, kind in (("source", source), ("target", target)):
            if kind not in ("tokens", "values"):
                raise ValueError(f"{name}: {argument} must be 'tokens' or 'values', got {kind!r}")
        if attention is not None and attention not in ("luong", "bahdanau"):
            raise ValueError(f"{name}: attention must be None, 'luong' or 'bahdanau', got {attention!r}")
        for option in {"batch_first", "bidirectional"} & options.keys():
            raise TypeError(
                f"{name}: options must be the cell's own, got {option!r}; samples are on the first axis"
            )
        check_options(type(self), cell, options)
        target_size = check_size(name, "target_size", target_size)
        tokens = target == "tokens"
        for argument, token in (("start_token", start_token), ("end_token", end_token)):
            _check_special(argument, token, target_size, tokens)
        settings = check_conv(name, conv)
        size = hidden_size if embedding_size is None else check_size(name, "embedding_size", embedding_size)
        encoder_seed, decoder_seed, sampling_seed = child_seeds(seed, 3)
        self.encoder = Encoder(
            source_size, hidden_size, num_layers, tokens=source == "tokens", cell=cell, embedding_size=size,
            bidirectional=bidirectional, conv=settings, options=options, dtype=dtype, seed=encoder_seed,
        )  # fmt: skip
        own = {option: value for option, value in options.items() if option != "trainable_state"}
        self.decoder = Decoder(
            target_size, hidden_size, num_layers, self.encoder.output_size, tokens=tokens,
            own_start=start_token is None, cell=cell, embedding_size=size, attention=attention,
            future_size=future_size, options=own, dtype=dtype, seed=decoder_seed,
        )  # fmt: skip
        self.counter = RandomCounter(resolve_seed(sampling_seed))
        self.sampling = sampling
        self.start_token = target_size if start_token is None else int(start_token)
        self.end_token = None if end_token is None else int(end_token)
        self._settings = {
            "source_size": self.encoder.source_size,
            "target_size": self.decoder.target_size,
            "hidden_size": self.encoder.recurrent.hidden_size,
            "num_layers": self.encoder.recurrent.num_layers,
            "cell": cell,
            "embedding_size": as_json(embedding_size),
            "attention": attention,
            "bidirectional": bool(bidirectional),
            "source": source,
            "target": target,
            "start_token": as_json(start_token),
            "end_token": self.end_token,
            "future_size": self.decoder.future_size,
            "conv": settings,
            "dtype": check_dtype(name, dtype).name,
            **{option: as_json(value) for option, value in options.items()},
        }
        self.flatten()

    @property
    def arguments(self) -> dict[str, Any]:  # type: ignore[override]
        """With which the constructor makes the same model again, `sampling` as it is now."""
        return {**self._settings, "sampling": self.sampling}

    @property
    def sampling(self) -> float:
        """Rate of target steps in training at which the decoder reads its own output."""
        return self._sampling

    @sampling.setter
    def sampling(self, rate: float) -> None:
        number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
        if not number:
            raise TypeError(f"EncoderDecoder: sampling must be a float, got {rate!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f"EncoderDecoder: sampling must be in [0, 1], got {rate}")
        self._sampling = float(rate)

    def forward(  # type: ignore[override]
        self,
        source: Array,
        target: Array,
        *,
        lengths: Any = None,
        start: Array | None = None,
        future: Array | None = None,
        training: bool = True,
    ) -> tuple[Array, Tape | None]:
        """Compute what the decoder puts out where the target is known.

        Args:
            source: ints, shape (N, S), or floats, shape (N, S, source_size).
            target: what is wanted, ints, shape (N, U), or floats, shape (N, U, O). Step t reads the target of
                step t - 1, so that the last one is not read; mask padding in the loss.
            lengths: steps of each source, N ints in 0..S, None for S; padding may hold anything. With `conv`
                each is 0 or at least its receptive field.
            start: values that step 0 reads, shape (N, O): the last ones known, say; None for zeros. For
                tokens None: there it is the start token.
            future: covariates of the target steps, shape (N, U, future_size), if the model has them.
            training: False switches dropout and sampling off and keeps no tape.

        Returns:
            (y, tape): y of shape (N, U, O), logits of tokens, or values.

        Raises:
            TypeError: if an argument has another dtype than it should.
            ValueError: if one has the wrong shape, or a token or a length is out of its range.
        """
        operation = "EncoderDecoder.forward"
        source, counts = self.encoder.check_source(operation, source, lengths)
        read = self._shifted(operation, target, len(source), start)
        self._check_future(operation, future, read.shape[:2])
        own = self._own(*read.shape[:2]) if training and self.sampling > 0 else None
        memory, counts, state, encoder_tape = self.encoder.forward(source, counts, training=training)
        y, decoder_tape = self.decoder.forward(
            read, state, memory, counts, future=future, own=own, training=training
        )
        return y, Tape(self, (encoder_tape, decoder_tape, y.shape)) if training else None

    def backward(self, tape: Tape | None, dy: Array) -> Array | None:  # type: ignore[override]
        """Add the gradients of all parameters; return that of the source.

        Args:
            tape: from `forward`.
            dy: shape (N, U, O).

        Returns:
            dsource, shape (N, S, source_size), 0 on padding; None for a source of tokens.
        """
        encoder_tape, decoder_tape, shape = self._read(tape)
        axes = ("N", "U", "target_size")
        check_array("EncoderDecoder.backward", "dy", dy, dtype=self.encoder.dtype, axes=axes, sizes=shape)
        self._close(tape)
        dstate, dmemory = self.decoder.backward(decoder_tape, dy)
        return self.encoder.backward(encoder_tape, dmemory, dstate)

    def _shifted(self, operation: str, target: Any, batch: int, start: Any) -> Array:
        """What each step reads: the start, then the target one step late."""
        size, dtype = self.decoder.target_size, self.encoder.dtype
        tokens = self.decoder.embedding is not None
        if tokens:
            check_token_array(operation, "target", target, (batch, None))
            check_tokens(operation, "target", target, size)
        else:
            sizes = (batch, None, size)
            check_array(operation, "target", target, dtype=dtype, axes=("N", "U", "target_size"), sizes=sizes)
        read = np.empty(target.shape, np.int64 if tokens else dtype)
        read[:, 1:] = target[:, :-1]
        read[:, :1] = self._first(operation, start, batch)[:, None]
        return read

    def _own(self, batch: int, steps: int) -> Array:
        """Where the decoder reads its own output, bool (N, U): a pure function of seed, call and position."""
        if self.sampling == 1:
            return np.ones((batch, steps), bool)
        mask = ops.dropout_mask(
            (batch, steps, 1), self.sampling, np.float32, seed=self.counter.seed, call=self.counter.draw()
        )
        own: Array = mask[:, :, 0] == 0
        return own


def _check_special(argument: str, token: Any, size: int, tokens: bool) -> None:
    """Raise if a token with a meaning of its own is none of the target's."""
    if token is None:
        return
    if not tokens:
        raise ValueError(f"EncoderDecoder: {argument} must be None with target='values', got {token!r}")
    if check_size("EncoderDecoder", argument, token, minimum=0) >= size:
        raise ValueError(
            f"EncoderDecoder: {argument} must be a target token, 0..{size - 1}, got {token}; raise "
            f"target_size to make room for it"
        )
