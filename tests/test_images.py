from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ssgc import images, load_image, wrap_detector


def test_a_file_is_read_as_rgb_in_unit_range(tmp_path):
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[1, 2] = (255, 51, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_image(tmp_path / "a.png")
    assert image.shape == (1, 3, 4, 6)
    assert image[0, :, 1, 2].tolist() == pytest.approx([1.0, 0.2, 0.0])


@pytest.mark.parametrize("opened", [False, True], ids=["path", "Pillow image"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(1, "ab/cd/ef"), (2, "ba/dc/fe"), (3, "fe/dc/ba"), (6, "eca/fdb"), (8, "bdf/ace")],
)
def test_the_orientation_is_applied_to_files_and_pillow_images_alike(
    orientation, expected, opened, tmp_path
):
    levels = dict(zip("abcdef", (10, 50, 90, 130, 170, 210)))
    pixels = np.array([[10, 50], [90, 130], [170, 210]], dtype=np.uint8)
    picture = Image.fromarray(pixels).convert("RGB")
    exif = picture.getexif()
    exif[0x0112] = orientation
    file = tmp_path / "turned.png"
    picture.save(file, exif=exif)
    image = load_image(Image.open(file) if opened else file)
    rows = [[levels[letter] for letter in row] for row in expected.split("/")]
    assert (image[0, 0] * 255).round().int().tolist() == rows


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
        (".", ValueError, "cannot be read as an image: it is a folder, whose images are"),
        ("whole.png/more", FileNotFoundError, "does not exist"),
        ("x" * 300, ValueError, "cannot be read as an image: .*too long"),
        ("a\0b", ValueError, "cannot be read as an image: .*embedded null"),
    ],
    ids=["missing", "text", "empty", "truncated", "folder", "below a file", "long", "null"],
)
def test_bad_files_are_named(tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        load_image(bad_files(tmp_path) / name)


def test_several_are_passed_one_by_one():
    with pytest.raises(TypeError, match="got list; pass images one by one"):
        load_image(["a.jpg", "b.jpg"])


BAD_IMAGES = {
    "not-a-tensor": ([1, 2], TypeError, "expected a tensor"),
    "bytes": (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "floating point"),
    "eighths": (
        torch.zeros(1, 3, 8, 8).to(torch.float8_e5m2),
        TypeError,
        r"16 bits or more.*float8_e5m2; convert with images\.float\(\)\.$",
    ),
    "grey": (torch.zeros(1, 1, 8, 8), ValueError, r"expected shape \(N, 3, H, W\)"),
    "channels-last": (torch.zeros(1, 8, 8, 3), ValueError, r"expected shape \(N, 3, H, W\)"),
    "empty": (torch.zeros(1, 3, 0, 8), ValueError, r"expected shape"),
    "0-to-255": (torch.full((1, 3, 8, 8), 200.0), ValueError, r"divide by 255"),
    "normalised": (torch.full((1, 3, 8, 8), -1.0), ValueError, r"before normalisation"),
    "nan": (torch.full((1, 3, 8, 8), float("nan")), ValueError, "NaN"),
    "a-little-above-1": (
        torch.full((1, 3, 8, 8), 1.000001),
        ValueError,
        r"1.00000095\] \(images.cl",
    ),
    "sparse": (torch.zeros(1, 3, 8, 8).to_sparse(), TypeError, "expected a dense tensor"),
    "meta": (torch.zeros(1, 3, 8, 8, device="meta"), TypeError, "expected a dense tensor"),
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
        ("https://example.org/a.jpg", FileNotFoundError, "the address https://.* download it"),
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="it is no regular file"):
        load_image(tmp_path / "pipe.png")


def test_what_any_reader_of_pillow_raises_is_a_value_error(tmp_path):
    """DDS raises NotImplementedError, others their own."""
    header = struct.pack("<4sIIIIIII44x", b"DDS ", 124, 0x1007, 8, 8, 0, 0, 0)
    odd_format = struct.pack("<IIIIIIII20x", 32, 4, int.from_bytes(b"ABCD", "little"), *[0] * 5)
    (tmp_path / "a.dds").write_bytes(header + odd_format)
    with pytest.raises(NotImplementedError):
        Image.open(tmp_path / "a.dds")
    with pytest.raises(ValueError, match=r"a\.dds cannot be read as an image: Unimplemented"):
        load_image(tmp_path / "a.dds")


@pytest.mark.parametrize("opened", [False, True], ids=["path", "Pillow image"])
def test_more_pixels_than_the_limit_are_refused_before_they_are_read(tmp_path, monkeypatch, opened):
    monkeypatch.setattr(images, "MAX_PIXELS", 60)
    Image.new("RGB", (10, 6)).save(tmp_path / "a.png")
    Image.new("RGB", (61, 1)).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:60])
    assert load_image(tmp_path / "a.png").shape == (1, 3, 6, 10)
    with (
        Image.open(tmp_path / "b.png") as picture,
        pytest.raises(ValueError, match="expected at most 60 pixels, got 61 x 1"),
    ):
        load_image(picture if opened else tmp_path / "b.png")


def test_a_cut_or_empty_pillow_image_is_named(tmp_path):
    Image.fromarray(np.full((64, 64, 3), 200, dtype=np.uint8)).save(tmp_path / "whole.png")
    cut = (tmp_path / "whole.png").read_bytes()[:100]
    with pytest.raises(ValueError, match="image cannot be read as an image"):
        load_image(Image.open(io.BytesIO(cut)))
    with pytest.raises(ValueError, match=r"image: expected pixels, got a size of \(0, 5\)"):
        load_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize(("highest", "bits"), [(200, 8), (1000, 10), (1024, 12), (4095, 12)])
def test_fewer_bits_in_sixteen_are_read_as_such_with_a_warning(highest, bits, tmp_path):
    values = np.array([[0, 100, highest]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "camera.png")
    with pytest.warns(UserWarning, match=rf"camera\.png .*above {highest}: .*as of {bits} bits"):
        image = load_image(tmp_path / "camera.png")
    expected = [0.0, 100 / (2**bits - 1), highest / (2**bits - 1)]
    assert image[0, 2, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("highest", [0, 4096, 65535])
def test_sixteen_bits_that_may_be_meant_are_not_touched(highest):
    picture = Image.fromarray(np.array([[0, highest]], dtype=np.uint16))
    assert load_image(picture)[0, 0, 0, 1].item() == pytest.approx(highest / 65535)


def test_colours_of_twelve_bits_in_sixteen_are_warned_of(tmp_path):
    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    row = b"\0" + np.full((5, 3), 4095, dtype=">u2").tobytes()
    head = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(4 * row)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.warns(UserWarning, match=r"deep\.png has 16 bits per channel, but the upper 8"):
        load_image(tmp_path / "deep.png")


PLANES = np.random.default_rng(0).integers(0, 256, (6, 7, 4), dtype=np.uint8)


def tensor_of(pixels):
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("first", [False, True], ids=["channels-last", "channels-first"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_in_files_of_any_number_of_channels(tmp_path, channels, first):
    pixels = PLANES[..., :channels]
    np.save(tmp_path / "image.npy", pixels.transpose(2, 0, 1) if first else pixels)
    assert torch.equal(load_image(tmp_path / "image.npy", channels), tensor_of(pixels))


def test_arrays_in_files_of_other_numbers(tmp_path):
    np.save(tmp_path / "deep.npy", PLANES.astype(np.uint16) * 257)
    torch.testing.assert_close(load_image(tmp_path / "deep.npy", 4), tensor_of(PLANES))
    np.save(tmp_path / "share.npy", PLANES[..., 0].astype(np.float64) / 255)
    torch.testing.assert_close(load_image(tmp_path / "share.npy", 1), tensor_of(PLANES[..., :1]))
    assert torch.equal(
        load_image(tmp_path / "share.npy"), load_image(tmp_path / "share.npy", 1).expand(1, 3, 6, 7)
    )


@pytest.mark.parametrize(
    ("array", "channels", "message"),
    [
        (PLANES, 3, r"expected an array \(H, W, 3\) or \(3, H, W\), as the model takes 3 chan"),
        (PLANES[..., 0], 4, "expected 4 channels, as the model takes, got 1"),
        (PLANES.astype(np.int64), 4, "expected numbers of 8 or 16 bits, or floats .* got int64"),
        (PLANES * 1.0, 4, r"image.npy: images: expected values in \[0, 1\]"),
        (np.array([{}]), 4, "cannot be read as an array"),
    ],
    ids=["channels", "grey", "integers", "range", "objects"],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, array, channels, message):
    np.save(tmp_path / "image.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load_image(tmp_path / "image.npy", channels)


def test_pictures_for_models_of_one_and_of_four_channels(tmp_path):
    grey, colours = PLANES[..., 0], PLANES[..., :3]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(tmp_path / "grey-as-rgb.png")
    Image.fromarray(colours).save(tmp_path / "rgb.png")
    Image.fromarray(PLANES, "RGBA").save(tmp_path / "rgba.png")
    expected = tensor_of(PLANES[..., :1])
    assert torch.equal(load_image(tmp_path / "grey.png", 1), expected)
    assert torch.equal(load_image(tmp_path / "grey-as-rgb.png", 1), expected)
    assert torch.equal(load_image(grey, 1), expected)
    assert torch.equal(load_image(tmp_path / "rgba.png", 4), tensor_of(PLANES))
    assert torch.equal(load_image(PLANES, 4), tensor_of(PLANES))
    assert torch.equal(load_image(tmp_path / "rgba.png"), tensor_of(colours))
    for name, channels, got in [("rgb", 1, 3), ("grey", 4, 1), ("rgb", 4, 3)]:
        with pytest.raises(ValueError, match=f"expected {channels} channels?, .* got {got}"):
            load_image(tmp_path / f"{name}.png", channels)


def test_the_frames_of_a_tiff_file_are_channels(tmp_path):
    frames = [Image.fromarray(PLANES[..., one]) for one in range(4)]
    frames[0].save(tmp_path / "four.tif", save_all=True, append_images=frames[1:])
    assert torch.equal(load_image(tmp_path / "four.tif", 4), tensor_of(PLANES))
    Image.fromarray(PLANES, "RGBA").save(tmp_path / "bands.tif")
    assert torch.equal(load_image(tmp_path / "bands.tif", 4), tensor_of(PLANES))
    (tmp_path / "broken.tif").write_bytes(b"II*\0 nothing")
    with pytest.raises((ValueError, ImportError), match=r"tifffile|cannot be read"):
        load_image(tmp_path / "broken.tif", 4)
