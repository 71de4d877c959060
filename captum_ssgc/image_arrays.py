"""Arrays in files as images of any number of channels: NumPy's and TIFF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

TIFF = (".tif", ".tiff")
_HIGHEST = {"uint8": 255, "uint16": 65535}


def array_file(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file; nothing in it is run.

    Raises:
        ValueError: if it is no such file.
    """
    try:
        array: Any = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as an array: {error}") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: expected one array (.npy), got {type(array).__name__}.")
    return array


def tiff_file(path: Path, channels: int) -> np.ndarray | None:
    """A TIFF file of so many frames, or of a kind that Pillow does not read, as an array.

    Returns:
        ``None`` where Pillow reads it as one picture.

    Raises:
        ImportError: if tifffile is needed and not installed.
        ValueError: if it cannot be read either.
    """
    try:
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            if channels == 1 or frames != channels:
                return None
            pages = []
            for frame in range(frames):
                picture.seek(frame)
                pages.append(np.asarray(picture))
    except Exception as error:  # each of Pillow's readers has its own
        return _with_tifffile(path, error)
    return np.stack(pages)


def image_of(array: np.ndarray, channels: int, what: str) -> Tensor:
    """An array as an image ``(1, c, H, W)``; ``c`` is 1 for an array ``(H, W)``.

    Args:
        array: ``(H, W)``, ``(H, W, channels)`` or ``(channels, H, W)``, of bytes, of 16 bits, or of
            floats.
        channels: of the model.
        what: where it came from, for messages.

    Raises:
        ValueError: for another shape or kind of numbers.
    """
    pixels = array[None] if array.ndim == 2 else array
    if array.ndim == 3 and array.shape[2] == channels:
        pixels = array.transpose(2, 0, 1)
    elif array.ndim != 2 and (array.ndim != 3 or array.shape[0] != channels):
        raise ValueError(
            f"{what}: expected an array (H, W, {channels}) or ({channels}, H, W), as the model "
            f"takes {channels} channels, got {array.shape}."
        )
    highest = _HIGHEST.get(array.dtype.name, 1)
    if array.dtype.kind != "f" and highest == 1:
        raise ValueError(
            f"{what}: expected numbers of 8 or 16 bits, or floats in [0, 1], got {array.dtype}; "
            "scale them to [0, 1]."
        )
    values = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return values[None] / highest


def _with_tifffile(path: Path, reason: Exception) -> np.ndarray:
    try:
        import tifffile
    except ImportError:
        raise ImportError(
            f"{path}: Pillow cannot read this TIFF file ({reason}); tifffile may: pip install "
            "tifffile. Or pass a tensor (C, H, W) in [0, 1]."
        ) from None
    try:
        array: np.ndarray = tifffile.imread(path)
    except Exception as error:  # of whatever is wrong with the file
        raise ValueError(f"{path} cannot be read as an image: {error}") from None
    if not array.size:  # what tifffile makes of a file without pages
        raise ValueError(f"{path} cannot be read as an image: there is none in it.")
    return array
