"""`rnnfast bench`: checks, then times, side by side in the same run; prints a table, writes --json.

Suites: `kernels` (every cell, beside other libraries), `options` (each option of a layer, beside the plain
layer), `convolution` (WaveNet stacks, convolutions and layer norms, beside other libraries) and `streaming`
(what a sample costs a WaveNet, beside other receptive fields). Not here: arguments (`arguments`), the clock
(`timing`), the machine (`machine`).
"""

from __future__ import annotations

import argparse
import json
import sys

import rnnfast
from rnnfast import backend
from rnnfast.files import whole_file

from . import machine, peers
from .arguments import checked, declare
from .convolution import run as run_convolution
from .kernels import run as run_kernels
from .options import run as run_options
from .streaming import run as run_streaming

_SUITES = {
    "kernels": run_kernels,
    "options": run_options,
    "convolution": run_convolution,
    "streaming": run_streaming,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `rnnfast bench`, besides those that all commands share."""
    declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, time, print, and write --json where asked."""
    try:
        request = checked(arguments)
    except ValueError as error:
        print(f"rnnfast bench: error: {error}", file=sys.stderr)
        return 2
    rivals = [peers.load(name, request.threads) for name in request.against]
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
