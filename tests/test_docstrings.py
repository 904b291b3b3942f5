"""Public docstrings follow numpydoc and agree with the signatures."""

import dataclasses
import importlib
import inspect
from pathlib import Path

import pytest
from numpydoc.validate import validate

import gansampler

ROOMS = sorted(
    path.name.removesuffix(".py")
    for path in Path(gansampler.__file__).parent.iterdir()
    if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
)
# Names and order of sections, full stops, and the parameters of the signature.
OF_METHODS = {"GL06", "GL07", "SS03", "PR02", "PR03", "PR05", "PR10"}
# Descriptions of all parameters and of the return value, and an example.
OF_PUBLIC = OF_METHODS | {"PR01", "RT01", "YD01", "EX01"}


def public_names():
    for room in ROOMS:
        module = importlib.import_module(f"gansampler.{room}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            is_class = inspect.isclass(value)
            if is_class and issubclass(value, Exception):
                continue
            if is_class or inspect.isfunction(value):
                # The fields of a dataclass are documented as attributes.
                unwanted = {"PR01"} if dataclasses.is_dataclass(value) else set()
                yield f"gansampler.{room}.{name}", OF_PUBLIC - unwanted
            if not is_class:
                continue
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"gansampler.{room}.{name}.{method}", OF_METHODS


@pytest.mark.parametrize(
    ("name", "checks"), [pytest.param(*pair, id=pair[0]) for pair in public_names()]
)
def test_docstring(name, checks):
    errors = [error for error in validate(name)["errors"] if error[0] in checks]
    assert errors == []
