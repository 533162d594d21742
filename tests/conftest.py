"""Parameters that all tests share: every cell of the registry, every instruction set of this machine, both
dtypes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import rnnfast
from rnnfast import backend, ops
from scripts import load_script


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", list(ops.cells()))
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", backend.supported_variants(), indirect=True)
    if "dtype" in metafunc.fixturenames:
        metafunc.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.fixture
def variant(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs on this instruction set, and on no other."""
    with backend.use_variant(request.param):
        assert backend.active_variant() == request.param
        yield request.param


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """Whatever number of threads a test sets, the next one starts with the same."""
    before = rnnfast.get_num_threads()
    yield
    rnnfast.set_num_threads(before)


@pytest.fixture
def render() -> ModuleType:
    """The script bench/render.py as a module."""
    script = Path(__file__).parents[1] / "bench" / "render.py"
    if not script.exists():
        pytest.skip("no bench folder beside the tests")
    return load_script(script)
