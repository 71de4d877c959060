"""Functions of the user may write to what they are given; the user's images stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from robustness.subjects import CALLS, Quarters, Subject, small_image
from small_backbones import pyramid
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform

import captum_ssgc as ssgc
from captum_ssgc.composites import composite_of
from captum_ssgc.detectors import BlackBoxDetector, CandidateDetector, Candidates, Letterbox
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.report import explained_page

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


class WritingBox(Letterbox):
    def __call__(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        return super().__call__(images.sub_(0.5).mul_(2.0))


DETECTORS: dict[str, Callable[[], ssgc.Detector]] = {
    "network": lambda: CandidateDetector(Writing(), **SETTINGS),
    "preprocess": lambda: CandidateDetector(Quarters(), preprocess=writing, **SETTINGS),
    "network behind preprocess": lambda: CandidateDetector(
        Writing(), preprocess=as_given, **SETTINGS
    ),
    "network behind a letterbox": lambda: CandidateDetector(
        Writing(), preprocess=Letterbox(16), **SETTINGS
    ),
    "kind of letterbox": lambda: CandidateDetector(
        Quarters(), preprocess=WritingBox(16), **SETTINGS
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


class WritingTransform(GeneralizedRCNNTransform):
    def normalize(self, image: Tensor) -> Tensor:
        return image.sub_(0.5).div_(0.25)


def changed(model: nn.Module, kind: str) -> nn.Module:
    """A torchvision model with something of the user's that writes to images."""
    if kind == "transform":
        model.transform.__class__ = WritingTransform
        return model

    def forward(self: nn.Module, images: list[Tensor], targets: None = None) -> object:
        return type(model).__mro__[1].forward(self, [image.mul_(0.5) for image in images], targets)

    model.__class__ = type("Mine", (type(model),), {"forward": forward})
    return model


@pytest.mark.parametrize("kind", ["transform", "model"])
@pytest.mark.parametrize("family", [FCOS, FasterRCNN])
def test_images_of_a_vendors_subclass_stay_as_they_are(family, kind):
    torch.manual_seed(0)
    limits = {"box_score_thresh": 0.0} if family is FasterRCNN else {"score_thresh": 0.0}
    model = family(pyramid((1, 2, 3, 4)), num_classes=3, min_size=64, max_size=64, **limits)
    detector = ssgc.wrap_detector(changed(model.eval(), kind))
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    first = detector.detect(image)[0][:2]
    wrapper = ssgc.InstanceScoreWrapper(detector, first)
    assert torch.allclose(wrapper(image)[0], first.scores)
    ssgc.explain(detector, image, "odam", score_threshold=0.0, top_k=1)
    assert torch.equal(image, torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4)))
    assert torch.equal(detector.detect(image)[0][:2].scores, first.scores)


def stretched(image: Any) -> Any:
    image -= image.min()
    image /= 2 * image.max()
    return image


def test_photos_stay_as_they_are_where_a_composite_writes():
    found = ssgc.explain(DETECTORS["network"](), small_image(), score_threshold=0.1)
    found.overview(composite=stretched)
    assert torch.equal(found.image, small_image())
    array = small_image()[0].numpy()
    assert float(composite_of(array, stretched)[0].max()) == 0.5
    assert np.array_equal(array, small_image()[0].numpy())


def test_explanations_keep_their_photo_when_the_next_frame_comes():
    """A film that is read into the same memory."""
    frame = small_image()
    found = ssgc.explain(DETECTORS["network"](), frame, score_threshold=0.1)
    page = explained_page("first", frame[0].numpy(), found)
    frame.zero_()
    assert torch.equal(found.image, small_image())
    assert np.array_equal(page.image, small_image()[0].numpy())


@pytest.mark.parametrize("takes", ["array", "batch"])
def test_reports_in_the_same_memory_each_time_are_read_in_time(takes):
    """As runtimes give them that bind their outputs to memory."""
    boxes, scores = np.array([[2.0, 2, 12, 12]], np.float32), np.zeros(1, np.float32)

    def service(images: Any) -> Any:
        scores[:] = float(images.mean()) / (255 if takes == "array" else 1)
        report = (boxes, scores, np.array([1]))
        return report if takes == "array" else [report]

    detector = BlackBoxDetector(service, takes=takes, batch_size=1, class_count=2)
    images = torch.stack([torch.full((3, 16, 16), value) for value in (0.8, 0.2)])
    found = detector.detect(images)
    boxes[:] = [3.0, 3, 9, 9]
    detector.detect(images[1:])
    assert [round(float(one.scores), 4) for one in found] == [0.8, 0.2]
    assert found[0].boxes.tolist() == [[2.0, 2.0, 12.0, 12.0]]
