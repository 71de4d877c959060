"""Polygons: against hand-computed values, upright boxes, and two other packages."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from captum_ssgc import Detections, ImageGeometry
from captum_ssgc._box_pixels import pixels_in_boxes
from captum_ssgc._polygons import (
    enclosing_boxes,
    pixels_in_polygons,
    polygon_iou,
    signed_areas,
)
from captum_ssgc._similarity import overlaps, similarities


def rectangles(count: int, seed: int, spread: float = 60.0) -> torch.Tensor:
    """Oriented rectangles ``(count, 4, 2)``, half of them clockwise."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    centre, sides = numbers[:, :2] * spread, 2 + numbers[:, 2:4] * 40
    angle = numbers[:, 4] * 2 * math.pi
    signs = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]).double() / 2
    corners = signs * sides[:, None]
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x = corners[..., 0] * cosine - corners[..., 1] * sine
    y = corners[..., 0] * sine + corners[..., 1] * cosine
    turned = torch.stack([x, y], -1) + centre[:, None]
    turned[::2] = turned[::2].flip(1)
    return turned


def quadrilaterals(count: int, seed: int) -> torch.Tensor:
    """Convex quadrilaterals: four points of an ellipse, by angle."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.rand(count, 8, generator=generator, dtype=torch.float64)
    angles = (numbers[:, :4] * 2 * math.pi).sort(1).values
    axes = 5 + 30 * numbers[:, 4:6, None]
    return torch.stack([angles.cos(), angles.sin()], -1) * axes.mT + 60 * numbers[:, None, 6:]


def upright(boxes: torch.Tensor) -> torch.Tensor:
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([x1, y1, x2, y1, x2, y2, x1, y2], 1).unflatten(1, (4, 2))


def test_a_square_and_the_same_one_turned():
    """Two unit squares about one centre, 45 degrees apart, share a regular octagon."""
    square = torch.tensor([[[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]]).double() / 2
    diagonal = math.sqrt(0.5)
    turned = torch.tensor([[[diagonal, 0], [0, diagonal], [-diagonal, 0], [0, -diagonal]]])
    octagon = 2 * (math.sqrt(2) - 1)
    expected = octagon / (2 - octagon)
    assert float(polygon_iou(square, turned.double())) == pytest.approx(expected, abs=1e-14)


def test_upright_boxes_have_the_iou_of_boxes():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(40, 2, generator=generator, dtype=torch.float64) * 50
    boxes = torch.cat([low, low + torch.rand(40, 2, generator=generator) * 30], 1)
    boxes[7] = boxes[3]
    boxes[8, 2:] = boxes[8, :2]  # no area
    boxes[9] = torch.cat([boxes[3, [2, 1]], boxes[3, [2, 3]] + torch.tensor([5.0, 0.0])])  # touches
    expected = box_iou(boxes, boxes).nan_to_num()
    torch.testing.assert_close(
        polygon_iou(upright(boxes), upright(boxes)), expected, atol=1e-12, rtol=0.0
    )


@pytest.mark.parametrize("make", [rectangles, quadrilaterals])
def test_shapely_computes_the_same(make):
    shapely = pytest.importorskip("shapely")
    one, other = make(60, 1), make(50, 2)
    other[:10] = one[:10]  # the same polygons
    other[10:20] = one[10:20].flip(1).roll(1, 1)  # from another corner, the other way
    ours = polygon_iou(one, other)
    first = shapely.polygons(one.numpy())[:, None]
    second = shapely.polygons(other.numpy())[None]
    expected = shapely.area(shapely.intersection(first, second)) / shapely.area(
        shapely.union(first, second)
    )
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)
    assert float((ours > 0).double().mean()) > 0.1


def test_opencv_computes_the_same():
    cv2 = pytest.importorskip("cv2")
    one, other = rectangles(30, 3), rectangles(30, 4)
    ours = polygon_iou(one, other)
    areas, their_areas = signed_areas(one).abs(), signed_areas(other).abs()
    for row in range(30):
        for column in range(30):
            shared, _ = cv2.intersectConvexConvex(
                one[row].float().numpy(), other[column].float().numpy()
            )
            union = float(areas[row] + their_areas[column]) - shared
            assert float(ours[row, column]) == pytest.approx(shared / union, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_the_origin_nothing_is_lost(dtype):
    one, other = rectangles(20, 5), rectangles(20, 6)
    moved = torch.tensor([4096.0, 8192.0], dtype=torch.float64)
    near, far = polygon_iou(one, other), polygon_iou(one + moved, (other + moved).to(dtype))
    assert far.dtype == dtype
    assert float((near - far).abs().max()) < (1e-3 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("count", [(0, 3), (3, 0)])
def test_none_overlap_with_none(count):
    assert polygon_iou(rectangles(count[0], 0), rectangles(count[1], 0)).shape == count


def test_the_pixels_of_an_upright_polygon_are_those_of_its_box():
    boxes = torch.tensor([[1.5, 0.5, 4.5, 2.0], [-3.0, -3.0, 2.0, 99.0], [2.2, 2.2, 2.4, 2.4]])
    expected = torch.zeros(3, 5, 7, dtype=torch.bool)
    expected[0, 0:2, 1:5] = True
    expected[1, :, 0:2] = True
    expected[2, 2, 2] = True  # whose centre lies outside, but no other is in the middle
    assert torch.equal(pixels_in_boxes(boxes, (5, 7)), expected)
    assert torch.equal(pixels_in_polygons(upright(boxes), (5, 7)), expected)
    assert torch.equal(pixels_in_polygons(upright(boxes).flip(1), (5, 7)), expected)


def test_a_box_beyond_the_image_has_no_pixel():
    boxes = torch.tensor([[-3.0, 1.0, -1.0, 2.0], [7.5, 1.0, 9.0, 2.0], [6.0, 1.0, 7.0, 2.0]])
    for pixels in (pixels_in_boxes(boxes, (5, 7)), pixels_in_polygons(upright(boxes), (5, 7))):
        assert pixels.flatten(1).sum(1).tolist() == [0, 0, 1]


def test_one_rule_for_pixels_and_for_cells():
    """Thin boxes, too: at least one row and one column."""
    boxes = torch.tensor([[0.2, 1.0, 0.4, 4.0], [1.0, 2.6, 5.0, 3.4], [2.0, 2.0, 2.0, 2.0]])
    cells = ImageGeometry.identity((5, 7)).boxes_to_grid(boxes, (5, 7))[:, 0]
    assert torch.equal(pixels_in_boxes(boxes, (5, 7)), cells)
    assert cells.flatten(1).sum(1).tolist() == [3, 4, 1]


def test_shapely_finds_the_same_pixels():
    shapely = pytest.importorskip("shapely")
    corners = torch.cat([rectangles(6, 7, 40.0), quadrilaterals(6, 8)])
    found = pixels_in_polygons(corners, (40, 50))
    y, x = np.mgrid[0:40, 0:50] + 0.5
    for polygon, pixels in zip(shapely.polygons(corners.numpy()), found.numpy(), strict=True):
        np.testing.assert_array_equal(shapely.intersects_xy(polygon, x, y), pixels)
    assert int(found.flatten(1).any(1).sum()) >= 10


def oriented(corners: torch.Tensor, seed: int, with_corners: bool = True) -> Detections:
    count = len(corners)
    scores = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    boxes = enclosing_boxes(corners).float()
    numbers = torch.zeros(count, dtype=torch.int64)
    found = Detections(boxes, numbers, scores[:, 0], numbers, boxes, numbers, scores, (99, 99))
    return replace(found, corners=corners.float() if with_corners else None)


def test_oriented_detections_are_as_alike_as_their_polygons_overlap():
    """What s2 and D-RISE ask: IoU times the cosine of the classes (Yamauchi 2024, eq. 11)."""
    one, other = oriented(rectangles(6, 9), 1), oriented(rectangles(5, 10), 2)
    iou = polygon_iou(one.corners, other.corners)
    cosine = torch.nn.functional.cosine_similarity(
        one.class_scores[:, None], other.class_scores[None], dim=-1
    )
    torch.testing.assert_close(overlaps(one, other), iou)
    torch.testing.assert_close(similarities(one, other), iou * cosine)
    assert float((iou > 0).float().mean()) > 0.2
    upright_ones = oriented(rectangles(5, 10), 2, with_corners=False)
    expected = box_iou(one.boxes, other.boxes)
    torch.testing.assert_close(overlaps(one, upright_ones), expected)
    assert not torch.allclose(expected, iou, atol=0.05)
