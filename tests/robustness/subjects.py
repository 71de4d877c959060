"""Small detectors of several kinds, and what is called on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc import metrics
from captum_ssgc.detectors import CandidateDetector, Candidates


class Quarters(nn.Module):
    """Four candidates, the quarters of an 8 x 8 grid, two classes; normalised on the way."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.body = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1))
        self.act = nn.ReLU()
        self.head = nn.Conv2d(8, 2, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        self.eval()

    def forward(self, images: Tensor) -> Candidates:
        height, width = images.shape[-2:]
        cells = self.head(self.act(self.body(self.norm(self.stem(images)))))
        halves = cells.unflatten(3, (2, -1)).unflatten(2, (2, -1))
        logits = halves.mean((3, 5)).flatten(2).transpose(1, 2)
        shares = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]
        boxes = torch.tensor(shares, device=images.device, dtype=images.dtype)
        boxes = boxes * boxes.new_tensor([width, height, width, height])
        return Candidates(boxes + 0.1 * logits.mean(-1, keepdim=True), logits.sigmoid(), logits)


def quarters() -> CandidateDetector:
    return CandidateDetector(
        Quarters(), level_layers=["act"], score_threshold=0.0, iou_threshold=1.0
    )


def small_image() -> Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(4))


@dataclass(frozen=True)
class Subject:
    """A detector, an image, and the calls that are put to the test."""

    detector: ssgc.Detector
    image: Tensor
    detections: ssgc.Detections
    wrapper: ssgc.InstanceScoreWrapper
    layer: nn.Module

    @classmethod
    def of(cls, detector: ssgc.Detector, image: Tensor) -> Subject:
        found = detector.detect(image)[0][:2]
        wrapper = ssgc.InstanceScoreWrapper(detector, found)
        return cls(detector, image, found, wrapper, detector.layer_for(found, 0))

    @property
    def model(self) -> nn.Module:
        return self.detector.model

    def calls(self) -> dict[str, Callable[[], Tensor]]:
        """Each gives the tensor that has to be the same to the last bit."""
        layers = self.detector.level_layers() or [self.layer]
        cam = ssgc.SSGradCAMPlusPlus(self.wrapper, layers)
        drise = ssgc.DRISE(self.wrapper)

        def explain() -> Tensor:
            explained = ssgc.explain(
                self.detector, self.image, ["ssgrad-cam++", "odam"], score_threshold=0.1, top_k=2
            )
            return torch.stack([entry.heat_map for entry in explained])

        def masked() -> Tensor:
            return drise.attribute(
                self.image,
                target=0,
                n_masks=3,
                perturbations_per_eval=2,
                grid=(3, 3),
                generator=torch.Generator().manual_seed(0),
            )

        def curves() -> Tensor:
            maps = self.image[:, 0].sin().expand(len(found), -1, -1)
            measured = metrics.deletion_insertion(
                self.detector, self.image, found, {"a": maps}, settings, perturbations_per_eval=2
            )["a"]
            return torch.stack([measured.deletion["s1"].scores, measured.insertion["s2"].scores])

        def diagnose() -> Tensor:
            missed = ssgc.diagnose(
                *(self.detector, self.image, found.boxes, found.labels),
                method="odam",
                layer=self.layer,
                score_threshold=1.0,
            )
            return torch.stack([heat_map for one in missed for heat_map in one.maps.values()])

        def reliance() -> Tensor:
            relied = metrics.reliance(self.detector, self.image, found, fills=["blur", "noise"])
            figures = [[*one.alone.values(), *one.without.values()] for one in relied]
            return torch.tensor(figures, dtype=torch.float32, device="cpu")

        found, settings = self.detections, metrics.CurveSettings(steps=2)
        return {
            "explain": explain,
            "attribute": lambda: cam.attribute(self.image, target=0, fuse_layers="max"),
            "attribute_instances": lambda: cam.attribute_instances(self.image, fuse_layers="max"),
            "attribute_union": lambda: ssgc.ODAM(self.wrapper, self.layer).attribute_union(
                self.image, targets=[0]
            ),
            "D-RISE": masked,
            "wrapper": lambda: self.wrapper(self.image),
            "detect": lambda: self.detector.detect(self.image)[0].scores,
            "curves": curves,
            "diagnose": diagnose,
            "reliance": reliance,
        }


CALLS = (
    *("explain", "attribute", "attribute_instances", "attribute_union"),
    *("D-RISE", "wrapper", "detect", "curves", "diagnose", "reliance"),
)
