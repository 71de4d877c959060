"""Heat maps as a few hundred bytes of text: enough for a picture, too little for a measurement."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import torch
from torch import Tensor

_SIDE = 48


def packed(heat_map: Tensor) -> str:
    """A map ``(H, W)`` as text; what is negative or not finite becomes 0, the largest value 1."""
    heat_map = heat_map.detach().cpu().float().nan_to_num(0.0, 0.0, 0.0).clamp(min=0.0)
    scale = min(_SIDE / max(heat_map.shape), 1.0)
    height, width = (max(round(length * scale), 1) for length in heat_map.shape)
    small = _resized(heat_map, (height, width))
    peak = float(small.max())
    steps = (small * (255.0 / peak) if peak > 0.0 else small).round().to(torch.uint8)
    content = bytes([height, width]) + steps.numpy().tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def unpacked(text: str, size: tuple[int, int]) -> Tensor:
    """The map ``size`` in [0, 1] that :func:`packed` wrote.

    Raises:
        ValueError: if the text is no packed map.
    """
    try:
        decoder = zlib.decompressobj()
        content = decoder.decompress(base64.b64decode(text, validate=True), 2 + _SIDE * _SIDE)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"small map: {error}") from None
    height, width = (*content[:2], 0, 0)[:2]
    if not height * width or len(content) != 2 + height * width:
        raise ValueError("small map: expected as many bytes as pixels.")
    steps = np.frombuffer(content, np.uint8, offset=2).reshape(height, width)
    return _resized(torch.from_numpy(steps / np.float32(255.0)), size)


def _resized(heat_map: Tensor, size: tuple[int, int]) -> Tensor:
    resized: Tensor = torch.nn.functional.interpolate(
        heat_map[None, None], size, mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0]
