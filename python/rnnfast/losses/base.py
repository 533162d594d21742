"""What all losses share: checks, the mask, the mean over unmasked elements and its gradient.

A loss is called as `value, dprediction = loss(prediction, target, mask=None)`. The value is summed in
float64, the gradient keeps the dtype of the prediction. Shapes are never broadcast against each other: `(N,
1)` against `(N,)` is an error, not an N by N loss.

A mask is boolean, True where an element counts. Its axes are the leading axes of the target's: `(N,)`, `(N,
T)` or `(N, T, F)`; missing axes and axes of length 1 are broadcast. Prediction and target may hold anything,
NaN too, where the mask is False. With nothing left to average, value and gradient are 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from rnnfast import ops
from rnnfast.backend import array_namespace

Array = np.ndarray[Any, np.dtype[Any]]
LossFunction = Callable[
    ..., tuple[float, Array]
]  # called with (prediction, target) or (prediction, target, mask)


def broadcast_mask(operation: str, mask: Array, shape: tuple[int, ...]) -> tuple[Array, int]:
    """Give a mask the missing trailing axes of `shape`, and count the elements of that shape that it selects.

    Args:
        operation: who asks, for the error text.
        mask: bool, its axes the leading axes of `shape` (or of length 1).
        shape: shape of the elements that the mask selects from.

    Returns:
        (mask with len(shape) axes, number of elements selected).

    Raises:
        TypeError: if the mask is no array, or not boolean.
        ValueError: if its axes are not the leading axes of `shape`.
    """
    check_array(operation, "mask", mask)
    if mask.dtype != bool:
        raise TypeError(
            f"{operation}: mask must be bool, True where an element counts, got {mask.dtype}; pass mask != 0"
        )
    if mask.ndim > len(shape) or any(
        got not in (1, size) for got, size in zip(mask.shape, shape, strict=False)
    ):
        raise ValueError(
            f"{operation}: mask must have the leading axes of {shape} (or length 1 there), got {mask.shape}"
        )
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    repeats = math.prod(size for got, size in zip(mask.shape, shape, strict=True) if got == 1)
    return mask, int(mask.sum()) * repeats


def check_array(operation: str, name: str, value: Any) -> None:
    """Raise TypeError, naming the argument, for what is no array: a list, a number."""
    if not (hasattr(value, "dtype") and hasattr(value, "shape")):
        raise TypeError(
            f"{operation}: {name} must be an array, got {type(value).__name__}; pass np.asarray({name})"
        )


class Loss(ABC):
    """Base of the losses: a subclass gives the terms of the mean and their derivatives."""

    def __call__(self, prediction: Array, target: Array, mask: Array | None = None) -> tuple[float, Array]:
        """Compute the mean and its gradient.

        Args:
            prediction: float32 or float64, shape as the class says.
            target: shape as the class says; another float dtype is cast to the prediction's.
            mask: bool, leading axes of the target, True where an element counts; None counts all.

        Returns:
            (value, dprediction): value a float; dprediction like prediction, 0 where masked.

        Raises:
            TypeError: something that is no array, prediction not floating point, target of the wrong kind,
                mask not boolean.
            ValueError: shapes that do not belong together.
        """
        return self._evaluate(prediction, target, mask, gradient=True)

    def value(self, prediction: Array, target: Array, mask: Array | None = None) -> float:
        """The mean alone, as `loss(prediction, target, mask)[0]`, without the work for the gradient."""
        return self._evaluate(prediction, target, mask, gradient=False)[0]

    def _evaluate(
        self, prediction: Array, target: Array, mask: Array | None, *, gradient: bool
    ) -> tuple[float, Any]:  # without `gradient` anything, or None, is in its place
        name = type(self).__name__
        plain = type(prediction) is np.ndarray and type(target) is np.ndarray  # the common case, in few words
        if not plain:
            check_array(name, "prediction", prediction)
            check_array(name, "target", target)
        xp = np if plain else array_namespace(prediction)
        if prediction.dtype.char not in "fd":
            raise TypeError(f"{name}: prediction must be float32 or float64, got {prediction.dtype}")
        target = self._prepared(prediction, target)
        keep, count = None, target.size
        if mask is not None:
            keep, count = broadcast_mask(name, mask, target.shape)
        if count == 0:
            return 0.0, xp.zeros_like(prediction)
        if plain and prediction.dtype.isnative and (term := self._element_term()) is not None:
            if keep is not None:
                keep = np.broadcast_to(keep, target.shape)
            total, slopes = ops.element_loss(
                term[0],
                prediction,
                target,
                mask=keep,
                scale=1.0 / count,
                parameter=term[1],
                slopes=gradient,
            )
            return total / count, slopes
        if keep is not None:
            target = _zero_where_masked(xp, keep, target)  # a class number of -100 must not be looked up
        terms, slopes = self._terms_and_slopes(xp, prediction, target, gradient)
        if keep is not None:  # chosen, not multiplied: a NaN times zero would still be NaN
            terms, slopes = _zero_where_masked(xp, keep, terms), _zero_where_masked(xp, keep, slopes)
        count *= terms.size // target.size
        if gradient:
            slopes *= 1.0 / count
        return float(terms.sum(dtype=np.float64)) / count, slopes

    def _prepared(self, prediction: Array, target: Array) -> Array:
        return float_target(type(self).__name__, prediction, target, prediction.shape)

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        names = ("_terms_and_slopes", "_element_term")
        terms, element = (next(k for k, of in enumerate(cls.__mro__) if name in vars(of)) for name in names)
        if terms < element:  # other terms than those that the kernel was named for
            cls._element_term = Loss._element_term  # type: ignore[method-assign]

    def _element_term(self) -> tuple[str, float | None] | None:
        """Loss and parameter of `ops.element_loss`, where that has these terms: NumPy arrays go its way."""
        return None

    @abstractmethod
    def _terms_and_slopes(
        self, xp: Any, prediction: Array, target: Array, gradient: bool
    ) -> tuple[Array, Array]:
        """The terms of the mean, and d(term)/d(prediction) in a fresh array (anything without `gradient`)."""


def float_target(name: str, prediction: Array, target: Array, shape: tuple[int, ...]) -> Array:
    """Return the target in the prediction's dtype, after checking its kind and its shape."""
    if target.dtype != prediction.dtype:
        if target.dtype.kind != "f":
            classes = target.dtype.kind in "iu" and target.ndim < len(shape)
            raise TypeError(
                f"{name}: target must be floating point, got {target.dtype}; "
                f"pass target.astype(np.{prediction.dtype})"
                + (", or loss='cross_entropy' for class numbers" if classes else "")
            )
        target = target.astype(prediction.dtype)
    if target.shape != shape:
        raise ValueError(
            f"{name}: target must have shape {shape} for a prediction of {prediction.shape}, "
            f"got {target.shape}"
        )
    return target


def _zero_where_masked(xp: Any, keep: Array, values: Array) -> Array:
    keep = keep.reshape(keep.shape + (1,) * (values.ndim - keep.ndim))
    shown: Array = xp.where(keep, values, values.dtype.type(0))
    return shown
