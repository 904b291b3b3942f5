"""The examples run as a user runs them, on little data and for few epochs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_readme_shows_the_quickstart():
    shown = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    source = (ROOT / "examples" / "quickstart.py").read_text()
    body = source.split('"""', 2)[2].strip()
    assert shown is not None
    assert shown.group(1).strip() == body
    # The fifteen lines: statements, not line breaks.
    assert len(ast.parse(body).body) <= 15


@pytest.mark.slow
def test_quickstart_runs(tmp_path):
    source = (ROOT / "examples" / "quickstart.py").read_text()
    for change in (
        ("make_lesions(600", "make_lesions(60"),
        ("n_epochs=4", "ngf=4, n_blocks=1, n_epochs=1"),
        ("vertical_flip=True, ", "vertical_flip=True, n_epochs=1, "),
    ):
        assert change[0] in source
        source = source.replace(*change)
    script = tmp_path / "quickstart.py"
    script.write_text(source)
    run = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "sensitivity" in run.stdout


@pytest.mark.slow
def test_isic2016_example_runs(isic2016_root, tmp_path):
    run = subprocess.run(
        [
            sys.executable,
            ROOT / "examples" / "melanet_isic2016.py",
            *("--data", isic2016_root, "--image-size", "32", "--weights", "none"),
            *("--max-time", "1", "--n-epochs", "1", "--out", tmp_path),
        ],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "classifier.safetensors",
        "figures.json",
        "history.png",
        "translations.png",
        "translator.safetensors",
    }
