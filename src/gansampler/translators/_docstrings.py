"""Texts that the docstrings of several translators share."""

from __future__ import annotations

import inspect
import re


def insert_sections(docstring: str, base: type) -> str:
    """Replace ``{common_parameters}`` and ``{common_attributes}`` in a docstring.

    Parameters
    ----------
    docstring : str
    base : type
        The class whose docstring has the texts.

    Returns
    -------
    docstring : str
    """
    common = inspect.getdoc(base) or ""
    docstring = inspect.cleandoc(docstring)
    for section in ("Parameters", "Attributes"):
        text = re.search(rf"{section}\n-+\n(.*?)\n\n", common, re.DOTALL)
        if text is not None:
            marker = f"{{common_{section.lower()}}}"
            docstring = docstring.replace(marker, text.group(1))
    return docstring
