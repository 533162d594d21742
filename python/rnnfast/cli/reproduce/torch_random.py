"""PyTorch's random numbers on the CPU, without PyTorch.

PyTorch's CPU generator is the Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), which NumPy's legacy
`RandomState` also is; only what is made of its 32-bit words differs. With the same words come the same
initial weights and the same shuffles, and so the numbers that others published after
`torch.manual_seed(seed)`. Not here: normal numbers and dropout masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from rnnfast.nn.parameter import Array, Parameter


class TorchGenerator:
    """A generator that draws what `torch.Generator().manual_seed(seed)` draws.

    Args:
        seed: any integer from 0 on; as in PyTorch, its low 32 bits count.

    Example:
        >>> from rnnfast.cli.reproduce.torch_random import TorchGenerator
        >>> TorchGenerator(42).uniform((3,), 0.0, 1.0)  # torch.rand(3)
        array([0.88226926, 0.91500396, 0.38286376], dtype=float32)
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"TorchGenerator: seed must not be negative, got {seed}")
        self._state = np.random.RandomState(seed & 0xFFFFFFFF)

    def words(self, count: int) -> Array:
        """The next `count` raw words of the generator, uint32 [count]."""
        return self._state.randint(0, 2**32, size=count, dtype=np.uint32)

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Array:
        """The float32 numbers of `torch.empty(shape).uniform_(low, high)`: one word per element, row-major.

        u = (word mod 2²⁴)·2⁻²⁴;  u·(high − low) + low, where the product and the sum are rounded once,
        together.
        """
        lower, width = np.float32(low), np.float32(high) - np.float32(low)
        # float64 holds the product of two 24-bit numbers exactly, so that the one rounding to float32 is that
        # of PyTorch's
        # fused multiply-add.
        fraction = (self.words(math.prod(shape)) & 0xFFFFFF) * 2.0**-24
        return (fraction * np.float64(width) + np.float64(lower)).astype(np.float32).reshape(shape)

    def integer(self) -> int:
        """The number of `torch.empty((), dtype=torch.int64).random_()`: 63 bits, the high word first."""
        high, low = self.words(2).tolist()
        return int(high << 32 | low) % 2**63

    def permutation(self, count: int) -> Array:
        """The order of `torch.randperm(count)`, int64 [count]: Fisher–Yates from the front."""
        order = list(range(count))
        for index, word in enumerate(self.words(max(count - 1, 0)).tolist()):
            other = index + word % (count - index)
            order[index], order[other] = order[other], order[index]
        return np.array(order, np.int64)


def draw_parameters(named_parameters: Iterable[tuple[str, Parameter]], generator: TorchGenerator) -> None:
    """Give parameters the values that PyTorch's layers of the same sizes, made in the same order, would have.

    Recurrent layers: U(±1/√H) for all of W_ih, W_hh, b_ih, b_hh. Linear and convolution: weight, then bias,
    U(±1/√fan_in). A one-dimensional weight is a scale (layer normalisation) and keeps its value, as does the
    bias after it: none is drawn.

    Args:
        named_parameters: `module.named_parameters()`; parameters that share a dotted prefix are one layer's.
        generator: where the numbers come from.

    Example:
        >>> from rnnfast import nn
        >>> from rnnfast.cli.reproduce.torch_random import TorchGenerator, draw_parameters
        >>> layer = nn.Linear(3, 1)
        >>> draw_parameters(layer.named_parameters(), TorchGenerator(42))
        >>> layer.weight.data  # torch.manual_seed(42); torch.nn.Linear(3, 1).weight
        array([[ 0.44140652,  0.47920528, -0.13525727]], dtype=float32)
    """
    for layer in _layers(named_parameters):
        bound = _bound(layer)
        if bound is None:
            continue
        for parameter in layer.values():
            parameter.data = generator.uniform(parameter.shape, -bound, bound)


def draw_recurrent_as_linear(layer: dict[str, Parameter], generator: TorchGenerator) -> None:
    """Give a vanilla recurrent layer the values of a PyTorch `Linear` that maps [x_t, h_{t-1}] to H units.

    That layer's weight [H, I+H] holds the columns of W_ih, then those of W_hh; its bias [H] becomes b_ih, and
    b_hh 0. Scales and shifts of a layer normalisation keep their values: none is drawn.

    Args:
        layer: `layer.named_parameters()` of a one-layer `nn.RNN` as a dict.
        generator: where the numbers come from.

    Example:
        >>> from rnnfast import nn
        >>> from rnnfast.cli.reproduce.torch_random import TorchGenerator, draw_recurrent_as_linear
        >>> layer = nn.RNN(2, 1)
        >>> draw_recurrent_as_linear(dict(layer.named_parameters()), TorchGenerator(42))
        >>> layer.weight_ih_l0.data, layer.weight_hh_l0.data  # of torch.nn.Linear(3, 1).weight
        (array([[0.44140652, 0.47920528]], dtype=float32), array([[-0.13525727]], dtype=float32))
    """
    hidden, inputs = layer["weight_ih_l0"].shape
    bound = 1 / math.sqrt(inputs + hidden)
    weight = generator.uniform((hidden, inputs + hidden), -bound, bound)
    layer["weight_ih_l0"].data, layer["weight_hh_l0"].data = weight[:, :inputs], weight[:, inputs:]
    layer["bias_ih_l0"].data = generator.uniform((hidden,), -bound, bound)
    layer["bias_hh_l0"].data = 0.0


def _layers(named_parameters: Iterable[tuple[str, Parameter]]) -> Iterator[dict[str, Parameter]]:
    layers: dict[str, dict[str, Parameter]] = {}
    for name, parameter in named_parameters:
        prefix, _, own = name.rpartition(".")
        layers.setdefault(prefix, {})[own] = parameter
    yield from layers.values()


def _bound(layer: dict[str, Parameter]) -> float | None:
    if "weight_hh_l0" in layer:
        return 1 / math.sqrt(layer["weight_hh_l0"].shape[1])
    weight = layer["weight"].shape
    return None if len(weight) == 1 else 1 / math.sqrt(math.prod(weight[1:]))
