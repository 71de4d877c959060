"""torchvision's pyramid over a residual network, with fewer blocks and channels than usual."""

from __future__ import annotations

from collections.abc import Sequence

from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

CHANNELS = 64


def residual() -> ResNet:
    """``resnet18`` with one block per stage."""
    return ResNet(BasicBlock, [1, 1, 1, 1])


def pyramid(
    stages: Sequence[int] = (1, 2, 3, 4),
    extra: ExtraFPNBlock | None = None,
    channels: int = CHANNELS,
) -> BackboneWithFPN:
    """As ``resnet_fpn_backbone`` makes it of ``resnet18``, whose first layers it freezes too."""
    body = residual()
    for name in ("conv1", "bn1", "layer1"):
        body.get_submodule(name).requires_grad_(False)
    names = {f"layer{stage}": str(place) for place, stage in enumerate(stages)}
    widths = [32 * 2**stage for stage in stages]
    return BackboneWithFPN(body, names, widths, channels, extra)
