"""Half precision, autocast and very sure detectors: the maps are those of float32, or nearly."""

from __future__ import annotations

import copy

import pytest
import torch
from robustness.subjects import Subject, quarters, small_image

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc._probability import LEAST_SLOPE, sigmoid_score, softmax_score
from captum_ssgc.attr import METHODS, LayerMethod
from captum_ssgc.detectors import CandidateDetector, Candidates

METHOD_NAMES = [name for name, entry in METHODS.items() if issubclass(entry, LayerMethod)]
each_method = pytest.mark.parametrize("method", METHOD_NAMES)


def shapes(maps: torch.Tensor) -> torch.Tensor:
    """Divided by their peaks: what maps say does not depend on their scale."""
    assert maps.dtype == torch.float32
    peaks = maps.amax((-2, -1), keepdim=True)
    assert peaks.gt(0).all()
    return maps / peaks


def maps_of(subject: Subject, method: str, output: str) -> torch.Tensor:
    wrapper = ssgc.InstanceScoreWrapper(subject.detector, subject.detections, output)
    cam = METHODS[method](wrapper, subject.detector.level_layers())
    return cam.attribute_instances(subject.image, fuse_layers="max")


@each_method
@pytest.mark.parametrize("output", ["score", "logit"])
def test_autocast_of_a_trained_detector(method, output, demo_subject):
    """The same candidates: their regions are taken from float32."""
    single = maps_of(demo_subject, method, output)
    with torch.autocast("cpu", torch.bfloat16):
        half = maps_of(demo_subject, method, output)
        values = ssgc.InstanceScoreWrapper(demo_subject.detector, demo_subject.detections, output)(
            demo_subject.image
        )
    assert values.dtype == torch.float32
    torch.testing.assert_close(shapes(half), shapes(single), rtol=0, atol=0.02)


def test_explain_under_autocast_and_attribute_agree(demo_subject):
    detector, image = demo_subject.detector, demo_subject.image
    with torch.autocast("cpu", torch.bfloat16):
        explained = ssgc.explain(detector, image, list(METHOD_NAMES), top_k=2)
        order = [entry.index for entry in explained if entry.method == METHOD_NAMES[0]]
        found = detector.detect(image)[0][order]
        wrapper = ssgc.InstanceScoreWrapper(detector, found)
        for method in METHOD_NAMES:
            cam = METHODS[method](wrapper, detector.level_layers())
            maps = cam.attribute_instances(image, interpolate_mode="bilinear", fuse_layers="max")
            mine = torch.stack([one.heat_map for one in explained if one.method == method])
            torch.testing.assert_close(shapes(mine), shapes(maps[:, 0]), rtol=0, atol=0.02)


@each_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("output", ["score", "logit"])
def test_own_models_in_half_precision(method, dtype, output):
    single = Subject.of(quarters(), small_image())
    rounded = copy.deepcopy(single.model).to(dtype)
    half = CandidateDetector(rounded, level_layers=["act"], score_threshold=0.0, iou_threshold=1.0)
    twin = CandidateDetector(
        copy.deepcopy(rounded).float(),
        level_layers=["act"],
        score_threshold=0.0,
        iou_threshold=1.0,
    )
    image = single.image.to(dtype)
    reference = Subject(twin, image.float(), single.detections, single.wrapper, single.layer)
    subject = Subject(half, image, single.detections, single.wrapper, single.layer)
    found, expected = maps_of(subject, method, output), maps_of(reference, method, output)
    torch.testing.assert_close(shapes(found), shapes(expected), rtol=0, atol=0.02)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(1.0, marks=pytest.mark.slow),
        pytest.param(10.0, marks=pytest.mark.slow),
        100.0,
    ],
)
def sure(request, demo_subject):
    """A detector whose logits are so many times larger, and a wrapper of its best detection."""
    model = copy.deepcopy(demo_subject.model)
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.mul_(request.param)
        model.roi_heads.box_predictor.cls_score.bias.mul_(request.param)
    detector = ssgc.wrap_detector(model)
    return detector, ssgc.InstanceScoreWrapper(detector, detector.detect(demo_subject.image)[0][0])


@each_method
def test_a_very_sure_detector_has_maps(method, sure, demo_subject):
    """With the logits' factor the score's map tends to the log-odds', as alpha tends to 1/2."""
    detector, wrapper = sure
    found = ssgc.explain(detector, demo_subject.image, method, top_k=2)
    assert found[0].score > 0.999
    maps = torch.stack([entry.heat_map for entry in found])
    assert maps.isfinite().all()
    assert (shapes(maps).flatten(1).amax(1) == 1.0).all()
    cam = METHODS[method](wrapper, detector.level_layers())
    assert cam.attribute(demo_subject.image, target=0, fuse_layers="max").max() > 0


@each_method
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_a_very_sure_detector_of_your_own_has_maps(method, kind):
    """The logits that it gives beside its scores say the way, as in the vendors' detectors."""
    subject = Subject.of(quarters(), small_image())

    def decode(found: Candidates) -> Candidates:
        logits = -300.0 * found.class_logits
        scores = logits.sigmoid() if kind == "sigmoid" else logits.softmax(-1)
        return Candidates(found.boxes, scores, logits)

    detector = CandidateDetector(subject.model, decode, level_layers=["act"], iou_threshold=1.0)
    sure = detector.detect(subject.image)[0][:1]
    assert sure.scores.item() == 1.0
    wrapper = ssgc.InstanceScoreWrapper(detector, sure)
    maps = METHODS[method](wrapper, subject.layer).attribute_instances(subject.image)
    assert shapes(maps).isfinite().all()


@pytest.mark.parametrize("logit", [-1e4, -150.0, -60.0, 0.0, 60.0, 150.0, 1e4])
def test_slopes_never_underflow(logit):
    one = torch.tensor([logit], requires_grad=True)
    score = sigmoid_score(one)
    assert score == torch.sigmoid(torch.tensor([logit], dtype=torch.float64)).float()
    (slope,) = torch.autograd.grad(score, one)
    exact = torch.sigmoid(torch.tensor(logit).double()) * torch.sigmoid(
        -torch.tensor(logit).double()
    )
    assert slope.item() == pytest.approx(exact.item(), rel=1e-6, abs=1.01 * LEAST_SLOPE)
    assert slope >= LEAST_SLOPE
    several = torch.tensor([[logit, 0.0, -3.0]], requires_grad=True)
    (slopes,) = torch.autograd.grad(softmax_score(several, torch.tensor([0])).sum(), several)
    assert slopes[0, 0] > 0 > slopes[0, 1]


def test_infinite_logits_stay_numbers():
    ends = torch.tensor([float("-inf"), float("inf")], requires_grad=True)
    score = sigmoid_score(ends)
    assert score.tolist() == [0.0, 1.0]
    assert torch.autograd.grad(score.sum(), ends)[0].isfinite().all()


def test_the_demo_detector_reports_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        found = ssgc.wrap_detector(demo.detector()).detect(demo.scene(3).image[None])[0]
    assert {found.scores.dtype, found.boxes.dtype, found.class_scores.dtype} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_maps_of_all_methods_are_at_least_in_single_precision(dtype):
    model = copy.deepcopy(quarters().model).to(dtype)
    detector = CandidateDetector(model, level_layers=["act"], score_threshold=0.0)
    image = small_image().to(dtype)
    options = {"d-rise": {"n_masks": 4}, "refined-cam": {"forwards": 4}}
    methods = ["d-rise", "refined-cam", "odam"]
    found = ssgc.explain(
        detector, image, methods, score_threshold=0.0, top_k=1, method_options=options
    )
    assert {one.heat_map.dtype for one in found} == {torch.promote_types(dtype, torch.float32)}
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    own = ssgc.DRISE(wrapper).attribute(image, target=0, n_masks=4)
    assert own.dtype == found[0].heat_map.dtype
