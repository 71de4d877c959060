"""What ``explain`` returns: explanations in a list that knows its photo, and can show itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

from captum_ssgc.attr import InstanceMap
from captum_ssgc.composites import Composite
from captum_ssgc.exchange.explained import columns_of, rows_of, table_of
from captum_ssgc.exchange.fiftyone import fields_of
from captum_ssgc.exchange.map_file import read_maps, write_maps
from captum_ssgc.exchange.supervision import to_supervision
from captum_ssgc.exchange.table import DetectionTable, array
from captum_ssgc.metrics import energy_pointing_game

if TYPE_CHECKING:
    from matplotlib.figure import Figure

One = TypeVar("One")


@dataclass(frozen=True, eq=False)
class Explanation:
    """One detection and the pixels that caused it.

    Args:
        index: of the detection, in the detector's own order; of the box, where boxes were asked
            for (see :func:`explain`).
        label: class name, or the class index as text where names are not known.
        label_index: class index.
        score: as the detector reports it, in [0, 1].
        box: ``(4,)`` x1, y1, x2, y2 in pixels of the original image.
        heat_map: ``(H, W)`` at image size, >= 0, not normalised; interpolated when it is first
            looked at.
        method: name of the attribution method.
        layer: name of the attributed layer; empty for a method that uses none.
        detected: whether the detector reports it; ``False`` for a candidate that it does not.
        asked_iou: where boxes were asked for, the IoU of ``box`` with the one that was.
        corners: ``(4, 2)`` of an oriented box, which ``box`` encloses; ``None`` for upright ones.
        mask: ``(H, W)`` as the detector reports it, bool or in [0, 1]; ``None`` where it does not.
    """

    index: int
    label: str
    label_index: int
    score: float
    box: Tensor
    heat_map: Tensor
    method: str
    layer: str
    detected: bool = True
    asked_iou: float | None = None
    corners: Tensor | None = None
    mask: Tensor | None = None

    def __repr__(self) -> str:
        box = " ".join(f"{side:.0f}" for side in self.box.tolist())
        where = f"{self.method} at {self.layer}" if self.layer else self.method
        return f"<Explanation {self.index}: {self.label!r} {self.score:.3f}, box {box}, {where}>"

    def energy_in_box(self) -> float:
        """Share of the heat map's energy inside the box, in [0, 1]; 0 for an all-zero map.

        The oriented one, where there is one. See
        :func:`captum_ssgc.metrics.energy_pointing_game`.
        """
        if self.corners is not None:
            return energy_pointing_game(self.heat_map[None], corners=self.corners[None]).mean()
        return energy_pointing_game(self.heat_map[None], boxes=self.box[None]).mean()

    def energy_in_mask(self) -> float:
        """Share of the heat map's energy inside the mask, in [0, 1]; 0 for an all-zero map.

        Raises:
            ValueError: if the detector gave no mask.
        """
        if self.mask is None:
            raise ValueError("mask: expected a mask, got None: this detector reports none.")
        inside = self.mask >= 0.5 if self.mask.is_floating_point() else self.mask != 0
        return energy_pointing_game(self.heat_map[None], masks=inside[None]).mean()


class _WhenLookedAt:
    """A heat map that is brought to image pixels when it is first read."""

    def __get__(self, owner: Explanation | None, kind: type) -> Any:
        if owner is None:
            return self
        heat_map: Tensor | InstanceMap = owner.__dict__["heat_map"]
        if isinstance(heat_map, InstanceMap):
            heat_map = owner.__dict__["heat_map"] = heat_map.in_image_pixels()
        return heat_map

    def __set__(self, owner: Explanation, value: Tensor | InstanceMap) -> None:
        owner.__dict__["heat_map"] = value


Explanation.heat_map = _WhenLookedAt()  # type: ignore[assignment]


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
        return self.with_entries(chosen) if isinstance(index, slice) else chosen

    def copy(self) -> Explanations[One]:
        """Another list of the same explanations and the same photo."""
        return self.with_entries(self)

    def overview(self, **options: Any) -> Figure:
        """The photo with all boxes, and a heat map for each explanation.

        Args:
            options: of :func:`captum_ssgc.visualization.overview`; the title is the image's name
                where none is given.

        Raises:
            ValueError: if there is no explanation.
        """
        from captum_ssgc.visualization import overview

        explanations: list[Any] = list(self)
        return overview(self.image, explanations, **{"title": self.name, **options})

    def save_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        composite: Composite | None = None,
    ) -> None:
        """Write one page without network in which a reader chooses a box and sees its map.

        Args:
            path: of the file, which is there in full or as it was before.
            title: of the page; ``None`` for the image's name.
            composite: what is shown of an image that is not RGB, see
                :func:`captum_ssgc.visualization.overview`.

        Raises:
            OSError: if the file cannot be written.
        """
        from captum_ssgc.report import explained_page, save_html

        explanations: list[Any] = list(self)
        page = explained_page(self.name, self.image, explanations, self.output, composite)
        save_html(path, [page], title=self.name if title is None else title)

    def save_maps(self, path: str | os.PathLike[str]) -> None:
        """Write the raw maps with all that is known of them, as NumPy's ``.npz``.

        One row for each explanation: ``maps`` ``(E, H, W)`` as they are, ``boxes`` ``(E, 4)``,
        ``labels``, ``names``, ``scores``, ``method``, ``layer``, ``index``, ``detected`` and
        ``asked_iou`` (NaN where no box was asked for), and ``corners`` ``(E, 4, 2)`` or ``masks``
        ``(E, H, W)`` where all have them. Beside them ``image`` ``(1, 3, H, W)``,
        ``image_name`` and ``output``.

        Args:
            path: of the file, which is there in full or as it was before.

        Raises:
            OSError: if the file cannot be written.

        Example:
            >>> import tempfile, numpy as np, captum_ssgc as ssgc
            >>> from pathlib import Path
            >>> from captum_ssgc import demo
            >>> found = ssgc.explain(demo.detector(), demo.scene(26).image)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Path(folder, "maps.npz")
            ...     found.save_maps(path)
            ...     again = ssgc.Explanations.load_maps(path)
            ...     np.load(path)["maps"].shape, again[0].label == found[0].label
            ((3, 320, 400), True)
        """
        columns = columns_of(list[Any](self), self._size)
        columns["image"] = array(self.image)
        columns["image_name"], columns["output"] = np.array(self.name), np.array(self.output)
        write_maps(path, columns)

    @classmethod
    def load_maps(cls, path: str | os.PathLike[str]) -> Explanations[Explanation]:
        """What :meth:`save_maps` wrote, on the CPU.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is another kind of file.
        """
        columns = read_maps(path)
        return Explanations(
            [Explanation(**row) for row in rows_of(columns)],
            image=torch.from_numpy(columns["image"]),
            name=str(columns["image_name"]),
            output=str(columns["output"]),
        )

    def to_supervision(self, method: str | None = None) -> Any:
        """As ``supervision.Detections``, one for each box, with its map in ``data``.

        ``data`` holds ``heat_map`` ``(K, H, W)``, ``class_name``, ``method``, ``layer``, ``index``,
        ``detected`` and ``energy_in_box``.

        Args:
            method: whose maps; ``None`` for those of the first.

        Raises:
            ImportError: if supervision is not installed.
            ValueError: if there is no map of that method.
        """
        return to_supervision(self._table(method))

    def to_fiftyone(self, method: str | None = None, field: str = "explanations") -> dict[str, Any]:
        """Labels for a FiftyOne sample, by the name of their field.

        ``field`` holds the detections, whose attributes are ``method``, ``layer``, ``index``,
        ``detected``, ``energy_in_box`` and ``heat_map``: the name of the field with the detection's
        map (``explanations_heat_map_1`` and so on), as FiftyOne draws maps of whole samples.

        Args:
            method: whose maps; ``None`` for those of the first.
            field: of the sample.

        Raises:
            ImportError: if FiftyOne is not installed.
            ValueError: if there is no map of that method.
        """
        return fields_of(self._table(method), self._size, field)

    @property
    def _size(self) -> tuple[int, int]:
        return (self.image.shape[-2], self.image.shape[-1])

    def _table(self, method: str | None) -> DetectionTable:
        return table_of(list[Any](self), method, self._size)

    def with_entries(self, found: Iterable[One]) -> Explanations[One]:
        """Other explanations of the same photo."""
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
