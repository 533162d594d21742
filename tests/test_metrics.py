"""Metrics of forecasts against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast.forecast import mae, mape, mase, pinball, rmse, smape

TRUTH = np.array([[1.0, 2.0, np.nan], [4.0, -5.0, 10.0]])
FORECAST = np.array([[2.0, 2.0, 7.0], [1.0, -4.0, 12.0]])


def test_values_by_hand() -> None:
    assert mae(TRUTH, FORECAST) == pytest.approx((1 + 0 + 3 + 1 + 2) / 5, rel=1e-15)
    assert rmse(TRUTH, FORECAST) == pytest.approx(np.sqrt((1 + 0 + 9 + 1 + 4) / 5), rel=1e-15)
    assert mape(TRUTH, FORECAST) == pytest.approx(100 * (1 + 0 + 3 / 4 + 1 / 5 + 2 / 10) / 5, rel=1e-15)
    assert smape(TRUTH, FORECAST) == pytest.approx(200 * (1 / 3 + 0 + 3 / 5 + 1 / 9 + 2 / 22) / 5, rel=1e-15)


def test_pinball_by_hand() -> None:
    # y - f = -1, 0, 3, -1, -2: q times what is above, 1 - q times what is below.
    assert pinball(TRUTH, FORECAST, 0.9) == pytest.approx((0.1 + 0 + 2.7 + 0.1 + 0.2) / 5, rel=1e-15)
    assert pinball(TRUTH, FORECAST, 0.5) == pytest.approx(mae(TRUTH, FORECAST) / 2, rel=1e-15)


def test_mase_by_hand() -> None:
    training = np.array([1.0, 2.0, 4.0, np.nan, 9.0, 5.0])
    # Season 2: |4 - 1|, (nan), |9 - 4|, (nan)
    assert mase(np.array([1.0]), np.array([3.0]), training, season=2) == pytest.approx(2 / 4, rel=1e-15)
    # Season 1: |2 - 1|, |4 - 2|, (nan), (nan), |5 - 9|
    assert mase(np.array([1.0]), np.array([3.0]), training) == pytest.approx(2 / (7 / 3), rel=1e-15)


def test_seasonal_naive_has_mase_one_on_its_own_training() -> None:
    x = np.random.default_rng(0).normal(size=200)
    assert mase(x[7:], x[:-7], x, season=7) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("metric", [mae, rmse, mape, smape])
def test_errors_name_the_argument(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match=r"forecast must have the shape of truth, \(2,\), got \(3,\)"):
        metric(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="forecast must be finite"):
        metric(np.ones(2), np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="truth must be finite"):
        metric(np.array([1.0, np.inf]), np.ones(2))
    with pytest.raises(ValueError, match="truth must hold a value to score, got 2 missing"):
        metric(np.full(2, np.nan), np.ones(2))


def test_special_cases() -> None:
    with pytest.raises(ValueError, match="mape: truth must not be zero"):
        mape(np.array([0.0]), np.array([1.0]))
    assert smape(np.zeros(2), np.zeros(2)) == 0.0
    with pytest.raises(ValueError, match="quantile must lie in"):
        pinball(np.ones(1), np.ones(1), 1.0)
    with pytest.raises(ValueError, match="T > season = 3"):
        mase(np.ones(1), np.ones(1), np.ones(3), season=3)
    with pytest.raises(ValueError, match="training must differ from itself"):
        mase(np.ones(1), np.ones(1), np.ones(9), season=3)
