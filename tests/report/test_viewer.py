from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from captum_ssgc import report
from captum_ssgc.report import (
    ViewerEntry,
    ViewerPage,
    explained_page,
    save_html,
    viewer_html,
)
from captum_ssgc.visualization import BOX_COLORS

TEMPLATES = Path(report.__file__).parent / "templates"


class Parsed(HTMLParser):
    """The scripts with an id, all tags, and all addresses that would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self._script = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.tags.append(tag)
        self.addresses += [value for key in ("src", "href") if (value := known.get(key))]
        self._script = (known.get("id") or "") if tag == "script" else ""

    def handle_data(self, data: str) -> None:
        if self._script:
            self.data[self._script] = self.data.get(self._script, "") + data


def map_of(text: str, page: int, entry: int, number: int = 0) -> tuple[np.ndarray, list[float]]:
    known = json.loads(Parsed(text).data[f"content-{page}"])["maps"][entry][number]
    with Image.open(io.BytesIO(base64.b64decode(known["grey"]))) as image:
        assert image.mode == "L"
        return np.asarray(image), known["place"]


def one_map(heat: torch.Tensor) -> ViewerEntry:
    return ViewerEntry([0, 0, 1, 1], "x", {("m", "score"): heat})


def test_data_is_read_back_as_it_was_given(pages: list[ViewerPage]) -> None:
    data = Parsed(viewer_html(pages, title="cats & dogs")).data
    index = json.loads(data["index"])
    assert [(page["name"], page["width"], page["height"]) for page in index] == [
        ("a.jpg", 320, 240),
        ("b & c.jpg", 320, 240),
    ]
    cat, dog, missed = index[0]["entries"]
    assert cat == {
        "box": [40.0, 40.0, 120.0, 100.0],
        "label": "cat",
        "score": 0.93,
        "kind": "found",
        "verdict": "rests on the object",
        "facts": [["layer", "backbone.layer3"]],
    }
    assert dog["facts"] == []
    assert missed["score"] is None
    assert missed["label"] == "</script><b>&amp;\u2028\\udcff"
    maps = json.loads(data["content-0"])["maps"]
    assert [(one["method"], one["output"]) for one in maps[0]] == [
        ("odam", "score"),
        ("odam", "left"),
        ("d-rise", "score"),
    ]
    assert maps[2] == [{"method": "odam", "output": "score", "grey": None}]


def test_nothing_of_the_data_becomes_markup(pages: list[ViewerPage]) -> None:
    text = viewer_html(pages, title="<script>alert(1)</script>")
    parsed = Parsed(text)
    assert parsed.tags.count("script") == 2 + len(pages)
    assert "b" not in parsed.tags
    assert "\u2028" not in text
    assert text.encode("utf-8")


def test_nothing_is_fetched(pages: list[ViewerPage]) -> None:
    text = viewer_html(pages)
    assert Parsed(text).addresses == ["data:,"]
    assert "default-src 'none'" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_a_map_is_a_small_picture_of_the_part_that_shows_anything(
    pages: list[ViewerPage],
) -> None:
    grey, place = map_of(viewer_html(pages), 0, 0)
    np.testing.assert_array_equal(grey, [[0, 0, 0, 0], [0, 255, 128, 0], [0, 0, 0, 0]])
    assert place == [7 * 8.0, 6 * 8.0, 11 * 8.0, 9 * 8.0]


def test_a_map_at_the_edge_ends_at_the_edge() -> None:
    heat = torch.zeros(3, 4)
    heat[0, 3] = 2.0
    page = ViewerPage(
        "a", torch.zeros(3, 30, 40), [ViewerEntry([0, 0, 1, 1], "x", {("m", ""): heat})]
    )
    grey, place = map_of(viewer_html([page]), 0, 0)
    np.testing.assert_array_equal(grey, [[0, 255], [0, 0]])
    assert place == [20.0, 0.0, 40.0, 20.0]


def test_large_maps_are_reduced_and_keep_their_place_and_peak() -> None:
    heat = torch.zeros(1, 1, 480, 640)
    heat[..., 100:300, 200:400] = 1.0
    heat[..., 250:258, 300:308] = 3.0
    page = ViewerPage(
        "a", torch.zeros(3, 480, 640), [ViewerEntry([0, 0, 1, 1], "x", {("m", ""): heat})]
    )
    grey, (left, top, right, bottom) = map_of(viewer_html([page]), 0, 0)
    assert max(grey.shape) == 72
    assert (left, top, right, bottom) == (199.0, 99.0, 401.0, 301.0)
    row, column = np.unravel_index(grey.argmax(), grey.shape)
    assert grey.max() == 255
    assert top + (row + 0.5) / grey.shape[0] * (bottom - top) == pytest.approx(254.0, abs=3.0)
    assert left + (column + 0.5) / grey.shape[1] * (right - left) == pytest.approx(304.0, abs=3.0)


def test_maps_that_are_nowhere_zero_are_drawn_above_their_floor() -> None:
    heat = 0.6 + 0.04 * (2 * torch.rand(40, 50, generator=torch.Generator().manual_seed(0)) - 1)
    heat[10:16, 20:26] = 1.0
    page = ViewerPage("a", torch.zeros(3, 40, 50), [one_map(heat)])
    grey, place = map_of(viewer_html([page]), 0, 0)
    assert place == [19.0, 9.0, 27.0, 17.0]
    assert (grey[1:-1, 1:-1] == 255).all()


@pytest.mark.parametrize("heat", [torch.zeros(4, 4), -torch.rand(4, 4), torch.full((4, 4), 0.3)])
def test_a_map_without_anything_in_it_has_no_picture(heat: torch.Tensor) -> None:
    text = viewer_html([ViewerPage("a", torch.zeros(3, 8, 8), [one_map(heat)])])
    assert json.loads(Parsed(text).data["content-0"])["maps"][0][0]["grey"] is None


def test_large_photos_are_reduced() -> None:
    page = ViewerPage("a", torch.rand(3, 100, 3200), [])
    data = Parsed(viewer_html([page])).data
    photo = json.loads(data["content-0"])["photo"].removeprefix("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(photo))) as image:
        assert image.size == (1600, 50)
    assert json.loads(data["index"])[0]["width"] == 3200


def test_explanations_of_one_detection_are_one_entry() -> None:
    one = {"label": "cat", "score": 0.9, "box": [0.0, 0.0, 4.0, 4.0], "heat_map": torch.ones(8, 8)}
    found: list[Any] = [
        SimpleNamespace(**one, index=3, method="odam", layer="layer4"),
        SimpleNamespace(**one, index=3, method="d-rise", layer=""),
        SimpleNamespace(**one, index=5, method="odam", layer="layer3"),
    ]
    page = explained_page("a.jpg", torch.zeros(3, 8, 8), found, "left")
    first, second = page.entries
    assert list(first.maps) == [("odam", "left"), ("d-rise", "left")]
    assert first.facts == {"Layer of odam": "layer4"}
    assert list(second.maps) == [("odam", "left")]


def test_corners_and_the_outline_of_a_mask_travel_with_the_box() -> None:
    mask = torch.zeros(8, 8)
    mask[2:4, 1:6] = 0.5
    one = SimpleNamespace(
        **{"label": "ship", "score": 0.9, "box": [0.0, 0.0, 4.0, 4.0], "index": 0, "layer": ""},
        **{"heat_map": torch.ones(8, 8), "method": "odam", "mask": mask},
        corners=torch.tensor([[2.0, 0.0], [4.0, 2.0], [2.0, 4.0], [0.0, 2.0]]),
    )
    data = Parsed(viewer_html([explained_page("a.jpg", torch.zeros(3, 8, 8), [one])])).data
    [entry] = json.loads(data["index"])[0]["entries"]
    assert entry["corners"] == [[2.0, 0.0], [4.0, 2.0], [2.0, 4.0], [0.0, 2.0]]
    [outline] = np.array(entry["outlines"])
    assert outline.min(0).tolist() == [1.0, 2.0]
    assert outline.max(0).tolist() == [6.0, 4.0]
    upright = SimpleNamespace(**{**vars(one), "corners": None, "mask": None})
    data = Parsed(viewer_html([explained_page("a.jpg", torch.zeros(3, 8, 8), [upright])])).data
    assert not {"corners", "outlines"} & {*json.loads(data["index"])[0]["entries"][0]}


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (ViewerPage("a.jpg", torch.zeros(4, 4), []), r"a.jpg: expected an image \(3, H, W\)"),
        (ViewerPage("a.jpg", torch.full((3, 4, 4), 9.0), []), r"a.jpg: expected an image in \["),
        (ViewerPage("a.jpg", torch.full((3, 4, 4), torch.nan), []), "expected an image in"),
    ],
    ids=["shape", "range", "nan"],
)
def test_photos_that_do_not_fit_are_named(page: ViewerPage, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        viewer_html([page])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box": [1.0, 2.0, 3.0]}, "entry 0: expected a box of four finite numbers"),
        ({"box": [0.0, 0.0, float("inf"), 1.0]}, "entry 0: expected a box of four finite numbers"),
        ({"score": float("nan")}, "entry 0: expected a finite score"),
        ({"maps": {("m", ""): torch.zeros(2, 3, 4)}}, r"expected maps of finite values \(h, w\)"),
        ({"maps": {("m", ""): torch.zeros(0, 4)}}, r"expected maps of finite values \(h, w\)"),
        ({"maps": {("m", ""): torch.full((2, 2), torch.nan)}}, "with NaN or infinity"),
        ({"corners": torch.zeros(8)}, r"entry 0: expected corners \(4, 2\)"),
        ({"mask": torch.zeros(4, 5)}, r"entry 0: expected a mask \(4, 4\), as the photo"),
    ],
    ids=["box", "infinite", "score", "channels", "no cells", "nan", "corners", "mask"],
)
def test_entries_that_do_not_fit_are_named(change: dict[str, Any], message: str) -> None:
    entry = dataclasses.replace(ViewerEntry([0, 0, 1, 1], "x", {}), **change)
    with pytest.raises(ValueError, match=message):
        viewer_html([ViewerPage("a.jpg", torch.zeros(3, 4, 4), [entry])])


def test_no_photo_is_an_error() -> None:
    with pytest.raises(ValueError, match="pages: expected at least one photo"):
        viewer_html(iter([]))


def test_a_failed_write_leaves_what_was_there(
    pages: list[ViewerPage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    save_html(path, iter(pages[:1]))
    before = path.read_bytes()

    def full(self: Path, *_: Any, **__: Any) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        save_html(path, pages)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_the_colours_are_those_of_the_pictures() -> None:
    script = (TEMPLATES / "viewer.js").read_text(encoding="utf-8")
    block = script[script.index("const stops") : script.index("const hues")]
    stops = re.findall(r"\b[0-9a-f]{6}\b", block)
    shares = np.linspace(0.125, 1.0, len(stops))
    expected = [
        matplotlib.colors.to_hex(color) for color in matplotlib.colormaps["inferno"](shares)
    ]
    assert [f"#{stop}" for stop in stops] == expected
    assert tuple(re.findall(r'"(#[0-9A-F]{6})"', script)) == BOX_COLORS
