"""Public docstrings follow numpydoc and agree with the signatures."""

import ast
import dataclasses
import importlib
import inspect
import re
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


@pytest.mark.parametrize("name", ["CUT", "CycleGAN", "MajorToMinor", "SimGAN"])
def test_shown_defaults_of_translators_are_the_real_ones(name):
    cls = getattr(gansampler, name)
    defaults = cls().get_params(deep=False)
    shown = re.findall(
        r"^(\w+(?:, \w+)*) : .*, default=(.*)$", inspect.getdoc(cls), re.M
    )
    assert shown
    for names, text in shown:
        real = list(dict.fromkeys(defaults[name] for name in names.split(", ")))
        values = [ast.literal_eval(part) for part in text.split(" and ")]
        assert values == real, names
