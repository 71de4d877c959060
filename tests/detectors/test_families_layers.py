"""Recommended layers, what is left behind, and what else holds for every vendor's models."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch

import captum_ssgc as ssgc


@cache
def detections_of(family, picture):
    found = family.detector.detect(picture)[0]
    assert len(found) >= 5
    return found


def gradients(family, layers, found, picture, pairs, output="score"):
    """Gradients of scores with respect to layers' outputs, for pairs ``(layer, target)``.

    By plain PyTorch, in one forward.
    """
    seen = {}

    def keep(module, args, output):
        assert module not in seen, "a recommended layer runs once"
        seen[module] = output if output.requires_grad else output.detach().requires_grad_()
        return seen[module].clone()

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        scores = ssgc.InstanceScoreWrapper(family.detector, found, output)(picture)[0]
    finally:
        for handle in handles:
            handle.remove()
    return [
        torch.autograd.grad(scores[target], seen[layer], retain_graph=True)[0]
        for layer, target in pairs
    ]


def test_the_recommended_layers_have_a_gradient_for_every_detection(family, picture):
    found = detections_of(family, picture)
    layers = family.detector.target_layers()
    levels = family.detector.level_layers()
    pairs = [(family.detector.layer_for(found, target), target) for target in range(len(found))]
    for name, layer in layers.items():
        assert family.detector.model.get_submodule(name) is layer
        if layer not in levels:
            pairs += [(layer, target) for target in range(5)]
    for slope in gradients(family, list(layers.values()), found, picture, pairs):
        assert torch.isfinite(slope).all()
        assert slope.abs().max() > 0


def test_maps_of_recommended_layers_cover_the_image(family, picture):
    found = detections_of(family, picture)
    wrapper = ssgc.InstanceScoreWrapper(family.detector, found, "logit")
    cam = ssgc.SSGradCAMPlusPlus(wrapper, family.detector.layer_for(found, 0))
    heat = cam.attribute(picture, target=0, mask="box", interpolate_mode="bilinear")
    assert heat.shape == (1, 1, *picture.shape[-2:])
    assert torch.isfinite(heat).all()
    assert heat.max() > 0


def test_the_map_of_an_image_does_not_depend_on_the_batch(family, picture):
    found = detections_of(family, picture)
    wrapper = ssgc.InstanceScoreWrapper(family.detector, found, "logit")
    cam = ssgc.ODAM(wrapper, family.detector.layer_for(found, 0))
    alone = cam.attribute(picture, target=0)
    together = cam.attribute(torch.cat([picture, picture.flip(-1)]), target=0)
    assert alone.max() > 0
    torch.testing.assert_close(together[0], alone[0], rtol=1e-3, atol=1e-3 * float(alone.max()))


def test_a_wrong_level_raises_and_names_the_right_one(family, picture):
    found = detections_of(family, picture)
    layers = family.detector.level_layers()
    if len(layers) < 2:
        pytest.skip("every layer of this model leads to every detection")
    assert len(layers) == family.levels
    owner = int(found.levels[0])
    wrong = layers[(owner + 1) % len(layers)]
    right = family.detector.layer_name(family.detector.layer_for(found, 0))
    wrapper = ssgc.InstanceScoreWrapper(family.detector, found)
    others = [layer for layer in layers if family.detector.layer_name(layer) != right]
    for choice in (wrong, [wrong], others):
        with pytest.raises(ValueError, match=f"level {owner}: use layer '{right}'"):
            ssgc.SSGradCAMPlusPlus(wrapper, choice).attribute(picture, target=0)


def state_of(model):
    return (
        [(p.requires_grad, p.grad) for p in model.parameters()],
        [m.training for m in model.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
        len(torch.overrides._get_current_function_mode_stack()),
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "raises"])
def test_nothing_is_left_behind(family, picture, fails):
    detector = family.detector
    model = detector.model
    frozen = next(model.parameters())
    was_frozen = not frozen.requires_grad
    frozen.requires_grad_(False)
    before, weights = state_of(model), copy.deepcopy(model.state_dict())
    found = detections_of(family, picture)
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    layer = detector.layer_for(found, 0)
    calls = [
        lambda: detector.detect(picture),
        lambda: wrapper(picture),
        lambda: ssgc.SSGradCAMPlusPlus(wrapper, layer).attribute(picture, target=0, mask="box"),
    ]
    if fails:
        handle = layer.register_forward_pre_hook(lambda module, args: 1 / 0)
        for call in calls:
            with pytest.raises(ZeroDivisionError):
                call()
        handle.remove()
    else:
        for call in calls:
            call()
    assert state_of(model) == before
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    frozen.requires_grad_(not was_frozen)


def test_inference_mode_leaves_gradients_possible(family, picture):
    """Vendors keep anchors and means between calls; those of inference mode have no gradient."""
    other_size = picture[..., 3:, 5:]
    with torch.inference_mode():
        found = detections_of(family, other_size)
        scores = ssgc.InstanceScoreWrapper(family.detector, found)(other_size)[0]
    torch.testing.assert_close(scores, found.scores, atol=2e-6, rtol=1e-5)
    layer = family.detector.layer_for(found, 0)
    (slope,) = gradients(family, [layer], found, other_size, [(layer, 0)], "logit")
    assert slope.abs().max() > 0


def test_pixels_have_a_gradient(family, picture):
    found = detections_of(family, picture)
    pixels = picture.clone().requires_grad_()
    score = ssgc.InstanceScoreWrapper(family.detector, found)(pixels)[0, 0]
    (slope,) = torch.autograd.grad(score, pixels)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() > 0


def test_a_model_in_training_mode_is_refused(family, picture):
    model = family.detector.model
    modes = {module: module.training for module in model.modules()}
    model.train()
    try:
        with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
            family.detector.detect(picture)
    finally:
        for module, mode in modes.items():
            module.training = mode
