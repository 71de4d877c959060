"""Images from files and arrays, as the tensors that every detector here takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

ImageSource = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor


def load_image(source: ImageSource) -> Tensor:
    """An image as RGB float in [0, 1].

    Args:
        source: a file that Pillow reads (its EXIF orientation is applied), a Pillow image, a
            ``(H, W, 3)`` uint8 array, or a ``(3, H, W)`` / ``(1, 3, H, W)`` float tensor in [0, 1].

    Returns:
        ``(1, 3, H, W)`` float32; a tensor keeps its precision.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is no readable image, has 32 bits per channel, or for a wrong shape,
            range or NaN.
        TypeError: for a wrong type or dtype.

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
        source = _open(Path(source))
    if isinstance(source, Image.Image):
        if source.mode.startswith("I;16"):
            grey = np.asarray(source).astype(np.float32) / 65535.0
            return torch.from_numpy(grey).expand(1, 3, -1, -1).contiguous()
        if source.mode in ("I", "F"):
            raise ValueError(
                f"image: expected 8 or 16 bits per channel, got Pillow's mode {source.mode!r}, "
                "whose range is not known; scale it to [0, 1] and pass a tensor (3, H, W)."
            )
        source = np.asarray(source.convert("RGB"))
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
    pixels = torch.from_numpy(np.ascontiguousarray(source.transpose(2, 0, 1)))
    return pixels[None].float() / 255.0


def _open(path: Path) -> Image.Image:
    if not path.exists():
        raise FileNotFoundError(f"image file {path} does not exist.")
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except (UnidentifiedImageError, ImportError):  # ultralytics patches in a plugin of its own
        raise ValueError(f"{path} is not an image file that Pillow can read.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from None


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
