"""The conformance program: variants print the same digests, also under an emulator of another CPU."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from rnnfast import backend

ROOT = Path(__file__).resolve().parents[1]
CROSS_COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
QUICK = "-DCMAKE_CXX_FLAGS_RELEASE=-O1"  # the bits do not depend on it


def build(folder: Path, *options: str) -> Path:
    """Build the program from the source tree."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not on the path")
    configure = [cmake, "-S", str(ROOT), "-B", str(folder)]
    configure += ["-DRNNFAST_PYTHON=OFF", "-DRNNFAST_CONFORMANCE=ON", *options]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run([cmake, "--build", str(folder), "-j", "2"], check=True, capture_output=True)
    return folder / "rnnfast_conformance"


def digests(*command: str) -> Sequence[str]:
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) > 400
    return lines


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler on the path")
    # With the package's own options a compiler cache has its objects, which is quicker still.
    cached = "CMAKE_CXX_COMPILER_LAUNCHER" in os.environ
    options = shlex.split(os.environ.get("CMAKE_ARGS", "")) if cached else [QUICK]
    return str(build(tmp_path_factory.mktemp("native"), *options))


def test_variants_with_fma_print_the_same_digests(native: str) -> None:
    with_fma = [name for name in backend.supported_variants() if name != "scalar"]
    if not with_fma:
        pytest.skip("this CPU supports no variant with FMA")
    expected = digests(native, with_fma[0])
    for name in with_fma[1:]:
        assert digests(native, name) == expected
    assert len({line.rsplit(" ", 1)[1] for line in expected}) > 300  # no two outputs are alike by mistake
    assert digests(native, "scalar") != expected  # the digests do see a last bit: scalar rounds twice


def test_neon_prints_the_digests_of_avx2(native: str, tmp_path: Path) -> None:
    for program in (CROSS_COMPILER, EMULATOR):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on the path")
    if "avx2" not in backend.supported_variants():
        pytest.skip("this CPU does not support avx2")
    toolchain = ROOT / "tests" / "conformance" / "aarch64.cmake"
    program = build(tmp_path, QUICK, f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    assert digests(EMULATOR, str(program), "neon") == digests(native, "avx2")


def test_an_unknown_variant_is_refused(native: str) -> None:
    done = subprocess.run([native, "foo"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unknown instruction set; compiled in:" in done.stderr
