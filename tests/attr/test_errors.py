"""Every user error has its own message: what was expected, what came, what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates


@pytest.fixture
def cam(wrapper):
    return ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)


@pytest.mark.parametrize("target", [5, -1, [7]])
def test_a_target_out_of_range_names_the_count(cam, image, target):
    with pytest.raises(IndexError, match=r"out of range: there are 5 detections, 0\.\.4"):
        cam.attribute(image, target=target)
    with pytest.raises(IndexError, match="there are 5 detections"):
        cam.attribute_instances(image, targets=[target] if isinstance(target, int) else target)


def test_a_missing_target(cam, image):
    with pytest.raises(ValueError, match=r"expected the index of a detection, 0\.\.4, got None"):
        cam.attribute(image)


def levels(wrapper):
    return [wrapper.model.fine, wrapper.model.coarse]


QUICK = {"n_masks": 2, "grid": (2, 2)}
ENTRIES = {
    "attribute": lambda w, x, k: ssgc.SSGradCAMPlusPlus(w, levels(w)).attribute(x, k),
    "instances": lambda w, x, k: ssgc.SSGradCAMPlusPlus(w, levels(w)).attribute_instances(x, k),
    "union": lambda w, x, k: ssgc.ODAM(w, levels(w)).attribute_union(x, k),
    "drise": lambda w, x, k: ssgc.DRISE(w).attribute(x, k, **QUICK),
    "drise instances": lambda w, x, k: ssgc.DRISE(w).attribute_instances(x, k, **QUICK),
    "refined": lambda w, x, k: ssgc.RefinedCAM(w).attribute(x, k, forwards=0),
    "refined instances": lambda w, x, k: ssgc.RefinedCAM(w).attribute_instances(x, k, forwards=0),
}
each_entry = pytest.mark.parametrize("ask", ENTRIES.values(), ids=list(ENTRIES))


def first(maps):
    """Of the first layer, where there is one map for each."""
    return maps[0] if isinstance(maps, tuple) else maps


@each_entry
@pytest.mark.parametrize(
    "target",
    [
        *(0.0, "0", b"0", True, np.True_, {0: "a"}, {0}, slice(0, 1), [0.9], ["0"], [None], [[0]]),
        *([True], [np.True_], [torch.tensor(True)], (0, True), bytearray(b"0"), 1j),
        *(torch.tensor(True), torch.tensor([True]), torch.tensor([0.0]), torch.tensor([[0]])),
        *(np.array([False]), np.array(["0"]), np.array([0.0]), torch.zeros(0)),
    ],
    ids=repr,
)
def test_a_target_of_the_wrong_type(wrapper, image, ask, target):
    with pytest.raises(TypeError, match=r"targets?: expected int, a list of int or an int tensor"):
        ask(wrapper, image, target)


@each_entry
@pytest.mark.parametrize(
    "target",
    [
        *(1, np.int64(1), np.uint8(1), torch.tensor(1), np.array(1), [1], (1,), range(1, 2)),
        *(([1],), [torch.tensor(1)], [np.int64(1)], torch.tensor([1]), np.array([1], np.int32)),
    ],
    ids=repr,
)
def test_a_single_target_in_any_form(wrapper, image, ask, target):
    torch.manual_seed(0)
    expected = first(ask(wrapper, image, [1]))
    torch.manual_seed(0)
    assert torch.equal(first(ask(wrapper, image, target)), expected)
    torch.manual_seed(0)
    in_a_tuple = ask(wrapper, (image,), target)
    assert isinstance(in_a_tuple, tuple)
    assert torch.equal(in_a_tuple[0], expected)


@each_entry
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x: x.numpy(), TypeError, "inputs: expected a tensor or a tuple of tensors, got"),
        (lambda x: [x], TypeError, "inputs: expected a tensor or a tuple of tensors, got"),
        (lambda x: [x[0]], TypeError, "inputs: expected a tensor or a tuple of tensors, got"),
        (lambda x: (x.numpy(),), TypeError, "inputs: expected a tensor or a tuple of tensors"),
        (lambda x: (), TypeError, r"inputs: expected a tensor or a tuple of tensors, got \(\)"),
        (lambda x: None, TypeError, "inputs: expected a tensor or a tuple of tensors, got None"),
        (lambda x: (x, x), ValueError, "inputs: expected one tensor of images, got 2 tensors"),
        (lambda x: x[0], ValueError, r": expected .*3, H, W\).*, got \(3, 8, 8\)"),
        (lambda x: x[:, :1], ValueError, r"images: expected shape \(N, 3, H, W\)"),
        (lambda x: (255 * x).byte(), TypeError, "images: expected a floating-point tensor"),
    ],
)
def test_inputs_that_are_no_images(wrapper, image, ask, change, error, message):
    with pytest.raises(error, match=message):
        ask(wrapper, change(image), 0)


def test_inputs_of_any_forward_function_are_tensors(classifier):
    cam = ssgc.ODAM(classifier, classifier[1])
    for wrong in (torch.rand(1, 3, 12, 10).numpy(), [torch.rand(1, 3, 12, 10)], "photo.jpg"):
        with pytest.raises(TypeError, match="inputs: expected a tensor or a tuple of tensors"):
            cam.attribute(wrong, target=0)


def test_too_many_targets(cam, image):
    with pytest.raises(ValueError, match="expected 1 or 1 entries, got 2"):
        cam.attribute(image, target=[0, 1])


def test_no_targets(cam, image):
    with pytest.raises(ValueError, match="expected at least one detection, got none"):
        cam.attribute_instances(image, targets=[])


def test_a_target_that_one_reference_image_does_not_have(detector, image):
    references = [detector.detect(image)[0], detector.detect(image)[0][[0, 1]]]
    wrapper = ssgc.InstanceScoreWrapper(detector, references)
    cam = ssgc.ODAM(wrapper, detector.level_layers())
    with pytest.raises(IndexError, match=r"target 2 of example 1 .* has 2 detections"):
        cam.attribute(
            image.expand(2, -1, -1, -1), target=2, additional_forward_args=torch.tensor([0, 1])
        )


def test_a_layer_of_another_model(wrapper):
    with pytest.raises(ValueError, match=r"no layer Linear \(a module, but.*; use one of 'fine'"):
        ssgc.ODAM(wrapper, torch.nn.Linear(1, 1))


@pytest.mark.parametrize("layer", ["fine", [None]], ids=str)
def test_a_layer_that_is_no_module(wrapper, layer):
    with pytest.raises(TypeError, match="expected a module or a list of modules"):
        ssgc.ODAM(wrapper, layer)


@pytest.mark.parametrize("unordered", [set, dict.fromkeys, iter], ids=["set", "dict", "generator"])
def test_several_layers_are_a_list(wrapper, detector, image, unordered):
    with pytest.raises(TypeError, match="layer: expected a module or a list of modules, got"):
        ssgc.ODAM(wrapper, unordered([wrapper.model.fine]))
    with pytest.raises(TypeError, match="layer: expected a module, its name, or a list of these"):
        ssgc.explain(detector, image, layer=unordered(["fine"]))


def test_a_layer_that_does_not_run(wrapper, image):
    cam = ssgc.ODAM(wrapper, wrapper.model.unused)
    with pytest.raises(ValueError, match=r"'unused' did not run .* use one of 'fine', 'coarse'"):
        cam.attribute(image, target=0)


def test_a_layer_off_the_path_to_the_score(image):
    class SideBranch(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.side = torch.nn.Conv2d(3, 2, 1)

        def forward(self, images):
            self.side(images)
            boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
            return boxes, images.mean((1, 2, 3)).reshape(-1, 1, 1)

    detector = ssgc.wrap_detector(SideBranch().eval(), target_layers=["side"])
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    for call in ("attribute", "attribute_instances"):
        with pytest.raises(ValueError, match="'side' is not on the path to the score"):
            getattr(ssgc.ODAM(wrapper, detector.model.side), call)(image)


def test_a_layer_that_runs_several_times(wrapper, image):
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.head)
    with pytest.raises(ValueError, match=r"'head' ran 2 times .* use one of 'fine', 'coarse'"):
        cam.attribute(image, target=0)


@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_the_wrong_pyramid_level_names_the_right_one(wrapper, detections, image, call):
    coarse = int((detections.levels == 1).nonzero())
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    argument = coarse if call == "attribute" else [coarse]
    with pytest.raises(
        ValueError, match=r"'fine' is pyramid level 0, but .* level 1: use layer 'coarse'"
    ):
        getattr(cam, call)(image, argument)


@pytest.mark.parametrize("output", ["score", "logit"])
def test_a_layer_inside_another_levels_branch_names_the_right_one(image, make_detector, output):
    """Not a recommended layer itself, but before one: found by its gradient, which is zero."""
    detector = make_detector()
    model = detector.model
    inner = torch.nn.Identity()
    model.fine = torch.nn.Sequential(inner, model.fine)
    detector = CandidateDetector(
        model, score_threshold=0.0, iou_threshold=1.0, level_layers=["fine", "coarse"]
    )
    found = detector.detect(image)[0]
    coarse = int((found.levels == 1).nonzero())
    cam = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, found, output=output), inner)
    with pytest.raises(ValueError, match=r"'fine.0' .*another pyramid level.*use layer 'coarse'"):
        cam.attribute(image, target=coarse)


def test_an_output_that_is_no_grid_says_how_to_reshape(image):
    class TokenDetector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = torch.nn.Flatten(2)

        def forward(self, images):
            boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
            scores = self.tokens(images).mean((1, 2)).reshape(-1, 1, 1)
            return Candidates(boxes, scores)

    detector = ssgc.wrap_detector(TokenDetector().eval())
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    cam = ssgc.ODAM(wrapper, detector.model.tokens)
    with pytest.raises(ValueError, match=r"got shape \(1, 3, 64\); pass reshape_transform"):
        cam.attribute(image)
    wrong = ssgc.ODAM(wrapper, detector.model.tokens, reshape_transform=lambda t: t[..., None])
    assert wrong.attribute(image).shape == (1, 1, 64, 1)
    rows = ssgc.ODAM(wrapper, detector.model.tokens, reshape_transform=lambda t: t.view(3, 1, 8, 8))
    with pytest.raises(ValueError, match="expected 1 rows, one per image, got 3"):
        rows.attribute(image)


def test_a_layer_that_gives_several_tensors(image):
    class Pair(torch.nn.Module):
        def forward(self, images):
            return images, images

    class PairDetector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, images):
            boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
            return boxes, self.pair(images)[0].mean((1, 2, 3)).reshape(-1, 1, 1)

    detector = ssgc.wrap_detector(PairDetector().eval())
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    with pytest.raises(ValueError, match=r"'pair': expected a tensor, got tuple; .* level layers"):
        ssgc.ODAM(wrapper, detector.model.pair).attribute(image)


class Behind(torch.nn.Module):
    """A score that comes through a layer of any kind."""

    def __init__(self, layer, after=torch.real):
        super().__init__()
        self.stem, self.layer, self.after = torch.nn.Conv2d(3, 4, 1), layer, after

    def forward(self, images):
        boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
        scores = self.after(self.layer(self.stem(images))).float().mean((1, 2, 3)).sigmoid()
        return boxes, scores.reshape(-1, 1, 1)


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


@pytest.mark.parametrize(
    ("function", "after", "dtype"),
    [
        (lambda maps: maps > 0, torch.real, "bool"),
        (lambda maps: maps.argmax(1, keepdim=True), torch.real, "int64"),
        (torch.fft.fft2, lambda maps: torch.fft.ifft2(maps).real, "complex64"),
    ],
    ids=["bool", "whole", "complex"],
)
def test_a_layer_without_floating_point_numbers(image, function, after, dtype):
    detector = ssgc.wrap_detector(Behind(Call(function), after).eval())
    message = rf"'layer': expected floating-point numbers.*, got torch\.{dtype}; use one"
    with pytest.raises(ValueError, match=message):
        ssgc.explain(detector, image, "odam", layer="layer", score_threshold=0.0)


def again(maps):
    return torch.utils.checkpoint.checkpoint(torch.sin, maps, use_reentrant=True)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
def test_a_part_that_is_computed_again(image):
    """Checkpoints of the older kind have another error of their own."""
    detector = ssgc.wrap_detector(Behind(Call(again)).eval())
    with pytest.raises(ValueError, match="uses activation checkpointing"):
        ssgc.explain(detector, image, "odam", layer="stem", score_threshold=0.0)


class OnlyOnce(torch.autograd.Function):
    """The way back of compiled code that frees what a second one needs, as PyTorch words it."""

    @staticmethod
    def forward(ctx, maps):
        return maps.clone()

    @staticmethod
    def backward(ctx, slopes):
        raise RuntimeError("This backward function was compiled with non-empty donated buffers")


def test_a_part_that_is_compiled(image):
    detector = ssgc.wrap_detector(Behind(Call(OnlyOnce.apply)).eval())
    with pytest.raises(ValueError, match="a part of the network is compiled"):
        ssgc.explain(detector, image, "odam", layer="stem", score_threshold=0.0)


def never(graph, inputs):
    raise AssertionError("compiled")


@pytest.mark.parametrize("of_function", [False, True])
def test_what_is_compiled_is_explained_as_it_was_before(image, of_function):
    network = Behind(torch.nn.ReLU()).eval()
    given = (lambda images: network(images)) if of_function else network
    compiled = torch.compile(given, backend=never)
    options = {"method": "odam", "layer": "stem", "score_threshold": 0.0}
    expected = ssgc.explain(ssgc.wrap_detector(network), image, **options)[0].heat_map
    detector = CandidateDetector(compiled, model=network)
    assert torch.equal(ssgc.explain(detector, image, **options)[0].heat_map, expected)


@pytest.mark.parametrize(
    "shape", [(1, 1, 5, 5), (2, 1, 4, 4), (1, 3, 4, 4), (4, 4), (1, 8, 8)], ids=str
)
def test_a_mask_of_the_wrong_shape(cam, image, shape):
    with pytest.raises(ValueError, match=r"mask: expected shape \(1\|1, 1\|2, h, w\).*\(8, 8\)"):
        cam.attribute(image, target=0, mask=torch.ones(shape))


def test_a_wrong_number_of_masks(cam, image):
    with pytest.raises(ValueError, match="one for each of 2 instances, got 3"):
        cam.attribute_instances(image, [0, 1], mask=torch.ones(3, 1, 8, 8))


def test_a_mask_of_the_wrong_kind(cam, image):
    with pytest.raises(
        ValueError, match="expected 'region', 'box', 'mask', a tensor or None, got 'roi'"
    ):
        cam.attribute(image, target=0, mask="roi")
    with pytest.raises(TypeError, match="a tensor or None, got ndarray"):
        cam.attribute(image, target=0, mask=torch.ones(1, 1, 4, 4).numpy())


@pytest.mark.parametrize("options", [{}, {"mask": "region"}, {"mask": "box"}], ids=str)
def test_masks_of_detections_need_the_wrapper(classifier, options):
    cam = ssgc.SSGradCAMPlusPlus(classifier, classifier[1])
    with pytest.raises(ValueError, match=r"InstanceScoreWrapper .* pass a tensor .* or None"):
        cam.attribute(torch.rand(1, 3, 12, 10), target=0, **options)


@pytest.mark.parametrize("method", [ssgc.ODAM, ssgc.SSGradCAM, ssgc.GradCAMPlusPlus])
def test_an_option_that_the_method_does_not_have(method, wrapper, image):
    cam = method(wrapper, wrapper.model.fine)
    for call in (cam.attribute, cam.attribute_instances):
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'mask'"):
            call(image, 0 if call == cam.attribute else [0], mask=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": -0.5}, "smoothing: expected a width in cells >= 0, got -0.5"),
        ({"signed_activations": "abs"}, "expected 'split' or 'as_is', got 'abs'"),
        ({"interpolate_mode": "area"}, "'bilinear' or 'bicubic', got 'area'"),
        ({"fuse_layers": "sum"}, "fuse_layers: expected 'max', 'mean' or None, got 'sum'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_out_of_range(cam, image, options, message):
    with pytest.raises(ValueError, match=message):
        cam.attribute(image, target=0, **options)


def test_instances_need_the_wrapper_of_one_image(classifier, detector, image):
    with pytest.raises(
        ValueError, match=r"attribute_instances needs .*InstanceScoreWrapper of one"
    ):
        ssgc.ODAM(classifier, classifier[1]).attribute_instances(torch.rand(1, 3, 12, 10))
    several = ssgc.InstanceScoreWrapper(detector, detector.detect(image.expand(2, -1, -1, -1)))
    with pytest.raises(ValueError, match="of one reference image"):
        ssgc.ODAM(several, detector.model.fine).attribute_instances(image)


def test_instances_of_a_batch(cam, image):
    with pytest.raises(ValueError, match=r"expected \(1, 3, H, W\), got \(2, 3, 8, 8\)"):
        cam.attribute_instances(image.expand(2, -1, -1, -1))


def test_an_image_of_another_size(cam):
    for call in (cam.attribute, cam.attribute_instances):
        with pytest.raises(ValueError, match=r"reference image's size \(8, 8\), got \(8, 16\)"):
            call(torch.rand(1, 3, 8, 16), 0 if call == cam.attribute else [0])


def test_a_forward_with_several_values_per_image(classifier):
    cam = ssgc.ODAM(classifier, classifier[1])
    with pytest.raises(ValueError, match="pass target= to choose one for each"):
        cam.attribute(torch.rand(2, 3, 12, 10))
    with pytest.raises(ValueError, match="target: "):  # as Captum words it
        cam.attribute(torch.rand(2, 3, 12, 10), target=[0, 1, 2])


def saturated(make_detector, image, scale):
    """A detector that is sure, and gives probabilities alone."""
    detector = make_detector()
    detector.decode = lambda candidates: replace(candidates, class_logits=None)
    with torch.no_grad():
        detector.model.head.weight.mul_(scale)
    found = detector.detect(image)[0]
    return ssgc.InstanceScoreWrapper(detector, found), found


@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_an_empty_map_of_a_saturated_score_names_the_cause(make_detector, image, call):
    wrapper, found = saturated(make_detector, image, 100.0)
    target = int((found.candidates == 3).nonzero())
    assert found.scores[target] == 1.0
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    with pytest.warns(UserWarning, match=r"1 all-zero map.*saturated at 1.*output='logit'") as log:
        empty = getattr(cam, call)(image, target if call == "attribute" else [target])
    assert log[0].filename == __file__
    assert empty.max() == 0
    wrapper.detector.decode = None  # the logits, too
    logit = ssgc.InstanceScoreWrapper(wrapper.detector, found, output="logit")
    assert ssgc.SSGradCAMPlusPlus(logit, wrapper.model.fine).attribute(image, target).max() > 0


@pytest.mark.parametrize("layer", ["fine", "stem"])
@pytest.mark.parametrize(
    ("bias", "why"), [(1000.0, "score is saturated at 1"), (-1000.0, "score is 0")]
)
def test_the_score_that_counts_is_that_of_the_image_given(make_detector, image, layer, bias, why):
    """Neither the layer nor its level is to blame, whatever the detector had reported."""
    wrapper, found = saturated(make_detector, image, 1.0)
    assert 0.0 < found.scores[0] < 1.0
    with torch.no_grad():
        wrapper.model.head.bias.fill_(bias)
    cam = ssgc.ODAM(wrapper, wrapper.model.get_submodule(layer))
    with pytest.warns(UserWarning, match=rf"1 all-zero map.*{why}.*output='logit'") as log:
        cam.attribute(image, 0)
    assert len(log) == 1


@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
@pytest.mark.parametrize(("output", "other"), [("score", "output='logit', "), ("logit", "")])
def test_an_empty_map_without_saturation_names_what_else_there_is(
    make_detector, image, call, output, other
):
    """Weights that only lower the score."""
    detector = make_detector()
    with torch.no_grad():
        detector.model.head.weight.copy_(-detector.model.head.weight.abs())
    found = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, found, output=output)
    cam = ssgc.LayerCAM(wrapper, detector.level_layers())
    advice = (
        rf"1 all-zero map.*try another layer \(detector.target_layers\(\)\), {other}another method"
    )
    with pytest.warns(UserWarning, match=advice) as log:
        getattr(cam, call)(image, 0 if call == "attribute" else [0])
    assert log[0].filename == __file__


@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
@pytest.mark.parametrize(
    "cells",
    [(slice(0, 0), slice(0, 0)), (0, 0), (slice(2, 4), 0), (0, slice(2, 4))],
    ids=["empty", "elsewhere", "left of it", "above it"],
)
def test_a_mask_beside_the_gradient_is_named_as_the_cause(wrapper, image, call, cells):
    """The best detection is the bottom right quarter."""
    outside = torch.zeros(1, 1, 4, 4)
    outside[0, 0][cells] = 1.0
    cam = ssgc.SSGradCAMPlusPlus(wrapper, wrapper.model.fine)
    with pytest.warns(UserWarning, match=r"1 all-zero map.*mask and the gradient have no cell in"):
        getattr(cam, call)(image, 0 if call == "attribute" else [0], mask=outside)


def test_an_empty_union_warns_at_the_call(make_detector, image):
    wrapper, found = saturated(make_detector, image, 100.0)
    target = int((found.candidates == 3).nonzero())
    cam = ssgc.ODAM(wrapper, wrapper.model.fine)
    with pytest.warns(UserWarning, match=r"all-zero map.*saturated") as log:
        cam.attribute_union(image, [target], outputs=["score", "right"])
    assert log[0].filename == __file__


def test_union_of_unknown_outputs(wrapper, image):
    cam = ssgc.ODAM(wrapper, wrapper.model.fine)
    with pytest.raises(ValueError, match=r"expected one of score, logit, left.*got 'width'"):
        cam.attribute_union(image, [0], outputs=["width"])
    with pytest.raises(ValueError, match="outputs: expected at least one, got none"):
        cam.attribute_union(image, [0], outputs=[])


@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_a_map_that_is_not_finite_names_the_precision(wrapper, image, call):
    """As where a half-precision gradient overflows."""
    wrapper.model.fine.register_forward_hook(lambda module, args, output: output * float("inf"))
    cam = ssgc.ODAM(wrapper, wrapper.model.stem)
    with pytest.warns(UserWarning, match=r"1 map\(s\) of ODAM are not finite: .*use float32"):
        getattr(cam, call)(image, 0 if call == "attribute" else [0])


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(
    ("dtype", "why"),
    [
        (torch.float32, "the layer's own values are not"),
        (torch.bfloat16, "use float32 or bfloat16"),
    ],
    ids=str,
)
def test_a_layer_that_is_not_finite_is_named(wrapper, image, dtype, why):
    """Which in half precision is what a sum that overflows looks like."""
    with torch.no_grad():
        wrapper.model.to(dtype).stem.weight.fill_(float("inf"))
    cam = ssgc.ODAM(wrapper, wrapper.model.fine)
    with pytest.warns(UserWarning, match=rf"1 map\(s\) of ODAM are not finite: .*{why}"):
        cam.attribute(image, 0)


@pytest.mark.filterwarnings("ignore:.*all-zero map")
def test_one_gradient_that_is_not_finite_excuses_a_function_of_ones_own(registered, wrapper, image):
    """Also where it is not that of the last detection."""
    members = {"name": "own", "title": "Own", "maps": staticmethod(lambda a, g: a * g)}
    own = registered(type("Own", (ssgc.attr.LayerMethod,), members))
    called = []

    def first_overflows(module, given, grad_output):
        called.append(module)
        return (given[0] * float("inf"),) if len(called) == 1 else None

    wrapper.model.fine.register_full_backward_hook(first_overflows)
    why = r"1 map\(s\) of Own are not finite: the gradient overflows"
    with pytest.warns(UserWarning, match=why):
        own(wrapper, wrapper.model.stem).attribute_instances(image, [0, 1])
    assert len(called) == 2
