from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image


class Files(NamedTuple):
    folder: Path
    paths: list[str]
    y: np.ndarray
    images: np.ndarray


@pytest.fixture
def files(tmp_path):
    """Nineteen images in files: twelve of class "a", four of "b", three of "c"."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (19, 12, 12, 3), dtype=np.uint8)
    folder = tmp_path / "originals"
    folder.mkdir()
    paths = [str(folder / f"scan {i}.png") for i in range(19)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return Files(folder, paths, np.repeat(["a", "b", "c"], [12, 4, 3]), images)
