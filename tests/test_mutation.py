"""The suite proven: with any one fault in a gradient of any cell, or one of those listed below of the scan,
its products, the layers without recurrence and the losses, the gradient check fails.

Every assignment of every function called `…gradient` in csrc/cells is negated and dropped in turn, and every
operator in it is exchanged. Each fault is compiled into a core whose only variant is scalar, as many at once
as there are processors: run this file with ``pytest -m mutation``, most of an hour on two.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import rnnfast

ROOT = Path(__file__).parents[1]
CELLS = ROOT / "csrc" / "cells"
EXCHANGED = {" + ": " - ", " - ": " + ", " * ": " + "}
# Files of csrc/cpu to compile a fault into. Central differences are in float64.
CELLS_PART, LAYERS_PART, OTHER_PART = "recurrent_double", "sequence_layers", "variant"
CELL_TESTS = "test_recurrent_backward.py"
STACK_TESTS = "test_stack.py"
LAYER_TESTS = "test_convolution.py test_rows.py"
LOSS_TESTS = "test_losses.py"

pytestmark = [
    pytest.mark.mutation,
    pytest.mark.skipif(not CELLS.is_dir(), reason="no C++ sources beside the tests"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++"),
    pytest.mark.skipif(
        os.uname().machine != "x86_64", reason="builds for x86-64, by the names of its variants"
    ),
]


@dataclass(frozen=True)
class Fault:
    """One change to one file of csrc, the part of a variant to compile with it, and the tests of it."""

    file: str
    old: str
    new: str
    part: str
    tests: str
    at: int | None = None  # where the old text stands, which otherwise is there but once
    label: str = ""

    def text(self, csrc: Path) -> str:
        """The file with the fault in it."""
        source = (csrc / self.file).read_text()
        if self.at is None:
            assert source.count(self.old) == 1
        begin = source.index(self.old) if self.at is None else self.at
        assert source.startswith(self.old, begin)
        return source[:begin] + self.new + source[begin + len(self.old) :]


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

                def fault(old: str, new: str, at: int, label: str, path: Path = path) -> Fault:
                    return Fault(f"cells/{path.name}", old, new, CELLS_PART, CELL_TESTS, at, label)

                if value == "V::zero()":
                    yield fault(value, "V::broadcast(1)", begin, f"{line} one")
                    continue
                yield fault(value, f"V::zero() - ({value})", begin, f"{line} negated")
                yield fault(value, "V::zero()", begin, f"{line} dropped")
                for match in re.finditer(r" [-+*] ", value):
                    other = EXCHANGED[match.group()]
                    yield fault(match.group(), other, begin + match.start(), f"{line} {match.start()}{other}")


# (file in csrc/kernels, what stands there, what is put in its place)
LAYER_FAULTS = [
    ("conv1d_backward.hpp", "row.t + ahead", "row.t - ahead"),
    ("conv1d_backward.hpp", "dims.first + k * dims.dilation);", "dims.first);"),
    ("conv1d_backward.hpp", "residue + walk.t * dims.stride", "residue + (steps - 1 - walk.t) * dims.stride"),
    (
        "conv1d_backward.hpp",
        "dims.outputs, count, a, arguments.dbias",
        "dims.outputs, count - 1, a, arguments.dbias",
    ),
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
    ("recurrent_group_gradients.hpp", "product.of_both_biases()", "false"),
    ("outer_product.hpp", "to + row * width);", "to);"),
    ("outer_product.hpp", "from + (first - tiles.begin)", "from"),
    ("recurrent_gradients.hpp", "Cell::kHiddenSum[gate]", "Cell::kInputSum[gate]"),
    ("recurrent_products.hpp", "Cell::kHiddenSum[gate] * hidden;", "gate * hidden;"),
]

# Of where gradients are added to what stands there.
PLACE_FAULTS = [
    ("outer_product.hpp", "load_up_to(target, present[c]) + sum[r][c]", "sum[r][c]"),
    (
        "outer_product.hpp",
        "place.target[row * place.stride] += lanes",
        "place.target[row * place.stride] = lanes",
    ),
    ("outer_product.hpp", "last && k + block == depth.rows", "last"),
    ("weight_gradient.hpp", "place.target[at] += sum;", "place.target[at] = sum;"),
    ("recurrent_gradients.hpp", "last_(steps.begin == 0)", "last_(true)"),
    ("recurrent_gradients.hpp", "dims.segment < dims.steps || ", ""),
    ("recurrent_gradients.hpp", "dims.batch * dims.steps > OuterProduct<T>::kNearDepth", "false"),
    (
        "recurrent_gradients.hpp",
        "give(gradients, input[unit], gradients.dbias_ih[gate * dims.hidden + unit]);",
        "gradients.dbias_ih[gate * dims.hidden + unit] = input[unit];",
    ),
    (
        "recurrent_gradients.hpp",
        "give(gradients, own[unit], gradients.dbias_hh[gate * dims.hidden + unit]);",
        "gradients.dbias_hh[gate * dims.hidden + unit] = own[unit];",
    ),
    ("recurrent_gradients.hpp", "dims.in_wave || ", ""),
    ("recurrent_forward.hpp", "arguments_.wave.wait_for(step + taken);", ""),
    ("recurrent_backward.hpp", "if (!last) arguments_.wave.wait_for(dims_.steps - step + 1);", ""),
    ("recurrent_group_gradients.hpp", "give(gradients, lanes[lane], to[", "std::swap(lanes[lane], to["),
    ("recurrent_unit_gradients.hpp", "give(gradients, sum, target[", "std::swap(sum, target["),
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
CELL_FAULTS = list(faults())


# No fault, in each part: what a fault goes through does not fail by itself.
NO_FAULTS = [
    Fault(f"cpu/{part}.cpp", "", "", part, tests, at=0)
    for part, tests in (
        (CELLS_PART, CELL_TESTS),
        (CELLS_PART, STACK_TESTS),
        (LAYERS_PART, LAYER_TESTS),
        (OTHER_PART, LOSS_TESTS),
    )
]


def each_of(listed: list[tuple[str, str, str]], part: str, tests: str) -> pytest.MarkDecorator:
    """Those faults as parameters of a test."""
    chosen = [Fault(f"kernels/{file}", old, new, part, tests) for file, old, new in listed]
    return pytest.mark.parametrize("fault", chosen, ids=map(str, listed))


class Build:
    """A core whose only variant is scalar, and copies of it with a fault."""

    def __init__(self, folder: Path) -> None:
        import pybind11

        self.folder = folder
        includes = [pybind11.get_include(), sysconfig.get_paths()["include"]]
        self.flags = ["-std=c++20", "-O0", "-march=x86-64-v2", "-fPIC", "-fvisibility=hidden"]
        self.flags += ["-ffp-contract=off"]
        self.flags += ["-DRNNFAST_ISA_SCALAR", '-DRNNFAST_VERSION="0"', '-DRNNFAST_COMPILER="g++"']
        self.flags += [f"-I{include}" for include in includes]
        self.source = folder / "csrc"  # as it is now, whoever edits it meanwhile
        shutil.copytree(ROOT / "csrc", self.source)
        paths = sorted(path for path in self.source.rglob("*.cpp") if path.parent.name != "cuda")
        assert len({path.stem for path in paths}) == len(paths)  # the objects lie in one folder
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            jobs = [pool.submit(self.compile, path, self.source, folder) for path in paths]
        self.objects = [job.result() for job in jobs]

    def compile(self, path: Path, source: Path, folder: Path) -> Path:
        target = folder / f"{path.stem}.o"
        run_compiler(*self.flags, f"-I{source}", "-c", str(path), "-o", str(target))
        return target

    def gradient_check(self, tests: str, fault: Fault | None = None) -> subprocess.CompletedProcess[str]:
        """The gradient checks of some test files on this core, or on a copy of it with a fault."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder, objects = Path(name), list(self.objects)
            if fault is not None:
                source = folder / "csrc"
                shutil.copytree(self.source, source)
                (source / fault.file).write_text(fault.text(source))
                # First, as of functions that are in several objects the linker takes the first.
                objects = [path for path in objects if path.stem != fault.part]
                objects.insert(0, self.compile(source / "cpu" / f"{fault.part}.cpp", source, folder))
            self.link(folder / "site" / "rnnfast", objects)
            return run_gradient_checks(folder / "site", tests)

    def link(self, package: Path, objects: list[Path]) -> None:
        """The package with those objects as its core."""
        original = Path(rnnfast.__file__).parent
        shutil.copytree(original, package, ignore=shutil.ignore_patterns("_core*.so", "__pycache__"))
        # The registry names the variants of all x86-64: nobody asks for them here.
        scalar = "_ZN7rnnfast6scalar7variantE"
        others = [f"-Wl,--defsym=_ZN7rnnfast{name}7variantE={scalar}" for name in ("4avx2", "6avx512")]
        extension = package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
        run_compiler("-shared", "-pthread", *others, *map(str, objects), "-o", str(extension))


def run_compiler(*arguments: str) -> None:
    done = subprocess.run(["g++", *arguments], capture_output=True, text=True)
    if done.returncode != 0:  # in a thread of another test: the message goes with the error
        raise RuntimeError(f"g++ {' '.join(arguments)}\n{done.stderr}")


def run_gradient_checks(site: Path, tests: str) -> subprocess.CompletedProcess[str]:
    places = [site, *(Path(module.__file__).parents[1] for module in (np, pytest))]
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
    done = build.gradient_check(f"{CELL_TESTS} {STACK_TESTS} {LAYER_TESTS} {LOSS_TESTS}")
    assert done.returncode == 0, done.stdout + done.stderr
    return build


Check = Callable[[Fault], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def check(request: pytest.FixtureRequest, build: Build) -> Iterator[Check]:
    """The checks of all faults of this session, begun in its order; a call waits for its own."""
    begun: dict[Fault, Future[subprocess.CompletedProcess[str]]] = {}
    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    try:
        for item in request.session.items:
            fault = getattr(item, "callspec", None) and item.callspec.params.get("fault")
            if isinstance(fault, Fault):
                begun[fault] = pool.submit(build.gradient_check, fault.tests, fault)
        yield lambda fault: begun[fault].result()
    finally:
        pool.shutdown(cancel_futures=True)


def test_every_cell_has_faults() -> None:
    files = {f"cells/{path.name}" for path in CELLS.glob("*.hpp")} - {"cells/cell.hpp", "cells/registry.hpp"}
    assert {fault.file for fault in CELL_FAULTS} >= files


@pytest.mark.parametrize("fault", NO_FAULTS, ids=lambda fault: f"{fault.part}-{fault.tests}")
def test_no_fault_is_no_failure(check: Check, fault: Fault) -> None:
    done = check(fault)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fault", CELL_FAULTS, ids=lambda fault: fault.label)
def test_a_fault_is_noticed(check: Check, fault: Fault) -> None:
    assert_noticed(check(fault))


@each_of(SCAN_FAULTS, CELLS_PART, CELL_TESTS)
def test_a_fault_of_the_scan_is_noticed(check: Check, fault: Fault) -> None:
    assert_noticed(check(fault))


@each_of(PLACE_FAULTS, CELLS_PART, STACK_TESTS)
def test_a_fault_of_a_place_is_noticed(check: Check, fault: Fault) -> None:
    assert_noticed(check(fault))


@each_of(LOSS_FAULTS, OTHER_PART, LOSS_TESTS)
def test_a_fault_of_a_loss_is_noticed(check: Check, fault: Fault) -> None:
    assert_noticed(check(fault))


@each_of(LAYER_FAULTS, LAYERS_PART, LAYER_TESTS)
def test_a_fault_of_a_layer_is_noticed(check: Check, fault: Fault) -> None:
    assert_noticed(check(fault))


def assert_noticed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "AssertionError" in done.stdout
