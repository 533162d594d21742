"""The registry of cells, as the core knows it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from rnnfast import _core


class CellInfo(NamedTuple):
    """What the registry knows of a cell.

    Args:
        name: the cell's name.
        gates: names of its G gates, in the order of the weights' rows.
        states: names of its states; the first is h.
        sums: running sums per hidden unit.
        number: its place in the registry.
        unit_weights: the gates that peepholes act on, in the order of ``weight_ch``; () without peepholes.
        layer_norms: the kinds of layer norm that it has.
        output_state: whether h is an output of another state (LSTM: of c); under "split" that has a norm too.
        projectable: whether h may be projected.
    """

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    sums: int
    number: int
    unit_weights: tuple[str, ...]
    layer_norms: tuple[str, ...]
    output_state: bool
    projectable: bool


@cache
def cells() -> dict[str, CellInfo]:
    """All registered cells by name."""
    return {
        facts["name"]: CellInfo(
            facts["name"],
            facts["gates"],
            facts["states"],
            facts["sums"],
            number,
            facts["unit_weights"],
            tuple(kind for kind in ("split", "joint") if facts[f"{kind}_norm"]),
            facts["output_state"],
            facts["output_state"],
        )
        for number, facts in enumerate(_core.cells())
    }
