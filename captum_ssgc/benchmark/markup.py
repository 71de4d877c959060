"""Pieces of HTML; everything that comes from outside is escaped here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

_LISTED = 200


def text(value: object) -> str:
    """``value`` as text of a page or of an attribute."""
    return escape(str(value))


def class_of(*names: str) -> str:
    """The class attribute; nothing for no name."""
    used = " ".join(name for name in names if name)
    return f' class="{used}"' if used else ""


def data_uri(kind: str, content: bytes) -> str:
    """A file within the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def folded_list(title: str, entries: Sequence[tuple[str, str]]) -> str:
    """A list that opens on a click; nothing if it is empty."""
    if not entries:
        return ""
    items = "".join(f"<li>{text(name)}: {text(why)}</li>" for name, why in entries[:_LISTED])
    more = f"<li>and {len(entries) - _LISTED} more</li>" if len(entries) > _LISTED else ""
    return f"<details><summary>{text(title)}</summary><ul>{items}{more}</ul></details>"
