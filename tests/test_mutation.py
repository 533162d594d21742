"""The suite proven: with any one fault in a gradient of any cell, or one of those listed below of the scan,
its products and the layers without recurrence, the gradient check fails.

Every assignment of every function called `…gradient` in csrc/cells is negated and dropped in turn, and every
operator in it is exchanged. Each fault is compiled into the scalar variant of a copy of the core, a few
seconds each: run this file with ``pytest -m mutation``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import rnnfast

ROOT = Path(__file__).parents[1]
CELLS = ROOT / "csrc" / "cells"
EXCHANGED = {" + ": " - ", " - ": " + ", " * ": " + "}
VARIANTS = {"SCALAR": [], "AVX2": ["-mavx2", "-mfma"]}
VARIANTS["AVX512"] = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
PARTS = ("variant", "sequence_layers")  # the files of csrc/cpu that make up a variant
CELL_TESTS = "test_recurrent_backward.py"
LAYER_TESTS = "test_convolution.py test_rows.py"
LOSS_TESTS = "test_losses.py"

pytestmark = [
    pytest.mark.mutation,
    pytest.mark.skipif(not CELLS.is_dir(), reason="no C++ sources beside the tests"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++"),
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="builds the x86-64 variants"),
]


@dataclass(frozen=True)
class Fault:
    """One change to one file."""

    file: str
    begin: int
    end: int
    text: str
    label: str


def bodies(source: str) -> Iterator[tuple[int, int]]:
    """Where the bodies of the functions called …gradient begin and end."""
    for match in re.finditer(r"\b\w*gradient\([^{};]*\{", source):
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        yield match.end(), end - 1


def values(source: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the right-hand sides begin and end: after `=` or `return`, up to a comma or semicolon outside
    brackets.
    """
    for match in re.compile(r"(?<![=<>!])= |\breturn ").finditer(source, begin, end):
        depth, stop = 0, match.end()
        while depth or source[stop] not in ",;":
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(source[stop], 0)
            stop += 1
        yield match.end(), stop


def faults() -> Iterator[Fault]:
    for path, source in SOURCES.items():
        for body in bodies(source):
            for begin, end in values(source, *body):
                value = source[begin:end]
                line = f"{path.stem}:{source.count(chr(10), 0, begin) + 1} {value}"
                if value == "V::zero()":
                    yield Fault(path.name, begin, end, "V::broadcast(1)", f"{line} one")
                    continue
                yield Fault(path.name, begin, end, f"V::zero() - ({value})", f"{line} negated")
                yield Fault(path.name, begin, end, "V::zero()", f"{line} dropped")
                for match in re.finditer(r" [-+*] ", value):
                    at = begin + match.start()
                    other = EXCHANGED[match.group()]
                    yield Fault(path.name, at, at + 3, other, f"{line} {match.start()}{other}")


# (file in csrc/kernels, what stands there, what is put in its place)
LAYER_FAULTS = [
    ("conv1d_backward.hpp", "row.t + ahead", "row.t - ahead"),
    ("conv1d_backward.hpp", "dims.first + k * dims.dilation);", "dims.first);"),
    ("conv1d_backward.hpp", "residue + walk.t * dims.stride", "residue + (steps - 1 - walk.t) * dims.stride"),
    ("conv1d_backward.hpp", "column_sums<T>(dims.outputs, count,", "column_sums<T>(dims.outputs, count - 1,"),
    ("layer_activation.hpp", "dy * (one - y * y)", "dy * (one + y * y)"),
    ("layer_activation.hpp", "dy * (y * (one - y))", "dy * y"),
    ("layer_activation.hpp", "where_positive(y, dy)", "dy"),
    ("layer_norm.hpp", "gradient - fma(normalised, slope_, mean_)", "gradient - mean_"),
    ("layer_norm.hpp", "gradient - fma(normalised, slope_, mean_)", "gradient - normalised * slope_"),
    (
        "layer_norm_rows.hpp",
        "norm[r].add(place, gradient * gamma, value)",
        "norm[r].add(place, gradient, value)",
    ),
    ("layer_norm_rows.hpp", "fma(gradient, value, gamma_sum)", "gamma_sum + gradient"),
    ("layer_norm_rows.hpp", "beta_sum + gradient", "beta_sum - gradient"),
    ("attention.hpp", "(load_up_to(dp + key, left) - mean)", "load_up_to(dp + key, left)"),
    ("wavenet_backward.hpp", "dz * (g * (one - f * f))", "dz * g"),
    ("wavenet_backward.hpp", "dz * (z * (one - g))", "dz * (z * g)"),
    (
        "wavenet_backward.hpp",
        "if (!layer.last) scratch.operands[operands++]",
        "if (false) scratch.operands[operands++]",
    ),
    ("wavenet_backward.hpp", "carried == nullptr", "true"),
    (
        "wavenet_backward.hpp",
        "walk.t + (dims.kernel - 1 - k) * layer.dilation",
        "walk.t + k * layer.dilation",
    ),
    ("wavenet_backward.hpp", "walk.t - (dims.kernel - 1 - k) * layer.dilation", "walk.t - layer.dilation"),
    ("wavenet_backward.hpp", "return layer.last ? V::zero()", "return true ? V::zero()"),
    (
        "wavenet_backward.hpp",
        "channels, rows, dnext, gradients.bias_residual",
        "channels, rows, z, gradients.bias_residual",
    ),
    ("wavenet_backward.hpp", "n == 0 ? Sums::kFresh : Sums::kContinued", "Sums::kFresh"),
]

# Of the scan and of the products over all its rows.
SCAN_FAULTS = [
    ("recurrent_sums.hpp", "return c / kOne * kFew + r;", "return r;"),
    ("recurrent_sums.hpp", "V::load(start_of(line(r, c), kOut[c % kOne]))", "V::zero()"),
    ("recurrent_panels.hpp", "line % kFew, panel + line / kFew)", "0, panel + line / kFew)"),
    ("recurrent_panels.hpp", "line % kFew, panel + line / kFew)", "line % kFew, panel)"),
    ("recurrent_panels.hpp", "lines_.line(first_line + row)", "lines_.line(first_line)"),
    ("recurrent_panels.hpp", "++p, sums += block.count * kSumRow", "++p"),
    ("recurrent_panels.hpp", "block.x[0] += strides.x;", ";"),
    ("recurrent_panels.hpp", "block.tape[0] += strides.tape;", ";"),
    ("recurrent_panels.hpp", "std::swap(block.previous[0][0], block.next_h[0]);", ";"),
    ("recurrent_panels.hpp", "if (first_line >= 0) ++first_line;", ";"),
    ("recurrent_panels.hpp", "{first(s), sums[kSecond / kUnits]", "{first(s), sums[kFirst / kUnits]"),
    ("panels.hpp", "(gate * units + first) * depth", "gate * units * depth"),
    ("recurrent_forward.hpp", "if (count % 2 == 1) std::swap", "if (count > 0) std::swap"),
    ("recurrent_panels_backward.hpp", "load_sums(sums + r * kDenseWidth<T>", "load_sums(sums"),
    ("recurrent_panels_backward.hpp", "true>(r, unit, hidden_), dh)", "true>(0, unit, hidden_), dh)"),
    ("recurrent_places.hpp", "r_too_(r + kRows)", "r_too_(r)"),
    ("product.hpp", "rows[r] + segments.segment[s].offset;", "rows[0] + segments.segment[s].offset;"),
    ("product.hpp", "sums + (p * count + r) * kWidth", "sums + r * kWidth"),
    ("column_sums.hpp", "sum[c] + V::load(row + c * V::kLanes)", "V::load(row + c * V::kLanes)"),
    ("outer_product.hpp", "tile.a = in_place + first;", "tile.a = in_place;"),
    (
        "narrow_outer_product.hpp",
        "n, outputs.end - n, place.rows",
        "outputs.begin, outputs.end - n, place.rows",
    ),
    ("narrow_outer_product.hpp", "place.column + first, depth", "place.column, depth"),
    ("narrow_outer_product.hpp", "own + first * row, row", "own, row"),
    (
        "recurrent_group_gradients.hpp",
        "for (index_t group = 0; group < groups",
        "for (index_t group = 1; group < groups",
    ),
    ("recurrent_group_gradients.hpp", "sums += inputs * Product::stride(product.outputs);", ";"),
    ("recurrent_group_gradients.hpp", "sums + group * size + m * stride", "sums + m * stride"),
    ("recurrent_group_gradients.hpp", "first = group * kGroupRows, active", "first = 0, active"),
    ("recurrent_products.hpp", "Cell::kHiddenSum[gate] * hidden;", "gate * hidden;"),
]

# Of the losses.
LOSS_FAULTS = [
    ("loss.hpp", "slope = d + d;", "slope = d;"),
    ("loss.hpp", "d < 0 ? T(-1) : d;", "d < 0 ? T(1) : d;"),
    ("loss.hpp", "d - T(0.5) * slope", "d + T(0.5) * slope"),
    ("loss.hpp", "d < 0 ? -parameter : d;", "d < 0 ? parameter : d;"),
    ("loss.hpp", "!mask[k]", "mask[k]"),
    ("loss.hpp", "+= sums[lane + width]", "-= sums[lane + width]"),
]

SOURCES = {path: path.read_text() for path in sorted(CELLS.glob("*.hpp")) if path.name != "cell.hpp"}
FAULTS = list(faults())


class Build:
    """A copy of the package whose core is compiled from a copy of csrc."""

    def __init__(self, folder: Path) -> None:
        import pybind11

        self.folder = folder
        self.source = folder / "csrc"
        shutil.copytree(ROOT / "csrc", self.source)
        self.package = folder / "site" / "rnnfast"
        original = Path(rnnfast.__file__).parent
        shutil.copytree(original, self.package, ignore=shutil.ignore_patterns("_core*.so", "__pycache__"))
        includes = [self.source, pybind11.get_include(), sysconfig.get_paths()["include"]]
        self.flags = ["-std=c++20", "-O0", "-fPIC", "-ffp-contract=off", "-fvisibility=hidden"]
        self.flags += [f"-I{include}" for include in includes]
        self.flags += ['-DRNNFAST_VERSION="0"', '-DRNNFAST_COMPILER="g++"']
        self.stale: set[str] = set()  # parts whose object has a fault that their source has no longer
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            jobs = [pool.submit(self.compile_variant, name, part) for name in VARIANTS for part in PARTS]
            for path in sorted(self.source.rglob("*.cpp")):
                if path.parent.name not in ("cpu", "cuda"):
                    jobs.append(pool.submit(self.compile, path, path.stem, []))
        self.objects = [job.result() for job in jobs]

    def compile(self, path: Path, name: str, flags: list[str]) -> Path:
        target = self.folder / f"{name}.o"
        command = ["g++", *self.flags, "-march=x86-64-v2", *flags, "-c", str(path), "-o", str(target)]
        subprocess.run(command, check=True)
        return target

    def compile_variant(self, name: str, part: str) -> Path:
        flags = [f"-DRNNFAST_ISA_{name}", *VARIANTS[name]]
        return self.compile(self.source / "cpu" / f"{part}.cpp", f"{part}_{name}", flags)

    @contextmanager
    def with_text(self, file: str, text: str, part: str) -> Iterator[None]:
        """That text in the place of a source file, compiled into that part and no other."""
        path = self.source / file
        self.stale.discard(part)
        self.clean()
        try:
            path.write_text(text)
            self.compile_variant("SCALAR", part)
            yield
        finally:
            self.stale.add(part)
            path.write_text((ROOT / "csrc" / file).read_text())

    def clean(self) -> None:
        """Compile again what has a fault and should not."""
        while self.stale:
            self.compile_variant("SCALAR", self.stale.pop())

    def gradient_check(self, tests: str = CELL_TESTS) -> subprocess.CompletedProcess[str]:
        """The gradient checks of some test files on the scalar variant of this build."""
        extension = self.package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
        objects = [str(path) for path in self.objects]
        subprocess.run(["g++", "-shared", "-pthread", *objects, "-o", str(extension)], check=True)
        places = [self.package.parent, *(Path(module.__file__).parents[1] for module in (np, pytest))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "RNNFAST_ISA": "scalar"}
        # -S: a development install would lead back to its own core.
        command = [sys.executable, "-S", "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=line"]
        command += ["-k", "(central_differences or gradient) and scalar"]
        command += [str(ROOT / "tests" / name) for name in tests.split()]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    pytest.importorskip("pybind11", reason="pybind11 is not installed")
    build = Build(tmp_path_factory.mktemp("mutation"))
    check_is_clean(build)
    return build


def check_is_clean(build: Build) -> None:
    done = build.gradient_check(f"{CELL_TESTS} {LAYER_TESTS} {LOSS_TESTS}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_cell_has_faults() -> None:
    assert {fault.file for fault in FAULTS} >= {path.name for path in CELLS.glob("*.hpp")} - {
        "cell.hpp",
        "registry.hpp",
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.label)
def test_a_fault_is_noticed(build: Build, fault: Fault) -> None:
    source = SOURCES[CELLS / fault.file]
    check_is_noticed(
        build, f"cells/{fault.file}", source[: fault.begin] + fault.text + source[fault.end :], "variant"
    )


def check_is_noticed(build: Build, file: str, text: str, part: str, tests: str = CELL_TESTS) -> None:
    with build.with_text(file, text, part):
        done = build.gradient_check(tests)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AssertionError" in done.stdout


def faulty(fault: tuple[str, str, str]) -> tuple[str, str]:
    """File and text of a listed fault."""
    file, old, new = fault
    source = (ROOT / "csrc" / "kernels" / file).read_text()
    assert source.count(old) == 1
    return f"kernels/{file}", source.replace(old, new)


@pytest.mark.parametrize("fault", SCAN_FAULTS, ids=str)
def test_a_fault_of_the_scan_is_noticed(build: Build, fault: tuple[str, str, str]) -> None:
    check_is_noticed(build, *faulty(fault), "variant")


@pytest.mark.parametrize("fault", LOSS_FAULTS, ids=str)
def test_a_fault_of_a_loss_is_noticed(build: Build, fault: tuple[str, str, str]) -> None:
    check_is_noticed(build, *faulty(fault), "variant", LOSS_TESTS)


@pytest.mark.parametrize("fault", LAYER_FAULTS, ids=str)
def test_a_fault_of_a_layer_is_noticed(build: Build, fault: tuple[str, str, str]) -> None:
    check_is_noticed(build, *faulty(fault), "sequence_layers", LAYER_TESTS)


def test_no_fault_is_left_behind(build: Build) -> None:
    build.clean()
    check_is_clean(build)
