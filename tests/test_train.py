"""fit, evaluate, predict, callbacks, history, progress: what a step does, measures and refuses."""

from __future__ import annotations

import csv
import io
import math
import sys

import numpy as np
import pytest

from rnnfast import init, losses, nn, ops, optim, train
from rnnfast.train.batches import describe_nonfinite

RNG = np.random.default_rng(11)
X = RNG.normal(size=(23, 4, 3))
Y = RNG.normal(size=(23, 4, 2))
MASK = RNG.random((23, 4)) < 0.7


def linear(dtype=np.float64):
    return nn.Linear(3, 2, dtype=dtype, seed=1)


def recurrent(dtype=np.float32):
    return nn.Sequential(
        nn.GRU(3, 6, num_layers=2, dropout=0.2, dtype=dtype, seed=1), nn.Linear(6, 2, dtype=dtype, seed=2)
    )


def fit(model, data, **options):
    return train.fit(model, data, **{"verbose": 0, **options})


def parameters(model):
    return np.concatenate([parameter.value.ravel() for parameter in model.parameters()])


def without_seconds(history):
    return {name: values for name, values in history.history.items() if name != "seconds"}


def by_hand(*, lr, momentum, batch_size, epochs, seed, mask=None, clip_norm=None, clip_value=None):
    """Masked squared error, clipped SGD with momentum, written out for one linear layer."""
    model = linear()
    weight, bias = model.weight.value.copy(), model.bias.value.copy()
    velocity = [0.0, 0.0]
    generator = init.generator(seed)
    history = []
    for _ in range(epochs):
        order = generator.permutation(len(X))
        squares = count = 0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            keep = np.ones((len(rows), 4)) if mask is None else mask[rows].astype(float)
            difference = (X[rows] @ weight.T + bias - Y[rows]) * keep[..., None]
            squares += (difference**2).sum()
            count += 2 * keep.sum()
            slope = 2 * difference / (2 * keep.sum())
            gradients = [np.einsum("nto,nti->oi", slope, X[rows]), slope.sum((0, 1))]
            if clip_value is not None:
                gradients = [np.clip(gradient, -clip_value, clip_value) for gradient in gradients]
            norm = math.sqrt(sum((gradient**2).sum() for gradient in gradients))
            scale = 1.0 if clip_norm is None else min(1.0, clip_norm / (norm + 1e-6))
            velocity = [momentum * v + scale * g for v, g in zip(velocity, gradients, strict=True)]
            weight, bias = weight - lr * velocity[0], bias - lr * velocity[1]
        history.append(squares / count)
    return np.concatenate([weight.ravel(), bias]), history


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("clipping", [
    {"clip_norm": None}, {"clip_norm": 0.3}, {"clip_norm": None, "clip_value": 0.05},
    {"clip_norm": 0.1, "clip_value": 0.05},
])  # fmt: skip
def test_fit_is_the_loop_it_says(mask, clipping):
    expected, losses_by_hand = by_hand(
        lr=0.1, momentum=0.9, batch_size=5, epochs=3, seed=7, mask=mask, **clipping
    )
    model = linear()
    before = parameters(model)
    data = (X, Y) if mask is None else (X, Y, mask)
    history = fit(
        model, data, optimizer=optim.SGD(0.1, momentum=0.9), batch_size=5, epochs=3, seed=7, **clipping
    )
    assert np.abs(expected - before).max() > 0.01
    np.testing.assert_allclose(parameters(model), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(history.history["loss"], losses_by_hand, rtol=1e-13)


def test_seed_drives_the_shuffle():
    runs = []
    for seed, shuffle in ((0, True), (0, True), (1, True), (0, False), (1, False)):
        model = linear()
        fit(model, (X, Y), epochs=2, batch_size=4, seed=seed, shuffle=shuffle)
        runs.append(parameters(model))
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[3], runs[4])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0], runs[3])


def test_given_batches_are_arrays_in_order():
    arrays, given, again = recurrent(), recurrent(), recurrent()
    x, y = X.astype(np.float32), Y.astype(np.float32)
    batches = [
        (x[start : start + 5], y[start : start + 5], MASK[start : start + 5]) for start in range(0, 23, 5)
    ]

    class Loader:
        def __iter__(self):
            return iter(batches)

    expected = fit(arrays, (x, y, MASK), epochs=3, batch_size=5, shuffle=False, validation=(x, y))
    history = fit(given, batches, epochs=3, validation=[(x, y)])
    np.testing.assert_array_equal(parameters(given), parameters(arrays))
    assert history.history["loss"] == expected.history["loss"]
    np.testing.assert_allclose(history.history["val_loss"], expected.history["val_loss"], rtol=1e-14)
    fit(again, Loader(), epochs=3)
    np.testing.assert_array_equal(parameters(again), parameters(arrays))


def test_recurrent_model_learns_with_every_optimizer():
    x = np.random.default_rng(0).normal(size=(64, 6, 3)).astype(np.float32)
    y = np.cumsum(x, axis=1)[..., :2] / 3
    for optimizer in (
        optim.SGD(0.3, momentum=0.9),
        optim.RMSprop(5e-3),
        optim.Adam(2e-2),
        optim.AdamW(2e-2),
        optim.Nadam(2e-2),
    ):
        model = recurrent()
        history = fit(model, (x, y), optimizer=optimizer, epochs=12, batch_size=16)
        assert history.history["loss"][-1] < 0.5 * history.history["loss"][0], optimizer


def test_validation_fraction_is_the_end_in_order():
    whole, cut = linear(), linear()
    seen = fit(whole, (X, Y, MASK), epochs=3, batch_size=4, validation=0.3, metrics=("mae",))
    head, tail = (X[:16], Y[:16], MASK[:16]), (X[16:], Y[16:], MASK[16:])
    expected = fit(cut, head, epochs=3, batch_size=4, validation=tail, metrics=("mae",))
    np.testing.assert_array_equal(parameters(whole), parameters(cut))
    assert without_seconds(seen) == without_seconds(expected)
    measured = train.evaluate(whole, tail, metrics=("mae",))
    assert seen.history["val_loss"][-1] == pytest.approx(measured["loss"], rel=1e-14)
    assert seen.history["val_mae"][-1] == pytest.approx(measured["mae"], rel=1e-14)


def test_validation_changes_no_bit_of_training():
    plain, validated = recurrent(), recurrent()
    x, y = X.astype(np.float32), Y.astype(np.float32)
    fit(plain, (x, y), epochs=3, batch_size=4)
    fit(validated, (x, y), epochs=3, batch_size=4, validation=(x, y), metrics=("mae", "rmse"))
    np.testing.assert_array_equal(parameters(validated), parameters(plain))


def test_history_entries_and_metrics_by_hand():
    def worst(prediction, target, mask=None):
        return float(np.abs(prediction - target).max())

    model = linear()
    metrics = ("mae", "rmse", losses.Huber(0.5), worst)
    still = optim.SGD(1e-300)
    history = fit(model, (X, Y), optimizer=still, epochs=1, validation=(X[:7], Y[:7]), metrics=metrics)
    names = ["loss", "mae", "rmse", "Huber(delta=0.5)", "worst"]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names), "lr", "seconds"]
    difference = (X[:7] @ model.weight.value.T + model.bias.value) - Y[:7]
    assert history.history["val_loss"] == pytest.approx([(difference**2).mean()], rel=1e-13)
    assert history.history["val_rmse"] == pytest.approx([math.sqrt((difference**2).mean())], rel=1e-13)
    assert history.history["val_mae"] == pytest.approx([np.abs(difference).mean()], rel=1e-13)
    assert history.history["val_worst"] == pytest.approx([np.abs(difference).max()], rel=1e-13)
    assert history.history["lr"] == [1e-300]
    assert history.history["seconds"][0] > 0


def test_means_are_over_elements_not_batches():
    model = linear()
    measured = train.evaluate(model, (X, Y, MASK), metrics=("mae", "rmse"), batch_size=6)
    difference = ((X @ model.weight.value.T + model.bias.value) - Y)[MASK]
    assert measured == {
        "loss": pytest.approx((difference**2).mean(), rel=1e-13),
        "mae": pytest.approx(np.abs(difference).mean(), rel=1e-13),
        "rmse": pytest.approx(math.sqrt((difference**2).mean()), rel=1e-13),
    }
    history = fit(model, (X, Y, MASK), optimizer=optim.SGD(1e-300), epochs=1, batch_size=6, metrics=("mae",))
    assert history.history["loss"] == pytest.approx([measured["loss"]], rel=1e-13)
    assert history.history["mae"] == pytest.approx([measured["mae"]], rel=1e-13)


def test_classification_with_accuracy():
    x = RNG.normal(size=(60, 3)).astype(np.float32)
    labels = x.argmax(-1)
    model = nn.Linear(3, 3, seed=0)
    mask = np.ones(60, bool)
    mask[50:] = False
    spoiled = labels.copy()
    spoiled[50:] = -1
    history = fit(
        model,
        (x, spoiled, mask),
        loss="cross_entropy",
        metrics=("accuracy",),
        epochs=30,
        optimizer=optim.Adam(0.1),
    )
    assert history.history["accuracy"][-1] > 0.95
    hits = model(x).argmax(-1) == labels
    assert (
        train.evaluate(model, (x, labels), loss="cross_entropy", metrics=("accuracy",))["accuracy"]
        == hits.mean()
    )
    assert train.accuracy(model(x), labels, mask) == hits[:50].mean()
    with pytest.raises(ValueError, match=r"accuracy: target must have shape \(60,\) for logits"):
        train.accuracy(model(x), labels[:, None])


def test_loss_of_an_epoch_is_accumulated_in_float64():
    values = iter([1e8, 1.0, 1.0, 1.0] * 2)
    model = linear()
    history = fit(model, (X[:4], Y[:4]), batch_size=1, epochs=2,
                  loss=lambda p, t: (np.float32(next(values)), np.zeros_like(p)))  # fmt: skip
    assert history.history["loss"] == [100000003 / 4] * 2


def test_a_batch_without_evidence_makes_no_step():
    mask = MASK.copy()
    mask[5:10] = False
    skipped, left_out = linear(), linear()
    fit(skipped, (X, Y, mask), epochs=2, batch_size=5, shuffle=False)
    keep = np.r_[0:5, 10:23]
    fit(left_out, (X[keep], Y[keep], mask[keep]), epochs=2, batch_size=5, shuffle=False)
    np.testing.assert_array_equal(parameters(skipped), parameters(left_out))


def test_two_kernel_calls_per_step(monkeypatch):
    calls = []
    for name in ("global_norm", "adam"):
        kernel = getattr(ops, name)
        monkeypatch.setattr(
            ops, name, lambda *a, _name=name, _kernel=kernel, **k: (calls.append(_name), _kernel(*a, **k))[1]
        )
    fit(linear(), (X, Y), epochs=1, batch_size=12)
    assert calls == ["global_norm", "adam"] * 2


def test_schedule_sets_the_rate_of_the_next_epoch():
    model = linear()
    optimizer = optim.SGD(0.8)
    history = fit(model, (X, Y), optimizer=optimizer, epochs=5, schedule=optim.StepLR(2, gamma=0.5))
    assert history.history["lr"] == [0.8, 0.8, 0.4, 0.4, 0.2]
    plateau = optim.ReduceLROnPlateau("val_mae", patience=0, factor=0.5, threshold=10.0)
    history = fit(
        linear(),
        (X, Y),
        optimizer=optim.SGD(0.8),
        epochs=4,
        schedule=plateau,
        validation=0.2,
        metrics=("mae",),
    )
    assert history.history["lr"] == [0.8, 0.8, 0.4, 0.2]


class Script(train.Callback):
    """Puts a scripted value into the history in place of the measured one, and records the parameters."""

    def __init__(self, values):
        self.values = values
        self.seen = []

    def on_epoch_end(self, run):
        run.history.history["loss"][-1] = self.values[run.epoch - 1]
        self.seen.append(parameters(run.model))


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([5, 4, 3, 3, 3, 3, 3], {"patience": 2}, 5, 3),
        ([5, 4, 3.5, 3, 2.9, 2.8, 2.7], {"patience": 2, "min_delta": 0.6}, 6, 4),
        ([1, 2, 3, 2, 2, 9], {"patience": 3, "mode": "max"}, 6, 6),
        ([1, 2, 3, 2, 2, 2, 9], {"patience": 3, "mode": "max"}, 6, 3),
        ([5, 4, 3, 2, 1], {"patience": 1}, 5, 5),
        ([math.nan, 4, math.nan, 5], {"patience": 2}, 4, 2),
    ],
)
def test_early_stopping(values, options, epochs, best):
    for restore in (True, False):
        script, model = Script(values), linear()
        stopping = train.EarlyStopping("loss", restore_best=restore, **options)
        history = fit(model, (X, Y), epochs=len(values), callbacks=(script, stopping))
        assert len(history) == epochs
        assert (stopping.best_epoch, stopping.best) == (best, values[best - 1])
        np.testing.assert_array_equal(parameters(model), script.seen[best - 1 if restore else epochs - 1])


def test_restoring_the_best_is_seen_by_the_model():
    x, y = X.astype(np.float32), Y.astype(np.float32)
    model, script = recurrent(), Script([1, 2, 2])
    stopping = train.EarlyStopping("loss", patience=5)
    fit(model, (x, y), epochs=3, callbacks=(script, stopping), validation=(x, y))  # packs the last weights
    alone = recurrent()
    fit(alone, (x, y), epochs=1)
    np.testing.assert_array_equal(model(x), alone(x))


def test_callbacks_are_called_at_the_seams():
    events = []

    class Recorder(train.Callback):
        def on_fit_begin(self, run):
            events.append("begin")

        def on_batch_end(self, run, loss):
            events.append(("batch", run.step, loss > 0))

        def on_epoch_end(self, run):
            events.append(("epoch", run.epoch, sorted(run.logs)))
            run.stop = run.epoch == 2

        def on_fit_end(self, run):
            events.append("end")

    fit(linear(), (X, Y), epochs=9, batch_size=12, callbacks=[Recorder()])
    logs = ["loss", "lr", "seconds"]
    assert events == ["begin", ("batch", 1, True), ("batch", 2, True), ("epoch", 1, logs),
                      ("batch", 3, True), ("batch", 4, True), ("epoch", 2, logs), "end"]  # fmt: skip


def overflowing(model, *, at, fault):
    """Batches whose number `at` breaks the fit."""
    x, y = X.astype(np.float32), Y.astype(np.float32)
    batches = [(x[start : start + 4], y[start : start + 4]) for start in range(0, 20, 4)]
    batches[at] = fault(*batches[at])
    return batches


def spoil(x, y):
    x = x.copy()
    x[1, 2, 0] = np.nan
    return x, y


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (lambda x, y: (x, y * np.float32(1e25)), r"the loss is inf at epoch 1, step 4 \(step 4 in all\)"),
        (
            spoil,
            r"the loss is nan at epoch 1, step 4 .*the batch's X holds 1 NaN, the first at index \(1, 2, 0\)",
        ),
        (lambda x, y: (x, np.full_like(y, np.inf)), r"the loss is inf .*the batch's Y holds 32 infinite"),
    ],
)
@pytest.mark.parametrize("make", [lambda: linear(np.float32), recurrent])
def test_a_loss_that_is_not_finite_stops_before_its_step(make, fault, text):
    model, expected = make(), make()
    batches = overflowing(model, at=3, fault=fault)
    with pytest.raises(train.NonFiniteError, match=text) as caught:
        fit(model, batches, epochs=2, optimizer=optim.SGD(0.1))
    fit(expected, batches[:3], epochs=1, optimizer=optim.SGD(0.1))
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    error = caught.value
    assert (error.epoch, error.step, error.checkpoint, len(error.history)) == (1, 4, None, 0)
    assert error.parameter in dict(model.named_parameters())
    assert error.gradient_norm is not None
    for part in (
        "gradient norm",
        error.parameter,
        "the parameters are those before this step",
        "last good checkpoint: none",
    ):
        assert part in str(error)


def test_a_gradient_that_is_not_finite_is_named():
    def loss(prediction, target):
        slope = np.zeros_like(prediction)
        slope[0, 0, 1] = np.inf
        return 1.0, slope

    model = linear()
    before = parameters(model)
    text = (
        r"the gradient is not finite at epoch 1, step 1.*first not finite in weight \(\d of 6 values\).*"
        r"likely fix: a learning rate below 0.001"
    )
    with pytest.raises(train.NonFiniteError, match=text):
        fit(model, (X, Y), loss=loss)
    np.testing.assert_array_equal(parameters(model), before)


@pytest.mark.parametrize(("clip_norm", "factor"), [(None, 1e21), (1e30, 1e21)])
def test_a_gradient_whose_square_overflows_is_refused(clip_norm, factor):
    def loss(prediction, target):
        return 1.0, np.full_like(prediction, factor)

    model = linear(np.float32)
    before = parameters(model)
    text = (
        r"the gradient times the learning rate \S+ is too large for a step .*"
        r"gradient norm \d.*e\+2\d \(of the step before: none\), .*"
        r"the largest value, .*e\+\d\d, in (weight|bias)"
    )
    with pytest.raises(train.NonFiniteError, match=text):
        fit(model, (X.astype(np.float32), Y.astype(np.float32)), loss=loss, clip_norm=clip_norm)
    np.testing.assert_array_equal(parameters(model), before)
    fit(model, (X.astype(np.float32), Y.astype(np.float32)), loss=loss, clip_norm=1.0)
    assert np.isfinite(parameters(model)).all()


def test_a_validation_loss_that_is_not_finite_stops():
    batches = [(X[:4], Y[:4])]
    with pytest.raises(
        train.NonFiniteError, match=r"the validation loss is inf after epoch 1 \(step 1 in all\)"
    ) as caught:
        fit(linear(), batches, validation=[(X[:4], Y[:4] * 1e200)])
    assert (caught.value.epoch, caught.value.step, caught.value.parameter) == (1, 0, None)


def nan_at(array, *indices, value=np.nan):
    array = array.copy()
    for index in indices:
        array[index] = value
    return array


@pytest.mark.parametrize(
    ("data", "validation", "text"),
    [
        (
            (nan_at(X, (5, 1, 2), (3, 0, 1)), Y),
            None,
            r"fit: X must be finite, got 2 NaN, the first at index \(3, 0, 1\); drop",
        ),
        (
            (X, nan_at(Y, (22, 3, 1), value=np.inf)),
            None,
            r"fit: Y must be finite, got 1 infinite, the first at index \(22, 3, 1\)",
        ),
        (
            (X, Y),
            (X, nan_at(Y, (0, 0, 0))),
            r"fit: validation Y must be finite, got 1 NaN, the first at index \(0, 0, 0\)",
        ),
        ((nan_at(X, (22, 0, 0)), Y), 0.2, r"fit: X must be finite, got 1 NaN"),
        ((X, nan_at(Y, (22, 0, 0)), MASK | True), None, r"fit: Y must be finite"),
    ],
)
def test_nan_in_the_data_is_one_error_up_front(data, validation, text):
    model = linear()
    before = parameters(model)
    with pytest.raises(ValueError, match=text):
        fit(model, data, validation=validation)
    np.testing.assert_array_equal(parameters(model), before)


def test_nan_where_masked_is_legal():
    spoiled = Y.copy()
    spoiled[~MASK] = np.nan
    clean, masked = linear(), linear()
    expected = fit(clean, (X, Y, MASK), epochs=2)
    history = fit(masked, (X, spoiled, MASK), epochs=2)
    np.testing.assert_array_equal(parameters(masked), parameters(clean))
    assert history.history["loss"] == expected.history["loss"]


def test_nonfinite_values_are_counted_over_slabs():
    large = np.zeros((3, 1 << 20), np.float32)
    assert describe_nonfinite(large) == ""
    large[1, 7] = np.nan
    large[2, 5] = -np.inf
    large[2, 6] = np.nan
    assert describe_nonfinite(large) == "2 NaN and 1 infinite, the first at index (1, 7)"
    assert describe_nonfinite(np.full((2, 4), 3e38, np.float32)) == ""
    assert describe_nonfinite(np.full((2, 4), 1e308)) == ""
    assert describe_nonfinite(np.arange(4)) == ""


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"data": (X, Y[:5])},
            ValueError,
            r"Y must have as many samples along axis 0 as X, \(23, 4, 3\), got \(5, 4, 2\)",
        ),
        ({"data": (X[:0], Y[:0])}, ValueError, r"X must hold at least one sample, got \(0, 4, 3\)"),
        ({"data": (X, Y, MASK[:, :3])}, ValueError, r"mask must have the leading axes of \(23, 4, 2\)"),
        ({"data": (X, Y, MASK & False)}, ValueError, r"mask must keep at least one element"),
        ({"data": (X, Y, MASK.astype(float))}, TypeError, r"mask must be bool"),
        (
            {"data": (X.tolist(), Y)},
            TypeError,
            r"data must be a tuple \(X, Y\) or \(X, Y, mask\) of arrays, got \(list of 23, ndarray\)",
        ),
        ({"data": ((X, Y), (X, Y))}, TypeError, r"pass batches as a list"),
        ({"data": X}, TypeError, r"data must be a tuple .*or batches, got ndarray"),
        (
            {"data": [X, Y]},
            TypeError,
            r"data must give batches \(x, y\) .*got ndarray; whole arrays go in a tuple \(X, Y\)",
        ),
        (
            {"data": iter([(X, Y)])},
            TypeError,
            r"data must give its batches anew at every epoch, got a one-shot",
        ),
        ({"data": []}, ValueError, r"data must give at least one batch"),
        ({"data": 3}, TypeError, r"or batches, got int"),
        ({"validation": 1.0}, ValueError, r"validation, as a fraction, must be in \(0, 1\)"),
        (
            {"validation": 0.001},
            ValueError,
            r"leave samples on both sides of the cut, got 0.001 of 23 samples",
        ),
        (
            {"data": [(X, Y)], "validation": 0.1},
            TypeError,
            r"validation as a fraction, 0.1, needs data as a tuple",
        ),
        ({"validation": iter([])}, TypeError, r"validation must give its batches anew"),
        ({"validation": []}, ValueError, r"at least one batch"),
        ({"epochs": 0}, ValueError, r"epochs must be 1 or more, got 0"),
        ({"epochs": 2.0}, TypeError, r"epochs must be an int, got 2.0"),
        ({"batch_size": -1}, ValueError, r"batch_size must be 1 or more"),
        ({"clip_norm": 0.0}, ValueError, r"clip_norm must be positive, or None for no bound, got 0.0"),
        ({"clip_value": -1.0}, ValueError, r"clip_value must be positive"),
        ({"verbose": 3}, ValueError, r"verbose must be 0, 1 or 2, got 3"),
        ({"optimizer": "adan"}, ValueError, r"optimizer must be one of sgd, rmsprop, adam, "),
        ({"loss": "mape"}, ValueError, r"loss must be one of mse, "),
        ({"metrics": ("mae", "mae")}, ValueError, r"metrics must have names of their own, got 'mae' again"),
        (
            {"metrics": ("auc",)},
            ValueError,
            r"metrics must be among mse, .*accuracy, or callables, got 'auc'",
        ),
        ({"metrics": "mae"}, TypeError, r"metrics must be a sequence, got 'mae'"),
        ({"metrics": (3,)}, TypeError, r"metrics must be names or callables, got 3"),
        (
            {"callbacks": train.EarlyStopping()},
            TypeError,
            r"callbacks must be a sequence of Callback objects",
        ),
        ({"callbacks": (print,)}, TypeError, r"callbacks must be a sequence of Callback objects"),
        (
            {"callbacks": (train.EarlyStopping(),)},
            ValueError,
            r"monitor of EarlyStopping must be one of loss, got 'val_loss'; pass validation",
        ),
        (
            {"schedule": optim.ReduceLROnPlateau("mae")},
            ValueError,
            r"monitor of ReduceLROnPlateau must be one of loss, got 'mae'",
        ),
    ],
)
def test_what_fit_refuses(options, error, text):
    model = linear()
    before = parameters(model)
    with pytest.raises(error, match=text):
        fit(model, options.pop("data", (X, Y)), **options)
    np.testing.assert_array_equal(parameters(model), before)


def test_callback_settings_out_of_range():
    with pytest.raises(ValueError, match=r"EarlyStopping: patience must be at least 1, got 0"):
        train.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match=r"EarlyStopping: min_delta must be 0 or more, got -1"):
        train.EarlyStopping(min_delta=-1)
    with pytest.raises(ValueError, match=r"EarlyStopping: mode must be 'min' or 'max', got 'auto'"):
        train.EarlyStopping(mode="auto")
    with pytest.raises(ValueError, match=r"Checkpoint: every must be at least 1, got 0"):
        train.Checkpoint("run.npz", every=0)


def test_predict_has_the_same_bits_for_any_batch_size():
    model = recurrent()
    x = X.astype(np.float32)
    expected = model(x)
    assert expected.shape == (23, 4, 2)
    for batch_size in (1, 4, 23, 100):
        np.testing.assert_array_equal(train.predict(model, x, batch_size=batch_size), expected)
    assert train.predict(model, x[:0]).shape == (0, 4, 2)
    with pytest.raises(TypeError, match=r"predict: x must be an array, or .*, got list"):
        train.predict(model, x.tolist())
    with pytest.raises(ValueError, match=r"predict: batch_size must be 1 or more, got 0"):
        train.predict(model, x, batch_size=0)


def test_evaluate_and_predict_change_nothing():
    model = recurrent()
    x, y = X.astype(np.float32), Y.astype(np.float32)
    before, random_state = parameters(model), model.random_state()
    train.evaluate(model, (x, y))
    train.predict(model, x)
    np.testing.assert_array_equal(parameters(model), before)
    assert model.random_state() == random_state
    with pytest.raises(ValueError, match=r"evaluate: data must give at least one batch"):
        train.evaluate(model, [])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "verbose"), [(io.StringIO, 1), (Terminal, 0)])
def test_silence(monkeypatch, capsys, tmp_path, stream, verbose):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stderr", stream())
    fit(linear(), (X, Y), epochs=2, verbose=verbose)
    assert sys.stderr.getvalue() == ""
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_one_progress_bar(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    fit(linear(), (X, Y), epochs=3, batch_size=8, validation=0.2, verbose=1)
    shown = sys.stderr.getvalue()
    assert shown.count("\n") == 1
    assert "9/9" in shown.splitlines()[-1]
    assert "epoch 3/3" in shown
    assert "val_loss" in shown


def test_lines_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    history = fit(linear(), (X, Y), epochs=2, validation=0.2, verbose=1)
    lines = sys.stderr.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert f"val_loss {history.history['val_loss'][1]:.4g}" in lines[1]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_verbose_2_is_a_line_per_epoch_anywhere(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    history = fit(linear(), (X, Y), epochs=2, validation=0.2, metrics=("mae",), verbose=2).history
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 2
    for epoch, line in enumerate(lines):
        assert line.startswith(f"epoch {epoch + 1}/2: loss {history['loss'][epoch]:.4g}, ")
        for name in ("mae", "val_loss", "val_mae"):
            assert f"{name} {history[name][epoch]:.4g}, " in line
        assert line.endswith(" s")


def test_an_optimizer_by_name_has_the_defaults():
    models = [linear(), linear()]
    for model, optimizer in zip(models, ("nadam", optim.Nadam()), strict=True):
        fit(model, (X, Y), epochs=2, optimizer=optimizer, verbose=0)
    np.testing.assert_array_equal(parameters(models[0]), parameters(models[1]))


def test_history_csv_is_exact_and_whole(tmp_path, monkeypatch):
    history = fit(linear(), (X, Y), epochs=3, validation=0.2, metrics=("mae",))
    path = tmp_path / "history.csv"
    history.to_csv(path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in history.history.items():
        assert [float(row[name]) for row in rows] == values
    before = path.read_bytes()
    history.history["loss"].append(0.0)
    with pytest.raises(ValueError, match="zip"):
        history.to_csv(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["history.csv"]
    with pytest.raises(FileNotFoundError):
        history.to_csv(tmp_path / "nowhere" / "history.csv")


def test_history_best_and_append():
    history = train.History({"loss": [3.0, 1.0, 2.0, 1.0]})
    assert history.best("loss") == (2, 1.0)
    assert history.best("loss", "max") == (1, 3.0)
    with pytest.raises(ValueError, match=r"monitor must be one of \['loss'\], got 'val_loss'"):
        history.best()
    with pytest.raises(ValueError, match=r"mode must be 'min' or 'max'"):
        history.best("loss", "low")
    with pytest.raises(ValueError, match=r"logs must have the names \['loss'\], got \['mae'\]"):
        history.append({"mae": 1.0})


def test_history_plot(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    history = train.History(
        {
            "loss": [3.0, 2.0],
            "mae": [1.0, 0.5],
            "val_loss": [4.0, 3.0],
            "val_mae": [2.0, 1.0],
            "lr": [0.1, 0.1],
        }
    )
    figure = history.plot()
    drawn = {axes.get_title(): [line.get_ydata().tolist() for line in axes.lines] for axes in figure.axes}
    assert drawn == {"loss": [[3.0, 2.0], [4.0, 3.0]], "mae": [[1.0, 0.5], [2.0, 1.0]]}
    matplotlib.pyplot.close(figure)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"History.plot needs matplotlib: pip install 'rnnfast\[plot\]'"):
        history.plot()


def test_counts_of_callbacks_are_whole_numbers():
    with pytest.raises(TypeError, match=r"EarlyStopping: patience must be an int, got 1\.5"):
        train.EarlyStopping(patience=1.5)
    with pytest.raises(TypeError, match=r"Checkpoint: every must be an int, got 2\.0"):
        train.Checkpoint("run.npz", every=2.0)


def test_the_order_of_the_samples_never_changes():
    """Orders drawn once from seed 0; the bits of NumPy's RandomState are frozen, and so are ours."""
    x = np.arange(8.0)[:, None]
    seen = []

    def loss(prediction, target):
        seen.append(target[:, 0].astype(int).tolist())
        return 1.0, np.zeros_like(prediction)

    model = nn.Linear(1, 1, seed=0, dtype=np.float64)
    fit(model, (x, x), loss=loss, epochs=2, batch_size=8, seed=0)
    assert seen == [[6, 3, 5, 0, 7, 2, 1, 4], [4, 1, 0, 2, 3, 6, 5, 7]]
