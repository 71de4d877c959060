"""Heads of ONNX files are gone back through on windows, and give what the plain way gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from detectors.exported import CLASSES, SIZE, STRIDES, Written, corners, save
from detectors.plain_maps import assert_maps_are_plain
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc.detector import OUTPUTS
from captum_ssgc.detectors import onnx_detector
from captum_ssgc.detectors.onnx import graph_of

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("grad-cam", {}),
    ("odam", {"smoothing": 1.0}),
    ("ssgrad-cam++", {}),
    ("ssgrad-cam++", {"signed_activations": "as_is", "mask": None}),
]
COLUMNS = 5 + CLASSES


class Branches(nn.Module):
    """Heads of several convolutions that part and join, ``A (5 + C)`` maps for each level."""

    def __init__(self, anchors: int = 1, norm: Callable[[], nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 4, 1)
        self.features = nn.ModuleList(nn.Conv2d(8, 8, 3, one // 4, 1) for one in STRIDES)
        self.stems = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in STRIDES)
        self.classes = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.Conv2d(8, 8, 1), norm(), nn.SiLU(),
                nn.Conv2d(8, 8, 3, padding=2, dilation=2), nn.Hardswish(),
                nn.Conv2d(8, anchors * CLASSES, 1),
            )
            for _ in STRIDES
        )  # fmt: skip
        self.boxes = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU(0.1)) for _ in STRIDES
        )
        self.sides = nn.ModuleList(nn.Conv2d(8, anchors * 4, 1) for _ in STRIDES)
        self.objects = nn.ModuleList(nn.Conv2d(8, anchors, 1) for _ in STRIDES)
        for parameter in self.parameters():
            parameter.data.mul_(1.5)

    def forward(self, images: Tensor) -> list[list[Tensor]]:
        """Of each level the boxes, objectness and classes."""
        stem, found = self.stem(images).relu(), []
        for level, feature in enumerate(self.features):
            features = nn.functional.silu(self.stems[level](feature(stem)))
            boxes = self.boxes[level](features) + 0.5 * features
            found.append(
                [
                    self.sides[level](boxes) * 0.1,
                    self.objects[level](boxes),
                    self.classes[level](features),
                ]
            )
        return found


def yolox(levels: list[list[Tensor]]) -> Tensor:
    joined = [torch.cat([box, one.sigmoid(), many.sigmoid()], 1) for box, one, many in levels]
    return torch.cat([one.flatten(2) for one in joined], 2).transpose(1, 2)


def maps(levels: list[list[Tensor]]) -> Any:
    return tuple(torch.cat(level, 1) for level in levels)


def rows(level: list[Tensor], anchors: int, last: bool) -> Tensor:
    """``(N, A h w, 5 + C)``, cell by cell or grid by grid."""
    order = (0, 3, 4, 1, 2) if last else (0, 1, 3, 4, 2)
    parts = [one.unflatten(1, (anchors, -1)).permute(order).flatten(1, 3) for one in level]
    return torch.cat(parts, -1)


def decoded(levels: list[list[Tensor]], last: bool) -> Tensor:
    """Centre and size, objectness and classes of two anchors."""
    found = []
    for stride, level in zip(STRIDES, levels, strict=True):
        y, x = torch.meshgrid(
            torch.arange(SIZE[0] // stride), torch.arange(SIZE[1] // stride), indexing="ij"
        )
        cells = torch.stack([x, y], -1).reshape(-1, 2).float()
        cells = cells.repeat_interleave(2, 0) if last else cells.repeat(2, 1)
        raw = rows(level, 2, last)
        centre = (raw[..., :2] + cells + 0.5) * stride
        found.append(torch.cat([centre, raw[..., 2:4].exp() * stride, raw[..., 4:].sigmoid()], -1))
    return torch.cat(found, 1)


def anchors_last(levels: list[list[Tensor]]) -> Any:
    table = decoded(levels, True)
    return corners(table[..., :4]), table[..., 4:5] * table[..., 5:]


def anchors_first(levels: list[list[Tensor]]) -> Any:
    table = decoded(levels, False)
    return corners(table[..., :4]), table[..., 4:5] * table[..., 5:]


def over_all_rows(levels: list[list[Tensor]]) -> Tensor:
    """Scores that fall with the mean of all others."""
    table = yolox(levels)
    seen = table[..., 4:5] * (1 - table[..., 4:5].mean(1, keepdim=True))
    return torch.cat([table[..., :4], seen, table[..., 5:]], -1)


def over_a_map(levels: list[list[Tensor]]) -> Tensor:
    """Scores of joined rows that fall and rise with the mean of a level's map."""
    table, mean = yolox(levels), levels[0][1].mean((1, 2, 3))
    seen = table[..., 4:5] * mean.sigmoid()[:, None, None]
    return torch.cat([table[..., :4], seen, table[..., 5:]], -1)


def over_the_strongest(levels: list[list[Tensor]]) -> Tensor:
    """Scores that are nearly the highest rise with that."""
    table = yolox(levels)
    best = (table[..., 4:5] * table[..., 5:]).amax(2, keepdim=True)
    most = best.amax(1, keepdim=True)
    seen = table[..., 4:5] * torch.where(best > 0.7 * most, (1 + most) / 2, 0.3)
    return torch.cat([table[..., :4], seen, table[..., 5:]], -1)


CASES: dict[str, tuple[int, Callable[..., Any], list[str]]] = {
    "yolox": (1, yolox, ["output"]),
    "maps": (1, maps, ["p3", "p4", "p5"]),
    "anchors-last": (2, anchors_last, ["boxes", "scores"]),
    "anchors-first": (2, anchors_first, ["boxes", "scores"]),
}


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))


def detector_of(folder: Any, network: nn.Module, layout: Callable[..., Any], names: list[str]):
    path = save(folder / "it.onnx", Written(network.eval(), layout).eval(), names)
    return onnx_detector(path, score_threshold=0.0, iou_threshold=0.95, max_detections=40)


def assert_as_the_plain_way(detector: Any, image: Tensor, output: str = "score") -> None:
    """For candidates of every level, two classes of each."""
    with torch.no_grad():
        found = detector.candidates_above(detector.run(image), 0.0)[0]
    kept: dict[int, dict[int, list[int]]] = {level: {} for level in range(3)}
    for row, (level, candidate) in enumerate(
        zip(found.levels.tolist(), found.candidates.tolist(), strict=True)
    ):
        kept[level].setdefault(candidate, []).append(row)
    found = found[
        [row for level in kept.values() for rows in list(level.values())[:4] for row in rows[:2]]
    ]
    assert len(found) == 24
    assert len(found.candidates.unique()) == 12
    assert_maps_are_plain(detector, image, found, REQUESTS, output)


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
@pytest.mark.parametrize("output", ["score", pytest.param("left", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CASES)
def test_a_local_head_gives_what_the_plain_way_gives(name, output, image, tmp_path):
    torch.manual_seed(2)
    anchors, layout, names = CASES[name]
    detector = detector_of(tmp_path, Branches(anchors), layout, names)
    assert detector.local_outputs() == OUTPUTS
    assert_as_the_plain_way(detector, image, output)
    assert detector.local_outputs() == OUTPUTS  # it was


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
def test_a_head_that_looks_at_the_whole_grid_is_not_local(image, tmp_path):
    torch.manual_seed(2)
    network = Branches(norm=lambda: nn.GroupNorm(2, 8))
    detector = detector_of(tmp_path, network, yolox, ["output"])
    assert detector.local_outputs() == ()
    assert_as_the_plain_way(detector, image)


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
def test_rows_that_see_one_another_are_found_out(image, tmp_path):
    torch.manual_seed(2)
    detector = detector_of(tmp_path, Branches(), over_all_rows, ["output"])
    assert detector.local_outputs() == OUTPUTS
    assert_as_the_plain_way(detector, image)
    assert detector.local_outputs() == ()


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
def test_rows_that_see_a_map_after_they_were_joined_are_not_local(image, tmp_path):
    torch.manual_seed(2)
    detector = detector_of(tmp_path, Branches(), over_a_map, ["output"])
    assert_as_the_plain_way(detector, image)
    assert detector.local_outputs() == ()


@pytest.mark.filterwarnings("ignore:.*all-zero map", "ignore:.*pyramid level")
def test_rows_that_see_only_rows_explained_with_them_are_found_out(image, tmp_path):
    torch.manual_seed(2)
    detector = detector_of(tmp_path, Branches(), over_the_strongest, ["output"])
    with torch.no_grad():
        found = detector.candidates_above(detector.run(image), 0.0)[0]
    order = found.scores.argsort(descending=True).tolist()
    first = order[0]
    second = next(row for row in order if found.candidates[row] != found.candidates[first])
    assert detector.local_outputs() == OUTPUTS
    assert_maps_are_plain(detector, image, found[[first, second]], REQUESTS)
    assert detector.local_outputs() == ()


def test_a_watched_head_is_gone_through(image, tmp_path):
    torch.manual_seed(2)
    detector = detector_of(tmp_path, Branches(), yolox, ["output"])
    graph = graph_of(detector.network)
    name = next(name for name, _ in graph.named_modules() if name.endswith("classes/0/0/Conv"))
    shapes: list[Any] = []
    handle = graph.get_submodule(name).register_forward_hook(
        lambda module, args, output: shapes.append(tuple(output.shape))
    )
    ssgc.explain(detector, image, "odam", score_threshold=0.0, top_k=3)
    assert shapes
    assert set(shapes) == {(1, 8, SIZE[0] // 8, SIZE[1] // 8)}
    handle.remove()
    assert detector.local_outputs() == OUTPUTS
