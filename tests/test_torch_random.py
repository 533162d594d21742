"""PyTorch's random numbers from NumPy's: pinned against numbers that torch 2.13.0 printed on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from rnnfast import nn
from rnnfast.cli.reproduce.torch_random import TorchGenerator, draw_parameters


def test_rand() -> None:
    # torch.manual_seed(42); torch.rand(3)
    expected = np.array([0.88226926, 0.91500396, 0.38286376], np.float32)
    np.testing.assert_array_equal(TorchGenerator(42).uniform((3,), 0.0, 1.0), expected)


def test_uniform_rounds_once() -> None:
    # torch.manual_seed(42); torch.empty(6).uniform_(-32**-0.5, 32**-0.5), to the last bit
    expected = [
        float.fromhex(text)
        for text in (
            "0x1.14cae20000000p-3",
            "0x1.2c7eb60000000p-3",
            "-0x1.5343460000000p-5",
            "0x1.4c92a40000000p-3",
            "-0x1.3d4bbe0000000p-5",
            "0x1.2439600000000p-5",
        )
    ]
    drawn = TorchGenerator(42).uniform((2, 3), -(32**-0.5), 32**-0.5)
    assert drawn.dtype == np.float32
    assert drawn.ravel().tolist() == expected


def test_integer_takes_two_words_high_one_first() -> None:
    # torch.manual_seed(42); torch.empty((), dtype=torch.int64).random_() three times, then torch.rand(2)
    generator = TorchGenerator(42)
    drawn = [generator.integer() for _ in range(3)]
    assert drawn == [6909045637428952499, 8314211556539077902, 4279532810384561223]
    expected = np.array([0.2565724849700928, 0.7936413288116455], np.float32)
    np.testing.assert_array_equal(generator.uniform((2,), 0.0, 1.0), expected)


def test_permutation_and_the_words_it_takes() -> None:
    # g = torch.Generator(); g.manual_seed(6142236193188646401); torch.randperm(12, generator=g), (5, …), (1,
    # …), torch.rand(1, …)
    generator = TorchGenerator(6142236193188646401)
    assert generator.permutation(12).tolist() == [6, 10, 0, 4, 8, 7, 2, 5, 3, 1, 9, 11]
    assert generator.permutation(5).tolist() == [4, 0, 3, 1, 2]
    assert generator.permutation(1).tolist() == [0]
    assert generator.permutation(0).tolist() == []
    assert round(float(generator.uniform((1,), 0.0, 1.0)[0]), 4) == 0.9124


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="TorchGenerator: seed must not be negative, got -1"):
        TorchGenerator(-1)


def test_layers_are_drawn_in_their_order() -> None:
    # torch.manual_seed(42); torch.nn.GRU(3, 4, 2), then torch.nn.Linear(4, 2)
    model = nn.Sequential(nn.GRU(3, 4, 2), nn.Linear(4, 2))
    draw_parameters(model.named_parameters(), TorchGenerator(42))
    parameters = {name: parameter.data for name, parameter in model.named_parameters()}
    expected = {
        "0.weight_ih_l0": [0.3822692632675171, 0.4150039553642273, -0.11713624000549316],
        "0.bias_hh_l1": [0.3788173198699951, 0.1822240948677063],
        "1.weight": [-0.34863710403442383, -0.4934699535369873, -0.4060894846916199, 0.37285012006759644],
        "1.bias": [-0.004896342754364014, -0.38025301694869995],
    }
    assert parameters["0.weight_ih_l0"][0].tolist() == expected["0.weight_ih_l0"]
    assert parameters["0.bias_hh_l1"][-2:].tolist() == expected["0.bias_hh_l1"]
    assert parameters["1.weight"][0].tolist() == expected["1.weight"]
    assert parameters["1.bias"].tolist() == expected["1.bias"]


def test_scales_and_shifts_are_not_drawn() -> None:
    scale, shift = nn.Parameter(np.ones(3, np.float32)), nn.Parameter(np.zeros(3, np.float32))
    linear = nn.Linear(3, 1)
    named = [("norm.weight", scale), ("norm.bias", shift), ("head.weight", linear.weight)]
    draw_parameters(named, TorchGenerator(42))
    assert scale.data.tolist() == [1, 1, 1]
    assert shift.data.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(linear.weight.data, TorchGenerator(42).uniform((1, 3), -(3**-0.5), 3**-0.5))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.3, 1.7), (0.1, 0.7)])
def test_against_torch(low: float, high: float) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed; the pinned numbers above stand for it"
    )
    torch.manual_seed(7)
    expected = torch.empty(1000).uniform_(low, high).numpy()
    np.testing.assert_array_equal(TorchGenerator(7).uniform((1000,), low, high), expected)
    order = torch.Generator().manual_seed(2**62 + 11)
    expected_order = torch.randperm(1040, generator=order).numpy()
    np.testing.assert_array_equal(TorchGenerator(2**62 + 11).permutation(1040), expected_order)
