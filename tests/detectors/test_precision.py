"""Models in half precision, and float32 where it is what a map needs."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates
from captum_ssgc.detectors._rows import reported_rows

HALF = [torch.bfloat16, torch.float16]
FAMILIES = ["detr", "conditional-detr", "deformable-detr", "rt-detr", "yolos"]


@pytest.fixture(params=HALF, ids=str)
def dtype(request):
    return request.param


def need_samples(dtype: torch.dtype) -> None:
    """Skips the test where this version samples no grid of ``dtype`` on CPU."""
    ones = torch.ones(1, 1, 2, 2, dtype=dtype)
    try:
        F.grid_sample(ones, ones, align_corners=False)
    except RuntimeError:
        pytest.skip(f"torch {torch.__version__} cannot sample {dtype} on CPU")


@pytest.mark.parametrize("name", FAMILIES)
def test_detections_of_a_model_in_half_precision(build_family, picture, name, dtype):
    single = build_family("transformers", name).detector
    model = copy.deepcopy(single.model).to(dtype)
    need_samples(dtype)
    detector = ssgc.wrap_detector(model, processor=single.processor, score_threshold=0.0)
    found = detector.detect(picture)[0]
    assert len(found) >= 5
    assert {found.boxes.dtype, found.scores.dtype, found.class_scores.dtype} == {torch.float32}
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    with torch.no_grad():
        scores = wrapper(picture)[0]
    assert scores.dtype == torch.float32
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(scores, found.scores, atol=eps, rtol=0.0)


@pytest.mark.parametrize("name", ["detr", "rt-detr"])
def test_scores_are_single_under_autocast(build_family, picture, name):
    detector = build_family("transformers", name).detector
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = detector.detect(picture)[0]
        scores = ssgc.InstanceScoreWrapper(detector, found)(picture)[0]
        logits = ssgc.InstanceScoreWrapper(detector, found, "logit")(picture)[0]
    assert len(found) >= 5
    assert scores.dtype == logits.dtype == found.scores.dtype == torch.float32
    torch.testing.assert_close(scores, found.scores, atol=2**-7, rtol=0.0)


def test_another_box_is_refused_in_half_precision(dtype):
    boxes = torch.tensor([[0.0, 0, 100, 100], [40, 40, 90, 100]], dtype=dtype)
    scores = torch.tensor([[0.5], [0.5]], dtype=dtype)
    report = {"scores": scores[:1, 0], "labels": torch.tensor([0])}

    def rows_of(box):
        reported = {**report, "boxes": torch.tensor([box], dtype=dtype)}
        return reported_rows(scores, reported, lambda rows, labels: boxes[rows], "Vendor").tolist()

    assert rows_of([40.0, 40, 90, 100]) == [1]
    with pytest.raises(ValueError, match=r"boxes 10 pixels away"):
        rows_of([40.0, 40, 100, 100])


def certain(name: str, build_family, picture):
    """A copy of a trained-like model whose logits are moved to where float32 rounds to 1."""
    detector = build_family("ultralytics", name).detector
    model = copy.deepcopy(detector.model)
    with torch.no_grad():
        for branch in model.model[-1].cv3:
            branch[-1].bias.add_(25.0)
    return ssgc.wrap_detector(model, image_size=128, score_threshold=0.0, max_detections=25)


def test_a_saturated_score_of_yolo_has_a_gradient(build_family, picture):
    detector = certain("yolov8n", build_family, picture)
    found = detector.detect(picture)[0]
    assert (found.scores == 1.0).all()
    pixels = picture.clone().requires_grad_()
    scores = ssgc.InstanceScoreWrapper(detector, found)(pixels)[0]
    torch.testing.assert_close(scores, found.scores)
    (slope,) = torch.autograd.grad(scores[0], pixels)
    assert slope.abs().max() > 0


def test_own_scores_in_half_precision(dtype):
    def network(images):
        boxes = torch.tensor([[1.0, 1, 9, 9], [8, 8, 20, 20]], dtype=dtype)
        means = torch.stack([images[..., :8].mean((1, 2, 3)), images[..., 8:].mean((1, 2, 3))], 1)
        return boxes.expand(len(images), 2, 4), means[..., None].to(dtype)

    image = torch.cat([torch.full((1, 3, 24, 8), 0.75), torch.full((1, 3, 24, 16), 0.5)], 3)
    detector = CandidateDetector(network)
    found = detector.detect(image)[0]
    assert found.boxes.tolist() == [[1, 1, 9, 9], [8, 8, 20, 20]]
    assert found.scores.tolist() == [0.75, 0.5]
    assert ssgc.InstanceScoreWrapper(detector, found)(image).tolist() == [[0.75, 0.5]]


def test_padding_in_float16_changes_no_detection_and_spoils_no_map(build_family, picture):
    """Places of padding are not finite in float16; nothing but gradients reads them."""
    single = build_family("transformers", "deformable-detr").detector
    need_samples(torch.float16)
    model = copy.deepcopy(single.model).half()
    detector = ssgc.wrap_detector(model, processor=single.processor, score_threshold=0.0)
    pixels, mask, _ = detector.preprocess(picture)
    with torch.no_grad():
        theirs = model(pixel_values=pixels.half(), pixel_mask=mask)
        ours = detector.run(picture)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.boxes, theirs.pred_boxes)
    layer = "model.encoder.layers.1.final_layer_norm"
    found = single.detect(picture)[0]
    maps = []
    for one in (single, detector):
        wrapper = ssgc.InstanceScoreWrapper(one, found, "logit")
        cam = ssgc.ODAM(wrapper, one.module_named(layer))
        maps.append(cam.attribute(picture, target=0).flatten())
    assert bool(torch.isfinite(maps[1]).all())
    assert float(torch.corrcoef(torch.stack(maps))[0, 1]) > 0.98


def test_scores_that_are_no_numbers_are_said(family, picture):
    """Arithmetic that overflows, or damaged weights: no threshold is the cause then."""
    model = family.detector.model
    with torch.no_grad():
        before = [parameter.clone() for parameter in model.parameters()]
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    try:
        with pytest.raises(ssgc.NoDetectionError, match="NaN") as caught:
            ssgc.explain(family.detector, picture)
    finally:
        for parameter, values in zip(model.parameters(), before, strict=True):
            parameter.data.copy_(values)
    assert caught.value.highest_score is None


class Grid(nn.Module):
    """Four candidates, a quarter of the image each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.act, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)
        self.seen: list[torch.dtype] = []
        for number, weight in enumerate(self.parameters()):
            nn.init.uniform_(weight, 0.1, 0.3, torch.Generator().manual_seed(number))
        self.eval()

    def forward(self, canvas: Tensor) -> Candidates:
        self.seen.append(canvas.dtype)
        logits = F.adaptive_avg_pool2d(self.head(self.act(self.stem(canvas))), 2)
        boxes = [[0.0, 0, 12, 12], [12, 0, 24, 12], [0, 12, 12, 24], [12, 12, 24, 24]]
        rows = logits.flatten(2).mT
        return Candidates(torch.tensor([boxes]).expand(len(canvas), 4, 4), rows.sigmoid(), rows)

    def found_by(self, canvas: Tensor) -> Candidates:
        return self.forward(canvas)


KINDS = {
    "module": lambda network: network,
    "method": lambda network: network.found_by,
    "function": lambda network: lambda canvas: network(canvas),
}


def on_grid(network: Grid, kind: str) -> CandidateDetector:
    return CandidateDetector(
        KINDS[kind](network), model=network, level_layers=["act"], score_threshold=0.0
    )


def maps_by_box(detector: CandidateDetector, image: Tensor) -> dict[tuple[float, ...], Tensor]:
    maps = ssgc.explain(detector, image, "odam", score_threshold=0.0)
    assert len(maps) == 4
    return {tuple(one.box.tolist()): one.heat_map for one in maps}


def photo(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("of_network", "of_image"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float32),
        (torch.float32, torch.float64),
        (torch.float32, torch.float16),
    ],
    ids=str,
)
def test_images_for_a_network_of_yours_in_another_precision(kind, of_network, of_image):
    network, image = Grid().to(of_network), photo(of_image)
    detector = on_grid(network, kind)
    found = detector.detect(image)[0]
    expected = network(image.to(of_network)).class_scores[0].amax(-1).sort(descending=True).values
    torch.testing.assert_close(found.scores, expected.to(found.scores.dtype), rtol=0, atol=0)
    pixels = image.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(
        ssgc.InstanceScoreWrapper(detector, found)(pixels)[0, 0], pixels
    )
    assert slopes.dtype == of_image
    assert slopes.abs().max() > 0
    ours = maps_by_box(detector, image)
    theirs = maps_by_box(on_grid(copy.deepcopy(network).double(), "module"), image.double())
    for box, heat_map in theirs.items():
        limit = 0.02 * float(heat_map.max())
        torch.testing.assert_close(ours[box].double(), heat_map.double(), rtol=0, atol=limit)


def test_what_a_network_takes_is_not_cast():
    """What a function computes before it casts is computed as precisely as without this package."""
    network = Grid().bfloat16()

    def function(canvas: Tensor) -> Candidates:
        return network(((canvas - 0.4) / 0.2).bfloat16())

    scores = CandidateDetector(function, score_threshold=0.0).detect(photo())[0].scores
    expected = function(photo()).class_scores[0].amax(-1)
    assert scores.tolist() == expected.float().sort(descending=True).values.tolist()
    with torch.autocast("cpu", torch.bfloat16):
        on_grid(single := Grid(), "module").detect(photo())
    assert single.seen == [torch.float32]


def test_the_precision_of_a_network_may_change():
    network = Grid().bfloat16()
    detector = on_grid(network, "module")
    for dtype in (torch.bfloat16, torch.float64, torch.float32, torch.bfloat16):
        network.to(dtype)
        detector.detect(photo())
        network.seen.clear()
        detector.detect(photo())
        assert network.seen == [dtype]


def test_a_network_of_several_precisions_or_none_says_what_it_refuses():
    mixed = Grid()
    mixed.stem.half()
    with pytest.raises(RuntimeError, match="type"):
        on_grid(mixed, "module").detect(photo())
    assert mixed.seen == [torch.float32]

    def function(canvas: Tensor) -> None:
        raise RuntimeError(f"not {canvas.dtype}")

    with pytest.raises(RuntimeError, match=r"not torch\.float32"):
        CandidateDetector(function).detect(photo())
