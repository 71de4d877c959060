from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ssgc.data import CocoDataset
from captum_ssgc.exchange.coco_values import shown

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


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://images.cocodataset.org/val2017/a.png", "val2017/a.png"),
        ("https://example.org/a.png", "a.png"),
        ("https://example.org/b/c/val/a.png", "val/a.png"),
    ],
)
def test_images_by_their_address_as_lvis_has_them(write, tmp_path, address, name):
    data = write([annotation()], images=[{"id": 5, "coco_url": address}])
    assert data[0].path == tmp_path / name
    for other in (None, 5, "", "a.png", "https://example.org"):
        with pytest.raises(ValueError, match=r"got none; images\[0\].file_name: expected the name"):
            write([], images=[{"id": 5, "coco_url": other}])


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_range_as_stored(write, tmp_path, channels):
    stored = Image.fromarray(np.array([[0, 16384], [65535, 4096], [0, 0]], dtype=np.uint16))
    exif = stored.getexif()
    exif[274] = 6
    stored.save(tmp_path / "turned.png", exif=exif)
    entry = {"id": 5, "file_name": "turned.png", "height": 3, "width": 2}
    pixels = write([], images=[entry])[0].load(channels)
    assert pixels.shape == (1, channels, 3, 2)
    shares = torch.tensor([[0, 16384], [65535, 4096], [0, 0]]) / 65535
    torch.testing.assert_close(pixels[0], shares.expand(channels, 3, 2))


def test_images_of_other_channels(write, tmp_path):
    """One channel, also of an image that is stored turned; a colour is not made grey."""
    stored = Image.new("L", (4, 2))
    stored.putpixel((0, 0), 255)
    exif = stored.getexif()
    exif[274] = 6
    stored.save(tmp_path / "turned.png", exif=exif)
    for size in ((4, 2), (2, 4)):
        entry = {"id": 5, "file_name": "turned.png", "height": size[0], "width": size[1]}
        pixels = write([], images=[entry])[0].load(channels=1)
        assert pixels.shape == (1, 1, *size)
        assert float(pixels.sum()) == 1.0
    with pytest.raises(ValueError, match="expected 4 channels, as the model takes, got 1"):
        write([], images=[{"id": 5, "file_name": "turned.png"}])[0].load(channels=4)


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


@pytest.mark.parametrize("write_id", [str, float, int], ids=["texts", "fractions", "numbers"])
def test_ids_mean_the_same_however_they_are_written(write, write_id):
    data = write(
        [annotation(image_id=write_id(5), category_id=write_id(2))],
        images=[{"id": 5, "file_name": "a.png"}],
        categories=[{"id": write_id(2), "name": "cat"}],
    )
    assert data.categories == {2: "cat"}
    assert data[0].category_ids.tolist() == [2]
    assert data.problems == []


def test_ids_of_images_may_be_texts(write):
    data = write([annotation(image_id="a/b 007")], images=[{"id": "a/b 007", "file_name": "a.png"}])
    assert data[0].id == "a/b 007"
    assert len(data[0].boxes) == 1


NO_IDS = [None, True, 1.5, math.nan, math.inf, [], [5], {}, {"a": 5}, ""]


@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_what_is_no_id_is_named_with_its_place(write, value):
    good = {"id": 5, "file_name": "a.png"}
    data = write(
        [annotation(image_id=value), annotation(category_id=value), annotation()],
        images=[{"id": value, "file_name": "a.png"}, good],
    )
    assert len(data) == 1
    assert len(data[0].boxes) == 1
    assert data.ignored == {"image unknown": 1, "category unknown": 1}
    image, first, second = data.problems
    assert image.startswith("images[0].id: expected a whole number or a text, got ")
    assert first.startswith("annotations[0].image_id: expected the id of an image, got ")
    assert second.startswith("annotations[1].category_id: expected the id of a category, got ")
    assert image.endswith(f"got {shown(value)}.")
    with pytest.raises(ValueError, match=r"categories\[0\]\.id: expected categories with an"):
        write([], categories=[{"id": value, "name": "cat"}])


@pytest.mark.parametrize("value", ["x", -1, 2**31, 10**30, 1e300, "2 "], ids=repr)
def test_ids_of_categories_are_numbers_in_range(write, value):
    with pytest.raises(ValueError, match=r"categories\[1\]\.id: .* from 0 to 2\*\*31 - 1, got"):
        write([], categories=[{"id": 2, "name": "cat"}, {"id": value, "name": "dog"}])


@pytest.mark.parametrize("value", [None, 5, "", "  ", [], {"a": 1}], ids=repr)
def test_names_of_categories_are_texts(write, value):
    with pytest.raises(ValueError, match=r"categories\[0\]\.name: expected .* that is a text, got"):
        write([], categories=[{"id": 2, "name": value}])


def test_a_category_has_one_name(write):
    same = {"id": 2, "name": "cat"}
    assert write([], categories=[same, same]).categories == {2: "cat"}
    with pytest.raises(ValueError, match=r"categories\[1\]\.name: expected 'cat' as before for"):
        write([], categories=[same, {"id": 2, "name": "dog"}])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"file_name": None}, "images[0].file_name: expected the name of a file, got null."),
        ({"file_name": 7}, "images[0].file_name: expected the name of a file, got 7."),
        ({"file_name": ""}, "images[0].file_name: expected the name of a file"),
        ({"file_name": "a\0b"}, "images[0].file_name: expected the name of a file"),
        ({"file_name": "\ud800"}, "images[0].file_name: expected the name of a file"),
        ({"height": "6"}, 'images[0].height: expected a whole number from 1 to 10000000, got "6".'),
        ({"height": 0}, "images[0].height: expected a whole number"),
        ({"width": -8}, "images[0].width: expected a whole number"),
        ({"width": 1e300}, "images[0].width: expected a whole number"),
        ({"width": math.nan}, "images[0].width: expected a whole number"),
        ({"width": 8.5}, "images[0].width: expected a whole number"),
        ({"width": [8]}, "images[0].width: expected a whole number"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_malformed_image_is_left_out_and_said(write, changes, place):
    entry = {"id": 4, "file_name": "b.png", "height": 6, "width": 8}
    data = write([], images=[entry | changes, {"id": 5, "file_name": "a.png"}])
    assert [image.id for image in data] == [5]
    assert len(data.problems) == 1
    assert data.problems[0].startswith(place)
    with pytest.raises(ValueError, match=r"images with 'id' and 'file_name', got none; images"):
        write([], images=[entry | changes])


@pytest.mark.parametrize("entry", [None, 3, "a.png", [], {"id": 5}, {"file_name": "a.png"}])
def test_an_image_of_another_kind_is_left_out(write, entry):
    data = write([], images=[entry, {"id": 5, "file_name": "a.png"}])
    assert len(data) == 1
    assert data.problems[0].startswith("images[0]: expected an image with 'id' and 'file_name'")


@pytest.mark.parametrize(
    ("box", "reason", "message"),
    [
        ([1, 2, 3], "no box", "annotations[0].bbox: expected four numbers, got [1, 2, 3]."),
        ({"x": 1}, "no box", "annotations[0].bbox: expected four numbers"),
        ([1, 2, 3, "4"], "no box", 'annotations[0].bbox[3]: expected a number, got "4".'),
        ([1, 2, True, 4], "no box", "annotations[0].bbox[2]: expected a number, got true."),
        ([math.nan, 2, 3, 4], "no box", "annotations[0].bbox[0]: expected a number from"),
        ([1, math.inf, 3, 4], "no box", "annotations[0].bbox[1]: expected a number from"),
        ([1, 2, 1e300, 4], "no box", "annotations[0].bbox[2]: expected a number from"),
        ([1, 2, 10**400, 4], "no box", "annotations[0].bbox[2]: expected a number from"),
        ([1, 2, -3, 4], "box without extent", "annotations[0].bbox: expected a width and height"),
        ([8, 2, 3, 4], "box outside the image", "annotations[0].bbox: expected a box that meets"),
        ([1, -5, 3, 5], "box outside the image", "annotations[0].bbox: expected a box that meets"),
    ],
)
def test_what_is_no_box_is_left_out_and_said(write, box, reason, message):
    data = write([annotation(bbox=box)])
    assert data.ignored == {reason: 1}
    assert data.problems[0].startswith(message)
    assert data[0].boxes.shape == (0, 4)


def test_boxes_a_little_outside_stay(write):
    data = write([annotation(bbox=[-1, -1, 3, 3]), annotation(bbox=[6.5, 5, 2, 1.5])])
    assert data[0].boxes.tolist() == [[-1, -1, 2, 2], [6.5, 5, 8.5, 6.5]]
    assert not data.problems


def test_boxes_that_are_shares_of_the_image_are_refused(write):
    with pytest.raises(ValueError, match=r"got shares of the image in all 2 .* annotations\[0\]"):
        write([annotation(bbox=[0.25, 0.5, 0.5, 0.5]), annotation(bbox=[0, 0, 1, 1])])
    assert len(write([annotation(bbox=[0, 0, 1, 1])])[0].boxes) == 1  # a pixel


def test_boxes_that_are_corners_are_refused(write):
    corners = [[1, 1, 4, 5], [4, 2, 7, 6], [2, 3, 8, 6], [0, 0, 3, 3]]
    with pytest.raises(ValueError, match=r"corners x1, y1, x2, y2: 2 of 4 .* annotations\[1\]"):
        write([annotation(bbox=box) for box in corners])
    assert len(write([annotation(bbox=box) for box in corners[:3]])[0].boxes) == 3  # too few
    sizes = [[1, 1, 3, 4], [4, 2, 3, 4], [2, 3, 6, 3], [0, 0, 3, 3]]
    assert len(write([annotation(bbox=box) for box in sizes])[0].boxes) == 4


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_of_unicode(write, encoding):
    data = write([annotation()])
    data.file.write_bytes(data.file.read_text().encode(encoding))
    assert len(CocoDataset(data.file)[0].boxes) == 1


@pytest.mark.parametrize(("value", "crowd"), [(0, 0), (1, 1), (None, 0), (True, 1), (1.0, 1)])
def test_crowds_are_marked_with_0_and_1(write, value, crowd):
    assert write([annotation(iscrowd=value)])[0].crowd.tolist() == [bool(crowd)]


@pytest.mark.parametrize("value", ["0", "1", 2, [1], math.nan], ids=repr)
def test_other_marks_of_crowds_are_refused(write, value):
    data = write([annotation(iscrowd=value)])
    assert data.problems[0].startswith("annotations[0].iscrowd: expected 0 or 1, got ")
    assert data.ignored.total() == 1


SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[math.nan, *SQUARE[1:]]], "[0][0]: expected a number from -8 to 16, got NaN."),
        ([[math.inf, *SQUARE[1:]]], "[0][0]: expected a number from -8 to 16, got Infinity."),
        (
            [SQUARE, [1, 1e9, *SQUARE[2:]]],
            "[1][1]: expected a number from -6 to 12, got 10000",
        ),
        ([[1, 10**400, *SQUARE[2:]]], "[0][1]: expected a number from -6 to 12, got 1000"),
        ([["1", *SQUARE[1:]]], '[0][0]: expected a number, got "1".'),
        ([[None, *SQUARE[1:]]], "[0][0]: expected a number, got null."),
        ([SQUARE[:-1]], "[0]: expected coordinates in pairs, got"),
        ([SQUARE, {"a": 1}], '[1]: expected a list of coordinates, got {"a": 1}.'),
        (SQUARE, "[0]: expected a list of coordinates, got 1."),
        (7, ": expected polygons or a run-length code, got 7."),
        ({"counts": [48]}, ": expected polygons or a run-length code, got"),
        ({"size": 48, "counts": [48]}, ".size: expected a height and a width, got 48."),
        ({"size": [6, 8.0], "counts": [48]}, ".size: expected a height and a width"),
        ({"size": [6, 8], "counts": None}, ".counts: expected run lengths, got null."),
        ({"size": [6, 8], "counts": [48, -1, 1]}, ".counts[1]: expected a length of at least 0"),
        ({"size": [6, 8], "counts": [48.0]}, ".counts[0]: expected a length of at least 0"),
        ({"size": [6, 8], "counts": [2**80]}, ".counts[0]: expected a length of at least 0"),
        ({"size": [6, 8], "counts": "é"}, ".counts[0]: expected a character of a run-length code"),
        ({"size": [6, 8], "counts": "`"}, ".counts: expected a complete run-length code"),
        ({"size": [6, 8], "counts": "o" * 40}, ".counts[13]: expected a character of a run"),
        (
            {"size": [6, 8], "counts": "11"},
            ".counts: expected 6 x 8 pixels in all (the run",
        ),
        ({"size": [10**9] * 2, "counts": [10**18]}, ".size: expected a height and a width"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_masks_that_cannot_be_read_name_place_and_value(write, segmentation, message):
    data = write([annotation(), annotation(segmentation=segmentation)])
    place = f"annotations[1].segmentation{message}"
    assert data.problems[0].startswith(place)
    assert data.ignored == {}
    with pytest.raises(ValueError) as error:
        data[0].mask(1, (HEIGHT, WIDTH))
    assert str(error.value).startswith(place)


def test_coordinates_are_checked_against_the_image_that_is_there(write):
    entry = {"id": 5, "file_name": "a.png"}
    data = write([annotation(segmentation=[[1, 1, 4, 1, 4, 300_000]])], images=[entry])
    assert data.problems == []
    with pytest.raises(ValueError, match=r"segmentation\[0\]\[5\]: .* from -6 to 12"):
        data[0].mask(0, (HEIGHT, WIDTH))


def test_an_outline_without_end_is_refused_before_it_is_drawn(write):
    zigzag = [0, 0, 8, 6] * 100_000
    data = write([annotation(segmentation=[zigzag])])
    assert "an outline of at most 1000000 pixels" in data.problems[0]
    with pytest.raises(ValueError, match="an outline of at most"):
        data[0].mask(0, (HEIGHT, WIDTH))


def test_a_polygon_a_little_outside_is_cut_off(write):
    polygon = [-2.5, -1, 4, -1, 4, 3, -2.5, 3]
    mask = write([annotation(segmentation=[polygon])])[0].mask(0, (HEIGHT, WIDTH))
    assert torch.equal(mask, block(0, 3, 0, 4))


@pytest.mark.parametrize("nothing", [None, [], [[]], {}])
def test_no_segmentation_is_no_mask(write, nothing):
    data = write([annotation(segmentation=nothing)])
    assert data.problems == []
    assert not data[0].has_mask(0)


def test_compressed_codes_are_read_as_pycocotools_reads_them(write):
    from pycocotools import mask as coder

    random = np.random.default_rng(0)
    for density in (0.02, 0.5, 0.98):
        pixels = np.asfortranarray(random.random((HEIGHT, WIDTH)) < density, dtype=np.uint8)
        code = coder.encode(pixels)
        code["counts"] = code["counts"].decode()
        mask = write([annotation(segmentation=code)])[0].mask(0, (HEIGHT, WIDTH))
        assert torch.equal(mask, torch.from_numpy(pixels).bool())


@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"images": ' + "9" * 5000 + "}"], ids=["deep", "a long number"]
)
def test_files_that_json_cannot_hold_are_refused(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="not valid JSON"):
        CocoDataset(file)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder; expected a JSON file"):
        CocoDataset(tmp_path)
