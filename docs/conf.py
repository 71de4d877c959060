"""Sphinx configuration."""

from __future__ import annotations

import os
import weakref
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst
from sphinx_gallery.sorting import FileNameSortKey

import captum_ssgc

matplotlib.use("Agg")
os.environ.setdefault("TQDM_DISABLE", "1")

project = "captum_ssgc"
author = "the captum_ssgc authors"
copyright = "2026, the captum_ssgc authors"
version = release = captum_ssgc.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
# What other pages include is no page of its own.
fragments = ["measured_*.rst", "performance_tables.rst", "results_tables.rst"]
exclude_patterns = ["_build", "tutorials/*.ipynb", "tutorials/*.py", *fragments]
nitpicky = False

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

shown: weakref.WeakSet[Figure] = weakref.WeakSet()


def returned_figures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Show the figures that a tutorial has been given and that pyplot does not know of."""
    paths = []
    for value in list(block_vars["example_globals"].values()):
        if not isinstance(value, Figure) or value in shown:
            continue
        shown.add(value)
        if getattr(value, "number", None) is None:  # the others have been shown, and closed
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1], dpi="figure")
    return figure_rst(paths, gallery_conf["src_dir"])


sphinx_gallery_conf = {
    "image_scrapers": ("matplotlib", returned_figures),
    "examples_dirs": "../tutorials",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"plot_",
    "within_subsection_order": FileNameSortKey,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 0,
}
suppress_warnings = ["config.cache"]

html_theme = "furo"
html_title = "captum_ssgc"
html_static_path: list[str] = []
html_show_sourcelink = False
