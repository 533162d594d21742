"""Print the raw JSON of `rnnfast bench [options] --json` as the tables of README and docs/options.md.

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


def main(path: str) -> None:
    result = json.loads(Path(path).read_text())
    (options if result.get("suite") == "options" else kernels)(result)


if __name__ == "__main__":
    main(sys.argv[1])
