"""Print the raw JSON of `rnnfast bench [SUITE] --json` as the tables of README and docs.

Usage: python bench/render.py bench/results/<machine>-<date>/kernels-1-thread.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SHAPE_NAMES = {
    "geron": "T56 N32 I1 H32",
    "small": "T100 N32 I64 H128",
    "mid": "T100 N64 I128 H256",
    "large": "T50 N64 I512 H1024",
    "b1": "T100 N1 I128 H256",
    "rl": "T16 N8 I64 H256",
}


def cell_of(row: dict[str, Any] | None, peers: list[str]) -> str:
    """Milliseconds, share of the peak, and the ratios to the peers."""
    if row is None:
        return " – |" * (2 + len(peers))
    ratios = (row["peers"].get(peer, {}).get("ratio") for peer in peers)
    time = row["milliseconds"]
    columns = [f"{time:.0f}" if time >= 100 else f"{time:.3g}", f"{row['share_of_peak']:.0%}"]
    return "".join(f" {text} |" for text in [*columns, *(f"{r:.2f}×" if r else "–" for r in ratios)])


def options(result: dict[str, Any]) -> None:
    """A line per option, a column per shape and cell: ratios to the plain layer, bold above the goal."""
    rows = {(row["option"], row["shape"], row["cell"]): row for row in result["rows"]}
    columns = list(dict.fromkeys((shape, cell) for _, shape, cell in rows))
    print("| option | goal |" + "".join(f" {shape} {cell} |" for shape, cell in columns))
    print("|---|---:|" + "---:|" * len(columns))
    for option in dict.fromkeys(option for option, _, _ in rows):
        found = [rows.get((option, shape, cell)) for shape, cell in columns]
        goal = next((row["goal"] for row in found if row is not None), None)
        line = f"| `{option}` | {'' if goal is None else f'{goal:.2f}'} |"
        for row in found:
            text = "" if row is None else f"{row['ratio']:.2f}"
            line += f" **{text}** |" if row is not None and row["met"] is False else f" {text} |"
        print(line)


def kernels(result: dict[str, Any]) -> None:
    """A line per shape and cell: milliseconds, share of the peak, ratios to the peers."""
    peers = list(result["peers"])
    rows = {(row["shape"], row["cell"], row["mode"]): row for row in result["rows"]}
    training_peers = [peer for peer in peers if peer != "onnxruntime"]
    heads = [f"inference ms | of peak | {' | '.join(peers)}"]
    heads.append(f"training ms | of peak | {' | '.join(training_peers)}")
    print(f"| shape | cell | {' | '.join(heads)} |")
    print("|---|---|" + "---:|" * (4 + len(peers) + len(training_peers)))
    for shape, cell in dict.fromkeys((shape, cell) for shape, cell, _ in rows):
        line = f"| {shape}: {SHAPE_NAMES[shape]} | {cell} |"
        line += cell_of(rows.get((shape, cell, "inference")), peers)
        line += cell_of(rows.get((shape, cell, "training")), training_peers)
        print(line)


def convolution(result: dict[str, Any]) -> None:
    """A line per shape and mode: milliseconds, share of the peak, the peer's; bold below the goal."""
    peers = list(result["peers"])
    heads = "".join(f" {peer} ms | of peak | ratio | goal |" for peer in peers)
    print(f"| shape | mode | ms | of peak |{heads}")
    print("|---|---|" + "---:|" * (2 + 4 * len(peers)))
    for row in result["rows"]:
        line = f"| {shape_of(row)} | {row['mode']} | {rate_of(row, row['peak_met'])}"
        for peer in peers:
            found = row["peers"][peer]
            ratio, goal = f"{found['ratio']:.2f}×", found["goal"]
            ratio = f"**{ratio}**" if found["met"] is False else ratio
            line += f" | {rate_of(found, None)} | {ratio} | {'–' if goal is None else f'{goal:.1f}×'}"
        print(line + " |")
    for row in result["rows"]:
        for peer, found in row.get("memory", {}).get("peers", {}).items():
            own, theirs = row["memory"]["rnnfast_bytes"] / 1e6, found["bytes"] / 1e6
            print(
                f"\nA training step of {shape_of(row)} takes {own:.0f} MB, {peer} {theirs:.0f}: "
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


def streaming(result: dict[str, Any]) -> None:
    """A line per receptive field, a column per mode: µs per sample; at the end dearest over cheapest."""
    modes = [flat["mode"] for flat in result["flatness"]]
    rows = {(row["receptive_field"], row["mode"]): row for row in result["rows"]}
    print(f"| receptive field | {' | '.join(f'{mode}, µs a sample' for mode in modes)} |")
    print("|---:|" + "---:|" * len(modes))
    for field in dict.fromkeys(field for field, _ in rows):
        found = (rows[field, mode]["microseconds_per_sample"] for mode in modes)
        print(f"| {field} | {' | '.join(f'{time:.3g}' for time in found)} |")
    flat = (f"{flat['ratio']:.2f}×" for flat in result["flatness"])
    print(f"| dearest over cheapest | {' | '.join(flat)} |")


SUITES = {"kernels": kernels, "options": options, "convolution": convolution, "streaming": streaming}


def main(path: str) -> None:
    result = json.loads(Path(path).read_text())
    SUITES[result.get("suite", "kernels")](result)


if __name__ == "__main__":
    main(sys.argv[1])
