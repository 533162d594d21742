"""The peak of resident memory in one training step, in a process of its own for each library.

What the process holds before the step does not count: the library, the weights, x and dy. Everything else
does, C++ workspace and all. A step of a few samples goes before, so that what a library makes once in its
life is no part of the step either. Linux alone says how large a process was: /proc/self. Not here: NumPy's
own view, array by array (`memory`).
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rnnfast

from .arguments import Request
from .convolution_cases import WaveNetCase
from .convolution_problem import ConvolutionProblem


def step_peaks(case: WaveNetCase, request: Request, forms: dict[str, str]) -> dict[str, Any]:
    """Measure one step of ours, and one of each peer.

    Args:
        case: the layer and its sizes, with a memory goal.
        request: for dtype, threads and seed.
        forms: of the case, by the name of the peer.

    Returns:
        rnnfast_bytes; peers: bytes, ratio (ours over theirs), goal, met.

    Raises:
        RuntimeError: if a process fails.
    """
    words: dict[str, Any] = {"dtype": request.dtype, "threads": request.threads, "seed": request.seed}
    words["sizes"] = dataclasses.asdict(case)
    own, goal = in_process({**words, "form": None}), case.memory_goal or 1.0
    theirs = {name: in_process({**words, "form": form}) for name, form in forms.items()}
    peers = {
        name: {"bytes": size, "ratio": own / size, "goal": goal, "met": own / size <= goal}
        for name, size in theirs.items()
    }
    return {"rnnfast_bytes": own, "peers": peers}


def in_process(words: dict[str, Any], module: str = __name__) -> int:
    """What `answer` of a module prints in a process of its own.

    Args:
        words: what it is to measure; JSON in that process's argument.
        module: the module.

    Raises:
        RuntimeError: if the process fails.
    """
    # Not `-m`: the package imports this module, which would then be there twice.
    command = [sys.executable, "-c", f"import {module} as memory; memory.answer()", json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"bench: the process that measures memory failed: {last}")
    return int(done.stdout)


def measure_step(case: WaveNetCase, dtype: str, threads: int, seed: int, form: str | None) -> int:
    """Bytes above what this process held before: of our step, or of torch's in that form."""
    rnnfast.set_num_threads(threads)
    small = dataclasses.replace(case, steps=4)
    problems = [ConvolutionProblem(sizes, dtype, seed=seed) for sizes in (small, case)]
    if form is None:
        steps: list[Any] = [problem.job("training") for problem in problems]
    else:
        importlib.import_module("torch").set_num_threads(threads)
        contender = importlib.import_module("rnnfast.cli.bench.torch_layers").Contender
        steps = [contender(p.case, form, p.arrays(), p.x, p.dy).job("training") for p in problems]
    first, step = steps
    first()
    return peak_of(step)


def peak_of(step: Callable[[], object]) -> int:
    """Bytes that the process held at most in that call, above what it held before."""
    before = _kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    step()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def answer() -> None:
    """What the other process does: measure what its argument asks for, and print the bytes."""
    given = json.loads(sys.argv[1])
    sizes = given.pop("sizes")
    print(measure_step(WaveNetCase(**{**sizes, "dilations": tuple(sizes["dilations"])}), **given))
