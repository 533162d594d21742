"""Options of recurrent layers that are refused, each in one line that says why; and that docs/options.md says
the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnfast import models, nn, ops

Array = np.ndarray[Any, np.dtype[Any]]
X = np.ones((4, 5, 3), np.float32)
RATES = ("dropout", "input_dropout", "recurrent_dropout", "weight_dropout", "zoneout")
DOC = Path(__file__).parents[1] / "docs" / "options.md"


def one_line(error: pytest.ExceptionInfo[Any], *words: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize("option", RATES)
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (1.0, ValueError, r"must be in \[0, 1\), got 1.0"),
        (-0.1, ValueError, r"must be in \[0, 1\), got -0.1"),
        (float("nan"), ValueError, r"must be in \[0, 1\), got nan"),
        ("0.5", TypeError, "must be a float, got '0.5'"),
        (True, TypeError, "must be a float, got True"),
        (None, TypeError, "must be a float, got None"),
    ],
)
def test_rates(cell: str, option: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"Recurrent: {option} {message}"):
        nn.Recurrent(cell, 3, 4, 2, **{option: value})


def test_zoneout_by_state(cell: str) -> None:
    states = ops.cells()[cell].states
    if len(states) == 1:
        for pair in ((0.1, 0.2), [0.1, 0.2], (0.1,)):
            with pytest.raises(ValueError, match=rf"zoneout must be one rate with cell {cell}, as h is"):
                nn.Recurrent(cell, 3, 4, zoneout=pair)  # type: ignore[arg-type]
        return
    assert nn.Recurrent(cell, 3, 4, zoneout=[0.1, 0]).options.zoneout == (0.1, 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"zoneout must be one rate, or \(h, c\), got \(0.1, 0.2, 0.3\)"):
        nn.Recurrent(cell, 3, 4, zoneout=(0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match=r"zoneout of c must be in \[0, 1\), got 1.0"):
        nn.Recurrent(cell, 3, 4, zoneout=(0.1, 1.0))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"trainable_state": 1}, TypeError, "trainable_state must be True or False, got 1"),
        ({"recompute": -1}, ValueError, "recompute must be 0 or more, got -1"),
        ({"recompute": 2.0}, TypeError, "recompute must be an int, got 2.0"),
        ({"recompute": True}, TypeError, "recompute must be an int, got True"),
        ({"state_gradient_bound": 0.0}, ValueError, "state_gradient_bound must be above 0, .*got 0.0"),
        ({"state_gradient_bound": -1}, ValueError, "state_gradient_bound must be above 0, .*got -1"),
        ({"state_gradient_bound": float("nan")}, ValueError, "state_gradient_bound must be finite, got nan"),
        ({"state_gradient_bound": float("inf")}, ValueError, "state_gradient_bound must be finite, got inf"),
        ({"state_gradient_bound": "1"}, TypeError, "state_gradient_bound must be a float, got '1'"),
        ({"layer_norm": "both"}, ValueError, "layer_norm must be None, 'split' or 'joint', got 'both'"),
        ({"layer_norm": True}, ValueError, "layer_norm must be None, 'split' or 'joint', got True"),
        ({"proj_size": -1}, ValueError, "proj_size must be 0 or more, got -1"),
        ({"proj_size": 1.0}, TypeError, "proj_size must be an int, got 1.0"),
    ],
)
def test_ranges(cell: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"Recurrent: {message}"):
        nn.Recurrent(cell, 3, 4, **options)


def test_layer_norms_that_a_cell_lacks(cell: str) -> None:
    reasons = {
        "gru": "as r acts on W_hh h alone, so that the two products are never one sum",
        "gru_reset_before": "as reset='before' puts r∘h into W_hn, so that W_hh h is never there as a whole",
    }
    for layer_norm in ("split", "joint"):
        if layer_norm in ops.cells()[cell].layer_norms:
            assert nn.Recurrent(cell, 3, 4, layer_norm=layer_norm).options.layer_norm == layer_norm
            continue
        with pytest.raises(ValueError, match="layer_norm must be None") as error:
            nn.Recurrent(cell, 3, 4, layer_norm=layer_norm)
        one_line(error, f"with cell {cell}", reasons[cell], f"got {layer_norm!r}")
    assert {name for name, info in ops.cells().items() if len(info.layer_norms) < 2} == reasons.keys()


def test_projections(cell: str) -> None:
    if not ops.cells()[cell].projectable:
        with pytest.raises(ValueError, match=f"proj_size must be 0 with cell {cell}, as only .*got 2"):
            nn.Recurrent(cell, 3, 4, proj_size=2)
        return
    assert nn.Recurrent(cell, 3, 4, proj_size=3).output_size == 3
    for size in (4, 5):
        with pytest.raises(ValueError, match=rf"smaller than hidden_size=4, as .*, got {size}"):
            nn.Recurrent(cell, 3, 4, proj_size=size)


def test_named_classes_take_their_own_options_alone() -> None:
    for kind, option in (
        (nn.RNN, "proj_size"), (nn.GRU, "proj_size"), (nn.RNN, "peephole"), (nn.GRU, "coupled"),
        (nn.LSTM, "reset"), (nn.LSTM, "activation"), (nn.RNN, "forget_bias"), (nn.GRU, "forget_bias"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=option):
            kind(3, 4, **{option: 1})
    for option in ("peephole", "coupled"):
        with pytest.raises(TypeError, match=f"LSTM: {option} must be True or False, got 1"):
            nn.LSTM(3, 4, **{option: 1})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Seq2Seq: options must be among .*zoneout .*, got 'proj_size'$"):
        models.Seq2Seq(3, 4, 1, cell="gru", proj_size=2)
    with pytest.raises(ValueError, match=r"GRU: layer_norm must be None or 'split'"):
        models.Seq2Seq(3, 4, 1, cell="gru", layer_norm="joint")


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([5, 6, 0, 5], ValueError, r"lengths must be in 0..T=5, got 6 at n=1$"),
        ([5, -1, 9, 5], ValueError, r"lengths must be in 0..T=5, got -1 at n=1 and 1 more"),
        (np.array([2**64 - 1, 0, 0, 0], np.uint64), ValueError, r"0..T=5, got 18446744073709551615 at n=0"),
        ([5, 5, 5], ValueError, r"lengths must have shape \(N,\) = \(4,\), got \(3,\)"),
        ([], ValueError, r"lengths must have shape \(N,\) = \(4,\), got \(0,\)"),
        (np.full((4, 1), 5), ValueError, r"got \(4, 1\)"),
        (np.full(4, 5.0), TypeError, r"must be ints, got float64; pass np.asarray\(lengths, np.int64\)"),
        ([5.0] * 4, TypeError, r"lengths must be ints, got float64"),
        ([True] * 4, TypeError, r"lengths must be ints, got bool"),
        (np.zeros(0), TypeError, r"lengths must be ints, got float64"),
        (5, TypeError, r"lengths must be an array, list or tuple of ints, got int"),
        ("5555", TypeError, r"lengths must be an array, list or tuple of ints, got str"),
    ],
)
def test_lengths(lengths: Any, error: type[Exception], message: str) -> None:
    layer = nn.LSTM(3, 4)
    for call in (layer, layer.forward):
        with pytest.raises(error, match=rf"^LSTM.forward: .*{message}"):
            call(X, lengths=lengths)


@pytest.mark.parametrize(
    ("resets", "error", "message"),
    [
        (
            np.zeros((4, 5)),
            TypeError,
            r"resets must have dtype bool, got float64; pass resets.astype\(bool\)",
        ),
        (np.zeros((4, 5), np.uint8), TypeError, r"got uint8; pass resets.astype\(bool\)"),
        (
            [[False] * 5] * 4,
            TypeError,
            r"NumPy array of dtype bool, got list; pass np.asarray\(resets, bool\)",
        ),
        (np.zeros((4, 6), bool), ValueError, r"resets must have shape \(N, T\) = \(4, 5\), got \(4, 6\)$"),
        (np.zeros((5, 4), bool), ValueError, r"got \(5, 4\); looks transposed, pass resets.T"),
        (np.zeros(4, bool), ValueError, r"got \(4,\)$"),
    ],
)
def test_resets(resets: Any, error: type[Exception], message: str) -> None:
    layer = nn.GRU(3, 4)
    for call in (layer, layer.forward):
        with pytest.raises(error, match=rf"^GRU.forward: .*{message}"):
            call(X, resets=resets)


def test_resets_of_other_layouts() -> None:
    layer = nn.GRU(3, 4, batch_first=False)
    with pytest.raises(ValueError, match=r"resets must have shape \(T, N\) = \(5, 4\), got \(4, 5\); looks"):
        layer(X.swapaxes(0, 1), resets=np.zeros((4, 5), bool))
    with pytest.raises(ValueError, match=r"^GRU.step: resets must have shape \(N,\) = \(4,\), got \(4, 1\)$"):
        layer.step(X[:, 0], resets=np.zeros((4, 1), bool))
    with pytest.raises(TypeError, match=r"GRU.step: resets must have dtype bool, got int64"):
        layer.step(X[:, 0], resets=np.zeros(4, np.int64))


def test_states_of_a_projection() -> None:
    layer = nn.LSTM(3, 5, proj_size=2)
    h, c = layer.init_state(4)
    with pytest.raises(
        ValueError, match=r"state h must have shape .*proj_size\) = \(1, 4, 2\), got \(1, 4, 5\)"
    ):
        layer(X, (c, c))
    with pytest.raises(ValueError, match=r"state c must have shape .*hidden_size\) = \(1, 4, 5\), got"):
        layer(X, (h, h))


def test_dy_of_a_projection() -> None:
    layer = nn.LSTM(3, 5, proj_size=2)
    _, _, tape = layer.forward(X)
    with pytest.raises(ValueError, match=r"dy must have shape \(N, T, directions\*proj_size\) = \(4, 5, 2\)"):
        layer.backward(tape, np.zeros((4, 5, 5), np.float32))


# The page on options.

ARGUMENTS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.1, "num_layers": 2},
    "zoneout=pair": {"zoneout": (0.1, 0.2)},
    "layer_norm=split": {"layer_norm": "split"},
    "layer_norm=joint": {"layer_norm": "joint"},
    "trainable_state": {"trainable_state": True},
    "state_gradient_bound": {"state_gradient_bound": 1.0},
    "recompute": {"recompute": 2},
    "proj_size": {"proj_size": 2},
    "forget_bias": {"forget_bias": 0.5},
    "activation": {"activation": "relu"},
    "batch_first": {"batch_first": False},
    "bias": {"bias": False},
    **{name: {name: True} for name in ("bidirectional", "peephole", "coupled")},
    **{name: {name: 0.1} for name in ("input_dropout", "recurrent_dropout", "weight_dropout", "zoneout")},
}
CALLS = {"lengths": [5, 0, 3, 4], "resets": np.eye(4, 5, dtype=bool), "return_states": True}


def tables() -> tuple[list[list[str]], list[list[str]]]:
    """What goes together, in docs/options.md: a table of cells, one of pairs; rows are names and entries."""
    page = DOC.read_text()
    section = page[page.index("## What goes together") : page.index("## What options cost")]
    found: list[list[list[str]]] = []
    for line in section.splitlines():
        if line.startswith("| |"):
            found.append([])
        elif found and line.startswith("|") and not line.startswith("|---"):
            name, *entries = (part.strip() for part in line.strip("|").split("|"))
            found[-1].append([re.findall("`(.+)`", name)[0], *entries])
    cells, pairs = found
    return cells, pairs


@pytest.mark.skipif(not DOC.is_file(), reason="no docs beside the tests")
def test_no_page_has_a_gap() -> None:
    for page in DOC.parent.glob("*.md"):
        assert "TODO" not in page.read_text(), page


@pytest.mark.skipif(not DOC.is_file(), reason="no docs beside the tests")
def test_the_page_says_what_goes_with_a_cell() -> None:
    makers: list[Any] = [
        nn.RNN, nn.LSTM, nn.GRU, lambda *sizes, **options: nn.GRU(*sizes, **{"reset": "before", **options})
    ]  # fmt: skip
    rows, _ = tables()
    assert {name for name, *_ in rows} >= ARGUMENTS.keys() | CALLS.keys()
    for name, *entries in rows:
        for number, (make, entry) in enumerate(zip(makers, entries, strict=True)):
            default = {"reset": {"reset": "before" if number == 3 else "after"}}
            options = ARGUMENTS.get(name, default.get(name, {}))
            if entry == "✓":
                make(3, 4, **options)
            else:
                with pytest.raises(TypeError if entry == "4" else ValueError):
                    make(3, 4, **options)


@pytest.mark.skipif(not DOC.is_file(), reason="no docs beside the tests")
def test_the_page_says_what_goes_together() -> None:
    _, rows = tables()
    names = [name for name, *_ in rows]
    assert len(names) == len(set(names))
    apart = {"bias", "batch_first", "forget_bias", "activation", "zoneout=pair"}
    assert set(names) == (ARGUMENTS.keys() | CALLS.keys() | {"step"}) - apart
    for row, (name, *entries) in enumerate(rows):
        for other, entry in zip(names, entries, strict=True):
            if names.index(other) >= row:
                assert entry == ""
                continue
            pair = {name, other}
            assert entry, pair
            assert entry.isupper() == (
                pair
                in (
                    {"layer_norm=split", "layer_norm=joint"},
                    {"bidirectional", "step"},
                    {"lengths", "step"},
                    {"return_states", "step"},
                )
            )
            if entry.isupper():
                continue
            layer = nn.LSTM(3, 4, **ARGUMENTS.get(name, {}) | ARGUMENTS.get(other, {}))
            call = {key: value for key, value in CALLS.items() if key in pair}
            if "step" in pair:
                layer.step(X[:, 0], **({"resets": CALLS["resets"][:, 0]} if "resets" in pair else {}))
            elif "return_states" in pair:
                layer(X, **call)
            else:
                y, _, tape = layer.forward(X, **call)
                layer.backward(tape, y)
