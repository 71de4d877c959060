"""``explain --html``: one page for all images of a call."""

from __future__ import annotations

import json
import re

import numpy as np
from PIL import Image


def write_image(path):
    pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def names_in(page):
    text = page.read_text(encoding="utf-8")
    photos = json.loads(re.search(r'id="index"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    return [photo["name"] for photo in photos]


def test_one_page_for_all_images(explain, photo, tmp_path):
    write_image(photo.parent / "dog.png")
    out = tmp_path / "out"
    methods = ("--method", "odam,ssgrad-cam++", "--top-k", "1")
    outcome = explain(photo.parent, "-o", out, "--html", *methods)
    assert outcome.code == 0
    page = out / "heat_maps.html"
    assert names_in(page) == ["cat.png", "dog.png"]
    assert outcome.out.rstrip().endswith(f"-> {page}")
    text = page.read_text(encoding="utf-8")
    assert text.count('"method": "odam"') == text.count('"method": "ssgrad-cam++"') == 2
    assert {path.name for path in out.iterdir()} == {"cat", "dog", "heat_maps.html"}


def test_no_page_unless_asked(explain, photo, tmp_path):
    assert explain(photo, "--top-k", "1", "-o", tmp_path / "out").code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cat"]


def test_images_that_fail_are_left_out(explain, photo, tmp_path):
    broken = photo.with_name("broken.png")
    broken.write_bytes(b"no image")
    outcome = explain(broken, photo, "--top-k", "1", "-o", tmp_path, "--html")
    assert outcome.code == 2
    assert names_in(tmp_path / "heat_maps.html") == ["cat.png"]


def test_an_earlier_page_stays_where_nothing_is_explained(explain, photo, tmp_path):
    (tmp_path / "heat_maps.html").write_text("earlier")
    assert explain(photo, "-o", tmp_path, "--html", "--score-threshold", "1").code == 1
    assert (tmp_path / "heat_maps.html").read_text() == "earlier"


def test_an_image_of_the_page_s_name(explain, photo, tmp_path):
    other = write_image(photo.parent / "heat_maps.html.png")
    assert explain(other, "--top-k", "1", "-o", tmp_path / "out", "--html").code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"heat_maps.html", "heat_maps.html-2"}


def test_a_page_that_cannot_be_written(explain, photo, tmp_path):
    (tmp_path / "heat_maps.html").mkdir()
    outcome = explain(photo, "--top-k", "1", "-o", tmp_path, "--html")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "heat_maps.html" in outcome.err
    assert (tmp_path / "cat" / "cat_overview.png").exists()
