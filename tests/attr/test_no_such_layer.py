"""A layer that is not there is said in one way, wherever it was named, with what to do instead."""

from __future__ import annotations

import re

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc._layer_names import layer_advice, module_named, no_such_layer
from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.cli.messages import CommandError, one_line
from captum_ssgc.cli.models import check_layers
from captum_ssgc.detectors import CandidateDetector

ADVICE = (
    "use one of 'fine', 'coarse' (detector.target_layers()), or another of the model's 6 modules "
    "(model.named_modules()) that runs once and leads to the score."
)


def of_benchmark(detector, layer):
    MapMaker(detector, BenchmarkSettings(methods=["odam"], layer=layer))


BY_NAME = {
    "detector": lambda detector, image, layer: detector.module_named(layer),
    "explain": lambda detector, image, layer: ssgc.explain(detector, image, "odam", layer=layer),
    "explain, a list": lambda detector, image, layer: ssgc.explain(
        detector, image, "odam", layer=["fine", layer]
    ),
    "refined": lambda detector, image, layer: ssgc.RefinedCAM(
        ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0]), layer
    ).attribute(image, target=0),
    "benchmark": lambda detector, image, layer: of_benchmark(detector, [layer]),
}


@pytest.mark.parametrize("ask", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("name", ["nope", "fine.0", "forward"])
def test_a_name(ask, name, detector, image):
    with pytest.raises(ValueError, match="no layer") as caught:
        ask(detector, image, name)
    assert str(caught.value) == no_such_layer(detector.model, name, detector.target_layers)
    assert str(caught.value).endswith(f"; {ADVICE}")


BY_MODULE = {
    "attribute": lambda wrapper, image, layer: ssgc.ODAM(wrapper, layer),
    "attribute, a list": lambda wrapper, image, layer: ssgc.ODAM(
        wrapper, [wrapper.model.fine, layer]
    ),
    **{
        name: lambda wrapper, image, layer, ask=BY_NAME[name]: ask(wrapper.detector, image, layer)
        for name in ("detector", "explain", "explain, a list", "refined")
    },
}


@pytest.mark.parametrize("ask", BY_MODULE.values(), ids=BY_MODULE)
def test_a_module_of_another_model(ask, wrapper, image):
    with pytest.raises(ValueError, match=r"the model has no layer ReLU \(a module, but none of"):
        ask(wrapper, image, torch.nn.ReLU())


@pytest.mark.parametrize("name", ["rpn.head.conv", "rpn.head.cls_logits", "", "transform"])
def test_a_layer_that_gives_no_map_is_said_in_one_way(mask_rcnn, name):
    """Also where it runs for the detections, but not for their scores."""
    detector = ssgc.wrap_detector(mask_rcnn)
    image = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    found = detector.detect(image)[0]
    assert len(found) == 5
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    layer = mask_rcnn.get_submodule(name)
    calls = [
        lambda: ssgc.ODAM(wrapper, layer).attribute(image, target=0),
        lambda: ssgc.ODAM(wrapper, layer).attribute_instances(image),
        lambda: ssgc.ODAM(wrapper, layer).attribute_union(image),
        lambda: ssgc.explain(detector, image, "odam", layer=layer, score_threshold=0.0),
    ]
    if name:
        settings = BenchmarkSettings(methods=["odam"], layer=name, floors=())
        maker = MapMaker(detector, settings)
        calls.append(lambda: maker.maps(settings.rows, image, found, 0))
    said = set()
    for call in calls:
        with pytest.raises(ValueError, match="layer '") as caught:
            call()
        said.add(str(caught.value))
    [text] = said
    expected = "expected a tensor, got tuple" if name == "transform" else "did not run in the"
    assert expected in text


def test_the_command_says_it_without_calls_of_python(detector):
    with pytest.raises(CommandError) as caught:
        check_layers(detector, ["fine", "coars"])
    assert str(caught.value) == (
        "the model has no layer 'coars' (did you mean 'coarse'?); use one of 'fine', 'coarse', or "
        "another of the model's 6 modules that runs once and leads to the score."
    )
    check_layers(detector, ["fine", "stem"])
    with pytest.raises(CommandError, match="no layer ''"):
        check_layers(detector, [""])


@pytest.mark.parametrize("layer", ["nope", "", torch.nn.ReLU()], ids=["name", "empty", "module"])
@pytest.mark.parametrize("argument", ["level_layers", "target_layers"])
def test_an_adapter_that_is_told_its_layers(layer, argument, detector):
    """Nothing is recommended yet, so that some of those there are are named."""
    with pytest.raises(ValueError, match="the model has no layer") as caught:
        CandidateDetector(detector.model, **{argument: [layer]})
    assert str(caught.value).endswith(
        "use one that runs once and leads to the score of the model's 6 modules "
        "(model.named_modules()), the last of which are 'act', 'fine', 'coarse', 'head', 'unused'."
    )


@pytest.mark.parametrize("layers", ["fine", {"fine"}, {"fine": 0}, 3], ids=str)
@pytest.mark.parametrize("argument", ["level_layers", "target_layers"])
def test_the_layers_of_an_adapter_have_an_order(layers, argument, detector):
    with pytest.raises(TypeError, match=f"{argument}: expected a list of modules or names, got"):
        CandidateDetector(detector.model, **{argument: layers})


@pytest.mark.parametrize("empty", [[], ()], ids=str)
def test_an_empty_list_is_the_same_error_everywhere(empty, wrapper, detector, image):
    calls = [
        lambda: ssgc.ODAM(wrapper, empty),
        lambda: ssgc.explain(detector, image, "odam", layer=empty),
        lambda: ssgc.RefinedCAM(wrapper, empty).attribute(image, target=0),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="layer: expected at least one, got none") as caught:
            call()
        assert str(caught.value).endswith(f"; {ADVICE}")
    with pytest.raises(ValueError, match=r"at least one, got none; use a layer of the model that"):
        ssgc.ODAM(lambda images: images.mean((1, 2, 3)), empty)


def test_what_is_there_is_given_back(detector):
    model = detector.model
    assert module_named(model, "fine") is model.fine
    assert module_named(model, model.fine) is model.fine
    model.alias = model.fine  # named_modules() leaves it out
    assert module_named(model, "alias") is model.fine
    with pytest.raises(TypeError, match="expected a module or its name, got 3"):
        module_named(model, 3)


def test_advice_for_a_model_without_modules(image):
    def one_box(images):
        box = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]).expand(len(images), 1, 4)
        return box, images.mean((1, 2, 3)).reshape(-1, 1, 1)

    with pytest.raises(ValueError, match=r"no layer 'fine'; it has no modules of its own"):
        ssgc.explain(one_box, image, "odam", layer="fine", score_threshold=0.0)
    assert layer_advice(None) == "use a layer of the model that runs once and leads to the score."


class BlackBox(CandidateDetector):
    """Runs, and passes no gradient."""

    why_black_box = "this one is only run"


@pytest.fixture
def black_box(detector):
    return BlackBox(detector.model, score_threshold=0.0)


def few(name):
    taken = METHODS[name].option_names()
    options = {"n_masks": 4, "grid": (2, 2), "forwards": 8}
    return {option: value for option, value in options.items() if option in taken}


def advised(text):
    """Each method that an error names, with the options it says."""
    found = re.findall(r"method='([^']+)'(?: with (\w+)=None)?", text)
    return {name: {option: None} if option else {} for name, option in found}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_advised_if_it_works_without_layers(method, black_box, image):
    """Read off the register; with the options that are said."""
    options = METHODS[method].options_without_layer()
    if METHODS[method].recorded({}) is not None:
        with pytest.raises(ValueError, match=r"is only run: .* What is left: ") as caught:
            ssgc.explain(black_box, image, method)
        assert advised(str(caught.value)).get(method) == options
    if options is not None:
        own = {method: {**options, **few(method)}}
        [found] = ssgc.explain(
            black_box, image, method, score_threshold=0.0, top_k=1, method_options=own
        )
        assert found.heat_map.max() > 0


def test_a_method_of_ones_own_is_advised_too(black_box, image, monkeypatch):
    class Blink(METHODS["d-rise"]):
        name, title = "blink", "Blink"

    for known in ({"blink": Blink}, {"odam": METHODS["odam"], "blink": Blink}):
        monkeypatch.setattr("captum_ssgc.attr._method.METHODS", {**known, "grad-cam": ssgc.GradCAM})
        with pytest.raises(ValueError, match=r"What is left: method='blink', and all metrics"):
            ssgc.explain(black_box, image, "grad-cam")
    monkeypatch.setattr("captum_ssgc.attr._method.METHODS", {"grad-cam": ssgc.GradCAM})
    with pytest.raises(ValueError, match="What is left: a method that only runs the detector, and"):
        ssgc.explain(black_box, image, "grad-cam")


def test_the_command_advises_options():
    text = "What is left: method='d-rise' or method='refined-cam' with prior=None."
    assert one_line(ValueError(text)) == (
        "What is left: --method d-rise or --method refined-cam with --option prior=none."
    )
    text = "try another layer (detector.target_layers()), signed_activations='split', or layer=."
    assert one_line(ValueError(text)) == (
        "try another layer, --option signed_activations=split, or --layer."
    )
