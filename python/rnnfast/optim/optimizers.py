"""SGD, RMSprop, Adam, AdamW, Nadam. Update rules, defaults and the place of weight decay are PyTorch's.

g is the gradient times `grad_scale`, plus weight_decay · p (but for AdamW, which shrinks p by lr ·
weight_decay instead), t the step, counted from 1. Not here: the fused kernels (``ops``).
"""

from __future__ import annotations

from rnnfast import ops
from rnnfast.backend import array_namespace

from .optimizer import Array, Optimizer, check_range


class SGD(Optimizer):
    """Stochastic gradient descent: v ← μ v + g; p ← p - lr v, with Nesterov p ← p - lr (g + μ v).

    v is g at the first step.

    Args:
        lr: learning rate.
        momentum: μ in [0, 1).
        nesterov: look ahead; needs momentum.
        weight_decay: added to g as weight_decay · p.

    Raises:
        ValueError: for a setting out of range, or nesterov without momentum.

    Example:
        >>> from rnnfast import nn, optim
        >>> model = nn.Linear(2, 1, seed=0)
        >>> optim.SGD(0.1, momentum=0.9).step(model.flatten())

    Reference:
        Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    def __init__(
        self, lr: float = 1e-3, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        self.momentum = check_range("SGD", "momentum", momentum, low=0.0, high=1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov must come with momentum > 0, got momentum=0")
        self.moments = ("velocity",) if self.momentum else ()
        super().__init__(lr, weight_decay=weight_decay, momentum=self.momentum, nesterov=self.nesterov)

    def _update(self, data: Array, grad: Array, grad_scale: float) -> None:
        ops.sgd(
            data,
            grad,
            self._arrays.get("velocity"),
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            grad_scale=grad_scale,
        )


class RMSprop(Optimizer):
    """RMSprop: s ← a s + (1 - a) g²; u = g / (√s + eps); p ← p - lr u, a = alpha.

    With momentum v ← μ v + u; p ← p - lr v.

    Args:
        lr: learning rate.
        alpha: in [0, 1), memory of the squares.
        eps: keeps the quotient finite.
        momentum: μ in [0, 1).
        weight_decay: added to g as weight_decay · p.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import nn, optim
        >>> model = nn.Linear(2, 1, seed=0)
        >>> optim.RMSprop(1e-2).step(model.flatten())

    Reference:
        Tieleman & Hinton, Lecture 6.5, 2012.
    """

    def __init__(
        self,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        self.alpha = check_range("RMSprop", "alpha", alpha, low=0.0, high=1.0)
        self.eps = check_range("RMSprop", "eps", eps, low=0.0)
        self.momentum = check_range("RMSprop", "momentum", momentum, low=0.0, high=1.0)
        self.moments = ("square_average", "velocity") if self.momentum else ("square_average",)
        super().__init__(
            lr, weight_decay=weight_decay, alpha=self.alpha, eps=self.eps, momentum=self.momentum
        )

    def _update(self, data: Array, grad: Array, grad_scale: float) -> None:
        ops.rmsprop(
            data,
            grad,
            self._arrays["square_average"],
            self._arrays.get("velocity"),
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            grad_scale=grad_scale,
        )


class Adam(Optimizer):
    """Adam: m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; p ← p - lr m̂ / (√v̂ + eps).

    m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).

    Args:
        lr: learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: added to g as weight_decay · p.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import nn, optim
        >>> model = nn.Linear(2, 1, seed=0)
        >>> optim.Adam(1e-3).step(model.flatten())

    Reference:
        Kingma & Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.
    """

    moments = ("first_moment", "second_moment")
    decoupled = False

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        name = type(self).__name__
        self.beta1 = check_range(name, "betas[0]", betas[0], low=0.0, high=1.0)
        self.beta2 = check_range(name, "betas[1]", betas[1], low=0.0, high=1.0)
        self.eps = check_range(name, "eps", eps, low=0.0)
        super().__init__(lr, weight_decay=weight_decay, beta1=self.beta1, beta2=self.beta2, eps=self.eps)

    def _update(self, data: Array, grad: Array, grad_scale: float) -> None:
        ops.adam(
            data,
            grad,
            self._arrays["first_moment"],
            self._arrays["second_moment"],
            lr=self.lr,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            step=self.steps,
            grad_scale=grad_scale,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: p ← p (1 - lr · weight_decay), then Adam's step with g as it is.

    Args:
        lr: learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: share of p that a step at lr = 1 would take away.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import nn, optim
        >>> model = nn.Linear(2, 1, seed=0)
        >>> optim.AdamW(1e-3, weight_decay=0.1).step(model.flatten())

    Reference:
        Loshchilov & Hutter, Decoupled weight decay regularization, 2019, algorithm 2.
    """

    decoupled = True

    def __init__(
        self,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(lr, betas=betas, eps=eps, weight_decay=weight_decay)


class Nadam(Adam):
    """Adam with Nesterov momentum: p ← p - lr [(1 - μ_t) g / (1 - Πμ) + μ_u m / (1 - Πμ μ_u)] / (√v̂ + eps).

    u = t + 1, μ_t = β₁ (1 - 0.96^(t · momentum_decay) / 2), Πμ = μ_1 ⋯ μ_t; m and v as in Adam.

    Args:
        lr: learning rate.
        betas: (β₁, β₂), each in [0, 1).
        eps: keeps the quotient finite.
        weight_decay: added to g as weight_decay · p.
        momentum_decay: how fast μ_t rises to β₁.

    Raises:
        ValueError: for a setting out of range.

    Example:
        >>> from rnnfast import nn, optim
        >>> model = nn.Linear(2, 1, seed=0)
        >>> optim.Nadam(2e-3).step(model.flatten())

    Reference:
        Dozat, Incorporating Nesterov momentum into Adam, 2016.
    """

    def __init__(
        self,
        lr: float = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
    ) -> None:
        super().__init__(lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self.momentum_decay = check_range("Nadam", "momentum_decay", momentum_decay, low=0.0)
        self.settings["momentum_decay"] = self.momentum_decay
        self._scalars["momentum_product"] = 1.0

    def _update(self, data: Array, grad: Array, grad_scale: float) -> None:
        # Array expressions, unlike the others: the mix of g and m is no case of the Adam kernel.
        xp = array_namespace(data)
        first, second = self._arrays["first_moment"], self._arrays["second_moment"]
        now, following = (
            self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))
            for step in (self.steps, self.steps + 1)
        )
        product = self._scalars["momentum_product"] * now
        self._scalars["momentum_product"] = product
        gradient = grad * grad_scale
        if self.weight_decay:
            gradient += self.weight_decay * data
        first *= self.beta1
        first += (1 - self.beta1) * gradient
        second *= self.beta2
        second += (1 - self.beta2) * (gradient * gradient)
        root = xp.sqrt(second / (1 - self.beta2**self.steps))
        root += self.eps
        gradient *= self.lr * (1 - now) / (1 - product)
        gradient += (self.lr * following / (1 - product * following)) * first
        gradient /= root
        data -= gradient
