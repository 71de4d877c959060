"""Pyramid levels that a detection was not computed from: one wording, whoever asks, and no other.

An error for the detection asked for; a warning where others may well be of the level.
"""

from __future__ import annotations

import warnings

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.detectors import CandidateDetector, Candidates

BIAS = torch.tensor([-2.0, 2.0, 0.0])  # the detection of level 1 is the best


class ThreeLevels(torch.nn.Module):
    """A level for each colour, and what only that level sees before it; ``stem`` is before all."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Identity()
        self.before = torch.nn.ModuleList(torch.nn.Identity() for _ in range(3))
        self.blocks = torch.nn.ModuleList(torch.nn.AvgPool2d(2) for _ in range(3))
        self.sign = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        colours = self.stem(images).split(1, 1)
        levels = [
            block(before(colour))
            for block, before, colour in zip(self.blocks, self.before, colours, strict=True)
        ]
        means = torch.stack([one.mean((1, 2, 3)) for one in levels], 1)
        logits = (means * self.sign + BIAS)[..., None]
        boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]]).expand(len(images), 3, 4)
        scores = logits.sigmoid()
        return Candidates(boxes, scores, class_logits=logits, levels=torch.arange(3))


@pytest.fixture
def three():
    return CandidateDetector(
        ThreeLevels().eval(),
        score_threshold=0.0,
        iou_threshold=1.0,
        level_layers=[f"blocks.{number}" for number in range(3)],
    )


GREY = torch.full((1, 3, 8, 8), 0.5)


def attributed(detector, names, method, call, **options):
    found = detector.detect(GREY)[0]
    layers = [detector.module_named(name) for name in names]
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    cam = METHODS[method](wrapper, layers[0] if len(layers) == 1 else layers)
    row = found.levels.tolist().index(1)
    return getattr(cam, call)(GREY, row if call == "attribute" else [row], **options)


def benchmarked(detector, names, method):
    settings = BenchmarkSettings(methods=[method], layer=tuple(names), floors=())
    maker = MapMaker(detector, settings)
    return maker.maps(settings.rows, GREY, detector.detect(GREY)[0][[0]], 0)


WAYS = {
    "attribute": lambda *given: attributed(*given, "attribute"),
    "attribute_instances": lambda *given: attributed(*given, "attribute_instances"),
    "attribute_union": lambda detector, names, method: attributed(
        detector, names, "odam", "attribute_union", outputs=["score"]
    ),
    "explain": lambda detector, names, method: ssgc.explain(
        detector, GREY, method, layer=names, score_threshold=0.0, top_k=1
    ),
    "benchmark": benchmarked,
}


@pytest.fixture(params=WAYS)
def told(request):
    """All that one way of asking says: its errors and its warnings."""

    def call(detector, names, method="odam"):
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            try:
                WAYS[request.param](detector, names, method)
            except ValueError as error:
                assert request.param.startswith("attribute")
                assert not log
                return [str(error)]
        assert not (log and "is computed from" in str(log[0].message)) or (
            not request.param.startswith("attribute")
        )
        return [str(one.message) for one in log]

    return call


@pytest.mark.parametrize("method", ["odam", "ssgrad-cam++"])
@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["blocks.0"], "layer 'blocks.0' is pyramid level 0"),
        (["blocks.0", "blocks.2"], "layers 'blocks.0', 'blocks.2' are pyramid levels 0, 2"),
        (["blocks.2", "blocks.0"], "layers 'blocks.2', 'blocks.0' are pyramid levels 2, 0"),
    ],
    ids=str,
)
def test_other_levels_are_named_as_such(told, three, names, what, method):
    assert told(three, names, method) == [
        f"{what}, but the score of this detection is computed from level 1: use layer 'blocks.1' "
        "(detector.layer_for(detections, k)), or all levels (detector.level_layers())."
    ]


@pytest.mark.parametrize(
    "names", [["before.0"], ["before.0", "before.2"], ["before.2", "blocks.0"]]
)
def test_layers_of_the_other_levels_alone_are_named_as_such(told, three, names):
    """Found by their gradient, which is zero."""
    layers = f"layers {', '.join(map(repr, names))} have"
    what = layers if len(names) > 1 else f"layer {names[0]!r} has"
    assert told(three, names) == [
        f"{what} no gradient for this detection: of another pyramid level, or not on the path to "
        "the score; use layer 'blocks.1' (detector.layer_for(detections, k))."
    ]


@pytest.mark.parametrize(
    "names",
    [["blocks.1"], ["blocks.0", "blocks.1"], ["stem"], ["stem", "blocks.0"], ["before.1"]],
    ids=str,
)
def test_layers_that_lead_to_the_detection_are_not(told, three, names):
    assert told(three, names) == []


@pytest.mark.parametrize("names", [["blocks.1"], ["blocks.1", "blocks.0"]], ids=str)
@pytest.mark.parametrize(("sign", "why"), [(0.0, "no gradient reaches"), (-1.0, "by this method")])
def test_the_right_layer_is_not_blamed_for_its_level(told, three, names, sign, why):
    """Its score does not depend on what it sees, or falls with it."""
    with torch.no_grad():
        three.model.sign.fill_(sign)
    [one] = told(three, names)
    assert why in one
    assert "level" not in one


@pytest.mark.parametrize(
    ("method", "options", "advice"),
    [
        ("odam", {}, "output='logit', another method."),
        ("layer-cam", {}, "output='logit', another method."),
        ("ssgrad-cam++", {"signed_activations": "split"}, "output='logit', another method."),
        (
            "ssgrad-cam++",
            {"signed_activations": "as_is"},
            "output='logit', signed_activations='split', another method.",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("call", ["attribute", "attribute_instances"])
def test_a_method_is_advised_an_option_that_it_has(three, method, options, advice, call):
    with torch.no_grad():
        three.model.sign.fill_(-1.0)
    with pytest.warns(UserWarning, match="all-zero map") as log:
        attributed(three, ["before.1"], method, call, **options)
    assert str(log[0].message).endswith(advice)
