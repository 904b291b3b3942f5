"""Images that the tests of several translators use."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def domains():
    """Dark source images and bright target images."""
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 128, (10, 16, 16, 3), dtype=np.uint8)
    bright = rng.integers(128, 256, (6, 16, 16, 3), dtype=np.uint8)
    return dark, bright
