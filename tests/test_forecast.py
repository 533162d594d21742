"""The forecaster and the backtest: no look ahead, one batch equals one by one, files, covariates, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnfast
from rnnfast import train
from rnnfast.forecast import Backtest, Forecaster, Naive, Score, SeasonalNaive, backtest, last_origins, table
from rnnfast.forecast.features import WindowFeatures, window_inputs

SEASON, HORIZON, LENGTH = 7, 4, 10


def problem(steps: int = 400, columns: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A weekly rhythm, noise with memory, a flag that lifts it by 2, gaps; two covariates of each kind."""
    rng = np.random.default_rng(0)
    flag = (rng.random(steps + HORIZON) < 0.15).astype(float)
    noise = np.zeros((steps, columns))
    for t in range(1, steps):
        noise[t] = 0.8 * noise[t - 1] + 0.1 * rng.normal(size=columns)
    rhythm = np.sin(np.arange(steps) * 2 * np.pi / SEASON)[:, None] * (1 + np.arange(columns))
    series = 5 + rhythm + noise + 2 * flag[:steps, None]
    series[rng.integers(20, steps, size=6)] = np.nan
    past = rng.normal(size=(steps, 2))
    past[13, 0] = np.nan
    future = np.stack([flag, np.cos(np.arange(steps + HORIZON) * 2 * np.pi / SEASON)], axis=1)
    return series, past, future


def forecaster(**changes: Any) -> Forecaster:
    settings: dict[str, Any] = {
        "season": SEASON, "hidden_size": 8, "epochs": 3, "batch_size": 16, "seed": 1, "verbose": 0,
    }  # fmt: skip
    return Forecaster(changes.pop("model", "gru"), LENGTH, HORIZON, **settings | changes)


# --------------------------------------------------------------------------------------------------- features


def test_reference_is_the_mean_of_the_same_step_in_the_last_seasons() -> None:
    x = np.random.default_rng(1).normal(size=(60, 2))
    for horizon, skipped in ((4, 1), (7, 1), (8, 2), (15, 3)):
        features = WindowFeatures(horizon, season=7, season_count=3)
        reference = features.reference(x)
        assert features.first_row == 7 * skipped
        assert reference.shape == (60 + horizon, 2)
        assert np.isnan(reference[: features.first_row]).all()
        for t in range(features.first_row, 60 + horizon):
            there = [x[t - 7 * k] for k in range(skipped, skipped + 3) if t - 7 * k >= 0]
            np.testing.assert_allclose(reference[t], np.mean(there, axis=0), atol=1e-14)


@pytest.mark.parametrize("season", [None, SEASON])
def test_rows_depend_on_nothing_that_follows_them(season: int | None) -> None:
    series, past, future = problem()
    features = WindowFeatures(HORIZON, season=season, season_count=3)
    features.fit(series[:300], past[:300], future[:300])
    before = features.rows(series, past, future)
    assert before.features.shape[0] == 400
    rng = np.random.default_rng(2)
    for t in (37, 250):
        changed = [array.copy() for array in (series, past, future)]
        changed[0][t + 1 :] = rng.normal(size=changed[0][t + 1 :].shape)
        changed[1][t + 1 :] = rng.normal(size=changed[1][t + 1 :].shape)
        changed[2][t + 1 + HORIZON :] = rng.normal(size=changed[2][t + 1 + HORIZON :].shape)
        after = features.rows(*changed)
        np.testing.assert_array_equal(after.features[: t + 1], before.features[: t + 1])
        origins = np.array([t + 1])
        np.testing.assert_array_equal(features.base(after, origins), features.base(before, origins))
        # Each kind of input does reach the rows it should reach.
        assert (after.features[t + 1] != before.features[t + 1]).any()
        assert not np.array_equal(after.features[t + 1 :, -1], before.features[t + 1 :, -1]) or season is None


def test_what_a_row_holds() -> None:
    series, past, future = problem(columns=2)
    features = WindowFeatures(HORIZON, season=SEASON, season_count=3)
    features.fit(series, past, future)
    rows = features.rows(series, past, future)
    mean, std = np.nanmean(series, axis=0), np.nanstd(series, axis=0)
    t = 200
    assert np.isfinite(series[t]).all()
    expected = np.concatenate([
        (series[t] - rows.reference[t]) / std,
        (series[t] - mean) / std,
        (rows.reference[t + HORIZON] - mean) / std,
        (past[t] - np.nanmean(past, axis=0)) / np.nanstd(past, axis=0),
        future[t + HORIZON],
        [future[t + HORIZON, 0] - np.mean([future[t + HORIZON - SEASON * k, 0] for k in (1, 2, 3)])],
    ])  # fmt: skip
    np.testing.assert_allclose(rows.features[t], expected, rtol=0, atol=1e-12)


def test_windows_end_right_before_their_origin_and_targets_begin_there() -> None:
    series, past, future = problem()
    features = WindowFeatures(HORIZON, season=SEASON, season_count=3)
    features.fit(series, past, future)
    rows = features.rows(series, past, future)
    for origins in (np.array([50, 57, 64]), np.array([64, 50]), np.array([99])):
        inputs, targets, mask = features.windows(rows, origins, LENGTH, np.dtype(np.float64))
        for k, origin in enumerate(origins):
            np.testing.assert_array_equal(inputs[k], rows.features[origin - LENGTH : origin])
            truth = series[origin : origin + HORIZON, 0]
            np.testing.assert_array_equal(mask[k], ~np.isnan(truth))
            back = targets[k] * features.level.scale + features.base(rows, origins)[k, :, 0]
            np.testing.assert_allclose(back[mask[k]], truth[mask[k]], atol=1e-12)
    even = window_inputs(rows, np.arange(50, 90, 5), LENGTH, np.dtype(np.float64))
    assert np.shares_memory(even, window_inputs(rows, np.array([50]), LENGTH, np.dtype(np.float64))) is False
    assert even.base is not None


def test_flags_stay_flags_and_periodic_covariates_have_no_deviation() -> None:
    series, past, future = problem()
    features = WindowFeatures(HORIZON, season=SEASON, season_count=3)
    features.fit(series, past, future * [1.0, 1.0])
    np.testing.assert_array_equal(features.future.scale, [1.0, 1.0])
    assert features.deviating.tolist() == [True, False]
    features.fit(series, past, future * [1.0, 50.0])
    assert features.future.scale[1] == pytest.approx(50 * future[:400, 1].std(), rel=1e-12)


# ------------------------------------------------------------------------------------------- fitting,
# predicting


@pytest.mark.parametrize("model", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("columns", [1, 2])
def test_no_forecast_sees_what_follows_its_origin_and_a_batch_is_its_rows(model: str, columns: int) -> None:
    series, past, future = problem(columns=columns)
    method = forecaster(model=model).fit(series[:300], past=past, future=future)
    origins = np.array([310, 333, 390])
    together = method.predict(series, past=past, future=future, origins=origins)
    assert together.shape == (3, HORIZON, columns)
    assert np.isfinite(together).all()
    for k, origin in enumerate(origins):
        alone = method.predict(series[:origin], past=past[:origin], future=future[: origin + HORIZON])
        np.testing.assert_array_equal(together[k], alone)


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads_and_another_seed_does_not() -> None:
    series, past, future = problem()
    runs = []
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        rnnfast.set_num_threads(threads)
        runs.append(forecaster(seed=seed).fit(series, past=past, future=future).predict())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_the_network_learns_what_the_seasonal_mean_cannot_know() -> None:
    series, _, future = problem(800)
    origins = np.arange(600, 790)
    truth = series[origins[:, None] + np.arange(HORIZON), 0]
    errors = {}
    for name, known in (("with the flag", future), ("without", future[:, 1:])):
        method = forecaster(epochs=12, learning_rate=1e-2).fit(series[:600, 0], future=known)
        errors[name] = np.nanmean(np.abs(method.predict(series[:, 0], future=known, origins=origins) - truth))
    reference = np.nanmean(
        np.abs(SeasonalNaive(HORIZON, SEASON).predict(series[:, 0], origins=origins) - truth)
    )
    assert errors["with the flag"] < 0.3 < 0.45 < errors["without"] < reference


def test_missing_targets_are_not_trained_on() -> None:
    x = np.sin(np.arange(300) * 2 * np.pi / SEASON)
    holes = x.copy()
    holes[100:104] = np.nan
    method = forecaster(epochs=1).fit(holes)
    rows = method.features.rows(holes[:, None], np.empty((300, 0)), np.empty((304, 0)))
    _, _, mask = method.features.windows(rows, np.arange(90, 120), LENGTH, method.dtype)
    expected = ~np.isin(np.arange(90, 120)[:, None] + np.arange(HORIZON), np.arange(100, 104))
    np.testing.assert_array_equal(mask, expected)


def test_without_a_season_the_last_value_is_the_reference() -> None:
    x = 100.0 + np.arange(300.0)  # a ramp: every step ahead adds one, wherever the level is
    method = forecaster(season=None, epochs=30, learning_rate=1e-2).fit(x[:200])
    ahead = method.predict(x, origins=np.array([200, 290]))
    np.testing.assert_allclose(ahead[0] - x[199], np.arange(1, HORIZON + 1), atol=0.6)
    zero = forecaster(season=None, epochs=1).fit(x[:200])
    for parameter in zero.network.parameters():
        parameter.data[...] = 0.0
    np.testing.assert_array_equal(zero.predict(x[:200]), np.full(HORIZON, x[199]))


def test_with_a_zero_network_the_forecast_is_the_mean_of_the_last_seasons() -> None:
    x = np.random.default_rng(3).normal(size=200)
    method = forecaster(season_count=3, epochs=1).fit(x)
    for parameter in method.network.parameters():
        parameter.data[...] = 0.0
    expected = [np.mean([x[200 + h - SEASON * k] for k in (1, 2, 3)]) for h in range(HORIZON)]
    np.testing.assert_allclose(method.predict(), expected, atol=1e-13)


def test_validation_is_the_end_of_the_series_and_gives_no_scale() -> None:
    series, past, future = problem()
    held = {"valid": 60, "share": 0.15, "array": series[340:]}
    fitted = {
        name: forecaster().fit(
            series[:340] if name == "array" else series, past=past, future=future, valid=value
        )
        for name, value in held.items()
    }
    histories = [method.history.history["val_loss"] for method in fitted.values()]
    assert histories[0] == histories[1] == histories[2]
    alone = forecaster().fit(series[:340], past=past[:340], future=future[:340])
    np.testing.assert_array_equal(alone.features.level.scale, fitted["valid"].features.level.scale)
    assert alone.history.history["loss"] == fitted["valid"].history.history["loss"]
    stopped = forecaster(epochs=40, patience=1, learning_rate=0.5).fit(
        series, past=past, future=future, valid=60
    )
    assert len(stopped.history) < 40


def test_callbacks_hear_of_every_epoch() -> None:
    heard = []

    class Listener(train.Callback):
        def on_epoch_end(self, run: train.Run) -> None:
            heard.append(run.epoch)

    forecaster().fit(problem()[0], callbacks=[Listener()])
    assert heard == [1, 2, 3]


# ----------------------------------------------------------------------------------------------------
# continuing


def test_predicting_after_the_end_of_fit_and_after_loading(tmp_path: Path) -> None:
    series, past, future = problem()
    method = forecaster(num_layers=2, dropout=0.1).fit(series, past=past, future=future)
    expected = method.predict(series, past=past, future=future)
    np.testing.assert_array_equal(method.predict(), expected)
    np.testing.assert_array_equal(method.predict(future=future[400:]), expected)
    assert (method.predict(future=1.0 - future[400:]) != expected).any()
    method.save(tmp_path / "f.npz")
    loaded = rnnfast.load(tmp_path / "f.npz")
    assert isinstance(loaded, Forecaster)
    np.testing.assert_array_equal(loaded.predict(), expected)
    origins = np.array([300, 350])
    np.testing.assert_array_equal(
        loaded.predict(series, past=past, future=future, origins=origins),
        method.predict(series, past=past, future=future, origins=origins),
    )
    assert loaded.history.history == method.history.history
    assert (
        loaded.fit(series, past=past, future=future).history.history["loss"] == method.history.history["loss"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["f.npz"]


def test_shapes_follow_the_series() -> None:
    series, past, future = problem()
    flat = forecaster().fit(series[:, 0], past=past, future=future)
    assert flat.predict().shape == (HORIZON,)
    assert flat.predict(series[:, 0], past=past, future=future, origins=np.array([300, 310])).shape == (
        2,
        HORIZON,
    )
    column = forecaster().fit(series, past=past, future=future)
    assert column.predict().shape == (HORIZON, 1)
    np.testing.assert_array_equal(column.predict()[:, 0], flat.predict())


def test_errors() -> None:
    series, past, future = problem()
    with pytest.raises(ValueError, match='model must be "gru", "lstm" or "rnn", got \'cnn\''):
        Forecaster("cnn")
    with pytest.raises(ValueError, match="Forecaster: horizon must be at least 1, got 0"):
        Forecaster(horizon=0)
    with pytest.raises(RuntimeError, match="must be fitted first"):
        forecaster().predict(series)
    with pytest.raises(RuntimeError, match="must be fitted first"):
        forecaster().save("x.npz")
    with pytest.raises(
        ValueError, match=r"series must have at least 21 \(season, input, horizon\) steps, got 20"
    ):
        forecaster().fit(series[:20])
    with pytest.raises(ValueError, match="valid must have at least 4 steps, got 3"):
        forecaster().fit(series, valid=3)
    with pytest.raises(ValueError, match=r"past must have at least 400 steps \(as the series has\), got 399"):
        forecaster().fit(series, past=past[:399])
    with pytest.raises(ValueError, match="series must be finite or NaN"):
        forecaster().fit(np.where(np.isnan(series), np.inf, series))
    with pytest.raises(ValueError, match="future must be known at every step, got NaN"):
        forecaster().fit(series, future=np.full((400, 1), np.nan))
    method = forecaster().fit(series, past=past, future=future)
    with pytest.raises(ValueError, match="origins must come with a series"):
        method.predict(origins=np.array([3]))
    with pytest.raises(ValueError, match="past must have 2 columns as in fit, got 0"):
        method.predict(series, future=future)
    with pytest.raises(ValueError, match="series must have 1 columns as in fit, got 2"):
        method.predict(np.repeat(series, 2, axis=1), past=past, future=future)
    with pytest.raises(
        ValueError, match=r"future must have at least 404 steps \(to the end of the last horizon\)"
    ):
        method.predict(series, past=past, future=future[:403])
    with pytest.raises(ValueError, match=r"origins must lie in 17\.\.400"):
        method.predict(series, past=past, future=future, origins=np.array([16]))


# ------------------------------------------------------------------------------------------------------
# backtest


def test_backtest_scores_by_hand() -> None:
    x = np.array([1.0, 2.0, 4.0, 3.0, 5.0, np.nan, 6.0, 9.0])
    result = backtest({"naive": Naive(2), "week": SeasonalNaive(2, 2)}, x, 2, 2, season=2)
    assert result.origins.tolist() == [4, 6]
    naive, seasonal = result.scores()
    # Naive: 3 for (5, missing), then 5, filled from the step before, for (6, 9).
    # Seasonal: (4, 3), then (5, 3), filled from a season before.
    assert naive.mae == pytest.approx((2 + 1 + 4) / 3)
    assert seasonal.mae == pytest.approx((1 + 1 + 6) / 3)
    assert seasonal.rmse == pytest.approx(np.sqrt((1 + 1 + 36) / 3))
    assert (naive.relative, seasonal.relative) == (pytest.approx(7 / 8), 1.0)
    # Before the first origin the seasonal naive method was off by |4 - 1| and |3 - 2|.
    assert seasonal.mase == pytest.approx((8 / 3) / 2)


def test_backtest_fits_before_the_first_origin_only_and_refits_before_each() -> None:
    fitted = []

    class Spy(Naive):
        def fit(self, series: np.ndarray, **covariates: Any) -> Any:
            fitted.append(len(series))
            return super().fit(series, **covariates)

    x = np.random.default_rng(4).normal(size=40)
    result = backtest({"spy": Spy(3)}, x, 4, 3)
    assert fitted == [28]
    assert result.forecasts["spy"].shape == (4, 3, 1)
    already = Spy(3).fit(x[:10])
    backtest({"spy": already}, x, 4, 3)
    assert fitted == [28, 10]
    again = backtest({"spy": already}, x, 4, 3, refit=True)
    assert fitted == [28, 10, 28, 31, 34, 37]
    np.testing.assert_array_equal(again.forecasts["spy"], result.forecasts["spy"])


def test_backtest_of_a_network_in_one_batch_equals_origin_by_origin() -> None:
    series, past, future = problem()
    method = forecaster().fit(series[:300], past=past, future=future)
    whole = backtest({"gru": method}, series, 10, HORIZON, past=past, future=future)
    for k, origin in enumerate(whole.origins):
        one = backtest({"gru": method}, series, np.array([origin]), HORIZON, past=past, future=future)
        np.testing.assert_array_equal(one.forecasts["gru"][0], whole.forecasts["gru"][k])


def test_backtest_errors() -> None:
    x = np.arange(20.0)
    with pytest.raises(ValueError, match="method n must have horizon 3, got 2"):
        backtest({"n": Naive(2)}, x, 2, 3)
    with pytest.raises(ValueError, match="7 origins of 3 steps, 3 apart, must fit"):
        backtest({"n": Naive(3)}, x, 7, 3)
    with pytest.raises(ValueError, match="origins must ascend"):
        backtest({"n": Naive(3)}, x, np.array([5, 4]), 3)
    with pytest.raises(ValueError, match=r"origins must lie in 1\.\.17"):
        backtest({"n": Naive(3)}, x, np.array([18]), 3)
    assert last_origins(20, 3, 4, stride=2).tolist() == [12, 14, 16]


# --------------------------------------------------------------------------------------------- table and
# picture


def score(name: str, mae: float) -> Score:
    return Score(name, 0, mae, 2 * mae, float("nan"), 1.0, mae / 10, mae / 20, 0.5)


def test_the_table_has_naive_first_then_worst_to_best_and_says_who_won() -> None:
    scores = [score("gru", 5.0), score("naive", 8.0), score("drift", 9.0), score("week", 6.0)]
    lines = table.score_table(scores, networks=["gru"]).splitlines()
    assert [line.split()[0] for line in lines] == ["method", "naive", "drift", "week", "gru"]
    assert [("*" in line) for line in lines] == [False, False, False, False, True]
    assert len({len(line) for line in lines}) == 1
    assert "16.7 % below that of the best baseline, week" in table.verdict(scores, networks=["gru"])
    lost = [score("gru", 6.6), *scores[1:]]
    assert "a BASELINE, week" in table.verdict(lost, networks=["gru"])
    assert "10.0 % above" in table.verdict(lost, networks=["gru"])
    assert "week *" in table.score_table(lost, networks=["gru"])
    assert table.verdict(scores, networks=[]) == ""
    # The network that validation chose comes first, whichever won on the test.
    scores.append(score("lstm", 6.6))
    first, second = table.verdict(scores, networks=["gru", "lstm"], chosen="lstm").splitlines()
    assert first.startswith("Chosen on validation: the network lstm; its MAE is 10.0 % above that of")
    assert second.startswith("* best on the test: the network gru; its MAE is 16.7 % below that of")
    with pytest.raises(ValueError, match="chosen must be one of the networks gru, got 'lstm'"):
        table.verdict(scores, networks=["gru"], chosen="lstm")
    scores.pop()
    text = table.score_csv(scores, networks=["gru"], targets=["y"]).splitlines()
    assert text[0].startswith("target,method,kind,mae,rmse")
    assert text[1] == "y,naive,baseline,8.0,16.0,,1.0,0.8,0.4,0.500"
    assert text[-1].startswith("y,gru,network,5.0")


def test_the_picture_shows_truth_and_the_best_of_each_kind(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from rnnfast.forecast import plot_backtest

    x = np.random.default_rng(5).normal(size=60)
    x[55] = np.nan
    result = backtest({"naive": Naive(4), "seasonal naive 7": SeasonalNaive(4, 7)}, x, 5, 4, season=7)
    result.forecasts["gru"] = result.truth.copy()
    result.forecasts["gru"][np.isnan(result.truth)] = 0.0
    result.seconds["gru"] = 1.0
    time = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]").astype("datetime64[s]")
    figure = plot_backtest(result, time, networks=["gru"], name="y", source="somewhere")
    top = figure.axes[0]
    lines = {line.get_label(): line.get_ydata() for line in top.get_lines()}
    np.testing.assert_array_equal(lines["truth"], x[40:])
    np.testing.assert_array_equal(lines["gru"], x[40:44])
    assert [text.get_text() for text in top.get_legend().get_texts()][:3] == ["history", "truth", "gru"]
    assert figure.get_supxlabel() == "somewhere"
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_a_backtest_is_plain_data() -> None:
    result = backtest({"naive": Naive(2)}, np.arange(10.0), 2, 2)
    assert isinstance(result, Backtest)
    assert result.truth.shape == (2, 2, 1)
    assert result.training.shape == (6, 1)
    assert result.seconds["naive"] >= 0.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_length": 4.5}, TypeError, r"input_length must be an int, got 4\.5"),
        ({"horizon": True}, TypeError, r"horizon must be an int, got True"),
        ({"epochs": 0}, ValueError, r"epochs must be at least 1, got 0"),
        ({"hidden_size": -1}, ValueError, r"hidden_size must be at least 1, got -1"),
        ({"num_layers": 0}, ValueError, r"num_layers must be at least 1, got 0"),
        ({"batch_size": 0}, ValueError, r"batch_size must be at least 1, got 0"),
        ({"season": 2.5}, TypeError, r"season must be an int, got 2\.5"),
        ({"patience": 1.5}, TypeError, r"patience must be an int, got 1\.5"),
        ({"seed": -1}, ValueError, r"seed must be at least 0, got -1"),
        ({"dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\), got 1\.0"),
        ({"learning_rate": 0.0}, ValueError, r"learning_rate must be in \(0, inf\), got 0\.0"),
        ({"clip_norm": -1.0}, ValueError, r"clip_norm must be in \(0, inf\), got -1\.0"),
        ({"loss": "nope"}, ValueError, r"loss must be one of mse, mae, .*, got 'nope'"),
        ({"loss": abs}, TypeError, r"loss must be a name, got <built-in function abs>"),
        ({"dtype": np.int32}, TypeError, r"dtype must be float32 or float64, got int32"),
        ({"verbose": 3}, ValueError, r"verbose must be 0, 1 or 2, got 3"),
    ],
)
def test_a_forecaster_refuses_wrong_settings_when_it_is_made(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^Forecaster: {message}"):
        Forecaster(**arguments)


def test_nothing_is_seen_or_learned_before_the_first_value() -> None:
    x = np.concatenate([np.full(30, np.nan), np.sin(np.arange(60.0))])
    settings: dict[str, Any] = {"hidden_size": 2, "epochs": 2, "batch_size": 4, "verbose": 0}
    method = Forecaster("gru", 4, 2, **settings).fit(x)
    with pytest.raises(ValueError, match=r"Forecaster\.predict: origins must be at least 31, .* got 30"):
        method.predict(x, origins=np.array([30]))
    method.predict(x, origins=np.array([31]))
    # As many windows as without the gap but for the values that fill it: its length changes nothing.
    shorter = Forecaster("gru", 4, 2, **settings).fit(x[26:])
    np.testing.assert_array_equal(method.predict(x), shorter.predict(x))
    with pytest.raises(ValueError, match=r"series must have at least 33 .*steps, got 32"):
        Forecaster("gru", 4, 2, **settings).fit(x[:32])
    # A past covariate that begins late is at training's mean before, not at its first value.
    past = np.where(np.arange(90) < 50, np.nan, np.arange(90.0))[:, None]
    method.fit(x, past=past)
    other = past.copy()
    other[50:] += 1000.0
    origins = np.array([45, 50])
    before = method.predict(x, past=past, origins=origins)
    np.testing.assert_array_equal(before, method.predict(x, past=other, origins=origins))
    assert (before != method.predict(x, past=np.where(np.isnan(past), 99.0, past), origins=origins)).any()
