"""``--composite``: pictures of images that are not RGB."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.benchmark import AuditSettings
from captum_ssgc.cli import data_runs, each_image
from captum_ssgc.cli.map_quality import measure_maps
from captum_ssgc.cli.quality_figure import quality_figure
from captum_ssgc.detectors import CandidateDetector

SHARES = (0.1, 0.5, 0.2, 0.9)
COLOR = [230, 128, 26]  # of channels 3, 1 and 0


class FourChannels(nn.Module):
    """One box, scored by how bright all channels are in it."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(4, 2, 4, stride=4, bias=False)
        nn.init.constant_(self.features.weight, 0.02)

    def forward(self, images):
        scores = self.features(images)[:, :1, 2:6, 2:8].mean((2, 3))
        boxes = torch.tensor([[8.0, 8.0, 32.0, 24.0]]).expand(len(images), 1, 4)
        return boxes, scores[:, None]


@pytest.fixture
def detector():
    model = FourChannels().eval()
    return CandidateDetector(
        model, level_layers=[model.features], score_threshold=0.0, label_names=["ship"]
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "planes").mkdir()
    planes = np.broadcast_to(np.array(SHARES, dtype=np.float32), (40, 60, 4))
    np.save(tmp_path / "planes" / "sea.npy", planes)
    return tmp_path / "planes"


def pixels_like(path, color):
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - color).max(-1) <= 1).sum())


def test_pictures_and_page_show_it_and_say_so(run, detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(each_image, "load_detector", lambda choice: detector)
    options = ("--composite", "3,1,0", "--score-threshold", "0", "--html")
    assert run("explain", folder, "-o", tmp_path / "out", *options).code == 0
    assert pixels_like(tmp_path / "out" / "sea" / "sea_overview.png", COLOR) > 10_000
    text = (tmp_path / "out" / "heat_maps.html").read_text(encoding="utf-8")
    [shown] = json.loads(re.search(r'id="index"[^>]*>(.*?)</script>', text, re.DOTALL)[1])
    assert ["Photo", "channels 3, 1, 0 of 4 as RGB"] in shown["entries"][0]["facts"]


def test_the_curves_show_it_and_say_so(detector):
    image = torch.tensor(SHARES)[None, :, None, None].expand(1, 4, 40, 60)
    found = ssgc.explain(detector, image, "odam", score_threshold=0.0)
    quality = measure_maps(detector, image, found, "yamauchi2024", 64)
    figure = quality_figure("sea.npy", quality, "yamauchi2024", [2])
    assert figure.get_suptitle().endswith("images: ship, odam, channel 2 of 4 as grey")


@pytest.mark.parametrize("value", ["", "1,2", "x", "-1", "0,1,2,3", "1.0", "²"])
def test_what_is_no_composite(run, value):
    outcome = run("explain", "sea.npy", f"--composite={value}")
    assert outcome.code == 2
    assert "--composite: expected one channel or three with commas" in outcome.err


def test_channels_that_the_model_does_not_take(run, detector, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(each_image, "load_detector", lambda choice: detector)
    outcome = run("explain", folder, "-o", tmp_path / "out", "--composite", "4")
    assert outcome.code == 2
    assert "--composite: expected channels from 0 to 3, as the model takes 4, got 4" in outcome.err


@pytest.fixture
def annotated(folder):
    """The image as a data set in the COCO format: a ship that is found, and one that is not."""
    boxes = ([8, 8, 24, 16], [40, 28, 9, 9])
    content = {
        "images": [{"id": 1, "file_name": "sea.npy"}],
        "categories": [{"id": 1, "name": "ship"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": box} for box in boxes],
    }
    (folder / "ships.json").write_text(json.dumps(content))
    return folder / "ships.json"


BENCHMARK = ("benchmark", "--method", "odam", "--metrics", "pointing-game", "--floors", "none",
             "--score-threshold", "0")  # fmt: skip
AUDIT = ("audit", "--fills", "zero", "--score-threshold", "0")


def photo_color(page):
    """The middle of the corner of a viewer's only photo, and its facts."""
    data = dict(re.findall(r'json" id="([\w-]+)">(.*?)</script>', page.read_text(), re.DOTALL))
    photo = json.loads(data["content-0"])["photo"].partition("base64,")[2]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(photo))).convert("RGB"))
    [shown] = json.loads(data["index"])
    return pixels[2, 2].astype(int), shown["entries"][0]["facts"]


@pytest.mark.parametrize(("command", "page"), [(BENCHMARK, "examples.html"), (AUDIT, "audit.html")])
def test_runs_show_it_and_draw_anew(run, detector, annotated, tmp_path, monkeypatch, command, page):
    monkeypatch.setattr(data_runs, "load_detector", lambda choice: detector)
    command = (*command, "--data", annotated, "-o", tmp_path / "run")
    assert run(*command, "--composite", "4").code == 2
    assert not (tmp_path / "run").exists()
    for options, color, words in (
        ((), [26, 128, 51], "channels 0, 1, 2 of 4 as RGB"),
        (("--composite", "3,1,0"), COLOR, "channels 3, 1, 0 of 4 as RGB"),
        (("--composite", "3"), [230] * 3, "channel 3 of 4 as grey"),
    ):
        outcome = run(*command, *options)
        assert outcome.code == 0, outcome.err
        pixels, facts = photo_color(tmp_path / "run" / page)
        assert np.abs(pixels - color).max() <= 3
        assert ["Photo", words] in facts
        if page == "examples.html":
            report = (tmp_path / "run" / "report.html").read_text()
            assert f"Pictures: {words}." in report
            [drawn] = (tmp_path / "run" / "examples").glob("*.jpg")
            muted = 0.4 * np.array(color) + 0.6 * np.dot(color, [0.2126, 0.7152, 0.0722])
            assert np.abs(np.asarray(Image.open(drawn))[4, 4] - muted).max() <= 4
    outcome = run(*command, "--composite", "0", "--report-only")
    assert outcome.code == 0
    assert "the pictures are those that the run has drawn" in outcome.err
    assert ["Photo", "channel 3 of 4 as grey"] in photo_color(tmp_path / "run" / page)[1]


def test_what_a_function_shows_is_drawn_every_time(detector, annotated, tmp_path):
    settings = AuditSettings(fills="zero", score_threshold=0.0)
    for shade in (0.0, 1.0):

        def infrared(image, shade=shade):
            return np.full((1, *image.shape[1:]), shade)

        ssgc.audit(detector, annotated, tmp_path / "run", settings, composite=infrared)
        pixels, facts = photo_color(tmp_path / "run" / "audit.html")
        assert pixels.tolist() == [round(255 * shade)] * 3
        assert ["Photo", "infrared"] in facts
    with pytest.raises(ValueError, match=r"composite: expected one or three channels from 0 to 3"):
        ssgc.audit(detector, annotated, tmp_path / "other", settings, composite=(0, 1))
    assert not (tmp_path / "other").exists()
