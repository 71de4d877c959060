"""What is said of maps in boxes and masks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.cli.folders import ResultFolders
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.results import ImageResult, energy_in_boxes, energy_in_masks, write_result

HEAT = torch.zeros(40, 60)
HEAT[10:20, 10:20] = 1.0
ONE = ssgc.Explanation(0, "ship", 0, 0.9, torch.tensor([10.0, 10.0, 30.0, 30.0]), HEAT, "odam", "")
HALF = torch.zeros(40, 60)
HALF[10:20, 10:15] = 0.7
DIAMOND = torch.tensor([[20.0, 10.0], [30.0, 20.0], [20.0, 30.0], [10.0, 20.0]])


def test_shares_of_masks_where_all_have_one():
    shaped = replace(ONE, mask=HALF)
    empty = replace(shaped, heat_map=torch.zeros(40, 60))
    assert energy_in_masks([shaped, empty]) == {"mask": [pytest.approx(0.5), None]}
    assert energy_in_masks([shaped, ONE]) == {}
    assert energy_in_boxes([ONE, replace(ONE, corners=DIAMOND)]) == pytest.approx([1.0, 0.55])


def test_corners_are_recorded(tmp_path):
    choice = ModelChoice(name="demo")
    found = [replace(ONE, corners=DIAMOND, mask=HALF)]
    result = ImageResult("a.png", "a.png", torch.rand(1, 1, 40, 60), found, choice, "score")
    with ResultFolders(tmp_path).results_of("a", "a.png") as folder:
        write_result(result, folder)
    text = next(tmp_path.rglob("*.json")).read_text(encoding="utf-8")
    assert '"corners"' in text
