"""Checkpoints: what is in the file, that it is whole, that a resumed fit has the bits of a whole one."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest

from rnnfast import nn, optim, train
from rnnfast.train import checkpoint

RNG = np.random.default_rng(12)
X = RNG.normal(size=(26, 5, 3)).astype(np.float32)
Y = np.cumsum(X, axis=1)[..., :2]
MASK = RNG.random((26, 5)) < 0.8
EPOCHS = 6


class Interrupted(Exception):
    """The power cut of these tests."""


class Interrupt(train.Callback):
    """Breaks the fit off in the middle of an epoch; counts batches over resumes as a callback's own state."""

    def __init__(self, at=None):
        self.at = at
        self.batches = 0

    def settings(self):
        return {}  # where it breaks off is no part of the fit

    def on_batch_end(self, run, loss):
        self.batches += 1
        if self.at is not None and (run.epoch + 1, run.step % 4) == (self.at, 2):
            raise Interrupted

    def state_dict(self):
        return {"batches": self.batches}

    def load_state_dict(self, state):
        self.batches = state["batches"]


def model():
    return nn.Sequential(
        nn.GRU(3, 6, num_layers=2, dropout=0.3, seed=1), nn.Dropout(0.2, seed=5), nn.Linear(6, 2, seed=2)
    )


def parameters(module):
    return np.concatenate([parameter.value.ravel() for parameter in module.parameters()])


def without_seconds(history):
    return {name: values for name, values in history.history.items() if name != "seconds"}


SETUPS = {
    "sgd": lambda: {"optimizer": optim.SGD(0.1)},
    "momentum": lambda: {
        "optimizer": optim.SGD(0.1, momentum=0.9, nesterov=True),
        "schedule": optim.StepLR(2),
    },
    "rmsprop": lambda: {"optimizer": optim.RMSprop(1e-2, momentum=0.5), "schedule": optim.CosineLR(5)},
    "adam": lambda: {
        "optimizer": optim.Adam(2e-2),
        "schedule": optim.ReduceLROnPlateau("val_loss", patience=0, threshold=0.3, factor=0.5),
    },
    "adamw": lambda: {"optimizer": optim.AdamW(2e-2), "clip_value": 0.01},
    "nadam": lambda: {"optimizer": optim.Nadam(2e-2), "clip_norm": None, "shuffle": False},
}


def fit(module, setup, *callbacks, **options):
    stopping = train.EarlyStopping("val_mae", patience=4, min_delta=0.01)
    settings = {
        "epochs": EPOCHS,
        "batch_size": 6,
        "validation": 0.2,
        "metrics": ("mae",),
        "seed": 3,
        "verbose": 0,
    }
    return train.fit(
        module, (X, Y, MASK), callbacks=[*callbacks, stopping], **{**settings, **SETUPS[setup](), **options}
    )


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("broken_at", [2, 5])
def test_a_resumed_fit_has_the_same_bits(setup, broken_at, tmp_path):
    path = tmp_path / "run.npz"
    whole, whole_counter = model(), Interrupt()
    expected = fit(whole, setup, whole_counter, train.Checkpoint(tmp_path / "other.npz"))

    with pytest.raises(Interrupted):
        fit(model(), setup, Interrupt(broken_at), train.Checkpoint(path))
    resumed = nn.Sequential(
        nn.GRU(3, 6, num_layers=2, dropout=0.3, seed=77), nn.Dropout(0.2, seed=78), nn.Linear(6, 2, seed=79)
    )
    counter = Interrupt()
    history = fit(resumed, setup, counter, train.Checkpoint(path), resume=path, seed=99)

    np.testing.assert_array_equal(parameters(resumed), parameters(whole))
    assert without_seconds(history) == without_seconds(expected)
    assert resumed.random_state() == whole.random_state()
    assert counter.batches == whole_counter.batches == 4 * EPOCHS
    first, second = (checkpoint.load_checkpoint(tmp_path / name) for name in ("run.npz", "other.npz"))
    assert_same_tree({**first, "history": None}, {**second, "history": None})


def assert_same_tree(first, second):
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same_tree(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same_tree(a, b)
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    else:
        assert first == second


def test_longer_training_by_resume_is_one_long_training(tmp_path):
    path = tmp_path / "run.npz"
    whole, extended = model(), model()
    expected = train_plain(whole, 5)
    train_plain(model(), 3, callbacks=[train.Checkpoint(path, every=50)])
    history = train_plain(extended, 5, callbacks=[train.Checkpoint(path, every=50)], resume=path)
    np.testing.assert_array_equal(parameters(extended), parameters(whole))
    assert history.history["loss"] == expected.history["loss"]


def train_plain(module, epochs, **options):
    return train.fit(module, (X, Y), epochs=epochs, batch_size=7, verbose=0, **options)


def test_numpy_numbers_are_settings_as_good_as_any(tmp_path):
    path = tmp_path / "run.npz"
    fresh = {"callbacks": [train.Checkpoint(path)], "verbose": 0}
    train.fit(model(), (X, Y), epochs=1, batch_size=np.int64(7), clip_norm=np.float32(0.5), **fresh)
    resumed = model()
    history = train.fit(resumed, (X, Y), epochs=2, batch_size=7, clip_norm=0.5, resume=path, **fresh)
    assert len(history) == 2


def test_resuming_a_finished_fit_trains_no_more(tmp_path):
    path = tmp_path / "run.npz"
    done, resumed = model(), model()
    expected = train_plain(done, 3, callbacks=[train.Checkpoint(path)])
    history = train_plain(resumed, 3, callbacks=[train.Checkpoint(path)], resume=path)
    np.testing.assert_array_equal(parameters(resumed), parameters(done))
    assert history.history == expected.history


def test_resuming_an_early_stopped_fit_restores_the_best(tmp_path):
    path = tmp_path / "run.npz"

    def run(module, **options):
        stopping = train.EarlyStopping("loss", patience=1, min_delta=1e9)
        return train_plain(module, 8, callbacks=[stopping, train.Checkpoint(path)], **options)

    stopped, resumed, once = model(), model(), model()
    assert len(run(stopped)) == 2
    assert len(run(resumed, resume=path)) == 2
    train_plain(once, 1)
    np.testing.assert_array_equal(parameters(stopped), parameters(once))
    np.testing.assert_array_equal(parameters(resumed), parameters(once))


def test_given_batches_with_a_state_of_their_own_resume(tmp_path):
    path = tmp_path / "run.npz"

    class Loader:
        """Shuffles from a generator of its own, as a data loader does."""

        def __init__(self):
            self.generator = np.random.default_rng(0)

        def __iter__(self):
            order = self.generator.permutation(len(X))
            return (
                (X[order[start : start + 8]], Y[order[start : start + 8]]) for start in range(0, len(X), 8)
            )

        def state_dict(self):
            return {"generator": self.generator.bit_generator.state}

        def load_state_dict(self, state):
            self.generator.bit_generator.state = state["generator"]

    def run(module, epochs, **options):
        return train.fit(
            module, Loader(), epochs=epochs, callbacks=[train.Checkpoint(path)], verbose=0, **options
        )

    whole, resumed = model(), model()
    run(whole, 4)
    run(model(), 2)
    run(resumed, 4, resume=path)
    np.testing.assert_array_equal(parameters(resumed), parameters(whole))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"batch_size": 5}, r"batch_size was 7, now 5; pass batch_size=7, or leave resume out"),
        ({"shuffle": False}, r"shuffle was True, now False; pass shuffle=True, or"),
        ({"loss": "mae"}, r"loss was 'MSE\(\)', now 'MAE\(\)'"),
        (
            {"optimizer": optim.Adam(1e-2)},
            r"optimizer was \['Adam', .*'lr': 0.001.*now \['Adam', .*'lr': 0.01",
        ),
        ({"optimizer": optim.SGD(1e-3)}, r"optimizer was \['Adam', .*now \['SGD'"),
        (
            {"schedule": optim.StepLR(1)},
            r"schedule was None, now \['StepLR', {'step_size': 1, 'gamma': 0.1}\]",
        ),
        ({"clip_norm": 2.0}, r"clip_norm was 1.0, now 2.0; pass clip_norm=1.0, or"),
        (
            {"metrics": ("mae",), "clip_value": 1.0},
            r"metrics was \[\], now \['mae'\], clip_value was None, now 1.0; pass what it was, or",
        ),
        (
            {"validation": 0.2},
            r"samples was 26, now 21, validation was False, now True; pass what it was, or",
        ),
        ({"callbacks": ()}, r"callbacks was \[\['Checkpoint', .*\]\], now \[\]"),
    ],
)
def test_a_different_setup_is_refused(change, text, tmp_path):
    path = tmp_path / "run.npz"
    train_plain(model(), 1, callbacks=[train.Checkpoint(path)])
    fresh = model()
    before = parameters(fresh)
    options = {"batch_size": 7, "callbacks": [train.Checkpoint(path)], **change}
    with pytest.raises(
        ValueError,
        match=r"train.fit: resume must be set up as the fit that wrote the checkpoint: " + text,
    ):
        train.fit(fresh, (X, Y), epochs=3, resume=path, verbose=0, **options)
    np.testing.assert_array_equal(parameters(fresh), before)


def test_another_model_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    train_plain(model(), 1, callbacks=[train.Checkpoint(path)])
    other = nn.Sequential(nn.GRU(3, 4, seed=0), nn.Linear(4, 2, seed=0))
    before = parameters(other)
    with pytest.raises(ValueError, match=r"Sequential.load_state_dict: .* is missing"):
        train_plain(other, 2, callbacks=[train.Checkpoint(path)], resume=path)
    np.testing.assert_array_equal(parameters(other), before)


def test_a_failing_fit_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.npz"

    class Explode(train.Callback):
        def on_epoch_end(self, run):
            if run.epoch == 3:
                run.model.parameters()[-1].data = np.nan

    failing = model()
    with pytest.raises(train.NonFiniteError, match=r"last good checkpoint: .*run.npz") as caught:
        train_plain(failing, 9, callbacks=[train.Checkpoint(path, every=2), Explode()])
    assert caught.value.checkpoint == str(path)
    assert (caught.value.epoch, len(caught.value.history)) == (4, 3)
    saved, good = checkpoint.load_checkpoint(path), model()
    train_plain(good, 2)
    good_state = good.state_dict()
    assert saved["epoch"] == 2
    for name, array in saved["model"]["parameters"].items():
        np.testing.assert_array_equal(array, good_state[name])
    again = model()
    with pytest.raises(train.NonFiniteError, match=r"last good checkpoint: .*run.npz"):
        train_plain(
            again, 9, callbacks=[train.Checkpoint(tmp_path / "new.npz", every=50), Explode()], resume=path
        )
    again.load_state_dict(saved["model"]["parameters"])
    np.testing.assert_array_equal(parameters(again), parameters(good))


def test_every_and_names_of_checkpoints(tmp_path):
    train_plain(model(), 7, callbacks=[train.Checkpoint(tmp_path / "run-{epoch:03d}.npz", every=3)])
    assert sorted(found.name for found in tmp_path.iterdir()) == ["run-003.npz", "run-006.npz", "run-007.npz"]
    assert [checkpoint.load_checkpoint(tmp_path / f"run-00{epoch}.npz")["epoch"] for epoch in (3, 6, 7)] == [
        3,
        6,
        7,
    ]


def test_best_only(tmp_path):
    values = iter([5.0, 6.0, 4.0, 4.0, 7.0])

    def scripted(prediction, target, mask=None):
        return next(values)

    callback = train.Checkpoint(tmp_path / "best-{epoch}.npz", best_only=True, monitor="scripted")
    train.fit(model(), (X, Y), epochs=5, batch_size=26, metrics=(scripted,), callbacks=[callback], verbose=0)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["best-1.npz", "best-3.npz"]
    assert callback.saved == tmp_path / "best-3.npz"
    with pytest.raises(ValueError, match=r"monitor of Checkpoint must be one of loss, got 'val_loss'"):
        train_plain(model(), 1, callbacks=[train.Checkpoint(tmp_path / "x.npz", best_only=True)])


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path):
    fresh = model()
    before = parameters(fresh)
    with pytest.raises(FileNotFoundError, match=r"Checkpoint: the folder of path must exist, got .*nowhere"):
        train_plain(fresh, 1, callbacks=[train.Checkpoint(tmp_path / "nowhere" / "run.npz")])
    np.testing.assert_array_equal(parameters(fresh), before)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_found_before_training(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"Checkpoint: the folder of path must be writable"):
        train_plain(model(), 1, callbacks=[train.Checkpoint(tmp_path / "run.npz")])


def test_tree_round_trip(tmp_path):
    path = tmp_path / "tree.npz"
    tree = {
        "numbers": [1, 2.5, -0.1, 1e-300, 2**127, None, True, "text"],
        "float": np.float64(0.1),
        "integer": np.int64(7),
        "arrays": {
            "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
            "empty": np.zeros((0, 2)),
            "scalar": np.array(3),
        },
        "order": [np.asfortranarray(np.arange(4.0).reshape(2, 2)), np.arange(8)[::2]],
    }
    checkpoint.save_checkpoint(path, tree)
    got = checkpoint.load_checkpoint(path)
    assert_same_tree(got, {**tree, "float": 0.1, "integer": 7})
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["arrays/a/b"], tree["arrays"]["a/b"])
    assert [found.name for found in tmp_path.iterdir()] == ["tree.npz"]


class Unwritable:
    """Fails when it is being written, after the file was begun."""

    shape = ()

    def __array__(self, dtype=None, copy=None):
        raise OSError("No space left on device")


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "run.npz"
    checkpoint.save_checkpoint(path, {"epoch": 1, "weights": np.ones(3)})
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save_checkpoint(path, {"epoch": 2, "weights": np.ones(3), "more": Unwritable()})
    with pytest.raises(TypeError, match="JSON"):
        checkpoint.save_checkpoint(path, {"epoch": {1, 2}})
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        checkpoint.save_checkpoint(path, {"weights": np.array([None])})
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["run.npz"]


def test_what_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(
        FileNotFoundError, match=r"load_checkpoint: path must be an existing file, got .*file'"
    ):
        checkpoint.load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"path must be an existing file"):
        train_plain(model(), 1, resume=path)
    rule = r"load_checkpoint: '.*file' must be a checkpoint written by rnnfast"
    path.write_text("something else")
    with pytest.raises(ValueError, match=rule + ", got something else or a damaged file"):
        checkpoint.load_checkpoint(path)
    with open(path, "wb") as file:
        np.savez(file, weights=np.ones(3))
    with pytest.raises(ValueError, match=rule + ".*checkpoint.json"):
        checkpoint.load_checkpoint(path)
    checkpoint.save_checkpoint(path, {"weights": np.ones(1000)})
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:2000] + b"\x00\x01" + whole[2002:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rule + ", got something else or a damaged file"):
            checkpoint.load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("checkpoint.json", json.dumps({"version": 2, "tree": {}}))
    with pytest.raises(ValueError, match=rule + " in format version 1 or lower, got 2; upgrade rnnfast"):
        checkpoint.load_checkpoint(path)


def test_other_arguments_of_a_callback_are_refused(tmp_path):
    class Rate(train.Callback):
        def __init__(self, share, watched=(), name=None):
            self.share, self.watched, self.name = share, watched, name

    def run(epochs, patience, share, resume=None, file="run.npz", every=1):
        callbacks = [
            train.EarlyStopping("loss", patience=patience),
            Rate(share, watched=object()),
            train.Checkpoint(tmp_path / file, every=every),
        ]
        return train.fit(model(), (X, Y), epochs=epochs, callbacks=callbacks, resume=resume, verbose=0)

    run(1, 3, 0.5)
    path = tmp_path / "run.npz"
    with pytest.raises(ValueError, match=r"callbacks was .*'patience': 3, .*now .*'patience': 4, "):
        run(2, 4, 0.5, resume=path)
    with pytest.raises(ValueError, match=r"callbacks was .*'share': 0\.5, .*now .*'share': 0\.25"):
        run(2, 3, 0.25, resume=path)
    # Another place for the checkpoints, or other epochs between them, changes no bit of the fit.
    assert len(run(2, 3, 0.5, resume=path, file="elsewhere.npz", every=2).history["loss"]) == 2
