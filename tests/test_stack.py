"""Stacks of layers in one call: what the layers and directions give one by one, to the bit."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import rnnfast
from problems import same_bits
from rnnfast import nn, ops

Array = np.ndarray[Any, np.dtype[Any]]
N, T, INPUTS, H, LAYERS = 5, 7, 3, 6, 3


def gradients_of(weights: ops.RecurrentWeights) -> list[str]:
    """The names of the weights in the order of their gradients."""
    names = [field[1:] for field in ops.RecurrentGradients._fields[3:]]
    return [name for name in names if name in weights.arrays()]


class Case:
    """Weights, options and gradients of a stack; `seed` numbers in place of random masks."""

    def __init__(
        self,
        cell: str,
        dtype: type,
        directions: int,
        *,
        sizes: tuple[int, int, int] = (N, INPUTS, H),
        steps: int = T,
        layer_norm: str | None = None,
        projection: int = 0,
        **options: Any,
    ) -> None:
        self.random, self.dtype = np.random.default_rng(0), dtype
        self.directions, self.info = directions, ops.cells()[cell]
        batch, inputs, hidden = sizes
        self.hidden, self.size = hidden, projection or hidden  # of h
        count, outputs = LAYERS * directions, self.size * directions
        rows, units = len(self.info.gates) * hidden, len(self.info.unit_weights) * hidden
        split, joint = layer_norm == "split", layer_norm == "joint"
        wanted = {
            "weight_ch": units,
            "gamma_ih": split * rows,
            "gamma_hh": split * rows,
            "gamma_c": split * self.info.output_state * hidden,
            "beta_c": split * self.info.output_state * hidden,
            "gamma": joint * rows,
            "beta": joint * rows,
        }
        self.weights = [
            ops.RecurrentWeights(
                cell,
                self.array(rows, outputs if k >= directions else inputs),
                self.array(rows, self.size),
                self.array(rows),
                self.array(rows),
                layer_norm=layer_norm,
                weight_hr=self.array(projection, hidden) if projection else None,
                **{name: self.array(size) for name, size in wanted.items() if size},
            )
            for k in range(count)
        ]
        self.x, self.dy = self.array(batch, steps, inputs), self.array(batch, steps, outputs)
        plain = ops.StackCall(
            self.weights,
            state=[self.states(batch) for _ in range(count)],
            reset_state=[self.states() for _ in range(count)],
            lengths=np.resize([steps, 0, 3, steps, 1], batch),
            resets=self.random.random((batch, steps)) < 0.2,
            input_masks=[self.array(batch, 1, inputs), None, self.array(batch, steps, outputs)],
            hidden_masks=[self.array(batch, self.size) for _ in range(count)],
            zoneout=[None] * count,
            recompute=0,
            time_major=False,
        )
        self.call = plain._replace(**options)
        self.dstate = [self.states(batch) for _ in range(count)]
        self.weight_masks = [self.array(rows, self.size) if k % 2 else None for k in range(count)]

    def array(self, *shape: int) -> Array:
        return self.random.standard_normal(shape).astype(self.dtype)

    def states(self, *axes: int) -> tuple[Array, ...]:
        """One array for each state of one direction."""
        return tuple(self.array(*axes, self.hidden if s else self.size) for s in range(len(self.info.states)))

    def targets(self) -> list[list[Array]]:
        fixed = np.random.default_rng(1)
        return [
            [
                fixed.standard_normal(weights.arrays()[name].shape).astype(self.dtype)
                for name in gradients_of(weights)
            ]
            for weights in self.weights
        ]

    def together(self, targets: list[list[Array]] | None = None) -> list[Array]:
        ys, finals, _, tape = ops.stack_forward(self.call, self.x, memory=ops.TapeMemory())
        assert tape is not None
        targets = self.targets() if targets is None else targets
        words: Any = {"targets": targets, "weight_masks": self.weight_masks, "bound": 0.7}
        dx, dstate, dreset = ops.stack_backward(tape, self.dy, self.dstate, with_reset_state=True, **words)
        return [*ys, *finals, dx, *dstate, *dreset, *(array for own in targets for array in own)]

    def one_by_one(self) -> list[Array]:
        call, x, ys, tapes, finals = self.call, self.x, [], [], []
        for layer in range(LAYERS):
            mask = call.input_masks[layer]
            x = x if mask is None else x * mask
            parts = []
            for k in range(layer * self.directions, (layer + 1) * self.directions):
                assert call.state is not None
                assert call.reset_state is not None
                y, final, tape = ops.recurrent_forward(
                    self.weights[k],
                    x,
                    call.state[k],
                    reverse=k % self.directions == 1,
                    training=True,
                    lengths=call.lengths,
                    resets=call.resets,
                    reset_state=call.reset_state[k],
                    hidden_mask=call.hidden_masks[k],
                    recompute=call.recompute,
                )
                parts.append(y)
                tapes.append(tape)
                finals.append(final)
            x = np.concatenate(parts, axis=2)
            ys.append(x)
        dy, targets, found = self.dy, self.targets(), {}
        for layer in reversed(range(LAYERS)):
            dxs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                part = dy[:, :, direction * H : (direction + 1) * H]
                found[k] = ops.recurrent_backward(self.weights[k], tapes[k], part, self.dstate[k], bound=0.7)
                gradients = [gradient for gradient in found[k][3:] if gradient is not None]
                if self.weight_masks[k] is not None:
                    gradients[1] *= self.weight_masks[k]
                for target, gradient in zip(targets[k], gradients, strict=True):
                    target += gradient
                dxs.append(found[k].dx)
            dy = sum(dxs[1:], start=dxs[0])
            mask = call.input_masks[layer]
            dy = dy if mask is None else dy * mask
        by_k = [found[k] for k in range(len(found))]
        states = [
            [np.stack(arrays) for arrays in zip(*of_k, strict=True)]
            for of_k in (finals, [g.dstate for g in by_k], [g.dreset_state for g in by_k])
        ]
        return [*ys, *states[0], dy, *states[1], *states[2], *(a for own in targets for a in own)]


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("recompute", [0, 3])
def test_a_stack_is_its_layers_one_by_one(
    cell: str, dtype: type, variant: str, directions: int, recompute: int
) -> None:
    case = Case(cell, dtype, directions, recompute=recompute)
    for found, expected in zip(case.together(), case.one_by_one(), strict=True):
        assert same_bits(found, expected)


# N, I, H: products that are narrow, that have few inputs, that are packed, with x and h' in one vector, and
# those of a step with more rows than a block is deep; the last layers have sums of groups of samples.
SIZES = [(N, INPUTS, H), (N, 5, 70), (3, 41, 33), (1400, 41, 17), (19, INPUTS, H)]


def added_options(cell: str) -> list[dict[str, Any]]:
    """None, tapes made again, and options with weights of their own, as far as the cell has them."""
    info = ops.cells()[cell]
    norms: list[dict[str, Any]] = [{"layer_norm": norm} for norm in info.layer_norms]
    return [{}, {"recompute": 3}, *norms, *([{"projection": 4}] if info.projectable else [])]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gradients_are_added_to_what_stands_in_their_place(
    cell: str, dtype: type, variant: str, sizes: tuple[int, int, int]
) -> None:
    """When they are complete: to the bit the gradients that zeros are given, added."""
    for options in added_options(cell)[: 2 if sizes[0] > 100 else None]:
        case = Case(cell, dtype, 1, sizes=sizes, **options)
        starts, found = case.targets(), case.targets()
        from_zero = [list(map(np.zeros_like, own)) for own in starts]
        case.together(found)
        case.together(from_zero)
        for k, weights in enumerate(case.weights):
            for name, *arrays in zip(gradients_of(weights), found[k], starts[k], from_zero[k], strict=True):
                array, start, gradient = arrays
                assert same_bits(array, start + gradient), name


def test_directions_at_once_give_the_bits_of_one_thread(cell: str, dtype: type, variant: str) -> None:
    """Enough operations for a thread each; on four threads one direction follows the other."""
    for options in added_options(cell):
        case = Case(cell, dtype, 2, sizes=(19, 41, 40), **options)
        rnnfast.set_num_threads(1)
        expected = case.together()
        for count in (2, 4, 2):
            rnnfast.set_num_threads(count)
            assert all(map(same_bits, case.together(), expected)), options


def test_directions_that_share_a_gradient_add_to_it_in_turn() -> None:
    case = Case("gru", np.float32, 2, sizes=(2, 400, 200))

    def shared() -> list[list[Array]]:
        targets = case.targets()
        for layer in range(LAYERS):
            targets[2 * layer + 1][0] = targets[2 * layer][0]  # of weight_ih
        return targets

    rnnfast.set_num_threads(1)
    expected = case.together(shared())
    rnnfast.set_num_threads(2)
    for _ in range(20):
        assert all(map(same_bits, case.together(shared()), expected))


# N, I, H and whether there are options: steps of one sample taken together, samples of one thread, and two
# groups of samples, of which the second is small.
WAVES = [((1, INPUTS, 50), False), ((1, 60, 50), False), ((5, INPUTS, 24), True), ((10, 70, 24), True)]


def waves(cell: str, dtype: type) -> Iterator[Case]:
    for sizes, with_options in WAVES:
        for options in added_options(cell):
            # A product with a mask between layers would be NumPy's.
            options["input_masks"] = [None] * LAYERS
            if not with_options:
                options |= {"lengths": None, "resets": None, "hidden_masks": [None] * LAYERS}
            yield Case(cell, dtype, 1, sizes=sizes, steps=37, **options)


def test_layers_in_a_wave_give_the_gradients_of_one_thread(cell: str, dtype: type, variant: str) -> None:
    """And all values. With options and without; tapes that are made again follow one another."""
    for case in waves(cell, dtype):
        rnnfast.set_num_threads(1)
        expected = case.together()
        for count in (2, 4):
            rnnfast.set_num_threads(count)
            assert all(map(same_bits, case.together(), expected)), case.x.shape


@pytest.mark.parametrize("sizes", [(1, INPUTS, 50), (2, INPUTS, 50), (5, INPUTS, 100)], ids=str)
def test_a_wave_ends_where_no_sample_runs_to_the_last_step(
    cell: str, variant: str, sizes: tuple[int, int, int]
) -> None:
    """Layers take steps in other portions, by their inputs and masks."""
    masks = [None, np.ones((sizes[0], sizes[2]), np.float32), None]
    for hidden_masks in ([None] * LAYERS, masks):
        case = Case(cell, np.float32, 1, sizes=sizes, steps=90, input_masks=[None] * LAYERS, resets=None)
        for longest in (0, 1, 83):
            lengths = np.full(sizes[0], longest)
            case.call = case.call._replace(lengths=lengths, hidden_masks=hidden_masks)
            rnnfast.set_num_threads(1)
            expected = case.together()
            rnnfast.set_num_threads(2)
            assert all(map(same_bits, case.together(), expected)), longest


def test_layers_at_inference_take_two_arrays_by_turns() -> None:
    layer = nn.GRU(INPUTS, 20, num_layers=6, seed=0)
    x = np.zeros((8, 2000, INPUTS), np.float32)
    for count in (1, 2):
        rnnfast.set_num_threads(count)
        tracemalloc.start()
        y, _ = layer(x)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert 2 * y.nbytes <= peak <= 2.5 * y.nbytes, count


def test_gradients_of_inputs_take_two_arrays_by_turns() -> None:
    """Beside that of x."""
    layer, grown = nn.GRU(INPUTS, 20, num_layers=8, seed=0), []
    x = np.zeros((8, 1000, INPUTS), np.float32)
    for count in (1, 2):
        rnnfast.set_num_threads(count)
        y, _, tape = layer.forward(x)
        tracemalloc.start()
        layer.backward(tape, y)
        grown.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert 2 * y.nbytes <= grown[-1] <= 3 * y.nbytes, count


def test_layers_that_share_a_gradient_add_to_it_in_turn() -> None:
    """In a wave one with a mask (the second) would add to it behind the others."""
    case = Case("gru", np.float32, 1, sizes=(2, 40, 40), steps=60, input_masks=[None] * LAYERS)

    def shared() -> list[list[Array]]:
        first, second, third = case.targets()
        return [[first[0], second[1], *first[2:]], second, third]  # of weight_hh

    rnnfast.set_num_threads(1)
    expected = case.together(shared())
    rnnfast.set_num_threads(2)
    assert all(map(same_bits, case.together(shared()), expected))


def test_the_layout_of_memory_changes_nothing() -> None:
    case = Case("lstm", np.float32, 2)
    expected = case.together()

    def spread(array: Array) -> Array:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]

    assert case.call.state is not None
    for x in (spread(case.x), np.asfortranarray(case.x), case.x[::-1].copy()[::-1]):
        case.x = x
        assert all(map(same_bits, case.together(), expected))
    case.dy, case.dstate = spread(case.dy), [tuple(map(spread, parts)) for parts in case.dstate]
    case.call = case.call._replace(
        state=[tuple(map(spread, parts)) for parts in case.call.state],
        hidden_masks=[spread(mask) for mask in case.call.hidden_masks if mask is not None],
    )
    assert all(map(same_bits, case.together(), expected))
    case.call = case.call._replace(time_major=True)
    assert all(map(same_bits, case.together(), expected))


def test_sequences_lie_in_the_order_of_the_caller() -> None:
    for time_major in (False, True):
        # A product with a mask would be an array of NumPy's.
        case = Case("gru", np.float32, 1, time_major=time_major, input_masks=[None] * LAYERS)
        x = np.ascontiguousarray(case.x.transpose(1, 0, 2)).transpose(1, 0, 2) if time_major else case.x
        ys, _, _, tape = ops.stack_forward(case.call, x, memory=ops.TapeMemory())
        assert tape is not None
        dx, _, _ = ops.stack_backward(tape, None, targets=case.targets(), weight_masks=case.weight_masks)
        for array in (*ys, dx):
            assert (array.transpose(1, 0, 2) if time_major else array).flags.c_contiguous
            assert array.ctypes.data % 64 == 0


def test_inference_keeps_the_last_layer_alone() -> None:
    case = Case("lstm", np.float32, 1)
    (y,), finals, every, tape = ops.stack_forward(case.call, case.x)
    assert (tape, every) == (None, [])
    ys, same, every, _ = ops.stack_forward(case.call, case.x, return_states=True)
    assert [len(ys), len(every), len(every[0])] == [LAYERS, LAYERS, 1]
    assert same_bits(y, ys[-1])
    assert all(map(same_bits, finals, same))


def test_memory_of_tapes_is_used_again() -> None:
    case, memory = Case("gru", np.float32, 2), ops.TapeMemory()
    for _ in range(2):
        tape = ops.stack_forward(case.call, case.x, memory=memory)[3]
        assert tape is not None
        assert not memory._spare
        ops.stack_backward(tape, case.dy, targets=case.targets(), weight_masks=case.weight_masks)
        assert len(memory._spare) == 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "axes": ({"x": np.zeros((N, INPUTS), np.float32)}, "x must have 3 axes"),
    "list": ({"x": [1.0]}, "x must be a NumPy array, got list"),
    "dtype": ({"x": np.zeros((N, T, INPUTS))}, "x must be float32, got float64"),
    "state": ({"state": [(np.zeros((N, H + 1), np.float32),)] * LAYERS}, "state h must have"),
    "states": (
        {"state": [(np.zeros((N, H), np.float32),)]},
        "state must be as many .* 3, got 1",
    ),
    "lengths": ({"lengths": np.array([T + 1] * N)}, r"lengths must be in 0\.\.T"),
    "mask dtype": (
        {"input_masks": [np.ones((N, 1, INPUTS)), None, None]},
        "input_masks must be float32",
    ),
    "mask samples": (
        {"input_masks": [None, np.ones((N + 1, 1, H), np.float32), None]},
        "input_masks must have shape",
    ),
    "mask steps": (
        {"input_masks": [None, np.ones((N, T + 1, H), np.float32), None]},
        "input_masks must have",
    ),
    "hidden": (
        {"hidden_masks": [np.ones((N, H), np.float64)] * LAYERS},
        "hidden_mask must be float32",
    ),
    "no layers": (
        {"input_masks": []},
        "weights must be of one or two directions of every layer",
    ),
    "settings": ({"zoneout": [None]}, "zoneout must be as many .* 3, got 1"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_forward_refuses(name: str) -> None:
    changes, message = WRONG[name]
    case = Case("gru", np.float32, 1)
    x = changes.get("x", case.x)
    call = case.call._replace(**{key: value for key, value in changes.items() if key != "x"})
    for memory in (None, ops.TapeMemory()):
        with pytest.raises((TypeError, ValueError), match=f"^stack_forward: .*{message}"):
            ops.stack_forward(call, x, memory=memory)


def test_a_mask_cannot_make_samples_of_one() -> None:
    """NumPy would spread a batch of one over the mask's samples."""
    case = Case("gru", np.float32, 1, state=None, reset_state=None, lengths=None, resets=None)
    call = case.call._replace(
        input_masks=[None, np.ones((4, T, H), np.float32), None], hidden_masks=[None] * LAYERS
    )
    with pytest.raises(ValueError, match="stack_forward: input_masks must have shape"):
        ops.stack_forward(call, case.x[:1], memory=ops.TapeMemory())


def test_backward_refuses() -> None:
    case = Case("gru", np.float32, 1)
    tape = ops.stack_forward(case.call, case.x, memory=ops.TapeMemory())[3]
    assert tape is not None
    words: Any = {"targets": case.targets(), "weight_masks": case.weight_masks}
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        ([1.0], {}, "dy must be a NumPy array, got list"),
        (case.dy[0], {}, "dy must have 3 axes"),
        (case.dy.astype(np.float64), {}, "dy must be float32"),
        (case.dy[:, :-1], {}, "dy must have shape"),
        (case.dy, {"dstate": case.dstate[:-1]}, "dstate must be as many as there are weights, 3, got 2"),
        (case.dy, {"dstate": [(np.zeros((N + 1, H), np.float32),)] * LAYERS}, "dstate must have shape"),
        (case.dy, {"bound": 0.0}, "bound must be above 0"),
        (case.dy, {"bound": 1e-50}, "bound must be above 0 in the .* got 1e-50"),  # 0 in float32
        (case.dy, {"targets": case.targets()[:-1]}, "targets must be as many as there are weights, 3, got 2"),
        (case.dy, {"targets": [own[:-1] for own in case.targets()]}, r"targets\[0\]\[3\] .* got none"),
        (case.dy, {"targets": [[*own, own[0]] for own in case.targets()]}, "must be 4 arrays, got 5"),
        (case.dy, {"dstate": [()] * LAYERS}, "dstate must have one array per state, 1, got 0"),
        (case.dy, {"weight_masks": [3.0] * LAYERS}, "weight_masks must be arrays or None, got float"),
        (case.dy, {"weight_masks": [None]}, "weight_masks must be as many as there are weights, 3, got 1"),
    ]
    for dy, changes, message in wrong:
        with pytest.raises((TypeError, ValueError), match=f"^stack_backward: .*{message}"):
            ops.stack_backward(tape, dy, **(words | changes))
        assert not tape.used
    with pytest.raises(TypeError, match=r"stack_backward: tape must be that of stack_forward, got tuple"):
        ops.stack_backward((tape,), case.dy, **words)  # type: ignore[arg-type]
    ops.stack_backward(tape, case.dy, **words)
    assert tape.used
    with pytest.raises(RuntimeError, match="stack_backward: tape was used before"):
        ops.stack_backward(tape, case.dy, **words)


def test_weights_that_do_not_fit_together_are_refused() -> None:
    case, other = Case("gru", np.float32, 1), Case("gru", np.float64, 1)
    for second, message in (
        (case.weights[0], "must have 6 inputs, got float32 gru of 3 inputs and 6 units"),
        (other.weights[1], "must be of the cell, .* got float64 gru of .* behind float32 gru of 3 inputs"),
    ):
        weights = [case.weights[0], second, case.weights[2]]
        with pytest.raises(ValueError, match=rf"^stack_forward: weights\[1\] {message}"):
            ops.stack_forward(case.call._replace(weights=weights), case.x)


def test_targets_are_checked_before_the_tape_is_used() -> None:
    case = Case("gru", np.float32, 1)
    tape = ops.stack_forward(case.call, case.x, memory=ops.TapeMemory())[3]
    assert tape is not None
    targets = case.targets()
    first = targets[0][0]
    before = [array.copy() for own in targets for array in own]
    for wrong, got in (
        (as_strided(first, writeable=False), "read-only float32"),
        (first.astype(np.float64), "float64 of shape"),
        (first.T, "strided float32"),
        (first[:-1], "float32 of shape"),
        (None, "NoneType"),
    ):
        targets[0][0] = wrong
        rule = rf"^stack_backward: targets\[0\]\[0\] must be a writable, contiguous array.*, got {got}"
        with pytest.raises(ValueError, match=rule):
            ops.stack_backward(tape, case.dy, targets=targets, weight_masks=case.weight_masks)
    targets[0][0] = first
    for argument, wrong_words in (
        ("targets", {"targets": None}),
        (r"targets\[1\]", {"targets": [targets[0], first, *targets[2:]]}),
        ("weight_masks", {"weight_masks": first}),
    ):
        words: Any = {"targets": targets, "weight_masks": case.weight_masks, "name": "asked", **wrong_words}
        with pytest.raises(TypeError, match=f"^asked: {argument} must be a list or tuple, got "):
            ops.stack_backward(tape, case.dy, **words)
    with pytest.raises(ValueError, match=r"targets\[0\] must be 4 arrays"):
        ops.stack_backward(
            tape, case.dy, targets=[[*targets[0], first], *targets[1:]], weight_masks=case.weight_masks
        )
    with pytest.raises(ValueError, match="weight_masks must have shape"):
        ops.stack_backward(tape, case.dy, targets=targets, weight_masks=[first, None, None])
    assert not tape.used
    assert all(map(same_bits, before, (array for own in targets for array in own)))


def test_states_as_they_are_returned_are_not_read_as_those_of_layers() -> None:
    case = Case("lstm", np.float32, 1)
    _, finals, _, tape = ops.stack_forward(case.call, case.x, memory=ops.TapeMemory())
    assert tape is not None
    with pytest.raises(TypeError, match="stack_forward: state must have for each k a tuple"):
        ops.stack_forward(case.call._replace(state=finals), case.x)
    with pytest.raises(TypeError, match="stack_backward: dstate must have for each k a tuple"):
        ops.stack_backward(tape, case.dy, finals, targets=case.targets(), weight_masks=case.weight_masks)
