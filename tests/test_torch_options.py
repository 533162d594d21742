"""Every option of every cell against a loop in PyTorch, whose gradients are autograd's.

The loop is written from docs/equations.md, one function per cell, and knows nothing of how the library goes
about it: gates are cut out of sums, padding and cuts are multiplications by 0 and 1, the bound on dh_t is a
hook. Masks come from ``reference``, at the numbers of layer, direction and call that they should have. Not
here: what PyTorch has as a layer of its own (``test_torch_parity``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from problems import randomize
from rnnfast import nn, ops, reference

torch = pytest.importorskip("torch", reason="torch is not installed")
functional = torch.nn.functional

Array = np.ndarray[Any, np.dtype[Any]]
Options = dict[str, Any]
Tensor = Any
Named = dict[str, Any]
BATCH, STEPS, INPUTS, HIDDEN, PROJECTED, LAYERS, SEED = 4, 6, 3, 5, 2, 2, 11
LENGTHS = [6, 0, 3, 5]
# At the first step, in the middle, twice in a row, at the end, and on padding.
RESETS = np.zeros((BATCH, STEPS), bool)
for _n, _t in [(0, 0), (0, 3), (0, 5), (1, 0), (2, 1), (2, 2), (2, 4), (3, 4)]:
    RESETS[_n, _t] = True
# Of the largest value: a product of H, or a weight gradient over all steps of the batch, rounds so far.
TOLERANCE = {np.float32: 2e-6 * (BATCH * STEPS) ** 0.5, np.float64: 1e-12}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Nothing here is large, and threads that wait for one another take longest of all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# The cells: sums of the inputs p and of the hidden units q, the states before, h as it enters W_hh, weights.


def rnn_tanh(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    return [torch.tanh(p + q)]


def rnn_relu(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    return [torch.relu(p + q)]


def lstm(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    i, f, g, o = (p + q).chunk(4, 1)
    c = torch.sigmoid(f) * states[1] + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * squashed(c, own), c]


def lstm_peephole(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    i, f, g, o = (p + q).chunk(4, 1)
    to_i, to_f, to_o = own["weight_ch"].chunk(3)
    kept = torch.sigmoid(f + to_f * states[1]) * states[1]
    c = kept + torch.sigmoid(i + to_i * states[1]) * torch.tanh(g)
    return [torch.sigmoid(o + to_o * c) * squashed(c, own), c]


def lstm_coupled(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    i, g, o = (p + q).chunk(3, 1)
    c = torch.lerp(states[1], torch.tanh(g), torch.sigmoid(i))
    return [torch.sigmoid(o) * squashed(c, own), c]


def lstm_peephole_coupled(
    p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named
) -> list[Tensor]:
    i, g, o = (p + q).chunk(3, 1)
    to_i, to_o = own["weight_ch"].chunk(2)
    c = torch.lerp(states[1], torch.tanh(g), torch.sigmoid(i + to_i * states[1]))
    return [torch.sigmoid(o + to_o * c) * squashed(c, own), c]


def gru(p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named) -> list[Tensor]:
    (p_r, p_z, p_n), (q_r, q_z, q_n) = p.chunk(3, 1), q.chunk(3, 1)
    n = torch.tanh(p_n + torch.sigmoid(p_r + q_r) * q_n)
    return [torch.lerp(n, states[0], torch.sigmoid(p_z + q_z))]


def gru_reset_before(
    p: Tensor, q: Tensor, states: list[Tensor], entering: Tensor, own: Named
) -> list[Tensor]:
    (p_r, p_z, p_n), (q_r, q_z, _) = p.chunk(3, 1), q.chunk(3, 1)
    bias = own["bias_hh"].chunk(3)[2] if "bias_hh" in own else None
    reset = torch.sigmoid(p_r + q_r) * entering
    n = torch.tanh(p_n + functional.linear(reset, own["weight_hh"].chunk(3)[2], bias))
    return [torch.lerp(n, states[0], torch.sigmoid(p_z + q_z))]


CELLS = {
    "rnn_tanh": rnn_tanh,
    "rnn_relu": rnn_relu,
    "lstm": lstm,
    "lstm_peephole": lstm_peephole,
    "lstm_coupled": lstm_coupled,
    "lstm_peephole_coupled": lstm_peephole_coupled,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
}


def norm(v: Tensor, gamma: Tensor, beta: Tensor = None) -> Tensor:
    return functional.layer_norm(v, v.shape[-1:], gamma, beta, 1e-5)


def squashed(c: Tensor, own: Named) -> Tensor:
    return torch.tanh(norm(c, own["gamma_c"], own["beta_c"]) if "gamma_c" in own else c)


def sums(x_t: Tensor, entering: Tensor, own: Named) -> tuple[Tensor, Tensor]:
    """p and q; of the joint norm, which knows no parts, it and nothing."""
    p, q = functional.linear(x_t, own["weight_ih"]), functional.linear(entering, own["weight_hh"])
    if "gamma_ih" in own:
        p, q = norm(p, own["gamma_ih"]), norm(q, own["gamma_hh"])
    if "bias_ih" in own:
        p, q = p + own["bias_ih"], q + own["bias_hh"]
    return (norm(p + q, own["gamma"], own["beta"]), torch.zeros_like(q)) if "gamma" in own else (p, q)


class Case:
    """A layer of two with everything that goes in, and the same again in PyTorch."""

    def __init__(self, cell: str, row: Options, dtype: type, *, training: bool = True) -> None:
        options = {"num_layers": LAYERS, **row}
        self.training, self.dtype = training, getattr(torch, np.dtype(dtype).name)
        ragged, cut, given = (options.pop(name, False) for name in ("lengths", "resets", "given"))
        self.layer = nn.Recurrent(cell, INPUTS, HIDDEN, dtype=dtype, seed=SEED, **options)
        randomize(self.layer)
        random = np.random.default_rng(1)
        self.lengths, self.resets = LENGTHS if ragged else None, RESETS if cut else None
        shapes = [(BATCH, STEPS, INPUTS), (BATCH, STEPS, self.layer.output_size)]
        count = LAYERS * self.layer.num_directions
        shapes += 2 * [(count, BATCH, size) for size in self.layer.state_sizes]
        self.x, self.dy, *others = (random.standard_normal(shape).astype(dtype) for shape in shapes)
        states = len(self.layer.state_sizes)
        # A trainable initial state is started from, unless it is asked to stand back.
        started = options.get("trainable_state", False) and not given
        self.states, self.dfinals = None if started else others[:states], others[states:]

    def public(self, parts: Any) -> Any:
        return None if parts is None else parts[0] if len(parts) == 1 else tuple(parts)

    def turned(self, a: Array | None) -> Any:
        return a if a is None or self.layer.options.batch_first else a.swapaxes(0, 1)

    def own(self) -> Named:
        """y and final states; in training everything that has a gradient too."""
        y, final, tape = self.layer.forward(
            self.turned(self.x), self.public(self.states), lengths=self.lengths,
            resets=self.turned(self.resets), training=self.training,
        )  # fmt: skip
        found = {"y": self.turned(y)} | self.named("final", final)
        if self.training:
            dx, dstate = self.layer.backward(tape, self.turned(self.dy), self.public(self.dfinals))
            found |= {"dx": self.turned(dx)} | self.named("d initial", dstate)
            found |= {f"d{name}": parameter.grad for name, parameter in self.layer.named_parameters()}
        return found

    def named(self, label: str, state: Any) -> Named:
        names = self.layer.cell.states
        parts = state if len(names) > 1 else (state,)
        return {f"{label} {name}": part for name, part in zip(names, parts, strict=True)}

    def tensor(self, a: Any) -> Tensor:
        return torch.tensor(a, dtype=self.dtype)

    def peer(self) -> Named:
        """The same out of the loop."""
        parameters = {n: self.tensor(p.data).requires_grad_() for n, p in self.layer.named_parameters()}
        x = self.tensor(self.x).requires_grad_()
        directions, states = self.layer.num_directions, self.layer.cell.states
        y, starts, finals = x, [], []
        for number in range(LAYERS):
            y, outputs = self.dropped(y, number), []
            for direction in range(directions):
                k = number * directions + direction
                suffix = f"_l{number}" + "_reverse" * direction
                own = {n.removesuffix(suffix): p for n, p in parameters.items() if n.endswith(suffix)}
                fresh = [own.get(f"initial_{s}", torch.zeros(())) for s in states]
                if self.states is None:
                    start = [part.expand(BATCH, -1) for part in fresh]
                else:
                    start = [self.tensor(part[k]).requires_grad_() for part in self.states]
                for part in start:
                    part.retain_grad()
                place = {"seed": SEED, "call": 0, "layer": number, "direction": direction}
                part_y, final = self.direction(y, start, fresh, own, place)
                outputs.append(part_y)
                starts.append(start)
                finals.append(final)
            y = torch.cat(outputs, 2)
        ends = [torch.stack(parts) for parts in zip(*finals, strict=True)]
        found = {"y": y} | self.named("final", self.public(ends))
        if self.training:
            torch.autograd.backward((y, *ends), [self.tensor(a) for a in (self.dy, *self.dfinals)])
            gradients = [torch.stack([p.grad for p in parts]) for parts in zip(*starts, strict=True)]
            found |= {"dx": x.grad} | self.named("d initial", self.public(gradients))
            # What nothing depends on has none: an initial state that another one stands in for.
            every = {
                f"d{n}": torch.zeros_like(p) if p.grad is None else p.grad for n, p in parameters.items()
            }
            found |= every
        return {name: tensor.detach().numpy() for name, tensor in found.items()}

    def dropped(self, y: Tensor, number: int) -> Tensor:
        """The input of a layer under its masks."""
        options, key = self.layer.options, {"seed": SEED, "call": 0}
        if self.training and number:
            shape = (BATCH, STEPS, self.layer.state_sizes[0])
            masks = [
                reference.dropout_mask(shape, options.dropout, layer=number - 1, direction=direction, **key)
                for direction in range(self.layer.num_directions)
            ]
            y = y * self.tensor(np.concatenate(masks, axis=2))
        if self.training:
            shape = (BATCH, 1, y.shape[2])
            rate = options.input_dropout
            y = y * self.tensor(reference.dropout_mask(shape, rate, what="input", layer=number, **key))
        return y

    def direction(
        self, x: Tensor, start: list[Tensor], fresh: list[Tensor], own: Named, place: dict[str, int]
    ) -> tuple[Tensor, list[Tensor]]:
        """y and final states of one direction of one layer."""
        options, sizes, reverse = self.layer.options, self.layer.state_sizes, place["direction"] == 1
        hidden_mask, zoneout = torch.ones(()), list(options.zoneout)
        if self.training:
            drawn = reference.dropout_mask(
                (BATCH, 1, sizes[0]), options.recurrent_dropout, what="recurrent", **place
            )
            hidden_mask = self.tensor(drawn[:, 0])
            shape = (1, *own["weight_hh"].shape)
            drawn = reference.dropout_mask(shape, options.weight_dropout, what="weight", **place)
            own = own | {"weight_hh": own["weight_hh"] * self.tensor(drawn[0])}
            masks = zip(self.layer.cell.states, sizes, options.zoneout, strict=True)
            zoneout = [
                self.tensor(reference.zoneout_mask((BATCH, STEPS, size), rate, what=f"zoneout_{s}", **place))
                for s, size, rate in masks
            ]
        within = (
            np.arange(STEPS) < np.array([STEPS] * BATCH if self.lengths is None else self.lengths)[:, None]
        )
        cuts = within & (np.zeros((BATCH, STEPS), bool) if self.resets is None else self.resets)
        states, outputs = start, [torch.zeros(())] * STEPS
        for t in reversed(range(STEPS)) if reverse else range(STEPS):
            cut_at = t + 1 if reverse else t
            if cut_at < STEPS:
                cut = self.tensor(cuts[:, cut_at, None])
                states = [state * (1 - cut) + new * cut for state, new in zip(states, fresh, strict=True)]
            entering = states[0] * hidden_mask
            found = CELLS[self.layer.cell.name](*sums(x[:, t], entering, own), states, entering, own)
            if "weight_hr" in own:
                found[0] = functional.linear(found[0], own["weight_hr"])
            rates = [m[:, t] if self.training else m for m in zoneout]
            mixed = [m * old + (1 - m) * new for m, old, new in zip(rates, states, found, strict=True)]
            taken = torch.tensor(within[:, t, None])
            states = [torch.where(taken, new, old) for new, old in zip(mixed, states, strict=True)]
            if options.state_gradient_bound is not None:
                bound = options.state_gradient_bound
                states[0].register_hook(lambda d, t=taken, b=bound: torch.where(t, d.clamp(-b, b), d))
            outputs[t] = states[0] * taken
        return torch.stack(outputs, 1), states


def rows(cell: str) -> list[Options]:
    """Every option alone or with what it meets in the equations, then all of them at once."""
    info = ops.cells()[cell]
    single: list[Options] = [
        {},
        {"bias": False},
        {"bidirectional": True},
        {"bidirectional": True, "batch_first": False, "lengths": True, "resets": True},
        {"dropout": 0.4},
        {"input_dropout": 0.4},
        {"recurrent_dropout": 0.4},
        {"weight_dropout": 0.4},
        {"zoneout": 0.4},
        {"trainable_state": True},
        {"trainable_state": True, "resets": True},
        {"trainable_state": True, "given": True},
        {"trainable_state": True, "given": True, "resets": True, "bidirectional": True},
        {"state_gradient_bound": 0.1},
        {"state_gradient_bound": 0.1, "lengths": True, "bidirectional": True},
        {"recompute": 2},
        {"lengths": True},
        {"lengths": True, "bidirectional": True},
        {"resets": True},
        {"resets": True, "bidirectional": True},
    ]
    if len(info.states) == 2:
        single += [{"zoneout": (0.4, 0.0)}, {"zoneout": (0.0, 0.4)}]
    for kind in info.layer_norms:
        single += [{"layer_norm": kind}, {"layer_norm": kind, "bias": False, "bidirectional": True}]
    if info.projectable:
        single += [{"proj_size": PROJECTED}, {"proj_size": PROJECTED, "bidirectional": True, "lengths": True}]
    return single + together(cell)


def together(cell: str) -> list[Options]:
    """All options at once, for every layer norm of the cell."""
    info = ops.cells()[cell]
    everything: Options = {
        "bidirectional": True,
        "dropout": 0.2,
        "input_dropout": 0.2,
        "recurrent_dropout": 0.2,
        "weight_dropout": 0.2,
        "zoneout": 0.2 if len(info.states) == 1 else (0.2, 0.3),
        "trainable_state": True,
        "state_gradient_bound": 0.5,
        "recompute": 2,
        "lengths": True,
        "resets": True,
    }
    if info.projectable:
        everything["proj_size"] = PROJECTED
    return [{**everything, "layer_norm": kind} for kind in (None, *info.layer_norms)]


def label(row: Options) -> str:
    if len(row) > 5:
        return f"everything,layer_norm={row['layer_norm']}"
    return ",".join(f"{name}={value}".replace(" ", "") for name, value in row.items()) or "plain"


def marked(choice: Callable[[str], list[Options]]) -> pytest.MarkDecorator:
    cases = [(cell, row) for cell in ops.cells() for row in choice(cell)]
    return pytest.mark.parametrize(("name", "row"), cases, ids=[f"{c}-{label(r)}" for c, r in cases])


def compare(case: Case) -> None:
    tolerance = TOLERANCE[case.layer.dtype.type]
    mine, expected = case.own(), case.peer()
    assert mine.keys() == expected.keys()
    for key, array in expected.items():
        bound = tolerance * max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(mine[key], array, rtol=0, atol=bound, err_msg=key)


@marked(rows)
def test_training_is_that_of_a_loop_in_torch(name: str, row: Options) -> None:
    compare(Case(name, row, np.float64))


@marked(together)
def test_float32_is_that_of_a_loop_in_torch(name: str, row: Options) -> None:
    compare(Case(name, row, np.float32))


@marked(together)
def test_inference_is_that_of_a_loop_in_torch(name: str, row: Options) -> None:
    compare(Case(name, row, np.float64, training=False))


def test_a_state_gradient_bound_bounds() -> None:
    """The loop and the layer agree: here, that the bound of the tests above has something to do."""
    free, bounded = (Case("lstm", row, np.float64).own() for row in ({}, {"state_gradient_bound": 0.1}))
    np.testing.assert_array_equal(free["y"], bounded["y"])
    assert np.abs(free["dx"] - bounded["dx"]).max() > 0.1
