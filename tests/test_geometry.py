from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from captum_ssgc import ImageGeometry
from captum_ssgc.detectors import Letterbox


def torchvision_canvas(image):
    transform = GeneralizedRCNNTransform(160, 200, [0.0] * 3, [1.0] * 3).eval()
    canvas, _ = transform([image[0]])
    height, width = canvas.image_sizes[0]
    size = image.shape[-2:]
    scale = (height / size[0], width / size[1])
    return canvas.tensors, ImageGeometry(tuple(size), tuple(canvas.tensors.shape[-2:]), scale)


CANVASES = {
    "torchvision": torchvision_canvas,
    "letterbox-top-left": Letterbox((192, 160)),
    "letterbox-centred": Letterbox((160, 224), centred=True),
}


@pytest.mark.parametrize("name", CANVASES)
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("pixel", [(20, 30), (40, 100), (70, 3), (71, 118), (36, 61)])
def test_a_bright_pixel_comes_back_to_its_place(name, stride, pixel):
    image = torch.zeros(1, 3, 73, 121)
    row, column = pixel
    image[..., max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 1.0
    canvas, geometry = CANVASES[name](image)
    background, _ = CANVASES[name](torch.zeros_like(image))
    assert canvas.shape[-2:] == geometry.canvas_size
    grid = F.avg_pool2d((canvas - background).abs().mean(1, keepdim=True), stride)
    heat_map = geometry.grid_to_image(grid)[0, 0]
    brightest = (heat_map == heat_map.max()).nonzero().double().mean(0).tolist()
    assert abs(brightest[0] - row) <= stride / geometry.scale[0] / 2 + 1
    assert abs(brightest[1] - column) <= stride / geometry.scale[1] / 2 + 1


def test_padding_on_both_axes_is_left_out():
    geometry = ImageGeometry((50, 60), (96, 96), (1.0, 1.0), (20, 10))
    canvas = torch.zeros(1, 1, 96, 96)
    canvas[..., 20:70, 10:70] = 1.0
    assert torch.equal(geometry.grid_to_image(canvas, "nearest"), torch.ones(1, 1, 50, 60))


def test_without_resize_it_is_plain_interpolation():
    maps = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps, (56, 40), mode="bilinear", align_corners=False)
    found = ImageGeometry.identity((56, 40)).grid_to_image(maps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("canvas", "cells", "stride"),
    [
        (448, 14, 32.0),
        (1066, 34, 32.0),
        (1066, 134, 8.0),
        (200, 7, 32.0),
        (96, 96, 1.0),
        (98, 7, 14.0),
        (250, 15, 16.0),
    ],
)
def test_stride_of_a_grid_that_was_rounded(canvas, cells, stride):
    geometry = ImageGeometry((100, 100), (canvas, 64))
    assert geometry.strides((cells, 2)) == (stride, 32.0)


def test_a_grid_that_divides_the_canvas_by_chance():
    assert ImageGeometry.identity((240, 320)).strides((8, 10)) == (30.0, 32.0)
    unpadded = ImageGeometry((240, 320), (240, 320), binary_strides=True)
    assert unpadded.strides((8, 10)) == (32.0, 32.0)


def test_boxes_go_to_the_canvas_and_back():
    geometry = ImageGeometry((300, 410), (416, 416), (0.75, 0.75), (30, 7))
    boxes = torch.tensor([[10.0, 20.0, 110.0, 220.0], [0.0, 0.0, 410.0, 300.0]])
    on_canvas = geometry.boxes_to_canvas(boxes)
    assert on_canvas[0].tolist() == [14.5, 45.0, 89.5, 195.0]
    torch.testing.assert_close(geometry.boxes_to_image(on_canvas), boxes)


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ([4.0, 4.0, 12.0, 12.0], [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ([4.1, 4.1, 12.0, 12.0], [(1, 1)]),
        ([9.0, 17.0, 10.0, 18.0], [(2, 1)]),
        ([-30.0, -30.0, -20.0, -20.0], [(0, 0)]),
        ([90.0, 9.0, 99.0, 10.0], [(1, 3)]),
    ],
    ids=["four-centres", "one-centre", "smaller-than-a-cell", "outside-top-left", "outside-right"],
)
def test_boxes_mark_cells_whose_centre_is_inside(box, cells):
    geometry = ImageGeometry.identity((24, 32))
    mask = geometry.boxes_to_grid(torch.tensor([box]), (3, 4))
    assert [tuple(cell) for cell in mask[0, 0].nonzero().tolist()] == cells


def test_masks_mark_cells_covered_by_half():
    mask = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    mask[0, 0, 0:8, 0:4] = True  # half of one cell
    mask[0, 0, 0:8, 8:11] = True  # three eighths of another
    mask[1, 0, 15, 15] = True  # one pixel
    grid = ImageGeometry.identity((16, 16)).mask_to_grid(mask, (2, 2))
    assert grid.tolist() == [[[[True, False], [False, False]]], [[[False, False], [False, True]]]]


def test_an_empty_mask_stays_empty():
    grid = ImageGeometry.identity((16, 16)).mask_to_grid(torch.zeros(1, 1, 16, 16), (2, 2))
    assert not grid.any()


def test_masks_follow_resize_and_padding():
    geometry = ImageGeometry((32, 32), (96, 96), (2.0, 2.0), (16, 32))
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:16, 0:8] = 1  # canvas rows 32..48, columns 32..48
    expected = torch.zeros(1, 1, 6, 6, dtype=torch.bool)
    expected[..., 2, 2] = True
    assert torch.equal(geometry.mask_to_grid(mask, (6, 6)), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: g.grid_to_image(torch.rand(3, 3)), r"expected \(N, C, h, w\)"),
        (lambda g: g.grid_to_image(torch.rand(1, 1, 3, 3), "cubic"), "got 'cubic'"),
        (lambda g: g.mask_to_grid(torch.ones(1, 1, 4, 4), (2, 2)), r"expected \(N, C, 8, 8\)"),
        (lambda g: ImageGeometry((0, 8), (8, 8)), "must be positive"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(ImageGeometry.identity((8, 8)))
