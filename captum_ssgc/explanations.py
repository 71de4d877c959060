"""The list that ``explain`` returns: it knows its photo, and can show itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, overload

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

One = TypeVar("One")


class Explanations(list[One]):
    """A list of :class:`captum_ssgc.Explanation` with the photo that they belong to.

    In a notebook it shows itself. A slice is one again; what else makes a new list (``+``, a
    comprehension) gives a plain one, without photo.

    Args:
        found: the explanations.
        image: ``(1, 3, H, W)``, RGB in [0, 1].
        name: of the image, such as its file's.
        output: what is explained.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from captum_ssgc import demo
        >>> found = ssgc.explain(demo.detector(), demo.scene(26).image)
        >>> len(found[:2].overview().axes)   # image, two heat maps, colour scale
        4
    """

    def __init__(
        self,
        found: Iterable[One] = (),
        *,
        image: Tensor,
        name: str = "image",
        output: str = "score",
    ) -> None:
        super().__init__(found)
        self.image, self.name, self.output = image, name, output

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> One: ...
    @overload
    def __getitem__(self, index: slice, /) -> Explanations[One]: ...
    def __getitem__(self, index: Any, /) -> Any:
        chosen: Any = super().__getitem__(index)
        return self._with(chosen) if isinstance(index, slice) else chosen

    def copy(self) -> Explanations[One]:
        """Another list of the same explanations and the same photo."""
        return self._with(self)

    def overview(self, **options: Any) -> Figure:
        """The photo with all boxes, and a heat map for each explanation.

        Args:
            options: of :func:`captum_ssgc.visualization.overview`; the title is the image's name
                where none is given.

        Raises:
            ValueError: if there is no explanation.
        """
        from captum_ssgc.visualization import overview

        found: list[Any] = list(self)
        return overview(self.image, found, **{"title": self.name, **options})

    def save_html(self, path: str | os.PathLike[str], *, title: str | None = None) -> None:
        """Write one page without network in which a reader chooses a box and sees its map.

        Args:
            path: of the file, which is there in full or as it was before.
            title: of the page; ``None`` for the image's name.

        Raises:
            OSError: if the file cannot be written.
        """
        from captum_ssgc.report import explained_page, save_html

        found: list[Any] = list(self)
        page = explained_page(self.name, self.image, found, self.output)
        save_html(path, [page], title=self.name if title is None else title)

    def _with(self, found: Iterable[One]) -> Explanations[One]:
        return type(self)(found, image=self.image, name=self.name, output=self.output)

    def _repr_html_(self) -> str:
        name = escape(self.name)
        if not self:
            return f"<p>{name}: no explanation</p>"
        from captum_ssgc.report import data_uri

        content = BytesIO()
        self.overview().savefig(content, format="png")
        picture = data_uri(content.getvalue(), "image/png")
        words = f"{name}: {len(self)} heat maps"
        return f'<img src="{picture}" alt="{words}" style="max-width: 100%">'


def name_of(image: object) -> str:
    """The name of an image file; ``"image"`` for an image that is none."""
    if not isinstance(image, (str, os.PathLike)):
        return "image"
    return Path(os.fsdecode(image)).name or "image"
