"""Sphinx's settings: `make docs` builds the pages into docs/_build/html."""

import re

import gansampler

project = "gansampler"
author = "gansampler developers"
copyright = "gansampler developers"
version = release = gansampler.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_evidence", "_scripts", "_templates"]
root_doc = "index"
templates_path = ["_templates"]

autodoc_typehints = "none"  # the docstrings say more than the annotations
autosummary_generate = True
numpydoc_show_class_members = False  # _templates/autosummary/class.rst does

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

# Prompts and output are left behind when an example is copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = f"gansampler {release}"
html_static_path = ["_static"]
html_css_files = ["gansampler.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {
    page: []
    for page in (
        "user_guide",
        "evidence",
        "training",
        "translators",
        "large_data",
        "leakage",
        "generating",
        "precision",
        "losses",
        "development",
        "changelog",
    )
}


def skip_metadata_requests(app, what, name, obj, skip, options):
    """Leave out the set_*_request methods that scikit-learn gives every class."""
    return skip or bool(re.fullmatch(r"set_\w+_request|get_metadata_routing", name))


def unlink_foreign_labels(app, what, name, obj, options, lines):
    """Turn references to labels of scikit-learn's own pages into plain text."""
    if not getattr(obj, "__module__", "").startswith("gansampler"):
        lines[:] = [re.sub(r":ref:`([^`<]+?)(\s*<[^`]*>)?`", r"\1", li) for li in lines]


def setup(app):
    """Connect the handlers above."""
    app.connect("autodoc-skip-member", skip_metadata_requests)
    app.connect("autodoc-process-docstring", unlink_foreign_labels)
