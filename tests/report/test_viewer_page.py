"""The page in a browser, from a file and without network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browsing import chosen, needs_chromium, new_tab, opened_page, started, wait_for

from captum_ssgc.report import ViewerEntry, ViewerPage, save_html

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[tuple[Any, list[str]]]:
    """One for all tests: a new one takes longer than what they do in it."""
    with new_tab(browser, {"width": 1000, "height": 800}) as tab:
        yield tab


@pytest.fixture
def opened(tab: Any, pages: list[ViewerPage], tmp_path: Path) -> Iterator[Any]:
    """The page of ``pages`` at 1000 x 800, as it is loaded."""
    page, complaints = tab
    page.mouse.move(0, 0)
    complaints.clear()
    page.goto(write(pages, tmp_path).as_uri())
    yield page
    assert complaints == []


def write(pages: list[ViewerPage], folder: Path) -> Path:
    save_html(folder / "page.html", pages, title="cats")
    return folder / "page.html"


def opacity_at(page: Any, x: float, y: float) -> int:
    """Of the heat map at a point of the photo, from 0 to 255."""
    program = """([x, y]) => {
        const heat = document.getElementById("heat");
        const at = [Math.floor(x / 320 * heat.width), Math.floor(y / 240 * heat.height)];
        const pen = heat.getContext("2d", { willReadFrequently: true });
        return pen.getImageData(...at, 1, 1).data[3];
    }"""
    return page.evaluate(program, [x, y])


def point(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the photo is on the screen."""
    frame = page.locator("#stage").bounding_box()
    return frame["x"] + x / 320 * frame["width"], frame["y"] + y / 240 * frame["height"]


def names(page: Any) -> list[str]:
    rows = page.locator("#list .name").all()
    return [row.evaluate("node => node.firstChild.textContent") for row in rows]


def test_a_click_in_the_list_shows_the_map(opened: Any) -> None:
    assert chosen(opened) == ""
    assert opacity_at(opened, 68, 60) == 0
    opened.locator("#list li").first.click()
    assert chosen(opened) == "1 cat"
    wait_for(opened, "entry-0-0 odam score")
    assert opacity_at(opened, 68, 60) == pytest.approx(0.85 * 255, abs=12)
    assert opacity_at(opened, 200, 60) == 0
    about = opened.locator("#about").inner_text()
    assert "1 cat, 0.93" in about
    assert "found · rests on the object" in about
    assert "backbone.layer3" in about
    assert opened.locator("#boxes .chosen.edge").count() == 1


def test_the_photo_is_shown_and_named(opened: Any) -> None:
    photo = opened.locator("#photo")
    assert photo.get_attribute("alt") == "a.jpg, 3 boxes"
    opened.wait_for_function("document.getElementById('photo').naturalWidth === 320")


def test_pointing_shows_the_smallest_box_and_leaving_goes_back(opened: Any) -> None:
    opened.locator("#list li").first.click()
    opened.mouse.move(*point(opened, 70, 70))
    wait_for(opened, "entry-0-1 odam score")
    assert chosen(opened) == "1 cat"
    assert opened.locator("#about").get_attribute("aria-live") == "off"
    opened.mouse.move(5, 5)
    wait_for(opened, "entry-0-0 odam score")


def test_clicks_go_through_the_boxes_at_a_point(opened: Any) -> None:
    for name in ("2 dog", "1 cat", "2 dog"):
        opened.mouse.click(*point(opened, 70, 70))
        assert chosen(opened) == name
    opened.mouse.click(*point(opened, 310, 10))
    assert chosen(opened) == ""


def test_keys_choose_boxes_and_images(opened: Any) -> None:
    names = []
    keys = "ArrowDown ArrowDown ArrowUp End ArrowDown Home Escape ArrowUp"
    for key in keys.split():
        opened.keyboard.press(key)
        names.append(chosen(opened)[:5])
    assert names == ["1 cat", "2 dog", "1 cat", "3 </s", "3 </s", "1 cat", "", "3 </s"]
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#image").input_value() == "1"
    assert chosen(opened) == ""
    opened.keyboard.press("ArrowDown")
    assert chosen(opened) == "#1 class 17"
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#image").input_value() == "1"
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#image").input_value() == "0"


def test_switches_change_the_map(opened: Any) -> None:
    opened.keyboard.press("ArrowDown")
    opened.locator("#output").select_option("left")
    wait_for(opened, "entry-0-0 odam left")
    opened.locator("#output").focus()
    opened.keyboard.press("m")  # keys are the select's while it has the focus
    opened.locator("#output").blur()
    opened.keyboard.press("o")
    wait_for(opened, "entry-0-0 odam score")
    opened.keyboard.press("m")
    wait_for(opened, "entry-0-0 d-rise score")
    opened.keyboard.press("ArrowDown")
    assert opened.locator("#remark").inner_text() == "no map of this method and output"
    assert opacity_at(opened, 60, 60) == 0


def test_opacity_and_threshold(opened: Any) -> None:
    opened.keyboard.press("ArrowDown")
    wait_for(opened, "entry-0-0 odam score")
    half = opacity_at(opened, 76, 60)
    assert half == pytest.approx(0.85 * 255 * 0.5**0.6, abs=6)
    opened.locator("#threshold").fill("70")
    wait_for(opened, "entry-0-0 odam score")
    assert opacity_at(opened, 76, 60) == 0
    assert opened.locator("#threshold-value").inner_text() == "70 %"
    opened.locator("#opacity").fill("40")
    wait_for(opened, "entry-0-0 odam score")
    assert opacity_at(opened, 68, 60) == pytest.approx(0.4 * 255, abs=6)


def test_an_empty_map_says_so(opened: Any) -> None:
    opened.keyboard.press("End")
    assert opened.locator("#remark").inner_text() == "empty map: no value above its floor"
    assert "not detected" in opened.locator("#about").inner_text()


def test_texts_of_the_data_are_texts(opened: Any) -> None:
    assert names(opened)[2] == "3 </script><b>&amp;\u2028\\udcff"
    assert opened.locator("#list b").count() == 0


def test_filters(opened: Any) -> None:
    assert opened.locator("#count").inner_text() == "3 boxes"
    opened.locator("#kind").select_option("wrong class")
    assert names(opened) == ["2 dog"]
    assert opened.locator("#count").inner_text() == "1 of 3 boxes"
    assert opened.locator("#boxes .edge").count() == 1
    opened.locator("#kind").select_option("all")
    opened.locator("#verdict").select_option("rests on the object")
    assert names(opened) == ["1 cat"]
    opened.locator("#verdict").select_option("all")
    opened.locator("#label").select_option("dog")
    assert names(opened) == ["2 dog"]
    opened.locator("#label").select_option("all")
    opened.keyboard.press("Escape")
    opened.locator("#score").fill("50")
    assert names(opened) == ["1 cat"]
    assert opened.locator("#score-value").inner_text() == "0.50"


def test_a_box_that_is_filtered_out_is_no_longer_chosen(opened: Any) -> None:
    opened.locator("#list li").first.click()
    opened.locator("#kind").select_option("wrong class")
    assert chosen(opened) == ""
    assert opened.locator("#boxes .chosen").count() == 0


def test_boxes_of_all_images_in_one_list(opened: Any) -> None:
    opened.locator("#scope").select_option("all")
    assert [name[:4] for name in names(opened)] == ["1 ca", "2 do", "3 </", "#1 c"]
    opened.locator("#list li").last.click()
    assert opened.locator("#image").input_value() == "1"
    assert chosen(opened) == "#1 class 17"
    wait_for(opened, "entry-1-0 odam score")


def test_zoom_brings_the_box_closer(opened: Any) -> None:
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("ArrowDown")
    edge = opened.locator("#boxes .chosen.edge")
    before = edge.bounding_box()["width"]
    opened.keyboard.press("z")
    opened.wait_for_function(
        "w => document.querySelector('#boxes .chosen.edge').getBoundingClientRect().width > 3 * w",
        arg=before,
    )
    frame, shown = opened.locator("#stage").bounding_box(), edge.bounding_box()
    assert frame["x"] <= shown["x"]
    assert shown["x"] + shown["width"] <= frame["x"] + frame["width"]


def test_an_image_is_decoded_when_it_is_shown(
    browser: Any, pages: list[ViewerPage], tmp_path: Path
) -> None:
    """What is broken in the second image does not matter to the first."""
    path = write(pages, tmp_path)
    head, tail = path.read_text(encoding="utf-8").split('id="content-1">{')
    path.write_text(f'{head}id="content-1">broken{{{tail}', encoding="utf-8")
    with opened_page(browser, path, {"width": 1000, "height": 800}) as page:
        page.keyboard.press("ArrowDown")
        wait_for(page, "entry-0-0 odam score")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(browser: Any, pages: list[ViewerPage], tmp_path: Path, scheme: str) -> None:
    size, phone = {"width": 390, "height": 844}, {"has_touch": True, "is_mobile": True}
    path = write(pages, tmp_path)
    with opened_page(browser, path, size, color_scheme=scheme, **phone) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.touchscreen.tap(*point(page, 70, 70))
        assert chosen(page) == "2 dog"
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_names_and_roles_for_a_screen_reader(opened: Any) -> None:
    unnamed = opened.evaluate(
        """() => [...document.querySelectorAll("select, input, button")].filter(
            node => !node.labels?.length && !node.ariaLabel && !node.textContent.trim())
            .map(node => node.id)"""
    )
    assert unnamed == []
    assert opened.get_by_role("listbox", name="Boxes").get_by_role("option").count() == 3
    assert opened.get_by_role("combobox", name="Method").count() == 1


COUNTING = """
window.decoded = 0;
const decode = HTMLImageElement.prototype.decode;
HTMLImageElement.prototype.decode = function () { decoded += 1; return decode.call(this); };
"""


@pytest.mark.slow
def test_of_five_hundred_detections_only_what_is_looked_at_is_decoded(
    browser: Any, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    entries = []
    for corner in torch.rand(500, 2, generator=generator) * 180:
        box = torch.cat([corner, corner + 40])
        maps = {(method, "score"): torch.rand(24, 32, generator=generator) for method in "ab"}
        entries.append(ViewerEntry(box, "cat", maps, float(torch.rand(1, generator=generator))))
    path = write([ViewerPage("crowd.jpg", torch.rand(3, 240, 320), entries)], tmp_path)
    with new_tab(browser, {"width": 1366, "height": 768}) as (page, complaints):
        page.add_init_script(COUNTING)
        page.goto(path.as_uri())
        assert page.locator("#list li").count() == 500
        before = page.evaluate("decoded")
        assert before <= 1
        page.keyboard.press("End")
        wait_for(page, "entry-0-499 a score")
        assert page.evaluate("decoded") == before + 1
    assert complaints == []
