"""Every vendor's model on a GPU gives the detections and maps that it gives on a CPU."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from detectors.plain_maps import plain_heat_maps

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, LayerMethod, Layers, recording

pytestmark = pytest.mark.gpu
RECORDED = [method for method in METHODS.values() if issubclass(method, LayerMethod)]


def moved(detector, device):
    """A copy whose model was sent to a device afterwards, as a user may do with a wrapped one."""
    copied = copy.deepcopy(detector)
    copied.model.to(device)
    return copied


def maps_of(detector, picture, found):
    requests = [method.request({}) for method in RECORDED]
    with recording(detector, Layers.of_detector(detector), picture) as run:
        return torch.stack([made.heat_maps() for made in run.heat_maps(requests, found)])


def shapes(maps):
    return maps / maps.flatten(2).abs().amax(-1)[..., None, None].clamp(min=1e-30)


def test_detections_are_those_of_the_cpu(family, picture, accelerator):
    expected = family.detector.detect(picture)[0]
    found = moved(family.detector, accelerator).detect(picture.to(accelerator))[0]
    assert found.boxes.device.type == accelerator.type
    assert len(found) == len(expected)
    torch.testing.assert_close(found.scores.cpu(), expected.scores, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_maps_are_those_of_the_cpu(family, picture, accelerator):
    """But for those that are nothing but rounding, as what they sum cancels out (SSD300)."""
    found = family.detector.detect(picture)[0][:6]
    [sums] = plain_heat_maps(family.detector, picture, found, [(METHODS["hires-cam"], {})])
    kept = [row for row, (one, scale) in enumerate(sums) if float(one.max()) > 1e-3 * scale]
    assert kept
    expected = shapes(maps_of(family.detector, picture, found[kept]))
    detector = moved(family.detector, accelerator)
    made = maps_of(detector, picture.to(accelerator), found[kept].to(accelerator))
    assert made.device.type == accelerator.type
    torch.testing.assert_close(shapes(made.cpu()), expected, rtol=0.0, atol=0.01)


def need_half(detector, image):
    """Skips the test where the vendor's own operations do not take this precision."""
    try:
        with torch.no_grad():
            detector.run(image)
            detector.detect(image)
    except (RuntimeError, NotImplementedError) as error:
        if not re.search("not implemented for|must have the same dtype", str(error)):
            raise
        pytest.skip(f"the vendor's own run: {error}")


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("kind", ["bfloat16", "float16", "autocast"])
def test_half_precision_explains(family, picture, accelerator, kind):
    """What the vendor's model itself finds in half precision is explained, in numbers."""
    detector = moved(family.detector, accelerator)
    image = picture.to(accelerator)
    autocast = torch.autocast(accelerator.type, torch.float16, enabled=kind == "autocast")
    if kind != "autocast":
        detector.model.to(getattr(torch, kind))
    with autocast:
        need_half(detector, image)
        made = ssgc.explain(detector, image, ["odam", "ssgrad-cam++"], score_threshold=0, top_k=3)
    assert made
    for one in made:
        assert one.heat_map.dtype == torch.float32
        assert one.heat_map.isfinite().all()
        assert one.heat_map.max() > 0
