"""`rnnfast info`: version, compiler, instruction sets compiled in and chosen, threads, CUDA or why not."""

from __future__ import annotations

import argparse
import json

from rnnfast import backend
from rnnfast.files import whole_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`rnnfast info` has no arguments of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration, and write it to --json where asked."""
    if arguments.json:
        with whole_file(arguments.json, "w") as file:
            json.dump(backend.configuration(), file, indent=2)
            file.write("\n")
    backend.show_config()
    return 0
