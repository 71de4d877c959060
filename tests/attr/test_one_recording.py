"""Every way to ask for maps goes through one recording: the same maps, warnings and errors."""

from __future__ import annotations

import functools
import threading
from itertools import cycle

import pytest
import torch
import torch.nn.functional as F
from every_method import every_method
from setting_on_modules import SETTINGS

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS, LayerMethod
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


def times(a, g, power=1.0):
    return (a * g) * power


def less_the_mean(a, g, **options):
    maps = ssgc.ODAM.maps(a, g, **options)
    return maps - maps.mean((-2, -1), keepdim=True)


def of_any_name(a, g, **options):
    return a * g * options.get("power", 1.0)


def handed_on(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def reflected(a, g, pad=1):
    padded = F.pad(a * g, (pad,) * 4, mode="reflect")
    return F.avg_pool2d(padded, 2 * pad + 1, 1)


def of_top_channels(a, g, count=2):
    maps = a * g
    top = maps.sum((-2, -1)).topk(count).indices[..., None, None]
    return maps.gather(1, top.expand(-1, -1, *maps.shape[-2:]))


class Module(torch.nn.Module):
    def forward(self, a, g, power=1.0):
        return times(a, g, power)


class Callable:
    def __call__(self, a, g, power=1.0):
        return times(a, g, power)

    @classmethod
    def of_class(cls, a, g, power=1.0):
        return times(a, g, power)


SMOOTHED = functools.partial(ssgc.ODAM.maps, smoothing=2.0)
# A function of ones own, options, and contributions to the same map.
FUNCTIONS = {
    "takes over the attributes of a local one": (
        functools.wraps(ssgc.ODAM.maps)(lambda a, g, smoothing=2.0: SMOOTHED(a, g)),
        {},
        SMOOTHED,
    ),
    "partial, with attributes": (
        functools.update_wrapper(functools.partial(SMOOTHED), ssgc.ODAM.maps),
        {},
        SMOOTHED,
    ),
    "with attributes, of the whole grid": (
        functools.wraps(ssgc.ODAM.maps)(less_the_mean),
        {"smoothing": 0.5},
        lambda a, g: less_the_mean(a, g, smoothing=0.5),
    ),
    "takes over the attributes of one of weights": (
        functools.wraps(ssgc.GradCAM.maps)(lambda a, g, power=1.0: times(a, g, power)),
        {"power": 2.0},
        lambda a, g: 2.0 * a * g,
    ),
    "decorated": (handed_on(times), {"power": 2.0}, lambda a, g: 2.0 * a * g),
    "decorated twice": (
        torch.no_grad()(handed_on(times)),
        {"power": 2.0},
        lambda a, g: 2.0 * a * g,
    ),
    "built in": (torch.mul, {}, times),
    "module": (Module(), {"power": 2.0}, lambda a, g: 2.0 * a * g),
    "object": (Callable(), {"power": 2.0}, lambda a, g: 2.0 * a * g),
    "of a class": (Callable.of_class, {"power": 2.0}, lambda a, g: 2.0 * a * g),
    "wraps what is called in another way": (
        functools.wraps(lambda maps: maps)(of_any_name),
        {"power": 2.0},
        lambda a, g: 2.0 * a * g,
    ),
    "any keyword": (of_any_name, {"power": 2.0}, lambda a, g: 2.0 * a * g),
    "by keyword alone": (
        lambda a, g, /, *, power: times(a, g, power),
        {"power": 2.0},
        lambda a, g: 2.0 * a * g,
    ),
    "in a row": (
        lambda *both, power=1.0: times(*both, power),
        {"power": 2.0},
        lambda a, g: 2.0 * a * g,
    ),
    "a mask without default": (lambda a, g, mask, power=1.0: times(a, g, power), {}, times),
    "more than one cell": (reflected, {"pad": 1}, reflected),
    "some channels": (of_top_channels, {"count": 1}, lambda a, g: of_top_channels(a, g, 1)),
    "another default": (
        lambda a, g, smoothing=2.0: SMOOTHED(a, g, smoothing=smoothing),
        {},
        SMOOTHED,
    ),
    "not that default": (
        lambda a, g, smoothing=2.0: ssgc.ODAM.maps(a, g, smoothing),
        {"smoothing": 0.0},
        times,
    ),
    "whole numbers": (lambda a, g: g > 0, {}, lambda a, g: (g > 0).float()),
    "with graph": (
        lambda a, g: a * g * torch.ones(1, requires_grad=True),
        {},
        times,
    ),
}


@pytest.fixture
def own(registered):
    """Registers a map function, as a method that has unions and an option that it may lack."""

    def make(function):
        members = {"name": "own", "title": "Own", "maps": staticmethod(function)}
        return registered(type("Own", (ssgc.ODAM,), members))

    return make


@pytest.mark.filterwarnings("ignore:.*all-zero map")
@pytest.mark.parametrize(("function", "options", "plain"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_of_ones_own(ask, own, few, detector, image, function, options, plain):
    own(function)
    members = {"title": "Plain", "maps": staticmethod(lambda a, g: plain(a, g))}
    cam = type("Plain", (LayerMethod,), members)(
        ssgc.InstanceScoreWrapper(detector, few), detector.model.fine
    )
    expected = cam.attribute_instances(image, interpolate_mode="bilinear")[:, 0]
    found = ask(few, "own", options=options)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda a, g: None, "got None"),
        (lambda a, g: (a * g).sum((1, 2, 3)), r"got a tensor of shape \(1,\)\."),
        (lambda a, g: (a * g)[0], r"got a tensor of shape \(2, 4, 4\)"),
        (lambda a, g: (a * g).repeat(2, 1, 1, 1), r"got a tensor of shape \(2, 2, 4, 4\)"),
        (lambda a, g: (a * g)[..., ::2, :], r"got a tensor of shape \(1, 2, 2, 4\)"),
        (
            lambda a, g: torch.complex(a, g),
            r"got a tensor of shape \(1, 2, 4, 4\) of torch.complex64",
        ),
        (lambda a, g: (a * g).numpy(), r"got .*array\("),
    ],
    ids=["none", "a number each", "no batch", "batch", "grid", "complex", "array"],
)
def test_what_a_function_gives_is_checked(ask, own, few, function, got):
    own(function)
    expected = r"Own.maps: expected maps of shape \(1, 2, 4, 4\), as the activations, "
    with pytest.raises(ValueError, match=expected + got):
        ask(few, "own")


def test_an_option_without_default_is_asked_for(ask, own, few):
    own(lambda a, g, power: times(a, g, power))
    with pytest.raises(TypeError, match=r"Own\.attribute\w* needs the option 'power', which has"):
        ask(few, "own")


@pytest.mark.parametrize(
    "function",
    [times, of_any_name, functools.wraps(ssgc.ODAM.maps)(times)],
    ids=["named", "any", "with attributes"],
)
@pytest.mark.parametrize("option", ["mask", "whole"])
def test_what_a_function_gets_by_name_is_no_option_of_another(ask, own, few, function, option):
    own(function)
    with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{option}'"):
        ask(few, "own", options={option: None})


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda a, g: a * float("nan"), "the method divides by zero or overflows"),
        (lambda a, g: a.reciprocal() * float("inf"), "the method divides by zero or overflows"),
    ],
    ids=["nan", "inf"],
)
def test_maps_that_are_not_finite_have_one_wording(ask, own, few, function, why):
    own(function)
    if ask.name == "attribute_union":
        pytest.skip("its peak is no number")
    with pytest.warns(UserWarning, match=rf"map\(s\) of Own are not finite: {why}") as log:
        ask(few, "own")
    assert {one.filename for one in log} == {__file__}


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


class Logarithm(ssgc.InstanceScoreWrapper):
    def forward(self, images, image_index=None):
        return super().forward(images, image_index).log()


def assert_each_as_alone(cam, image, usual):
    """Those of all detections are those of each one, and not the usual ones."""
    alone = torch.cat([cam.attribute(image, target=row) for row in range(len(usual))])
    torch.testing.assert_close(cam.attribute_instances(image), alone)
    torch.testing.assert_close(cam.attribute_instances(image, [1]), alone[1:2])
    assert (alone - usual).abs().max() > 0.1 * usual.max()


def test_what_is_made_of_the_scores_counts(detector, few, image):
    usual, wrapper = (kind(detector, few) for kind in (ssgc.InstanceScoreWrapper, Logarithm))
    usual_maps = ssgc.ODAM(usual, detector.model.fine).attribute_instances(image)
    assert_each_as_alone(ssgc.ODAM(wrapper, detector.model.fine), image, usual_maps)


# Hooks of what a wrapper takes change nothing of the layer behind.
BEFORE = ("full_backward_hook", "forward_pre_hook")


@pytest.mark.filterwarnings("ignore:.*non-full backward hook")
@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind not in BEFORE])
def test_what_is_set_on_a_wrapper_counts(kind, detector, few, image):
    wrapper = ssgc.InstanceScoreWrapper(detector, few)
    cam = ssgc.ODAM(wrapper, detector.model.fine)
    usual = cam.attribute_instances(image)
    with SETTINGS[kind](wrapper):
        assert_each_as_alone(cam, image, usual)


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
