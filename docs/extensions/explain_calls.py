"""How many calls one call of ``explain`` is, counted when the page is built."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from trace_explain import of_files, total, visited


class CallsOfExplain(Directive):
    """``.. calls-of-explain::``: what ``tools/trace_explain.py`` prints, in a sentence."""

    def run(self) -> list[nodes.Node]:
        calls = visited()
        each = ", ".join(f"``{file}`` {count}" for file, count in of_files(calls).most_common())
        one = "For one detection of the detector in the box, everything warm"
        text = f"{one}: {total(calls)}: {each}."
        found = nodes.section()
        self.state.nested_parse(StringList([text], "calls"), self.content_offset, found)
        return found.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("calls-of-explain", CallsOfExplain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
