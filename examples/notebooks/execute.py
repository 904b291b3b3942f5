"""Execute the notebooks, and store them with their outputs.

    python examples/notebooks/execute.py [01_your_folder_balanced.ipynb ...]

Each notebook runs in a temporary folder. It needs ``pip install '.[test]'``.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import tempfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).resolve().parent


def execute(
    path: Path, folder: Path, settings: Mapping[str, Any] | None = None
) -> nbformat.NotebookNode:
    """Return a notebook with its outputs.

    Parameters
    ----------
    path : Path
        The notebook. It is not changed.
    folder : Path
        Working directory of the notebook.
    settings : mapping of str -> object, default=None
        Values for names in the cell that is tagged "parameters".

    Returns
    -------
    notebook : NotebookNode

    Raises
    ------
    CellExecutionError
        If a cell raises an error.
    """
    notebook = nbformat.read(path, as_version=4)
    set_parameters(notebook, settings or {})
    environment = dict(os.environ)
    # The kernel chooses the backend that shows figures.
    environment.pop("MPLBACKEND", None)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        # The times would differ in each execution.
        record_timing=False,
        # A progress bar is stored as its last line.
        coalesce_streams=True,
    )
    client.execute(env=environment)
    return notebook


def set_parameters(
    notebook: nbformat.NotebookNode, settings: Mapping[str, Any]
) -> None:
    """Replace values in the cell that is tagged "parameters"."""
    tagged = "parameters"
    cell = next(c for c in notebook.cells if tagged in c.metadata.get("tags", []))
    for name, value in settings.items():
        line = rf"^{re.escape(name)} = .*$"
        cell.source, n_lines = re.subn(
            line, f"{name} = {value!r}", cell.source, flags=re.M
        )
        if n_lines != 1:
            raise ValueError(f"The cell must set {name!r} once. Got:\n{cell.source}")


def shrink_pictures(notebook: nbformat.NotebookNode) -> None:
    """Store pictures as PNG with 256 colours, which takes less than half the space."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            # IPython stores a PIL image twice.
            data.pop("image/jpeg", None)
            encoded = BytesIO(base64.b64decode(data["image/png"]))
            picture = Image.open(encoded).convert("RGB")
            small = picture.quantize(palette=picture.quantize(256))
            # The background, as in a corner, keeps its colour exactly.
            colours = small.getpalette() or []
            start = 3 * int(np.asarray(small)[0, 0])
            colours[start : start + 3] = np.asarray(picture)[0, 0].tolist()
            small.putpalette(colours)
            buffer = BytesIO()
            small.save(buffer, format="PNG", optimize=True)
            data["image/png"] = base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    """Execute the notebooks in place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    for path in parser.parse_args().notebooks or sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        shrink_pictures(notebook)
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main()
