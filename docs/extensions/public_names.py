"""The names that users import: links from wherever they are defined, and the list of methods."""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import inspect

PACKAGES = (
    "captum_ssgc",
    *(
        f"captum_ssgc.{name}"
        for name in (
            *("attr", "benchmark", "data", "demo", "detectors", "diagnosis"),
            *("metrics", "report", "visualization"),
        )
    ),
)
# Where other packages define what they document under another name.
ELSEWHERE = {"torch.nn.modules.module.Module": "torch.nn.Module"}


def documented_name(app: Sphinx, name: str) -> str | None:
    """``captum_ssgc.Detections`` for ``captum_ssgc.detections.Detections``."""
    last = name.rpartition(".")[2]
    known = app.env.domains["py"].objects  # type: ignore[attr-defined]
    names = (f"{package}.{last}" for package in PACKAGES)
    return next((one for one in names if one in known), None)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.TextElement
) -> nodes.Element | None:
    """A type in a signature is written as it is defined, and documented as it is imported."""
    target = node["reftarget"] = ELSEWHERE.get(node.get("reftarget"), node.get("reftarget", ""))
    if node.get("refdomain") != "py" or not target.startswith("captum_ssgc."):
        return None
    name = documented_name(app, target)
    if name is None:
        return None
    domain = env.domains["py"]
    docname = node["refdoc"]
    return domain.resolve_xref(env, docname, app.builder, "obj", name, node, content)


class MethodsTable(Directive):
    """``.. methods-table::``: what METHODS holds, in its order."""

    def run(self) -> list[nodes.Node]:
        methods: dict[str, Any] = importlib.import_module("captum_ssgc.attr").METHODS
        top = importlib.import_module("captum_ssgc")
        rows = [".. list-table::", "   :header-rows: 1", "", "   * - Name", "     - Class"]
        rows += ["     - In short"]
        for name, method in methods.items():
            home = "captum_ssgc" if method.__name__ in top.__all__ else "captum_ssgc.attr"
            summary = (method.__doc__ or "").strip().splitlines()[0]
            rows += [f"   * - ``{name}``", f"     - :class:`~{home}.{method.__name__}`"]
            rows += [f"     - {summary}"]
        table = nodes.section()
        self.state.nested_parse(StringList(rows, "METHODS"), self.content_offset, table)
        return table.children


def setup(app: Sphinx) -> dict[str, bool]:
    if alias := getattr(inspect, "TypeAliasForwardRef", None):  # within another type: its name
        alias.__repr__ = lambda self: self.name.rpartition(".")[2]
    app.add_directive("methods-table", MethodsTable)
    app.connect("missing-reference", resolve, priority=400)  # before intersphinx
    return {"parallel_read_safe": True, "parallel_write_safe": True}
