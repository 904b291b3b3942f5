import os
from pathlib import Path

import pytest

# Before anything imports pyplot: no test opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def isic2016_root() -> Path:
    """Root of the ISIC 2016 images, which are not part of the repository."""
    root = Path(__file__).resolve().parents[2] / "shared" / "data" / "isic2016"
    if not root.is_dir():
        pytest.skip(f"needs the ISIC 2016 images in {root}")
    return root
