"""The sanity check on every vendor's models: the copy is one, and scores the same candidates."""

from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.metrics import parameter_randomisation

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*all-zero map:UserWarning"),
]


def test_maps_change_and_the_model_does_not(family, picture):
    detector = family.detector
    found = detector.detect(picture)[0][:3]
    before = {name: p.clone() for name, p in detector.model.state_dict().items()}
    scores = ssgc.InstanceScoreWrapper(detector, found, "logit")(picture)

    def explain(wrapper):
        if wrapper.detector is not detector:
            assert wrapper(picture).shape == (1, len(found))
        cam = ssgc.ODAM(wrapper, wrapper.detector.layer_for(found, 0))
        heat = cam.attribute(picture, target=0, interpolate_mode="bilinear")
        return heat[:, 0].expand(len(found), -1, -1)

    result = parameter_randomisation(detector, picture, found, explain)
    assert result.modules[0] == 1
    assert len(result.modules) >= 3
    assert (result.ssim[-1] < 0.99).all() or not result.valid.any()
    assert all(torch.equal(p, before[name]) for name, p in detector.model.state_dict().items())
    torch.testing.assert_close(ssgc.InstanceScoreWrapper(detector, found, "logit")(picture), scores)
