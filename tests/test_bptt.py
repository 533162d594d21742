"""fit(…, bptt=k): what a piece's step is made from, what is carried, what is measured, what is refused."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from rnnfast import losses, models, nn, optim, train
from rnnfast.train.pieces import TruncatedSequences

RNG = np.random.default_rng(21)
STEPS = 11
X = RNG.normal(size=(9, STEPS, 3))
Y = RNG.normal(size=(9, STEPS, 2))
LAST = RNG.normal(size=(9, 2))
MASK = RNG.random((9, STEPS)) < 0.7


def make(kind=models.Seq2Seq, cell="gru", **options):
    return kind(3, 5, 2, 2, cell=cell, **{"dtype": np.float64, "seed": 3, **options})


def fit(model, data, **options):
    return train.fit(model, data, **{"verbose": 0, "shuffle": False, **options})


def parameters(model):
    return np.concatenate([parameter.value.ravel() for parameter in model.parameters()])


def without_seconds(history):
    return {name: values for name, values in history.history.items() if name != "seconds"}


def as_parts(state):
    return state if isinstance(state, tuple) else (state,)


class Batches(train.Callback):
    """Records the steps done and the loss at the end of every batch."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, run, loss):
        self.seen.append((run.step, loss))


def recorded(kind, calls, **options):
    """A model that notes the length, the mode and the presence of a state of every piece."""

    class Recorded(kind):
        def forward(self, x, *, training=True):
            raise AssertionError("pieces are run by forward_piece")

        def forward_piece(self, x, state=None, *, training=True):
            calls.append((x.shape[1], training, state is not None))
            return super().forward_piece(x, state, training=training)

    return make(Recorded, **options)


def by_hand(model, data, *, length, batch_size, clip_norm, epochs):
    """The loop of the docstring on the layers themselves: the state goes on, no gradient comes back."""
    x, y, mask = data
    buffer, optimizer, loss = model.flatten(), optim.SGD(0.3, momentum=0.9), losses.MSE()
    means = []
    for _ in range(epochs):
        total = count = 0.0
        for row in range(0, len(x), batch_size):
            rows, state = slice(row, row + batch_size), None
            for start in range(0, STEPS, length):
                window = (rows, slice(start, start + length))
                hidden, state, layer_tape = model.recurrent.forward(x[window], state)
                prediction, head_tape = model.head.forward(hidden)
                kept = None if mask is None else mask[window]
                value, slope = loss(prediction, y[window], kept)
                model.zero_grad()
                dhidden = model.head.backward(head_tape, slope)
                model.recurrent.backward(layer_tape, dhidden, None)
                norm = float(np.sqrt((buffer.grad**2).sum()))
                optimizer.step(buffer, grad_scale=min(1.0, clip_norm / (norm + 1e-6)))
                weight = y[window].size if kept is None else 2 * kept.sum()
                total, count = total + value * weight, count + weight
        means.append(total / count)
    return means


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_fit_is_the_loop_it_says(cell, mask):
    assert_loop({"cell": cell}, mask)


@pytest.mark.parametrize("options", [
    {"cell": "lstm", "proj_size": 3, "layer_norm": "split", "peephole": True},
    {"cell": "lstm", "zoneout": (0.2, 0.3), "trainable_state": True, "recompute": 2},
    {"cell": "gru", "recurrent_dropout": 0.3, "input_dropout": 0.2, "weight_dropout": 0.2, "dropout": 0.1},
    {"cell": "rnn", "layer_norm": "joint", "state_gradient_bound": 0.01, "trainable_state": True},
], ids=lambda options: ",".join(options))  # fmt: skip
def test_fit_with_options_is_the_loop_it_says(options):
    assert_loop(options, None)


def assert_loop(options, mask):
    expected, model = make(**options), make(**options)
    before = parameters(model)
    setup = {"batch_size": 4, "clip_norm": 0.2, "epochs": 2}
    means = by_hand(expected, (X, Y, mask), length=4, **setup)
    data = (X, Y) if mask is None else (X, Y, mask)
    history = fit(model, data, bptt=4, optimizer=optim.SGD(0.3, momentum=0.9), **setup)
    assert np.abs(parameters(model) - before).max() > 0.01
    np.testing.assert_allclose(parameters(model), parameters(expected), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(history.history["loss"], means, rtol=1e-12)


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_gradient_of_a_piece_holds_its_state_constant(cell, kind):
    model = make(kind, cell)
    buffer = model.flatten()
    buffer.data[...] += 0.1 * RNG.normal(size=buffer.data.shape)
    buffer.version += 1
    state = model.forward_piece(X[:, :6], None, training=False)[1]
    target = Y[:, 6:] if kind is models.Seq2Seq else LAST

    def value():
        return losses.MSE()(model.forward_piece(X[:, 6:], state, training=False)[0], target)

    y, _, tape = model.forward_piece(X[:, 6:], state, training=True)
    model.zero_grad()
    dx = model.backward(tape, losses.MSE()(y, target)[1])
    assert dx.shape == X[:, 6:].shape
    gradient, middle, step = buffer.grad.copy(), buffer.data.copy(), 1e-6
    for _ in range(3):
        direction = RNG.normal(size=middle.shape)
        ends = []
        for sign in (1, -1):
            buffer.data[...] = middle + sign * step * direction
            buffer.version += 1
            ends.append(value()[0])
        expected = (ends[0] - ends[1]) / (2 * step)
        assert abs(expected) > 1e-4
        assert gradient @ direction == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_pieces_give_the_bits_of_the_whole(cell, kind):
    model, state, parts = make(kind, cell, dtype=np.float32), None, []
    x = X.astype(np.float32)
    for start in range(0, STEPS, 4):
        y, state, tape = model.forward_piece(x[:, start : start + 4], state, training=False)
        assert tape is None
        parts.append(y)
    whole = np.concatenate(parts, 1) if kind is models.Seq2Seq else parts[-1]
    np.testing.assert_array_equal(whole, model(x))
    for part, expected in zip(as_parts(state), as_parts(model.recurrent(x)[1]), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("length", [STEPS, STEPS + 1, np.int64(10**9)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_pieces_as_long_as_the_sequences_change_no_bit(cell, kind, masked, length):
    x = X.astype(np.float32)
    y = (Y if kind is models.Seq2Seq else LAST).astype(np.float32)
    mask = MASK if kind is models.Seq2Seq else MASK[:, 0]
    mask = mask.copy()
    mask[4:8] = False  # a batch without evidence draws no dropout mask and makes no step
    data = (x, y, mask) if masked else (x, y)
    outcomes = []
    for bptt in (None, length):
        model, optimizer, batches = (
            make(kind, cell, dtype=np.float32, dropout=0.3),
            optim.Adam(0.01),
            Batches(),
        )
        history = fit(model, data, bptt=bptt, optimizer=optimizer, epochs=3, batch_size=4, shuffle=True,
                      validation=(x, y), metrics=("mae", "rmse"), callbacks=(batches,))  # fmt: skip
        outcomes.append((parameters(model), model.random_state(), optimizer.state_dict(), batches.seen,
                         without_seconds(history)))  # fmt: skip
    np.testing.assert_equal(outcomes[1], outcomes[0])


@pytest.mark.parametrize(("length", "pieces"), [(1, 11), (4, 3), (5, 3), (10, 2), (11, 1)])
def test_one_step_per_piece_one_call_per_batch(length, pieces):
    batches = Batches()
    fit(make(), (X, Y), bptt=length, batch_size=4, epochs=2, callbacks=(batches,))
    assert [steps for steps, _ in batches.seen] == [pieces * (batch + 1) for batch in range(6)]


def test_the_loss_of_a_batch_of_one_piece_is_not_rounded():
    values = RNG.random(200)
    for bptt in (None, STEPS):
        batches, scripted = Batches(), iter(values)
        data = [(X, Y)] * len(values)
        fit(make(), data, bptt=bptt, epochs=1, loss=lambda p, t, s=scripted: (next(s), np.zeros_like(p)),
            callbacks=(batches,))  # fmt: skip
        assert [loss for _, loss in batches.seen] == values.tolist()


@pytest.mark.parametrize("mask", [None, MASK, MASK[:, :1], MASK[:, 0], RNG.random(Y.shape) < 0.5],
                         ids=["none", "(N, T)", "(N, 1)", "(N,)", "(N, T, O)"])  # fmt: skip
def test_means_are_over_the_elements_of_all_pieces(mask):
    """The state is carried, so that with parameters that stay the pieces measure what the whole does."""
    model, batches = make(cell="lstm"), Batches()
    data = (X, Y) if mask is None else (X, Y, mask)
    history = fit(model, data, bptt=4, batch_size=9, epochs=1, metrics=("mae", "rmse"),
                  optimizer=optim.SGD(1e-300), callbacks=(batches,))  # fmt: skip
    expected = train.evaluate(model, data, metrics=("mae", "rmse"))
    assert {name: history.history[name][0] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert [loss for _, loss in batches.seen] == [pytest.approx(expected["loss"], rel=1e-12)]


def test_pieces_without_a_target_carry_the_state_and_make_no_step():
    calls, batches = [], Batches()
    mask = np.zeros((9, STEPS), bool)
    mask[2, 3:5] = mask[5, 8] = True  # in the pieces 1, 2 and 4 of 0..5
    model = recorded(models.Seq2Seq, calls)
    history = fit(model, (X, Y, mask), bptt=2, batch_size=9, epochs=1, optimizer=optim.SGD(1e-300),
                  callbacks=(batches,))  # fmt: skip
    assert calls == [(2, False, False), (2, True, True), (2, True, True), (2, False, True), (2, True, True)]
    assert [steps for steps, _ in batches.seen] == [3]
    assert history.history["loss"] == [pytest.approx(train.evaluate(make(), (X, Y, mask))["loss"], rel=1e-12)]


@pytest.mark.parametrize(
    ("length", "lengths"),
    [(4, [3, 4, 4]), (3, [2, 3, 3, 3]), (5, [1, 5, 5]), (10, [1, 10]), (11, [11]), (1, [1] * 11)],
)
def test_sequence_to_vector_is_trained_on_its_last_steps_in_full(length, lengths):
    calls, batches = [], Batches()
    fit(recorded(models.Seq2Vec, calls), (X, LAST), bptt=length, batch_size=9, epochs=1, callbacks=(batches,))
    last = len(lengths) - 1
    assert calls == [(steps, place == last, place > 0) for place, steps in enumerate(lengths)]
    assert [steps for steps, _ in batches.seen] == [1]


def test_sequence_to_vector_step_by_hand(cell):
    expected, model = make(models.Seq2Vec, cell), make(models.Seq2Vec, cell)
    state = expected.recurrent(X[:, :-4])[1]
    _, final, layer_tape = expected.recurrent.forward(X[:, -4:], state)
    prediction, head_tape = expected.head.forward(as_parts(final)[0][-1])
    value, slope = losses.MSE()(prediction, LAST)
    dstate = [np.zeros_like(part) for part in as_parts(final)]
    dstate[0][-1] = expected.head.backward(head_tape, slope)
    expected.recurrent.backward(layer_tape, None, dstate[0] if len(dstate) == 1 else tuple(dstate))
    optim.SGD(0.5).step(expected.flatten())
    history = fit(model, (X, LAST), bptt=4, batch_size=9, epochs=1, optimizer=optim.SGD(0.5), clip_norm=None)
    np.testing.assert_allclose(parameters(model), parameters(expected), rtol=1e-12, atol=1e-14)
    assert history.history["loss"] == [pytest.approx(value, rel=1e-13)]
    whole = make(models.Seq2Vec, cell)
    fit(whole, (X, LAST), batch_size=9, epochs=1, optimizer=optim.SGD(0.5), clip_norm=None)
    assert not np.allclose(parameters(model), parameters(whole), rtol=1e-6)


def test_every_piece_in_training_draws_its_own_masks():
    for kind, y, draws in ((models.Seq2Seq, Y, 3), (models.Seq2Vec, LAST, 1)):
        model = make(kind, dropout=0.5)
        fit(model, (X, y), bptt=4, batch_size=9, epochs=2)
        assert model.random_state()["recurrent.counter.call"] == 2 * draws


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_memory_is_that_of_one_piece(kind):
    def peak(steps, bptt):
        x = np.zeros((2, steps, 3), np.float32)
        y = np.zeros((2, steps, 2) if kind is models.Seq2Seq else (2, 2), np.float32)
        model = kind(3, 32, 2, cell="lstm", seed=0)
        setup = {"bptt": bptt, "epochs": 1, "loss": "mse"}
        fit(model, [(x[:, :20], y[:, :20] if kind is models.Seq2Seq else y)], **setup)  # what is made once
        tracemalloc.start()
        fit(model, [(x, y)], **setup)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    short, long, whole = peak(200, 20), peak(2000, 20), peak(2000, None)
    assert long < 1.5 * short  # ten times the steps, ten times the pieces
    assert long < whole / 10


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_one_tape_is_open_at_a_time(kind):
    tapes = []

    class Taped(kind):
        def forward_piece(self, x, state=None, *, training=True):
            assert all(tape._contents is None for tape in tapes)
            y, state, tape = super().forward_piece(x, state, training=training)
            tapes.extend([tape] if training else [])
            return y, state, tape

    fit(make(Taped), (X, Y if kind is models.Seq2Seq else LAST), bptt=2, batch_size=9, epochs=2)
    assert len(tapes) == (12 if kind is models.Seq2Seq else 2)


def test_resume_gives_the_bits_of_a_whole_fit(tmp_path):
    path = tmp_path / "run.npz"

    def run(epochs, bptt=4, resume=None):
        model = make(dtype=np.float32, dropout=0.3)
        data = (X.astype(np.float32), Y.astype(np.float32), MASK)
        history = fit(model, data, bptt=bptt, epochs=epochs, batch_size=4, shuffle=True, resume=resume,
                      callbacks=(train.Checkpoint(path),))  # fmt: skip
        return parameters(model), without_seconds(history)

    whole = run(4)
    run(2)
    np.testing.assert_equal(run(4, resume=path), whole)
    for other in (5, None):
        with pytest.raises(ValueError, match=rf"bptt was 4, now {other}; pass bptt=4, or leave resume out"):
            run(6, bptt=other, resume=path)


def test_a_piece_whose_loss_is_not_finite_is_named():
    model, expected = make(), make()
    y = Y.copy()
    y[3, 6, 1] = np.inf
    options = {"bptt": 4, "epochs": 1, "optimizer": "sgd"}
    text = (
        r"the loss is inf in steps 4 to 7 of the sequences at epoch 1, step 2 .*"
        r"the batch's Y holds 1 infinite, the first at index \(3, 6, 1\); the parameters are those before"
    )
    with pytest.raises(train.NonFiniteError, match=text):
        fit(model, [(X, y)], **options)
    fit(expected, [(X[:, :4], Y[:, :4])], **options)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


def test_a_long_memory_task_is_learnt(cell):
    """y_t = x_{t-2}: at the start of every piece that is known from the carried state alone."""
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(8, 240, 1)).astype(np.float32)
    y = np.concatenate([np.zeros_like(x[:, :2]), x[:, :-2]], 1)
    model = models.Seq2Seq(1, 16, 1, 2, cell=cell, seed=0)
    history = fit(model, (x, y), bptt=12, epochs=15, batch_size=4, optimizer=optim.Adam(1e-2))
    assert history.history["loss"][-1] < 0.05 * history.history["loss"][0]
    starts = np.zeros(x.shape[:2], bool)
    starts[:, 12::12] = True
    assert train.evaluate(model, (x, y, starts))["loss"] < 0.1
    vector = models.Seq2Vec(1, 16, 1, 2, cell=cell, seed=0)
    windows = np.lib.stride_tricks.sliding_window_view(x[0, :, 0], 40)[..., None]
    history = fit(vector, (windows, windows[:, -3]), bptt=12, epochs=15, batch_size=16,
                  optimizer=optim.Adam(1e-2))  # fmt: skip
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]


class Smoother(nn.Linear):
    """A module of the caller's own that runs in pieces: y_t = W (s_{t-1} + x_t) with s the sum of x."""

    outputs = "steps"

    def piece_outputs(self):
        return self.outputs

    def forward_piece(self, x, state=None, *, training=True):
        total = x.cumsum(1) + (0.0 if state is None else state)
        y, tape = super().forward(total, training=training)
        return y, total[:, -1:], tape


def test_a_module_of_the_callers_own():
    model = Smoother(3, 2, dtype=np.float64, seed=0)
    assert isinstance(model, train.RunsInPieces)
    history = fit(model, (X, Y), bptt=4, epochs=1, batch_size=9, optimizer=optim.SGD(1e-300))
    difference = X.cumsum(1) @ model.weight.value.T + model.bias.value - Y
    assert history.history["loss"] == [pytest.approx((difference**2).mean(), rel=1e-12)]
    model.outputs = "middle"
    with pytest.raises(ValueError, match=r"Smoother.piece_outputs must return 'steps' or 'last', got 'mid"):
        fit(model, (X, Y), bptt=4)


class Begun(train.Callback):
    """Fails where a fit has begun that should have been refused."""

    def on_fit_begin(self, run):
        raise AssertionError("the fit began")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.Sequential(nn.GRU(3, 4, seed=0), nn.Linear(4, 2, seed=0)), "Sequential"),
        (nn.Linear(3, 2, seed=0), "Linear"),
        (nn.LSTM(3, 2, seed=0), "LSTM"),
    ],
)
def test_modules_that_do_not_run_in_pieces_are_refused(model, name):
    text = rf"^train.fit: bptt must be None for a module without forward_piece, got bptt=4 for {name}; use .*"
    with pytest.raises(TypeError, match=text):
        fit(model, (X.astype(np.float32), Y.astype(np.float32)), bptt=4, callbacks=(Begun(),))


@pytest.mark.parametrize("kind", [models.Seq2Seq, models.Seq2Vec])
def test_two_directions_are_refused(kind):
    model = make(kind, bidirectional=True)
    rule = r"bidirectional must be False to run in pieces, as the second direction starts at the last step"
    with pytest.raises(ValueError, match=rf"{kind.__name__}.piece_outputs: {rule}"):
        fit(model, (X, Y if kind is models.Seq2Seq else LAST), bptt=4, callbacks=(Begun(),))
    with pytest.raises(ValueError, match=rf"{kind.__name__}.forward_piece: {rule}"):
        model.forward_piece(X)


@pytest.mark.parametrize(("bptt", "error", "rule"), [
    (0, ValueError, "must be 1 or more, got 0"), (-3, ValueError, "must be 1 or more, got -3"),
    (4.0, TypeError, "must be an int, got 4.0"), (True, TypeError, "must be an int, got True"),
    ("4", TypeError, "must be an int, got '4'"),
])  # fmt: skip
def test_lengths_that_are_refused(bptt, error, rule):
    with pytest.raises(error, match=rf"train.fit: bptt {rule}"):
        fit(make(), (X, Y), bptt=bptt, callbacks=(Begun(),))


def test_data_that_cannot_be_cut_is_refused():
    with pytest.raises(
        ValueError, match=r"x must have shape \(N, T, …\) to be cut .* bptt=4 steps, got \(9,\)"
    ):
        fit(make(), (X[:, 0, 0], Y), bptt=4)
    rule = r"y must have a target per step, \(N, T, …\) = \(9, 11, …\), to be cut into pieces of bptt=4 steps"
    for y in (Y[:, :5], LAST, LAST[:, 0]):
        with pytest.raises(ValueError, match=rule):
            fit(make(), (X, y), bptt=4)
    with pytest.raises(ValueError, match=r"mask must have the leading axes of \(9, 11, 2\)"):
        fit(make(), [(X, Y, MASK[:, :5])], bptt=4)


@pytest.mark.parametrize("outputs", ["steps", "last"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 11, 12])
def test_pieces_cover_the_sequences_once(length, outputs):
    for steps in range(1, 12):
        y = Y[:, :steps] if outputs == "steps" else LAST
        seen = []

        class Recorder:
            def forward_piece(self, x, state, *, training, seen=seen):
                seen.append(x)
                return None, None, None

        sequences = TruncatedSequences(Recorder(), length, outputs)
        for piece in sequences.pieces((X[:, :steps], y, None)):
            sequences.forward(piece.x)
            assert piece.weight == piece.y.size
        np.testing.assert_array_equal(np.concatenate(seen, 1), X[:, :steps])
        assert all(0 < part.shape[1] <= length for part in seen)


def test_empty_sequences():
    model = make(models.Seq2Vec)
    history = fit(model, (X[:, :0], LAST), bptt=4, epochs=1)
    whole = make(models.Seq2Vec)
    assert history.history["loss"] == fit(whole, (X[:, :0], LAST), epochs=1).history["loss"]
    np.testing.assert_array_equal(parameters(model), parameters(whole))
    with pytest.raises(ValueError, match=r"data must give at least one batch with elements that count"):
        fit(make(), [(X[:, :0], Y[:, :0])], bptt=4)
