"""Every way to ask for maps goes through one recording: the same maps, warnings and errors."""

from __future__ import annotations

import threading
from itertools import cycle

import pytest
import torch
from every_method import every_method

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.heat_maps import MapMaker


@pytest.fixture
def few(detector, detections):
    """The best ones, as far as they are of the first level."""
    count = detections.levels.tolist().index(1)
    assert count == 2
    return detections[:count]


def by_attribute(detector, few, image, method, layer, options, output):
    wrapper = ssgc.InstanceScoreWrapper(detector, few, output=output)
    cam = method(wrapper, detector.model.get_submodule(layer))
    mask = options.get("mask")
    maps = []
    for row in range(len(few)):
        own = dict(options)
        if isinstance(mask, torch.Tensor) and len(mask) > 1:
            own["mask"] = mask[row : row + 1]
        maps.append(cam.attribute(image, target=row, interpolate_mode="bilinear", **own)[0, 0])
    return torch.stack(maps)


def by_instances(detector, few, image, method, layer, options, output):
    wrapper = ssgc.InstanceScoreWrapper(detector, few, output=output)
    cam = method(wrapper, detector.model.get_submodule(layer))
    return cam.attribute_instances(image, interpolate_mode="bilinear", **options)[:, 0]


def by_explain(detector, few, image, method, layer, options, output):
    found = ssgc.explain(
        detector,
        image,
        method.name,
        layer=layer,
        output=output,
        score_threshold=0.0,
        top_k=len(few),
        method_options={method.name: options},
    )
    return torch.stack([one.heat_map for one in found])


def by_benchmark(detector, few, image, method, layer, options, output, monkeypatch):
    given = {name: one for name, one in options.items() if not isinstance(one, torch.Tensor)}
    rows = [(method.name, given)]
    settings = BenchmarkSettings(methods=rows, layer=(layer,), output=output, floors=())
    if given != options:  # a file of a run could not hold a mask
        own = {"output": output, **options}
        monkeypatch.setattr(BenchmarkSettings, "options_of", lambda self, row: dict(own))
    maps, _ = MapMaker(detector, settings).maps(settings.rows, image, few, 0)
    [found] = maps.values()
    return found


def by_union(detector, few, image, method, layer, options, output):
    """Of one output alone it is the map of :func:`by_instances` over its peak on the grid."""
    wrapper = ssgc.InstanceScoreWrapper(detector, few)
    layer = detector.model.get_submodule(layer)
    maps = method(wrapper, layer).attribute_union(
        image, outputs=[output], interpolate_mode="bilinear", **options
    )
    wrapper = ssgc.InstanceScoreWrapper(detector, few, output=output)
    peaks = method(wrapper, layer).attribute_instances(image, **options).flatten(1).amax(1)
    return maps[:, 0] * peaks[:, None, None]


WAYS = {
    "attribute": by_attribute,
    "attribute_instances": by_instances,
    "attribute_union": by_union,
    "explain": by_explain,
    "benchmark": by_benchmark,
}


@pytest.fixture(params=WAYS)
def ask(request, detector, image, monkeypatch):
    """Asks for maps; of the paper's method where none is named, or of ODAM, which has unions."""
    usual = "odam" if request.param == "attribute_union" else "ssgrad-cam++"

    def call(few, method=None, layer="fine", options=None, output="score"):
        options, chosen = options or {}, METHODS[method or usual]
        if request.param == "attribute_union":
            strange = method is None and not options.keys() <= set(chosen.option_names())
            if strange or not hasattr(chosen, "attribute_union"):
                pytest.skip("it has no unions")
        further = [monkeypatch] if request.param == "benchmark" else []
        return WAYS[request.param](detector, few, image, chosen, layer, options, output, *further)

    call.name = request.param
    return call


MASKS = {
    "region": "region",
    "box": "box",
    "none": None,
    "one in pixels": torch.eye(8).flip(0)[None, None],
    "one on the grid": torch.eye(4).flip(0)[None, None],
    "one per detection, in pixels": torch.ones(2, 1, 8, 8).tril(),
    "one per detection, on the grid": torch.ones(2, 1, 4, 4).tril(),
    "one per channel": torch.ones(1, 2, 4, 4),
}


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_masks(ask, few, detector, image, mask):
    cam = ssgc.SSGradCAMPlusPlus(ssgc.InstanceScoreWrapper(detector, few), detector.model.fine)
    expected = cam.attribute_instances(image, mask=mask, interpolate_mode="bilinear")[:, 0]
    torch.testing.assert_close(ask(few, options={"mask": mask}), expected)


# Each with another output than its neighbour.
ASKED = [
    (*asked, output) for asked, output in zip(every_method(), cycle(["score", "logit", "left"]))
]


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(("method", "options", "output"), ASKED, ids=str)
def test_methods_options_and_outputs(ask, few, detector, image, method, options, output):
    wrapper = ssgc.InstanceScoreWrapper(detector, few, output=output)
    cam = METHODS[method](wrapper, detector.model.fine)
    expected = cam.attribute_instances(image, interpolate_mode="bilinear", **options)[:, 0]
    torch.testing.assert_close(ask(few, method, "fine", options, output), expected)


ERRORS = {
    "mask of another size": (
        {"options": {"mask": torch.ones(1, 1, 5, 5)}},
        ValueError,
        "mask: expected shape",
    ),
    "unknown mask": ({"options": {"mask": "roi"}}, ValueError, "'region', 'box', .*got 'roi'"),
    "mask of another type": ({"options": {"mask": 3}}, TypeError, "a tensor or None, got int"),
    "width": ({"options": {"smoothing": -1.0}}, ValueError, "smoothing: expected a width"),
    "signs": ({"options": {"signed_activations": "no"}}, ValueError, "'split' or 'as_is'"),
    "unknown option": (
        {"options": {"sigma": 1.0}},
        TypeError,
        r"got an unexpected keyword argument 'sigma'; it takes .*smoothing, signed_activations",
    ),
    "option of another method": (
        {"method": "odam", "options": {"mask": "box"}},
        TypeError,
        "got an unexpected keyword argument 'mask'; it takes .*smoothing",
    ),
    "no options": (
        {"method": "grad-cam", "options": {"smoothing": 1.0}},
        TypeError,
        "got an unexpected keyword argument 'smoothing'; it",
    ),
    "width of another type": (
        {"options": {"smoothing": "wide"}},
        TypeError,
        "smoothing: expected a width in cells, got",
    ),
    "not on the path": ({"layer": "unused"}, ValueError, r"'unused' did not run .* use one of"),
    "several runs": ({"layer": "head"}, ValueError, r"'head' ran 2 times.* use one of 'fine'"),
}


@pytest.mark.parametrize(("how", "error", "message"), ERRORS.values(), ids=ERRORS)
def test_errors(ask, few, how, error, message):
    with pytest.raises(error, match=message):
        ask(few, **how)


@pytest.mark.parametrize("layer", ["fine", "coarse"])
def test_a_layer_of_another_level_has_one_wording(ask, detections, layer):
    """An error for the detection asked for; a warning where others may well be of the level."""
    message = rf"'{layer}' is pyramid level ., but the score of this detection is computed from"
    if ask.name.startswith("attribute"):
        with pytest.raises(ValueError, match=message):
            ask(detections, layer=layer)
        return
    with pytest.warns(UserWarning, match=message) as log:
        maps = ask(detections, layer=layer)
    own = detections.levels == ("fine", "coarse").index(layer)
    assert ((maps.flatten(1).amax(1) > 0) == own).all()
    assert not any("by this method" in str(one.message) for one in log)


def test_an_empty_map_has_one_wording_and_points_at_the_caller(ask, few, detector):
    with torch.no_grad():
        detector.model.head.weight.copy_(-detector.model.head.weight.abs())
    with pytest.warns(UserWarning, match=r"all-zero map\(s\) of ODAM: by this method") as log:
        ask(few, "odam")
    assert {one.filename for one in log} == {__file__}


def test_training_in_another_thread_keeps_its_gradients(detector, few, image):
    """Nothing of the model is touched while one of its detections is explained."""
    cam = ssgc.SSGradCAMPlusPlus(ssgc.InstanceScoreWrapper(detector, few), detector.model.fine)
    model, inside, trained = detector.model, threading.Event(), threading.Event()
    main = threading.get_ident()

    def wait(module, args, output):
        if threading.get_ident() == main:
            inside.set()
            trained.wait(600)

    hook = model.coarse.register_forward_hook(wait)
    losses = []

    def train():
        inside.wait(600)
        losses.append(model(image).class_scores.sum())
        trained.set()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        cam.attribute(image, target=0)
    finally:
        hook.remove()
        thread.join()
    losses[0].backward()
    assert model.head.weight.grad.abs().sum() > 0
    assert model.stem.weight.grad.abs().sum() > 0
