from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ssgc.data import CocoDataset

HEIGHT, WIDTH = 6, 8


def annotation(**changes):
    return {"id": 1, "image_id": 5, "category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 0} | changes


@pytest.fixture
def write(tmp_path):
    """Writes a data set of one image and gives it back as read."""
    Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 51)).save(tmp_path / "a.png")

    def written(annotations, **changes):
        content = {
            "images": [{"id": 5, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
            "annotations": annotations,
            "categories": [{"id": 7, "name": "dog"}, {"id": 2, "name": "cat"}],
        }
        file = tmp_path / "instances.json"
        file.write_text(json.dumps(content | changes))
        return CocoDataset(file)

    return written


def test_boxes_are_corners_in_the_order_of_the_file(write):
    data = write([annotation(), annotation(category_id=7, bbox=[0, 0.5, 8, 5.5], iscrowd=1)])
    image = data[0]
    assert data.categories == {2: "cat", 7: "dog"}
    assert list(data.categories) == [2, 7]
    assert image.boxes.tolist() == [[1, 2, 4, 6], [0, 0.5, 8, 6]]
    assert image.category_ids.tolist() == [2, 7]
    assert image.crowd.tolist() == [False, True]
    assert image.size == (HEIGHT, WIDTH)
    assert not image.has_mask(0)
    assert image.mask(0, (HEIGHT, WIDTH)) is None


def test_pixels_are_rgb_in_0_to_1(write):
    pixels = write([])[0].load()
    assert pixels.shape == (1, 3, HEIGHT, WIDTH)
    assert torch.allclose(pixels[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.2]))


def test_an_image_without_annotations_has_none(write):
    image = write([])[0]
    assert image.boxes.shape == (0, 4)
    assert image.category_ids.dtype == torch.int64
    assert image.crowd.dtype == torch.bool


def block(top, bottom, left, right):
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def test_polygons_are_filled_and_joined(write):
    polygons = [[1, 1, 4, 1, 4, 3, 1, 3], [6, 4, 8, 4, 8, 6, 6, 6]]
    mask = write([annotation(segmentation=polygons)])[0].mask(0, (HEIGHT, WIDTH))
    assert torch.equal(mask, block(1, 3, 1, 4) | block(4, 6, 6, 8))


def test_points_and_lines_beside_polygons_are_left_out(write):
    polygons = [[1, 1, 4, 1, 4, 3, 1, 3], [0, 0, 8, 6]]  # four numbers are a box to pycocotools
    mask = write([annotation(segmentation=polygons)])[0].mask(0, (HEIGHT, WIDTH))
    assert torch.equal(mask, block(1, 3, 1, 4))


@pytest.mark.parametrize("compressed", [False, True], ids=["run lengths", "compressed"])
def test_run_length_codes(write, compressed):
    # Column by column: 1 + 6 zeros, then rows 1 to 3 of two columns.
    counts = [7, 3, 3, 3, 32]
    code = {"size": [HEIGHT, WIDTH], "counts": counts}
    if compressed:
        from pycocotools import mask as coder

        code = coder.encode(np.asfortranarray(block(1, 4, 1, 3).numpy().astype(np.uint8)))
        code["counts"] = code["counts"].decode()
    mask = write([annotation(segmentation=code, iscrowd=1)])[0].mask(0, (HEIGHT, WIDTH))
    assert torch.equal(mask, block(1, 4, 1, 3))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 1, 2, 2]], "at least three corners"),
        ({"size": [8, 6], "counts": [48]}, r"run-length code of 6 x 8 pixels, got \[8, 6\]"),
        ({"size": [6, 8], "counts": [40]}, "do not add up"),
        ("circle", "polygons or a run-length code"),
    ],
)
def test_masks_that_cannot_be_read_say_why(write, segmentation, message):
    image = write([annotation(segmentation=segmentation)])[0]
    with pytest.raises(ValueError, match=message):
        image.mask(0, (HEIGHT, WIDTH))


def test_annotations_that_cannot_be_used_are_counted(write):
    data = write([
        annotation(),
        annotation(image_id=6),
        annotation(category_id=3),
        annotation(bbox=[1, 2, 0, 4]),
        annotation(bbox=[1, 2, 3]),
        annotation(bbox=[1, 2, 3, "4"]),
        "annotation",
    ])  # fmt: skip
    assert len(data[0].boxes) == 1
    assert data.ignored == {
        "image unknown": 2,
        "category unknown": 1,
        "box without extent": 1,
        "no box": 2,
    }


@pytest.mark.parametrize("upright", [True, False], ids=["upright", "as stored"])
def test_the_size_in_the_data_set_decides_whether_the_image_is_turned(write, tmp_path, upright):
    stored = Image.new("RGB", (4, 2))
    stored.putpixel((0, 0), (255, 255, 255))
    exif = stored.getexif()
    exif[274] = 6  # the camera was turned: show rotated by 90 degrees, clockwise
    stored.save(tmp_path / "turned.png", exif=exif)
    height, width = (4, 2) if upright else (2, 4)
    entry = {"id": 5, "file_name": "turned.png", "height": height, "width": width}
    pixels = write([], images=[entry])[0].load()
    assert pixels.shape == (1, 3, height, width)
    white = (pixels[0, 0] == 1.0).nonzero().tolist()
    assert white == ([[0, 1]] if upright else [[0, 0]])


def test_an_image_of_another_size_is_refused(write):
    data = write([], images=[{"id": 5, "file_name": "a.png", "height": 60, "width": 80}])
    with pytest.raises(ValueError, match=r"says 60 x 80 pixels .* the file has 6 x 8"):
        data[0].load()


def test_a_size_is_not_needed(write):
    image = write([], images=[{"id": 5, "file_name": "a.png"}])[0]
    assert image.size is None
    assert image.load().shape[-2:] == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "the lists 'images', 'annotations' and 'categories'"),
        ({"images": [{"id": 5}]}, "images with 'id' and 'file_name'"),
        ({"images": [{"id": 5, "file_name": "a.png"}] * 2}, "image id 5 occurs twice"),
        ({"categories": [{"name": "cat"}]}, "categories with an integer 'id' and a 'name'"),
    ],
)
def test_files_of_another_kind_are_refused(write, changes, message):
    with pytest.raises(ValueError, match=message):
        write([], **changes)


@pytest.mark.parametrize("content", ["[]", "{", "\udcff"], ids=["list", "cut off", "bytes"])
def test_files_that_are_no_data_set_are_refused(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"expected a detection data set|not valid JSON"):
        CocoDataset(file)


def test_files_and_folders_that_do_not_exist_are_named(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"b\.json does not exist"):
        CocoDataset(tmp_path / "b.json")
    write([])
    with pytest.raises(FileNotFoundError, match=r"folder of the images.*photos"):
        CocoDataset(tmp_path / "instances.json", tmp_path / "photos")


def test_an_index_out_of_range_is_refused(write):
    with pytest.raises(IndexError, match="from 0 to 0, got 1"):
        write([])[1]


def test_real_masks_lie_in_their_boxes(shared_data):
    data = CocoDataset(
        shared_data / "coco_val_50" / "instances.json", shared_data / "coco_val_50" / "images"
    )
    assert (len(data), len(data.categories), sum(data.ignored.values())) == (50, 80, 0)
    count = 0
    for image in (data[index] for index in range(len(data))):
        for row, box in enumerate(image.boxes):
            y, x = image.mask(row, image.size).nonzero(as_tuple=True)
            count += 1
            assert len(x) > 0
            assert x.min() >= box[0] - 2
            assert y.min() >= box[1] - 2
            assert x.max() <= box[2] + 1
            assert y.max() <= box[3] + 1
    assert count == 373
