"""Maps that answer why: compared with what one can compute by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates

NAMES = ["cat", "dog"]
WIDTH = 24


class Colours(nn.Module):
    """Two candidates, the left and the right third; ODAM's maps of it are the pixels' colours.

    A cat is red without green, a dog is blue; green moves the right edge.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Identity()
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        features = self.layer(images * 1.0)
        boxes, logits = [], []
        for left in (0, 16):
            red, green, blue = features[:, :, :, left : left + 8].mean((2, 3)).unbind(1)
            logits.append(torch.stack([red - green - 0.5, blue - 0.5], 1))
            zero = torch.zeros_like(green)
            boxes.append(torch.stack([zero + left, zero, left + 4 + 8 * green, zero + 8], 1))
        each = torch.stack(logits, 1)
        return Candidates(torch.stack(boxes, 1), each.sigmoid(), class_logits=each)


@pytest.fixture
def detector():
    network = Colours().eval()
    options = {"score_threshold": 0.05, "target_layers": ["layer"], "label_names": NAMES}
    return CandidateDetector(network, **options)


def image_of(red, green, blue, place=0):
    image = torch.zeros(1, 3, 8, WIDTH)
    for channel, value in enumerate((red, green, blue)):
        image[:, channel, :4, place : place + 8] = value
        image[:, channel, 4:, place : place + 8] = value / 2
    return image


def diagnosed(detector, image, box, label, **options):
    options = {"method": "odam", "layer": "layer", **options}
    [one] = [
        one
        for one in ssgc.diagnose(detector, image, torch.tensor([box]), [label], **options)
        if one.object_index == 0
    ]
    return one


def summed(image, red, green, blue, count=64):
    weights = torch.tensor([red, green, blue])[:, None, None]
    inside = torch.zeros(8, WIDTH)
    inside[:, :8] = 1.0
    return ((image[0] * weights).sum(0) * inside / count).clamp(min=0.0)


def test_what_speaks_for_and_against_the_class_of_a_missed_object(detector):
    image = image_of(0.4, 0.0, 0.0)
    image[0, 1, :, :4] = 0.5  # half of it speaks against a cat, so that the box is not off
    one = diagnosed(detector, image, [0.0, 0.0, 6.0, 8.0], "cat")
    assert (one.kind, one.mechanism) == ("missed", "under the threshold")
    assert set(one.maps) == {"for", "against"}
    torch.testing.assert_close(one.maps["for"], summed(image, 1.0, -1.0, 0.0))
    torch.testing.assert_close(one.maps["against"], summed(image, -1.0, 1.0, 0.0))
    assert one.maps["for"].any()
    assert one.maps["against"].any()


def test_why_a_dog_and_not_a_cat(detector):
    image = image_of(0.5, 0.5, 1.0)
    one = diagnosed(detector, image, [0.0, 0.0, 7.0, 8.0], "cat")
    assert (one.kind, one.mechanism) == ("wrong class", "another class wins")
    torch.testing.assert_close(one.maps["contrast"], summed(image, -1.0, 1.0, 1.0))
    torch.testing.assert_close(one.maps["for"], summed(image, 1.0, -1.0, 0.0))


@pytest.mark.parametrize(
    ("box", "edge", "off", "sign"),
    [
        ([0.0, 0.0, 3.0, 8.0], "right", 4.0, 1.0),
        ([0.0, 0.0, 20.0, 8.0], "right", -13.0, -1.0),
    ],
    ids=["too far right", "too far left"],
)
def test_what_moves_the_edge_that_is_off(detector, box, edge, off, sign):
    image = image_of(0.0, 0.5, 1.0)
    one = diagnosed(detector, image, box, "dog")
    assert (one.kind, one.edge) == ("badly placed", edge)
    assert one.edge_off_by == pytest.approx(off)
    torch.testing.assert_close(one.maps["edge"], summed(image, 0.0, sign * 8.0, 0.0))
    assert bool(one.maps["edge"].any()) == (sign > 0)
    assert f"right edge off by {off:+.0f} px" in str(one)


def test_a_false_alarm_has_the_evidence_for_it(detector):
    image = image_of(0.0, 0.5, 1.0)
    [one] = ssgc.diagnose(detector, image, torch.zeros(0), [], method="odam", layer="layer")
    assert one.kind == "background"
    assert set(one.maps) == {"for", "against"}
    torch.testing.assert_close(one.maps["for"], summed(image, 0.0, 0.0, 1.0))


def test_a_second_detection_on_an_object_has_the_contrast_to_it():
    boxes = torch.tensor([[[0.0, 0, 8, 8], [0, 0, 8, 7]]])

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, images):
            means = self.layer(images * 1.0).mean((2, 3))
            scores = torch.stack([means[:, :2], means[:, 1:]], 1)
            return boxes, scores

    image = torch.tensor([0.9, 0.2, 0.8])[None, :, None, None].expand(1, 3, 8, 8)
    found = ssgc.diagnose(
        CandidateDetector(Two().eval(), target_layers=["layer"]), image, boxes[0, :1], [0],
        method="odam", layer="layer",
    )  # fmt: skip
    assert [(one.kind, one.mistaken_for) for one in found] == [("found", None), ("wrong class", 0)]
    assert found[0].maps == {}
    assert set(found[1].maps) == {"for", "against", "contrast"}


def test_all_of_it_from_one_forward(detector):
    before = detector.model.calls
    diagnosed(detector, image_of(0.5, 0.5, 1.0), [0.0, 0.0, 7.0, 8.0], "cat")
    assert detector.model.calls == before + 1


def test_maps_are_those_of_explain_at_the_same_box(faster_rcnn, image):
    """The candidate of a missed object, on a detector with levels."""
    detector = ssgc.wrap_detector(faster_rcnn)
    found = detector.detect(image)[0]
    options = {"score_threshold": 1.0, "method": "ssgrad-cam++"}
    some = found[[0, 3]]
    missed = ssgc.diagnose(detector, image, some.boxes, some.labels, **options)
    assert [one.mechanism for one in missed] == ["under the threshold"] * 2
    for one in missed:
        for name, output in (("for", "logit"), ("against", "-logit")):
            [asked] = ssgc.explain(
                detector, image, boxes=one.candidate.boxes, labels=one.candidate.labels,
                output=output,
            )  # fmt: skip
            assert torch.equal(asked.box, one.candidate.boxes[0])
            torch.testing.assert_close(asked.heat_map, one.maps[name])


def test_a_method_without_gradients_cannot_tell(detector):
    with pytest.raises(ValueError, match="'d-rise' explains a detection as a whole"):
        diagnosed(detector, image_of(0.5, 0.5, 1.0), [0.0, 0.0, 7.0, 8.0], "cat", method="d-rise")
