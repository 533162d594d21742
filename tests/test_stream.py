"""Models on live streams: blocks of any size give the bits of the whole, states are plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from problems import same_bits
from rnnfast import models, nn

Array = np.ndarray[Any, np.dtype[Any]]
CUTS: list[Sequence[int]] = [(1,) * 30, (3, 0, 7, 1, 19), (30,)]


def make(kind: str, dtype: Any) -> models.Model:
    options: dict[str, Any] = {"dtype": dtype, "seed": 3}
    if kind == "wavenet":
        return models.WaveNet(3, 8, 2, dilations=(1, 2, 4), blocks=2, **options)
    if kind == "plain wavenet":
        return models.WaveNet(3, 8, 2, dilations=(1, 2, 4), activation="relu", **options)
    if kind == "conv":
        front = {"channels": 6, "kernel_size": 4, "stride": 2}
        return models.Seq2Seq(3, 5, 2, 2, cell="gru", conv=front, **options)
    return models.Seq2Seq(3, 5, 2, 2, cell=kind, layer_norm=None if kind == "gru" else "split", **options)


KINDS = ["wavenet", "plain wavenet", "conv", "lstm", "gru", "rnn"]


def sequences(dtype: Any) -> Array:
    return np.random.default_rng(0).standard_normal((4, 30, 3)).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_blocks_are_the_whole(kind: str, cuts: Sequence[int], variant: str, dtype: type) -> None:
    model, x = make(kind, dtype), sequences(dtype)
    stream = model.stream(4)
    ends = np.cumsum(cuts)
    parts = [stream.process(x[:, end - size : end]) for size, end in zip(cuts, ends, strict=True)]
    assert same_bits(np.concatenate(parts, axis=1), model(x))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_is_plain_arrays_that_go_on_elsewhere(kind: str, dtype: type, tmp_path: Any) -> None:
    model, x = make(kind, dtype), sequences(dtype)
    stream = model.stream(4)
    stream.process(x[:, :11])
    np.savez(tmp_path / "state.npz", **stream.state())
    expected = stream.process(x[:, 11:])
    with np.load(tmp_path / "state.npz", allow_pickle=False) as file:
        saved = dict(file)
    other = model.stream(4)
    other.process(x[:, 5:9])  # another past
    other.load_state(saved)
    assert same_bits(other.process(x[:, 11:]), expected)
    other.load_state(saved)  # what was loaded is not what is updated
    assert same_bits(other.process(x[:, 11:]), expected)
    stream.reset()
    first = stream.process(x[:, :11])
    assert same_bits(first, model.stream(4).process(x[:, :11]))


def test_one_output_per_sequence_is_that_of_everything_so_far(dtype: type) -> None:
    model = models.Seq2Vec(3, 5, 2, cell="lstm", dtype=dtype, seed=0)
    x, stream = sequences(dtype), model.stream(4)
    for start in range(0, 30, 10):
        y = stream.process(x[:, start : start + 10])
        assert same_bits(y, model(x[:, : start + 10]))


def test_a_condition_comes_with_its_block(dtype: type) -> None:
    model = models.WaveNet(3, 8, 2, dilations=(1, 2), condition_size=2, dtype=dtype, seed=0)
    x = sequences(dtype)
    condition = np.random.default_rng(1).standard_normal((4, 30, 2)).astype(dtype)
    stream = model.stream(4)
    parts = [stream.process(x[:, t : t + 6], condition=condition[:, t : t + 6]) for t in range(0, 30, 6)]
    assert same_bits(np.concatenate(parts, axis=1), model.forward(x, condition)[0])


def test_modules_in_a_row_are_a_stream(dtype: type) -> None:
    model = nn.Sequential(
        nn.Conv1d(3, 6, 2, dilation=3, activation="tanh", dtype=dtype, seed=0),
        nn.LayerNorm(6, dtype=dtype),
        nn.Dropout(0.5, seed=0),
        nn.LSTM(6, 5, dtype=dtype, seed=1),
        nn.Linear(5, 2, dtype=dtype, seed=2),
    )
    x, stream = sequences(dtype), models.Stream(model, 4)
    parts = [stream.process(x[:, t : t + 7]) for t in range(0, 30, 7)]
    assert same_bits(np.concatenate(parts, axis=1), model(x))
    assert set(stream.state()) == {"0.ring", "0.steps", "3.h", "3.c"}


def test_what_cannot_stream_says_why() -> None:
    with pytest.raises(ValueError, match="bidirectional must be False, as one direction starts at the end"):
        models.Seq2Seq(3, 5, 2, bidirectional=True).stream()
    with pytest.raises(ValueError, match="pooling"):
        models.Seq2Vec(3, 5, 2, pooling="mean").stream()
    with pytest.raises(TypeError, match="Vec2Seq"):
        models.Vec2Seq(3, 5, 2, 4).stream()
    with pytest.raises(TypeError, match="EncoderDecoder"):
        models.EncoderDecoder(5, 5, 4).stream()

    class Own(nn.Module):
        pass

    with pytest.raises(TypeError, match=r"Own.stream_state: Own has no streaming form"):
        models.Stream(Own())


def test_errors_name_what_is_wrong() -> None:
    stream = make("wavenet", np.float32).stream(2)
    with pytest.raises(
        ValueError, match=r"WaveNet.stream: block must have shape \(N, B, …\) with N=2, got \(3, 5, 3\)"
    ):
        stream.process(np.zeros((3, 5, 3), np.float32))
    with pytest.raises(ValueError, match=r"pass one sequence as block\[None\]"):
        stream.process(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"WaveNet.stream: batch_size must be 1 or more, got 0"):
        make("wavenet", np.float32).stream(0)
    before = stream.state()
    with pytest.raises(ValueError, match=r"WaveNet.stream: state must have the names"):
        stream.load_state({})
    with pytest.raises(
        ValueError, match=r"state stack.ring must have shape .* and dtype float32, got .*float64"
    ):
        stream.load_state({name: array.astype(np.float64) for name, array in before.items()})
    assert all(same_bits(before[name], array) for name, array in stream.state().items())


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_rows_start_anew(kind: str, dtype: type) -> None:
    model, x = make(kind, dtype), sequences(dtype)
    stream = model.stream(4)
    stream.process(x[:, :11])
    before = stream.state()
    stream.reset(rows=np.array([False, True, False, True]))
    y = stream.process(x[:, 11:])
    assert same_bits(y[1::2], model(x[1::2, 11:]))
    stream.load_state(before)
    assert same_bits(y[::2], stream.process(x[:, 11:])[::2])
    with pytest.raises(ValueError, match=r"rows must have shape \(N,\) = \(4,\), got \(3,\)"):
        stream.reset(rows=np.zeros(3, bool))
    with pytest.raises(ValueError, match="rows must be None for a model with a convolution"):
        make("conv", dtype).stream(4).reset(rows=np.zeros(4, bool))


def test_a_condition_is_refused_by_who_has_none() -> None:
    with pytest.raises(TypeError, match=r"Seq2Seq.stream: condition must be None, as the model has none"):
        make("gru", np.float32).stream(4).process(sequences(np.float32), np.ones((4, 2), np.float32))
    with pytest.raises(TypeError, match=r"state must be a dict of arrays, as state.. returns, got NoneType"):
        make("gru", np.float32).stream(4).load_state(None)  # type: ignore[arg-type]


def test_a_layer_overwrites_the_arrays_of_its_state(cell: str, dtype: type) -> None:
    layer, x = nn.Recurrent(cell, 3, 5, 2, dtype=dtype, seed=0), sequences(dtype)
    state = layer.stream_state(4)
    arrays = list(state.values())
    parts = [layer.stream_process(part, state) for part in np.split(x, (1, 1, 4, 11), axis=1)]
    y, final = layer(x)
    assert same_bits(np.concatenate(parts, axis=1), y)
    assert all(own is array for own, array in zip(state.values(), arrays, strict=True))
    assert all(map(same_bits, arrays, final if isinstance(final, tuple) else (final,)))


def test_a_state_may_lie_anywhere(cell: str, dtype: type) -> None:
    layer, x = nn.Recurrent(cell, 3, 5, 2, dtype=dtype, seed=0), sequences(dtype)
    expected = layer(x)[0]
    state = {name: np.asfortranarray(array) for name, array in layer.stream_state(4).items()}
    parts = [layer.stream_process(part, state) for part in np.split(x, (10, 20), axis=1)]
    assert same_bits(np.concatenate(parts, axis=1), expected)


def test_a_state_that_cannot_be_written_is_refused(cell: str) -> None:
    layer, x = nn.Recurrent(cell, 3, 5, seed=0), sequences(np.float32)
    state = layer.stream_state(4)
    layer.stream_process(x, state)
    before = {name: array.copy() for name, array in state.items()}
    next(reversed(state.values())).setflags(write=False)
    with pytest.raises(
        ValueError,
        match=r"process: state must have arrays that can be written, got it read-only for '.'",
    ):
        layer.stream_process(x, state)
    assert all(same_bits(state[name], array) for name, array in before.items())


def test_states_that_share_memory_are_refused() -> None:
    layer, x = nn.LSTM(3, 5, seed=0), sequences(np.float32)
    memory = np.zeros(2 * 4 * 5, np.float32)
    same, over = memory[:20].reshape(1, 4, 5), memory[5:25].reshape(1, 4, 5)
    layer.stream_process(x, layer.stream_state(4))  # the core looks first from now on
    for c in (same, over, same[:, ::-1]):
        with pytest.raises(
            ValueError, match="state must have arrays of their own, got h and c that share memory"
        ):
            layer.stream_process(x, {"h": same, "c": c})
        assert not memory.any()
    side_by_side = memory.reshape(1, 4, 10)
    expected, state = layer.stream_state(4), {"h": side_by_side[..., :5], "c": side_by_side[..., 5:]}
    for _ in range(2):
        assert same_bits(layer.stream_process(x, state), layer.stream_process(x, expected))


def test_inputs_may_be_the_state_itself(cell: str, dtype: type) -> None:
    """Every step reads what would be gone, were the state written before the last one."""
    layer = nn.Recurrent(cell, 4, 12, dtype=dtype, seed=0)
    state = layer.stream_state(2)
    layer.stream_process(np.ones((2, 2, 4), dtype), state)
    copies = {name: array.copy() for name, array in state.items()}
    expected = layer.stream_process(copies["h"].reshape(2, 3, 4).copy(), copies)
    assert same_bits(layer.stream_process(state["h"].reshape(2, 3, 4), state), expected)
    assert all(map(same_bits, state.values(), copies.values()))


def test_the_order_of_the_arrays_does_not_matter_but_their_names_do() -> None:
    layer, x = nn.LSTM(3, 5, seed=0), sequences(np.float32)
    state, other = layer.stream_state(4), layer.stream_state(4)
    other = {"c": other["c"], "h": other["h"]}
    for _ in range(2):
        assert same_bits(layer.stream_process(x, state), layer.stream_process(x, other))
    message = "LSTM.stream_process: state must have h, c, got h, cell; pass what stream_state returned"
    with pytest.raises(ValueError, match=message):
        layer.stream_process(x, {"h": state["h"], "cell": state["c"]})
    for wrong, named in ((None, "NoneType"), (tuple(state.values()), "tuple"), (state["h"], "ndarray")):
        with pytest.raises(
            TypeError, match=f"LSTM.stream_process: state must be a dict of h, c, got {named}; "
        ):
            layer.stream_process(x, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"GRU.stream_process: .* got NoneType for 'h'; "):
        nn.GRU(3, 5).stream_process(x, {"h": None})  # type: ignore[dict-item]


def test_one_output_per_sequence_does_not_depend_on_the_order_of_the_arrays() -> None:
    model, x = models.Seq2Vec(3, 7, 2, cell="lstm", seed=0), sequences(np.float32)
    state, other = model.stream_state(4), model.stream_state(4)
    other = {name: other[name] for name in sorted(other)}
    for _ in range(2):
        assert same_bits(model.stream_process(x, state), model.stream_process(x, other))


def test_both_directions_are_no_stream() -> None:
    layer, x = nn.GRU(3, 5, bidirectional=True, seed=0), sequences(np.float32)
    with pytest.raises(ValueError, match=r"GRU.stream_state: bidirectional must be False, "):
        layer.stream_state(4)
    with pytest.raises(ValueError, match=r"GRU.stream_process: bidirectional must be False, "):
        layer.stream_process(x, {"h": layer.init_state(4)})


def test_a_stream_has_the_weights_of_now(cell: str) -> None:
    layer, x = nn.Recurrent(cell, 3, 5, seed=0), sequences(np.float32)
    state = layer.stream_state(4)
    for _ in range(2):
        layer.stream_process(x, state)
    copies = {name: array.copy() for name, array in state.items()}
    layer.weight_hh_l0.data = 2 * layer.weight_hh_l0.data
    start = tuple(copies.values())
    expected, final = layer(x, start if len(start) > 1 else start[0])
    assert same_bits(layer.stream_process(x, state), expected)
    assert all(map(same_bits, state.values(), final if isinstance(final, tuple) else (final,)))


def test_a_time_major_layer_streams_too(cell: str, dtype: type) -> None:
    layer, x = nn.Recurrent(cell, 3, 5, batch_first=False, dtype=dtype, seed=0), sequences(dtype)
    layer.step(x[:, 0])  # makes the fast way of a step, which knows no layout
    state = layer.stream_state(30)
    parts = [layer.stream_process(part, state) for part in (x[:1], x[1:])]
    assert same_bits(np.concatenate(parts), layer(x)[0])
