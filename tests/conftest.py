import ctypes
import os
import sys
from collections.abc import Iterator
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


# From linux/capability.h: what lets root pass over the permissions of files.
CAPABILITY_VERSION = 0x20080522
PASS_OVER = 1 << 1 | 1 << 2


@pytest.fixture
def no_privileges() -> Iterator[None]:
    """Have the permissions of files hold for root, too, in this thread."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions of POSIX")
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("root may write anywhere")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, held) == 0
    reduced = (ctypes.c_uint32 * 6)(held[0] & ~PASS_OVER, *held[1:])
    assert libc.capset(header, reduced) == 0
    yield
    assert libc.capset(header, held) == 0


@pytest.fixture(scope="session")
def isic2016_root() -> Path:
    """Root of the ISIC 2016 images, which are not part of the repository."""
    root = Path(__file__).resolve().parents[2] / "shared" / "data" / "isic2016"
    if not root.is_dir():
        pytest.skip(f"needs the ISIC 2016 images in {root}")
    return root
