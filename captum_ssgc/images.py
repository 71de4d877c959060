"""Images from files and arrays, as the tensors that every detector here takes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from captum_ssgc._channels import shape_of
from captum_ssgc._warnings import warn_user
from captum_ssgc.image_arrays import TIFF, array_file, image_of, tiff_file

ImageSource = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

MAX_PIXELS = 64_000_000
"""The most pixels of a file or a Pillow image; as floats they take 0.8 GB."""

_OVERSHOOT = 0.05
PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load_image(source: ImageSource, channels: int | None = 3) -> Tensor:
    """An image as float in [0, 1]: RGB, or of as many channels as a model takes.

    Args:
        source: a file that Pillow reads, or a Pillow image (the EXIF orientation of both is
            applied, transparency is dropped, of several frames the first is taken), a ``(H, W, 3)``
            uint8 array, or a ``(3, H, W)`` / ``(1, 3, H, W)`` float tensor in [0, 1]; for another
            number of channels as many instead of 3, or an array ``(H, W)`` for one. A ``.npy`` file
            of such an array, of bytes, of 16 bits, or of floats in [0, 1]; its channels may come
            first. A TIFF file may hold one channel in each frame, and others than Pillow reads
            need tifffile.
        channels: how many; :attr:`captum_ssgc.Detector.channels` says what a model takes.

    Returns:
        ``(1, channels, H, W)`` float32; a tensor keeps its precision and its memory.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is no readable image, a file or Pillow image has more than
            :data:`captum_ssgc.images.MAX_PIXELS` or 32 bits per channel, for another number of
            channels, or for a wrong shape, range or NaN.
        TypeError: for a wrong type or dtype.
        ImportError: if tifffile is needed and not installed.

    Notes:
        A grey image becomes RGB where three channels are asked for; RGB whose channels are the same
        becomes grey where one is. A grey image with 16 bits may hold the values of a camera with
        fewer. Where none is above 4095 it is read as of 8, 10 or 12 bits, the least that holds
        them, with a warning: read as of 16 bits, such an image is nearly black. Of colours with 16
        bits Pillow reads the upper 8.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc import load_image
        >>> load_image(np.zeros((4, 6, 3), dtype=np.uint8)).shape
        torch.Size([1, 3, 4, 6])
        >>> load_image(np.zeros((4, 6), dtype=np.uint8), channels=1).shape
        torch.Size([1, 1, 4, 6])
    """
    return _loaded(source, 3 if channels is None else channels, upright=True)


def load_as_stored(path: str | os.PathLike[str], channels: int = 3) -> Tensor:
    """:func:`load_image` of a file without the turn that its EXIF data ask for."""
    return _loaded(path, channels, upright=False)


def _loaded(source: ImageSource, channels: int, *, upright: bool) -> Tensor:
    if isinstance(source, Tensor):
        images = source[None] if source.dim() == 3 else source
        check_images(images, channels)
        if images.shape[0] != 1:
            raise ValueError(f"image: expected one image, got a batch of {images.shape[0]}.")
        return images
    if isinstance(source, (str, os.PathLike)):
        return _from_file(source, channels, upright)
    if isinstance(source, Image.Image):
        return _from_pillow(source, "image", channels, upright)
    if not isinstance(source, np.ndarray):
        one_by_one = "; pass images one by one" if isinstance(source, (list, tuple)) else ""
        raise TypeError(
            "image: expected a path, a Pillow image, a uint8 array or a float tensor, "
            f"got {type(source).__name__}{one_by_one}."
        )
    if source.dtype != np.uint8:
        raise TypeError(
            f"image array: expected dtype uint8, got {source.dtype}; pass floats as a tensor "
            f"({channels}, H, W) in [0, 1]."
        )
    pixels = source[..., None] if source.ndim == 2 and channels == 1 else source
    if pixels.ndim != 3 or pixels.shape[2] != channels or 0 in pixels.shape:
        raise ValueError(f"image array: expected shape (H, W, {channels}), got {source.shape}.")
    return _from_bytes(pixels)


def _from_file(source: str | os.PathLike[str], channels: int, upright: bool) -> Tensor:
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if "://" in str(source):
            raise FileNotFoundError(
                f"image: expected a file, got the address {source}; download it first."
            ) from None
        raise FileNotFoundError(f"image file {path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    if not stat.S_ISREG(mode):  # reading a pipe may wait for ever
        what = "a folder, whose images are passed one by one"
        what = what if stat.S_ISDIR(mode) else "no regular file"
        raise ValueError(f"{path} cannot be read as an image: it is {what}.")
    if path.suffix.lower() == ".npy":
        return _checked(image_of(array_file(path), channels, str(path)), channels, str(path))
    if path.suffix.lower() in TIFF and channels != 3:
        frames = tiff_file(path, channels)
        if frames is not None:
            return _checked(image_of(frames, channels, str(path)), channels, str(path))
    try:
        picture = Image.open(path)
    except (UnidentifiedImageError, ImportError):  # ultralytics patches in its own plugin
        raise ValueError(
            f"{path} is not an image file that Pillow can read: convert it to JPEG or PNG."
        ) from None
    except Exception as error:  # each of Pillow's readers has its own
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    with picture:
        return _from_pillow(picture, str(path), channels, upright)


def _from_pillow(picture: Image.Image, what: str, channels: int, upright: bool) -> Tensor:
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(
            f"{what}: expected at most {MAX_PIXELS} pixels, got {picture.width} x "
            f"{picture.height}; reduce it, or pass a tensor (3, H, W) in [0, 1]."
        )
    if picture.mode in ("I", "F"):
        raise ValueError(
            f"{what}: expected 8 or 16 bits per channel, got Pillow's mode {picture.mode!r}, "
            "whose range is not known; scale it to [0, 1] and pass a tensor (3, H, W)."
        )
    deep = any("16" in str(tile[3]) for tile in getattr(picture, "tile", None) or ())
    try:
        turned = ImageOps.exif_transpose(picture) if upright else picture
        grey = turned.mode.startswith("I;16")
        own = grey or channels not in (1, 3)
        pixels = np.asarray(turned if own else turned.convert("RGB"))
        pixels = pixels.astype(np.uint16) if grey else np.atleast_3d(pixels)
    except Exception as error:  # each of Pillow's readers has its own
        raise ValueError(f"{what} cannot be read as an image: {error}") from None
    if 0 in pixels.shape:
        raise ValueError(f"{what}: expected pixels, got a size of {picture.size}.")
    highest = int(pixels.max())
    if grey:
        bits = next((bits for bits in (8, 10, 12) if 0 < highest < 2**bits), 16)
        if bits < 16:
            _warn_of_dark(what, f"no value above {highest}: it is read as of {bits} bits")
        planes = torch.from_numpy(pixels.astype(np.float32) / np.float32(2**bits - 1))
        return _fitted(planes[None, None], channels, what)
    if deep and 0 < highest < 16:
        _warn_of_dark(what, "the upper 8, which Pillow reads, are nearly 0")
    return _fitted(_from_bytes(pixels), channels, what)


def _checked(image: Tensor, channels: int, what: str) -> Tensor:
    """An image out of an array, whose range is not known."""
    try:
        check_images(image, None)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    return _fitted(image, channels, what)


def _fitted(image: Tensor, channels: int, what: str) -> Tensor:
    """``image`` with so many channels, where nothing is lost or made up.

    Raises:
        ValueError: where it is another image.
    """
    given = image.shape[1]
    if given == channels:
        return image
    if (given, channels) == (1, 3):
        return image.expand(1, 3, -1, -1).contiguous()
    if (given, channels) == (3, 1) and bool((image == image[:, :1]).all()):
        return image[:, :1].contiguous()
    raise ValueError(
        f"{what}: expected {channels} channel{'s' if channels > 1 else ''}, as the model takes, "
        f"got {given}; pass a tensor ({channels}, H, W) in [0, 1] that you made of it."
    )


def _warn_of_dark(what: str, why: str) -> None:
    warn_user(
        f"{what} has 16 bits per channel, but {why}. If that is not what it holds, scale it to "
        "[0, 1] and pass a tensor (3, H, W)."
    )


def _from_bytes(pixels: np.ndarray) -> Tensor:
    planes = torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    return planes[None].float() / 255.0


def check_images(images: object, channels: int | None = 3) -> None:
    """Check that ``images`` is an ``(N, channels, H, W)`` float tensor in [0, 1] without NaN.

    Args:
        images: what a user gives.
        channels: how many; ``None``: any number.

    Raises:
        TypeError: if it is no tensor or not floating point.
        ValueError: for a wrong shape, values outside [0, 1], or NaN.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images: expected a tensor (N, 3, H, W), got {type(images).__name__}.")
    if images.dtype not in PRECISIONS:
        hint = "" if images.is_floating_point() else " / 255"
        raise TypeError(
            f"images: expected floating point of 16 bits or more in [0, 1], got {images.dtype}; "
            f"convert with images.float(){hint}."
        )
    if images.layout != torch.strided or images.device.type == "meta":
        raise TypeError(
            f"images: expected a dense tensor with values, got {images.layout} on {images.device}."
        )
    known = images.dim() == 4 and channels in (None, images.shape[1])
    if not known or 0 in images.shape:
        expected = shape_of(3 if channels is None else channels)
        raise ValueError(f"images: expected shape {expected}, got {tuple(images.shape)}.")
    low, high = torch.stack(torch.aminmax(images.detach())).tolist()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images: expected finite values in [0, 1], got NaN or infinity.")
    if low < 0.0 or high > 1.0:
        hint = "divide by 255?" if high > 2.0 else "pass the image before normalisation"
        if low > -_OVERSHOOT and high < 1.0 + _OVERSHOOT:  # what resizing and rounding leave
            hint = "images.clamp(0, 1)"
        raise ValueError(
            f"images: expected values in [0, 1], got [{low:.9g}, {high:.9g}] ({hint})."
        )
