"""Texts that the docstrings of several translators share."""

from __future__ import annotations

import ast
import inspect
import re


def insert_sections(cls: type, base: type) -> str:
    """Return a docstring without ``{common_parameters}`` and ``{common_attributes}``.

    Parameters
    ----------
    cls : type
        The class with the docstring. Its default values replace those of the base.
    base : type
        The class whose docstring has the texts.

    Returns
    -------
    docstring : str
    """
    common = inspect.getdoc(base) or ""
    docstring = inspect.cleandoc(cls.__doc__ or "")
    for section in ("Parameters", "Attributes"):
        text = re.search(rf"{section}\n-+\n(.*?)\n\n", common, re.DOTALL)
        if text is not None:
            marker = f"{{common_{section.lower()}}}"
            docstring = docstring.replace(marker, _with_defaults(text.group(1), cls))
    return docstring


def _with_defaults(parameters: str, cls: type) -> str:
    """Replace the default values of parameters by those of a class."""

    def replace(match: re.Match) -> str:
        names, kind, shown = match.groups()
        values = [getattr(cls, name) for name in names.split(", ")]
        if all(_reads_as(shown, value) for value in values):
            return match.group(0)
        texts = list(dict.fromkeys(map(_to_text, values)))
        return f"{names} : {kind}, default={' and '.join(texts)}"

    pattern = r"^(\w+(?:, \w+)*) : (.*), default=(.*)$"
    return re.sub(pattern, replace, parameters, flags=re.MULTILINE)


def _to_text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _reads_as(text: str, value: object) -> bool:
    try:
        return bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError):
        return False
