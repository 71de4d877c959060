from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from captum_ssgc import CellGrid, ImageGeometry
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


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_what_was_cut_off_the_image_has_no_value(scale, mode):
    """A centre crop: the network has not seen it."""
    canvas = (round(40 * scale), round(30 * scale))
    geometry = ImageGeometry((50, 60), canvas, (scale, scale), (-4 * scale, -10 * scale))
    found = geometry.grid_to_image(torch.ones(1, 1, 4, 3), mode)[0, 0]
    expected = torch.zeros(50, 60)
    expected[4:44, 10:40] = 1.0
    around = F.max_pool2d(expected[None], 3, 1, 1)[0]  # a pixel at an edge may be half on it
    assert torch.all((found - expected).abs() <= (around - expected) + 1e-6)


def test_without_resize_it_is_plain_interpolation():
    maps = torch.rand(2, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(maps, (56, 40), mode="bilinear", align_corners=False)
    found = ImageGeometry.identity((56, 40)).grid_to_image(maps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


ODD_GRID = CellGrid((5, 7), (13.0, 17.5), (-2.25, 6.5))
ODD_GEOMETRY = ImageGeometry((61, 83), (80, 128), (1.25, 1.375), (3, 0))


def sampled(geometry, cells, maps, mode):
    """PyTorch's own sampling in double precision."""
    axes = []
    for axis in (0, 1):
        pixels = torch.arange(geometry.image_size[axis]).double() + 0.5
        places = pixels * geometry.scale[axis] + geometry.offset[axis]
        index = (places - cells.origin[axis]) / cells.stride[axis] + 0.5
        axes.append(2 * index / cells.size[axis] - 1)
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1).expand(len(maps), -1, -1, -1)
    options = {"padding_mode": "border", "align_corners": False}
    return F.grid_sample(maps.double(), grid, mode, **options)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("geometry", "cells"),
    [
        (ODD_GEOMETRY, ODD_GRID),
        (ODD_GEOMETRY, CellGrid((1, 6), (90.0, 20.0), (40.0, 0.5))),
        (ImageGeometry((40, 30), (640, 480), (16.0, 16.0)), CellGrid((80, 60), (8, 8), (0.5, 0.5))),
    ],
    ids=["odd", "one-row", "finer-than-the-image"],
)
def test_maps_are_sampled_where_the_cells_lie(geometry, cells, mode):
    maps = torch.randn(2, 3, *cells.size, generator=torch.Generator().manual_seed(0))
    found = geometry.grid_to_image(maps, mode, cells)
    expected = sampled(geometry, cells, maps, mode)
    torch.testing.assert_close(found.double(), expected, atol=2e-6, rtol=0)
    expected = geometry.grid_to_image(maps.double(), mode, cells)
    torch.testing.assert_close(sampled(geometry, cells, maps, mode), expected, atol=1e-12, rtol=0)


def test_a_cell_peaks_at_its_centre():
    geometry = ImageGeometry((64, 96), (64, 96))
    maps = torch.zeros(1, 1, 8, 12)
    maps[..., 3, 5] = 1.0
    heat_map = geometry.grid_to_image(maps, cells=CellGrid((8, 12), (8.0, 8.0), (0.5, 2.5)))[0, 0]
    assert divmod(int(heat_map.argmax()), 96) == (24, 42)
    assert heat_map[24, 42] == 1.0


def test_sampling_does_not_depend_on_settings_of_the_caller():
    maps = torch.rand(2, 1, *ODD_GRID.size)
    expected = ODD_GEOMETRY.grid_to_image(maps, cells=ODD_GRID)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        cells = CellGrid(ODD_GRID.size, ODD_GRID.stride, (-2.25, 6.75))
        with torch.autocast("cpu", torch.bfloat16):
            found = ODD_GEOMETRY.grid_to_image(maps, cells=ODD_GRID)
            moved = ODD_GEOMETRY.grid_to_image(maps, cells=cells)
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision(precision)
    assert torch.equal(found, expected)
    assert torch.equal(moved, ODD_GEOMETRY.grid_to_image(maps, cells=cells))


def test_sampling_first_met_in_inference_mode_serves_gradients_later():
    cells = CellGrid((3, 4), (20.0, 21.0), (1.5, 1.5))
    maps = torch.rand(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():  # in this precision: each has what is remembered for itself
        ODD_GEOMETRY.grid_to_image(maps, "bicubic", cells)
    assert torch.autograd.gradcheck(
        lambda one: ODD_GEOMETRY.grid_to_image(one, "bicubic", cells).sum((-2, -1)), maps
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_sampled_in_single_precision(dtype):
    maps = torch.rand(1, 1, *ODD_GRID.size).to(dtype)
    found = ODD_GEOMETRY.grid_to_image(maps, cells=ODD_GRID)
    assert found.dtype == dtype
    assert torch.equal(found, ODD_GEOMETRY.grid_to_image(maps.float(), cells=ODD_GRID).to(dtype))


def test_no_maps_give_none():
    assert ODD_GEOMETRY.grid_to_image(torch.rand(0, 1, 5, 7)).shape == (0, 1, 61, 83)


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


def test_boxes_and_masks_follow_the_cells():
    geometry = ImageGeometry.identity((32, 32))
    cells = CellGrid((4, 4), (8.0, 8.0), (0.5, 0.5))
    box = torch.tensor([[8.0, 0.0, 17.0, 8.0]])  # centres at 0.5, 8.5, 16.5 and 24.5
    inside = geometry.boxes_to_grid(box, cells)[0, 0]
    assert inside.nonzero().tolist() == [[0, 1], [0, 2]]
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 0:5, 5:21] = 1  # rows of cell 0 are 0 to 4.5; columns of cell 1 are 4.5 to 12.5
    assert geometry.mask_to_grid(mask, cells)[0, 0].nonzero().tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("origin", [(4.0, 4.0), (0.5, 0.5), (8.0, -3.0), (40.0, -60.0)])
def test_a_mask_of_everything_marks_all_cells_that_see_the_canvas(origin):
    geometry = ImageGeometry.identity((30, 29))
    cells = CellGrid((3, 4), (8.0, 8.0), origin)
    mask = geometry.mask_to_grid(torch.ones(1, 1, 30, 29), cells)[0, 0]
    seen = [
        [first + (i + 0.5) * 8 > 0 or i == count - 1 for i in range(count)]
        if first <= 0
        else [first + (i - 0.5) * 8 < side or i == 0 for i in range(count)]
        for first, count, side in zip(origin, cells.size, geometry.canvas_size, strict=True)
    ]
    expected = torch.tensor(seen[0])[:, None] & torch.tensor(seen[1])
    assert torch.equal(mask, expected)


def test_a_mask_beyond_a_grid_that_was_rounded_down_marks_the_outermost_cell():
    geometry = ImageGeometry.identity((64, 95))
    mask = torch.zeros(1, 1, 64, 95)
    mask[..., 40:60, 66:94] = 1
    cells = CellGrid((2, 2), (32.0, 32.0), (16.0, 16.0))  # they end at 64
    assert geometry.mask_to_grid(mask, cells)[0, 0].nonzero().tolist() == [[1, 1]]
    assert geometry.boxes_to_grid(torch.tensor([[66.0, 40.0, 94.0, 60.0]]), cells)[0, 0, 1, 1]


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
        (lambda g: CellGrid((2, 0), (8.0, 8.0), (4.0, 4.0)), "must be positive"),
        (lambda g: CellGrid((2, 2), (8.0, -8.0), (4.0, 4.0)), "must be positive"),
        (
            lambda g: g.grid_to_image(torch.rand(1, 1, 3, 3), cells=g.cells((2, 2))),
            r"expected those of a grid \(3, 3\), got \(2, 2\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(ImageGeometry.identity((8, 8)))
