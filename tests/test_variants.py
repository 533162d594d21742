"""Which instruction set runs: every supported one can be forced and proven, an unknown one is refused at
import.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from problems import make_problem, same_bits
from rnnfast import backend

PROBE = "import rnnfast.backend as b; print(b.active_variant())"


def start(name: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "RNNFAST_ISA"}
    if name is not None:
        environment["RNNFAST_ISA"] = name
    return subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True)


def test_supported_variants_are_compiled_ones() -> None:
    assert set(backend.supported_variants()) <= set(backend.compiled_variants())
    assert "scalar" in backend.supported_variants()


@pytest.mark.parametrize("name", backend.supported_variants())
def test_environment_forces_a_variant(name: str) -> None:
    done = start(name)
    assert done.stdout.strip() == name, done.stderr


def test_the_best_supported_variant_is_chosen_alone() -> None:
    done = start(None)
    assert done.stdout.strip() in backend.supported_variants(), done.stderr
    assert done.stdout.strip() != "scalar" or backend.supported_variants() == ("scalar",)


@pytest.mark.parametrize("name", ["foo", "AVX2", "avx2 "])
def test_an_unknown_variant_is_refused_at_import(name: str) -> None:
    done = start(name)
    assert done.returncode != 0
    assert "RNNFAST_ISA" in done.stderr.splitlines()[-1]
    assert "scalar" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "name", sorted({"scalar", "avx2", "avx512", "neon"} - set(backend.supported_variants()))
)
def test_an_unsupported_variant_is_refused(name: str) -> None:
    assert start(name).returncode != 0
    with pytest.raises(RuntimeError, match=name), backend.use_variant(name):
        pass


def test_use_variant_ends_with_its_block() -> None:
    before = backend.active_variant()
    for name in backend.supported_variants():
        with backend.use_variant(name):
            assert backend.active_variant() == name
        assert backend.active_variant() == before


def test_variants_compute_apart(cell: str) -> None:
    """Another instruction set is another program: weights packed for one serve any other, and all agree."""
    problem = make_problem(cell, 5, 4, 3, 18)
    results = []
    for name in backend.supported_variants():
        with backend.use_variant(name):
            y, _, tape = problem.forward()
            results.append((name, y, problem.backward(tape).dweight_hh))
    for name, y, dweight in results[1:]:
        np.testing.assert_allclose(y, results[0][1], rtol=0, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(dweight, results[0][2], rtol=0, atol=1e-11, err_msg=name)
    fused = [y for name, y, _ in results if name != "scalar"]
    assert all(same_bits(fused[0], y) for y in fused)
