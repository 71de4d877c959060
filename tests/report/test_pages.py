from __future__ import annotations

import base64
import re
from pathlib import Path

import jinja2
import pytest

import captum_ssgc.report
from captum_ssgc.report import data_uri, render
from captum_ssgc.report.pages import _environment

TEMPLATES = Path(captum_ssgc.report.__file__).parent / "templates"


@pytest.fixture
def template(monkeypatch):
    """Renders a text as if it were a template of the package."""

    def rendered(text, **content):
        return _environment().from_string(text).render(**content)

    return rendered


def test_what_comes_from_outside_is_escaped(template):
    assert template("{{ name }}", name="<b>\"'&") == "&lt;b&gt;&#34;&#39;&amp;"
    assert template('<i title="{{ name }}">', name='"><script>') == (
        '<i title="&#34;&gt;&lt;script&gt;">'
    )
    assert template("{{ values | json }}", values=["<é>", None]) == "[&#34;&lt;é&gt;&#34;, null]"


def test_a_name_that_is_not_there_is_an_error(template):
    with pytest.raises(jinja2.UndefinedError, match="name"):
        template("{{ name }}")


@pytest.mark.parametrize("content", ["é<", "é<".encode()], ids=["text", "bytes"])
def test_files_within_the_page(content):
    uri = data_uri(content, "image/svg+xml")
    kind, _, coded = uri.partition(";base64,")
    assert kind == "data:image/svg+xml"
    assert base64.b64decode(coded).decode() == "é<"


PAGES = sorted(TEMPLATES.glob("*.jinja"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_templates_bring_nothing_from_elsewhere(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bon\w+=|https?:|\bsrc=\"(?!\{\{)", text)
    # Marking something as safe takes it out of the escaping: only literals of our own.
    literals = re.findall(r"""'[^'{}]*' \| safe""", text)
    assert len(literals) == len(re.findall(r"\|\s*safe", text))


def test_only_the_viewer_has_code():
    assert PAGES
    code = {path.name for path in PAGES if "<script" in path.read_text(encoding="utf-8")}
    assert code == {"viewer_body.html.jinja"}


def test_an_unknown_template_is_an_error():
    with pytest.raises(jinja2.TemplateNotFound):
        render("nothing.html.jinja")
