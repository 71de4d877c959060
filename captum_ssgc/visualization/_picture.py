"""A figure that looks the same whatever the user's matplotlib is set to, and shows itself."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from captum_ssgc._whole_file import written_whole
from captum_ssgc.visualization._letters import FONT

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# matplotlib's settings are the process's; two threads must not restore them across each other.
_SETTINGS = threading.RLock()


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """matplotlib's own settings for the time being, in place of the user's.

    Example:
        >>> import matplotlib
        >>> from captum_ssgc.visualization import plain_style
        >>> with matplotlib.rc_context({"font.size": 30.0}), plain_style():
        ...     matplotlib.rcParams["font.size"]
        10.0
    """
    ours: Any = {"font.family": [FONT], "svg.hashsalt": "captum-ssgc"}  # the same file every time
    with _SETTINGS, matplotlib.style.context("default"), rc_context(ours), _one_weight_will_do():
        yield


@contextlib.contextmanager
def _one_weight_will_do() -> Iterator[None]:
    """No complaint that a font with the letters of a label is not there in bold as well."""

    def other(record: logging.LogRecord) -> bool:
        return "font weight" not in record.getMessage()

    fonts = logging.getLogger("matplotlib.font_manager")
    fonts.addFilter(other)
    try:
        yield
    finally:
        fonts.removeFilter(other)


def plainly(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``draw`` in :func:`plain_style`."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with plain_style():
            return draw(*args, **kwargs)

    return drawn


class Picture(Figure):
    """A figure that pyplot does not know of, so that there is nothing to close.

    Args:
        width: in pixels.
        height: in pixels.
        dpi: dots per inch, for the size of text.
    """

    def __init__(self, width: float, height: float, dpi: float) -> None:
        # Agg cuts fractions of pixels off, and inches times dots are seldom whole.
        inches = (width + 0.01) / dpi, (height + 0.01) / dpi
        super().__init__(figsize=inches, dpi=dpi, facecolor="white")
        # It keeps one renderer; without it, each text is measured with a new one of full size.
        FigureCanvasAgg(self)

    def draw(self, renderer: Any) -> None:
        """Draw in :func:`plain_style`."""
        with plain_style():
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """As ``Figure.savefig``; a file is there in full, or as it was before.

        Raises:
            OSError: if the file cannot be written.
        """
        with plain_style():
            if not isinstance(fname, (str, os.PathLike)):
                super().savefig(fname, **options)
                return
            path, content = Path(fname), io.BytesIO()
            if not path.suffix:
                path = path.with_name(f"{path.name}.{options.get('format') or 'png'}")
            options["format"] = options.get("format") or path.suffix[1:]
            super().savefig(content, **options)
        with written_whole(path) as unfinished:
            unfinished.write_bytes(content.getvalue())

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


def figure_of(ax: Axes) -> Figure:
    """The whole figure that ``ax`` belongs to.

    Raises:
        ValueError: if it has been removed from its figure.
    """
    figure: Any = ax.figure
    if figure is None:
        raise ValueError("ax: expected axes of a figure, got axes that were removed from theirs.")
    root: Figure = figure.figure  # of a subfigure the figure it lies in, of a figure itself
    return root
