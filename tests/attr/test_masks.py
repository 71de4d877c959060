"""The mask argument of SSGrad-CAM++, from names to an instance mask of Mask R-CNN."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import references
import torch

import captum_ssgc as ssgc
from captum_ssgc.attr._masks import resolve_mask


@pytest.fixture
def cam(wrapper):
    return ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)


def cells(rows, columns):
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., rows, columns] = True
    return mask


QUARTER = cells(slice(2, 4), slice(2, 4))
ONE_CELL = cells(3, 3)
BOTTOM = cells(slice(2, 4), slice(0, 4))


def test_region_is_the_default_and_marks_the_candidates_region(cam, image):
    """The best detection is the bottom right quarter."""
    expected = cam.attribute(image, target=0, mask=QUARTER)
    assert torch.equal(cam.attribute(image, target=0), expected)
    assert torch.equal(cam.attribute(image, target=0, mask="region"), expected)
    assert not torch.allclose(cam.attribute(image, target=0, mask=None), expected)


def test_box_marks_the_predicted_box(cam, image, wrapper, detections):
    geometry = wrapper.detector.geometry((8, 8))
    inside = geometry.boxes_to_grid(detections.boxes[:1], (4, 4))
    expected = cam.attribute(image, target=0, mask=inside)
    assert torch.equal(cam.attribute(image, target=0, mask="box"), expected)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.float32], ids=str)
def test_image_pixels_and_grid_cells_agree(cam, image, kind):
    grid = torch.zeros(1, 1, 4, 4)
    grid[..., 2:, 3] = 1
    pixels = grid.repeat_interleave(2, 2).repeat_interleave(2, 3)
    by_grid = cam.attribute(image, target=0, mask=grid.to(kind))
    assert torch.equal(cam.attribute(image, target=0, mask=pixels.to(kind)), by_grid)
    assert not torch.allclose(by_grid, cam.attribute(image, target=0))


def test_a_mask_per_channel(cam, image):
    both, first, second = (
        cam.attribute(image, target=0, mask=mask, attr_dim_summation=False)
        for mask in (torch.cat([QUARTER, ONE_CELL], 1), QUARTER, ONE_CELL)
    )
    torch.testing.assert_close(both, torch.cat([first[:, :1], second[:, 1:]], 1))
    assert not torch.allclose(both, first)


def test_a_mask_per_example_and_per_instance(cam, image):
    masks = torch.cat([ONE_CELL, BOTTOM])
    batch = cam.attribute(image.expand(2, -1, -1, -1), target=[0, 1], mask=masks)
    instances = cam.attribute_instances(image, [0, 1], mask=masks)
    torch.testing.assert_close(instances, batch)
    for row in (0, 1):
        alone = cam.attribute(image, target=row, mask=masks[row : row + 1])
        torch.testing.assert_close(instances[row : row + 1], alone)


def test_a_halo_is_as_wide_as_the_mask_of_its_own_instance(wrapper, image):
    cam = ssgc.SSGradCAMPlusMinus(wrapper, wrapper.model.fine)
    masks = torch.cat([QUARTER, cells(slice(0, 4), slice(0, 4))])
    plain, found = (
        cam.attribute_instances(image, [0, 0], mask=masks, halo=halo) for halo in (0.0, 0.5)
    )
    single = cam.attribute(image, target=0, mask=QUARTER, halo=0.5)
    torch.testing.assert_close(single, found[:1])
    for one, mask, around in zip(plain[:, 0], masks[:, 0], found[:, 0], strict=True):
        expected = references.halo(one.numpy(), mask.numpy(), 0.5)
        np.testing.assert_allclose(around.numpy(), expected, rtol=1e-5)


def test_one_mask_for_all_instances(cam, image):
    """Detections 0 and 1 are the two quarters at the bottom."""
    shared = cam.attribute_instances(image, [0, 1], mask=BOTTOM)
    alone = [cam.attribute(image, target=row, mask=BOTTOM) for row in (0, 1)]
    torch.testing.assert_close(shared, torch.cat(alone))


def test_a_tensor_serves_any_forward_function(classifier):
    images = torch.rand(2, 3, 12, 10)
    cam = ssgc.SSGradCAMPlusPlus(classifier, classifier[1])
    everywhere = cam.attribute(images, target=1, mask=torch.ones(1, 1, 12, 10))
    torch.testing.assert_close(everywhere, cam.attribute(images, target=1, mask=None))
    left = torch.zeros(1, 1, 12, 10)
    left[..., :4] = 1
    assert not torch.allclose(cam.attribute(images, target=1, mask=left), everywhere)


def test_resolving_none_is_none(wrapper):
    geometry = wrapper.detector.geometry((8, 8))
    layer = torch.zeros(1, 2, 4, 4)
    assert resolve_mask(None, layer, 1, geometry, geometry.cells((4, 4)), None) is None


@pytest.mark.filterwarnings("ignore:.*all-zero map")  # random masks, random features
def test_the_instance_masks_of_mask_rcnn(mask_rcnn):
    """As the model gives them, ``(K, 1, H, W)``; random ones are cut at half of their maximum."""
    image = torch.rand(1, 3, 48, 80, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        reported = mask_rcnn([image[0]])[0]
    detector = ssgc.wrap_detector(mask_rcnn)
    detections = detector.detect(image)[0]
    torch.testing.assert_close(detections.boxes, reported["boxes"])
    masks = reported["masks"] > 0.5 * reported["masks"].amax((1, 2, 3), keepdim=True)
    assert masks.shape == (5, 1, 48, 80)
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.level_layers())
    maps = cam.attribute_instances(image, mask=masks, fuse_layers="max")
    assert maps.amax((1, 2, 3)).max() > 0
    for row in (0, 1):
        layer = detector.layer_for(detections, row)
        one = ssgc.SSGradCAMPlusPlus(wrapper, layer)
        options = {"target": row, "interpolate_mode": "bilinear"}
        found = one.attribute(image, mask=masks[row : row + 1], **options)
        scale = float(found.max())
        torch.testing.assert_close(maps[row : row + 1], found, rtol=1e-3, atol=1e-4 * scale)
        size = tuple(one.attribute(image, target=row).shape[-2:])
        cells = detector.cell_grid(layer, (48, 80), size)
        inside = detector.geometry((48, 80)).mask_to_grid(masks[row : row + 1], cells)
        assert torch.equal(found, one.attribute(image, mask=inside, **options))


def masked(detections, masks):
    return replace(detections, masks=masks)


@pytest.mark.parametrize("soft", [False, True])
def test_the_detections_own_mask_is_used_by_name(image, detector, detections, soft):
    """Of a soft mask the pixels of at least one half; a mask without any falls back to the box."""
    masks = torch.zeros(len(detections), 8, 8)
    masks[0, 4:, 6:] = 0.5
    masks[0, :4, :4] = 0.49
    masks = masks if soft else masks >= 0.5
    wrapper = ssgc.InstanceScoreWrapper(detector, masked(detections, masks))
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    by_tensor = cam.attribute(image, target=0, mask=cells(slice(2, 4), 3))
    assert torch.equal(cam.attribute(image, target=0, mask="mask"), by_tensor)
    second = cam.attribute(image, target=1, mask="mask")
    assert torch.equal(second, cam.attribute(image, target=1, mask="box"))
    together = cam.attribute_instances(image, targets=[1, 0], mask="mask")
    torch.testing.assert_close(together, torch.cat([second, by_tensor]))


def test_detections_without_masks_cannot_use_them(cam, image):
    with pytest.raises(ValueError, match=r"these detections have no masks.*use 'region' or 'box'"):
        cam.attribute(image, target=0, mask="mask")


def test_explain_uses_the_masks_that_the_model_gives(mask_rcnn):
    photo = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(3))
    options = {"score_threshold": 0.0, "top_k": 2, "output": "logit"}
    model = copy.deepcopy(mask_rcnn)
    with torch.no_grad():  # random ones are 0.5 everywhere
        model.roi_heads.mask_predictor.mask_fcn_logits.weight.mul_(1e4)
    detector = ssgc.wrap_detector(model)
    found = ssgc.explain(detector, photo, mask="mask", **options)
    by_region = ssgc.explain(detector, photo, **options)
    detections = detector.detect(photo)[0][[one.index for one in found]]
    assert detections.masks.shape[1:] == photo.shape[-2:]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections, "logit")
    for row, (one, other) in enumerate(zip(found, by_region, strict=True)):
        cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.layer_for(detections, row))
        mask = detections.mask_pixels()[row][None, None]
        assert mask.any()
        own = cam.attribute(photo, target=row, mask=mask, interpolate_mode="bilinear")
        torch.testing.assert_close(one.heat_map, own[0, 0], atol=1e-6, rtol=1e-4)
        assert not torch.allclose(one.heat_map, other.heat_map)
    with pytest.raises(ValueError, match="candidates that it does not report"):
        ssgc.explain(detector, photo, mask="mask", boxes=detections.boxes[:1], labels=[1])
