"""Sphinx configuration."""

from __future__ import annotations

import os
import re
import sys
import weakref
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst
from sphinx_gallery.sorting import FileNameSortKey

import captum_ssgc

matplotlib.use("Agg")
os.environ.setdefault("TQDM_DISABLE", "1")
sys.path.insert(0, str(Path(__file__).parent / "extensions"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

project = "captum_ssgc"
author = "the captum_ssgc authors"
copyright = "2026, the captum_ssgc authors"
version = release = captum_ssgc.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "explain_calls",
    "formulas",
    "public_names",
]
# What other pages include is no page of its own.
fragments = [
    name
    for page in Path(__file__).parent.glob("*.rst")
    for name in re.findall(r"^\.\. include:: (\S+\.rst)", page.read_text(encoding="utf-8"), re.M)
]
exclude_patterns = ["_build", "tutorials/*.ipynb", "tutorials/*.py", *fragments]
nitpicky = False

autosummary_generate = True
# Names that differ in nothing but case are one file on some systems.
autosummary_filename_map = {
    "captum_ssgc.attr.recording": "captum_ssgc.attr.recording_function",
    "captum_ssgc.metrics.reliance": "captum_ssgc.metrics.reliance_function",
}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
# What a class has from classes that are not of this package is documented with these.
FOREIGN = ("Attribution", "GradientAttribution", "LayerAttribution", "PerturbationAttribution")
autodoc_default_options = {
    "members": True,
    "inherited-members": ",".join(
        (*FOREIGN, "Module", "Figure", "FigureBase", "Artist", "list", "tuple")
    ),
}
autodoc_default_options["exclude-members"] = "attribute_future,interpolate,convergence_delta,set"
autodoc_type_aliases = {
    "Output": "captum_ssgc.detector.Output",
    "Mask": "captum_ssgc.attr.Mask",
}
toc_object_entries_show_parents = "hide"
templates_path = ["_templates"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # a property has a docstring of its own
html_math_renderer = "mathml"

# The names that these pages link to, in files of this folder: a build needs no network.
intersphinx_mapping = {
    "captum": ("https://captum.ai/api/", "inventories/captum.inv"),
    "matplotlib": ("https://matplotlib.org/stable/", "inventories/matplotlib.inv"),
    "python": ("https://docs.python.org/3/", "inventories/python.inv"),
    "torch": ("https://docs.pytorch.org/docs/stable/", "inventories/torch.inv"),
    "torchvision": ("https://docs.pytorch.org/vision/stable/", "inventories/torchvision.inv"),
}

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
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("captum_ssgc",),
    "min_reported_time": 0,
}
suppress_warnings = ["config.cache"]

html_theme = "furo"
html_title = f"captum_ssgc {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["zoom.js"]
html_show_sourcelink = False
PROJECT = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
REPOSITORY = re.findall(r'^Source = "(.+)"', PROJECT, re.M)[0]
html_theme_options = {
    "source_repository": f"{REPOSITORY}/",
    "source_branch": "main",
    "source_directory": "docs/",
    "footer_icons": [{"name": "Repository", "url": REPOSITORY, "html": "repository", "class": ""}],
}


def address(app: Any, page: str, source: list[str]) -> None:
    """Links know no substitutions, least of all in a table of contents."""
    source[0] = source[0].replace("|repository|", REPOSITORY)


def setup(app: Any) -> None:
    app.connect("source-read", address)
