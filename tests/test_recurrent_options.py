"""One direction of one layer with every option and pairs of them: forward against the reference, backward
against central differences, and the same bits however the work is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import rnnfast
from gradcheck import check_gradients
from problems import Array, Problem, make_problem, same_bits
from rnnfast import backend, ops
from test_recurrent_forward import FUSED, assert_close

SINGLE: dict[str, dict[str, Any]] = {
    "plain": {},
    "split": {"layer_norm": "split"},
    "joint": {"layer_norm": "joint"},
    "projection": {"projection": 3},
    "lengths": {"lengths": True},
    "resets": {"resets": True},
    "reset_state": {"resets": True, "reset_state": True},
    "dropout": {"dropout": True},
    "zoneout": {"zoneout": True},
    "recompute": {"recompute": 2},
    "reverse": {"reverse": True},
    "nobias": {"bias": False},
}
EVERYTHING = {
    "lengths": True, "resets": True, "reset_state": True, "dropout": True, "zoneout": True, "recompute": 2
}  # fmt: skip


def has(cell: str, options: dict[str, Any]) -> bool:
    """Whether the cell has these options."""
    info = ops.cells()[cell]
    kind = options.get("layer_norm")
    return (kind is None or kind in info.layer_norms) and (not options.get("projection") or info.projectable)


def combined() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option, every pair, and everything together with each layer norm, with and without projection."""
    yield from SINGLE.items()
    for (a, first), (b, second) in combinations(SINGLE.items(), 2):
        if "plain" not in (a, b) and {a, b} != {"split", "joint"} and {a, b} != {"resets", "reset_state"}:
            yield f"{a}+{b}", first | second
    for norm in (None, "split", "joint"):
        for projection in (0, 3):
            for reverse in (False, True):
                label = f"everything-{norm}-{projection}" + ("-reverse" if reverse else "")
                yield label, EVERYTHING | {"layer_norm": norm, "projection": projection, "reverse": reverse}


CASES = [
    pytest.param(cell, options, id=f"{cell}-{label}")
    for cell in ops.cells()
    for label, options in combined()
    if has(cell, options)
]
ALONE = [case for case in CASES if "+" not in case.id]
each_case = pytest.mark.parametrize(("name", "options"), CASES)
each_option = pytest.mark.parametrize(("name", "options"), ALONE)


def gradients_checked(problem: Problem, **changes: Any) -> None:
    check_gradients(
        problem.outputs,
        (problem.dy, *problem.dstate),
        problem.inputs(),
        problem.gradients(**changes),
        blocks=problem.blocks(),
    )


def assert_reference(problem: Problem) -> None:
    y, state, _ = problem.forward()
    expected_y, expected_state = problem.reference()
    assert_close(problem, y, expected_y)
    for part, expected in zip(state, expected_state, strict=True):
        assert_close(problem, part, expected)


@each_case
def test_forward_is_the_reference(name: str, options: dict[str, Any], dtype: type) -> None:
    assert_reference(make_problem(name, 5, 6, 4, 7, dtype, **options))


@each_option
@pytest.mark.parametrize(
    "sizes", [(1, 5, 3, 33), (18, 4, 1, 16), (70, 3, 5, 20), (0, 3, 2, 5), (3, 0, 2, 5)], ids=str
)
def test_forward_is_the_reference_at_every_size(
    name: str, options: dict[str, Any], variant: str, dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    assert_reference(make_problem(name, *sizes, dtype, **options))


@each_case
def test_gradients_are_central_differences(name: str, options: dict[str, Any]) -> None:
    gradients_checked(make_problem(name, 4, 5, 3, 5, **options))


@each_option
def test_gradients_are_central_differences_on_every_variant(
    name: str, options: dict[str, Any], variant: str
) -> None:
    gradients_checked(make_problem(name, 10, 4, 3, 18, **options))


@each_option
def test_gradients_of_few_steps_are_central_differences(name: str, options: dict[str, Any]) -> None:
    """Products over all samples at once: narrow layers have them from some steps on by groups of samples."""
    gradients_checked(make_problem(name, 11, 3, 3, 9, **options))


@each_option
def test_threads_do_not_change_a_bit(name: str, options: dict[str, Any], variant: str, dtype: type) -> None:
    problem = make_problem(name, 45, 12, 17, 48, dtype, **options)
    results = []
    for threads in (1, 2, 3):
        rnnfast.set_num_threads(threads)
        y, state, _ = problem.forward()
        results.append([y, *state, *problem.gradients().values()])
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


@pytest.mark.skipif(len(FUSED) < 2, reason=f"one instruction set with FMA on this machine: {FUSED}")
@each_option
@pytest.mark.parametrize("sizes", [(3, 4, 5, 7), (19, 3, 2, 37), (17, 4, 90, 33)], ids=str)
def test_instruction_sets_do_not_change_a_bit(
    name: str, options: dict[str, Any], dtype: type, sizes: tuple[int, int, int, int]
) -> None:
    problem = make_problem(name, *sizes, dtype, **options)
    results = []
    for instruction_set in FUSED:
        with backend.use_variant(instruction_set):
            y, state, _ = problem.forward()
            results.append([y, *state, *problem.gradients().values()])
    for other in results[1:]:
        assert all(map(same_bits, results[0], other))


def rows_of(problem: Problem, row: slice) -> dict[str, Any]:
    """What forward takes for some samples alone."""
    options = {
        key: value[row] if key in ("lengths", "resets", "hidden_mask") else value
        for key, value in problem.options.items()
    }
    return {"x": problem.x[row], "state": tuple(part[row] for part in problem.state), **options}


@each_option
def test_part_of_a_batch_has_the_bits_of_its_rows(
    name: str, options: dict[str, Any], variant: str, dtype: type
) -> None:
    """Zoneout's masks depend on a sample's number by intent: there the first rows are compared."""
    problem = make_problem(name, 64, 4, 5, 21, dtype, **options)
    y, final, tape = problem.forward()
    whole = problem.backward(tape)
    parts = ((0, 1), (5, 2), (30, 3), (41, 4), (63, 1))
    for first, count in ((0, 1), (0, 2), (0, 3)) if "zoneout" in problem.options else parts:
        row = slice(first, first + count)
        row_y, row_final, tape = problem.forward(**rows_of(problem, row))
        assert same_bits(row_y, y[row]), row
        assert all(same_bits(a, b[row]) for a, b in zip(row_final, final, strict=True))
        dstate = tuple(part[row] for part in problem.dstate)
        gradients = ops.recurrent_backward(problem.packed, tape, problem.dy[row], dstate, bound=problem.bound)
        assert same_bits(gradients.dx, whole.dx[row]), row
        assert all(same_bits(a, b[row]) for a, b in zip(gradients.dstate, whole.dstate, strict=True))


@pytest.mark.parametrize("inputs", [5, 30, 100])
def test_a_batch_that_thins_out_has_the_bits_of_its_rows(
    cell: str, inputs: int, variant: str, dtype: type
) -> None:
    """Six samples run, then five, four, three, two, one: all that few rows do in one call."""
    problem = make_problem(cell, 6, 7, inputs, 33, dtype)
    problem.options["lengths"] = np.array([7, 6, 5, 4, 2, 1])
    y, final, tape = problem.forward()
    whole = problem.backward(tape)
    for n in range(6):
        row = slice(n, n + 1)
        row_y, row_final, tape = problem.forward(**rows_of(problem, row))
        assert same_bits(row_y, y[row]), n
        assert all(same_bits(a, b[row]) for a, b in zip(row_final, final, strict=True))
        dstate = tuple(part[row] for part in problem.dstate)
        gradients = ops.recurrent_backward(problem.packed, tape, problem.dy[row], dstate)
        assert same_bits(gradients.dx, whole.dx[row]), n
        assert all(same_bits(a, b[row]) for a, b in zip(gradients.dstate, whole.dstate, strict=True))


@each_option
def test_one_bad_sample_leaves_the_others_alone(
    name: str, options: dict[str, Any], variant: str, dtype: type
) -> None:
    problem = make_problem(name, 9, 4, 5, 19, dtype, **options)

    def by_sample() -> list[Array]:
        y, state, tape = problem.forward()
        gradients = problem.backward(tape)
        return [y, *state, gradients.dx, *gradients.dstate, *(gradients.dreset_state or ())]

    clean = by_sample()
    problem.x[4] = problem.dy[4] = np.nan
    for part in (*problem.state, *problem.dstate):
        part[4] = np.nan
    bad = by_sample()
    good = [n for n in range(9) if n != 4]
    assert all(same_bits(a[good], b[good]) for a, b in zip(clean, bad, strict=True))


# The first piece of a reversed ragged sequence begins at another time for every sample: no cut is one of all.
@pytest.mark.parametrize(
    ("name", "options"), [c for c in CASES if not (c.values[1].get("reverse") and c.values[1].get("lengths"))]
)
@pytest.mark.parametrize("cut", [1, 3])
def test_pieces_have_the_bits_of_the_whole(name: str, options: dict[str, Any], dtype: type, cut: int) -> None:
    """At inference: the expectation of zoneout, masks of h as they were."""
    problem = make_problem(name, 5, 6, 4, 18, dtype, **options)
    reverse, lengths = problem.reverse, problem.options.pop("lengths", None)
    if "zoneout" in problem.options:
        problem.options["zoneout"] = problem.options["zoneout"]._replace(training=False)
    whole_lengths = {} if lengths is None else {"lengths": lengths}
    y, final, _ = problem.forward(training=False, **whole_lengths)
    resets = problem.options.pop("resets", None)
    state, outputs = problem.state, []
    pieces = [slice(0, cut), slice(cut, 6)]
    for piece in pieces[::-1] if reverse else pieces:
        changes: dict[str, Any] = {"x": problem.x[:, piece], "state": state, "training": False}
        if lengths is not None:
            changes["lengths"] = np.clip(lengths - piece.start, 0, piece.stop - piece.start)
        if resets is not None:
            changes["resets"] = resets[:, piece]
            if reverse and piece.stop < 6:  # the cut at the later piece's first time lies between the two
                state = tuple(
                    np.where(resets[:, piece.stop, None], problem.options.get("reset_state", (0, 0))[s], part)
                    for s, part in enumerate(state)
                )
                changes["state"] = tuple(part.astype(dtype) for part in state)
        part_y, state, _ = problem.forward(**changes)
        outputs.append(part_y)
    assert same_bits(y, np.concatenate(outputs[::-1] if reverse else outputs, axis=1))
    assert all(map(same_bits, state, final))


@each_case
def test_steps_have_the_bits_of_the_sequence(name: str, options: dict[str, Any], dtype: type) -> None:
    problem = make_problem(name, 5, 6, 4, 18, dtype, **(options | {"lengths": False, "reverse": False}))
    zoneout = problem.options.get("zoneout")
    if zoneout is not None:
        problem.options["zoneout"] = zoneout = zoneout._replace(training=False)
    problem.options.pop("hidden_mask", None)  # a mask is drawn in training, where there are no steps
    resets, reset_state = problem.options.get("resets"), problem.options.get("reset_state", (0, 0))
    y, final, _ = problem.forward(training=False)
    state = problem.state
    for t in range(6):
        if resets is not None:
            state = tuple(
                np.where(resets[:, t, None], reset_state[s], part).astype(dtype)
                for s, part in enumerate(state)
            )
        state = ops.recurrent_step(problem.packed, problem.x[:, t], state, zoneout=zoneout)
        assert same_bits(state[0], np.ascontiguousarray(y[:, t])), f"step {t}"
    assert all(map(same_bits, state, final))


@each_case
@pytest.mark.parametrize("every", [1, 2, 4, 6, 9])
def test_recomputed_gradients_have_the_bits_of_kept_ones(
    name: str, options: dict[str, Any], dtype: type, every: int
) -> None:
    problem = make_problem(name, 11, 6, 4, 18, dtype, **(options | {"recompute": 0}))
    kept, recomputed = problem.gradients(), problem.gradients(recompute=every)
    assert all(same_bits(kept[key], recomputed[key]) for key in kept)


@each_option
def test_inference_has_the_bits_of_training(
    name: str, options: dict[str, Any], variant: str, dtype: type
) -> None:
    problem = make_problem(name, 11, 5, 4, 18, dtype, **options)
    y, state, _ = problem.forward(training=True)
    y_inference, state_inference, tape = problem.forward(training=False)
    assert tape is None
    assert same_bits(y, y_inference)
    assert all(map(same_bits, state, state_inference))


@each_case
def test_padding_is_neither_read_nor_written_but_for_zeros(
    name: str, options: dict[str, Any], dtype: type
) -> None:
    problem = make_problem(name, 6, 5, 4, 18, dtype, **(options | {"lengths": True}))
    lengths = problem.options["lengths"]
    assert {0, 5} <= set(lengths)
    y, state, _ = problem.forward()
    gradients = problem.gradients()
    padding = np.arange(5) >= lengths[:, None]
    assert not y[padding].any()
    assert not gradients["x"][padding].any()
    problem.x[padding] = problem.dy[padding] = np.nan
    other_y, other_state, _ = problem.forward()
    others = problem.gradients()
    assert same_bits(y, other_y)
    assert all(map(same_bits, state, other_state))
    assert all(same_bits(gradients[key], others[key]) for key in gradients)


@each_case
def test_full_lengths_are_no_lengths(name: str, options: dict[str, Any], dtype: type) -> None:
    problem = make_problem(name, 11, 5, 4, 18, dtype, **(options | {"lengths": False}))
    full = {"lengths": np.full(11, 5)}
    results = [
        [*problem.forward(**changes)[:1], *problem.gradients(**changes).values()] for changes in ({}, full)
    ]
    assert all(map(same_bits, *results))


@each_case
def test_all_states_of_all_steps(name: str, options: dict[str, Any], dtype: type) -> None:
    problem = make_problem(name, 5, 6, 4, 7, dtype, **options)
    others = tuple(np.full((5, 6, 7), np.nan, dtype) for _ in problem.state[1:])
    _, final, _ = problem.forward(states_out=others)
    lengths = problem.options.get("lengths", np.full(5, 6))
    for part, array, start in zip(final[1:], others, problem.state[1:], strict=True):
        for n, length in enumerate(lengths):
            last = (0 if problem.reverse else length - 1) if length else None
            assert same_bits(part[n], start[n] if last is None else np.ascontiguousarray(array[n, last]))
            assert not array[n, length:].any()
    assert all(np.isfinite(array).all() for array in others)


def by_steps(problem: Problem, bound: float) -> tuple[Array, list[Array], int]:
    """dx and dstate from one call per sample and step, the gradient of h cut by hand; how many cuts bit."""
    batch, steps, _ = problem.x.shape
    lengths = problem.options.get("lengths", np.full(batch, steps))
    resets = problem.options.get("resets", np.zeros((batch, steps), bool))
    fresh = problem.options.get("reset_state", tuple(np.zeros_like(part[0]) for part in problem.state))
    mask = problem.options.get("hidden_mask")
    dx, dstate, bitten = np.zeros_like(problem.x), [part.copy() for part in problem.dstate], 0
    for n in range(batch):
        state, taken = tuple(part[n : n + 1] for part in problem.state), []
        order = range(lengths[n])
        for t in reversed(order) if problem.reverse else order:
            edge = t + 1 if problem.reverse else t
            cut = bool(edge < lengths[n] and resets[n, edge])
            if cut:
                state = tuple(part[None] for part in fresh)
            options = {} if mask is None else {"hidden_mask": mask[n : n + 1]}
            x = problem.x[n : n + 1, t : t + 1]
            _, state, tape = ops.recurrent_forward(problem.packed, x, state, training=True, **options)
            taken.append((t, cut, tape))
        down = [part[n : n + 1] for part in problem.dstate]
        for t, cut, tape in reversed(taken):
            dh = down[0] + problem.dy[n : n + 1, t]
            bitten += int((abs(dh) > bound).sum())
            step = ops.recurrent_backward(problem.packed, tape, None, (np.clip(dh, -bound, bound), *down[1:]))
            dx[n, t] = step.dx[0, 0]
            down = [np.zeros_like(part) if cut else part for part in step.dstate]
        for part, row in zip(dstate, down, strict=True):
            part[n] = row[0]
    return dx, dstate, bitten


@each_case
def test_bound_cuts_the_gradient_of_h_at_every_step(name: str, options: dict[str, Any]) -> None:
    """Without zoneout, whose masks depend on the time; it comes after the bound."""
    options = options | {"zoneout": False}
    problem = make_problem(name, 5, 4, 3, 9, **options, bound=0.25)
    dx, dstate, bitten = by_steps(problem, 0.25)
    gradients = problem.gradients()
    assert bitten
    np.testing.assert_allclose(gradients["x"], dx, rtol=0, atol=1e-13)
    for state, expected in zip(ops.cells()[name].states, dstate, strict=True):
        np.testing.assert_allclose(gradients[f"state_{state}"], expected, rtol=0, atol=1e-13)


def test_a_projection_may_be_wider_than_the_layer(variant: str, dtype: type) -> None:
    for name, info in ops.cells().items():
        if info.projectable:
            problem = make_problem(name, 9, 4, 2, 3, dtype, projection=60, dropout=True, layer_norm="split")
            assert_reference(problem)
            problem.options["zoneout"] = ops.Zoneout((0.3, 0.2), True)
            assert_reference(problem)
            if dtype is np.float64:
                gradients_checked(problem)


@pytest.mark.parametrize("view", ["broadcast", "reversed", "time-major"])
def test_resets_may_have_any_strides(cell: str, view: str) -> None:
    problem = make_problem(cell, 5, 6, 3, 4, resets=True)
    resets = problem.options["resets"]
    given = {
        "broadcast": np.broadcast_to(resets[0], resets.shape),
        "reversed": resets[::-1, ::-1],
        "time-major": np.asfortranarray(resets),
    }[view]
    results = []
    for array in (given, np.ascontiguousarray(given)):
        problem.options["resets"] = array
        results.append([problem.forward()[0], *problem.gradients().values()])
    assert all(map(same_bits, *results))


def test_a_state_that_zoneout_keeps_may_be_large(cell: str, dtype: type) -> None:
    """The kept state is chosen, not mixed in: its size is no factor of the candidate's gradient."""
    large = np.sqrt(np.finfo(dtype).max).item() * 2  # its square is infinite
    problem = make_problem(cell, 3, 2, 3, 4, dtype, zoneout=True)
    problem.state = tuple(np.full_like(part, large) for part in problem.state)
    _, final, tape = problem.forward()
    gradients = problem.backward(tape)
    for array in (*final, gradients.dx, *gradients.dstate):
        assert np.isfinite(array).all()


def test_a_tape_serves_the_weights_it_was_made_with(cell: str) -> None:
    problem, other = make_problem(cell, 2, 3, 4, 5), make_problem(cell, 2, 3, 4, 5, seed=1)
    _, _, tape = problem.forward()
    with pytest.raises(ValueError, match="tape must come from a forward call with these weights"):
        other.backward(tape)


def test_a_bound_that_is_zero_in_float32_is_refused() -> None:
    problem = make_problem("gru", 2, 3, 4, 5, np.float32, bound=1e-50)
    with pytest.raises(ValueError, match="bound must be above 0 in float32"):
        problem.backward(problem.forward()[2])


@pytest.mark.parametrize("recompute", [True, 1.0, "2", -1])
def test_recompute_must_be_a_number_of_steps(recompute: Any) -> None:
    problem = make_problem("lstm", 2, 3, 4, 5)
    error = ValueError if recompute == -1 else TypeError
    with pytest.raises(error, match=r"recurrent_forward: recompute must .*; pass 0 to keep the whole tape"):
        problem.forward(recompute=recompute)
    problem.forward(recompute=np.int64(2))


def test_outputs_must_not_share_memory() -> None:
    problem = make_problem("lstm", 2, 3, 4, 5)
    out = np.empty((2, 3, 5))
    with pytest.raises(ValueError, match="must not share memory with each other"):
        problem.forward(out=out, states_out=(out,))
    both = np.zeros((2, 3, 9))
    with pytest.raises(ValueError, match="must not share memory with x, state or options"):
        problem.forward(x=both[:, :, :4], states_out=(both[:, :, 3:8],))
    y, _, _ = make_problem("lstm", 1, 3, 4, 5).forward(out=out[:1])
    assert np.shares_memory(y, out)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("options", [{}, {"lengths": True, "resets": True, "reset_state": True}], ids=str)
def test_long_sequences_have_the_bits_of_short_segments(
    cell: str, variant: str, dtype: type, options: dict[str, Any], reverse: bool
) -> None:
    """Backward takes a long tape in stretches of some thousand rows; segments of few steps are one each."""
    problem = make_problem(cell, 24, 300, 3, 8, dtype, reverse=reverse, **options)
    whole, short = problem.gradients(), problem.gradients(recompute=45)
    assert all(same_bits(whole[key], short[key]) for key in whole)
