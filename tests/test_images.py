from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ssgc import load_image, wrap_detector


def test_a_file_is_read_as_rgb_in_unit_range(tmp_path):
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[1, 2] = (255, 51, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.shape == (1, 3, 4, 6)
    assert image[0, :, 1, 2].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_exif_orientation_is_applied(tmp_path):
    picture = Image.fromarray(np.zeros((4, 6, 3), dtype=np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(str(tmp_path / "turned.jpg")).shape == (1, 3, 6, 4)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_other_colour_modes_become_rgb(mode):
    assert load_image(Image.new(mode, (5, 3))).shape == (1, 3, 3, 5)


def test_tensors_pass_unchanged():
    image = torch.rand(3, 4, 5)
    assert torch.equal(load_image(image)[0], image)


def bad_files(folder):
    Image.fromarray(np.full((64, 64, 3), 200, dtype=np.uint8)).save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none.jpg", FileNotFoundError, "does not exist"),
        ("text.jpg", ValueError, "is not an image file"),
        ("empty.jpg", ValueError, "is not an image file"),
        ("cut.png", ValueError, "cannot be read as an image"),
        (".", ValueError, "cannot be read as an image"),
    ],
    ids=["missing", "text", "empty", "truncated", "folder"],
)
def test_bad_files_are_named(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        load_image(bad_files(tmp_path) / name)


BAD_IMAGES = {
    "not-a-tensor": ([1, 2], TypeError, "expected a tensor"),
    "bytes": (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "floating point"),
    "grey": (torch.zeros(1, 1, 8, 8), ValueError, r"expected shape \(N, 3, H, W\)"),
    "channels-last": (torch.zeros(1, 8, 8, 3), ValueError, r"expected shape \(N, 3, H, W\)"),
    "empty": (torch.zeros(1, 3, 0, 8), ValueError, r"expected shape"),
    "0-to-255": (torch.full((1, 3, 8, 8), 200.0), ValueError, r"divide by 255"),
    "normalised": (torch.full((1, 3, 8, 8), -1.0), ValueError, r"before normalisation"),
    "nan": (torch.full((1, 3, 8, 8), float("nan")), ValueError, "NaN"),
    "infinite": (torch.full((1, 3, 8, 8), float("inf")), ValueError, "NaN or infinity"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_detect_names_what_is_wrong_with_an_image(case, blobs):
    images, error, message = BAD_IMAGES[case]
    with pytest.raises(error, match=message):
        wrap_detector(blobs).detect(images)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (np.zeros((4, 4, 3)), TypeError, "expected dtype uint8, got float64"),
        (np.zeros((4, 4), dtype=np.uint8), ValueError, r"expected shape \(H, W, 3\)"),
        (torch.zeros(2, 3, 4, 4), ValueError, "batch of 2"),
        (17, TypeError, "got int"),
    ],
)
def test_bad_sources_are_named(source, error, message):
    with pytest.raises(error, match=message):
        load_image(source)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_keep_their_range(mode, tmp_path):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    picture = Image.fromarray(values.astype(">u2" if mode == "I;16B" else "<u2"))
    assert picture.mode == mode
    expected = pytest.approx([0.0, 1 / 255, 128 / 255, 1.0], abs=1e-6)
    assert load_image(picture)[0, 1, 0].tolist() == expected
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert load_image(tmp_path / "deep.png")[0, 2, 0].tolist() == expected


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_a_range_that_is_not_known_is_refused(dtype, tmp_path):
    Image.fromarray(np.ones((3, 4), dtype=dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(ValueError, match="expected 8 or 16 bits per channel, got Pillow's mode"):
        load_image(tmp_path / "deep.tif")
