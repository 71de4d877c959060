"""The arguments of each class: what it has of its own is in its signature and docstring."""

from __future__ import annotations

import inspect

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.attr._layer_cam import LayerCAM

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
    ssgc.GradCAMPlusPlus: {},
    ssgc.ODAM: {"smoothing": 0.0},
    ssgc.SSGradCAM: {"smoothing": 0.0},
    ssgc.SSGradCAMPlusPlus: {
        "mask": "region",
        "smoothing": 0.0,
        "signed_activations": "split",
    },
}
each_cam = pytest.mark.parametrize("method", OWN, ids=lambda method: method.__name__)


@each_cam
def test_signature_of_attribute(method):
    parameters = inspect.signature(method.attribute).parameters
    assert list(parameters) == ["self", *CAPTUM, *OWN[method], *SHARED]
    for name, default in OWN[method].items():
        assert parameters[name].default == default
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@each_cam
def test_signature_of_attribute_instances(method):
    parameters = inspect.signature(method.attribute_instances).parameters
    first = ["self", "inputs", "targets"]
    assert list(parameters) == [*first, *CAPTUM[3:6], *OWN[method], *SHARED]


@each_cam
@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_the_docstring_describes_every_argument_once(method, call):
    function = getattr(method, call)
    for name in inspect.signature(function).parameters:
        if name != "self":
            assert function.__doc__.count(f"            {name}: ") == 1, name
    assert "**" not in function.__doc__.replace("``", "")
    assert max(map(len, function.__doc__.splitlines())) <= 100
    assert function.__qualname__ == f"{method.__name__}.{call}"
    assert function.__module__ == method.__module__


def test_a_subclass_with_its_own_maps_gets_their_keywords():
    """What the registry's docstring promises to someone who adds a method."""

    class Squared(LayerCAM):
        @staticmethod
        def maps(activations, gradients, smoothing=2.0):
            return activations**2 * gradients

    parameters = inspect.signature(Squared.attribute).parameters
    assert parameters["smoothing"].default == 2.0
    assert "mask" not in parameters


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
            "mask": torch.eye(4).flip(0)[None, None],
        }
        for name in options:
            changed = cam.attribute(image, target=target, **{name: changes[name]})
            assert not torch.allclose(changed, plain), (method, name)
            torch.testing.assert_close(
                cam.attribute_instances(image, [target], **{name: changes[name]}), changed
            )
