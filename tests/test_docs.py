"""What the pages of the documentation promise."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

import captum_ssgc

DOCS = Path(__file__).resolve().parents[1] / "docs"
PACKAGES = [
    "captum_ssgc",
    *(
        f"captum_ssgc.{module.name}"
        for module in pkgutil.iter_modules(captum_ssgc.__path__)
        if module.ispkg and module.name != "cli"
    ),
]


def documented() -> list[str]:
    """Full names of what ``api.rst`` has a page or an entry for."""
    names: list[str] = []
    module = listing = ""
    for line in (DOCS / "api.rst").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.match(r"\.\. py:data:: (\S+)", line):
            names.append(found[1] if "." in found[1] else f"{module}.{found[1]}")
        elif line.startswith(".. "):
            listing = line
        elif listing == ".. autosummary::" and re.fullmatch(r"   [\w.]+", line):
            names.append(f"{module}.{line.strip()}")
    return names


def value(name: str) -> object:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_documented(package):
    values = [value(name) for name in documented()]
    missing = [
        name
        for name in getattr(importlib.import_module(package), "__all__", ())
        if not any(value(f"{package}.{name}") is one for one in values)
    ]
    assert missing == [], "docs/api.rst: one line for each"


def test_no_name_is_documented_twice():
    names = documented()
    assert len(set(names)) == len(names)


def test_pages_of_names_are_files_of_their_own_where_case_does_not_count():
    text = (DOCS / "conf.py").read_text(encoding="utf-8")
    moved = dict(re.findall(r'"(captum_ssgc\.[\w.]+)": "(captum_ssgc\.[\w.]+)"', text))
    files = [moved.get(name, name).lower() for name in documented()]
    values = {name.lower() for name in documented() if not callable(value(name))}
    assert len(set(files) - values) == len([name for name in files if name not in values])


def test_formulas_become_elements_of_the_page():
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    mathml = runpy.run_path(str(DOCS / "extensions" / "formulas.py"))["mathml"]
    made = mathml(r"L = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big)", "block")
    assert made.startswith("<math")
    assert 'display="block"' in made
    assert "<mtext>ReLU</mtext>" in made
    assert "\\" not in made
