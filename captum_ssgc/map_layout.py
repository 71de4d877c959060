"""Which axes of a layer's output are rows and columns, told by the canvas that they cover."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

# Networks whose blocks give (N, h, w, C).
_CHANNELS_LAST = (
    "torchvision.models.swin_transformer",
    "timm.models.swin_transformer",
    "timm.models.swin_transformer_v2",
    "timm.models.mambaout",
)
_ROUNDED = 0.15  # cells that a stack of unpadded convolutions may leave out, as a share


class ChannelsFirst:
    """Brings maps ``(N, h, w, C)`` to ``(N, C, h, w)``; others are given back as they are.

    Args:
        canvas_size: ``(H, W)`` of the network's input, in pixels.

    Example:
        >>> import torch
        >>> from captum_ssgc.map_layout import ChannelsFirst
        >>> ChannelsFirst((32, 64))(torch.rand(1, 8, 16, 96)).shape
        torch.Size([1, 96, 8, 16])
    """

    def __init__(self, canvas_size: tuple[int, int]) -> None:
        self.canvas_size = canvas_size

    def __call__(self, tensor: Tensor) -> Tensor:
        if tensor.dim() != 4 or _fits(tensor.shape[2:], self.canvas_size):
            return tensor
        last = _fits(tensor.shape[1:3], self.canvas_size)
        return tensor.permute(0, 3, 1, 2) if last else tensor


def check_map_layout(shape: Sequence[int], canvas_size: tuple[int, int], layer: str) -> None:
    """Check that a layer's output is ``(N, C, h, w)`` with one stride of at least a pixel.

    Args:
        shape: of the output, four axes.
        canvas_size: ``(H, W)`` of the network's input, in pixels.
        layer: its name, for the message.

    Raises:
        ValueError: if no stride of a pixel or more, the same on both axes, explains the last two.

    Example:
        >>> from captum_ssgc.map_layout import check_map_layout
        >>> check_map_layout((1, 256, 25, 38), (800, 1216), "fpn")
    """
    rows, columns = shape[-2:]
    if _fits((rows, columns), canvas_size):
        return
    last = _fits(tuple(shape[-3:-1]), canvas_size)
    if not last and _fits((rows, columns), canvas_size, _ROUNDED):
        return
    height, width = canvas_size
    advice = (
        "it looks like (N, h, w, C): pass reshape_transform=lambda x: x.permute(0, 3, 1, 2)"
        if last
        else "pass reshape_transform, a function that brings it to (N, C, h, w)"
    )
    raise ValueError(
        f"layer {layer!r} gives {tuple(shape)}, which is no map (N, C, h, w) of a canvas of "
        f"{height} x {width} pixels: cells would be {height / rows:.3g} x {width / columns:.3g} "
        f"pixels; {advice}."
    )


def is_map(shape: Sequence[int], canvas_size: tuple[int, int]) -> bool:
    """Whether a shape can only be read as ``(N, C, h, w)`` on a canvas of ``(H, W)`` pixels."""
    if len(shape) != 4 or not _fits(shape[2:], canvas_size):
        return False
    return not _fits(shape[1:3], canvas_size)


def are_channels_last(shapes: Sequence[Sequence[int]], canvas_size: tuple[int, int]) -> bool:
    """Whether maps of one network are all ``(N, h, w, C)``, and not all ``(N, C, h, w)``.

    Example:
        >>> from captum_ssgc.map_layout import are_channels_last
        >>> are_channels_last([(1, 8, 12, 7), (1, 4, 6, 7)], (64, 96))
        True
    """
    first = all(_fits(shape[2:4], canvas_size) for shape in shapes)
    return not first and all(_fits(shape[1:3], canvas_size) for shape in shapes)


def gives_channels_last(module: nn.Module) -> bool:
    """Whether there are blocks in a module that are known to give ``(N, h, w, C)``."""
    return any(type(part).__module__ in _CHANNELS_LAST for part in module.modules())


def _fits(grid: Sequence[int], canvas: tuple[int, int], rounded: float = 0.0) -> bool:
    """Whether one stride of a pixel or more gives this grid, one cell more or less."""
    lowest, highest = 0.0, float("inf")
    for cells, pixels in zip(grid, canvas, strict=True):
        margin = max(1.0, rounded * cells)
        lowest = max(lowest, pixels / (cells + margin))
        if cells > margin:
            highest = min(highest, pixels / (cells - margin))
    return lowest <= highest and highest >= 1.0
