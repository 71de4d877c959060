"""Every page that the project writes: a template and a style sheet of this package."""

from .pages import data_uri, render

__all__ = ["data_uri", "render"]
