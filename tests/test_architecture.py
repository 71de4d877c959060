"""The page that follows one call of ``explain`` names the files that it passes through."""

from __future__ import annotations

import ast
import configparser
import re
from graphlib import TopologicalSorter
from pathlib import Path

from trace_explain import of_files, total, visited

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.rst"


def test_the_page_has_the_layers_of_the_contract():
    block = PAGE.read_text(encoding="utf-8").split(".. code-block:: text")[1].split("What holds")[0]
    said = [re.split(r"\s{2,}", line.strip())[0].split(" | ") for line in block.split("\n") if line]
    contract = configparser.ConfigParser()
    contract.read(ROOT / "setup.cfg", encoding="utf-8")
    layers = contract["importlinter:contract:layers"]["layers"].replace("captum_ssgc.", "")
    agreed = [re.sub(r"[()]", "", line).split(" | ") for line in layers.split("\n") if line]
    assert said == agreed


def test_no_module_imports_one_that_imports_it():
    """Nor when a function is called; what type checkers alone read does not count."""
    files = [path for path in (ROOT / "captum_ssgc").rglob("*.py") if path.name != "__init__.py"]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    imports = {name: imported(path) & modules.keys() for name, path in modules.items()}
    assert len(list(TopologicalSorter(imports).static_order())) == len(modules)


def imported(path):
    """Modules, and names in them."""
    names, rest = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    for node in rest:
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            rest += ast.iter_child_nodes(node)
    return names


def test_the_files_of_the_page_are_those_of_the_call():
    text = PAGE.read_text(encoding="utf-8")
    steps = text.split("One call of ``explain``")[1].split("Ideas that carry")[0]
    before, looked_at = steps.split("sees them.")[1].split("13. ")
    after = looked_at.split("maximum.")[1]
    named = re.findall(r"``([\w/]+\.py)``", before + after)
    files = of_files(visited())
    assert set(named) <= set(files)
    assert {file for file, count in files.items() if count > HANDFUL} <= set(named)


HANDFUL = 5


def test_the_page_counts_when_it_is_built():
    assert "\n.. calls-of-explain::\n" in PAGE.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d+ calls of \d+ functions in \d+ files", total(visited()))
