"""sigmoid, tanh and relu of the kernels: accuracy over all of float32, limits, order, NaN."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast import ops

FUNCTIONS = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}
TINY = np.finfo(np.float32).tiny  # results below are denormal, and flushed


def ordinals(values: np.ndarray) -> np.ndarray:
    """Consecutive integers for consecutive floats, both zeros the same."""
    bits = values.view(np.int32 if values.dtype == np.float32 else np.int64)
    return np.where(bits >= 0, bits, np.iinfo(bits.dtype).min - bits).astype(np.int64)


def all_finite(stride: int) -> np.ndarray:
    """Every stride-th float32 in ascending order."""
    largest = int(np.float32(np.finfo(np.float32).max).view(np.int32))
    positive = np.arange(0, largest, stride, dtype=np.int32).view(np.float32)
    return np.concatenate([-positive[::-1], positive])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_within_4_ulp_and_monotone(name: str, variant: str) -> None:
    x = all_finite(stride=2003)
    y = ops.activation(name, x)
    with np.errstate(over="ignore"):
        expected = FUNCTIONS[name](x.astype(np.float64)).astype(np.float32)
    expected[np.abs(expected) < TINY] = 0
    assert np.abs(ordinals(y) - ordinals(expected)).max() <= 4
    assert np.all(np.diff(y) >= 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_monotone_between_neighbours(name: str, variant: str) -> None:
    centres = np.random.default_rng(0).uniform(-12, 12, 2000).astype(np.float32)
    x = (centres.view(np.int32)[:, None] + np.arange(64, dtype=np.int32)).view(np.float32)
    y = ops.activation(name, x)
    steps = np.diff(y, axis=1) * np.sign(centres)[:, None]  # consecutive bits of negative floats descend
    assert np.all(steps >= 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_is_exact_to_some_ulp(name: str, variant: str) -> None:
    x = np.concatenate([np.random.default_rng(1).normal(0, scale, 20000) for scale in (1e-3, 1, 10)])
    y = ops.activation(name, x)
    assert np.abs(ordinals(y) - ordinals(FUNCTIONS[name](x))).max() <= 8  # NumPy's own errors included


def test_limits_zeros_and_nan(dtype: type, variant: str) -> None:
    x = np.array([-np.inf, -1e30, -0.0, 0.0, 1e30, np.inf, np.nan], dtype)
    sigmoid, tanh, relu = (ops.activation(name, x) for name in ("sigmoid", "tanh", "relu"))
    np.testing.assert_array_equal(sigmoid, np.array([0, 0, 0.5, 0.5, 1, 1, np.nan], dtype))
    np.testing.assert_array_equal(tanh, np.array([-1, -1, 0, 0, 1, 1, np.nan], dtype))
    np.testing.assert_array_equal(np.signbit(tanh[:4]), [True, True, True, False])
    np.testing.assert_array_equal(relu, np.array([0, 0, 0, 0, 1e30, np.inf, np.nan], dtype))


def test_unknown_names_and_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="sigmoid, tanh or relu, got 'softmax'"):
        ops.activation("softmax", np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="x must be float32 or float64, got int64"):
        ops.activation("tanh", np.zeros(3, np.int64))
