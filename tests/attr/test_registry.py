"""The methods by name, and ``explain`` with several of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest
import references
import torch
from captum.attr import LayerGradCam

import captum_ssgc as ssgc
from captum_ssgc.attr import (
    METHODS,
    LayerMethod,
    Method,
    PerturbationMethod,
    method_named,
    methods_named,
    register,
)
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.benchmark.rows import options_of
from captum_ssgc.cli.options import for_one_image

PAPER_ORDER = ["grad-cam", "grad-cam++", "d-rise", "odam", "ssgrad-cam", "ssgrad-cam++"]
ALL = [*PAPER_ORDER, "layer-cam", "hires-cam", "eigen-cam", "ssgrad-cam+-", "refined-cam"]
QUICK = {"d-rise": {"n_masks": 20, "grid": (4, 4)}, "refined-cam": {"forwards": 10}}


def test_the_order_is_the_papers():
    assert list(METHODS) == ALL
    assert [METHODS[name].name for name in METHODS] == ALL
    assert [METHODS[name].title for name in ("d-rise", "ssgrad-cam++")] == [
        "D-RISE",
        "SSGrad-CAM++",
    ]


def test_which_are_made_of_gradients_and_which_use_the_mask():
    without = [name for name in METHODS if not METHODS[name].gradient_based]
    assert without == ["d-rise", "refined-cam"]
    assert [METHODS[name].recorded({}) for name in without] == [None, ssgc.SSGradCAMPlusMinus]
    assert METHODS["refined-cam"].recorded({"prior": None}) is None
    assert METHODS["odam"].recorded({}) is ssgc.ODAM
    masked = [name for name in METHODS if "mask" in METHODS[name].option_names()]
    assert masked == ["ssgrad-cam++", "ssgrad-cam+-"]


def test_names():
    assert method_named("odam") is METHODS["odam"]
    assert methods_named("all") == list(METHODS.values())
    assert methods_named("odam") == [METHODS["odam"]]
    assert methods_named(["odam", "d-rise", "odam"]) == [METHODS["odam"], METHODS["d-rise"]]
    with pytest.raises(
        ValueError, match=r"one of grad-cam, .*, got 'gradcam'; did you mean 'grad-"
    ):
        method_named("gradcam")
    for wrong in (7, None, [7], {"odam": 1}.items()):
        with pytest.raises(TypeError, match="method: expected a name or several, got "):
            methods_named(wrong)
    with pytest.raises(ValueError, match=r"at least one of grad-cam, .*, got none"):
        methods_named([])


def test_a_second_perturbation_method_registers_like_any_other(registered, detector, image):
    @registered
    class Occlusion(PerturbationMethod):
        name, title = "occlusion", "Occlusion"

        def attribute_instances(
            self, inputs, targets=None, perturbations_per_eval=1, show_progress=False, *, fill=0.0
        ):
            count = len(self.forward_func.detections[0])
            return torch.full((count, 1, *inputs.shape[-2:]), 1.0 + fill)

    shared = ["perturbations_per_eval", "show_progress"]
    assert METHODS["occlusion"].option_names() == [*shared, "fill"]
    options = {"occlusion": {"fill": 2.0}}
    found = ssgc.explain(detector, image, ["occlusion", "odam"], top_k=1, method_options=options)
    assert [(one.method, one.layer) for one in found] == [("occlusion", ""), ("odam", "fine")]
    assert (found[0].heat_map == 3.0).all()
    settings = BenchmarkSettings(methods=["occlusion", "odam"], floors=())
    assert [row.method for row in settings.rows] == ["occlusion", "odam"]
    maps, seconds = MapMaker(detector, settings).maps(
        settings.rows, image, detector.detect(image)[0], 0
    )
    assert (maps["occlusion"] == 1.0).all()
    assert seconds["occlusion"] >= 0.0


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bool, torch.float32),
        (torch.int64, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_maps_of_any_numbers_become_floating_point(
    registered, detector, image, tmp_path, dtype, expected
):
    @register
    class Everything(PerturbationMethod):
        name, title = "everything", "Everything"

        def attribute_instances(self, inputs, targets=None):
            count = len(self.forward_func.detections[0])
            return torch.ones(count, 1, *inputs.shape[-2:], dtype=dtype)

    found = ssgc.explain(detector, image, "everything", top_k=1)
    assert found[0].heat_map.dtype == expected
    found.save_maps(tmp_path / "maps.npz")
    assert torch.equal(
        ssgc.Explanations.load_maps(tmp_path / "maps.npz")[0].heat_map, found[0].heat_map
    )


@pytest.fixture
def slide(registered):
    """A perturbation method whose options are called as those of another one are."""

    @registered
    class Slide(PerturbationMethod):
        name, title = "slide", "Slide"

        def attribute_instances(
            self, inputs, targets=None, *, n_masks=7, grid=3, window=(8, 8), mask=0.25, output=1
        ):
            count = len(self.forward_func.detections[0])
            value = n_masks + grid / 10 + sum(window) / 1000 + mask + output
            return torch.full((count, 1, *inputs.shape[-2:]), value)

    return Slide


def test_options_of_one_method_are_not_those_of_another(slide, detector, image):
    names = ["n_masks", "grid", "window", "mask", "output"]
    assert slide.option_names() == names
    found = detector.detect(image)[0]
    own = {"n_masks": 2, "grid": 5, "window": [4, 6], "mask": 0.5, "output": 3}
    settings = BenchmarkSettings(methods=["slide", ("slide", own)], floors=(), drise_masks=9)
    assert settings == BenchmarkSettings.from_json(json.loads(json.dumps(settings.as_json())))
    maps, _ = MapMaker(detector, settings).maps(settings.rows, image, found, 0)
    default, changed = 7 + 0.3 + 0.016 + 0.25 + 1, 2 + 0.5 + 0.01 + 0.5 + 3
    assert [float(one.mean()) for one in maps.values()] == pytest.approx([default, changed])
    assert settings.rows[1].title == "Slide [grid=5, mask=0.5, n_masks=2, output=3, window=4x6]"
    for options, expected in (({}, default), ({"slide": own}, changed)):
        [one] = ssgc.explain(detector, image, "slide", top_k=1, method_options=options)
        assert float(one.heat_map.mean()) == pytest.approx(expected)
    arguments = argparse.Namespace(drise_masks=11, batch_size=3, output="score", mask="region")
    options = for_one_image({"slide": {"grid": 4}}, ["slide", "d-rise", "odam"], arguments)
    assert options["slide"] == {"grid": 4}
    assert options["odam"] == {}
    assert (options["d-rise"]["n_masks"], options["d-rise"]["perturbations_per_eval"]) == (11, 3)


def test_a_gradient_method_does_not_get_the_options_of_another(registered):
    @registered
    class Scales(LayerMethod):
        name, title = "scales", "Scales"

        @staticmethod
        def maps(activations, gradients, n_masks=2.5, grid="a"):
            return activations

    assert BenchmarkSettings(methods=["scales"]).options_of(MethodRow("scales")) == {
        "output": "score"
    }
    assert MethodRow("scales", {"n_masks": 3.5}).key == "scales[n_masks=3.5]"


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 2, 8, 8), (1, 1, 4, 4), None])
def test_what_is_no_map_of_each_detection_is_refused(registered, detector, image, shape):
    @registered
    class Wrong(PerturbationMethod):
        name, title = "wrong", "Wrong"

        def attribute_instances(self, inputs, targets=None):
            return None if shape is None else torch.ones(shape)

    expected = r"Wrong.attribute_instances: expected maps of shape \(1, 1, 8, 8\)"
    with pytest.raises(ValueError, match=expected):
        ssgc.explain(detector, image, "wrong", top_k=1)


@pytest.mark.parametrize("name", ["", "all", "a b", "a,b", "a[b]", "a=b"])
def test_a_name_is_one_that_a_command_can_tell(registered, name):
    wrong = type("Mine", (LayerMethod,), {"name": name, "title": "Mine"})
    with pytest.raises(ValueError, match="expected a name without blanks"):
        registered(wrong)


def test_a_method_of_ones_own_with_any_keyword(registered, detector, image, wrapper):
    @registered
    class Power(LayerMethod):
        """Any keyword of a map function is an option everywhere."""

        name, title = "power", "Power"

        @staticmethod
        def maps(activations, gradients, power=1.0, mask=None):
            return (activations * gradients).clamp(min=0.0) ** power

    cam = Power(wrapper, wrapper.model.fine)
    once, squared = (cam.attribute(image, target=0, power=power) for power in (1.0, 2.0))
    assert not torch.allclose(once, squared)
    torch.testing.assert_close(cam.attribute_instances(image, [0], power=2.0), squared)
    [found] = ssgc.explain(
        detector, image, "power", top_k=1, method_options={"power": {"power": 2.0, "mask": None}}
    )
    expected = cam.attribute(image, target=0, power=2.0, interpolate_mode="bilinear")
    torch.testing.assert_close(found.heat_map, expected[0, 0])
    with pytest.raises(TypeError, match=r"Power.attribute .* 'pwr'; it takes power, mask"):
        cam.attribute(image, target=0, pwr=2.0)


def in_place(activations, gradients):
    return gradients.clamp_(min=0.0).mul_(activations.mul_(2.0))


def by_the_largest(activations, gradients):
    return activations * gradients / gradients.abs().max()


def of_one_image(activations, gradients):
    if len(activations) > 1:
        raise NotImplementedError
    return activations * gradients


def with_its_mask(activations, gradients, mask, whole=None):
    for sums in (whole.total, whole.positive_total, whole.negative_total):
        sums.zero_()
    mask.logical_not_()
    return gradients.mul_(activations)


@pytest.mark.parametrize(
    "function",
    [
        in_place,
        with_its_mask,
        by_the_largest,
        of_one_image,
        lambda activations, gradients: (activations * gradients).mean(1, keepdim=True),
        lambda activations, gradients: gradients.mean((0, 2, 3), keepdim=True),
    ],
    ids=[
        "in place",
        "with its mask",
        "by the largest",
        "of one image",
        "one channel",
        "a number per channel",
    ],
)
def test_a_function_of_ones_own_sees_one_detection_at_a_time(
    registered, detector, image, wrapper, function
):
    """Or example; whatever it does to what it is given, others are not changed by it."""
    members = {"name": "own", "title": "Own", "maps": staticmethod(function)}
    own = registered(type("Own", (LayerMethod,), members))
    others = ["odam", "ssgrad-cam++"]
    alone = ssgc.explain(detector, image, others)
    both = ssgc.explain(detector, image, ["own", *others])
    after = [one for one in both if one.method != "own"]
    for one, before in zip(after, alone, strict=True):
        assert torch.equal(one.heat_map, before.heat_map)
    found = wrapper.detections[0][:1]
    maps = []
    for rows in (others, ["own", *others]):
        settings = BenchmarkSettings(methods=rows, floors=())
        maps.append(MapMaker(detector, settings).maps(settings.rows, image, found, 0)[0])
    for name in others:
        assert torch.equal(maps[0][name], maps[1][name])
    for one in both:
        if one.method == "own":
            cam = own(wrapper, detector.layer_for(wrapper.detections[0], one.index))
            [[expected]] = cam.attribute(image, target=one.index, interpolate_mode="bilinear")
            torch.testing.assert_close(one.heat_map, expected)
    images, fine = torch.cat([image, image.flip(3) * 0.5]), wrapper.model.fine
    alone = torch.cat([own(wrapper, fine).attribute(one[None], target=0) for one in images])
    torch.testing.assert_close(own(wrapper, fine).attribute(images, target=0), alone)


def test_what_users_give_is_not_written_to(registered, detector, image, wrapper):
    @registered
    class Writes(PerturbationMethod):
        name, title = "writes", "Writes"

        def attribute_instances(self, inputs, targets=None, *, shares=(1.0,)):
            inputs.zero_()
            shares.append(torch.ones(1))
            return torch.ones(len(self.forward_func.detections[0]), 1, *inputs.shape[-2:])

    @registered
    class Appends(LayerMethod):
        name, title = "appends", "Appends"

        @staticmethod
        def maps(activations, gradients, shares=()):
            shares[0].mul_(2.0)
            shares.append(1)
            return activations * gradients * shares[0]

    before, weight = image.clone(), torch.ones(1)
    methods = ["writes", "appends", "d-rise"]
    options = {"writes": {"shares": []}, "appends": {"shares": [weight]}, "d-rise": QUICK["d-rise"]}
    found = ssgc.explain(detector, image, methods, top_k=1, method_options=options)
    assert torch.equal(image, before)
    assert options["writes"] == {"shares": []}
    assert options["appends"]["shares"] == [weight] == [1.0]
    assert found[2].heat_map.max() > 0
    settings = BenchmarkSettings(methods=[("writes", {})], floors=())
    with pytest.raises(AttributeError):  # on a tuple; by then the image is black
        MapMaker(detector, settings).maps(settings.rows, image, wrapper.detections[0], 0)
    assert torch.equal(image, before)
    fine = wrapper.model.fine
    once = ssgc.ODAM(wrapper, fine).attribute(image, target=0)
    two = torch.full((1,), 2.0, requires_grad=True)
    cam = ssgc.ODAM(wrapper, fine, reshape_transform=lambda tensor: tensor.mul_(two))
    for call, target in ((cam.attribute, 0), (cam.attribute_instances, [0])):
        found = call(image, target)
        assert not found.requires_grad
        torch.testing.assert_close(found, 4.0 * once)
    cam = ssgc.GradCAM(wrapper, fine, reshape_transform=lambda tensor: tensor * two)
    assert not cam.attribute(image, 0).requires_grad
    cam = ssgc.GradCAM(wrapper, fine, reshape_transform=lambda tensor: None)
    with pytest.raises(TypeError, match=r"reshape_transform: expected a tensor .*, got None"):
        cam.attribute(image, 0)


@pytest.mark.parametrize("by", ["explain", "benchmark"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.0, r"1 all-zero map\(s\) of Constant: the method found no pixel"),
        (float("nan"), r"1 map\(s\) of Constant are not finite: Constant.attribute_instances div"),
    ],
    ids=["zero", "nan"],
)
def test_an_empty_map_of_changed_images(registered, detector, image, by, value, message):
    """It has no graph."""

    @registered
    class Constant(PerturbationMethod):
        name, title = "constant", "Constant"

        def attribute_instances(self, inputs, targets=None):
            maps = inputs.new_full((1, 1, *inputs.shape[-2:]), value, requires_grad=True)
            return maps * 1.0

    def explained():
        return ssgc.explain(detector, image, "constant", top_k=1)[0].heat_map

    def in_benchmark():
        settings = BenchmarkSettings(methods=["constant"], floors=())
        best = detector.detect(image)[0][:1]
        maps, _ = MapMaker(detector, settings).maps(settings.rows, image, best, 0)
        return maps["constant"]

    with pytest.warns(UserWarning, match=message) as log:
        found = {"explain": explained, "benchmark": in_benchmark}[by]()
    assert not found.requires_grad
    assert [one.filename for one in log] == [__file__]


def test_options_of_changed_images_of_any_kind(registered, detector, image):
    class Any(PerturbationMethod):
        name, title = "any", "Any"

        def attribute_instances(self, inputs, *rest, value, **further):
            full = value + sum(further.values())
            return torch.full((len(self.forward_func.detections[0]), 1, 8, 8), full)

    registered(Any)
    assert Any.option_names() == ["value"]
    options = {"any": {"value": 1.0, "more": 2.0}}
    [found] = ssgc.explain(detector, image, "any", top_k=1, method_options=options)
    assert (found.heat_map == 3.0).all()
    assert MethodRow("any", options["any"]).key == "any[more=2,value=1]"
    with pytest.raises(TypeError, match=r"Any.attribute_instances needs the option 'value', which"):
        ssgc.explain(detector, image, "any", top_k=1)
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'targets'"):
        MethodRow("any", {"targets": 1})


def test_a_subclass_of_a_method_of_changed_images(registered, wrapper, image):
    """Its options are those of the function it has written, in an error, too."""

    @registered
    class Own(ssgc.DRISE):
        name, title = "own", "Own"

        def attribute_instances(self, inputs, targets=None, *, power=1.0, **options):
            return super().attribute_instances(inputs, targets, **options) ** power

    assert Own.option_names() == ["power"]
    with pytest.raises(TypeError, match=r"Own.attribute got an unexpected .* 'power'"):
        Own(wrapper).attribute(image, 0, power=2.0)
    options = {"own": {"power": float("nan"), "n_masks": 4}}
    with pytest.warns(UserWarning, match=r"1 map\(s\) of Own are not finite"):
        ssgc.explain(wrapper.detector, image, "own", top_k=1, method_options=options)


def made(base, **members):
    return type("Wrong", (base,), {"name": "wrong", "title": "Wrong", **members})


def with_keyword(name):
    space = {}
    exec(f"def maps(a, g, {name}=1):\n    return a * g", space)
    return staticmethod(space["maps"])


OF_ATTRIBUTE = [
    "self", "inputs", "target", "targets", "additional_forward_args", "attribute_to_layer_input",
    "relu_attributions", "attr_dim_summation", "grad_kwargs", "interpolate_mode", "fuse_layers",
    "output", "outputs", "generator", "perturbations_per_eval", "show_progress", "whole",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_ATTRIBUTE)
def test_a_keyword_that_means_something_else_is_refused(wrapper, image, name):
    wrong = made(ssgc.ODAM, maps=with_keyword(name))
    message = rf"Wrong.maps: its keyword '{name}' already means something else.*: rename it"
    with pytest.raises(ValueError, match=message):
        register(wrong)
    cam = wrong(wrapper, wrapper.model.fine)
    for call in (cam.attribute, cam.attribute_instances, cam.attribute_union):
        with pytest.raises(ValueError, match=message):
            call(image)
    assert list(METHODS) == ALL


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (made(Method), "Wrong: expected a subclass of LayerMethod or of PerturbationMethod"),
        (made(LayerMethod), "Wrong.maps: expected a map function of .*, got None"),
        (made(LayerMethod, maps=3), "Wrong.maps: expected a map function of .*, got 3"),
        (made(LayerMethod, maps=lambda self, a, g: a), "it takes self: make it a staticmethod"),
        (made(LayerMethod, maps=staticmethod(lambda self, a, g: a)), "it takes self"),
        (made(LayerMethod, maps=lambda a: a), "Wrong.maps: .*; too many positional arguments"),
        (made(LayerMethod, maps=lambda *, a, g: a), "Wrong.maps: .*; too many positional"),
        (made(LayerMethod, maps=lambda a, g, b, /: a), "Wrong.maps: .*; missing a required"),
        (
            made(PerturbationMethod),
            r"Wrong.attribute_instances: expected \(self, .*got nothing",
        ),
        (made(PerturbationMethod, attribute_instances=lambda self: 1), "; too many positional"),
        (
            made(PerturbationMethod, attribute_instances=lambda self, inputs, targets: 1),
            "; targets has no default",
        ),
        (
            made(ssgc.DRISE, __init__=lambda self, forward_func, model: None),
            "Wrong has to be made from the wrapper alone; missing a required argument: 'model'",
        ),
    ],
)
def test_what_would_break_every_run_of_all_is_not_registered(wrong, message):
    with pytest.raises(TypeError, match=message):
        register(wrong)
    assert list(METHODS) == ALL


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda a, g: a, "expected a subclass of Method, got <function"),
        (type("Nameless", (LayerMethod,), {}), "Nameless.name has to be a string"),
        (type("Untitled", (LayerMethod,), {"name": "x"}), "Untitled.title has to be a string"),
    ],
    ids=["function", "no name", "no title"],
)
def test_what_is_no_method_is_not_registered(wrong, message):
    with pytest.raises(TypeError, match=message):
        register(wrong)
    assert list(METHODS) == ALL


LAYER_METHODS = [name for name in METHODS if METHODS[name].gradient_based]


@pytest.mark.parametrize("name", LAYER_METHODS)
def test_every_method_has_a_public_class_and_a_slow_version(name):
    method = METHODS[name]
    assert callable(getattr(references, method.maps.__name__))
    assert getattr(ssgc.attr, method.__name__) is method
    assert getattr(ssgc, method.__name__) is method


def by_method(explained):
    found = {}
    for entry in explained:
        found.setdefault(entry.method, []).append(entry)
    return found


@pytest.fixture
def all_methods(detector, image):
    torch.manual_seed(0)
    return ssgc.explain(detector, image, "all", score_threshold=0.25, method_options=QUICK)


def test_all_methods_for_every_detection(all_methods, detections):
    count = int((detections.scores >= 0.25).sum())
    assert count == 4
    assert [entry.method for entry in all_methods] == ALL * count
    assert [entry.index for entry in all_methods] == [k for k in range(count) for _ in ALL]
    assert {tuple(entry.heat_map.shape) for entry in all_methods} == {(8, 8)}
    for entry in all_methods:
        assert entry.layer == ("" if entry.method == "d-rise" else entry.layer)
    own = {"fine" if level == 0 else "coarse" for level in detections.levels[:count].tolist()}
    assert {entry.layer for entry in all_methods} == {*own, ""}


@pytest.mark.parametrize("name", LAYER_METHODS)
def test_explain_gives_what_the_classes_give(name, all_methods, wrapper, image, detections):
    method = METHODS[name]
    for entry in by_method(all_methods)[name]:
        layer = wrapper.detector.layer_for(detections, entry.index)
        alone = method(wrapper, layer).attribute(
            image, target=entry.index, interpolate_mode="bilinear"
        )
        torch.testing.assert_close(entry.heat_map, alone[0, 0])


def test_explains_grad_cam_is_captums(all_methods, wrapper, image, detections):
    for entry in by_method(all_methods)["grad-cam"]:
        layer = wrapper.detector.layer_for(detections, entry.index)
        captums = LayerGradCam(wrapper, layer).attribute(
            image, target=entry.index, relu_attributions=True
        )
        expected = wrapper.detector.geometry((8, 8)).grid_to_image(captums)[0, 0].detach()
        torch.testing.assert_close(entry.heat_map, expected, rtol=0, atol=1e-6)


def test_explains_drise_is_the_class(all_methods, wrapper, image):
    torch.manual_seed(0)
    expected = ssgc.DRISE(wrapper).attribute_instances(image, [0, 1, 2, 3], **QUICK["d-rise"])
    for entry, heat_map in zip(by_method(all_methods)["d-rise"], expected, strict=True):
        torch.testing.assert_close(entry.heat_map, heat_map[0])


def test_gradient_methods_share_one_forward(detector, image):
    sizes = []
    hook = detector.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    try:
        gradient_based = [name for name in METHODS if METHODS[name].gradient_based]
        ssgc.explain(detector, image, gradient_based, score_threshold=0.25)
        assert sizes == [1]
        sizes.clear()
        ssgc.explain(
            detector,
            image,
            ["odam", "d-rise", "ssgrad-cam++"],
            score_threshold=0.25,
            method_options={"d-rise": {"n_masks": 6, "grid": (2, 2), "perturbations_per_eval": 3}},
        )
        assert sizes == [1, 3, 3]
    finally:
        hook.remove()


def test_drise_alone_needs_neither_layer_nor_gradient():
    def network(pixels):
        box = torch.tensor([[[0.0, 0.0, 8.0, 16.0]]]).expand(len(pixels), 1, 4)
        return box, (pixels[..., :8].mean((1, 2, 3)) > 0.3).float().reshape(-1, 1, 1)

    torch.manual_seed(0)
    [found] = ssgc.explain(
        network, torch.ones(1, 3, 16, 16), "d-rise", method_options={"d-rise": QUICK["d-rise"]}
    )
    assert found.method == "d-rise"
    assert found.heat_map.max() > 0
    with pytest.raises(ValueError, match=r"no recommended layer: .* method='d-rise'"):
        ssgc.explain(network, torch.ones(1, 3, 16, 16), "odam")


def test_several_layers_are_joined_by_their_maximum(detector, image, wrapper):
    """``stem`` and ``fine`` both lead to the best detection, on different grids."""
    names = ["stem", "fine"]
    [joined] = ssgc.explain(detector, image, "ssgrad-cam++", top_k=1, layer=names)
    [first, second] = (
        ssgc.explain(detector, image, "ssgrad-cam++", top_k=1, layer=name)[0].heat_map
        for name in names
    )
    assert joined.layer == "stem, fine"
    assert not torch.allclose(first, second)
    assert torch.equal(joined.heat_map, torch.maximum(first, second))
    cam = ssgc.SSGradCAMPlusPlus(wrapper, [detector.model.stem, detector.model.fine])
    torch.testing.assert_close(cam.attribute(image, 0, fuse_layers="max")[0, 0], joined.heat_map)


def test_options_of_single_methods(detector, image, wrapper):
    options = {"odam": {"smoothing": 1.0}}
    found = ssgc.explain(detector, image, ["odam", "ssgrad-cam"], top_k=1, method_options=options)
    cam = ssgc.ODAM(wrapper, detector.model.fine)
    expected = cam.attribute(image, target=0, smoothing=1.0, interpolate_mode="bilinear")
    torch.testing.assert_close(found[0].heat_map, expected[0, 0])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"grad-cam": {}}, ValueError, "'grad-cam' is none of the chosen methods odam"),
        (
            {"odam": {"sigma": 1.0}},
            TypeError,
            r"unexpected keyword argument 'sigma'; it takes smoo",
        ),
        ({"odam": {"mask": None}}, TypeError, r"argument 'mask'; it takes smoothing"),
        ({"odam": {"output": "probability"}}, ValueError, "output: expected one of score, logit"),
    ],
    ids=["another method", "unknown", "mask", "output"],
)
def test_wrong_options_of_single_methods(detector, image, options, error, message):
    with pytest.raises(error, match=message):
        ssgc.explain(detector, image, "odam", method_options=options)


def test_output_and_mask_may_be_chosen_per_method(detector, image, detections):
    options = {"ssgrad-cam++": {"output": "logit", "mask": None}, "odam": {"output": "left"}}
    found = ssgc.explain(detector, image, ["ssgrad-cam++", "odam"], top_k=1, method_options=options)
    for one, method, output, own in zip(
        found,
        (ssgc.SSGradCAMPlusPlus, ssgc.ODAM),
        ("logit", "left"),
        ({"mask": None}, {}),
        strict=True,
    ):
        wrapper = ssgc.InstanceScoreWrapper(detector, detections, output=output)
        cam = method(wrapper, detector.model.fine)
        expected = cam.attribute(image, target=0, interpolate_mode="bilinear", **own)
        torch.testing.assert_close(one.heat_map, expected[0, 0])


def test_explain_takes_an_instance_mask(detector, image, wrapper):
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:6, 4:] = 1
    [found] = ssgc.explain(detector, image, "ssgrad-cam++", top_k=1, mask=mask)
    cam = ssgc.SSGradCAMPlusPlus(wrapper, detector.model.fine)
    expected = cam.attribute(image, target=0, mask=mask, interpolate_mode="bilinear")
    torch.testing.assert_close(found.heat_map, expected[0, 0])
    with pytest.raises(ValueError, match="got 'roi'"):
        ssgc.explain(detector, image, mask="roi")


def test_an_empty_map_names_its_method(make_detector, image):
    detector = make_detector()
    detector.decode = lambda candidates: replace(candidates, class_logits=None)
    with torch.no_grad():
        detector.model.head.weight.mul_(100.0)
    with pytest.warns(
        UserWarning, match=r"1 all-zero map\(s\) of ODAM: the score is saturated"
    ) as log:
        ssgc.explain(detector, image, "odam", top_k=1)
    assert log[0].filename == __file__


@pytest.mark.parametrize("name", METHODS)
def test_options_of_a_run_are_those_that_a_user_chooses(name):
    method = METHODS[name]
    chosen = method.chosen_options()
    of_the_run = {"generator", "perturbations_per_eval", "show_progress"}
    assert list(chosen) == [option for option in method.option_names() if option not in of_the_run]
    assert "prior_maps" not in chosen  # the run makes them
    assert set(options_of(method)) == {*chosen, *(["output"] if method.gradient_based else [])}
