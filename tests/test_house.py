"""The floors of the house: an include or import goes to the same floor or to one on its right, never back."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from test_mutation import LAYER_FAULTS, LOSS_FAULTS, PLACE_FAULTS, SCAN_FAULTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "rnnfast"
CSRC = ROOT / "csrc"

# From left to right; api is seen by kernels and everything left of it. cpu and cuda do not see each other.
CPP = [{"python"}, {"backend"}, {"cpu", "cuda"}, {"kernels"}, {"cells"}, {"math"}, {"base"}]
SEES_API = {"python", "backend", "cpu", "cuda", "kernels", "api"}

# Who may import whom, beside itself.
KERNELS = {"_core", "backend", "files", "ops"}
LAYERS = {"init", "nn"} | KERNELS
PYTHON = {
    "__main__": {"cli"},
    "cli": {"data", "forecast", "losses", "models", "optim", "reference", "train", "__version__"} | LAYERS,
    "forecast": {"data", "losses", "models", "optim", "train"} | LAYERS,
    "models": LAYERS,
    "train": {"losses", "optim"} | LAYERS,
    "data": {"files"},
    "optim": LAYERS,
    "losses": LAYERS,
    "nn": LAYERS,
    "init": {"ops"},
    "ops": {"_core", "backend"},
    "backend": {"_core"},
    "files": set(),
    "reference": set(),
}


def included(path: Path) -> set[str]:
    return set(re.findall(r'^\s*#\s*include\s+"([a-z_]+)/', path.read_text(), re.MULTILINE))


def imported(path: Path) -> set[str]:
    """First names below the package of everything a module imports, inside functions too."""
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "rnnfast." if node.level == depth else "." * node.level
            prefix = start + (node.module or "") if node.level else node.module or ""
            names = [f"{prefix}.{alias.name}".replace("..", ".") for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("rnnfast.")}
    return found


@pytest.mark.skipif(not CSRC.is_dir(), reason="no C++ sources beside the tests")
def test_cpp_floors() -> None:
    for path in sorted(CSRC.rglob("*.[ch]pp")):
        floor = path.relative_to(CSRC).parts[0]
        place = next((n for n, floors in enumerate(CPP) if floor in floors), len(CPP) - 1)
        allowed = {floor}.union(*CPP[place + 1 :]) | ({"api", "base"} if floor in SEES_API else set())
        assert included(path) <= allowed, path
        assert floor == "python" or "pybind11" not in path.read_text(), path


@pytest.mark.skipif(not PACKAGE.is_dir(), reason="no Python sources beside the tests")
def test_python_floors() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        floor = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if floor != "__init__":
            assert imported(path) <= PYTHON[floor] | {floor}, path


@pytest.mark.skipif(not PACKAGE.is_dir(), reason="no Python sources beside the tests")
def test_nothing_imports_tests_or_bench() -> None:
    for path in PACKAGE.rglob("*.py"):
        roots = re.findall(r"^\s*(?:import|from)\s+(tests|bench)\b", path.read_text(), re.MULTILINE)
        assert not roots, path


@pytest.mark.skipif(not CSRC.is_dir(), reason="no sources beside the tests")
def test_size_budget() -> None:
    """A cell 150 lines, a binding 200, any other C++ file 400, a Python module 300; C++ 110 columns."""
    limits = {"cells": 150, "python": 200}
    for path in CSRC.rglob("*.[ch]pp"):
        lines = path.read_text().splitlines()
        assert len(lines) <= limits.get(path.relative_to(CSRC).parts[0], 400), path
        assert max(map(len, lines)) <= 110, path  # comments too, which clang-format leaves alone
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path


@pytest.mark.skipif(not CSRC.is_dir(), reason="no sources beside the tests")
def test_the_faults_of_the_mutation_check_are_there() -> None:
    """Each stands once in its file, as it is looked for there: CI compiles but some of them."""
    for file, old, _ in (*SCAN_FAULTS, *PLACE_FAULTS, *LAYER_FAULTS, *LOSS_FAULTS):
        assert (CSRC / "kernels" / file).read_text().count(old) == 1, (file, old)
