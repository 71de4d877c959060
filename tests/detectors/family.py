"""What a test needs to know about one vendor's model, and how random weights come alive."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc import Detector

Report = dict[str, Tensor]
SIZE = (75, 101)  # no axis fits a canvas without resizing and padding


@dataclass(frozen=True)
class Family:
    """A model with random weights that behaves like a trained one, and its vendor's own calls.

    Args:
        detector: the adapter (Any: tests look at what only some adapters have).
        on_canvas: images to what the vendor reports for the canvas that the adapter makes.
        activation: how scores follow from logits: sigmoid, softmax or fcos.
        levels: how many levels own detections.
        clips: the vendor clips boxes to the image.
        shapes: what reports hold beside boxes: ``corners`` or ``masks``.
        from_bytes: image in bytes ``(3, H, W)`` to the vendor's canvas in [0, 1] and its report,
            all through its own preprocessing, where that rounds to bytes.
        doubled: an image size that the canvas doubles exactly, see :func:`sixteenths`.
        scaled_back: boxes ``(K, 4)`` in image pixels to where the vendor puts them before clipping,
            where it has its own way back from the canvas.
    """

    detector: Detector | Any
    on_canvas: Callable[[Tensor], list[Report]]
    activation: str
    levels: int = 1
    clips: bool = True
    shapes: tuple[str, ...] = ()
    from_bytes: Callable[[Tensor], tuple[Tensor, Report]] | None = None
    doubled: tuple[int, int] = (48, 64)
    scaled_back: Callable[[Tensor], Tensor] | None = None

    def reported(self, boxes: Tensor) -> Tensor:
        """What the vendor reports of boxes ``(K, 4)`` in image pixels."""
        if self.scaled_back is not None:
            boxes = self.scaled_back(boxes)
        if not self.clips:
            return boxes
        height, width = SIZE
        return boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))


def scene(seed: int, size: tuple[int, int] = SIZE) -> Tensor:
    """A smooth random image ``(1, 3, *size)`` with some texture."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    texture = torch.rand(1, 3, *size, generator=generator)
    smooth = F.interpolate(coarse, size, mode="bicubic")
    return (0.8 * smooth + 0.2 * texture).clamp(0.0, 1.0)


def sixteenths(seed: int, size: tuple[int, int]) -> Tensor:
    """An image in bytes ``(3, *size)`` whose doubling by bilinear interpolation needs no rounding.

    The weights are sixteenths, so the result is whole where the values are multiples of 16.
    """
    return (scene(seed, size)[0] * 15).round().to(torch.uint8) * 16


def known_images(doubled: tuple[int, int] | None = None) -> list[Tensor]:
    """Batches that networks are calibrated on: the images of the tests among others."""
    batch = torch.cat([scene(3), scene(3).flip(-1), scene(9)])
    return [batch] if doubled is None else [batch, sixteenths(3, doubled)[None] / 255]


def calibrate(model: nn.Module, forward: Callable[[], object]) -> None:
    """Give every batch norm the statistics of one forward, so that features differ by place."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    if norms:
        with torch.no_grad():
            forward()
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        norm.eval()


def spread(
    heads: Sequence[nn.Module], forward: Callable[[], object], mean: float = -1.0, std: float = 1.5
) -> None:
    """Scale the last layers of a class head: logits of this mean and standard deviation."""
    seen: dict[nn.Module, list[Tensor]] = {head: [] for head in heads}

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        seen[module].append(output.detach().flatten())

    handles = [head.register_forward_hook(keep) for head in heads]
    with torch.no_grad():
        forward()
        for handle in handles:
            handle.remove()
        for head, outputs in seen.items():
            values = torch.cat(outputs)
            factor = std / float(values.std())
            head.weight.mul_(factor)
            head.bias.sub_(values.mean()).mul_(factor).add_(mean)


def enliven(model: nn.Module, classes: Sequence[int]) -> None:
    """Draw linear layers, embeddings and tokens at the scale of trained ones."""
    generator = torch.Generator().manual_seed(7)

    def draw(tensor: Tensor, scale: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                draw(module.weight, 1.5 / math.sqrt(module.in_features))
                if module.out_features in classes:
                    draw(module.bias, 1.0)
            elif isinstance(module, nn.Embedding):
                draw(module.weight, 1.0)
        for name, parameter in model.named_parameters():
            if name.endswith(("tokens", "position_embeddings")):
                draw(parameter, 1.0)
