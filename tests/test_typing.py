"""What type checkers know of a user's script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import captum_ssgc

SCRIPT = """\
import torchvision

import captum_ssgc as ssgc
from captum_ssgc.visualization import overlay

model = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None).eval()
image = ssgc.load_image("photo.jpg")
detector = ssgc.wrap_detector(model)
detections = detector.detect(image)[0]
wrapper = ssgc.InstanceScoreWrapper(detector, detections)
layer = detector.layer_for(detections, 0)
cam = ssgc.SSGradCAMPlusPlus(wrapper, layer)
explanations = ssgc.explain(model, image, method="ssgrad-cam++")
first = explanations[0]
share = ssgc.metrics.energy_pointing_game(first.heat_map[None], boxes=first.box[None])
figure = overlay(image, first.heat_map, first.box)
"""
KNOWN = {
    "image": "Tensor",
    "detector": "Detector",
    "detections": "Detections",
    "detections.boxes": "Tensor",
    "wrapper(image)": "Tensor",
    "layer": "Module",
    "cam": "SSGradCAMPlusPlus",
    "explanations": "Explanations[Explanation]",
    "first.score": "float",
    "first.heat_map": "Tensor",
    "share": "MapScores",
    "figure": "Figure",
    "ssgc.demo.scene(3)": "Scene",
}
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_types_of_a_script_are_known(checker, tmp_path):
    pytest.importorskip(checker, reason="needs the extra [lint]")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "".join(f"reveal_type({expression})\n" for expression in KNOWN))
    package = Path(captum_ssgc.__file__).parents[1]
    arguments = {
        "mypy": ["--strict", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"],
        "pyright": ["--pythonpath", sys.executable],
    }[checker]
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{package.as_posix()}"]}}')
    result = subprocess.run(
        [sys.executable, "-m", checker, *arguments, script.name],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=900,
        env={**os.environ, "MYPYPATH": str(package)},
    )  # fmt: skip
    if checker == "pyright" and "information" not in result.stdout:  # it fetches its program
        pytest.skip(f"pyright did not run: {(result.stdout + result.stderr)[-300:]}")
    said = result.stdout.replace("builtins.", "")
    revealed = re.findall(r"(?:Revealed type is|Type of \".*?\" is) \"(.*?)\"", said)
    assert [re.sub(r"\w+\.", "", found) for found in revealed] == list(KNOWN.values())
    errors = [line for line in said.splitlines() if re.search(r"script\.py:.*\berror\b", line)]
    assert not [line for line in errors if "torchvision" not in line]  # it has no type information
