"""What is read of an explanation by those who draw, list or hand it on, whatever made it."""

from __future__ import annotations

from typing import Any, Protocol


class Explained(Protocol):
    """What a picture needs of one detection, such as :class:`captum_ssgc.Explanation`.

    More is read where it exists: ``index`` tells detections apart that share box, label and score,
    ``why_empty`` is written into the panel of an empty map, ``corners`` of an oriented box are
    drawn in place of the box, and the outline of a ``mask`` beside it.
    """

    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> Any: ...
    @property
    def heat_map(self) -> Any: ...
    @property
    def method(self) -> str: ...


class Listed(Explained, Protocol):
    """What a list needs besides: which detection it is, and of which layer its map is."""

    @property
    def index(self) -> int: ...
    @property
    def layer(self) -> str: ...
