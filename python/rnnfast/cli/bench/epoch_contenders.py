"""The forecaster of the suite `epoch` in rnnfast, PyTorch and Keras, each as its users write it.

All start from the same weights, by rnnfast's names and in its layout. Not here: the data and the clock
(`epoch`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rnnfast import models, ops, train

from .checks import Array
from .jax_peers import keras_layer, load_keras, weights_of
from .torch_peers import MODULES


class Epoch(NamedTuple):
    """Sizes: samples of T steps with so many outputs each, L layers of H units, samples of a batch."""

    samples: int
    steps: int
    outputs: int
    hidden: int
    layers: int
    batch: int


class Contender:
    """One forecaster.

    Args:
        cell: a name in ``ops.cells()``.
        sizes: of the epoch.
        seed: of the shuffle, and of initial weights.
    """

    # By how much, relative to ours, its losses after the first step may differ from ours.
    band = 0.0

    def __init__(self, cell: str, sizes: Epoch, seed: int) -> None:
        self.cell, self.sizes, self.seed = cell, sizes, seed

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take rnnfast's weights: by its names, layer k as ``weight_ih_l{k}``, the head's as weight, bias."""
        raise NotImplementedError

    def first_losses(self, x: Array, y: Array, steps: int) -> list[float]:
        """Make so many steps on one batch: the loss before each."""
        raise NotImplementedError

    def epoch(self, x: Array, y: Array) -> Callable[[], object]:
        """What trains one epoch."""
        raise NotImplementedError


class Forecaster(Contender):
    """``train.fit`` of a ``models.Seq2Seq``."""

    def __init__(self, cell: str, sizes: Epoch, seed: int) -> None:
        super().__init__(cell, sizes, seed)
        self.model = models.Seq2Seq(
            1, sizes.hidden, sizes.outputs, num_layers=sizes.layers, cell=cell, seed=seed
        )

    def arrays(self) -> dict[str, Array]:
        """Copies of the weights, by the last parts of their names."""
        return {name.rpartition(".")[2]: p.value.copy() for name, p in self.model.named_parameters()}

    def first_losses(self, x: Array, y: Array, steps: int) -> list[float]:
        history = self._fit(x, y, epochs=steps)
        return [float(loss) for loss in history.history["loss"]]

    def epoch(self, x: Array, y: Array) -> Callable[[], object]:
        return lambda: self._fit(x, y, epochs=1)

    def _fit(self, x: Array, y: Array, epochs: int) -> train.History:
        return train.fit(
            self.model,
            (x, y),
            epochs=epochs,
            batch_size=self.sizes.batch,
            shuffle=True,
            clip_norm=None,
            seed=self.seed,
            verbose=0,
        )


class TorchForecaster(Contender):
    """The usual loop: a permutation, batches by index, zero_grad, backward, step."""

    def __init__(self, cell: str, sizes: Epoch, seed: int) -> None:
        super().__init__(cell, sizes, seed)
        torch = self._torch = importlib.import_module("torch")
        torch.manual_seed(seed)
        name, settings = MODULES[cell]
        kind = getattr(torch.nn, name)
        self._layers = kind(1, sizes.hidden, sizes.layers, batch_first=True, **settings)
        self._head = torch.nn.Linear(sizes.hidden, sizes.outputs)
        self._parameters = [*self._layers.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.Adam(self._parameters)

    def load(self, arrays: Mapping[str, Array]) -> None:
        tensors = {name: self._torch.from_numpy(array.copy()) for name, array in arrays.items()}
        head = ("weight", "bias")
        self._head.load_state_dict({name: tensors[name] for name in head})
        self._layers.load_state_dict({name: value for name, value in tensors.items() if name not in head})

    def first_losses(self, x: Array, y: Array, steps: int) -> list[float]:
        batch = self._torch.from_numpy(x), self._torch.from_numpy(y)
        return [float(self._step(*batch)) for _ in range(steps)]

    def epoch(self, x: Array, y: Array) -> Callable[[], object]:
        torch, batch = self._torch, self.sizes.batch
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)

        def one_epoch() -> float:
            order, total = torch.randperm(len(inputs)), 0.0
            for start in range(0, len(inputs), batch):
                chosen = order[start : start + batch]
                total += float(self._step(inputs[chosen], targets[chosen]))
            return total

        return one_epoch

    def _step(self, x: Any, y: Any) -> Any:
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._torch.nn.functional.mse_loss(self._head(self._layers(x)[0]), y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()


class KerasForecaster(Contender):
    """``model.fit`` of a Sequential model on JAX, compiled by Keras itself.

    LSTM and SimpleRNN have one bias where ours and PyTorch's have two, which Adam moves twice as far:
    after the first step the losses are alike, not the same.
    """

    band = 0.02

    def __init__(self, cell: str, sizes: Epoch, seed: int) -> None:
        super().__init__(cell, sizes, seed)
        keras = load_keras()
        keras.utils.set_random_seed(seed)
        layers = [keras_layer(keras, cell, sizes.hidden, "float32") for _ in range(sizes.layers)]
        self._layers, self._head = layers, keras.layers.Dense(sizes.outputs)
        self._model = keras.Sequential([keras.Input((sizes.steps, 1)), *layers, self._head])
        self._model.compile(optimizer=keras.optimizers.Adam(epsilon=1e-8), loss="mse")

    def load(self, arrays: Mapping[str, Array]) -> None:
        gates = ops.cells()[self.cell].gates
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for number, layer in enumerate(self._layers):
            own = {name: arrays[f"{name}_l{number}"] for name in names}
            layer.set_weights(weights_of(self.cell, gates, own))
        self._head.set_weights([arrays["weight"].T, arrays["bias"]])

    def first_losses(self, x: Array, y: Array, steps: int) -> list[float]:
        history = self._model.fit(x, y, batch_size=len(x), epochs=steps, shuffle=False, verbose=0)
        return [float(loss) for loss in history.history["loss"]]

    def epoch(self, x: Array, y: Array) -> Callable[[], object]:
        return lambda: self._model.fit(x, y, batch_size=self.sizes.batch, epochs=1, shuffle=True, verbose=0)
