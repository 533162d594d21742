"""Baselines against their definitions as loops, against published numbers, and against looking ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnfast import data, forecast
from rnnfast.forecast import (
    Drift,
    LinearAR,
    MovingAverage,
    Naive,
    SeasonalMean,
    SeasonalNaive,
    WeightedMovingAverage,
)

HORIZON = 5
ORIGINS = np.array([40, 41, 57, 60])
Definition = Callable[[np.ndarray, int, int], float]

# name → method, and the forecast of step h from origin o as its textbook formula reads.
DEFINITIONS: dict[str, tuple[Any, Definition]] = {
    "naive": (Naive(HORIZON), lambda x, o, h: x[o - 1]),
    "seasonal naive 7": (SeasonalNaive(HORIZON, 7), lambda x, o, h: x[o + h - 7]),
    "seasonal naive 3": (SeasonalNaive(HORIZON, 3), lambda x, o, h: x[o + h % 3 - 3]),
    "drift": (Drift(HORIZON), lambda x, o, h: x[o - 1] + (h + 1) * (x[o - 1] - x[0]) / (o - 1)),
    "moving average": (MovingAverage(HORIZON, 4), lambda x, o, h: sum(x[o - i] for i in (1, 2, 3, 4)) / 4),
    "weighted": (
        WeightedMovingAverage(HORIZON, 3),
        lambda x, o, h: (3 * x[o - 1] + 2 * x[o - 2] + x[o - 3]) / 6,
    ),
    "seasonal mean": (
        SeasonalMean(HORIZON, 7, 3),
        lambda x, o, h: sum(x[o + h - 7 * k] for k in (1, 2, 3)) / 3,
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions(name: str) -> None:
    method, formula = DEFINITIONS[name]
    x = np.random.default_rng(0).normal(size=60)
    expected = [[formula(x, o, h) for h in range(HORIZON)] for o in ORIGINS]
    np.testing.assert_allclose(method.predict(x, origins=ORIGINS), expected, rtol=0, atol=1e-14)
    both = method.predict(np.stack([x, -x], axis=1), origins=ORIGINS)
    np.testing.assert_allclose(both[..., 1], -np.asarray(expected), rtol=0, atol=1e-14)
    # Without origins: from the end of the series, the series of fit or the one that is given.
    np.testing.assert_array_equal(method.fit(x).predict(), method.predict(x, origins=np.array([60]))[0])


def learned() -> dict[str, Any]:
    return {
        "linear": LinearAR(HORIZON, 10, season=7),
        "linear, penalty given": LinearAR(HORIZON, 10, penalty=0.0, stride=2),
    }


@pytest.mark.parametrize("name", [*DEFINITIONS, *learned()])
def test_no_method_sees_what_follows_its_origin(name: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=120)
    x[rng.random(120) < 0.1] = np.nan
    x[0] = 1.0
    future = rng.normal(size=(140, 2))
    method = (DEFINITIONS | {key: (value, None) for key, value in learned().items()})[name][0]
    method.fit(x[:100], future=future)
    before = method.predict(x, future=future, origins=np.array([100]))
    changed, later = x.copy(), future.copy()
    changed[100:] = 1e6
    later[100 + HORIZON :] = 1e6
    np.testing.assert_array_equal(method.predict(changed, future=later, origins=np.array([100])), before)
    assert np.isfinite(before).all()


def test_several_origins_at_once_are_each_alone() -> None:
    x = np.random.default_rng(2).normal(size=120)
    for method in (*(method for method, _ in DEFINITIONS.values()), LinearAR(HORIZON, 10).fit(x[:100])):
        together = method.predict(x, origins=np.array([100, 107, 115]))
        for row, origin in zip(together, (100, 107, 115), strict=True):
            alone = method.predict(x, origins=np.array([origin]))[0]
            np.testing.assert_allclose(row, alone, rtol=0, atol=1e-12)


def test_linear_finds_an_autoregression_and_the_effect_of_a_covariate() -> None:
    rng = np.random.default_rng(3)
    flag = (rng.random(600) < 0.2).astype(float)
    x = np.zeros(600)
    for t in range(2, 600):
        x[t] = 1.2 * x[t - 1] - 0.5 * x[t - 2] + 3.0 * flag[t] + 0.01 * rng.normal()
    origins = np.arange(500, 590)
    method = LinearAR(1, 2, penalty=1e-6).fit(x[:500], future=flag[:, None])
    error = method.predict(x, future=flag[:, None], origins=origins)[:, 0] - x[origins]
    assert np.abs(error).mean() < 0.012
    without = LinearAR(1, 2, penalty=1e-6).fit(x[:500]).predict(x, origins=origins)[:, 0] - x[origins]
    assert np.abs(without).mean() > 0.5


def test_linear_penalises_the_coefficients_but_not_the_level() -> None:
    x = 1000.0 + np.random.default_rng(4).normal(size=300)
    method = LinearAR(2, 5, penalty=1e12).fit(x)
    np.testing.assert_allclose(method.predict(), x.mean(), atol=0.05)


def test_linear_leaves_missing_targets_out() -> None:
    x = np.sin(np.arange(300) * 2 * np.pi / 12)
    holes = x.copy()
    holes[50:290:40] = np.nan  # filled with the value before, which is no sine
    origins = np.array([297])
    errors = [
        np.abs(LinearAR(3, 1, penalty=0.0, season=1).fit(y, future=np.stack([x, np.cos(x)], 1)).predict(
            x, future=np.stack([x, np.cos(x)], 1), origins=origins) - x[297:300]).max()
        for y in (x, holes)
    ]  # fmt: skip
    assert max(errors) < 1e-9


def test_linear_chooses_a_penalty_that_fits() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=400)  # nothing to be learned: the largest penalty is best
    free, chosen = LinearAR(1, 100, penalty=1.0), LinearAR(1, 100)
    origins = np.arange(300, 399)
    errors = [
        np.abs(m.fit(noise[:300]).predict(noise, origins=origins)[:, 0] - noise[origins]).mean()
        for m in (free, chosen)
    ]
    assert errors[1] < errors[0]


def test_published_numbers_of_the_embedded_data_set() -> None:
    """MAE of 56 midnight origins; the published ones filled and scored the four missing hours as well."""
    volume = data.load_i94_traffic()["traffic_volume"]
    methods = {
        "naive": Naive(24),
        "day": SeasonalNaive(24, 24),
        "week": SeasonalNaive(24, 168),
        "four weeks": SeasonalMean(24, 168, 4),
    }
    result = forecast.backtest(methods, volume, 56, 24, season=168)
    errors = {score.method: score.mae for score in result.scores()}
    published = {"naive": 2319.8, "day": 489.9, "week": 235.7, "four weeks": 198.8}
    assert errors == pytest.approx(published, rel=5e-3)
    lags = {lag: SeasonalNaive(lag, lag) for lag in (24, 168)}
    long = np.arange(volume.size - 90 * 24, volume.size, 168)[:-1]
    for lag, expected in ((24, 501.9), (168, 261.8)):
        origins = long if lag == 168 else np.arange(volume.size - 90 * 24, volume.size, 24)
        truth = volume[origins[:, None] + np.arange(lag)]
        error = forecast.mae(truth, lags[lag].predict(volume, origins=origins))
        assert error == pytest.approx(expected, rel=2e-2)


def test_errors() -> None:
    x = np.arange(30.0)
    with pytest.raises(ValueError, match="SeasonalNaive: season must be at least 1, got 0"):
        SeasonalNaive(3, 0)
    with pytest.raises(ValueError, match="Naive: horizon must be at least 1, got 0"):
        Naive(0)
    with pytest.raises(ValueError, match="window must be at least 1"):
        WeightedMovingAverage(3, 0)
    with pytest.raises(ValueError, match="LinearAR: lags must be at least 1"):
        LinearAR(3, 0)
    with pytest.raises(ValueError, match=r"origins must lie in 21\.\.30 .* got 20\.\.25"):
        SeasonalMean(3, 7, 3).predict(x, origins=np.array([20, 25]))
    with pytest.raises(ValueError, match="origins must be integers"):
        Naive(3).predict(x, origins=np.array([20.0]))
    with pytest.raises(RuntimeError, match="call fit"):
        Naive(3).predict()
    with pytest.raises(RuntimeError, match="must be fitted first"):
        LinearAR(3, 2).predict(x)
    with pytest.raises(ValueError, match=r"at least two windows of lags \+ horizon = 30 steps"):
        LinearAR(10, 20).fit(x)
    with pytest.raises(ValueError, match=r"future must have at least 33 steps .* got 30"):
        LinearAR(3, 2).fit(x, future=x).predict()
    with pytest.raises(ValueError, match="future must be known at every step, got NaN"):
        LinearAR(3, 2).fit(x, future=np.full(30, np.nan))
    with pytest.raises(TypeError, match="series must be an array of real numbers"):
        Naive(3).predict(np.array(["a", "b"]))
    with pytest.raises(ValueError, match="series must be finite or NaN"):
        Naive(3).predict(np.array([1.0, np.inf]))


@pytest.mark.parametrize("kind", ["ets", "sarima"])
def test_statsmodels_methods_follow_a_season_and_see_nothing_ahead(kind: str) -> None:
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(6)
    x = 10.0 + np.tile([0.0, 3.0, 1.0, -2.0], 30) + 0.1 * rng.normal(size=120)
    methods = {"ets": forecast.ETS(4, season=4), "sarima": forecast.Sarima(4, season=4)}
    method = methods[kind].fit(x[:60])
    origins = np.array([80, 99])
    ahead = method.predict(x, origins=origins)
    np.testing.assert_allclose(ahead, x[origins[:, None] + np.arange(4)], atol=0.5)
    changed = x.copy()
    changed[99:] = 1e6
    np.testing.assert_array_equal(method.predict(changed, origins=origins), ahead)


def test_origins_before_the_first_value_are_refused() -> None:
    """The gap before the first value is filled with it, and would show it to origins within the gap."""
    x = np.array([np.nan, np.nan, np.nan, 7.0, 8.0, 9.0])
    rule = r"origins must be at least 4, after the first value of every column of series, got"
    for method in (Naive(1), Drift(1), MovingAverage(1, 2), SeasonalNaive(1, 2), SeasonalMean(1, 1, 2)):
        name = type(method).__name__
        with pytest.raises(ValueError, match=rf"{name}\.predict: {rule} 3"):
            method.predict(x, origins=np.array([3, 5]))
        method.predict(x, origins=np.array([4, 5]))
    assert Naive(1).predict(x, origins=np.array([4, 5])).tolist() == [[7.0], [8.0]]
    both = np.stack([x, np.arange(6.0)], axis=1)
    with pytest.raises(ValueError, match=rf"{rule} 1"):
        Naive(1).predict(both, origins=np.array([1]))
    ridge = LinearAR(1, 2, penalty=1.0)
    series = np.concatenate([np.full(20, np.nan), np.sin(np.arange(60.0))])
    with pytest.raises(ValueError, match=r"LinearAR\.predict: origins must be at least 21"):
        ridge.fit(series).predict(series, origins=np.array([20]))
    # What it learns does not depend on how long the gap was: no window begins within it.
    shorter = LinearAR(1, 2, penalty=1.0).fit(series[19:])
    np.testing.assert_allclose(ridge.predict(), shorter.predict(), rtol=1e-12)
