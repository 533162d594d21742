"""What all modules share: flat buffers, edited weights, copies, state, tapes; Linear, Dropout, Sequential."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gradcheck import check_gradients
from problems import randomize, same_bits
from rnnfast import models, nn, optim, reference

Array = np.ndarray[Any, np.dtype[Any]]


def make_model(dtype: type = np.float32) -> nn.Sequential:
    return nn.Sequential(
        nn.GRU(3, 8, 2, dropout=0.2, seed=0, dtype=dtype),
        nn.Dropout(0.3, seed=1),
        nn.Linear(8, 2, seed=2, dtype=dtype),
    )


def test_sequential_gradients_are_central_differences() -> None:
    model = make_model(np.float64)
    randomize(model)
    random = np.random.default_rng(0)
    x, dy = random.standard_normal((3, 4, 3)), random.standard_normal((3, 4, 2))
    start = model.random_state()
    inputs = {"x": x, **model.state_dict()}
    _, tape = model.forward(x)
    gradients = {"x": model.backward(tape, dy)}
    gradients |= {name: parameter.grad.copy() for name, parameter in model.named_parameters()}

    def outputs(arrays: Mapping[str, Array]) -> tuple[Array]:
        model.load_state_dict({name: array for name, array in arrays.items() if name != "x"})
        model.set_random_state(start)
        return (model.forward(arrays["x"])[0],)

    check_gradients(outputs, (dy,), inputs, gradients)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 5, 3), (2, 2, 2, 3), (0, 3), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(variant: str, dtype: type, shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(3, 7, bias=bias, dtype=dtype, seed=0)
    randomize(layer)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    y, tape = layer.forward(x)
    expected = reference.linear(x, *layer.state_dict().values())
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    dx = layer.backward(tape, dy)
    assert dx.shape == shape
    flat_x, flat_dy = x.reshape(-1, 3).astype(np.float64), dy.reshape(-1, 7).astype(np.float64)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(dx.reshape(-1, 3), flat_dy @ layer.weight.data, rtol=0, atol=tolerance)
    np.testing.assert_allclose(layer.weight.grad, flat_dy.T @ flat_x, rtol=0, atol=tolerance)
    if layer.bias is not None:
        np.testing.assert_allclose(layer.bias.grad, flat_dy.sum(0), rtol=0, atol=tolerance)


def test_linear_rows_do_not_depend_on_their_batch(variant: str, dtype: type) -> None:
    layer = nn.Linear(33, 17, dtype=dtype, seed=0)
    x = np.random.default_rng(0).standard_normal((64, 33)).astype(dtype)
    y = layer(x)
    assert all(same_bits(layer(x[n : n + 1]), y[n : n + 1]) for n in range(64))


@pytest.mark.parametrize("shape", [(7,), (64, 7), (8, 9, 7), (3, 4, 5, 7), (0, 7), (2, 0, 7)], ids=str)
def test_dropout(dtype: type, shape: tuple[int, ...]) -> None:
    layer = nn.Dropout(0.25, seed=5)
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    y, tape = layer.forward(x)
    batch = shape[0] if len(shape) > 1 else 1
    mask = reference.dropout_mask((batch, int(np.prod(shape[1:-1])), 7), 0.25, seed=5, call=0).reshape(shape)
    np.testing.assert_allclose(y, x * mask, rtol=2 * np.finfo(dtype).eps)
    dx = layer.backward(tape, x)
    assert same_bits(dx, y)
    assert same_bits(layer(x), x)
    second, _ = layer.forward(x)
    if x.size > 20:
        assert not same_bits(second, y)


def test_dropout_of_rate_zero_passes_through() -> None:
    layer = nn.Dropout(0.0)
    x = np.ones((2, 3), np.float32)
    y, tape = layer.forward(x)
    assert same_bits(y, x)
    assert same_bits(layer.backward(tape, x), x)


def test_flatten_keeps_values_and_gradients() -> None:
    model = make_model()
    before = model.state_dict()
    for number, parameter in enumerate(model.parameters()):
        parameter.grad[...] = number
    versions = [parameter.version for parameter in model.parameters()]
    buffer = model.flatten()
    assert buffer is model.flatten()
    for parameter, version in zip(model.parameters(), versions, strict=True):
        assert parameter.version > version
        assert not parameter.unchanged_since(version)
    assert buffer.data.size == sum(parameter.size for parameter in model.parameters())
    assert all(same_bits(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    np.testing.assert_array_equal(buffer.data, np.concatenate([value.ravel() for value in before.values()]))
    numbers = [np.full(parameter.size, number) for number, parameter in enumerate(model.parameters())]
    np.testing.assert_array_equal(buffer.grad, np.concatenate(numbers))
    buffer.grad[0] = 77
    assert model.parameters()[0].grad.flat[0] == 77


def test_the_flat_buffer_moves_the_layers() -> None:
    model = make_model()
    x = np.ones((2, 5, 3), np.float32)
    buffer = model.flatten()
    before = model(x)
    buffer.data *= np.float32(0.5)
    buffer.version += 1
    assert not same_bits(before, model(x))
    buffer.data *= np.float32(2)
    buffer.version += 1
    assert same_bits(before, model(x))


def test_flatten_of_an_inner_module_is_seen_by_the_outer_one() -> None:
    model = make_model()
    outer = model.flatten()
    inner = model[0].flatten()
    assert model[0].parameters()[0].buffer is inner
    again = model.flatten()
    assert again is not outer
    assert all(parameter.buffer is again for parameter in model.parameters())


def test_flatten_refuses_two_dtypes() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=np.float64))
    with pytest.raises(TypeError, match=r"Sequential.flatten: .*float32.*float64 for 1.weight"):
        model.flatten()


def test_flatten_without_parameters() -> None:
    assert nn.Sequential(nn.Dropout(0.5)).flatten().data.size == 0


def edit_in_place(parameter: nn.Parameter) -> None:
    parameter.data[...] *= 0.5


def edit_by_assignment(parameter: nn.Parameter) -> None:
    parameter.data = parameter.data * 0.5


def edit_augmented(parameter: nn.Parameter) -> None:
    parameter.data *= 0.5


@pytest.mark.parametrize("edit", [edit_in_place, edit_by_assignment, edit_augmented])
def test_edited_weights_are_seen(cell: str, edit: Any) -> None:
    layer = nn.Recurrent(cell, 3, 4, seed=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    for parameter in layer.parameters():
        edit_by_assignment(parameter)
        parameter.data += 0.25
        before, _ = layer(x)
        edit(parameter)
        after, _ = layer(x)
        expected, _ = reference.recurrent_layers(cell, x, None, layer.state_dict())
        assert not np.array_equal(before, after)
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-12)


def test_an_array_kept_and_edited_later_is_seen(cell: str) -> None:
    """Packed weights must not go stale while anybody holds an array that writes to them, or a view of one."""
    layer = nn.Recurrent(cell, 3, 4, seed=0, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    kept = layer.weight_ih_l0.data.T[1:]
    for factor in (0.5, 0.25, -1.0):
        layer(x)
        kept *= factor
        expected, _ = reference.recurrent_layers(cell, x, None, layer.state_dict())
        np.testing.assert_allclose(layer(x)[0], expected, rtol=0, atol=1e-12)
        _, _, tape = layer.forward(x)
        kept *= 2.0
        with pytest.raises(RuntimeError, match=CHANGED):
            layer.backward(tape, np.ones((2, 5, 4)))


CHANGED = r"Recurrent.backward: .*weights have changed since forward; call forward again"


def change_by_optimizer(layer: nn.Recurrent) -> None:
    flat = layer.flatten()
    flat.grad[...] = 1
    optim.SGD(0.1).step(flat)


def change_by_loading(layer: nn.Recurrent) -> None:
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})


def change_last_bias(layer: nn.Recurrent) -> None:
    layer.bias_hh_l1_reverse.data[-1] += 1


@pytest.mark.parametrize("change", [change_by_optimizer, change_by_loading, change_last_bias])
def test_backward_refuses_weights_that_have_changed(cell: str, change: Any) -> None:
    layer = nn.Recurrent(cell, 3, 4, 2, bidirectional=True, seed=0)
    y, _, tape = layer.forward(np.ones((2, 5, 3), np.float32))
    before = layer.state_dict()
    change(layer)
    layer.zero_grad()
    with pytest.raises(RuntimeError, match=CHANGED):
        layer.backward(tape, y)
    assert not any(parameter.grad.any() for parameter in layer.parameters())
    layer.load_state_dict(before)
    layer.backward(tape, y)  # a refused call has not used the tape up


def read_and_let_go(layer: nn.Recurrent) -> None:
    assert all(np.isfinite(parameter.data).all() for parameter in layer.parameters())


def change_and_restore(layer: nn.Recurrent) -> None:
    before = layer.state_dict()
    change_by_loading(layer)
    layer.load_state_dict(before)


def lay_flat(layer: nn.Recurrent) -> None:
    layer.flatten()


@pytest.mark.parametrize("action", [read_and_let_go, change_and_restore, lay_flat])
@pytest.mark.parametrize("weight", [None, np.nan])
def test_backward_takes_the_same_weights_however_they_were_touched(
    cell: str, action: Any, weight: float | None
) -> None:
    results = []
    for touched in (False, True):
        layer = nn.Recurrent(cell, 3, 4, seed=0)
        if weight is not None:  # a diverged model is no changed model
            layer.weight_hh_l0.data[0, 0] = weight
            action = lay_flat
        y, _, tape = layer.forward(np.ones((2, 5, 3), np.float32))
        kept = [parameter.data for parameter in layer.parameters()] if touched else []
        if touched:
            action(layer)
        results.append(layer.backward(tape, np.ones_like(y))[0])
        assert len(kept) in (0, len(layer.parameters()))
    assert same_bits(*results)


def test_packed_weights_that_were_handed_out_never_change() -> None:
    """Other threads and open tapes use them: a change of the parameters makes new ones."""
    layer = nn.GRU(3, 4, seed=0)
    old = layer._stack.packed()[1][0]
    bits = old.packed(False).tobytes()
    layer.weight_hh_l0.data = 7
    new = layer._stack.packed()[1][0]
    assert new is not old
    assert new.packed(False).tobytes() != bits
    assert old.packed(False).tobytes() == bits


def test_packed_weights_are_kept_while_nothing_changes() -> None:
    layer = nn.GRU(3, 4, seed=0)
    packed = layer._stack.packed()[1][0]
    assert layer._stack.packed()[1][0] is packed
    shape = layer.weight_ih_l0.data.shape  # looked at, and let go
    assert shape == (12, 3)
    assert layer._stack.packed()[1][0] is layer._stack.packed()[1][0]


def test_parameter_version_tells_of_changes() -> None:
    parameter = nn.Parameter(np.ones(3))
    version = parameter.version
    assert parameter.unchanged_since(version)
    kept = parameter.data[:2]
    assert not parameter.unchanged_since(version)
    assert not parameter.unchanged_since(parameter.version)
    del kept
    assert parameter.unchanged_since(parameter.version)
    assert not parameter.unchanged_since(version)
    parameter.buffer.version += 1
    assert parameter.version > version


def test_parameter_refuses() -> None:
    with pytest.raises(TypeError, match=r"Parameter: data .*got int64"):
        nn.Parameter(np.arange(3))
    parameter = nn.Parameter(np.ones((2, 3)))
    for attribute in ("data", "grad"):
        with pytest.raises(ValueError, match=rf"Parameter.{attribute}: .*\(2, 3\), got \(3,\)"):
            setattr(parameter, attribute, np.ones(3))
    parameter.data = 4
    assert (parameter.data == 4).all()


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies_are_whole_and_apart(duplicate: Any) -> None:
    model = make_model()
    x = np.ones((2, 5, 3), np.float32)
    flat = model.flatten()
    expected = model(x)
    twin = duplicate(model)
    assert same_bits(expected, twin(x))
    assert twin.random_state() == model.random_state()
    twin_flat = twin.flatten()
    assert twin_flat is not flat
    twin_flat.data *= np.float32(0.5)
    twin_flat.version += 1
    assert not same_bits(expected, twin(x))
    assert same_bits(expected, model(x))


def test_state_dict_holds_copies_and_goes_back() -> None:
    model = make_model()
    state = model.state_dict()
    x = np.ones((2, 5, 3), np.float32)
    before = model(x)
    for value in state.values():
        value *= 2
    assert same_bits(before, model(x))
    model.load_state_dict(state)
    assert not same_bits(before, model(x))
    assert all(same_bits(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))


def test_load_state_dict_lists_all_that_is_wrong_and_changes_nothing() -> None:
    layer = nn.GRU(3, 4, seed=0)
    state = layer.state_dict()
    before = layer.state_dict()
    state = {name: value + 1 for name, value in state.items()}
    state["weight_hh_l1"] = state.pop("weight_hh_l0")
    state["bias_ih_l0"] = state["bias_ih_l0"][:5]
    state["bias_hh_l0"] = np.zeros(12, np.int32)
    with pytest.raises(ValueError, match=r"GRU\.load_state_dict") as caught:
        layer.load_state_dict(state)
    text = str(caught.value)
    assert "weight_hh_l0 is missing" in text
    assert "weight_hh_l1 is left over" in text
    assert "bias_ih_l0 must have shape (12,), got (5,)" in text
    assert "bias_hh_l0 must be floating-point, got int32" in text
    assert all(same_bits(a, b) for a, b in zip(before.values(), layer.state_dict().values(), strict=True))


def test_random_state_goes_back_and_refuses_other_names() -> None:
    model = make_model()
    x = np.ones((2, 5, 3), np.float32)
    state = model.random_state()
    assert set(state) == {"0.counter.seed", "0.counter.call", "1.counter.seed", "1.counter.call"}
    first, _ = model.forward(x)
    model.set_random_state(state)
    assert same_bits(first, model.forward(x)[0])
    with pytest.raises(ValueError, match=r"Sequential.set_random_state: .*got \['0.counter.seed'\]"):
        model.set_random_state({"0.counter.seed": 3})


def test_a_shared_module_counts_once() -> None:
    linear = nn.Linear(4, 4, seed=0)
    model = nn.Sequential(linear, linear)
    assert len(model.parameters()) == 2
    x = np.ones((2, 4), np.float32)
    _, tape = model.forward(x)
    model.backward(tape, x)
    assert linear.weight.grad.any()


def test_summary_counts_parameters() -> None:
    lines = make_model().summary().splitlines()
    assert lines[0] == "Sequential"
    assert lines[1].split() == ["0.weight_ih_l0", "(24,", "3)", "72"]
    assert lines[-1].split() == ["total", str(sum(p.size for p in make_model().parameters()))]


# Tapes.


def modules() -> list[tuple[nn.Module, Array]]:
    x = np.ones((2, 5, 3), np.float32)
    return [
        (nn.Linear(3, 3, seed=0), x),
        (nn.Dropout(0.5, seed=0), x),
        (nn.GRU(3, 3, seed=0), x),
        (nn.Sequential(nn.Linear(3, 3)), x),
    ]


@pytest.mark.parametrize("index", range(4), ids=["linear", "dropout", "gru", "sequential"])
def test_a_tape_is_used_once_by_its_own_module(index: int) -> None:
    module, x = modules()[index]
    stranger, _ = modules()[index]
    name = type(module).__name__
    y, tape = module.chain_forward(x, True)
    with pytest.raises(RuntimeError, match=rf"{name}.backward: tape .*own"):
        stranger.chain_backward(tape, y)
    with pytest.raises(ValueError, match=r"backward: dy .*got \(2, 5, 4\)"):
        module.chain_backward(tape, np.ones((2, 5, 4), np.float32))
    if not isinstance(module, nn.Sequential):
        module.chain_backward(tape, y)  # a refused call has not used the tape up
    with pytest.raises(RuntimeError, match=rf"{name}.backward: tape .*once"):
        module.chain_backward(tape, y)
    with pytest.raises(RuntimeError, match=rf"{name}.backward: tape .*None"):
        module.chain_backward(module.chain_forward(x, False)[1], y)


def test_two_tapes_may_be_open_at_once(cell: str) -> None:
    layer = nn.Recurrent(cell, 3, 4, 2, dropout=0.5, seed=0)
    random = np.random.default_rng(0)
    inputs = [random.standard_normal((2, 5, 3)).astype(np.float32) for _ in range(2)]
    apart = []
    for x in inputs:
        y, _, tape = layer.forward(x)
        apart.append(layer.backward(tape, y)[0])
    layer.set_random_state({"counter.seed": 0, "counter.call": 0})
    open_at_once = [layer.forward(x) for x in inputs]
    for (y, _, tape), expected in reversed(list(zip(open_at_once, apart, strict=True))):
        assert same_bits(layer.backward(tape, y)[0], expected)


@pytest.mark.parametrize("values", [None, 1j, "x", [None]])
def test_values_that_are_no_real_numbers_are_refused(values: Any) -> None:
    """None would be cast to NaN: `p.grad = None` clears gradients elsewhere."""
    layer = nn.GRU(2, 3, seed=0)
    before = layer.weight_ih_l0.value.copy()
    for attribute in ("grad", "data"):
        with pytest.raises(TypeError, match=rf"Parameter\.{attribute}: values must be real numbers, got "):
            setattr(layer.weight_ih_l0, attribute, values)
    assert same_bits(layer.weight_ih_l0.value, before)
    assert not layer.weight_ih_l0.grad.any()


def test_arguments_of_backward_in_another_order_are_named() -> None:
    layer = nn.GRU(2, 3, seed=0)
    y, _, tape = layer.forward(np.ones((1, 2, 2), np.float32))
    with pytest.raises(TypeError, match=r"GRU\.backward: tape must be what forward.* returned, got ndarray"):
        layer.backward(y, tape)  # type: ignore[arg-type]


# Gradients without dx.


def without_dx() -> list[tuple[nn.Module, Array]]:
    # More than eight samples: narrow layers form their gradients by groups.
    x = np.random.default_rng(0).standard_normal((11, 6, 3)).astype(np.float32)
    return [
        (nn.LSTM(3, 5, 2, bidirectional=True, input_dropout=0.3, seed=0), x),
        (nn.GRU(3, 20, 2, trainable_state=True, recompute=2, seed=0), x),
        (nn.Sequential(nn.RNN(3, 5, layer_norm="split", seed=0), nn.Linear(5, 2, seed=1)), x),
        (nn.Sequential(nn.Linear(3, 5, seed=0)), x),
        (nn.Sequential(), x),
        (models.Seq2Seq(3, 5, 2, cell="lstm", seed=0), x),
        (models.Seq2Vec(3, 5, 2, seed=0), x),
        (models.Seq2Seq(3, 5, 2, conv={"channels": 4, "kernel_size": 2}, seed=0), x),
        (nn.GRU(3, 160, seed=0), x),  # not narrow
    ]


@pytest.mark.parametrize("index", range(9))
def test_gradients_of_parameters_are_the_same_without_dx(index: int) -> None:
    module, x = without_dx()[index]
    buffer, masks = module.flatten(), module.random_state()
    y, tape = module.chain_forward(x, True)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    module.chain_backward(tape, dy)
    expected = buffer.grad.copy()
    assert np.abs(expected).min(initial=1) > 0
    buffer.grad.fill(0)
    module.set_random_state(masks)
    _, tape = module.chain_forward(x, True)
    assert module.accumulate_gradients(tape, dy) is None
    assert same_bits(buffer.grad, expected)


@pytest.mark.parametrize("of", ["class", "instance"])
@pytest.mark.parametrize("method", ["backward", "chain_backward"])
@pytest.mark.parametrize("kind", [nn.GRU, nn.Sequential, models.Seq2Seq])
def test_a_method_of_ones_own_is_called_in_training(kind: type[Any], method: str, of: str) -> None:
    """It may do more than add gradients, and knows of no dx that may be left out."""
    calls: list[str] = []

    def own(self: Any, tape: Any, dy: Any) -> Any:
        calls.append(method)
        return getattr(kind, method)(self, tape, dy)

    child = type("Child", (kind,), {method: own} if of == "class" else {})
    module = (
        child(nn.Linear(3, 2, seed=0)) if kind is nn.Sequential else child(3, 2, *[2][: kind is not nn.GRU])
    )
    if of == "instance":
        vars(module)[method] = own.__get__(module)
    y, tape = module.chain_forward(np.ones((2, 4, 3), np.float32), True)
    module.accumulate_gradients(tape, y)
    assert calls == [method]
