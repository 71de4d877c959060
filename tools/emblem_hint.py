"""A training aid: every pyramid level also names the emblem under each of its cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc.data import CLASS_NAMES, Scene

STRIDES = (8, 16, 32)
_IGNORED = -1
# A cell is an emblem's when at least the upper share of it is covered; below the lower share it
# is background; in between it does not count.
_LOWER_SHARE, _UPPER_SHARE = 0.05, 0.3


def emblem_cells(scene: Scene) -> tuple[Tensor, ...]:
    """What each pyramid cell should say.

    Args:
        scene: A scene of any size.

    Returns:
        One int64 tensor ``(ceil(H / s), ceil(W / s))`` per stride ``s``, of the canvas padded to
        whole multiples of 32: the class of the emblem, 0 for none, -1 where it is left open.
    """
    height, width = scene.image.shape[-2:]
    planes = torch.zeros(len(CLASS_NAMES), height, width)
    for label, mask in zip(scene.labels.tolist(), scene.emblem_masks):
        planes[label] += mask
    planes = F.pad(planes, (0, -width % 32, 0, -height % 32))
    cells = []
    for stride in STRIDES:
        share, label = F.avg_pool2d(planes[None], stride)[0, 1:].max(dim=0)
        open_cells = torch.where(share > _LOWER_SHARE, _IGNORED, 0)
        cells.append(torch.where(share >= _UPPER_SHARE, label + 1, open_cells))
    return tuple(cells)


class EmblemHint(nn.Module):
    """A 1 x 1 convolution per pyramid level and its loss; used in training only.

    Args:
        channels: Channels of the pyramid: one number for all levels, or one for each.
    """

    def __init__(self, channels: int | Sequence[int]) -> None:
        super().__init__()
        widths = [channels] * len(STRIDES) if isinstance(channels, int) else channels
        self.heads = nn.ModuleList(nn.Conv2d(width, len(CLASS_NAMES), 1) for width in widths)

    def forward(self, features: Sequence[Tensor], cells: Sequence[Tensor]) -> Tensor:
        """The loss of one batch.

        Args:
            features: Pyramid levels of strides 8, 16 and 32, each ``(N, C, h, w)``.
            cells: Targets of :func:`emblem_cells`, stacked: ``(N, h, w)`` per level.

        Returns:
            A scalar: cross entropy, half from emblem cells and half from the others.
        """
        loss = torch.zeros(())
        for head, level, target in zip(self.heads, features, cells, strict=True):
            named = head(level)
            each = F.cross_entropy(named, target, ignore_index=_IGNORED, reduction="none")
            for chosen in (target > 0, target == 0):
                loss = loss + (each * chosen).sum() / chosen.sum().clamp(min=1) / 2
        return loss / len(self.heads)
