"""`rnnfast bench`: checks, then times, side by side in the same run; prints a table, writes --json.

One suite (`suites` lists them), or all of them into a folder (`everything`). Not here: arguments
(`arguments`), the clock (`timing`), the machine (`machine`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import rnnfast
from rnnfast import backend
from rnnfast.files import whole_file

from . import everything, machine, peers
from .arguments import Request, checked, declare
from .blocks import run as run_blocks
from .convolution import run as run_convolution
from .cost import run as run_cost
from .epoch import run as run_epoch
from .kernels import run as run_kernels
from .options import run as run_options
from .startup import run as run_startup
from .step import run as run_step
from .streaming import run as run_streaming
from .suites import ALL
from .training_memory import run as run_memory

_SUITES = {
    "kernels": run_kernels,
    "options": run_options,
    "convolution": run_convolution,
    "streaming": run_streaming,
    "step": run_step,
    "blocks": run_blocks,
    "epoch": run_epoch,
    "memory": run_memory,
    "startup": run_startup,
    "cost": run_cost,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast bench`, besides those that all commands share."""
    declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, time, print, and write --json where asked."""
    try:
        if arguments.suite == ALL:
            planned = everything.jobs(arguments)
        else:
            request = checked(arguments)
    except ValueError as error:
        print(f"rnnfast bench: error: {error}", file=sys.stderr)
        return 2
    if arguments.suite == ALL:
        return everything.run(planned, Path(arguments.out), arguments.isa)
    rnnfast.set_num_threads(request.threads)
    rivals = [peers.load(name, request.threads, _folder(name, request)) for name in request.against]
    facts = machine.facts() | {
        "suite": request.suite,
        "dtype": request.dtype,
        "threads": request.threads,
        "peers": {rival.name: rival.version for rival in rivals},
    }
    print(
        f"rnnfast {rnnfast.__version__} on {facts['cpu']}: {backend.active_variant()}, {request.dtype}, "
        f"threads: {request.threads}, one core's FMA peak: {machine.peak_gflops(request.dtype):.1f} GFLOP/s"
    )
    result = facts | _SUITES[request.suite](request, rivals)
    if arguments.json:
        with whole_file(arguments.json, "w") as file:
            json.dump(result, file, indent=1)
            file.write("\n")
    return 0


def _folder(name: str, request: Request) -> str | None:
    return request.onednn if name == "onednn" else None
