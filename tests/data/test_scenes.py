from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch
from torch import Tensor

from captum_ssgc.data import CLASS_NAMES, Scene, SceneDataset, draw_scene, scene_layout
from captum_ssgc.data.scene_canvas import Canvas
from captum_ssgc.data.scene_parts import Part
from captum_ssgc.data.scene_shapes import IntArray

SEEDS = range(40)


class RecordingCanvas(Canvas):
    """Keeps what was laid down, to compare it with what a scene reports."""

    last: RecordingCanvas

    def __init__(self, ground: IntArray) -> None:
        super().__init__(ground)
        self.body_sides: dict[int, tuple[int, int]] = {}
        self.emblem_pixels: dict[int, int] = {}
        self.stray_emblems = 0
        RecordingCanvas.last = self

    def lay_body(self, body: Part, top: int, left: int, label: int) -> int:
        number = super().lay_body(body, top, left, label)
        self.body_sides[number] = body.cover.shape
        return number

    def lay_emblem(self, emblem: Part, top: int, left: int, number: int) -> None:
        super().lay_emblem(emblem, top, left, number)
        if number < 0:
            self.stray_emblems += 1
        else:
            self.emblem_pixels[number] = int(emblem.mask.sum())

    def objects(self) -> list[int]:
        return [placed.number for placed in self.placed if placed.label]


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Scene, RecordingCanvas]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_layout, "Canvas", RecordingCanvas)
        return [(draw_scene(seed), RecordingCanvas.last) for seed in SEEDS]


def fingerprint(scene: Scene) -> str:
    digest = hashlib.sha256()
    for tensor in (
        (scene.image * 255).round().to(torch.uint8),
        scene.boxes.to(torch.int32),
        scene.labels.to(torch.uint8),
        scene.masks,
        scene.emblem_masks,
    ):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("seed", "size", "expected"),
    [
        (0, (320, 400), "02cb08d0cecc615c13cda1fe98eaf0d56287e5391e3fa34ecf6fc212c689d8c3"),
        (1, (320, 400), "1b710be5ed6e8af07d0c83785b50b40dadd6d404bea455d5ba08f4cff8396ce4"),
        (2**63 - 1, (320, 400), "55a2b0123d721f891e9aa0e74bf78e58ef8e5872c1a5adccef6e9891c2479b06"),
        (5, (123, 77), "844db346458c35b9fd9bfdfaf801865d648a55ae90f45e6d87df3bb04fff8b6c"),
    ],
    ids=["first", "second", "largest-seed", "odd-size"],
)
def test_a_seed_gives_the_same_bytes_everywhere(
    seed: int, size: tuple[int, int], expected: str
) -> None:
    assert fingerprint(draw_scene(seed, size)) == expected


def test_image_is_whole_bytes_in_zero_to_one() -> None:
    image = draw_scene(3).image
    assert image.dtype == torch.float32
    assert image.shape == (3, 320, 400)
    assert torch.equal((image * 255).round() / 255, image)
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.05


def test_one_to_six_objects(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    counts = {len(scene.labels) for scene, _ in drawn}
    assert counts == {1, 2, 3, 4, 5, 6}


def test_every_class_occurs(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    labels = torch.cat([scene.labels for scene, _ in drawn])
    assert labels.dtype == torch.int64
    assert set(labels.tolist()) == set(range(1, len(CLASS_NAMES)))


def test_body_sides_span_the_promised_range(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    sides = [side for _, canvas in drawn for pair in canvas.body_sides.values() for side in pair]
    assert min(sides) in range(24, 30)
    assert max(sides) in range(240, 301)


def test_boxes_are_the_extent_of_the_masks(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    for scene, _ in drawn:
        assert scene.boxes.dtype == torch.float32
        for box, mask in zip(scene.boxes, scene.masks):
            rows, columns = torch.where(mask)
            extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == [float(edge) for edge in extent]


def test_masks_are_disjoint_and_hold_their_emblem(
    drawn: list[tuple[Scene, RecordingCanvas]],
) -> None:
    for scene, _ in drawn:
        assert scene.masks.sum(dim=0).max() == 1
        assert not (scene.emblem_masks & ~scene.masks).any()


def test_bodies_and_emblems_stay_visible(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    shares = []
    for scene, canvas in drawn:
        for index, number in enumerate(canvas.objects()):
            body = canvas.placed[number - 1]
            shares.append(int(scene.masks[index].sum()) / body.total)
            visible = int(scene.emblem_masks[index].sum()) / canvas.emblem_pixels[number]
            assert visible >= 0.9
    assert min(shares) >= 0.55
    assert min(shares) < 0.95, "no scene with a real overlap among the seeds"


def test_emblems_measure_ten_pixels_or_more(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    for scene, _ in drawn:
        for emblem in scene.emblem_masks:
            rows, columns = torch.where(emblem)
            assert min(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1 >= 10


def test_both_kinds_of_decoy_occur(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    bare_bodies = sum(sum(placed.label == 0 for placed in canvas.placed) for _, canvas in drawn)
    stray_emblems = sum(canvas.stray_emblems for _, canvas in drawn)
    assert bare_bodies >= 10
    assert stray_emblems >= 10


def nearest_mean_accuracy(features: Tensor, labels: Tensor) -> float:
    known, unknown = slice(0, None, 2), slice(1, None, 2)
    classes = labels.unique()
    means = torch.stack([features[known][labels[known] == c].mean(dim=0) for c in classes])
    guesses = classes[torch.cdist(features[unknown], means).argmin(dim=1)]
    return float((guesses == labels[unknown]).float().mean())


def test_only_the_emblem_tells_the_class(drawn: list[tuple[Scene, RecordingCanvas]]) -> None:
    more = [draw_scene(seed) for seed in range(100, 140)]
    bodies, emblems, labels = [], [], []
    for scene in [scene for scene, _ in drawn] + more:
        for mask, emblem, label in zip(scene.masks, scene.emblem_masks, scene.labels):
            height, width = (mask.any(dim=axis).sum() for axis in (1, 0))
            body = scene.image[:, mask & ~emblem]
            sizes = torch.tensor([height / 300, width / 300])
            bodies.append(torch.cat([body.mean(dim=1), body.std(dim=1), sizes]))
            emblems.append(scene.image[:, emblem].mean(dim=1))
            labels.append(label)
    classes = torch.stack(labels)
    chance = 1 / (len(CLASS_NAMES) - 1)
    deviation = (chance * (1 - chance) / (len(classes) // 2)) ** 0.5
    assert nearest_mean_accuracy(torch.stack(bodies), classes) < chance + 3 * deviation
    assert nearest_mean_accuracy(torch.stack(emblems), classes) > 0.6


@pytest.mark.parametrize("size", [(64, 64), (96, 200), (600, 800)], ids=str)
def test_other_sizes(size: tuple[int, int]) -> None:
    scene = draw_scene(2, size)
    assert scene.image.shape == (3, *size)
    assert scene.masks.shape == scene.emblem_masks.shape == (len(scene.labels), *size)
    assert len(scene.labels) >= 1


def test_seeds_differ() -> None:
    assert not torch.equal(draw_scene(0).image, draw_scene(1).image)


def test_scene_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        draw_scene(0, (64, 64)).seed = 1  # type: ignore[misc]


def test_dataset_draws_consecutive_seeds() -> None:
    dataset = SceneDataset(10, 3, (64, 64))
    assert len(dataset) == 3
    assert [scene.seed for scene in dataset] == [10, 11, 12]
    assert torch.equal(dataset[2].image, draw_scene(12, (64, 64)).image)
    with pytest.raises(IndexError, match="index from 0 to 2, got 3"):
        dataset[3]


@pytest.mark.parametrize(
    ("seed", "size", "error", "message"),
    [
        (1.5, (320, 400), TypeError, "int as seed, got float; convert"),
        (True, (320, 400), TypeError, "int as seed, got bool; convert"),
        (-1, (320, 400), ValueError, "seed from 0 to .*, got -1; choose"),
        (2**63, (320, 400), ValueError, "seed from 0 to .*; choose"),
        (0, (63, 400), ValueError, "at least 64 x 64 pixels, got 63 x 400; draw larger"),
        (0, (3, 320, 400), ValueError, r"size of \(height, width\), got .*; pass two"),
        (0, (320.0, 400), TypeError, "int as height, got float; convert"),
    ],
)
def test_bad_arguments_are_named(
    seed: int, size: tuple[int, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        draw_scene(seed, size)


def test_negative_count_is_named() -> None:
    with pytest.raises(ValueError, match="count of at least 0, got -1; pass"):
        SceneDataset(0, -1)
