"""Processes that compute together write each file once, and return the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).with_name("resampling_job.py")


@pytest.mark.ddp
@pytest.mark.slow
def test_torchrun_writes_once_and_goes_on(files, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(JOB), str(files.folder), str(out)]
    subprocess.run([*command, str(tmp_path)], check=True, timeout=300)
    first, second = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)
    )
    assert first == second
    assert first["all_there"]
    assert len(first["X"]) == 36
    held = {path: path.read_bytes() for path in sorted(out.rglob("*.*g"))}
    assert len(held) == 17
    removed = list(held)[3]
    removed.unlink()
    subprocess.run([*command, str(tmp_path)], check=True, timeout=300)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.*g"))} == held
