"""Formulas as MathML, which browsers draw by themselves: no script, no font, no network."""

from __future__ import annotations

import html
import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
# The converter passes on what it does not know; that must not reach a reader.
UNKNOWN = re.compile(r"\\[A-Za-z]+|<mi>&</mi>")
WORDS = re.compile(r"\\(mathrm|operatorname)\{([^{}]*)\}")


def mathml(latex: str, display: str) -> str:
    """A formula as one element; names of several letters become one word."""
    words = WORDS.sub(lambda found: rf"\text{{{found[2]}}}", latex).replace(r"\arg", r"\text{arg}")
    made = convert(" ".join(words.split()), display=display)
    if unknown := UNKNOWN.search(made):
        logger.warning("a formula has what MathML was not made of: %s in %s", unknown[0], latex)
    return made


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_display(self: HTML5Translator, node: nodes.math_block) -> None:
    text = html.escape(" ".join(node.astext().split()))
    self.body.append(f'<div class="formula" title="{text}">{mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
