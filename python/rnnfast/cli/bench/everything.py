"""`rnnfast bench all`: every suite in a process of its own, all figures into one folder, then their page.

A suite that fails or is interrupted loses its own figures alone: those of the others are there, and the page
says what is missing. Not here: the page (`report`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from rnnfast import backend
from rnnfast.files import whole_file

from . import report
from .arguments import folder_of
from .suites import MAIN_CELLS, SUITES

# What holds us and other libraries to an instruction set; onnxruntime has no such switch.
ISA_ENVIRONMENT = {
    "avx2": {
        "RNNFAST_ISA": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}


class Job(NamedTuple):
    """One process: a suite with its threads and dtype, and the words of its command line."""

    suite: str
    threads: int
    dtype: str
    words: list[str]

    @property
    def name(self) -> str:
        """Of its files, without the ending."""
        dtype = "" if self.dtype == "float32" else f"-{self.dtype}"
        return f"{self.suite}{dtype}-{self.threads}-thread{'s' if self.threads > 1 else ''}"


def run(planned: list[Job], out: Path, isa: str | None) -> int:
    """Run all jobs, then write the page.

    Args:
        planned: by `jobs`.
        out: the folder, which is made where it is not there.
        isa: a key of `ISA_ENVIRONMENT`, or None for what there is.

    Returns:
        0, or 1 if a suite failed, 130 if interrupted.
    """
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **ISA_ENVIRONMENT.get(isa or "", {})}
    done: list[dict[str, Any]] = []
    status = 0
    for job in planned:
        print(f"{job.name} …", end=" ", flush=True)
        done.append(_execute(job, out, environment))
        print(f"{done[-1]['outcome']}, {done[-1]['seconds']:.0f} s", flush=True)
        with whole_file(out / report.RUNS, "w") as file:
            json.dump(done, file, indent=1)
            file.write("\n")
        if done[-1]["outcome"] == "interrupted":
            status = 130
            break
        if done[-1]["outcome"] != "done":
            status = 1
    if report.load(out):
        print(report.write(out))
    return status


def jobs(arguments: argparse.Namespace) -> list[Job]:
    """What is to run.

    Raises:
        ValueError: if an argument is missing, unknown, or for single suites.
    """
    if not arguments.out:
        raise ValueError("argument --out: `rnnfast bench all` needs a folder for its results")
    for name in ("cells", "shapes", "modes", "options", "json"):
        if getattr(arguments, name) is not None:
            raise ValueError(f"argument --{name}: is for single suites, got {getattr(arguments, name)!r}")
    if arguments.dtype != "float32":
        raise ValueError(f"argument --dtype: is for single suites, got {arguments.dtype!r}")
    suites = _names("suites", arguments.suites, tuple(SUITES), list(SUITES))
    known = tuple(dict.fromkeys(peer for name in suites for peer in SUITES[name].peers))
    against = _names("against", arguments.against, known, [])
    folders = {name: folder_of(arguments, name) for name in ("onednn", "rtneural")}
    if ("onednn" in against) != (folders["onednn"] is not None):
        raise ValueError("argument --onednn: goes with --against onednn, and that with --onednn FOLDER")
    found = []
    for threads in [arguments.threads] if arguments.threads else [1, 2]:
        if threads > backend.available_cpus() and not arguments.threads:
            continue
        for name in suites:
            suite = SUITES[name]
            if threads not in suite.threads and not arguments.threads:
                continue
            peers = [peer for peer in against if peer in suite.peers]
            words = ["--threads", str(threads), "--seconds", str(arguments.seconds)]
            words += ["--seed", str(arguments.seed), *(["--against", ",".join(peers)] if peers else [])]
            for folder in suite.folders:
                if folders[folder] is not None:
                    words += [f"--{folder}", str(folders[folder])]
            if name == "kernels":  # the grid of the goals
                words += ["--cells", ",".join(MAIN_CELLS), "--shapes", ",".join(suite.known_shapes)]
            for dtype in suite.dtypes if name == "kernels" else ("float32",):
                found.append(Job(name, threads, dtype, [*words, "--dtype", dtype]))
    return found


def _execute(job: Job, out: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run one job: figures into NAME.json, what it prints into NAME.txt."""
    path = out / f"{job.name}.json"
    path.unlink(missing_ok=True)  # of a run before: must not pass for this one's
    words = ["bench", job.suite, *job.words, "--json", str(path)]
    start, outcome = time.perf_counter(), "done"
    with open(out / f"{job.name}.txt", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rnnfast", *words], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            status = process.wait()
            outcome = "done" if status == 0 else f"failed ({status})"
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            outcome = "interrupted"
    seconds = time.perf_counter() - start
    lines = (out / f"{job.name}.txt").read_text(encoding="utf-8").strip().splitlines()
    last = "" if outcome == "done" else (lines or [""])[-1]
    return {"name": job.name, "words": words, "outcome": outcome, "seconds": seconds, "last_line": last}


def _names(argument: str, text: str | None, known: tuple[str, ...], default: list[str]) -> list[str]:
    if text is None:
        return default
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(
            f"argument --{argument}: expected {', '.join(known)}, got {', '.join(map(repr, unknown))}"
        )
    return list(dict.fromkeys(names))
