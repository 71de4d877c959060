"""The arguments of each class: what it has of its own is in its signature and docstring."""

from __future__ import annotations

import inspect

import pytest
import torch
from captum.attr import NoiseTunnel

import captum_ssgc as ssgc
from captum_ssgc.attr import LayerMethod

CAPTUM = [
    "inputs",
    "target",
    "additional_forward_args",
    "attribute_to_layer_input",
    "relu_attributions",
    "attr_dim_summation",
    "grad_kwargs",
]
SHARED = ["interpolate_mode", "fuse_layers"]
OWN = {
    ssgc.GradCAM: {},
    ssgc.GradCAMPlusPlus: {},
    ssgc.LayerCAM: {},
    ssgc.HiResCAM: {},
    ssgc.EigenCAM: {},
    ssgc.SSGradCAMPlusMinus: {"mask": "region", "halo": 0.01},
    ssgc.ODAM: {"smoothing": 0.0},
    ssgc.SSGradCAM: {"smoothing": 0.0},
    ssgc.SSGradCAMPlusPlus: {
        "mask": "region",
        "smoothing": 0.0,
        "signed_activations": "split",
    },
}
each_cam = pytest.mark.parametrize("method", OWN, ids=lambda method: method.__name__)


def test_none_is_left_out():
    """An option is written down here by hand, as what a user reads and types."""
    assert set(OWN) == {one for one in ssgc.attr.METHODS.values() if one.gradient_based}


def rest_of(method):
    """Where nothing is written out, a subclass may bring its own."""
    return [] if OWN[method] else ["options"]


@each_cam
def test_signature_of_attribute(method):
    parameters = inspect.signature(method.attribute).parameters
    assert list(parameters) == ["self", *CAPTUM, *OWN[method], *SHARED, *rest_of(method)]
    for name, default in OWN[method].items():
        assert parameters[name].default == default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@each_cam
def test_signature_of_attribute_instances(method):
    parameters = inspect.signature(method.attribute_instances).parameters
    first = ["self", "inputs", "targets"]
    assert list(parameters) == [*first, *CAPTUM[3:6], *OWN[method], *SHARED, *rest_of(method)]
    assert method.option_names() == list(OWN[method])


@each_cam
@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_the_docstring_describes_every_argument_once(method, call):
    function = getattr(method, call)
    text = inspect.getdoc(function)  # Python 3.13 takes the indentation off when it compiles
    for name in inspect.signature(function).parameters:
        if name != "self":
            assert text.count(f"\n    {name}: ") == 1, name
    assert "**" not in text.replace("``", "")
    assert max(map(len, function.__doc__.splitlines())) <= 100


def test_a_subclass_with_its_own_maps_gets_their_keywords(wrapper, image):
    """Also one whose name means nothing to anybody else, and one of a method with other options."""

    class Squared(LayerMethod):
        title = "Squared"

        @staticmethod
        def maps(activations, gradients, factor=2.0):
            return factor * activations**2 * gradients

    class Plain(ssgc.SSGradCAMPlusPlus):
        @staticmethod
        def maps(activations, gradients):
            return 4.0 * activations**2 * gradients

    assert Squared.option_names() == ["factor"]
    fine = wrapper.model.fine
    once, twice = (
        Squared(wrapper, fine).attribute(image, target=0, factor=factor) for factor in (1.0, 2.0)
    )
    torch.testing.assert_close(twice, 2 * once)
    torch.testing.assert_close(Plain(wrapper, fine).attribute(image, target=0), 4 * once)
    with pytest.raises(TypeError, match="'smoothing'; it has no options of its own"):
        Plain(wrapper, fine).attribute(image, target=0, smoothing=1.0)


def test_a_subclass_of_a_built_in_method_brings_further_keywords(wrapper, image):
    """Also where Captum calls what its decorators wrap."""

    class Power(ssgc.SSGradCAMPlusPlus):
        @staticmethod
        def maps(activations, gradients, mask=None, smoothing=1.0, power=1.0):
            maps = ssgc.SSGradCAMPlusPlus.maps(activations, gradients, mask, smoothing)
            return maps.clamp(min=0.0) ** power

    fine = wrapper.model.fine
    cam, own = Power(wrapper, fine), ssgc.SSGradCAMPlusPlus(wrapper, fine)
    for call, target in (("attribute", 0), ("attribute_instances", [0])):
        maps = [
            getattr(own, call)(image, target, smoothing=width, attr_dim_summation=False)
            for width in (0.0, 1.0)
        ]
        assert not torch.allclose(*maps)
        for options, expected in (
            ({}, maps[1]),
            ({"smoothing": 0.0}, maps[0]),
            ({"power": 2.0}, maps[1] ** 2),
        ):
            found = getattr(cam, call)(image, target, attr_dim_summation=False, **options)
            torch.testing.assert_close(found, expected)
        message = rf"Power.{call} got .* 'signed_activations'; it takes mask, smoothing, power"
        with pytest.raises(TypeError, match=message):
            getattr(cam, call)(image, target, signed_activations="split")
    tunnel = NoiseTunnel(cam).attribute(image, nt_samples=1, stdevs=0.0, target=0, power=2.0)
    torch.testing.assert_close(tunnel, cam.attribute(image, 0, power=2.0))


def test_a_subclass_keeps_what_it_overrides(wrapper, image):
    class Doubled(ssgc.ODAM):
        def attribute(self, *args, **kwargs):
            return 2 * super().attribute(*args, **kwargs)

    class Again(Doubled):
        pass

    cam = Again(wrapper, wrapper.model.fine)
    once = ssgc.ODAM(wrapper, wrapper.model.fine).attribute(image, target=0, smoothing=1.0)
    torch.testing.assert_close(cam.attribute(image, target=0, smoothing=1.0), 2 * once)


def test_smoothing_and_signs_reach_the_formula(signed_detector, image):
    found = signed_detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(signed_detector, found)
    layer = signed_detector.model.fine
    target = int((found.candidates == 2).nonzero())
    for method, options in OWN.items():
        cam = method(wrapper, layer)
        plain = cam.attribute(image, target=target)
        changes = {
            "smoothing": 1.0,
            "signed_activations": "as_is",
            "halo": 0.5,
            "mask": torch.eye(4).flip(0)[None, None],
        }
        for name in options:
            changed = cam.attribute(image, target=target, **{name: changes[name]})
            assert not torch.allclose(changed, plain), (method, name)
            torch.testing.assert_close(
                cam.attribute_instances(image, [target], **{name: changes[name]}), changed
            )
