"""The machine of a measurement: what a result is worth nothing without."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import rnnfast
from rnnfast import backend, ops

# What limits instruction sets and threads, here and in other libraries.
ENVIRONMENT = (
    *("RNNFAST_ISA", "RNNFAST_NUM_THREADS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"),
    *("MKL_ENABLE_INSTRUCTIONS", "XLA_FLAGS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CXX"),
)


def facts() -> dict[str, Any]:
    """Processor, system, versions, commit and date."""
    return {
        "cpu": _cpu(),
        "cpus": backend.available_cpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "commit": _commit(),
        "configuration": backend.configuration(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    }


def peak_gflops(dtype: str) -> float:
    """The FMA rate of one core, measured now: median of five short runs of independent chains."""
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        operations = ops.fma_operations(dtype, 100_000)
        rates.append(operations / (time.perf_counter() - start) / 1e9)
    return statistics.median(rates)


def _cpu() -> str:
    """The processor's name, with family and model: virtual machines often hide the name."""
    found: dict[str, str] = {}
    if os.path.exists("/proc/cpuinfo"):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    if "model name" not in found:
        return platform.processor() or platform.machine()
    return f"{found['model name']} (family {found.get('cpu family', '?')}, model {found.get('model', '?')})"


def _commit() -> str | None:
    """The commit of the source checkout the package runs from; None for an installed copy."""
    folder = Path(rnnfast.__file__).resolve().parent
    if not (folder.parents[1] / "CMakeLists.txt").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
