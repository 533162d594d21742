"""The gradients of a model against central differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradcheck import check_gradients
from rnnfast import models

Array = np.ndarray[Any, np.dtype[Any]]


def check_model(model: models.Model, x: Array, seed: int = 3, **inputs: Any) -> None:
    """Assert that `backward` gives the gradients of x and of all parameters, at random values of these.

    The masks are those of the first call. Parameters without elements have no gradient to be checked.
    """
    random = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data = 0.5 * random.standard_normal(parameter.shape)
    start = model.random_state()
    arrays = {name: array for name, array in {"x": x, **model.state_dict()}.items() if array.size}
    y, tape = model.forward(x, **inputs)
    dy = random.standard_normal(y.shape)
    gradients = {"x": model.backward(tape, dy)}
    gradients |= {name: parameter.grad.copy() for name, parameter in model.named_parameters()}

    def outputs(changed: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict(
            {name: changed.get(name, parameter.data) for name, parameter in model.named_parameters()}
        )
        model.set_random_state(start)
        return (model.forward(changed["x"], **inputs)[0],)

    check_gradients(outputs, (dy,), arrays, {name: gradients[name] for name in arrays})
