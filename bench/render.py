"""Print the raw JSON of `rnnfast bench --json` as the Markdown table of the README.

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


def main(path: str) -> None:
    result = json.loads(Path(path).read_text())
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


if __name__ == "__main__":
    main(sys.argv[1])
