"""The sanity check on vendors' models: the copy is one, and scores the same candidates."""

from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.metrics import left_of_map, randomised_copy
from captum_ssgc.metrics.randomisation import randomised

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*all-zero map:UserWarning"),
]


@pytest.mark.parametrize(
    "family",
    [
        ("torchvision", "retinanet"),
        ("transformers", "detr"),
        ("transformers", "rt-detr"),
        ("prompts", "owlvit"),
        ("ultralytics", "yolo11n"),
        ("ultralytics", "yolo26n-obb"),
    ],
    ids=lambda one: one[1],
    indirect=True,
)
def test_maps_change_and_the_model_does_not(family, picture):
    detector = family.detector
    found = detector.detect(picture)[0][:1]
    before = {name: p.clone() for name, p in detector.model.state_dict().items()}

    def explained(one):
        wrapper = ssgc.InstanceScoreWrapper(one, found, "logit")
        cam = ssgc.ODAM(wrapper, one.layer_for(found, 0))
        heat = cam.attribute(picture, target=0, interpolate_mode="bilinear")
        return wrapper(picture), heat

    count, name, first = next(randomised(detector, picture))
    assert count == 1
    assert name in dict(detector.model.named_modules())
    assert first.model is not detector.model
    scores, heat = explained(detector)
    random_scores, random_heat = explained(randomised_copy(detector))
    assert not torch.equal(random_scores, scores)
    left = left_of_map(heat, random_heat)
    assert not left.valid.all() or (left.values < 0.99).all()
    assert all(torch.equal(p, before[name]) for name, p in detector.model.state_dict().items())
    torch.testing.assert_close(explained(detector)[0], scores)
