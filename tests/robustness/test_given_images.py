"""Functions of the user may write to what they are given; the user's images stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from robustness.subjects import CALLS, Quarters, Subject, small_image
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.detectors import BlackBoxDetector, CandidateDetector, Candidates, Letterbox
from captum_ssgc.geometry import ImageGeometry

SETTINGS = {"level_layers": ["act"], "score_threshold": 0.0, "iou_threshold": 1.0}


class Writing(Quarters):
    """Normalises its input where it lies."""

    def forward(self, images: Tensor) -> Candidates:
        return super().forward(images.sub_(0.5).mul_(2.0))


class Careful(Quarters):
    def forward(self, images: Tensor) -> Candidates:
        return super().forward((images - 0.5) * 2.0)


def writing(images: Tensor) -> tuple[Tensor, ImageGeometry]:
    return images.sub_(0.5).mul_(2.0), ImageGeometry.identity((16, 16))


def as_given(images: Tensor) -> tuple[Tensor, ImageGeometry]:
    return images, ImageGeometry.identity((16, 16))


DETECTORS: dict[str, Callable[[], ssgc.Detector]] = {
    "network": lambda: CandidateDetector(Writing(), **SETTINGS),
    "preprocess": lambda: CandidateDetector(Quarters(), preprocess=writing, **SETTINGS),
    "network behind preprocess": lambda: CandidateDetector(
        Writing(), preprocess=as_given, **SETTINGS
    ),
    "network behind a letterbox": lambda: CandidateDetector(
        Writing(), preprocess=Letterbox(16), **SETTINGS
    ),
}


@cache
def expected(call: str) -> Tensor:
    careful = Subject.of(CandidateDetector(Careful(), **SETTINGS), small_image())
    return careful.calls()[call]().detach()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", DETECTORS)
def test_images_stay_as_they_are(name, call):
    image = small_image()
    subject = Subject.of(DETECTORS[name](), image)
    assert torch.equal(subject.calls()[call]().detach(), expected(call))
    assert torch.equal(image, small_image())


def test_a_gradient_goes_to_images_that_are_written_to():
    images = {name: small_image().requires_grad_() for name in ("writing", "careful")}
    for network, image in zip((Writing(), Careful()), images.values(), strict=True):
        detector = CandidateDetector(network, **SETTINGS)
        found = detector.detect(image.detach())[0][:1]
        ssgc.InstanceScoreWrapper(detector, found)(image).sum().backward()
    assert torch.equal(images["writing"].grad, images["careful"].grad)
    assert bool(images["writing"].grad.any())


@pytest.mark.parametrize("preprocess", [None, as_given, writing, Letterbox(16)])
def test_images_of_a_black_box_stay_as_they_are(preprocess):
    def service(images: Tensor) -> list[dict[str, Tensor]]:
        boxes, labels = torch.tensor([[2.0, 2, 12, 12]]), torch.tensor([1])
        scores = images.mean((1, 2, 3)).abs()
        images.zero_()
        return [{"boxes": boxes, "scores": one[None], "labels": labels} for one in scores]

    image = small_image()
    detector = BlackBoxDetector(service, preprocess=preprocess, score_threshold=0.0, class_count=2)
    first = detector.detect(image)[0]
    options = {"d-rise": {"n_masks": 4}}
    ssgc.explain(detector, image, "d-rise", score_threshold=0.0, method_options=options)
    assert torch.equal(image, small_image())
    assert torch.equal(detector.detect(image)[0].scores, first.scores)
