from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates, Letterbox


def picture() -> torch.Tensor:
    """Red top left, a little green top right, more red bottom right."""
    image = torch.zeros(1, 3, 40, 60)
    image[:, 0, :20, :30] = 0.8
    image[:, 1, :20, 30:] = 0.4
    image[:, 0, 20:, 30:] = 0.6
    return image


def test_a_module_that_returns_boxes_and_scores_is_a_detector(blobs):
    found = ssgc.wrap_detector(blobs).detect(picture())[0]
    assert found.candidates.tolist() == [0, 1, 2, 3]
    assert found.scores.tolist() == pytest.approx([0.8, 0.6, 0.4, 0.3], abs=1e-5)
    assert found.labels.tolist() == [1, 1, 1, 1]
    assert found.boxes[0].tolist() == [0, 0, 30, 20]
    assert torch.equal(found.regions, found.boxes)


def test_suppression_is_by_class_and_keeps_the_best():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [1, 0, 10, 10]]])
    scores = torch.tensor([[[0.9, 0.1], [0.8, 0.2], [0.1, 0.7]]])
    detector = CandidateDetector(lambda images: (boxes, scores), iou_threshold=0.5)
    found = detector.detect(torch.zeros(1, 3, 10, 10))[0]
    assert list(zip(found.candidates.tolist(), found.labels.tolist(), strict=True)) == [
        (0, 0),
        (2, 1),
    ]


@pytest.mark.parametrize("wild", [1e4, 1e9, float("inf"), -1e9])
@pytest.mark.parametrize("label", [0, 1])
def test_a_wild_box_changes_nothing_for_the_others(wild, label):
    """Here classes 0 and 1 lie over one another, and the best of each hides the others of it."""
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(20, 2, generator=generator) * 4
    boxes = torch.cat([first, first + 30], 1)
    scores = torch.zeros(20, 2)
    scores[torch.arange(20), torch.arange(20) % 2] = torch.linspace(0.9, 0.5, 20)
    found = {}
    for ends in (None, wild):
        if ends is not None:
            far = [0.0, 0.0, ends, ends] if ends > 0 else [ends, ends, 1.0, 1.0]
            boxes = torch.cat([boxes, torch.tensor([far])])
            scores = torch.cat([scores, 0.95 * torch.eye(2)[label : label + 1]])
        detector = CandidateDetector(
            lambda images, boxes=boxes, scores=scores: (boxes[None], scores[None])
        )
        found[ends] = detector.detect(torch.zeros(1, 3, 48, 48))[0].candidates.tolist()
    assert found == {None: [0, 1], wild: [20, 0, 1]}


def test_every_class_of_a_candidate_with_multi_label():
    boxes = torch.tensor([[[0.0, 0, 10, 10]]])
    scores = torch.tensor([[[0.9, 0.3, 0.01]]])
    detector = CandidateDetector(lambda images: (boxes, scores), multi_label=True)
    found = detector.detect(torch.zeros(1, 3, 10, 10))[0]
    assert found.labels.tolist() == [0, 1]
    assert found.candidates.tolist() == [0, 0]
    assert found.class_scores.shape == (2, 3)


class Anchored(nn.Module):
    """Logits, anchors and levels on a letterboxed canvas."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, canvas: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.level(canvas).flatten(2).transpose(1, 2)[:, :6]}


def decode(output: dict[str, torch.Tensor]) -> Candidates:
    logits = output["logits"]
    corner = torch.arange(6.0)[:, None] * 4
    boxes = torch.cat([corner, corner, corner + 8, corner + 8], 1)
    return Candidates(
        boxes.expand(len(logits), 6, 4),
        logits.sigmoid(),
        class_logits=logits,
        regions=boxes + 1,
        levels=torch.tensor([0, 0, 0, 1, 1, 1]),
    )


@pytest.fixture
def anchored() -> CandidateDetector:
    torch.manual_seed(0)
    return CandidateDetector(
        Anchored().eval(),
        decode,
        preprocess=Letterbox((32, 32)),
        score_threshold=0.0,
        iou_threshold=0.9,
        level_layers=["level"],
        label_names=["a", "b", "c", "d"],
    )


def test_boxes_and_regions_come_back_in_image_pixels(anchored):
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    found = anchored.detect(image)[0]
    row = found.candidates.tolist().index(2)
    assert found.boxes[row].tolist() == [16, 16, 32, 32]
    assert found.regions[row].tolist() == [18, 18, 34, 34]
    assert sorted(found.levels.tolist()) == [0, 0, 0, 1, 1, 1]
    assert anchored.label_name(2) == "c"


@pytest.mark.parametrize("output", ["score", "logit", "left", "top", "right", "bottom"])
def test_values_are_those_of_the_same_candidates(anchored, output):
    image = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    found = anchored.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(anchored, found, output)
    with torch.no_grad():
        values = wrapper(image)
        candidates = anchored.run(image).candidates
    expected = {
        "score": candidates.class_scores[:, found.candidates, found.labels],
        "logit": candidates.class_logits[:, found.candidates, found.labels],
    }
    boxes = candidates.boxes[:, found.candidates] * 2
    edges = dict(zip(("left", "top", "right", "bottom"), boxes.unbind(-1), strict=True))
    torch.testing.assert_close(values, {**expected, **edges}[output], rtol=0, atol=0)


def test_without_logits_the_logit_is_the_inverse_sigmoid(blobs):
    detector = ssgc.wrap_detector(blobs)
    found = detector.detect(picture())[0]
    logits = ssgc.InstanceScoreWrapper(detector, found, "logit")(picture())[0]
    torch.testing.assert_close(logits.sigmoid(), found.scores)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_logit_of_a_certain_score_is_finite(probability):
    from captum_ssgc.detector import logit_of_probability

    score = torch.tensor([probability], requires_grad=True)
    logit = logit_of_probability(score)
    assert torch.isfinite(logit).all()
    (slope,) = torch.autograd.grad(logit.sum(), score)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (torch.zeros(1, 2), TypeError, "pass decode="),
        ((torch.zeros(1, 2, 5), torch.zeros(1, 2, 1)), ValueError, r"boxes: expected shape"),
        ((torch.zeros(1, 2, 4), torch.zeros(1, 3, 1)), ValueError, r"class_scores: expected"),
        ((torch.zeros(2, 2, 4), torch.zeros(2, 2, 1)), ValueError, "2 rows of candidates for 1"),
    ],
)
def test_what_a_network_may_not_return(output, error, message):
    with pytest.raises(error, match=message):
        CandidateDetector(lambda images: output).detect(torch.zeros(1, 3, 4, 4))


def test_an_unknown_layer_name_is_refused():
    with pytest.raises(ValueError, match="no layer 'levl'"):
        CandidateDetector(Anchored(), decode, level_layers=["levl"])


def test_something_that_cannot_be_called_is_no_detector():
    with pytest.raises(TypeError, match="expected a detection model or a function, got int"):
        ssgc.wrap_detector(3)


def test_a_module_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        CandidateDetector(Anchored(), decode).detect(torch.zeros(1, 3, 8, 8))


def test_no_recommended_layer_is_said(blobs):
    detector = ssgc.wrap_detector(blobs)
    with pytest.raises(ValueError, match="no recommended layer"):
        detector.layer_for(detector.detect(picture())[0], 0)


def test_the_letterbox_agrees_with_a_bilinear_resize_of_bytes():
    """The vendors resize bytes; ours is differentiable and agrees within 2 of 255."""
    from PIL import Image

    generator = torch.Generator().manual_seed(4)
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 16, generator=generator), (96, 128), mode="bicubic"
    ).clamp(0, 1)
    pixels = (smooth * 255).round().to(torch.uint8)
    canvas, geometry = Letterbox((160, 192), value_range=255.0)(pixels / 255)
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    resized = picture.resize((192, 144), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(resized)).float().permute(2, 0, 1)
    assert geometry.scale == (1.5, 1.5)
    assert (canvas[0, :, :144] - expected).abs().max() <= 2.0
    assert torch.all(canvas[0, :, 144:].round() == 114)


@pytest.mark.parametrize("value", [5.0, -0.1, float("nan")])
def test_scores_that_are_no_probabilities_are_refused(value):
    def network(images):
        return torch.zeros(len(images), 2, 4), torch.full((len(images), 2, 3), value)

    with pytest.raises(ValueError, match=r"class_scores: expected probabilities in \[0, 1\]"):
        CandidateDetector(network).detect(torch.zeros(1, 3, 4, 4))
