"""Training, measuring and predicting with inputs of several arrays: {"x": …, "lengths": …}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from problems import same_bits
from rnnfast import data, models, nn, optim, train

Array = np.ndarray[Any, np.dtype[Any]]


def problem(count: int = 20, steps: int = 6, seed: int = 0) -> tuple[dict[str, Array], Array]:
    """Ragged sequences, and the sum of each one's real steps."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, steps + 1, count)
    lengths[:2] = (0, steps)
    x = random.standard_normal((count, steps, 1)).astype(np.float32)
    x[~data.padding_mask(lengths, steps)] = 0
    return {"x": x, "lengths": lengths}, x.sum(axis=1)


def make(kind: Any = models.Seq2Vec, **options: Any) -> Any:
    return kind(1, 6, 1, **{"cell": "gru", "seed": 3, **options})


def fit(model: nn.Module, given: Any, **options: Any) -> train.History:
    settings = {"optimizer": optim.Adam(0.01), "epochs": 3, "batch_size": 8, "verbose": 0}
    return train.fit(model, given, **{**settings, **options})


def states(model: nn.Module) -> list[bytes]:
    return [array.tobytes() for array in model.state_dict().values()]


def test_a_dict_with_x_alone_is_x() -> None:
    x, y = problem()
    plain, named = make(), make()
    fit(plain, (x["x"], y), validation=0.25)
    fit(named, ({"x": x["x"]}, y), validation=0.25)
    assert states(plain) == states(named)


def test_samples_and_their_lengths_stay_together() -> None:
    """Every step is made from the rows of one shuffle of all arrays; by hand the bits are the same."""
    x, y = problem()
    model, by_hand = make(), make()
    history = fit(model, (x, y), epochs=1, clip_norm=None, seed=5)
    optimizer, buffer = optim.Adam(0.01), by_hand.flatten()
    order = train.batches.ArrayBatches(x, y, None, batch_size=8, generator=generator(5))
    for batch, target, _ in order:
        assert isinstance(batch, dict)
        prediction, tape = by_hand.forward(batch["x"], lengths=batch["lengths"])
        error = prediction - target
        by_hand.zero_grad()
        by_hand.backward(tape, 2 * error / error.size)
        optimizer.step(buffer)
    np.testing.assert_allclose(model.flatten().data, buffer.data, rtol=1e-5, atol=1e-7)
    assert len(history.history["loss"]) == 1


def generator(seed: int) -> np.random.RandomState:
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))


def test_lengths_reach_training_validation_and_prediction() -> None:
    x, y = problem(64)
    model = make(pooling="mean")
    history = fit(model, (x, y), validation=0.25, epochs=20)
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]
    tail = {name: array[48:] for name, array in x.items()}
    assert train.evaluate(model, (tail, y[48:]))["loss"] == pytest.approx(history.history["val_loss"][-1])
    whole = train.predict(model, x)
    assert same_bits(whole, model(x["x"], lengths=x["lengths"]))
    for batch_size in (1, 7, 64):
        assert same_bits(train.predict(model, x, batch_size=batch_size), whole)
        assert same_bits(model.predict(x, batch_size=batch_size), whole)
        assert same_bits(model.predict(x["x"], lengths=x["lengths"], batch_size=batch_size), whole)
    assert same_bits(model.predict(x["x"], lengths=x["lengths"].tolist()), whole)
    assert not same_bits(model.predict(x["x"]), whole)


def test_given_batches_may_be_dicts() -> None:
    x, y = problem()
    arrays, batches = make(), make()
    parts = [({name: array[k : k + 8] for name, array in x.items()}, y[k : k + 8]) for k in (0, 8, 16)]
    one = fit(arrays, (x, y), shuffle=False)
    other = fit(batches, parts)
    assert states(arrays) == states(batches)
    assert one.history["loss"] == other.history["loss"]
    assert train.evaluate(arrays, parts) == train.evaluate(arrays, (x, y), batch_size=8)


def test_layers_take_dicts_too() -> None:
    x, _ = problem()
    layer = nn.GRU(1, 4, seed=0)
    y = layer(x["x"], lengths=x["lengths"])[0]
    assert same_bits(train.predict(layer, x, batch_size=3), y)
    fit(layer, (x, np.zeros_like(y)), epochs=1)
    assert not same_bits(layer(x["x"], lengths=x["lengths"])[0], y)


def test_a_fit_with_dicts_is_resumed_with_the_same_bits(tmp_path: Path) -> None:
    x, y = problem()
    path = tmp_path / "run.npz"
    straight, first, second = (make(dropout=0.2, num_layers=2) for _ in range(3))
    fit(straight, (x, y), epochs=6)
    fit(first, (x, y), epochs=3, callbacks=(train.Checkpoint(path),))
    fit(second, (x, y), epochs=6, callbacks=(train.Checkpoint(path),), resume=path)
    assert states(straight) == states(second)


@pytest.mark.parametrize("names", [("x", "lengths"), ("x", "resets"), ("x", "lengths", "resets")], ids=str)
def test_pieces_of_whole_length_give_the_bits_of_whole_sequences(names: tuple[str, ...]) -> None:
    x, y, mask = per_step(names)
    whole, pieces, short = (make(models.Seq2Seq) for _ in range(3))
    fit(whole, (x, y, mask))
    fit(pieces, (x, y, mask), bptt=6)
    fit(short, (x, y, mask), bptt=2)
    assert states(whole) == states(pieces)
    assert states(whole) != states(short)


def per_step(names: tuple[str, ...]) -> tuple[dict[str, Array], Array, Array]:
    x, _ = problem()
    x["resets"] = np.random.default_rng(1).random((20, 6)) < 0.2
    mask = data.padding_mask(x["lengths"], 6)
    return {name: x[name] for name in names}, x["x"].cumsum(axis=1), mask


def test_pieces_see_their_own_lengths_and_resets() -> None:
    """With a learning rate near 0 the loss over pieces is the loss over whole sequences; without a mask the
    zeros behind the end count too.
    """
    x, y, _ = per_step(("x", "lengths", "resets"))
    model = make(models.Seq2Seq)
    measured = train.evaluate(model, (x, y))["loss"]
    history = fit(model, (x, y), bptt=2, epochs=1, optimizer=optim.SGD(1e-12))
    assert history.history["loss"][0] == pytest.approx(measured, rel=1e-6)


def test_what_cannot_be_cut_into_pieces_says_so() -> None:
    x, y = problem()
    with pytest.raises(ValueError, match=r"train.fit: X must have names among x, resets .*bptt=2.*'lengths'"):
        fit(make(), (x, y), bptt=2)

    class Gated(models.Seq2Seq):
        def forward(self, x: Array, gate: Any = None, **options: Any) -> Any:
            return super().forward(x, **options)

    x, y, mask = per_step(("x",))
    with pytest.raises(ValueError, match=r"X must have names among x, lengths, resets .*got 'gate'"):
        fit(make(Gated), ({**x, "gate": mask}, y, mask), bptt=2)


@pytest.mark.parametrize("kind", [np.uint8, np.uint32, np.int8, np.int64])
def test_pieces_see_lengths_of_any_type_of_ints(kind: type) -> None:
    x, y, _ = per_step(("x", "lengths"))
    expected, found = make(models.Seq2Seq), make(models.Seq2Seq)
    # Without a mask, so that the zeros behind the ends are in the loss.
    fit(expected, (x, y), bptt=2)
    fit(found, ({**x, "lengths": x["lengths"].astype(kind)}, y), bptt=2)
    assert states(found) == states(expected)


@pytest.mark.parametrize("given", ["arrays", "batches"])
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ([(3, 7)], ValueError, r": lengths must be in 0..T=6, got 7 at n=3$"),
        ([(3, -1), (5, 99)], ValueError, r": lengths must be in 0..T=6, got -1 at n=3 and 1 more"),
        (float, TypeError, r": lengths must be ints, got float64; pass np.asarray\(lengths, np.int64\)"),
    ],
    ids=str,
)
def test_lengths_are_checked_before_they_are_cut(
    given: str, changed: Any, error: type[Exception], message: str
) -> None:
    """With the words of a fit on whole sequences."""
    x, y, mask = per_step(("x", "lengths"))
    if changed is float:
        x["lengths"] = x["lengths"].astype(float)
    else:
        for n, length in changed:
            x["lengths"][n] = length
    model = make(models.Seq2Seq)
    before = states(model)
    batches: Any = (x, y, mask) if given == "arrays" else [(x, y, mask)]
    for bptt, title in ((None, "GRU.forward"), (2, "train.fit"), (6, "train.fit")):
        with pytest.raises(error, match="^" + title + message):
            fit(model, batches, bptt=bptt, shuffle=False, batch_size=20)
        assert states(model) == before


@pytest.mark.parametrize("call", ["fit", "validation", "evaluate", "predict", "model.predict"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"length": 1}, TypeError, r"must have names among x, lengths, resets, .*got 'length'"),
        ({"state": 1}, TypeError, r"must have names among .*got 'state'"),
        ({"training": 1}, TypeError, r"must have names among .*got 'training'"),
        ({"x": None}, TypeError, r"\['x'\] must be an array, got NoneType"),
        ({"lengths": 3}, TypeError, r"\['lengths'\] must be an array, got int"),
        ({"lengths": [[1], [2, 3]]}, ValueError, r"\['lengths'\] must be .*got a list of unequal parts"),
        ({"lengths": np.arange(3)}, ValueError,
         r"\['lengths'\] must have as many samples along axis 0 as .*\['x'\], \(20, 6, 1\), got \(3,\)"),
        ({"lengths": np.array(3)}, ValueError, r"\['lengths'\] must have as many samples .*got \(\)"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_dicts_are_named(
    call: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    x, y = problem()
    wrong, model = {**x, **changes}, make()
    before = states(model)
    calls = {
        "fit": lambda: fit(model, (wrong, y)),
        "validation": lambda: fit(model, (x, y), validation=(wrong, y)),
        "evaluate": lambda: train.evaluate(model, (wrong, y)),
        "predict": lambda: train.predict(model, wrong),
        "model.predict": lambda: model.predict(wrong),
    }
    title = {"fit": "train.fit: X", "validation": "train.fit: validation X", "evaluate": "train.evaluate: X",
             "predict": "train.predict: x", "model.predict": "Seq2Vec.predict: x"}[call]  # fmt: skip
    with pytest.raises(error, match=message) as caught:
        calls[call]()
    assert str(caught.value).startswith(title)
    assert states(model) == before


@pytest.mark.parametrize("call", ["fit", "bptt", "validation", "evaluate"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"length": 1}, TypeError, r"must have names among x, lengths, resets, .*got 'length'"),
        ({"state": None}, TypeError, r"must have names among .*got 'state'"),
        ({"training": True}, TypeError, r"must have names among .*got 'training'"),
        ({"lengths": 3}, TypeError, r"\['lengths'\] must be an array, got int"),
        ({"resets": np.zeros((3, 6), bool)}, ValueError,
         r"\['resets'\] must have as many samples .*got \(3, 6\)"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_dicts_in_given_batches_are_named(
    call: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    x, y = problem()
    wrong, model = [({**x, **changes}, y)], make()
    before = states(model)
    calls = {
        "fit": lambda: fit(model, wrong),
        "bptt": lambda: fit(model, wrong, bptt=2),
        "validation": lambda: fit(model, [(x, y)], validation=wrong),
        "evaluate": lambda: train.evaluate(model, wrong),
    }
    title = {"validation": "train.fit: validation X", "evaluate": "train.evaluate: X"}.get(
        call, "train.fit: X"
    )
    with pytest.raises(error, match=message) as caught:
        calls[call]()
    assert str(caught.value).startswith(title)
    assert states(model) == before or call == "validation"


def test_missing_names_and_empty_dicts_are_named() -> None:
    x, y = problem()
    with pytest.raises(TypeError, match=r"train.fit: X must have 'x', which Seq2Vec.forward needs, got 'len"):
        fit(make(), ({"lengths": x["lengths"]}, y))
    with pytest.raises(TypeError, match=r"train.predict: x must have 'x', .*got nothing"):
        train.predict(make(), {})


def test_targets_and_values_are_checked() -> None:
    x, y = problem()
    with pytest.raises(
        ValueError, match=r"Y must have as many samples along axis 0 as X\['x'\], \(20, 6, 1\)"
    ):
        fit(make(), (x, y[:3]))
    with pytest.raises(ValueError, match=r"X\['x'\] must hold at least one sample, got \(0, 6, 1\)"):
        fit(make(), ({name: array[:0] for name, array in x.items()}, y[:0]))
    with pytest.raises(
        TypeError, match=r"train.fit: data must be a tuple \(X, Y\) .*got \(dict, list of 20\)"
    ):
        fit(make(), (x, y.tolist()))
    with pytest.raises(ValueError, match=r"GRU.forward: lengths must be in 0..T=6, got 7 at n="):
        fit(make(), ({**x, "lengths": np.full(20, 7)}, y))
    x["x"][1, 2] = np.nan
    with pytest.raises(ValueError, match=r"train.fit: X\['x'\] must be finite, got 1 NaN, .*\(1, 2, 0\)"):
        fit(make(), (x, y))
    x["x"][3, 2] = 1e30
    y[3] = np.inf
    with pytest.raises(train.NonFiniteError, match=r"the batch's Y holds 1 infinite"):
        fit(make(), [(x, y)])
    x["x"][3, :] = np.nan
    x["lengths"][3] = 6
    with pytest.raises(train.NonFiniteError, match=r"the batch's X\['x'\] holds 7 NaN"):
        fit(make(), [(x, np.ones_like(y))])


@pytest.mark.parametrize("conv", [None, {"channels": 3, "kernel_size": 2, "stride": 2}], ids=str)
@pytest.mark.parametrize("given", ["arrays", "batches"])
def test_lengths_make_the_mask_and_nothing_of_padding_is_read(conv: Any, given: str) -> None:
    """With NaN on padding a fit has the bits of one with zeros there and the mask written out."""
    x, _ = problem()
    x["lengths"] = np.maximum(x["lengths"], 2)
    real = data.padding_mask(x["lengths"], 6)
    plain, unread = make(models.Seq2Seq, conv=conv), make(models.Seq2Seq, conv=conv)
    steps = plain(x["x"]).shape[1]
    mask = real if conv is None else data.padding_mask(x["lengths"] // 2, steps)
    y = np.random.default_rng(1).standard_normal((20, steps, 1)).astype(np.float32)
    fit(plain, (x, y, mask), shuffle=False, batch_size=20)
    holes = {"x": np.where(real[:, :, None], x["x"], np.float32(np.nan)), "lengths": x["lengths"]}
    unknown = np.where(mask[:, :, None], y, np.float32(np.nan))
    pair = (holes, unknown)
    history = fit(unread, pair if given == "arrays" else [pair], shuffle=False, batch_size=20)
    assert states(unread) == states(plain)
    assert train.evaluate(unread, pair) == train.evaluate(plain, (x, y, mask))
    assert np.isfinite(history.history["loss"]).all()


def test_lengths_that_leave_nothing_and_nan_on_real_steps_are_refused() -> None:
    x, _ = problem()
    model, y = make(models.Seq2Seq), x["x"]
    with pytest.raises(ValueError, match=r"train.fit: X\['lengths'\] must leave at least one output, got 0"):
        fit(model, ({**x, "lengths": np.zeros(20, int)}, y))
    y[1, 5] = np.nan  # the last real step
    with pytest.raises(ValueError, match=r"train.fit: X\['x'\] must be finite, got 1 NaN"):
        fit(model, (x, y))


def test_lengths_of_none_are_all_and_errors_name_the_argument() -> None:
    x, y = problem()
    plain, named = make(), make()
    fit(plain, (x["x"], y))
    fit(named, ({"x": x["x"], "lengths": None}, y))
    assert states(plain) == states(named)
    assert same_bits(named.predict(x["x"], lengths=None), plain(x["x"]))
    with pytest.raises(ValueError, match=r"^Seq2Vec.predict: lengths must have as many samples .* as x, "):
        plain.predict(x["x"], lengths=[1, 2])
    with pytest.raises(TypeError, match=r"lengths must be ints, got bool; pass mask.sum\(axis=1\)$"):
        plain.predict(x["x"], lengths=data.padding_mask(x["lengths"], 6))


def test_arrays_without_names_are_refused_where_forward_needs_several() -> None:
    model = models.EncoderDecoder(5, 4, 6)
    tokens = np.ones((3, 4), int)
    with pytest.raises(TypeError, match=r"train.fit: X must be a dict.* pass \{'source': …, 'target': …\}"):
        train.fit(model, (tokens, tokens), loss="cross_entropy", verbose=0)


@pytest.mark.parametrize("schedule", ["cosine", optim.CosineLR], ids=str)
def test_a_schedule_is_an_object(schedule: Any) -> None:
    x, y = problem()
    with pytest.raises(
        TypeError, match=r"train.fit: schedule must be .*pass schedule=optim.CosineLR\(epochs"
    ):
        fit(make(), (x, y), schedule=schedule)
