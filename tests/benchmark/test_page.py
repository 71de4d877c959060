from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from captum_ssgc.benchmark import run_benchmark

VOID = {"meta", "link", "img", "br"}
EVIL = "<img src=x onerror=\"alert(1)\"> & 'co'"


class Page(HTMLParser):
    """The tags of a page, once they are known to be balanced, and its text."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(content)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(finished):
    return Page((finished.folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_needs_nothing_from_elsewhere(page):
    assert not page.all("script")
    sources = [image["src"] for image in page.all("img")]
    links = [link["href"] for link in page.all("link")]
    assert all(one.startswith("data:") for one in [*sources, *links])
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]


def test_the_page_has_curves_and_three_examples_of_each_method(page, finished):
    sources = [image["src"] for image in page.all("img")]
    assert sum(source.startswith("data:image/svg+xml") for source in sources) == 4
    assert sum(source.startswith("data:image/jpeg") for source in sources) == 9
    assert len(page.all("figure")) == 9
    for kind in ("best: ", "median: ", "worst: "):
        assert page.text.count(kind) == 3


def test_the_table_says_what_the_summary_says(page, finished):
    for row in finished.summary.rows:
        assert row.title in page.text
        for column in finished.summary.columns:
            if column.key in row.cells:
                assert column.text(row.cells[column.key].mean) in page.text
    for column in finished.summary.columns:
        assert column.explanation in page.text
    for part in ("95 % intervals", "not distinguishable from SSGrad-CAM++", "Ten steps; curves"):
        assert part in page.text
    assert "matched one to one to an annotation of their class, IoU above 0.7" in page.text
    assert "Categories and labels were brought together by name." in page.text


@pytest.fixture
def evil_run(tiny, own_data, tmp_path):
    """A class, an image file and a model with names that are HTML."""
    content = json.loads(own_data.read_text())
    for category in content["categories"]:
        category["name"] += EVIL
    image = content["images"][0]
    name = "a<b>&\"'.png"
    (own_data.parent / image["file_name"]).rename(own_data.parent / name)
    image["file_name"] = name
    content["images"][3]["file_name"] = "<i>missing.png"
    own_data.write_text(json.dumps(content))
    detector = tiny.tiny_detector()
    detector.label_names = tuple(name + EVIL for name in detector.label_names)
    settings = tiny.settings(methods="odam", metrics="pointing-game")
    run_benchmark(detector, own_data, tmp_path / "run", settings, model_name="<u>model")
    return tmp_path / "run" / "report.html"


def test_names_are_shown_as_they_are(evil_run):
    page = Page(evil_run.read_text(encoding="utf-8"))
    assert not [image for image in page.all("img") if image.get("src") == "x"]
    assert not page.all("i")
    assert not page.all("u")
    assert "<u>model" in page.text
    assert "<i>missing.png" in page.text
    assert EVIL in page.text
    assert "a<b>&\"'.png" in page.text


@pytest.mark.slow
def test_a_browser_shows_it_without_complaint(finished, evil_run, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium")
    for report in (finished.folder / "report.html", evil_run):
        picture = tmp_path / "page.png"
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             "--window-size=1366,900", f"--screenshot={picture}", report.as_uri()],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        assert ":CONSOLE" not in shown.stderr
        assert picture.stat().st_size > 10_000


def test_annotations_that_were_left_out_are_counted(tiny, own_data, tmp_path):
    content = json.loads(own_data.read_text())
    content["annotations"][0]["bbox"][2] = 0
    content["annotations"][1]["category_id"] = 999
    own_data.write_text(json.dumps(content))
    summary = run_benchmark(tiny.tiny_detector(), own_data, tmp_path / "run", tiny.settings())
    assert summary.ignored == {"box without extent": 1, "category unknown": 1}
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert "Annotations of the whole file that were left out: box without extent 1" in page.text
