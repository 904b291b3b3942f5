"""The rooms of the package, and which may know which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "gansampler"
MAX_LINES = 400  # about 350, and no more than this

BASE = {"_validation", "exceptions"}
PARTS = {"_serialization", "images", "losses", "networks", "training"} | BASE
MAY_IMPORT = {
    "exceptions": set(),
    "_validation": {"exceptions"},
    "_serialization": BASE,
    "images": BASE,
    # Other projects import the losses: torch and nothing else.
    "losses": {"exceptions"},
    # The balanced sampler in it needs torch and nothing else: data imports lazily.
    "data": {"images"} | BASE,
    "networks": BASE,
    "training": {"_serialization"} | BASE,
    "translators": PARTS,
    "over_sampling": {"translators", "quality", "data"} | PARTS,
    "classification": {"data"} | PARTS,
    "quality": {"images"} | BASE,
    "inspection": {"images", "quality"} | BASE,
    "metrics": BASE,
    "datasets": {"images"} | BASE,
}
# The package's own __init__ and the recipes put the rooms together.
FREE = {"__init__", "recipes"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Every imported name in full: ``from a.b import c`` gives ``a.b.c``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(source: str) -> set[str]:
    parts = (name.split(".") for name in imported_names(ast.parse(source)))
    return {p[1] if len(p) > 1 else "__init__" for p in parts if p[0] == "gansampler"}


def private_imports(source: str) -> list[str]:
    return [
        name
        for name in imported_names(ast.parse(source))
        if name.split(".")[0] in {"sklearn", "imblearn"}
        and any(p.startswith("_") and not p.endswith("__") for p in name.split("."))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
class TestFile:
    def test_imports_only_rooms_below(self, path):
        room = room_of(path)
        if room in FREE:
            return
        assert room in MAY_IMPORT, f"say in MAY_IMPORT what {room} may know"
        forbidden = rooms_imported(path.read_text()) - MAY_IMPORT[room] - {room}
        assert not forbidden, f"{room} must not know {sorted(forbidden)}"

    def test_private_imports_have_one_home(self, path):
        if room_of(path) == "_validation":
            return
        assert private_imports(path.read_text()) == []

    def test_is_of_readable_length(self, path):
        assert len(path.read_text().splitlines()) <= MAX_LINES


def test_graph_has_no_cycle():
    done = set()
    while len(done) < len(MAY_IMPORT):
        ready = {room for room, below in MAY_IMPORT.items() if below <= done} - done
        assert ready, f"a cycle among {sorted(MAY_IMPORT.keys() - done)}"
        done |= ready


def test_reader_sees_every_form_of_import():
    source = (
        "import gansampler.losses\n"
        "from gansampler import images\n"
        "def late():\n"
        "    from gansampler.networks._resnet import ResNetGenerator\n"
        "from sklearn.utils._param_validation import Interval\n"
        "from sklearn.utils.validation import _num_samples, check_array\n"
        "from sklearn import __version__\n"
    )
    assert rooms_imported(source) == {"losses", "images", "networks"}
    assert private_imports(source) == [
        "sklearn.utils._param_validation.Interval",
        "sklearn.utils.validation._num_samples",
    ]
