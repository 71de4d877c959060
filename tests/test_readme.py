"""Everything that the README shows runs as written, but for what would be downloaded."""

from __future__ import annotations

import random
import re
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from captum.metrics import infidelity
from PIL import Image
from torch.nn.functional import interpolate

import captum_ssgc as ssgc
from captum_ssgc import demo, detectors

README = Path(__file__).resolve().parents[1] / "README.md"
# tests/test_package.py compares it with that of pyproject.toml
ADDRESS = re.findall(r"\((https://[^)]+)/blob/main/", README.read_text(encoding="utf-8"))[0]
MARKED = r"<!-- ([\w-]+) -->\n```\w+\n(.*?)```"
PYTHON = ("example", "torchvision", "ultralytics", "transformers", "text", "onnx", "own", "captum")


def block(name: str) -> str:
    blocks = dict(re.findall(MARKED, README.read_text(encoding="utf-8"), re.DOTALL))
    assert f"readme-{name}" in blocks, f"README.md has no readme-{name}"
    return blocks[f"readme-{name}"]


@pytest.fixture
def any_score(monkeypatch):
    """Random weights are sure of nothing: the two best detections of any score."""
    original, from_onnx = ssgc.wrap_detector, detectors.onnx_detector

    def wrap(model, *processor, **options):
        known = type(model).__module__.startswith("torchvision.")  # these have it in the model
        any_score = {} if known else {"score_threshold": 0.0}
        return original(model, *processor, **options, **any_score)

    monkeypatch.setattr(ssgc, "wrap_detector", wrap, raising=False)
    onnx_detector = partial(from_onnx, score_threshold=0.0)
    monkeypatch.setattr(detectors, "onnx_detector", onnx_detector, raising=False)

    def explain(model, image, **options):
        if not isinstance(model, ssgc.Detector):
            model = ssgc.wrap_detector(model)
        return ssgc.explanation.explain(
            model, image, **{**options, "score_threshold": 0.0, "top_k": 2}
        )

    monkeypatch.setattr(ssgc, "explain", explain, raising=False)


def run(name: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(block(name), names)
    return names


def assert_picture(path: Path) -> None:
    with Image.open(path) as picture:
        assert picture.width >= 1600
        assert np.asarray(picture.convert("L")).std() > 5


def test_every_block_is_run_by_a_test():
    text = README.read_text(encoding="utf-8")
    assert len(re.findall(MARKED, text, re.DOTALL)) == len(
        re.findall(r"```(?:python|console)", text)
    )
    known = {f"readme-{name}" for name in (*PYTHON, "demo", "test", "shell", "network")}
    assert {name for name, _ in re.findall(MARKED, text, re.DOTALL)} == known


def test_the_first_example(folder, no_download):
    found = run("example")["found"]
    assert no_download == ["DEFAULT"]
    assert len(found) == 3
    assert_picture(folder / "heat_maps.png")
    assert (folder / "heat_maps.html").is_file()


@pytest.mark.slow
def test_torchvision(folder, any_score):
    torch.manual_seed(0)
    build = torchvision.models.detection.retinanet_resnet50_fpn_v2
    model = build(weights_backbone=None, num_classes=3)
    torch.nn.init.zeros_(model.head.classification_head.cls_logits.bias)
    torch.save(model.state_dict(), "fine_tuned.pt")
    assert run("torchvision")["detector"].label_names == ("__background__", "cat", "dog")
    assert_picture(folder / "torchvision.png")


@pytest.fixture
def vendors_offline(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
    monkeypatch.setenv("YOLO_OFFLINE", "True")
    monkeypatch.setenv("YOLO_VERBOSE", "False")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_ultralytics(folder, vendors_offline, any_score, monkeypatch):
    with np.printoptions():
        import ultralytics
    torch.set_printoptions(profile="default")
    torch.manual_seed(0)
    model = ultralytics.YOLO("yolo11n.yaml")
    model.model.eval()
    monkeypatch.setattr(ultralytics, "YOLO", {"yolo11n.pt": model}.__getitem__)
    run("ultralytics")
    assert_picture(folder / "yolo.png")


def test_transformers(folder, vendors_offline, any_score, monkeypatch):
    import transformers
    from detectors.transformers_families import detr

    torch.manual_seed(0)
    model = detr("Detr")
    model.config.name_or_path = str(folder)
    transformers.DetrImageProcessor().save_pretrained(folder)
    monkeypatch.setattr(
        transformers.AutoModelForObjectDetection,
        "from_pretrained",
        {"facebook/detr-resnet-50": model}.__getitem__,
    )
    run("transformers")
    assert_picture(folder / "detr.png")


def test_text_prompts(folder, vendors_offline, any_score, monkeypatch):
    transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
    from detectors import prompts_families

    torch.manual_seed(0)
    processor, model = prompts_families.processor_and_model("grounding-dino")
    name = "IDEA-Research/grounding-dino-tiny"
    for loader, loaded in (
        (transformers.AutoModelForZeroShotObjectDetection, model.eval()),
        (transformers.AutoProcessor, processor),
    ):
        monkeypatch.setattr(loader, "from_pretrained", {name: loaded}.__getitem__)
    assert run("text")["detector"].label_names == ("a cat", "a remote")
    assert_picture(folder / "text.png")


def test_onnx(folder, any_score):
    from detectors.exported import Written, centres, pyramid, rows, save, scores

    def layout(maps):
        raw = rows(maps)
        return torch.cat([centres(raw), scores(raw)], -1).transpose(1, 2)

    save(folder / "model.onnx", Written(pyramid(), layout), ["output0"])
    assert run("onnx")["detector"].label_names == ("cat", "dog", "bird")
    assert_picture(folder / "onnx.png")


def test_your_own(folder, any_score):
    torch.manual_seed(0)
    assert run("own")["detector"].label_names == ("cat", "dog")
    assert_picture(folder / "own.png")


@pytest.mark.slow
def test_captum(folder, no_download):
    names = run("captum")
    assert names["attr"].shape == (1, 1, 320, 400)
    assert names["attr"].max() > 0


@pytest.mark.slow
def test_the_quoted_infidelity():
    """Black squares put the method before the box and the box before chance; noise cannot."""
    names = {"random": random, "torch": torch}
    exec(re.search(r"def black_square.*?return [^\n]*\n", block("captum"), re.DOTALL)[0], names)
    image = demo.scene(26).image[None]
    detector = ssgc.wrap_detector(demo.detector())
    detections = detector.detect(image)[0].above(0.5)
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)

    def noise(images):
        taken = 0.05 * torch.randn_like(images)
        return taken, images - taken

    def maps(k):
        method = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, k))
        x1, y1, x2, y2 = detections.boxes[k].round().int().tolist()
        box = torch.zeros(1, 1, 320, 400)
        box[..., y1:y2, x1:x2] = 1
        blocks = torch.rand(1, 1, 40, 50, generator=torch.Generator().manual_seed(k))
        return [
            method.attribute(image, target=k, interpolate_mode="bilinear"),
            box,
            interpolate(blocks, (320, 400), mode="nearest"),
        ]

    def measured(perturb):
        total = torch.zeros(3)
        for k in range(len(detections)):
            for place, heat in enumerate(maps(k)):
                random.seed(0)
                torch.manual_seed(0)
                options = {"n_perturb_samples": 60, "max_examples_per_batch": 1}
                total[place] += infidelity(
                    wrapper, perturb, image, heat.expand_as(image), None, None, k, **options,
                    normalize=True,
                ).item()  # fmt: skip
        return (total / len(detections)).tolist()

    text = README.read_text(encoding="utf-8")
    for row, perturb in (("black squares", names["black_square"]), ("Gaussian noise", noise)):
        quoted = re.search(rf"\| {row}[^|]*\| (\S+) \| (\S+) \| (\S+) \|", text).groups()
        values = measured(perturb)
        assert values == pytest.approx([float(one) for one in quoted], rel=0.1)
        told_apart = values[0] < 0.9 * values[1] and values[1] < 0.5 * values[2]
        assert told_apart is (row == "black squares")


@pytest.mark.parametrize("name", ["demo", "test"])
def test_a_command_is_one_line(name):
    assert len(block(name).splitlines()) == 1


@pytest.mark.slow
def test_the_commands_run(folder, capsys):
    from captum_ssgc.cli import main

    for line in block("shell").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "captum-ssgc"
        assert main(arguments) == 0, line
    assert (folder / "out" / "heat_maps.html").is_file()


def test_the_commands_that_need_more_are_understood():
    from captum_ssgc.cli import _parser

    for line in [*block("network").splitlines(), block("demo").split("&&")[-1].strip()]:
        program, *arguments = shlex.split(line)
        assert program.endswith("captum-ssgc")
        assert callable(_parser().parse_args(arguments).run)


def test_links_lead_somewhere():
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    ours = [link.split("/blob/main/")[1] for link in links if link.startswith(f"{ADDRESS}/blob/")]
    assert "docs/quickstart.rst" in ours
    assert all(link.startswith("https://") for link in links)  # for the package index
    assert [link for link in ours if not (README.parent / link).exists()] == []


def test_pictures_are_shown_on_the_package_index_too():
    """There, relative links lead nowhere."""
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8"))
    badges = [one for one in pictures if one.startswith("https://img.shields.io/badge/")]
    pictures = [one for one in pictures if one not in badges]
    assert pictures
    for picture in pictures:
        assert picture.startswith(f"{ADDRESS}/raw/main/")
        file = README.parent / picture.removeprefix(f"{ADDRESS}/raw/main/")
        assert file.stat().st_size < 400_000
        with Image.open(file) as shown:
            assert shown.mode == "RGB"
