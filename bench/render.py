"""Print the raw JSON of `rnnfast bench [SUITE] --json` as the tables of README and docs, or write the page of
a folder of them again, README.md and plots, without timing anything.

Usage: python bench/render.py bench/results/<machine>-<date>/kernels-1-thread.json
       python bench/render.py bench/results/<machine>-<date>
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rnnfast.cli.bench import report, tables


def main(path: str) -> None:
    if Path(path).is_dir():
        print(report.write(Path(path)))
        return
    print(*tables.table(json.loads(Path(path).read_text())), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1])
