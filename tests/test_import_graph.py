"""Which rooms and which files of the package may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "gansampler"
MAX_LINES = 400  # about 350, and no more than this

BASE = {"_validation", "exceptions"}
PARTS = {
    "_serialization",
    "backbones",
    "images",
    "losses",
    "networks",
    "training",
} | BASE
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
    "backbones": BASE,
    "training": {"_serialization"} | BASE,
    "quality": PARTS,
    "translators": {"quality"} | PARTS,
    "over_sampling": {"translators", "quality", "data"} | PARTS,
    "classification": {"quality", "data"} | PARTS,
    # It takes any classifier, so it needs no classification.
    "model_selection": {
        "over_sampling",
        "translators",
        "training",
        "images",
        "_serialization",
    }
    | BASE,
    "inspection": {"images", "quality"} | BASE,
    "metrics": BASE,
    "datasets": {"images"} | BASE,
}
# The package's own __init__, the command line and the recipes put the rooms together.
FREE = {
    "__init__",
    "__main__",
    "_balance",
    "_commands",
    "_compare",
    "_report",
    "recipes",
}

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


def private_imports_across_rooms(source: str, room: str) -> list[str]:
    """Names inside other rooms that start with an underscore."""
    parts = (name.split(".") for name in imported_names(ast.parse(source)))
    return [
        ".".join(p)
        for p in parts
        if p[0] == "gansampler"
        and p[1:2] != [room]
        and any(part.startswith("_") and not part.endswith("__") for part in p[2:])
    ]


def resolve(name: str, root: Path, trees: dict[Path, ast.Module]) -> Path | None:
    """The file that defines an imported name; None outside of the package.

    A name that an ``__init__`` imports is looked up where it comes from. So an
    ``__init__`` counts as imported only if it defines the name, or if the package
    itself is imported.
    """
    first, *rest = name.split(".")
    if first != root.name:
        return None
    folder = root
    while rest and (folder / rest[0]).is_dir():
        folder /= rest.pop(0)
    file = folder / f"{rest[0]}.py" if rest else folder / "__init__.py"
    if file in trees:
        return file
    init = folder / "__init__.py"
    for node in ast.walk(trees[init]):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == rest[0]:
                    return resolve(f"{node.module}.{alias.name}", root, trees)
    return init


def file_graph(root: Path) -> dict[Path, set[Path]]:
    """The files of a package and the files that each one imports.

    Imports within functions and under TYPE_CHECKING count.
    """
    trees = {path: ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}
    return {
        path: {
            file
            for name in imported_names(tree)
            if (file := resolve(name, root, trees)) is not None
        }
        for path, tree in trees.items()
    }


def circles(graph: dict[Path, set[Path]]) -> list[list[Path]]:
    """The groups of files that import each other, directly or through others."""
    files = list(graph)
    links = np.array([[other in graph[file] for other in files] for file in files])
    n_groups, group = connected_components(links, connection="strong")
    members = [np.flatnonzero(group == i) for i in range(n_groups)]
    return [
        [files[i] for i in group]
        for group in members
        if len(group) > 1 or links[group[0], group[0]]
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

    def test_imports_nothing_private_of_other_rooms(self, path):
        found = private_imports_across_rooms(path.read_text(), room_of(path))
        assert not found, f"import them from the room, which must export them: {found}"

    def test_is_of_readable_length(self, path):
        assert len(path.read_text().splitlines()) <= MAX_LINES


def test_graph_has_no_cycle():
    done = set()
    while len(done) < len(MAY_IMPORT):
        ready = {room for room, below in MAY_IMPORT.items() if below <= done} - done
        assert ready, f"a cycle among {sorted(MAY_IMPORT.keys() - done)}"
        done |= ready


def test_no_file_imports_a_file_that_imports_it():
    found = [
        " <-> ".join(str(path.relative_to(PACKAGE)) for path in group)
        for group in circles(file_graph(PACKAGE))
    ]
    assert not found, "These files import each other:\n" + "\n".join(found)


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
    across = (
        "from gansampler._validation import at_least\n"
        "from gansampler.images import ImageSequence\n"
        "from gansampler.images._lazy import LazyReader\n"
        "from gansampler.losses import _focal, __doc__\n"
        "import gansampler.training._task\n"
    )
    assert private_imports_across_rooms(across, "images") == [
        "gansampler.losses._focal",
        "gansampler.training._task",
    ]
    assert private_imports_across_rooms(across, "data")[0] == (
        "gansampler.images._lazy.LazyReader"
    )


@pytest.fixture
def package(tmp_path):
    """Write a package of some files; return its circles, by the names of files."""

    def circles_of(files: dict[str, str]) -> list[list[str]]:
        root = tmp_path / "house"
        for name, source in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return [
            [str(path.relative_to(root)) for path in group]
            for group in circles(file_graph(root))
        ]

    return circles_of


class TestCircles:
    def test_a_room_that_exports_its_files_is_no_circle(self, package):
        files = {
            "__init__.py": "from house.room import Table\n",
            "room/__init__.py": "from house.room._table import Table\n",
            "room/_table.py": "from house.room._wood import WOOD\nimport numpy\n",
            "room/_wood.py": "WOOD = 1\n",
            "other.py": "from house import Table\nfrom house.room import Table\n",
        }
        assert package(files) == []

    @pytest.mark.parametrize(
        "late",
        [
            "from house.room._table import Table\n",
            "def f():\n    from house.room._table import Table\n",
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from house.room._table import Table\n",
            "from house.room import Table\n",
            "from house import Table\n",
            "import house.room._table\n",
            "from house.room import _table\n",
        ],
    )
    def test_every_import_counts(self, package, late):
        files = {
            "__init__.py": "from house.room import Table\n",
            "room/__init__.py": "from house.room._table import Table as Table\n",
            "room/_table.py": "from house.room._wood import WOOD\n",
            "room/_wood.py": "from house.room._tree import TREE\n",
            "room/_tree.py": late,
        }
        circle = ["room/_table.py", "room/_tree.py", "room/_wood.py"]
        assert package(files) == [circle]

    def test_a_file_that_imports_its_package_is_in_a_circle(self, package):
        files = {
            "__init__.py": "",
            "room/__init__.py": "from house.room._table import Table\nCOLOUR = 1\n",
            "room/_table.py": "from house.room import COLOUR\n",
        }
        assert package(files) == [["room/__init__.py", "room/_table.py"]]
