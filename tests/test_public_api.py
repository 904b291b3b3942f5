import importlib
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import gansampler

PACKAGE = Path(gansampler.__file__).parent
ROOMS = sorted(
    path.name.removesuffix(".py")
    for path in PACKAGE.iterdir()
    if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
)


@pytest.mark.parametrize("name", gansampler.__all__)
def test_public_name_resolves_and_is_documented(name):
    value = getattr(gansampler, name)
    assert value.__name__ == name
    assert value.__module__.startswith("gansampler.")
    assert inspect.getdoc(value)


@pytest.mark.parametrize("name", ROOMS)
def test_room_exports_its_public_names(name):
    room = getattr(gansampler, name)
    assert room is importlib.import_module(f"gansampler.{name}")
    assert room.__doc__
    assert len(room.__all__) == len(set(room.__all__))
    for public in room.__all__:
        value = getattr(room, public)
        assert inspect.getdoc(value), f"{name}.{public} has no docstring"


def test_dir_lists_all_rooms():
    assert set(gansampler.__all__) <= set(dir(gansampler))
    public = {name for name in dir(gansampler) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(gansampler, name))}
    assert modules - {"importlib"} == set(ROOMS)


def test_star_import():
    namespace = {}
    exec("from gansampler import *", namespace)
    assert set(gansampler.__all__) == namespace.keys() - {"__builtins__"}


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'GANUnderSampler'"):
        gansampler.GANUnderSampler  # noqa: B018
    assert not hasattr(gansampler, "cyclegan")


def test_version_is_the_installed_one():
    assert gansampler.__version__ == version("gansampler")


@pytest.mark.parametrize("name", ["FocalLoss", "BinaryFocalLoss"])
def test_losses_load_torch_and_nothing_else(name):
    heavy = {"imblearn", "lightning_fabric", "pandas", "sklearn", "torchvision"}
    code = (
        f"import sys; from gansampler import {name}; "
        f"assert 'torch' in sys.modules; print(*({heavy!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_import_alone_loads_no_torch():
    code = "import sys, gansampler; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_reference_lists_every_public_name():
    lines = (PACKAGE.parents[1] / "docs" / "api.rst").read_text().splitlines()
    listed = {line.strip() for line in lines if line.startswith("   ")}
    expected = {
        f"{room}.{name}" for room in ROOMS for name in getattr(gansampler, room).__all__
    }
    # A name that the package exports is listed under that name only.
    expected = {
        name.split(".")[1] if name.split(".")[1] in gansampler.__all__ else name
        for name in expected
    }
    assert expected - listed == set()


def test_development_page_names_existing_rooms_and_files():
    page = (PACKAGE.parents[1] / "docs" / "development.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", page))
    roots = (PACKAGE, PACKAGE.parents[1])
    missing = {name for name in named if not any((r / name).exists() for r in roots)}
    assert missing == set()
    modules = {f"{path.name}" for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    table = set(re.findall(r"^\| `([\w/.]+)` \|", page, flags=re.MULTILINE))
    assert modules | folders <= table
