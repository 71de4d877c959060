"""The examples of a report in the viewer."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from browsing import chosen, needs_chromium, opened_page, started, wait_for

from captum_ssgc.benchmark import report, run_benchmark

TITLES = ["D-RISE", "ODAM", "SSGrad-CAM++"]


class Links(HTMLParser):
    """Where each picture of an example leads, and what stands below it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.captions, self.in_caption = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.links.append(dict(attributes)["href"])
        if tag == "figcaption":
            self.captions.append("")
        self.in_caption = tag == "figcaption" or (self.in_caption and tag in ("b", "br"))

    def handle_data(self, data):
        if self.in_caption:
            self.captions[-1] += data

    def handle_endtag(self, tag):
        self.in_caption = self.in_caption and tag != "figcaption"


def read(folder):
    """The report's links and captions, and the data of the viewer."""
    parsed = Links((folder / "report.html").read_text(encoding="utf-8"))
    text = (folder / "examples.html").read_text(encoding="utf-8")
    data = dict(re.findall(r'json" id="([\w-]+)">(.*?)</script>', text, re.DOTALL))
    contents = [json.loads(data[f"content-{at}"]) for at in range(len(data) - 1)]
    return SimpleNamespace(
        links=parsed.links, captions=parsed.captions, index=json.loads(data["index"]),
        contents=contents, text=text,
    )  # fmt: skip


@pytest.fixture
def shown(finished):
    report(finished.folder)  # other tests may have written one with other images
    return read(finished.folder)


def test_every_example_is_linked_to_its_map(shown, finished):
    whole, *links = shown.links
    assert whole == "examples.html"
    expected = [(kind, title) for title in TITLES for kind in ("best", "median", "worst")]
    assert len(links) == len(shown.captions) == len(expected)
    for link, caption, (kind, title) in zip(links, shown.captions, expected, strict=True):
        place = re.fullmatch(r"examples\.html#box-(\d+)-(\d+)-(\d+)", link)
        page, entry, number = map(int, place.groups())
        image, box = shown.index[page], shown.index[page]["entries"][entry]
        assert caption.startswith(f"{kind}: {box['label']} {box['score']:.2f}{image['name']}")
        assert shown.contents[page]["maps"][entry][number]["method"] == title
        facts = dict(box["facts"])
        assert f"{kind} of {title}" in facts["Example"].split(", ")
        assert caption.endswith(facts[title])


def test_every_box_has_the_maps_and_figures_of_every_method(shown, finished):
    assert {image["name"] for image in shown.index} <= {f"image_{at:03}.png" for at in range(5)}
    kinds = set()
    for image, content in zip(shown.index, shown.contents, strict=True):
        assert len(image["entries"]) == len(content["maps"]) > 0
        assert content["photo"].startswith("data:image/jpeg;base64,")
        for entry, maps in zip(image["entries"], content["maps"], strict=True):
            assert [one["method"] for one in maps] == TITLES
            assert [name for name, _ in entry["facts"] if name != "Example"] == TITLES
            assert all("Ins s1 0." in value for name, value in entry["facts"] if name in TITLES)
            kinds.add(entry["kind"])
    assert kinds <= {"matched to an annotation", "without an annotation"}
    assert "matched to an annotation" in kinds


def test_the_report_alone_gives_the_same_page(shown, finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    (folder / "examples.html").unlink()
    report(folder)
    assert read(folder).text == shown.text
    first = shown.index[0]["name"]
    [stored] = (folder / "examples").glob(f"{int(first[6:9])}-*.json")
    stored.write_text("{")
    report(folder)
    assert [image["name"] for image in read(folder).index] == [
        image["name"] for image in shown.index[1:]
    ]  # a damaged one is left out


def test_the_number_of_images_is_bounded(shown, finished, tmp_path, tiny, data):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    report(folder, examples=1)
    one = read(folder)
    assert one.index == shown.index[:1]
    linked = [link for link in shown.links[1:] if link.startswith("examples.html#box-0-")]
    assert one.links == ["examples.html", *linked]
    (folder / "examples.html").unlink()
    report(folder, examples=0)
    assert not (folder / "examples.html").exists()
    assert "examples.html" not in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="examples: expected at least 0, got -1"):
        run_benchmark(tiny.tiny_detector(), data, folder, tiny.settings(), examples=-1)


def test_what_is_lost_is_made_again_without_the_perturbations(
    shown, finished, tiny, data, tmp_path
):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    shutil.rmtree(folder / "examples")
    detector = tiny.tiny_detector()
    run_benchmark(detector, data, folder, tiny.settings())
    again = read(folder)
    assert again.index == shown.index
    assert again.contents == shown.contents
    assert detector.model.forwards < finished.forwards / 5


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1366, 390])
def test_the_page_in_a_browser(shown, finished, width):
    size = {"width": width, "height": 800}
    with started() as browser, opened_page(browser, finished.folder / "report.html", size) as page:
        link = page.locator("figure a").last
        _, number, entry, _ = link.get_attribute("href").split("-")
        link.click()
        wait_for(page, f"entry-{number}-{entry} SSGrad-CAM++ ")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        box = shown.index[int(number)]["entries"][int(entry)]
        assert chosen(page) == f"{int(entry) + 1} {box['label']}"
        assert "worst of SSGrad-CAM++" in page.locator("#about").inner_text()
        page.keyboard.press("m")
        wait_for(page, f"entry-{number}-{entry} D-RISE ")
        page.keyboard.press("Home")
        assert chosen(page).startswith("1 ")
        page.select_option("#scope", "all", force=True)
        if width < 820:
            page.locator("#filters summary").click()
        page.select_option("#label", label="red")
        names = page.locator("#list li .name").all_text_contents()
        assert names
        assert all(" red" in name for name in names)
