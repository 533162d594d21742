"""Windows, splits, scaling, transforms, padding and gaps."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast import data

# ---------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(("length", "stride"), [(11, 1), (20, 3), (5, 1), (21, 4)])
def test_windows_are_the_steps_before_and_after_each_origin(length: int, stride: int) -> None:
    series = np.random.default_rng(0).normal(size=(length, 2))
    inputs, targets = data.windows(series, 3, 2, stride=stride)
    origins = [o for o in range(3, length - 1) if (length - 2 - o) % stride == 0]
    assert data.window_origins(length, 3, 2, stride=stride).tolist() == origins
    assert inputs.shape == (len(origins), 3, 2)
    for window, target, origin in zip(inputs, targets, origins, strict=True):
        np.testing.assert_array_equal(window, series[origin - 3 : origin])
        np.testing.assert_array_equal(target, series[origin : origin + 2])


def test_windows_of_a_flat_series_and_their_targets_after_every_step() -> None:
    series = np.arange(12.0)
    inputs, targets = data.windows(series, 4, 3, stride=2)
    assert inputs.shape == (3, 4, 1)
    assert targets.tolist() == [[5.0, 6.0, 7.0], [7.0, 8.0, 9.0], [9.0, 10.0, 11.0]]
    inputs, targets = data.windows(series, 4, 3, stride=2, target="seq2seq")
    assert targets.shape == (3, 4, 3)
    for h in range(3):
        np.testing.assert_array_equal(targets[..., h], inputs[..., 0] + 1 + h)
    assert targets[-1, -1].tolist() == [9.0, 10.0, 11.0]
    several = data.windows(np.stack([series, -series], axis=1), 4, 3, target="seq2seq")[1]
    assert several.shape == (6, 4, 3, 2)
    np.testing.assert_array_equal(several[..., 1], -several[..., 0])


@pytest.mark.parametrize("target", ["seq2vec", "seq2seq"])
def test_windows_copy_nothing_and_cannot_be_written(target: str) -> None:
    series = np.arange(1000.0)
    for view in data.windows(series, 100, 5, target=target):
        assert np.shares_memory(view, series)
        assert not view.flags.writeable


def test_window_origins_of_two_segments_share_no_target() -> None:
    train = data.window_origins(100, 10, 7, stop=60)
    later = data.window_origins(100, 10, 7, start=60)
    assert train.max() + 7 == 60
    assert later.min() == 60
    assert later.max() + 7 == 100


def test_window_errors() -> None:
    with pytest.raises(
        ValueError, match=r"series must have at least input_length \+ horizon = 7 steps, got 6"
    ):
        data.windows(np.arange(6.0), 4, 3)
    with pytest.raises(ValueError, match="target must be"):
        data.windows(np.arange(9.0), 4, 3, target="vec2seq")
    with pytest.raises(ValueError, match=r"series must have shape \(T,\) or \(T, F\)"):
        data.windows(np.zeros((2, 3, 4)), 1, 1)
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        data.window_origins(9, 2, 0)
    with pytest.raises(ValueError, match=r"stop must lie in 0\.\.9"):
        data.window_origins(9, 2, 1, stop=10)
    assert data.window_origins(3, 4, 1).size == 0


# ----------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("validation", "test", "gap"), [(0.2, 10, 0), (5, 0.1, 3), (0, 0, 4), (7, 0, 2), (0, 9, 1)]
)
def test_splits_are_ordered_and_disjoint(validation: float, test: float, gap: int) -> None:
    parts = data.time_split(100, validation=validation, test=test, gap=gap)
    steps = [list(range(100))[part] for part in parts]
    assert steps[0][0] == 0
    joined = [step for part in steps for step in part]
    assert joined == sorted(set(joined))
    for before, after in ((steps[0], steps[1]), (steps[1] or steps[0], steps[2])):
        if before and after:
            assert after[0] - before[-1] == gap + 1
    assert joined[-1] == 99


def test_split_errors() -> None:
    with pytest.raises(ValueError, match="must leave at least one of 10 steps"):
        data.time_split(10, validation=5, test=5)
    with pytest.raises(ValueError, match=r"validation as a share must lie in \[0, 1\), got 1.5"):
        data.time_split(10, validation=1.5)
    with pytest.raises(ValueError, match="test must be at least 0, got -1"):
        data.time_split(10, test=-1)


# ---------------------------------------------------------------------------------------------------- scaling


@pytest.mark.parametrize("method", data.Scaler.methods)
def test_scaler_inverse_and_statistics(method: str, dtype: type[np.floating]) -> None:
    x = np.random.default_rng(1).gamma(2.0, size=(500, 3)).astype(dtype) * np.array([1, 10, 0.1], dtype=dtype)
    scaler = data.Scaler(method).fit(x)
    z = scaler.transform(x)
    assert z.dtype == dtype
    np.testing.assert_allclose(
        scaler.inverse_transform(z), x, rtol=0, atol=20 * np.finfo(dtype).eps * np.abs(x).max()
    )
    if method == "standard":
        np.testing.assert_allclose([z.mean(0), z.std(0)], [[0] * 3, [1] * 3], atol=1e-5)
    if method == "minmax":
        np.testing.assert_allclose([z.min(0), z.max(0)], [[0] * 3, [1] * 3], atol=1e-6)
    if method == "robust":
        low, middle, high = np.quantile(z.astype(float), (0.25, 0.5, 0.75), axis=0)
        np.testing.assert_allclose([middle, high - low], [[0] * 3, [1] * 3], atol=1e-5)


def test_scaler_takes_nothing_from_beyond_the_training_part_and_ignores_gaps() -> None:
    x = np.array([1.0, np.nan, 3.0])
    scaler = data.Scaler().fit(x)
    assert float(scaler.center) == 2.0
    assert float(scaler.scale) == 1.0
    np.testing.assert_array_equal(scaler.transform(np.array([5.0, np.nan])), [3.0, np.nan])
    flat = data.Scaler().fit(np.full((4, 1), 7.0))
    np.testing.assert_array_equal(flat.transform(np.full((2, 1), 8.0)), [[1.0], [1.0]])


def test_scaler_errors() -> None:
    with pytest.raises(ValueError, match="method must be one of standard, minmax, robust, got 'max'"):
        data.Scaler("max")
    with pytest.raises(RuntimeError, match="must be fitted first"):
        data.Scaler().transform(np.ones(3))
    with pytest.raises(ValueError, match="column of NaN alone"):
        data.Scaler().fit(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="infinite"):
        data.Scaler().fit(np.array([1.0, np.inf]))
    with pytest.raises(ValueError, match=r"x must have shape \(\.\.\., 2\), got \(4, 3\)"):
        data.Scaler().fit(np.ones((3, 2))).transform(np.ones((4, 3)))


# ------------------------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("lag", [1, 2, 7, 24])
@pytest.mark.parametrize("shape", [(50,), (50, 3)])
def test_differences_are_undone_to_the_bit_where_they_are_exact(lag: int, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(2).integers(-10_000, 10_000, size=shape).astype(np.float64)
    d = data.difference(x, lag)
    np.testing.assert_array_equal(d, [x[t] - x[t - lag] for t in range(lag, 50)])
    np.testing.assert_array_equal(data.integrate(d, x[:lag]), x[lag:])
    # The same from the end: a forecast of differences continues the series.
    np.testing.assert_array_equal(data.integrate(d[30 - lag :], x[30 - lag : 30]), x[30:])


def test_differences_of_reals_are_undone_up_to_rounding() -> None:
    x = np.random.default_rng(3).normal(size=1000)
    for lag in (1, 24):
        np.testing.assert_allclose(data.integrate(data.difference(x, lag), x[:lag]), x[lag:], atol=1e-12)
    both = data.difference(data.difference(x, 24), 1)
    back = data.integrate(data.integrate(both, data.difference(x, 24)[:1]), x[1:25])
    np.testing.assert_allclose(back, x[25:], atol=1e-12)
    assert data.difference(x.astype(np.float32)).dtype == np.float32


def test_difference_errors() -> None:
    with pytest.raises(ValueError, match=r"lag must lie in 1\.\.T-1 = 1\.\.4, got 5"):
        data.difference(np.ones(5), 5)
    with pytest.raises(ValueError, match="before must have shape"):
        data.integrate(np.ones((5, 2)), np.ones((1, 3)))


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_trend_is_found_and_put_back(degree: int) -> None:
    rng = np.random.default_rng(4)
    t = np.arange(200)
    true = np.polynomial.Polynomial(rng.normal(size=degree + 1))(t / 200)
    x = np.stack([true, 2 * true + 1], axis=1)
    trend = data.Trend(degree).fit(x[:150])
    np.testing.assert_allclose(trend(t), x, atol=1e-9)
    np.testing.assert_allclose(trend.transform(x[150:], start=150), 0.0, atol=1e-9)
    noisy = x + rng.normal(size=x.shape)
    back = trend.inverse_transform(trend.transform(noisy[150:], start=150), start=150)
    np.testing.assert_allclose(back, noisy[150:], atol=1e-13)


def test_trend_errors() -> None:
    with pytest.raises(ValueError, match="T > degree = 2"):
        data.Trend(2).fit(np.ones(2))
    with pytest.raises(ValueError, match="x must be finite"):
        data.Trend().fit(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(RuntimeError, match="must be fitted first"):
        data.Trend()(np.arange(2))


def test_mu_law_codes_survive_decoding_and_are_finest_near_zero() -> None:
    for classes in (2, 16, 256):
        codes = np.arange(classes)
        samples = data.mu_law_decode(codes, classes)
        np.testing.assert_array_equal(data.mu_law_encode(samples, classes), codes)
        np.testing.assert_allclose(samples[[0, -1]], [-1.0, 1.0], rtol=1e-15)
    steps = np.diff(data.mu_law_decode(np.arange(256)))
    assert steps.min() == steps[127]
    assert steps.max() > 50 * steps.min()
    # The definition, at one point worked out apart: x = 1/2, µ = 255.
    assert data.mu_law_encode(np.array([0.5]))[0] == int((np.log(128.5) / np.log(256) + 1) / 2 * 255 + 0.5)
    assert data.mu_law_encode(np.array([-7.0, 7.0])).tolist() == [0, 255]
    with pytest.raises(ValueError, match="got NaN"):
        data.mu_law_encode(np.array([np.nan]))
    samples = np.array([32767, 0, -32768], np.int16)  # as a sound file has them
    with pytest.raises(TypeError, match=r"x must be floats in \[-1, 1\], got int16; divide .* by 32768"):
        data.mu_law_encode(samples)
    assert data.mu_law_encode(samples / 32768).tolist() == [255, 128, 0]
    with pytest.raises(ValueError, match=r"codes must lie in 0\.\.255"):
        data.mu_law_decode(np.array([256]))
    with pytest.raises(TypeError, match="codes must be integers"):
        data.mu_law_decode(np.array([1.0]))


# ---------------------------------------------------------------------------------------------------- padding


def test_padding_and_back() -> None:
    rng = np.random.default_rng(5)
    ragged = [rng.normal(size=(length, 2)).astype(np.float32) for length in (3, 0, 5, 1)]
    x, lengths = data.pad(ragged, value=9.0)
    assert x.shape == (4, 5, 2)
    assert x.dtype == np.float32
    assert lengths.tolist() == [3, 0, 5, 1]
    mask = data.padding_mask(lengths, 5)
    np.testing.assert_array_equal(mask.sum(1), lengths)
    assert (x[~mask] == 9.0).all()
    for before, after in zip(ragged, data.unpad(x, lengths), strict=True):
        np.testing.assert_array_equal(before, after)
    assert data.pad(ragged, length=8)[0].shape == (4, 8, 2)


def test_padding_errors() -> None:
    with pytest.raises(ValueError, match="empty list"):
        data.pad([])
    with pytest.raises(ValueError, match="sequence 1 must have shape"):
        data.pad([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ValueError, match="length must be at least the longest sequence, 2, got 1"):
        data.pad([np.ones(2)], length=1)
    with pytest.raises(ValueError, match=r"lengths must lie in 0\.\.2"):
        data.unpad(np.ones((1, 2)), np.array([3]))
    with pytest.raises(TypeError, match="lengths must be integers"):
        data.padding_mask(np.array([1.0]), 2)


# ------------------------------------------------------------------------------------------------------- gaps


def test_gaps_are_filled_from_one_season_before_and_never_from_what_follows() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(80, 2))
    x[rng.random(x.shape) < 0.3] = np.nan
    x[0] = [1.0, 2.0]
    filled, missing = data.fill_from_past(x, 7)
    np.testing.assert_array_equal(missing, np.isnan(x))
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~missing], x[~missing])
    for t, column in np.argwhere(missing):
        assert filled[t, column] == filled[t - 7 if t >= 7 else t - 1, column]
    for cut in (10, 33):
        changed = x.copy()
        changed[cut:] = rng.normal(size=changed[cut:].shape)
        np.testing.assert_array_equal(data.fill_from_past(changed, 7)[0][:cut], filled[:cut])


def test_gap_errors() -> None:
    assert data.fill_from_past(np.array([np.nan, 3.0]))[0].tolist() == [3.0, 3.0]
    with pytest.raises(ValueError, match="column of NaN alone"):
        data.fill_from_past(np.array([[1.0, np.nan], [2.0, np.nan]]))
    with pytest.raises(ValueError, match="infinite"):
        data.fill_from_past(np.array([np.inf]))
