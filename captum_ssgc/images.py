"""Images from files and arrays, as the tensors that every detector here takes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from captum_ssgc._warnings import warn_user

ImageSource = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

MAX_PIXELS = 64_000_000
"""The most pixels of a file or a Pillow image; as floats they take 0.8 GB."""


def load_image(source: ImageSource) -> Tensor:
    """An image as RGB float in [0, 1].

    Args:
        source: a file that Pillow reads, or a Pillow image (the EXIF orientation of both is
            applied, transparency is dropped, of several frames the first is taken), a ``(H, W, 3)``
            uint8 array, or a ``(3, H, W)`` / ``(1, 3, H, W)`` float tensor in [0, 1].

    Returns:
        ``(1, 3, H, W)`` float32; a tensor keeps its precision.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is no readable image, a file or Pillow image has more than
            :data:`captum_ssgc.images.MAX_PIXELS` or 32 bits per channel, or for a wrong shape,
            range or NaN.
        TypeError: for a wrong type or dtype.

    Notes:
        A grey image with 16 bits may hold the values of a camera with fewer. Where none is above
        4095 it is read as of 8, 10 or 12 bits, the least that holds them, with a warning: read as
        of 16 bits, such an image is nearly black. Of colours with 16 bits Pillow reads the upper 8.

    Example:
        >>> import numpy as np
        >>> from captum_ssgc import load_image
        >>> load_image(np.zeros((4, 6, 3), dtype=np.uint8)).shape
        torch.Size([1, 3, 4, 6])
    """
    if isinstance(source, Tensor):
        images = source[None] if source.dim() == 3 else source
        check_images(images)
        if images.shape[0] != 1:
            raise ValueError(f"image: expected one image, got a batch of {images.shape[0]}.")
        return images
    if isinstance(source, (str, os.PathLike)):
        return _from_file(source)
    if isinstance(source, Image.Image):
        return _from_pillow(source, "image")
    if not isinstance(source, np.ndarray):
        raise TypeError(
            "image: expected a path, a Pillow image, a uint8 array or a float tensor, "
            f"got {type(source).__name__}."
        )
    if source.dtype != np.uint8:
        raise TypeError(
            f"image array: expected dtype uint8, got {source.dtype}; pass floats as a tensor "
            "(3, H, W) in [0, 1]."
        )
    if source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
        raise ValueError(f"image array: expected shape (H, W, 3), got {source.shape}.")
    return _from_bytes(source)


def _from_file(source: str | os.PathLike[str]) -> Tensor:
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"image file {path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    if not stat.S_ISREG(mode):  # reading a pipe may wait for ever
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ValueError(f"{path} cannot be read as an image: it is {what}.")
    try:
        picture = Image.open(path)
    except (UnidentifiedImageError, ImportError):  # ultralytics patches in its own plugin
        raise ValueError(f"{path} is not an image file that Pillow can read.") from None
    except Exception as error:  # each of Pillow's readers has its own
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    with picture:
        return _from_pillow(picture, str(path))


def _from_pillow(picture: Image.Image, what: str) -> Tensor:
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
    deep = any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    try:
        turned = ImageOps.exif_transpose(picture)
        grey = turned.mode.startswith("I;16")
        pixels = np.asarray(turned).astype(np.uint16) if grey else np.asarray(turned.convert("RGB"))
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
        return planes.expand(1, 3, -1, -1).contiguous()
    if deep and 0 < highest < 16:
        _warn_of_dark(what, "the upper 8, which Pillow reads, are nearly 0")
    return _from_bytes(pixels)


def _warn_of_dark(what: str, why: str) -> None:
    warn_user(
        f"{what} has 16 bits per channel, but {why}. If that is not what it holds, scale it to "
        "[0, 1] and pass a tensor (3, H, W)."
    )


def _from_bytes(pixels: np.ndarray) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return planes[None].float() / 255.0


def check_images(images: object) -> None:
    """Check that ``images`` is an ``(N, 3, H, W)`` float tensor in [0, 1] without NaN.

    Raises:
        TypeError: if it is no tensor or not floating point.
        ValueError: for a wrong shape, values outside [0, 1], or NaN.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images: expected a tensor (N, 3, H, W), got {type(images).__name__}.")
    if not images.is_floating_point():
        raise TypeError(
            f"images: expected floating point in [0, 1], got {images.dtype}; "
            "convert with images.float() / 255."
        )
    if images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise ValueError(f"images: expected shape (N, 3, H, W), RGB, got {tuple(images.shape)}.")
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("images: expected finite values in [0, 1], got NaN or infinity.")
    if low < 0.0 or high > 1.0:
        hint = " (divide by 255?)" if high > 2.0 else " (pass the image before normalisation)"
        raise ValueError(f"images: expected values in [0, 1], got [{low:.4g}, {high:.4g}]{hint}.")
