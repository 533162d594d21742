"""Markdown tables of the suites of steps, blocks, epochs, memory, start and cost. Not here: the others
(`tables`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Result = dict[str, Any]


def step(result: Result) -> Iterable[str]:
    """A line per size and cell: µs of a step, ours and the peers'."""
    yield from _beside(result, ("shape", "cell"), "microseconds", "µs", ".2f")


def blocks(result: Result) -> Iterable[str]:
    """A line per size, cell and block: ns of a sample, ours and the fixed-size contenders'."""
    yield from _beside(result, ("shape", "cell", "mode"), "nanoseconds_per_sample", "ns", ".0f")
    for name, reason in result["notes"].items():
        yield ""
        yield f"Without {name}: {reason}."


def epoch(result: Result) -> Iterable[str]:
    """A line per cell: seconds of an epoch, ours and the peers'."""
    yield from _beside(result, ("cell",), "seconds", "s", ".3f")


def memory(result: Result) -> Iterable[str]:
    """A line per cell: MB of a step, ours with and without recomputation, and the peers'."""
    peers = list(result["peers"])
    heads = "".join(f" {peer} MB | ratio | recomputed |" for peer in peers)
    yield f"| cell | MB | recomputed MB |{heads}"
    yield "|---|---:|---:|" + "---:|" * (3 * len(peers))
    for row in result["rows"]:
        line = f"| {row['cell']} | {row['bytes'] / 1e6:.1f} | {row['recompute_bytes'] / 1e6:.1f} |"
        for peer in peers:
            found = row["peers"][peer]
            line += f" {found['bytes'] / 1e6:.1f} |"
            for name in ("rnnfast", "recompute"):
                line += f" {_ratio(found[name])} |"
        yield line


def startup(result: Result) -> Iterable[str]:
    """A line per library: seconds and MB of its import, seconds of the first call, MB on disk."""
    yield "| library | import s | ratio | import MB | first call s | on disk MB |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in result["rows"]:
        ratio = f"{row['ratio']:.1f}×" if "ratio" in row else "–"
        size = "–" if row["import_bytes"] is None else f"{row['import_bytes'] / 1e6:.1f}"
        seconds = _bold(f"{row['import_seconds']:.3f}", row.get("met"))
        yield (
            f"| {row['library']} | {seconds} | {ratio} | {size} | {row['first_call_seconds']:.4f} "
            f"| {row['disk_bytes'] / 1e6:.1f} |"
        )


def cost(result: Result) -> Iterable[str]:
    """Lines that should be straight, sizes that should be no cliffs, and GFLOP/s at every size."""
    if result["lines"]:
        yield "| axis | cell | mode | offset ms | ms per unit | off a straight line by at most |"
        yield "|---|---|---|---:|---:|---:|"
        for line in result["lines"]:
            yield (
                f"| {line['axis']} | {line['cell']} | {line['mode']} | {line['offset_milliseconds']:.3g} "
                f"| {line['milliseconds_per_unit']:.3g} | {line['largest_deviation']:.0%} |"
            )
        yield ""
    if result["cliffs"]:
        yield "| H | beside | cell | mode | ratio of ns per operation | goal |"
        yield "|---:|---:|---|---|---:|---:|"
        for cliff in result["cliffs"]:
            yield (
                f"| {cliff['size']} | {cliff['neighbour']} | {cliff['cell']} | {cliff['mode']} "
                f"| {_ratio(cliff)} | {cliff['goal']:.2f} |"
            )
        yield ""
    rows = {(r["axis"], r["size"], r["cell"], r["mode"]): r for r in result["rows"]}
    for axis in dict.fromkeys(key[0] for key in rows):
        columns = list(dict.fromkeys(key[2:] for key in rows if key[0] == axis))
        yield f"| {axis} | {' | '.join(f'{cell} {mode}, ms (GFLOP/s)' for cell, mode in columns)} |"
        yield "|---:|" + "---:|" * len(columns)
        for size in dict.fromkeys(key[1] for key in rows if key[0] == axis):
            found = [rows[axis, size, cell, mode] for cell, mode in columns]
            yield f"| {size} | {' | '.join('{milliseconds:.3g} ({gflops:.3g})'.format(**r) for r in found)} |"
        yield ""


def _beside(result: Result, keys: tuple[str, ...], figure: str, unit: str, form: str) -> Iterable[str]:
    """Our figure and the peers', with ratios; bold where a goal is missed."""
    peers = list(dict.fromkeys(peer for row in result["rows"] for peer in row["peers"]))
    heads = "".join(f" {peer} {unit} | ratio |" for peer in peers)
    yield f"| {' | '.join(keys)} | {unit} | goal |{heads}"
    yield "|" + "---|" * len(keys) + "---:|---:|" + "---:|" * (2 * len(peers))
    for row in result["rows"]:
        goal = row.get("goal")
        own = _bold(format(row[figure], form), row.get("met"))
        line = f"| {' | '.join(str(row[key]) for key in keys)} | {own} |"
        line += f" {'–' if goal is None else goal} |"
        for peer in peers:
            found = row["peers"].get(peer)
            if found is None:
                line += " – | – |"
            else:
                line += f" {found[figure]:{form}} | {_ratio(found)} |"
        yield line


def _ratio(found: dict[str, Any]) -> str:
    return _bold(f"{found['ratio']:.2f}×", found.get("met"))


def _bold(text: str, met: bool | None) -> str:
    return f"**{text}**" if met is False else text
