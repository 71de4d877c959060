"""Photos, detections and their maps as one HTML page that shows what a reader points at."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from captum_ssgc._explained import Listed
from captum_ssgc._mask_outlines import mask_outlines
from captum_ssgc._whole_file import written_whole
from captum_ssgc.composites import Composite
from captum_ssgc.report.page_pictures import array_of, grey_map, jpeg, pixels_of
from captum_ssgc.report.pages import data_uri, render


@dataclass(frozen=True, eq=False)
class ViewerEntry:
    """One box of a photo.

    Args:
        box: ``(4,)`` x1, y1, x2, y2 in pixels of the photo.
        label: name of its class.
        maps: by method and output, such as ``("odam", "score")``, a map ``(h, w)`` whose cells
            cover the whole photo; at image size or on any coarser grid. Negative values count as
            zero.
        score: in [0, 1]; ``None`` for an object that was not detected.
        kind: such as ``"found"`` or ``"missed"``; entries can be filtered by it.
        verdict: what the map says, in a few words; entries can be filtered by it.
        facts: further lines about it, by name.
        corners: ``(4, 2)`` of an oriented box, drawn in place of ``box``.
        mask: ``(H, W)`` at the size of the photo, whose outline is drawn beside it.
        other_boxes: ``(4,)`` each, by name, drawn with dashes where this one is chosen.
    """

    box: Any
    label: str
    maps: Mapping[tuple[str, str], Any]
    score: float | None = None
    kind: str = ""
    verdict: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    corners: Any = None
    mask: Any = None
    other_boxes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ViewerPage:
    """One photo.

    Args:
        name: such as its file's.
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        entries: its boxes, in the order of the list.
        composite: what is shown of an image that is not RGB, see
            :func:`captum_ssgc.visualization.overview`.
    """

    name: str
    image: Any
    entries: Sequence[ViewerEntry]
    composite: Composite | None = None


class Relied(Protocol):
    """What the page needs of what a detection rests on; its text is the verdict with figures."""

    @property
    def words(self) -> str: ...


def explained_page(
    name: str,
    image: Any,
    explanations: Iterable[Listed],
    output: str = "score",
    composite: Composite | None = None,
    reliance: Mapping[int, Relied] | None = None,
) -> ViewerPage:
    """The photo of explanations; those of one detection by several methods become one entry.

    Args:
        name: such as the file's.
        image: ``(3, H, W)`` or ``(1, 3, H, W)``, RGB in [0, 1].
        explanations: as :func:`captum_ssgc.explain` returns them.
        output: what they explain.
        composite: what is shown of an image that is not RGB.
        reliance: what detections rest on, by their index, such as
            :class:`captum_ssgc.metrics.Reliance`.
    """
    relies = reliance or {}
    by_detection: dict[int, list[Listed]] = {}
    for one in explanations:
        by_detection.setdefault(one.index, []).append(one)
    entries = [
        ViewerEntry(
            box=several[0].box,
            label=several[0].label,
            maps={(one.method, output): one.heat_map for one in several},
            score=several[0].score,
            verdict=relies[index].words if index in relies else "",
            facts={f"Layer of {one.method}": one.layer for one in several if one.layer}
            | ({"Tried": str(relies[index])} if index in relies else {}),
            corners=getattr(several[0], "corners", None),
            mask=getattr(several[0], "mask", None),
        )
        for index, several in by_detection.items()
    ]
    # Several pages may wait to be written, and the next frame be read into the same memory.
    own = image.detach().clone() if isinstance(image, Tensor) else np.array(image)
    return ViewerPage(name, own, entries, composite)


@dataclass(frozen=True, eq=False)
class PackedPage:
    """A photo as the page holds it: what its list needs, and what is decoded to show it."""

    known: dict[str, Any]
    content: dict[str, Any]


def save_html(
    path: str | os.PathLike[str],
    pages: Iterable[ViewerPage | PackedPage],
    *,
    title: str = "Heat maps",
) -> None:
    """Write :func:`viewer_html`; the file is there in full, or as it was before.

    Args:
        path: of the file.
        pages: the photos, one after the other; may be a generator. Those from :func:`pack` take a
            hundredth of the memory.
        title: of the page.

    Raises:
        OSError: if the file cannot be written.
        ValueError: as :func:`viewer_html`.

    Example:
        >>> import tempfile, torch
        >>> from pathlib import Path
        >>> from captum_ssgc.report.viewer import ViewerEntry, ViewerPage, save_html
        >>> cat = ViewerEntry([5, 5, 20, 25], "cat", {("odam", "score"): torch.rand(8, 10)}, 0.9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "cats.html")
        ...     save_html(path, [ViewerPage("cat.jpg", torch.rand(3, 30, 40), [cat])])
        ...     path.read_text(encoding="utf-8")[:15]
        '<!DOCTYPE html>'
    """
    text = viewer_html(pages, title=title)
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="\n")


def viewer_html(pages: Iterable[ViewerPage | PackedPage], *, title: str = "Heat maps") -> str:
    """One page with all photos: point at a box, or choose it in the list, and see its map.

    It needs no network and nothing but itself. Photos and maps are decoded when they are shown.

    Args:
        pages: the photos.
        title: of the page.

    Raises:
        ValueError: if there is no photo, or for shapes, values or boxes that do not fit.
    """
    index: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    for page in pages:
        packed = page if isinstance(page, PackedPage) else pack(page)
        index.append(packed.known)
        contents.append(packed.content)
    if not index:
        raise ValueError("pages: expected at least one photo, got none.")
    return render("viewer.html.jinja", title=_text(title), index=index, contents=contents)


def pack(page: ViewerPage) -> PackedPage:
    """A photo compressed for the page, so that those of many images can wait for it.

    Raises:
        ValueError: as :func:`viewer_html`.
    """
    pixels, shown = pixels_of(page.image, page.name, page.composite)
    size = (pixels.shape[0], pixels.shape[1])
    entries = [_entry(entry, size, page.name, row) for row, entry in enumerate(page.entries)]
    if shown:
        for entry in entries:
            entry["facts"].append(["Photo", _text(shown)])
    maps = [
        [
            {"method": _text(method), "output": _text(output), **grey_map(values, size, page.name)}
            for (method, output), values in entry.maps.items()
        ]
        for entry in page.entries
    ]
    known = {"name": _text(page.name), "width": size[1], "height": size[0], "entries": entries}
    return PackedPage(known, {"photo": data_uri(jpeg(pixels), "image/jpeg"), "maps": maps})


def _entry(entry: ViewerEntry, size: tuple[int, int], name: str, number: int) -> dict[str, Any]:
    place = f"{name}, entry {number}"
    if entry.score is not None and not math.isfinite(entry.score):
        raise ValueError(f"{place}: expected a finite score, got {entry.score}.")
    others = [[_text(key), _corners(box, place)] for key, box in entry.other_boxes.items()]
    return {
        "box": _corners(entry.box, place),
        "label": _text(entry.label),
        "score": None if entry.score is None else round(float(entry.score), 4),
        "kind": _text(entry.kind),
        "verdict": _text(entry.verdict),
        **_shapes(entry, size, place),
        "facts": [[_text(key), _text(value)] for key, value in entry.facts.items()],
        **({"others": others} if others else {}),
    }


def _shapes(entry: ViewerEntry, size: tuple[int, int], about: str) -> dict[str, Any]:
    """Corners and outlines of the mask as closed lines of x and y, where the entry has them."""
    known: dict[str, Any] = {}
    if entry.corners is not None:
        corners = array_of(entry.corners)
        if corners.shape != (4, 2) or not np.isfinite(corners).all():
            raise ValueError(f"{about}: expected corners (4, 2), got {entry.corners!r}.")
        known["corners"] = corners.round(2).tolist()
    if entry.mask is not None:
        mask = array_of(entry.mask)
        if mask.shape != size:
            raise ValueError(f"{about}: expected a mask {size}, as the photo, got {mask.shape}.")
        known["outlines"] = [line.round(1).tolist() for line in mask_outlines(mask)]
    return known


def _corners(box: Any, place: str) -> list[float]:
    corners = [float(corner) for corner in array_of(box).reshape(-1)]
    if len(corners) != 4 or not all(map(math.isfinite, corners)):
        raise ValueError(
            f"{place}: expected a box of four finite numbers x1, y1, x2, y2, got {box!r}."
        )
    return [round(corner, 2) for corner in corners]


def _text(text: object) -> str:
    """Bytes of file names that are no UTF-8 cannot be written into a page."""
    return str(text).encode("utf-8", "backslashreplace").decode()
