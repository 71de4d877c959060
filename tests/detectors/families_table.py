"""The table of families in the documentation: each cell is what the test of that name says.

``python tests/benchmarks/write_families.py`` writes it, and a slow test compares.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from detectors import conftest, test_families, test_two_stage
from detectors.family import Family, scene
from detectors.test_families_layers import (
    test_the_recommended_layers_have_a_gradient_for_every_detection as gradient_test,
)
from torch import Tensor

import captum_ssgc as ssgc

PAGE = Path(__file__).parents[2] / "docs" / "families_table.rst"
PACKAGES = {"two-stage": "torchvision", "prompts": "transformers"}
TWO_STAGE = [
    "faster-rcnn-mobilenet-fpn",
    "faster-rcnn-resnet18-fpn",
    "mask-rcnn-resnet18-fpn",
    "keypoint-rcnn-resnet18-fpn",
]
FAMILIES = [
    *(("two-stage", name) for name in TWO_STAGE),
    *(
        (vendor, name)
        for vendor in conftest.VENDORS
        for name in [*conftest.VENDORS[vendor], *conftest.SLOW.get(vendor, [])]
    ),
]
CHECKS: dict[str, Callable[[Any, Tensor], None]] = {
    "Detections": test_families.test_detections_are_the_vendors_own,
    "Gradient": gradient_test,
    "Logit": test_families.test_logits_of_all_classes_give_the_scores,
    "Edges": test_families.test_edges_are_the_boxes_before_clipping,
    "Batch": test_families.test_images_of_a_batch_do_not_meet,
    "Pinned": test_families.test_a_full_run_serves_the_candidates_of_another_image,
}
PASSED = {"Detections": "exact", "Gradient": "all"}
HEAD = ["Family", "Version", *CHECKS, "Beside boxes", "Default layer"]


def built(vendor: str, name: str) -> Family:
    """A family by its vendor and name, as the fixture of the tests builds it."""
    if vendor == "two-stage":
        return two_stage(name)
    family: Family = importlib.import_module(f"detectors.{vendor}_families").build(name)
    return family


def two_stage(name: str) -> Family:
    """A family of :mod:`test_two_stage` with its vendor's own calls."""
    build, levels, scale = test_two_stage.FAMILY[name]
    torch.manual_seed(2)
    model = build().eval()
    model.roi_heads.box_roi_pool.canonical_scale = scale
    test_two_stage.perturb(model, scene(3))

    def on_canvas(batch: Tensor) -> list[dict[str, Tensor]]:
        with torch.no_grad():
            found = model(list(batch))
        return [
            {**one, "masks": one["masks"][:, 0]} if "masks" in one else dict(one) for one in found
        ]

    if len(set(model.roi_heads.box_roi_pool.scales or [1])) == 1:
        levels = 1  # of one stride: all regions go to the first
    shapes = ("masks",) if model.roi_heads.mask_predictor is not None else ()
    detector = ssgc.wrap_detector(model)
    return Family(detector, on_canvas, "softmax", levels or 1, shapes=shapes)


def row_of(vendor: str, name: str, family: Family) -> list[str]:
    """The cells of one family, by :data:`HEAD`."""
    picture = scene(3)
    cells = {check: _said(check, test, family, picture) for check, test in CHECKS.items()}
    detector = family.detector
    layers = detector.level_layers() or list(detector.target_layers().values())[:1]
    names = list(dict.fromkeys(detector.layer_name(layer) for layer in layers))
    shown = ", ".join(names if len(names) < 3 else [names[0], "…", names[-1]])
    if len(names) > 1:
        shown = f"own level of {len(layers)}: {shown}"
    package = PACKAGES.get(vendor, vendor)
    return [
        name,
        f"{package} {version(package)}",
        *cells.values(),
        ", ".join(family.shapes) or "–",
        f"``{shown}``",
    ]


def _said(check: str, test: Callable[[Any, Tensor], None], family: Family, picture: Tensor) -> str:
    try:
        test(family, picture)
    except pytest.skip.Exception:
        return "–"
    except AssertionError:
        return "no"
    return PASSED.get(check, "yes")


def page_of(rows: list[list[str]]) -> str:
    """The table as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [HEAD, *rows]:
        lines += [f"   {' ' if place else '*'} - {cell}" for place, cell in enumerate(row)]
    return "\n".join([*lines, ""])


def rows_of(page: str) -> dict[str, list[str]]:
    """The other way: the cells of each family, without the header."""
    rows: list[list[str]] = []
    for line in page.splitlines():
        if line.startswith("   * - "):
            rows.append([])
        if line.startswith(("   * - ", "     - ")):
            rows[-1].append(line[7:])
    return {row[0]: row for row in rows[1:]}
