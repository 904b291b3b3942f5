"""What other projects pay for the losses: torch, and nothing else."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "imblearn",
    "lightning_fabric",
    "matplotlib",
    "pandas",
    "scipy",
    "sklearn",
    "torchvision",
}
LIST_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules_after(statement: str) -> set[str]:
    """Loaded modules in a fresh interpreter after the statement."""
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{LIST_MODULES}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def with_torch():
    return modules_after("import torch, numpy")


@pytest.mark.parametrize(
    "statement",
    [
        "from gansampler import FocalLoss, BinaryFocalLoss",
        "from gansampler.losses import *",
        "from gansampler.data import BalancedSampler",
    ],
)
def test_loads_torch_and_nothing_else(with_torch, statement):
    added = modules_after(statement) - with_torch
    packages = {name.split(".")[0] for name in added}
    assert "gansampler" in packages
    assert not packages & HEAVY
    # Of others, at most what torch itself loads a little later, or Python's own.
    assert packages - {"gansampler", "torch", "numpy"} <= sys.stdlib_module_names
    rooms = {name.split(".")[1] for name in added if name.startswith("gansampler.")}
    assert rooms <= {"losses"} or rooms <= {"data"}
