"""Every page that the project writes: a template and a style sheet of this package."""

from .pages import data_uri, render
from .viewer import (
    ViewerEntry,
    ViewerPage,
    explained_page,
    save_html,
    viewer_html,
)

__all__ = [
    "ViewerEntry",
    "ViewerPage",
    "data_uri",
    "explained_page",
    "render",
    "save_html",
    "viewer_html",
]
