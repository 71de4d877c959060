from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import hand_made_run as hand_made
import pytest

from captum_ssgc.benchmark import report, run_benchmark
from captum_ssgc.benchmark.page import page as page_of
from captum_ssgc.benchmark.summary import summarise

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


@pytest.fixture(scope="module")
def page(finished):
    report(finished.folder)  # other tests may have written one without pictures
    return Page((finished.folder / "report.html").read_text(encoding="utf-8"))


class Outline(HTMLParser):
    """What a page holds, one line for each tag and each text: spaces and style do not count."""

    def __init__(self, content):
        super().__init__()
        self.lines, self.style = [], False
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.style = tag == "style"
        given = sorted((name, " ".join((value or "").split())) for name, value in attributes)
        self.lines.append(" ".join([f"<{tag}", *(f"{n}={v!r}" for n, v in given if v)]))

    def handle_endtag(self, tag):
        self.style = False

    def handle_data(self, data):
        if not self.style and data.strip():
            self.lines.append(" ".join(data.split()))


def test_the_page_holds_what_it_held_before_it_was_a_template():
    """``page_outline.txt`` is of the page that was put together by hand, of the same run.

    What has been added since: the mark of what cannot be told from the best, and "Any two rows".
    """
    summary = summarise(hand_made.records(), hand_made.description(), 2)
    content = page_of(summary, hand_made.examples())
    expected = Path(__file__).with_name("page_outline.txt").read_text(encoding="utf-8")
    assert Outline(content).lines == expected.splitlines()
    Page(content)  # balanced


def test_what_cannot_be_used_of_the_data_set_is_listed():
    description = hand_made.description()
    description["data"]["left_out"] = [f"images[{at}].id: <b>" for at in range(205)]
    text = Page(page_of(summarise([], description), [])).text
    assert "Places in the data set that could not be used 205" in text
    assert "images[199].id: <b>" in text
    assert "images[200].id" not in text
    assert "and 5 more" in text
    assert "No detection was evaluated: there is nothing to compare." in text


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
    detector = tiny.tiny_detector(label_names=tuple(name + EVIL for name in tiny.NAMES))
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
    for path in (finished.folder / "report.html", evil_run):
        picture = tmp_path / "page.png"
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             "--window-size=1366,900", f"--screenshot={picture}", path.as_uri()],
            capture_output=True, text=True, timeout=600, check=True,
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
