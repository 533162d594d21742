"""Convolution over time and the stack of gated causal convolutions of a WaveNet.

Axes: N batch, T steps, C channels in, O channels out, K taps, S skip channels, Q features of a condition, L
layers. Not here: heads, which are affine maps (``formulas.linear``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .formulas import Array, linear, sigmoid


def conv1d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    dilation: int = 1,
    stride: int = 1,
    padding: str = "causal",
) -> Array:
    """y[n, j, o] = b[o] + Σ_k Σ_c W[o, c, k] x[n, s j + k d - offset, c]; x is zero before its first step.

    Args:
        x: shape (N, T, C).
        weight: shape (O, C, K).
        bias: shape (O,), None for zero.
        dilation: d.
        stride: s, 1 with causal padding.
        padding: "causal", offset (K - 1) d and T_out = T; or "valid", offset 0 and
            T_out = (T - (K - 1) d - 1) // s + 1.

    Returns:
        y, shape (N, T_out, O), float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1)
        >>> weight = np.array([1.0, 10.0]).reshape(1, 1, 2)
        >>> reference.conv1d(x, weight, dilation=2).ravel().tolist()
        [10.0, 20.0, 41.0, 82.0]
        >>> reference.conv1d(x, weight, stride=2, padding="valid").ravel().tolist()
        [21.0, 84.0]

    Reference:
        van den Oord et al., WaveNet: a generative model for raw audio, 2016.
    """
    taps = weight.shape[2]
    reach = dilation * (taps - 1)
    x = np.asarray(x, np.float64)
    if padding == "causal":
        x = np.concatenate([np.zeros((x.shape[0], reach, x.shape[2])), x], axis=1)
    stop = x.shape[1] - reach  # the first tap of the last output lies before this step
    y = sum(linear(x[:, k * dilation : k * dilation + stop : stride], weight[:, :, k]) for k in range(taps))
    return np.asarray(y if bias is None else y + np.asarray(bias, np.float64))


def wavenet_stack(
    x: Array, layers: Sequence[Mapping[str, Array]], dilations: Sequence[int], condition: Array | None = None
) -> Array:
    """f, g = W ∗ x_l + V u + b; z = tanh(f)∘σ(g); x_{l+1} = x_l + W_r z + b_r; y = Σ_l (W_s z + b_s).

    Args:
        x: x_0, shape (N, T, C).
        layers: of each layer weight (2C, C, K), filters above gates, bias (2C,), weight_condition (2C, Q),
            weight_residual (C, C), bias_residual (C,), weight_skip (S, C) and bias_skip (S,); the residual of
            the last layer is not read, nor is weight_condition without a condition.
        dilations: one for each layer.
        condition: u, shape (N, T, Q), or (N, 1, Q) where it holds over time.

    Returns:
        y, the sum of the skips, shape (N, T, S), float64.

    Example:
        >>> import numpy as np
        >>> from rnnfast import reference
        >>> layer = {"weight": np.ones((2, 1, 2)), "bias": np.zeros(2)}
        >>> layer |= {"weight_skip": np.full((1, 1), 2.0), "bias_skip": np.ones(1)}
        >>> y = reference.wavenet_stack(np.ones((1, 2, 1)), [layer], [1])
        >>> [round(float(v), 3) for v in y.ravel()]
        [2.114, 2.698]

    Reference:
        van den Oord et al., WaveNet: a generative model for raw audio, 2016, equation 2 and figure 4.
    """
    skips = np.zeros((*x.shape[:2], len(layers[0]["bias_skip"])))
    for number, (own, dilation) in enumerate(zip(layers, dilations, strict=True)):
        sums = conv1d(x, own["weight"], own["bias"], dilation=dilation)
        if condition is not None:
            sums = sums + linear(condition, own["weight_condition"])
        f, g = np.split(sums, 2, axis=2)
        z = np.tanh(f) * sigmoid(g)
        skips += linear(z, own["weight_skip"], own["bias_skip"])
        if number < len(layers) - 1:
            x = x + linear(z, own["weight_residual"], own["bias_residual"])
    return skips
