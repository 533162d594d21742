"""Losses: values against plain formulas, gradients against central differences, masks, errors."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast import losses, ops

RNG = np.random.default_rng(7)
SHAPE = (4, 3, 5)  # N, T, F


def case(name):
    """A loss with a prediction and a target that keep clear of its kinks."""
    prediction = RNG.normal(size=SHAPE)
    signs = np.where(RNG.random(SHAPE) < 0.5, -1.0, 1.0)
    if name == "cross_entropy":
        return losses.CrossEntropy(), 3 * prediction, RNG.integers(0, 5, SHAPE[:-1])
    if name == "bernoulli_nll":
        return losses.BernoulliNLL(), 4 * prediction, RNG.random(SHAPE)
    if name == "quantiles":
        levels = (0.1, 0.3, 0.5, 0.7, 0.9)
        target = RNG.normal(size=SHAPE[:-1])
        return losses.Quantile(levels), target[..., None] + signs * RNG.uniform(0.1, 2, SHAPE), target
    loss = {
        "mse": losses.MSE(),
        "mae": losses.MAE(),
        "huber": losses.Huber(0.7),
        "quantile": losses.Quantile(0.8),
    }[name]
    sizes = np.where(RNG.random(SHAPE) < 0.5, RNG.uniform(0.1, 0.6, SHAPE), RNG.uniform(0.8, 3, SHAPE))
    return loss, prediction + signs * sizes, prediction


NAMES = ("mse", "mae", "huber", "quantile", "quantiles", "cross_entropy", "bernoulli_nll")


def terms(loss, prediction, target):
    """The terms of the mean, straight from their definitions."""
    match loss:
        case losses.MSE():
            return (prediction - target) ** 2
        case losses.MAE():
            return abs(prediction - target)
        case losses.Huber():
            size = abs(prediction - target)
            return np.where(size <= loss.delta, size**2 / 2, loss.delta * (size - loss.delta / 2))
        case losses.Quantile():
            difference = (target if np.isscalar(loss.levels) else target[..., None]) - prediction
            return np.maximum(np.multiply(loss.levels, difference), np.subtract(loss.levels, 1) * difference)
        case losses.CrossEntropy():
            probabilities = np.exp(prediction) / np.exp(prediction).sum(-1, keepdims=True)
            return -np.log(np.take_along_axis(probabilities, target[..., None], -1))[..., 0]
        case losses.BernoulliNLL():
            probability = 1 / (1 + np.exp(-prediction))
            return -(target * np.log(probability) + (1 - target) * np.log(1 - probability))


def masks(target):
    """Masks of every legal alignment for this target."""
    full = RNG.random(target.shape) < 0.6
    full.flat[0], full.flat[-1] = True, False
    return [
        full,
        full[:, 0, ...] if target.ndim == 2 else full[:, :, 0],
        np.array([True, False, True, True]),
        full[:, :1],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_value_is_the_mean_of_the_terms(name):
    loss, prediction, target = case(name)
    expected = terms(loss, prediction, target)
    assert loss(prediction, target)[0] == pytest.approx(expected.mean(), rel=1e-13)
    assert loss.value(prediction, target) == loss(prediction, target)[0]
    for mask in masks(target):
        aligned = mask.reshape(mask.shape + (1,) * (expected.ndim - mask.ndim))
        selected = np.broadcast_to(aligned, expected.shape)
        assert loss(prediction, target, mask)[0] == pytest.approx(expected[selected].mean(), rel=1e-13)
        assert loss.value(prediction, target, mask) == loss(prediction, target, mask)[0]


@pytest.mark.parametrize("name", NAMES)
def test_gradient_against_central_differences(name):
    loss, prediction, target = case(name)
    for mask in (None, *masks(target)):
        gradient = loss(prediction, target, mask)[1]
        assert np.abs(gradient).max() > 1e-3
        for index in np.ndindex(prediction.shape):
            shift = np.zeros_like(prediction)
            shift[index] = 1e-5
            slope = (
                loss(prediction + shift, target, mask)[0] - loss(prediction - shift, target, mask)[0]
            ) / 2e-5
            assert gradient[index] == pytest.approx(slope, rel=1e-7, abs=1e-9), index


class Other(np.ndarray):
    """An array that is not NumPy's own: losses compute with it by its operators."""


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("name", ["mse", "mae", "huber", "quantile"])
def test_value_and_gradient_are_those_of_numpy(name, count, variant, dtype):
    loss = {"huber": losses.Huber(0.7), "quantile": losses.Quantile(0.8)}.get(name) or losses.get(name)
    random = np.random.default_rng(count)
    prediction, target = random.standard_normal((2, count)).astype(dtype)
    prediction[::7] = target[::7]  # kinks
    for mask in (None, random.random(count) < 0.5):
        value, slopes = loss(prediction, target, mask)
        expected, expected_slopes = loss(prediction.view(Other), target, mask)
        np.testing.assert_allclose(value, float(expected), rtol=1e-14)
        np.testing.assert_array_equal(slopes, expected_slopes)
        assert loss.value(prediction, target, mask) == value
    for what in (np.nan, np.inf, -np.inf):
        prediction[-1] = what
        value, slopes = loss(prediction, target)
        with np.errstate(invalid="ignore"):  # Huber's formula has inf - inf
            expected, expected_slopes = loss(prediction.view(Other), target)
        np.testing.assert_array_equal([value, *slopes], [float(expected), *expected_slopes])


def test_a_loss_with_terms_of_its_own_uses_them():
    class Halves:
        def _terms_and_slopes(self, xp, prediction, target, gradient):
            terms, slopes = super()._terms_and_slopes(xp, prediction, target, gradient)
            return terms / 2, slopes / 2

    class Halved(losses.MSE):
        def _terms_and_slopes(self, xp, prediction, target, gradient):
            terms, slopes = super()._terms_and_slopes(xp, prediction, target, gradient)
            return terms / 2, slopes / 2

    class Mixed(Halves, losses.MSE):
        pass

    for loss in (Halved(), Mixed()):
        value, slopes = loss(np.array([3.0]), np.array([1.0]))
        assert value == 2.0
        np.testing.assert_array_equal(slopes, [2.0])


@pytest.mark.parametrize("name", NAMES)
def test_other_byte_orders_are_numbers_too(name):
    loss, prediction, target = case(name)
    swapped = prediction.astype(prediction.dtype.newbyteorder())
    assert loss(swapped, target)[0] == pytest.approx(loss(prediction, target)[0], rel=1e-13)


def test_element_loss_names_what_does_not_fit():
    ones = np.ones(3)
    with pytest.raises(
        ValueError, match=r"loss must be one of squared, absolute, huber, quantile, got 'cubed'"
    ):
        ops.element_loss("cubed", ones, ones)
    for loss, parameter, text in (
        ("squared", 1.0, r"parameter of squared must be None, got 1.0"),
        ("huber", None, r"parameter of huber must be positive and finite, got None"),
        ("huber", 0.0, r"got 0.0"),
        ("quantile", 1.0, r"parameter of quantile must be in \(0, 1\), got 1.0"),
    ):
        with pytest.raises(ValueError, match=text):
            ops.element_loss(loss, ones, ones, parameter=parameter)
    for words in ({"parameter": "1"}, {"parameter": np.ones(1)}, {"parameter": 1.0, "scale": None}):
        with pytest.raises(TypeError, match=r"element_loss: (parameter|scale) must be a number, got"):
            ops.element_loss("huber", ones, ones, **words)
    with pytest.raises(ValueError, match=r"loss must be one of"):
        ops.element_loss(["squared"], ones, ones)
    with pytest.raises(TypeError, match=r"Huber: delta must be a number, got '1'"):
        losses.Huber("1")
    with pytest.raises(ValueError, match=r"Huber: delta must be positive and finite"):
        losses.Huber(10**400)
    with pytest.raises(ValueError, match=r"element_loss: target must have shape \(3,\), got \(2,\)"):
        ops.element_loss("squared", ones, ones[:2])
    with pytest.raises(TypeError, match=r"element_loss: mask must be bool, got float64"):
        ops.element_loss("squared", ones, ones, mask=ones)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_masked_may_hold_anything(name):
    loss, prediction, target = case(name)
    mask = masks(target)[0]
    expected = loss(prediction, target, mask)
    spoiled = prediction.copy()
    spoiled[~mask] = np.nan
    other = target.copy()
    other[~mask] = -100 if target.dtype.kind == "i" else np.inf
    value, gradient = loss(spoiled, other, mask)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    np.testing.assert_array_equal(gradient[~mask], 0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_average_is_zero(name):
    loss, prediction, target = case(name)
    value, gradient = loss(prediction, target, np.zeros(target.shape, bool))
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros_like(prediction))
    value, gradient = loss(prediction[:0], target[:0])
    assert value == 0.0
    assert gradient.shape == prediction[:0].shape


@pytest.mark.parametrize("name", NAMES)
def test_float32_keeps_its_dtype_and_sums_in_float64(name):
    loss, prediction, target = case(name)
    single = target if target.dtype.kind == "i" else target.astype(np.float32)
    value, gradient = loss(prediction.astype(np.float32), single)
    double_value, double_gradient = loss(prediction, target)
    assert gradient.dtype == np.float32
    assert value == pytest.approx(double_value, rel=1e-6)
    np.testing.assert_allclose(gradient, double_gradient, rtol=2e-5, atol=1e-8)
    assert loss(prediction.astype(np.float32), target)[1].dtype == np.float32
    many = np.full((1 << 22, 1), 0.1, np.float32)
    assert losses.MAE()(many, np.zeros_like(many))[0] == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_any_strides(name):
    loss, prediction, target = case(name)
    expected = loss(prediction, target)
    for layout in (
        np.asfortranarray,
        lambda array: np.repeat(array, 2, axis=0)[::2],
        lambda array: array[::-1].copy()[::-1],
    ):
        value, gradient = loss(layout(prediction), layout(target))
        assert value == pytest.approx(expected[0], rel=1e-13)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-13)
    assert prediction.flags.writeable
    prediction.flags.writeable = target.flags.writeable = False
    assert loss(prediction, target)[0] == expected[0]


def test_gradient_at_the_kinks_is_zero():
    zero = np.zeros((2, 1))
    for loss in (losses.MAE(), losses.Huber(), losses.Quantile(0.3)):
        np.testing.assert_array_equal(loss(zero, zero)[1], 0)


def test_large_logits_do_not_overflow():
    value, gradient = losses.CrossEntropy()(np.array([[1e4, 0.0]]), np.array([1]))
    assert value == 1e4
    np.testing.assert_array_equal(gradient, [[1, -1]])
    value, gradient = losses.BernoulliNLL()(np.array([1e4, -1e4]), np.array([0.0, 0.0]))
    assert value == 5e3
    np.testing.assert_array_equal(gradient, [0.5, 0])


@pytest.mark.parametrize(
    ("prediction", "target", "mask", "error", "text"),
    [
        ((4, 1), (4,), None, ValueError, r"MSE: target must have shape \(4, 1\).*got \(4,\)"),
        ((4,), (4, 1), None, ValueError, r"MSE: target must have shape \(4,\).*got \(4, 1\)"),
        ((4, 2), (4, 2), (2,), ValueError, r"MSE: mask must have the leading axes of \(4, 2\).*got \(2,\)"),
        ((4, 2), (4, 2), (4, 2, 1), ValueError, r"MSE: mask must have the leading axes"),
    ],
)
def test_shapes_that_do_not_fit(prediction, target, mask, error, text):
    with pytest.raises(error, match=text):
        losses.MSE()(np.zeros(prediction), np.zeros(target), None if mask is None else np.ones(mask, bool))


def test_dtypes_that_do_not_fit():
    ones = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"MSE: prediction must be float32 or float64, got int64"):
        losses.MSE()(ones.astype(int), ones)
    with pytest.raises(TypeError, match=r"prediction must be float32 or float64, got float16"):
        losses.MSE()(ones.astype(np.float16), ones)
    with pytest.raises(TypeError, match=r"MSE: target must be floating point, got int64; pass target.astype"):
        losses.MSE()(ones, ones.astype(int))
    with pytest.raises(TypeError, match=r"MAE: mask must be bool.*got float64; pass mask != 0"):
        losses.MAE()(ones, ones, ones)
    with pytest.raises(TypeError, match=r"CrossEntropy: target must hold integer class numbers, got float64"):
        losses.CrossEntropy()(ones, np.ones(2))


def test_class_numbers_out_of_range_are_named():
    logits = np.zeros((2, 2, 3))
    with pytest.raises(ValueError, match=r"class numbers 0..2, got 3 at index \(1, 0\)"):
        losses.CrossEntropy()(logits, np.array([[0, 1], [3, 2]]))
    with pytest.raises(ValueError, match=r"class numbers 0..2, got -1 at index \(0, 1\)"):
        losses.CrossEntropy()(logits, np.array([[0, -1], [0, 2]]))
    with pytest.raises(ValueError, match=r"target must have shape \(2, 2\) for logits"):
        losses.CrossEntropy()(logits, np.zeros((2, 2, 3), int))


def test_settings_out_of_range():
    with pytest.raises(ValueError, match=r"Huber: delta must be positive and finite, got 0"):
        losses.Huber(0)
    for levels in (0.0, 1.0, (0.5, 1.5), ()):
        with pytest.raises(ValueError, match=r"Quantile: levels must be in \(0, 1\)"):
            losses.Quantile(levels)
    with pytest.raises(
        ValueError, match=r"prediction must have shape \(..., levels\) = \(..., 2\), got \(4, 3\)"
    ):
        losses.Quantile((0.1, 0.9))(np.zeros((4, 3)), np.zeros(4))


def test_get():
    for name, kind in losses.NAMED.items():
        assert isinstance(losses.get(name), kind)
    loss = losses.Huber(0.5)
    assert losses.get(loss) is loss
    with pytest.raises(
        ValueError, match=r"loss must be one of mse, mae, huber, cross_entropy, .* got 'mape'"
    ):
        losses.get("mape")
    with pytest.raises(TypeError, match=r"got 3; pass an object such as losses.MSE\(\)"):
        losses.get(3)
    with pytest.raises(TypeError, match=r"pass an object"):
        losses.get(losses.MSE)


def test_lists_are_refused_by_name():
    y = np.ones(2)
    for loss in (losses.MSE(), losses.CrossEntropy(), losses.Quantile(0.5)):
        name = type(loss).__name__
        with pytest.raises(
            TypeError, match=rf"{name}: prediction must be an array, got list; pass np.asarray"
        ):
            loss([1.0, 2.0], y)
        with pytest.raises(TypeError, match=rf"{name}: target must be an array, got list"):
            loss.value(y, [1.0, 2.0])
    with pytest.raises(TypeError, match=r"MSE: mask must be an array, got list"):
        losses.MSE()(y, y, [True, False])


def test_targets_of_another_kind_get_the_fix_that_works() -> None:
    logits = np.zeros((3, 4), np.float32)
    one_hot = np.eye(4, dtype=np.float32)[:3]
    for target in (one_hot, one_hot.astype(int)):
        error = TypeError if target.dtype.kind == "f" else ValueError
        with pytest.raises(error, match=r"CrossEntropy: .*; pass target.argmax\(axis=-1\)$"):
            losses.CrossEntropy()(logits, target)
    with pytest.raises(TypeError, match=r"MSE: .*, or loss='cross_entropy' for class numbers$"):
        losses.MSE()(logits, np.arange(3))
