"""What `import rnnfast` costs: modules are counted, as time depends on the machine."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import sys
import numpy
before = set(sys.modules)
import rnnfast
print("\\n".join(sorted(set(sys.modules) - before)))
"""


def modules_after_import() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_import_pulls_in_nothing_but_numpy() -> None:
    packages = {name.partition(".")[0] for name in modules_after_import()}
    foreign = packages - sys.stdlib_module_names - {"numpy", "rnnfast"}
    assert not foreign


def test_import_is_small() -> None:
    own = [name for name in modules_after_import() if name.startswith("rnnfast")]
    assert not {"rnnfast.cli", "rnnfast.train", "rnnfast.forecast", "rnnfast.data", "rnnfast.models"} & set(
        own
    )
    others = [name for name in modules_after_import() if not name.startswith("rnnfast")]
    assert len(own) <= 30, own
    assert len(others) <= 40, others
    slow = {
        "asyncio",
        "concurrent.futures",
        "email",
        "http",
        "multiprocessing",
        "unittest",
        "urllib.request",
        "xml",
    }
    assert not slow & set(others)


def test_lazy_parts_arrive_when_asked_for() -> None:
    parts = "models.Seq2Vec", "train.fit", "data", "forecast", "losses", "optim", "load", "__version__"
    probe = "import rnnfast; " + "; ".join(f"rnnfast.{part}" for part in parts)
    subprocess.run([sys.executable, "-W", "error", "-c", probe], check=True)
