"""Losses that are a mean over elements: the sum of their terms and the slopes in one pass."""

from __future__ import annotations

import sys
from numbers import Real

import numpy as np

from rnnfast import _core

from .arrays import Array, check_array, check_float, contiguous

# Of every loss what its parameter must be, and the bound that it is below; 0: it has none.
_PARAMETERS = {
    "squared": ("None", 0.0),
    "absolute": ("None", 0.0),
    "huber": ("positive and finite", sys.float_info.max),
    "quantile": ("in (0, 1)", 1.0),
}


def element_loss(
    loss: str,
    prediction: Array,
    target: Array,
    *,
    mask: Array | None = None,
    scale: float = 1.0,
    parameter: float | None = None,
    slopes: bool = True,
) -> tuple[float, Array | None]:
    """Σ term(d) over the elements and scale · d term / d prediction of each, with d = prediction − target.

    Args:
        loss: "squared", d²; "absolute", |d|; "huber", d²/2 where |d| ≤ δ and δ (|d| − δ/2) elsewhere;
            "quantile", max(−q d, (1 − q) d). Slopes at kinks are 0.
        prediction: float32 or float64, any shape.
        target: like the prediction.
        mask: bool, of that shape, False where an element does not count and may hold anything; None: all do.
        scale: factor of the slopes.
        parameter: δ > 0 of "huber", q in (0, 1) of "quantile"; the others have none.
        slopes: whether they are wanted.

    Returns:
        (sum, slopes): of terms in the prediction's dtype, summed in float64; like the prediction, or None.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    where = "element_loss"
    rule = _PARAMETERS.get(loss) if isinstance(loss, str) else None
    if rule is None:
        raise ValueError(f"{where}: loss must be one of {', '.join(_PARAMETERS)}, got {loss!r}")
    words, most = rule
    for name, value in (("parameter", parameter), ("scale", scale)):
        if not isinstance(value, Real) and (name == "scale" or value is not None):
            raise TypeError(f"{where}: {name} must be a number, got {value!r}")
    if (parameter is None) != (most == 0) or (parameter is not None and not 0 < parameter < most):
        raise ValueError(f"{where}: parameter of {loss} must be {words}, got {parameter}")
    check_float(where, "prediction", prediction)
    check_array(where, "target", target, prediction.shape, prediction.dtype)
    if mask is not None:
        check_array(where, "mask", mask, prediction.shape, np.dtype(bool))
    return _core.element_loss(
        loss,
        0.0 if parameter is None else float(parameter),
        contiguous(prediction),
        contiguous(target),
        None if mask is None else contiguous(mask),
        float(scale),
        bool(slopes),
    )
