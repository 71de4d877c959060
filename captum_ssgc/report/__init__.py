"""Every page that the project writes: a template and a style sheet of this package."""

from .pages import data_uri, render
from .viewer import (
    PackedPage,
    ViewerEntry,
    ViewerPage,
    explained_page,
    pack,
    save_html,
    viewer_html,
)

__all__ = [
    "PackedPage",
    "ViewerEntry",
    "ViewerPage",
    "data_uri",
    "explained_page",
    "pack",
    "render",
    "save_html",
    "viewer_html",
]
