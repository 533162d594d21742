"""The figures of one suite as Markdown tables: lines of text. Not here: the suites added for streams, epochs
and start (`more_tables`), the page of all of them (`report`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .more_tables import blocks, cost, epoch, memory, startup, step
from .problems import SHAPES

Result = dict[str, Any]


def cell_of(row: dict[str, Any] | None, peers: list[str]) -> str:
    """Milliseconds, share of the peak, and the ratios to the peers."""
    if row is None:
        return " – |" * (2 + len(peers))
    ratios = (row["peers"].get(peer, {}).get("ratio") for peer in peers)
    time = row["milliseconds"]
    columns = [f"{time:.0f}" if time >= 100 else f"{time:.3g}", f"{row['share_of_peak']:.0%}"]
    return "".join(f" {text} |" for text in [*columns, *(f"{r:.2f}×" if r else "–" for r in ratios)])


def options(result: Result) -> Iterable[str]:
    """A line per option, a column per shape and cell: ratios to the plain layer, bold above the goal."""
    rows = {(row["option"], row["shape"], row["cell"]): row for row in result["rows"]}
    columns = list(dict.fromkeys((shape, cell) for _, shape, cell in rows))
    yield "| option | goal |" + "".join(f" {shape} {cell} |" for shape, cell in columns)
    yield "|---|---:|" + "---:|" * len(columns)
    for option in dict.fromkeys(option for option, _, _ in rows):
        found = [rows.get((option, shape, cell)) for shape, cell in columns]
        goal = next((row["goal"] for row in found if row is not None), None)
        line = f"| `{option}` | {'' if goal is None else f'{goal:.2f}'} |"
        for row in found:
            text = "" if row is None else f"{row['ratio']:.2f}"
            line += f" **{text}** |" if row is not None and row["met"] is False else f" {text} |"
        yield line


def kernels(result: Result) -> Iterable[str]:
    """A line per shape and cell: milliseconds, share of the peak, ratios to the peers."""
    every = {peer for row in result["rows"] for peer in row["peers"]}
    peers = [peer for peer in result["peers"] if peer in every]
    training = {peer for row in result["rows"] if row["mode"] == "training" for peer in row["peers"]}
    training_peers = [peer for peer in peers if peer in training]
    rows = {(row["shape"], row["cell"], row["mode"]): row for row in result["rows"]}
    heads = ["inference ms", "of peak", *peers, "training ms", "of peak", *training_peers]
    yield f"| shape | cell | {' | '.join(heads)} |"
    yield "|---|---|" + "---:|" * len(heads)
    for shape, cell in dict.fromkeys((shape, cell) for shape, cell, _ in rows):
        found = [rows.get((shape, cell, mode)) for mode in ("inference", "training")]
        line = f"| {shape}{_sizes(shape, found)} | {cell} |"
        yield line + cell_of(found[0], peers) + cell_of(found[1], training_peers)
    yield from _notes(result)


def convolution(result: Result) -> Iterable[str]:
    """A line per shape and mode: milliseconds, share of the peak, the peer's; bold below the goal."""
    peers = list(result["peers"])
    heads = "".join(f" {peer} ms | of peak | ratio | goal |" for peer in peers)
    yield f"| shape | mode | ms | of peak |{heads}"
    yield "|---|---|" + "---:|" * (2 + 4 * len(peers))
    for row in result["rows"]:
        line = f"| {shape_of(row)} | {row['mode']} | {rate_of(row, row['peak_met'])}"
        for peer in peers:
            found = row["peers"][peer]
            ratio, goal = f"{found['ratio']:.2f}×", found["goal"]
            ratio = f"**{ratio}**" if found["met"] is False else ratio
            line += f" | {rate_of(found, None)} | {ratio} | {'–' if goal is None else f'{goal:.1f}×'}"
        yield line + " |"
    for row in result["rows"]:
        for peer, found in row.get("memory", {}).get("peers", {}).items():
            own, theirs = row["memory"]["rnnfast_bytes"] / 1e6, found["bytes"] / 1e6
            yield ""
            yield (
                f"A training step of {shape_of(row)} takes {own:.0f} MB, {peer} {theirs:.0f}: "
                f"{found['ratio']:.2f}× (goal {found['goal']:.1f}×)."
            )


def shape_of(row: dict[str, Any]) -> str:
    """The layer and its sizes, in the letters of the axes."""
    sizes = row["sizes"]
    if row["layer"] == "wavenet":
        return f"WaveNet N{sizes['batch']} T{sizes['steps']} C{sizes['channels']}"
    if row["layer"] == "layer_norm":
        return f"LayerNorm {sizes['rows']}×{sizes['features']}"
    text = f"Conv1d N{sizes['batch']} T{sizes['steps']} I{sizes['inputs']} O{sizes['outputs']}"
    text += f" K{sizes['kernel_size']}"
    text += f" d{sizes['dilation']}" if sizes["dilation"] > 1 else ""
    return text + (f" s{sizes['stride']}" if sizes["stride"] > 1 else "")


def rate_of(figures: dict[str, Any], met: bool | None) -> str:
    """Milliseconds and share of the peak."""
    time, share = figures["milliseconds"], figures["share_of_peak"]
    text = "–" if share is None else f"{share:.0%}"
    return f"{f'{time:.0f}' if time >= 100 else f'{time:.3g}'} | {f'**{text}**' if met is False else text}"


def streaming(result: Result) -> Iterable[str]:
    """A line per receptive field, a column per mode: µs per sample; at the end dearest over cheapest."""
    modes = [flat["mode"] for flat in result["flatness"]]
    rows = {(row["receptive_field"], row["mode"]): row for row in result["rows"]}
    yield f"| receptive field | {' | '.join(f'{mode}, µs a sample' for mode in modes)} |"
    yield "|---:|" + "---:|" * len(modes)
    for field in dict.fromkeys(field for field, _ in rows):
        found = (rows[field, mode]["microseconds_per_sample"] for mode in modes)
        yield f"| {field} | {' | '.join(f'{time:.3g}' for time in found)} |"
    flat = (f"{flat['ratio']:.2f}×" for flat in result["flatness"])
    yield f"| dearest over cheapest | {' | '.join(flat)} |"


def _sizes(shape: str, rows: list[dict[str, Any] | None]) -> str:
    """The sizes that a row says; the first results left that to the shape's name."""
    known = {"sizes": SHAPES[shape]._asdict()} if shape in SHAPES else {}
    sizes = next((row["sizes"] for row in [*rows, known] if row and "sizes" in row), None)
    if sizes is None:
        return ""
    return f": T{sizes['steps']} N{sizes['batch']} I{sizes['inputs']} H{sizes['hidden']}"


def _notes(result: Result) -> Iterable[str]:
    """Why peers are missing, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in result["rows"]:
        for peer, reason in row.get("notes", {}).items():
            reasons.setdefault((peer, reason), []).append(f"{row['shape']} {row['cell']} {row['mode']}")
    for (peer, reason), where in reasons.items():
        yield ""
        rows = ", ".join([*where[:3], *(["…"] if where[3:] else [])])
        yield f"Without {peer} in {len(where)} rows ({rows}): {reason}."


TABLES: dict[str, Callable[[Result], Iterable[str]]] = {
    "kernels": kernels,
    "options": options,
    "convolution": convolution,
    "streaming": streaming,
    "step": step,
    "blocks": blocks,
    "epoch": epoch,
    "memory": memory,
    "startup": startup,
    "cost": cost,
}


def table(result: Result) -> list[str]:
    """The lines of a suite's tables; results without a suite are of `kernels`, the first there was."""
    return list(TABLES[result.get("suite", "kernels")](result))
