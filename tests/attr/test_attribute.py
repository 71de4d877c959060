"""What ``attribute`` and ``attribute_instances`` give, on the toy detector and on a real one."""

from __future__ import annotations

import pytest
import torch
from captum.attr import GradientAttribution, LayerAttribution, LayerGradCam

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, LayerMethod

CAMS = {method.title: method for method in METHODS.values() if issubclass(method, LayerMethod)}
each_cam = pytest.mark.parametrize("method", CAMS.values(), ids=CAMS.keys())


def on_level(detections, level):
    return [row for row in range(len(detections)) if int(detections.levels[row]) == level]


@each_cam
def test_is_a_captum_layer_method(method, wrapper):
    cam = method(wrapper, wrapper.model.fine)
    assert isinstance(cam, LayerAttribution)
    assert isinstance(cam, GradientAttribution)
    assert cam.layer is wrapper.model.fine
    assert cam.forward_func is wrapper
    assert not cam.has_convergence_delta()


@each_cam
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"interpolate_mode": "bilinear"},
        {"interpolate_mode": "nearest"},
        {"attribute_to_layer_input": True},
        {"relu_attributions": False},
        {"attr_dim_summation": False},
    ],
    ids=str,
)
def test_instances_are_one_attribute_call_each(method, options, wrapper, detections, image):
    cam = method(wrapper, wrapper.model.fine)
    targets = on_level(detections, 0)
    together = cam.attribute_instances(image, targets, **options)
    alone = [cam.attribute(image, target=target, **options) for target in targets]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.abs().amax((1, 2, 3)).min() > 0


@each_cam
def test_instances_of_all_detections_on_a_list_of_layers(method, wrapper, detections, image):
    cam = method(wrapper, wrapper.detector.level_layers())
    together = cam.attribute_instances(image)
    assert [tuple(of_level.shape) for of_level in together] == [(5, 1, 4, 4), (5, 1, 2, 2)]
    for target in range(len(detections)):
        for of_level, one in zip(together, cam.attribute(image, target=target), strict=True):
            torch.testing.assert_close(of_level[target : target + 1], one)


@each_cam
def test_levels_that_do_not_own_the_detection_are_zero(method, wrapper, detections, image):
    maps = method(wrapper, wrapper.detector.level_layers()).attribute_instances(image)
    for target, level in enumerate(detections.levels.tolist()):
        assert maps[level][target].max() > 0
        assert maps[1 - level][target].max() == 0


@each_cam
@pytest.mark.parametrize("joined", ["max", "mean"])
def test_fusing_levels(method, joined, wrapper, image):
    cam = method(wrapper, wrapper.detector.level_layers())
    levels = cam.attribute_instances(image, interpolate_mode="bilinear")
    fused = cam.attribute_instances(image, fuse_layers=joined)
    assert fused.shape == (5, 1, 8, 8)
    stacked = torch.stack(levels)
    torch.testing.assert_close(fused, stacked.amax(0) if joined == "max" else stacked.mean(0))
    one = cam.attribute(image, target=2, fuse_layers=joined)
    torch.testing.assert_close(one, fused[2:3])


@each_cam
def test_a_tuple_in_gives_a_tuple_out(method, wrapper, image):
    cam = method(wrapper, wrapper.model.fine)
    (found,) = cam.attribute((image,), target=0)
    assert torch.equal(found, cam.attribute(image, target=0))


def test_a_batch_with_its_own_targets(wrapper, detections, image):
    batch = torch.cat([image, image.flip(-1), image.flip(-2)])
    targets = on_level(detections, 0)[:3]
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    together = cam.attribute(batch, target=targets)
    alone = [cam.attribute(one[None], target=k) for one, k in zip(batch, targets, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone))
    as_tensor = cam.attribute(batch, target=torch.tensor(targets))
    torch.testing.assert_close(as_tensor, together)


def test_several_reference_images(detector, image):
    images = torch.cat([image, image.flip(-1)])
    references = detector.detect(images)
    wrapper = ssgc.InstanceScoreWrapper(detector, references)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.model.fine)
    targets = [on_level(one, 0)[-1] for one in references]
    together = cam.attribute(images, target=targets, additional_forward_args=torch.tensor([0, 1]))
    for row, (reference, target) in enumerate(zip(references, targets, strict=True)):
        alone = ssgc.SSGradCAMPlusPlus(
            ssgc.InstanceScoreWrapper(detector, reference), detector.model.fine
        )
        torch.testing.assert_close(
            together[row : row + 1], alone.attribute(images[row : row + 1], target=target)
        )


@each_cam
def test_channels_without_summation_add_up(method, wrapper, image):
    cam = method(wrapper, wrapper.model.fine)
    own = {"halo": 0.0} if "halo" in method.option_names() else {}  # of the sum, cut off at zero
    both = {"relu_attributions": False, **own}
    channels = cam.attribute(image, target=0, attr_dim_summation=False, **both)
    assert channels.shape == (1, 2, 4, 4)
    both_signs = cam.attribute(image, target=0, **both)
    torch.testing.assert_close(channels.sum(1, keepdim=True), both_signs)
    torch.testing.assert_close(cam.attribute(image, target=0, **own), both_signs.relu())


@each_cam
def test_the_input_of_a_layer_is_the_output_of_the_one_before(method, wrapper, image):
    into_fine = method(wrapper, wrapper.model.fine).attribute(
        image, target=0, attribute_to_layer_input=True
    )
    out_of_act = method(wrapper, wrapper.model.act).attribute(image, target=0)
    assert into_fine.shape == (1, 1, 8, 8)
    torch.testing.assert_close(into_fine, out_of_act)


def test_nearest_interpolation_repeats_cells(wrapper, image):
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    cells = cam.attribute(image, target=0)
    pixels = cam.attribute(image, target=0, interpolate_mode="nearest")
    assert torch.equal(pixels, cells.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("output", ["score", "logit", "left", "top"])
def test_every_output_can_be_explained(output, detector, detections, image):
    wrapper = ssgc.InstanceScoreWrapper(detector, detections, output=output)
    cam = ssgc.ODAM(wrapper, detector.model.fine)
    target = on_level(detections, 0)[0]
    found = cam.attribute(image, target=target)
    features = detector.model.fine(detector.model.act(detector.model.stem(image))).detach()
    candidate = int(detections.candidates[target])
    rows, columns = slice(candidate // 2 * 2, None), slice(candidate % 2 * 2, None)
    inside = torch.zeros(4, 4)
    inside[rows, columns] = 1
    inside[candidate // 2 * 2 + 2 :] = 0
    inside[:, candidate % 2 * 2 + 2 :] = 0
    score = float(detections.scores[target])
    slopes = {
        "score": score * (1 - score) * torch.tensor([-0.25, 0.5]),
        "logit": torch.tensor([-0.25, 0.5]),
        "left": torch.tensor([0.0025, 0.0]),
        "top": torch.tensor([0.0, 0.0025]),
    }
    assert int(detections.labels[target]) == 1
    expected = (features * slopes[output][:, None, None]).sum(1, keepdim=True).relu() * inside
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.fixture(scope="module")
def real(mask_rcnn):
    pixels = torch.rand(1, 3, 75, 101, generator=torch.Generator().manual_seed(3))
    detector = ssgc.wrap_detector(mask_rcnn)
    detections = detector.detect(pixels)[0]
    assert len(detections) >= 5
    assert len(set(detections.levels.tolist())) >= 2
    return ssgc.InstanceScoreWrapper(detector, detections), pixels


def forward_calls(wrapper, action):
    calls = []
    hook = wrapper.model.register_forward_pre_hook(lambda *args: calls.append(1))
    try:
        action()
    finally:
        hook.remove()
    return len(calls)


@each_cam
def test_instances_take_one_call_of_the_vendors_forward(method, wrapper, image):
    cam = method(wrapper, wrapper.detector.level_layers())
    assert forward_calls(wrapper, lambda: cam.attribute_instances(image)) == 1


def test_one_call_of_a_real_vendors_forward(real):
    wrapper, pixels = real
    cam = ssgc.ODAM(wrapper, wrapper.detector.level_layers())
    assert forward_calls(wrapper, lambda: cam.attribute_instances(pixels, [0, 3])) == 1
    assert forward_calls(wrapper, lambda: cam.attribute_union(pixels, [0])) == 1


def test_instances_of_a_real_detector(real):
    wrapper, pixels = real
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.detector.level_layers())
    together = cam.attribute_instances(pixels, [0, 3])
    for row, target in enumerate([0, 3]):
        for of_level, one in zip(together, cam.attribute(pixels, target=target), strict=True):
            scale = float(one.max())
            torch.testing.assert_close(of_level[row : row + 1], one, rtol=1e-3, atol=1e-4 * scale)


def test_grad_cam_is_captums(real):
    wrapper, pixels = real
    layer = wrapper.detector.layer_for(wrapper.detections[0], 0)
    captums = LayerGradCam(wrapper, layer).attribute(pixels, target=0, relu_attributions=True)
    ours = ssgc.GradCAM(wrapper, layer).attribute(pixels, target=0)
    assert ours.max() > 0
    torch.testing.assert_close(ours / ours.max(), captums / captums.max(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"relu_attributions": True}, {"attr_dim_summation": False}]
)
def test_grad_cam_is_captums_on_a_classifier(classifier, options):
    images = torch.rand(3, 3, 12, 10)
    captums = LayerGradCam(classifier, classifier[1]).attribute(images, target=[0, 4, 2], **options)
    ours = ssgc.GradCAM(classifier, classifier[1]).attribute(
        images, target=[0, 4, 2], **{"relu_attributions": False, **options}
    )
    assert captums.abs().max() > 1e-4
    torch.testing.assert_close(ours, captums, rtol=1e-6, atol=1e-9)


@each_cam
def test_a_plain_classifier(method, classifier):
    options = {"mask": None} if "mask" in method.option_names() else {}
    images = torch.rand(2, 3, 12, 10)
    for forward in (classifier, lambda pixels: classifier(pixels)):
        cam = method(forward, classifier[1])
        found = cam.attribute(images, target=torch.tensor([1, 3]), **options)
        assert found.shape == (2, 1, 6, 5)
        assert found.amax((1, 2, 3)).min() > 0
        pixels = cam.attribute(
            images, target=torch.tensor([1, 3]), interpolate_mode="bilinear", **options
        )
        assert pixels.shape == (2, 1, 12, 10)
        bilinear = LayerAttribution.interpolate(found, (12, 10), "bilinear")
        torch.testing.assert_close(pixels, bilinear, rtol=1e-4, atol=1e-6)


def test_a_forward_with_one_value_per_image_needs_no_target(classifier):
    cam = ssgc.ODAM(lambda pixels: classifier(pixels)[:, 2], classifier[1])
    images = torch.rand(2, 3, 12, 10)
    expected = ssgc.ODAM(classifier, classifier[1]).attribute(images, target=2)
    torch.testing.assert_close(cam.attribute(images), expected)


class Tokens(torch.nn.Module):
    """A layer that gives ``(N, T, C)``, as a transformer does."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Conv2d(3, 4, 2, stride=2)
        self.tokens = torch.nn.Flatten(2)
        self.last = torch.nn.Linear(4, 3)

    def forward(self, images):
        return self.last(self.tokens(self.inner(images)).transpose(1, 2).mean(1))


def test_reshape_transform():
    torch.manual_seed(0)
    model = Tokens().eval()
    images = torch.rand(2, 3, 6, 8)
    expected = ssgc.ODAM(model, model.inner).attribute(images, target=1)
    cam = ssgc.ODAM(model, model.tokens, reshape_transform=lambda t: t.unflatten(2, (3, 4)))
    torch.testing.assert_close(cam.attribute(images, target=1), expected)


def test_the_detectors_own_reshape_transform(detector, detections, image):
    """Used where the user passes none, by the classes and by explain."""

    class Flat(type(detector)):
        def reshape_transform_for(self, layer, image_size):
            if layer is not self.model.flat:
                return None
            assert image_size == (8, 8)
            return lambda t: t.unflatten(2, (4, 4))

    class WithTokens(type(detector.model)):
        def __init__(self):
            super().__init__()
            pooled = self.fine
            self.flat = torch.nn.Flatten(2)
            self.fine = torch.nn.Sequential(pooled, self.flat, torch.nn.Unflatten(2, (4, 4)))
            self.eval()

    tokens = Flat(WithTokens(), score_threshold=0.0, iou_threshold=1.0, level_layers=["fine.1"])
    found = tokens.detect(image)[0]
    target = int((found.candidates == 3).nonzero())
    expected = ssgc.ODAM(
        ssgc.InstanceScoreWrapper(detector, detections), detector.model.fine
    ).attribute(image, target=int((detections.candidates == 3).nonzero()))
    cam = ssgc.ODAM(ssgc.InstanceScoreWrapper(tokens, found), tokens.model.flat)
    torch.testing.assert_close(cam.attribute(image, target=target), expected)
    best = ssgc.explain(tokens, image, "odam", score_threshold=0.9)[0]
    assert best.layer == "fine.1"
    at_pixels = detector.geometry((8, 8)).grid_to_image(expected)[0, 0]
    torch.testing.assert_close(best.heat_map, at_pixels)
