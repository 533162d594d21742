"""The suite `startup`: what comes before the first result, in fresh processes: ours, and other libraries'.

Seconds and resident memory of the import, where NumPy is paid for already; the first call of an LSTM layer,
made and called; bytes on disk of what is installed for it. Processes of the contenders take turns; medians.
The suite's `--seconds` counts rounds: one, and one more for each. Not here: later calls (`kernels`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import rnnfast

from .arguments import Request
from .onnx_peer import OnnxRuntime
from .peer import Peer
from .problems import Problem, Shape

SHAPE = Shape(steps=100, batch=1, inputs=128, hidden=256)
# Most seconds of our import.
_GOAL = 0.1

_FRAME = """
import json, sys, time
import numpy as np
def resident():
    try:
        lines = open("/proc/self/status").read().splitlines()
    except OSError:
        return None
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
given = json.loads(sys.argv[1])
x = np.zeros((given["batch"], given["steps"], given["inputs"]), np.float32)
before, start = resident(), time.perf_counter()
{imports}
imported, after = time.perf_counter() - start, resident()
start = time.perf_counter()
{call}
called = time.perf_counter() - start
size = None if before is None else after - before
print(json.dumps({{"import_seconds": imported, "import_bytes": size, "first_call_seconds": called}}))
"""
# The import and the first call of a layer, as statements.
_PROGRAMS = {
    "rnnfast": ("import rnnfast.nn", 'rnnfast.nn.LSTM(given["inputs"], given["hidden"], seed=0)(x)'),
    "torch": (
        "import torch; torch.set_num_threads(1)",
        'torch.nn.LSTM(given["inputs"], given["hidden"], batch_first=True).eval()(torch.from_numpy(x))',
    ),
    "onnxruntime": (
        "import onnxruntime",
        "options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; "
        'session = onnxruntime.InferenceSession(given["model"], options, '
        'providers=["CPUExecutionProvider"]); '
        'session.run(None, {"x": np.ascontiguousarray(x.transpose(1, 0, 2))})',
    ),
    "jax": (
        "import jax",
        """
inputs, hidden = given["inputs"], given["hidden"]
weight_ih, weight_hh = jax.numpy.zeros((inputs, 4 * hidden)), jax.numpy.zeros((hidden, 4 * hidden))
zeros = jax.numpy.zeros((given["batch"], given["hidden"]))
def body(state, sums):
    i, f, g, o = jax.numpy.split(sums + state[0] @ weight_hh, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
    h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
    return (h, c), h
layer = jax.jit(lambda x: jax.lax.scan(body, (zeros, zeros), x.swapaxes(0, 1) @ weight_ih)[1])
layer(x).block_until_ready()
""",
    ),
    "keras": (
        'import os; os.environ["KERAS_BACKEND"] = "jax"; import keras',
        'np.asarray(keras.layers.LSTM(given["hidden"], return_sequences=True)(x))',
    ),
}
# What a library cannot be imported without, beside NumPy: folders of site-packages.
_FOLDERS = {
    "torch": ("torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "fsspec"),
    "onnxruntime": ("onnxruntime", "flatbuffers", "google"),
    "jax": ("jax", "jaxlib", "ml_dtypes", "opt_einsum", "scipy", "scipy.libs"),
    "keras": (
        *("keras", "jax", "jaxlib", "ml_dtypes", "opt_einsum", "scipy", "scipy.libs", "h5py", "h5py.libs"),
        *("optree", "rich", "namex", "absl"),
    ),
}


def run(request: Request, rivals: list[Peer]) -> dict[str, Any]:
    """Measure and print.

    Args:
        request: what is asked for.
        rivals: the libraries to compare with.

    Returns:
        rows: one dict for each library, ours first.

    Raises:
        RuntimeError: if a process fails.
    """
    names = ["rnnfast", *(rival.name for rival in rivals)]
    with tempfile.TemporaryDirectory(prefix="rnnfast-bench-") as folder:
        given = SHAPE._asdict() | {"model": os.path.join(folder, "layer.onnx")}
        for rival in rivals:
            if isinstance(rival, OnnxRuntime):
                rival.save(Problem("lstm", SHAPE, "float32", seed=request.seed), given["model"])
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(1 + int(request.seconds)):
            for name in names:
                rounds[name].append(_in_process(name, given))
    heads = f"{'import s':>9} {'ratio':>6} {'import MB':>10} {'first call s':>13} {'on disk MB':>11}"
    print(f"{'library':<12} {heads}")
    rows: list[dict[str, Any]] = []
    for name in names:
        rows.append(_row(name, rounds[name], rows[0] if rows else None))
        print(_line(rows[-1]), flush=True)
    return {"sizes": SHAPE._asdict(), "rows": rows}


def _row(name: str, rounds: list[dict[str, Any]], own: dict[str, Any] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"library": name, "repeats": len(rounds), "disk_bytes": _disk_bytes(name)}
    for figure in ("import_seconds", "import_bytes", "first_call_seconds"):
        values = [found[figure] for found in rounds]
        row[figure] = None if None in values else statistics.median(values)
    if own is None:
        return row | {"goal": _GOAL, "met": row["import_seconds"] <= _GOAL}
    return row | {"ratio": row["import_seconds"] / own["import_seconds"]}


def _in_process(name: str, given: dict[str, Any]) -> dict[str, Any]:
    imports, call = _PROGRAMS[name]
    program = _FRAME.format(imports=imports, call=call)
    command = [sys.executable, "-W", "ignore", "-c", program, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"bench: the process that imports {name} failed: {last}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _disk_bytes(name: str) -> int:
    """Bytes of the files of a library and of what it needs beside NumPy, without compiled Python."""
    if name == "rnnfast":
        core = Path(str(rnnfast._core.__file__)).resolve()
        folder = Path(rnnfast.__file__).resolve().parent
        outside = 0 if core.is_relative_to(folder) else core.stat().st_size
        return _folder_bytes(folder) + outside
    packages = Path(sysconfig.get_paths()["purelib"])
    return sum(_folder_bytes(packages / folder) for folder in _FOLDERS[name])


def _folder_bytes(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files)


def _line(row: dict[str, Any]) -> str:
    ratio = f"{row['ratio']:>5.1f}x" if "ratio" in row else f"{'':>6}"
    size = "-" if row["import_bytes"] is None else f"{row['import_bytes'] / 1e6:.1f}"
    text = (
        f"{row['library']:<12} {row['import_seconds']:>9.3f} {ratio} {size:>10} "
        f"{row['first_call_seconds']:>13.4f} {row['disk_bytes'] / 1e6:>11.1f}"
    )
    return text + (f"  goal {row['goal']} {'ok' if row['met'] else 'above'}" if "goal" in row else "")
