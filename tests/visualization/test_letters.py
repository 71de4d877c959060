"""Labels in any script are read: in a font that has it, else spelled out and marked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib import font_manager
from rendering import rendered
from torch import Tensor

from captum_ssgc.visualization import _letters, overview
from captum_ssgc.visualization._letters import families, legible

# In no script, so that no installed font has them: the private use area.
PRIVATE = "\uf3a1"


@pytest.fixture
def no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    own = [font for font in font_manager.fontManager.ttflist if font.name == _letters.FONT]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    _letters._family_with.cache_clear()
    yield
    _letters._family_with.cache_clear()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("traffic light", "traffic light"),
        ("caf\u00e9 \u043a\u043e\u0442", "café кот"),
        ("cafe\u0301", "café"),
        ("\u732b", "‹U+732B›"),
        ("\u732b\u72d7 cat", "‹U+732B U+72D7› cat"),
        ("\u306d\u3053", "‹neko›"),
        ("\uace0\uc591\uc774", "‹goyangi›"),
        ("\U0001f9a9 x", "‹flamingo› x"),
        ("a\udcff\udc80b", "a\\xff\\x80b"),
        ("a\x00b\tc\nd\u200be", "a b c de"),
        ("", ""),
    ],
    ids=[
        *("ascii", "latin", "composed", "ideograph", "two", "kana", "hangul", "emoji"),
        *("bytes", "control", "none"),
    ],
)
def test_what_no_font_has_is_spelled_out(text: str, shown: str, no_other_fonts: None) -> None:
    assert legible(text) == shown
    assert families(shown) == ["DejaVu Sans"]


@pytest.fixture
def font_with_a_sign(tmp_path: Path) -> Iterator[str]:
    """The name of a font that has one sign, a full square, in the private use area."""
    builder = pytest.importorskip("fontTools.fontBuilder")
    pen_module = pytest.importorskip("fontTools.pens.ttGlyphPen")
    pen = pen_module.TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    font = builder.FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "square"])
    font.setupCharacterMap({ord(PRIVATE): "square"})
    font.setupGlyf({".notdef": pen_module.TTGlyphPen(None).glyph(), "square": pen.glyph()})
    font.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": "Signs Of Tests", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=1000)
    font.setupPost()
    path = tmp_path / "signs.ttf"
    font.save(path)
    known = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(path)
    _letters._family_with.cache_clear()
    yield "Signs Of Tests"
    font_manager.fontManager.ttflist[:] = known
    _letters._family_with.cache_clear()


def test_a_font_that_has_the_letters_is_used(
    font_with_a_sign: str,
    picture: Tensor,
    explained: list[Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = f"cat {PRIVATE}"
    assert legible(text) == text
    assert families(text) == ["DejaVu Sans", font_with_a_sign]
    explained[0].label = text
    figure = overview(picture, explained[:1])
    assert figure.axes[1].get_title(loc="left") == f"1 {text}"
    pixels = rendered(figure)
    assert caplog.records == []  # such as that the font is not there in bold
    extent = figure.axes[1]._left_title.get_window_extent()
    rows = slice(round(len(pixels) - extent.y1), round(len(pixels) - extent.y0))
    title = pixels[rows, round(extent.x0) : round(extent.x1)].mean(2)
    square = title[:, -8:-2]
    assert (square < 0.3).all(1).sum() >= 8  # no letter has rows that are filled like this
