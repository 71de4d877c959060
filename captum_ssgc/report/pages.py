"""Templates filled in; what comes from outside is escaped, whatever the template says."""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **content: Any) -> str:
    """A template of this package with its content.

    Args:
        template: its name, such as ``"benchmark.html.jinja"``.
        **content: what the template names; all of it is escaped.

    Returns:
        One HTML page that needs nothing from elsewhere.

    Raises:
        jinja2.UndefinedError: if the template names something that is not in ``content``.
    """
    return _environment().get_template(template).render(**content)


def data_uri(content: str | bytes, kind: str) -> str:
    """A file within the page.

    Args:
        content: of the file; a text in UTF-8.
        kind: its media type, such as ``"image/jpeg"``.
    """
    content = content.encode() if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("captum_ssgc.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = data_uri
    # Jinja's own tojson escapes for scripts; here it is text for readers.
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment
