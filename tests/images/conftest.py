import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def save(tmp_path):
    """Write an array or a PIL image to a file of some name; return its path."""

    def write(image, name, **options):
        if not isinstance(image, Image.Image):
            image = Image.fromarray(image)
        path = tmp_path / name
        image.save(path, **options)
        return path

    return write


@pytest.fixture
def files(rng, save):
    """Six PNG files of 12 x 10 px, and what they hold."""
    X = rng.integers(0, 256, (6, 12, 10, 3), dtype=np.uint8)
    return [save(image, f"{i}.png") for i, image in enumerate(X)], X
