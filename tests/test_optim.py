"""Optimizers against plain float64 formulas and against torch; schedules against torch; clipping; state."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from rnnfast import nn, optim
from rnnfast.nn.buffer import ParameterBuffer

SIZE = 1003  # no multiple of any vector width
STEPS = 12
# Rounding of some steps, relative to the way gone; parameters begin small, so that they do not hide it.
TOLERANCE = {np.float64: 1e-13, np.float32: 2e-6}


def gradients(dtype, steps=STEPS):
    rng = np.random.default_rng(3)
    scales = 10.0 ** rng.integers(-3, 2, SIZE)
    return [(rng.normal(size=SIZE) * scales).astype(dtype) for _ in range(steps)]


def start(dtype):
    return np.random.default_rng(4).normal(0, 1e-2, SIZE).astype(dtype)


def plain_sgd(lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    velocity = None
    parameter = None
    while True:
        parameter, gradient, _ = yield parameter
        gradient = gradient + weight_decay * parameter
        velocity = gradient if velocity is None else momentum * velocity + gradient
        parameter = parameter - lr * (gradient + momentum * velocity if nesterov else velocity)


def plain_rmsprop(lr, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
    square = velocity = 0.0
    parameter = None
    while True:
        parameter, gradient, _ = yield parameter
        gradient = gradient + weight_decay * parameter
        square = alpha * square + (1 - alpha) * gradient**2
        velocity = momentum * velocity + gradient / (np.sqrt(square) + eps)
        parameter = parameter - lr * velocity


def plain_adam(lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    first = second = 0.0
    parameter = None
    while True:
        parameter, gradient, step = yield parameter
        if decoupled:
            parameter = parameter * (1 - lr * weight_decay)
        else:
            gradient = gradient + weight_decay * parameter
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        corrected = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        parameter = parameter - lr * corrected[0] / (np.sqrt(corrected[1]) + eps)


def plain_nadam(lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3):
    first = second = 0.0
    parameter = None
    while True:
        parameter, gradient, step = yield parameter
        gradient = gradient + weight_decay * parameter
        factors = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, step + 2)]
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        ahead = factors[-1] * first / (1 - math.prod(factors))
        direct = (1 - factors[-2]) * gradient / (1 - math.prod(factors[:-1]))
        parameter = parameter - lr * (ahead + direct) / (np.sqrt(second / (1 - betas[1] ** step)) + eps)


CASES = [
    (optim.SGD, plain_sgd, {"lr": 0.1}),
    (optim.SGD, plain_sgd, {"lr": 0.1, "weight_decay": 0.03}),
    (optim.SGD, plain_sgd, {"lr": 0.05, "momentum": 0.95}),
    (optim.SGD, plain_sgd, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.RMSprop, plain_rmsprop, {"lr": 0.01}),
    (
        optim.RMSprop,
        plain_rmsprop,
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.8, "weight_decay": 0.05, "eps": 1e-3},
    ),
    (optim.Adam, plain_adam, {"lr": 0.01}),
    (optim.Adam, plain_adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.05}),
    (optim.AdamW, plain_adam, {"lr": 0.01, "weight_decay": 0.1}),
    (optim.Nadam, plain_nadam, {"lr": 0.01}),
    (
        optim.Nadam,
        plain_nadam,
        {"lr": 0.01, "weight_decay": 0.05, "momentum_decay": 0.1, "betas": (0.8, 0.9)},
    ),
]


def run(optimizer, dtype, grad_scale=1.0, lrs=None):
    buffer = ParameterBuffer(start(dtype))
    for number, gradient in enumerate(gradients(dtype)):
        if lrs is not None:
            optimizer.lr = lrs[number]
        buffer.grad[:] = gradient
        optimizer.step(buffer, grad_scale=grad_scale)
        np.testing.assert_array_equal(buffer.grad, gradient)
    assert buffer.version == STEPS
    assert buffer.data.dtype == dtype
    return buffer.data


def assert_close(got, expected, dtype):
    assert np.abs(got - expected).max() <= TOLERANCE[dtype] * np.abs(expected - start(dtype)).max()


@pytest.mark.parametrize("grad_scale", [1.0, 0.25])
@pytest.mark.parametrize(("kind", "plain", "settings"), CASES)
def test_against_plain_formulas(kind, plain, settings, dtype, grad_scale):
    extra = {"decoupled": True} if kind is optim.AdamW else {}
    rule = plain(**settings, **extra)
    next(rule)
    expected = start(dtype).astype(np.float64)
    for step, gradient in enumerate(gradients(dtype), start=1):
        expected = rule.send((expected, grad_scale * gradient.astype(np.float64), step))
    got = run(kind(**settings), dtype, grad_scale)
    assert np.abs(got - start(dtype)).max() > 0.01
    assert_close(got, expected, dtype)


@pytest.mark.parametrize(("kind", "plain", "settings"), CASES)
def test_against_torch(kind, plain, settings, dtype):
    torch = pytest.importorskip("torch")
    peer = {"Nadam": "NAdam"}.get(kind.__name__, kind.__name__)
    weight = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    optimizer = getattr(torch.optim, peer)([weight], **settings)
    lrs = [settings["lr"] * 0.9**number for number in range(STEPS)]
    for gradient, lr in zip(gradients(dtype), lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    # torch keeps Nadam's product of momentum factors in float32, whatever the parameters are.
    tolerance_of = np.float32 if kind is optim.Nadam else dtype
    assert_close(run(kind(**settings), dtype, lrs=lrs), weight.detach().numpy(), tolerance_of)


def test_defaults_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for kind, peer in [
        (optim.SGD, "SGD"),
        (optim.RMSprop, "RMSprop"),
        (optim.Adam, "Adam"),
        (optim.AdamW, "AdamW"),
        (optim.Nadam, "NAdam"),
    ]:
        defaults = getattr(torch.optim, peer)([torch.nn.Parameter(torch.zeros(1))]).defaults
        beta1, beta2 = defaults.pop("betas", (None, None))
        defaults.update(beta1=beta1, beta2=beta2)
        assert kind().settings == {name: defaults[name] for name in kind().settings}


def test_optimizers_by_name():
    classes = [optim.SGD, optim.RMSprop, optim.Adam, optim.AdamW, optim.Nadam]
    for kind in classes:
        made = optim.get(kind.__name__.lower())
        assert type(made) is kind
        assert made.settings == kind().settings
    given = optim.SGD(0.1)
    assert optim.get(given) is given
    assert optim.get("adam") is not optim.get("adam")
    with pytest.raises(ValueError, match=r"one of sgd, rmsprop, adam, adamw, nadam or .*, got 'adan'"):
        optim.get("adan")
    with pytest.raises(TypeError, match=r"optim.get: optimizer must be a name or an optimizer, got <class"):
        optim.get(optim.Adam)


@pytest.mark.parametrize(("kind", "plain", "settings"), CASES)
def test_state_dict_continues_with_the_same_bits(kind, plain, settings):
    expected = run(kind(**settings), np.float32)
    given = gradients(np.float32)
    first = kind(**settings)
    buffer = ParameterBuffer(start(np.float32))
    for gradient in given[:5]:
        buffer.grad[:] = gradient
        first.step(buffer)
    state, parameter = first.state_dict(), buffer.data.copy()
    first.step(buffer)  # what follows must not depend on this object any more
    second = kind(**settings)
    second.load_state_dict(state)
    assert second.steps == 5
    buffer = ParameterBuffer(parameter)
    for gradient in given[5:]:
        buffer.grad[:] = gradient
        second.step(buffer)
    np.testing.assert_array_equal(buffer.data, expected)


def test_learning_rate_travels_with_the_state():
    optimizer = optim.SGD(0.1)
    optimizer.lr = 0.025
    fresh = optim.SGD(0.1)
    fresh.load_state_dict(optimizer.state_dict())
    assert fresh.lr == 0.025


def test_state_of_something_else_is_refused():
    state = optim.Adam(0.1).state_dict()
    with pytest.raises(ValueError, match=r"SGD.load_state_dict: state must be of SGD, got Adam"):
        optim.SGD(0.1).load_state_dict(state)
    with pytest.raises(ValueError, match=r"Adam.load_state_dict: settings must be .*0.1.*, got .*0.2"):
        optim.Adam(0.2).load_state_dict(state)
    stepped = optim.Adam(0.1)
    stepped.step(ParameterBuffer(np.ones(3)))
    lacking = stepped.state_dict()
    del lacking["moments"]["second_moment"]
    with pytest.raises(
        ValueError, match=r"moments must be \['first_moment', 'second_moment'\], got \['first_moment'\]"
    ):
        optim.Adam(0.1).load_state_dict(lacking)
    fresh = optim.Adam(0.1)
    fresh.load_state_dict(stepped.state_dict())
    with pytest.raises(
        ValueError, match=r"first_moment must be float64 of shape \(4,\).*got float64 of \(3,\)"
    ):
        fresh.step(ParameterBuffer(np.ones(4)))


def test_an_optimizer_serves_one_buffer():
    optimizer = optim.SGD(0.1, momentum=0.9)
    first, second = ParameterBuffer(np.ones(3)), ParameterBuffer(np.ones(3))
    optimizer.step(first)
    optimizer.step(first)
    with pytest.raises(ValueError, match=r"SGD.step: buffer must be the one of the first step"):
        optimizer.step(second)
    assert second.version == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optim.SGD(0.0), r"SGD: lr must be in \(0, inf\), got 0.0"),
        (lambda: optim.Adam(-1), r"Adam: lr must be in \(0, inf\), got -1"),
        (lambda: optim.Adam(math.nan), r"Adam: lr must be"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"SGD: momentum must be in \[0, 1\), got 1.0"),
        (lambda: optim.SGD(0.1, nesterov=True), r"SGD: nesterov must come with momentum > 0"),
        (lambda: optim.AdamW(betas=(0.9, 1.0)), r"AdamW: betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: optim.RMSprop(eps=-1e-8), r"RMSprop: eps must be in \[0, inf\)"),
        (lambda: optim.Nadam(momentum_decay=-1), r"Nadam: momentum_decay must be"),
        (lambda: optim.StepLR(0), r"StepLR: step_size must be at least 1, got 0"),
        (lambda: optim.StepLR(1, gamma=1.1), r"StepLR: gamma must be in \(0, 1\], got 1.1"),
        (lambda: optim.CosineLR(0), r"CosineLR: epochs must be"),
        (lambda: optim.ReduceLROnPlateau(mode="low"), r"mode must be 'min' or 'max', got 'low'"),
        (
            lambda: optim.ReduceLROnPlateau(threshold_mode="x"),
            r"threshold_mode must be 'rel' or 'abs', got 'x'",
        ),
        (lambda: optim.ReduceLROnPlateau(factor=1.0), r"factor must be in \(0, 1\), got 1.0"),
    ],
)
def test_settings_out_of_range(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_settings_of_the_wrong_kind():
    with pytest.raises(TypeError, match=r"Adam: lr must be a number, got '1e-3'"):
        optim.Adam("1e-3")


def curve(kind):
    rng = np.random.default_rng(5)
    falling = np.exp(-np.arange(60) / 8) + 0.02 * rng.random(60)
    return falling if kind == "min" else 1 - falling


@pytest.mark.parametrize("settings", [
    {"mode": "min", "patience": 3},
    {"mode": "min", "patience": 0, "threshold": 0.02},
    {"mode": "max", "patience": 2, "factor": 0.5, "threshold": 0.01},
    {"mode": "min", "patience": 1, "cooldown": 3, "min_lr": 1e-4},
    {"mode": "max", "patience": 1, "threshold": 0.01, "threshold_mode": "abs", "eps": 1e-4},
])  # fmt: skip
def test_plateau_against_torch(settings):
    torch = pytest.importorskip("torch")
    peer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    peer_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(peer, **settings)
    optimizer = optim.SGD(0.1)
    schedule = optim.ReduceLROnPlateau("loss", **settings)
    seen = set()
    for value in curve(settings["mode"]):
        peer_schedule.step(value)
        schedule.step(optimizer, {"loss": value})
        assert optimizer.lr == peer.param_groups[0]["lr"]
        seen.add(optimizer.lr)
    assert len(seen) > 2


def test_plateau_by_hand():
    optimizer = optim.SGD(1.0)
    schedule = optim.ReduceLROnPlateau("loss", factor=0.5, patience=2, cooldown=1, min_lr=0.2)
    lrs = []
    for value in (1.0, 0.99995, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5):
        schedule.step(optimizer, {"loss": value})
        lrs.append(optimizer.lr)
    # Not better by 1e-4: bad epochs 1, 2, 3 → halved; one epoch of cooldown; 1, 2, 3 → halved; better;
    # cooled; 1, 2, 3 → floor.
    assert lrs == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2]


def test_plateau_leaves_out_what_is_too_small():
    optimizer = optim.SGD(1e-3)
    schedule = optim.ReduceLROnPlateau("loss", patience=0, eps=1e-4)
    lrs = []
    for _ in range(4):
        schedule.step(optimizer, {"loss": 1.0})
        lrs.append(optimizer.lr)
    assert lrs == [1e-3, 1e-4, 1e-4, 1e-4]


def test_step_and_cosine():
    optimizer = optim.SGD(0.8)
    schedule = optim.StepLR(2, gamma=0.5)
    lrs = [optimizer.lr]
    for _ in range(5):
        schedule.step(optimizer, {})
        lrs.append(optimizer.lr)
    assert lrs == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]
    optimizer = optim.SGD(0.8)
    schedule = optim.CosineLR(4, min_lr=0.2)
    lrs = [optimizer.lr]
    for _ in range(5):
        schedule.step(optimizer, {})
        lrs.append(optimizer.lr)
    half = 0.6 * math.sqrt(0.5) / 2
    np.testing.assert_allclose(lrs, [0.8, 0.5 + half, 0.5, 0.5 - half, 0.2, 0.2], rtol=1e-15)


@pytest.mark.parametrize("make", [
    lambda: optim.ReduceLROnPlateau("loss", patience=1, cooldown=2),
    lambda: optim.StepLR(3),
    lambda: optim.CosineLR(30, min_lr=1e-3),
])  # fmt: skip
def test_schedule_state_continues(make):
    whole, optimizer = make(), optim.SGD(0.1)
    resumed, other = make(), optim.SGD(0.1)
    for number, value in enumerate(curve("min")[:30]):
        whole.step(optimizer, {"loss": value})
        resumed.step(other, {"loss": value})
        assert other.lr == optimizer.lr
        fresh = make()
        assert number == 0 or fresh.state_dict() != resumed.state_dict()
        fresh.load_state_dict(resumed.state_dict())
        resumed = fresh
    with pytest.raises(ValueError, match=r"load_state_dict: state must be of"):
        whole.load_state_dict({"_what": 1})


def test_clip_by_global_norm(dtype):
    buffer = ParameterBuffer(np.zeros(SIZE, dtype), gradients(dtype)[0].copy())
    norm = np.linalg.norm(buffer.grad.astype(np.float64))
    expected = buffer.grad.astype(np.float64) * (0.5 / (norm + 1e-6))
    assert optim.clip_global_norm(buffer, 0.5) == pytest.approx(norm, rel=1e-12)
    np.testing.assert_allclose(buffer.grad, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)
    untouched = buffer.grad.copy()
    optim.clip_global_norm(buffer, 0.6)
    np.testing.assert_array_equal(buffer.grad, untouched)


def test_clip_by_global_norm_against_torch():
    torch = pytest.importorskip("torch")
    gradient = gradients(np.float64)[0]
    weight = torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
    weight.grad = torch.from_numpy(gradient.copy())
    norm = torch.nn.utils.clip_grad_norm_([weight], 0.7).item()
    buffer = ParameterBuffer(np.zeros(SIZE), gradient.copy())
    assert optim.clip_global_norm(buffer, 0.7) == pytest.approx(norm, rel=1e-13)
    np.testing.assert_allclose(buffer.grad, weight.grad.numpy(), rtol=1e-13)


def test_clip_by_value():
    buffer = ParameterBuffer(np.zeros(4), np.array([-3.0, -0.1, 0.2, 7.0]))
    optim.clip_value(buffer, 0.5)
    np.testing.assert_array_equal(buffer.grad, [-0.5, -0.1, 0.2, 0.5])


def test_clipping_refuses_bad_bounds_and_nan():
    buffer = ParameterBuffer(np.zeros(2), np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"the gradient's norm must be finite, got nan"):
        optim.clip_global_norm(buffer, 1.0)
    assert buffer.grad[0] == 1.0
    with pytest.raises(ValueError, match=r"clip_global_norm: max_norm must be positive, got 0"):
        optim.clip_global_norm(buffer, 0)
    with pytest.raises(ValueError, match=r"clip_value: limit must be positive, got -1"):
        optim.clip_value(buffer, -1)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optim.StepLR(2.7), r"StepLR: step_size must be an int, got 2\.7"),
        (lambda: optim.CosineLR(2.0), r"CosineLR: epochs must be an int, got 2\.0"),
        (
            lambda: optim.ReduceLROnPlateau(patience=1.5),
            r"ReduceLROnPlateau: patience must be an int, got 1\.5",
        ),
        (lambda: optim.ReduceLROnPlateau(cooldown=True), r"ReduceLROnPlateau: cooldown must be an int"),
    ],
)
def test_counts_of_epochs_are_whole_numbers(make, text):
    with pytest.raises(TypeError, match=text):
        make()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("make", [lambda: optim.SGD(0.1, momentum=0.9), lambda: optim.Nadam(0.1)])
def test_a_copy_of_an_optimizer_steps_as_the_original(make, duplicate):
    model, optimizer = nn.Linear(3, 2, seed=0), make()
    buffer = model.flatten()
    buffer.grad[:] = np.arange(8)
    optimizer.step(buffer)
    twin, copied = duplicate((model, optimizer))
    other = twin.flatten()
    for pair in ((optimizer, buffer), (copied, other)):
        pair[1].grad[:] = np.arange(8)[::-1]
        pair[0].step(pair[1])
    np.testing.assert_array_equal(other.data, buffer.data)
    assert copied.steps == optimizer.steps == 2
    with pytest.raises(ValueError, match=r"the moments belong to the first model"):
        copied.step(buffer)


@pytest.mark.parametrize(
    "given", [[], np.zeros(3), nn.Linear(2, 1, seed=0)], ids=lambda given: type(given).__name__
)
def test_what_is_no_buffer_is_refused(given: object) -> None:
    """Before and after the first step."""
    buffer, optimizer = nn.Linear(2, 1, seed=0).flatten(), optim.SGD(0.1)
    for _ in range(2):
        with pytest.raises(TypeError, match=r"^SGD\.step: buffer must be a flat one, got .*model\.flatten"):
            optimizer.step(given)  # type: ignore[arg-type]
        optimizer.step(buffer)
    assert optimizer.steps == 2
