"""What the build refuses: configuring only, seconds each."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def configure(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("c++") is None:
        pytest.skip("cmake and a C++ compiler are not both on the path")
    command = [cmake, "-S", str(ROOT), "-B", str(folder), "-DRNNFAST_PYTHON=OFF", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("-DRNNFAST_CUDA=ON", "RNNFAST_CUDA=ON, but this version has no CUDA module yet"),
        ("-DRNNFAST_CUDA=maybe", "RNNFAST_CUDA must be AUTO, ON or OFF, got maybe"),
    ],
)
def test_cuda_fails_loudly(tmp_path: Path, option: str, message: str) -> None:
    done = configure(tmp_path, option)
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())


@pytest.mark.parametrize("option", ["-DRNNFAST_CUDA=AUTO", "-DRNNFAST_CUDA=OFF"])
def test_cuda_may_be_absent(tmp_path: Path, option: str) -> None:
    assert configure(tmp_path, option).returncode == 0
