"""The README's example runs as written, and its commands are the ones that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torchvision
from PIL import Image

README = Path(__file__).resolve().parents[1] / "README.md"


def block(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"README.md has no {marker}"
    return found.group(1)


def test_the_example_runs_as_written(tmp_path, monkeypatch, capsys):
    """With the detector in the box in the place of one that would be downloaded."""
    from captum_ssgc import demo

    scene = demo.scene(26)
    pixels = (scene.image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", quality=95)
    asked = []

    def model(weights):
        asked.append(weights)
        return demo.detector()

    monkeypatch.setattr(torchvision.models.detection, "fasterrcnn_resnet50_fpn", model)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(block("readme-example"), names)
    assert asked == ["DEFAULT"]
    assert names["attr"].shape == (1, 1, 320, 400)
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("marker", ["readme-demo", "readme-test"])
def test_a_command_is_one_line(marker):
    assert len(block(marker).splitlines()) == 1


def test_the_commands_exist():
    from captum_ssgc.cli import main

    named = set(re.findall(r"captum-ssgc (\w+)", README.read_text()))
    assert named
    for command in named:
        assert main([command, "--help"]) == 0


def test_pictures_are_shown_on_the_package_index_too():
    """There, relative links lead nowhere."""
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README.read_text())
    assert pictures
    for picture in pictures:
        found = re.fullmatch(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/main/(.+)", picture)
        assert found, picture
        assert (README.parent / found.group(1)).is_file()
