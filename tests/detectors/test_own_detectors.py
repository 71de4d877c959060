"""Your own detectors: chosen queries, levels, cells, boxes in other formats, functions."""

from __future__ import annotations

import functools
import warnings

import pytest
import torch
from torch import nn
from torchvision.ops import batched_nms, box_convert

import captum_ssgc as ssgc
from captum_ssgc.detectors import CandidateDetector, Candidates

BOXES = torch.tensor([[4.0, 4, 20, 16], [10, 2, 30, 28], [2, 20, 12, 30]])


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(seed))


def network_of(boxes: torch.Tensor, **more):
    """A detector whose scores are the brightness of three parts of the image."""

    def network(images):
        parts = torch.stack([part.mean((1, 2, 3)) for part in images.chunk(3, 3)], 1)
        return Candidates(boxes.expand(len(images), *boxes.shape), parts[..., None], **more)

    return network


def peaks(best, height, width):
    grid = best.view(1, 1, height, width)
    return (nn.functional.max_pool2d(grid, 3, 1, 1) == grid).flatten().nonzero()[:, 0]


# Rows that a network picks by what it sees, without topk.
PICKED = {
    "sort": lambda best, *size: best.sort(descending=True).indices[:5],
    "order": lambda best, *size: best.argsort(),
    "mask": lambda best, *size: best > best.mean(),
    "above": lambda best, *size: torch.where(best >= best.median())[0],
    "peaks": peaks,
}


class TwoStage(nn.Module):
    """Gives boxes for the best of its 8 x 10 tokens, as DINO and RF-DETR do.

    Args:
        queries: how many.
        choose: how: by ``topk`` as function or method, by suppression, or not at all.
    """

    def __init__(self, queries: int = 5, choose: str = "function") -> None:
        super().__init__()
        self.queries, self.choose = queries, choose
        self.tokens = nn.Conv2d(3, 6, 4, stride=4)

    def forward(self, images):
        tokens = self.tokens(images)
        height, width = tokens.shape[-2:]
        scores = tokens[:, :2].flatten(2).transpose(1, 2).sigmoid()
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres = torch.stack([x, y], -1).reshape(1, -1, 2) * 4.0 + 2
        boxes = torch.cat([centres - 3, centres + 3], -1).expand(len(images), -1, 4)
        best = scores.amax(-1)
        if self.choose == "function":
            chosen = torch.topk(best, self.queries, dim=1)[1]
        elif self.choose == "method":
            chosen = best.topk(self.queries, 1).indices
        elif self.choose in PICKED:
            rows = PICKED[self.choose](best[0], height, width)
            return boxes[:, rows], scores[:, rows]
        elif self.choose == "suppression":
            [row] = boxes
            chosen = batched_nms(row, best[0], best[0].argsort(), 0.5)[None]
        else:
            return boxes, scores
        return boxes.gather(1, chosen[..., None].expand(-1, -1, 4)), scores.gather(
            1, chosen[..., None].expand(-1, -1, 2)
        )


def two_stage(queries=None, **settings):
    torch.manual_seed(1)
    return CandidateDetector(
        TwoStage(**settings).eval(), queries=queries, score_threshold=0.0, iou_threshold=1.0
    )


@pytest.mark.parametrize("choose", ["function", "method"])
def test_queries_are_pinned(choose):
    detector = two_stage(queries=5, choose=choose)
    found = detector.detect(image())[0]
    assert len(found) == 5
    free, pinned = detector.run(image(1)), detector.run(image(1), [found])
    assert not torch.equal(free.tokens.sort().values, pinned.tokens.sort().values)
    for output, edge in (("left", 0), ("bottom", 3)):
        moved = ssgc.InstanceScoreWrapper(detector, found, output)(image(1))[0]
        # the boxes of tokens do not depend on the image
        assert torch.equal(moved, found.regions[:, edge])
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    torch.testing.assert_close(wrapper(image())[0], found.scores)
    torch.testing.assert_close(wrapper(torch.cat([image(1), image()]))[1], found.scores)
    e = ssgc.explain(detector, image(), score_threshold=0.0, layer="tokens", method="odam")
    assert len(e) == 5


@pytest.mark.parametrize("choose", ["function", "method"])
def test_candidates_that_move_are_warned_of_once(choose):
    detector = two_stage(choose=choose)
    with pytest.warns(UserWarning, match=r"chooses its 5 candidates among 80.*Pass queries=5"):
        detector.detect(image())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.detect(image(1))


def test_suppression_inside_is_warned_of():
    with pytest.warns(UserWarning, match="suppresses its candidates itself"):
        two_stage(choose="suppression").detect(image())


@pytest.mark.parametrize("choose", PICKED)
@pytest.mark.parametrize("where", ["network", "decode"])
def test_picked_candidates_are_warned_of(choose, where):
    torch.manual_seed(1)
    network, decode = TwoStage(choose=choose).eval(), None
    if where == "decode":
        network = TwoStage(choose="not").eval()

        def decode(output):
            rows = PICKED[choose](output[1][0].amax(-1), 8, 10)
            return output[0][:, rows], output[1][:, rows]

    with pytest.warns(UserWarning, match=r"picks its \d+ candidates, or their order"):
        CandidateDetector(network, decode, score_threshold=0.0).detect(image())


def test_classes_that_are_picked_are_no_choice_of_rows():
    """Each candidate's box for its best class, read in two ways; and rows that are always so."""

    def network(images):
        scores = images.flatten(2)[..., :12].unflatten(2, (4, 3)).mean(1)
        best = scores.argmax(-1)
        boxes = torch.tensor([8.0, 8, 20, 20]).expand(len(images), 4, 3, 4) * 1.0
        gathered = boxes.gather(2, best[..., None, None].expand(-1, -1, 1, 4))[:, :, 0]
        indexed = boxes[0][torch.arange(4), best[0]][None]
        order = torch.tensor([2, 0, 1, 3])
        return (gathered + indexed)[:, order] / 2, scores[:, order]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(CandidateDetector(network, score_threshold=0.0).detect(image())[0])


def test_candidates_that_stay_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = two_stage(choose="not").detect(image())[0]
        assert len(found) == 80
        CandidateDetector(network_of(BOXES)).detect(image())


def test_queries_that_are_not_chosen_are_refused():
    with pytest.raises(ValueError, match="queries=7: the network did not choose as many"):
        two_stage(queries=7).detect(image())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (2, r"expected candidates 0 to 1 .* before suppression"),
        (-1, "come from elsewhere and name no candidate"),
    ],
)
def test_rows_that_another_image_lacks_are_refused(rows, said):
    detector = CandidateDetector(network_of(BOXES), score_threshold=0.0)
    found = detector.detect(image())[0]
    fewer = CandidateDetector(
        lambda images: (BOXES[None, :2].expand(len(images), 2, 4), torch.ones(len(images), 2, 1))
    )
    found.candidates[0] = rows
    with pytest.raises(ValueError, match=said):
        ssgc.InstanceScoreWrapper(fewer, found)(image())


def test_boxes_are_suppressed_before_they_are_clipped():
    """As vendors do: clipped, these two are the same."""
    boxes = torch.tensor([[-40.0, 0, 20, 30], [0, 0, 20, 30]])

    def network(images):
        return boxes.expand(len(images), 2, 4), torch.tensor([[[0.9], [0.8]]])

    found = CandidateDetector(network).detect(image())[0]
    assert found.boxes.tolist() == [[0, 0, 20, 30], [0, 0, 20, 30]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: box_convert(b, "xyxy", "cxcywh"), "boxes: .* end before they begin"),
        (lambda b: box_convert(b, "xyxy", "xywh"), "boxes: .* end before they begin"),
        (lambda b: b[:, [2, 3, 0, 1]], "boxes: 3 of 3 end before they begin"),
        (lambda b: b / 40, "boxes: expected pixels.*shares of its width"),
    ],
    ids=["centres", "widths", "swapped", "shares"],
)
def test_boxes_in_another_format_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CandidateDetector(network_of(change(BOXES)), score_threshold=0.0).detect(image())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: box_convert(b, "xyxy", "cxcywh"), "regions: .* end before they begin"),
        (lambda b: b / 40, "regions: 3 of 3 do not overlap"),
        (lambda b: b + 50, "regions: 3 of 3 do not overlap"),
    ],
    ids=["centres", "shares", "elsewhere"],
)
def test_regions_in_another_format_are_refused(change, message):
    network = network_of(BOXES, regions=change(BOXES))
    with pytest.raises(ValueError, match=message):
        CandidateDetector(network, score_threshold=0.0).detect(image())


def test_regions_hold_the_cells_that_predict_them():
    cells = torch.tensor([[0.0, 0, 8, 8], [24, 24, 32, 32], [12, 16, 20, 24]])
    found = CandidateDetector(network_of(BOXES, cells=cells), score_threshold=0.0).detect(image())
    regions = dict(zip(found[0].candidates.tolist(), found[0].regions.tolist(), strict=True))
    assert regions == {0: [0, 0, 20, 16], 1: [10, 2, 32, 32], 2: [2, 16, 20, 30]}


class Levels(nn.Module):
    def __init__(self, levels) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(3))
        self.levels = levels

    def forward(self, images):
        maps = [convolution(images).sigmoid().mean((1, 2, 3)) for convolution in self.convolutions]
        scores = torch.stack(maps, 1)[..., None]
        return Candidates(BOXES.expand(len(images), 3, 4), scores, levels=self.levels)


NAMES = [f"convolutions.{level}" for level in range(3)]


def test_every_detection_has_the_layer_of_its_level():
    detector = CandidateDetector(
        Levels(torch.tensor([2, 0, 1])).eval(), level_layers=NAMES, score_threshold=0.0
    )
    found = detector.detect(image())[0]
    for target, row in enumerate(found.candidates.tolist()):
        layer = detector.layer_name(detector.layer_for(found, target))
        assert layer == NAMES[[2, 0, 1][row]]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (None, "level_layers names 3 layers, but the candidates have no levels"),
        (torch.tensor([0, 1, 3]), "levels: expected 0 to 2.* got 3"),
    ],
)
def test_levels_without_a_layer_are_refused(levels, message):
    detector = CandidateDetector(Levels(levels).eval(), level_layers=NAMES)
    with pytest.raises(ValueError, match=message):
        detector.detect(image())


def test_tokens_are_reshaped():
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 1)
            self.patches = nn.Linear(3 * 64, 4)
            self.last = nn.Linear(4, 1)

        def forward(self, images):
            patches = self.first(images).unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5)
            tokens = self.patches(patches.flatten(3).flatten(1, 2))
            scores = self.last(tokens).sigmoid().mean(1, keepdim=True)
            return BOXES[None, :1].expand(len(images), 1, 4), scores

    def to_map(tokens):
        return tokens.transpose(1, 2).unflatten(2, (4, 5))

    torch.manual_seed(0)
    detector = CandidateDetector(
        Patches().eval(), level_layers=["patches"], reshape_transform=to_map, score_threshold=0.0
    )
    for layer in (None, "first"):
        [found] = ssgc.explain(
            detector, image(), score_threshold=0.0, method="grad-cam", mask=None, layer=layer
        )
        assert found.heat_map.shape[-2:] == (32, 40)
        assert found.layer == (layer or "patches")


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Sequential(nn.Dropout(0.5))

    def forward(self, images):
        return network_of(BOXES)(self.dropout(images))


class Holder:
    def __init__(self, network) -> None:
        self.network = network
        self.other = nn.Dropout()  # not used, and not what a function refers to

    def __call__(self, images):
        return self.network(images)

    def method(self, images):
        return self.network(images)


GLOBAL = Plain()
AROUND = {
    "closure": lambda network: lambda images: network(images),
    "default": lambda network: lambda images, inside=network: inside(images),
    "partial": lambda network: functools.partial(lambda inside, images: inside(images), network),
    "method": lambda network: Holder(network).method,
    "object": Holder,
    "bound": lambda network: network.forward,
    "nested": lambda network: lambda images, inner=lambda x: network(x): inner(images),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("part", ["whole", "inside"])
def test_a_function_around_a_training_network_is_refused(around, part):
    network = Plain().eval()
    function = around(network)
    detector = CandidateDetector(function, score_threshold=0.0)
    assert detector.model is network
    assert len(detector.detect(image())[0]) == 3
    assert ssgc.InstanceScoreWrapper(detector, detector.detect(image())[0])(image()).shape == (1, 3)
    (network if part == "whole" else network.dropout).train()
    with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
        detector.detect(image())


def test_a_function_may_refer_to_variables_of_its_file():
    detector = CandidateDetector(lambda images: GLOBAL(images), score_threshold=0.0)
    assert detector.model is GLOBAL
    with pytest.raises(ValueError, match="training mode"):
        detector.detect(image())


def test_a_function_around_several_networks_holds_them_all():
    first, second = Plain().eval(), nn.Dropout().eval()
    detector = CandidateDetector(lambda images: first(second(images)))
    assert list(detector.model) == [first, second]
    assert not any(part.training for part in detector.model.modules())
    second.train()
    with pytest.raises(ValueError, match=r"a part of the model \(1\) is in training mode"):
        detector.detect(image())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ([torch.zeros(1, 9, 4, 4)], r"got a list of 1 \(Tensor\): pass decode="),
        (([torch.zeros(1, 9)], [torch.zeros(1, 4)]), r"a tuple of 2 \(list, list\): pass decode="),
        ({"pred_logits": 0, "pred_boxes": 0}, "a dict with pred_logits, pred_boxes: pass decode"),
        (torch.zeros(1, 1000), "looks like a classifier"),
        ([{"boxes": 0, "labels": 0}], "a model's final reports: wrap the model itself"),
        (None, "got NoneType: pass decode"),
        (nn.Identity().eval(), "a function that builds a model: call it"),
    ],
    ids=["list", "lists", "dict", "classifier", "reports", "nothing", "builder"],
)
def test_what_a_network_gives_is_named(output, message):
    with pytest.raises(TypeError, match=message):
        CandidateDetector(lambda images: output).detect(image())


@pytest.mark.parametrize("name", ["boxes", "class_scores", "levels"])
def test_candidates_are_tensors(name):
    fields = {"boxes": BOXES[None], "class_scores": torch.zeros(1, 3, 2), "levels": None}
    with pytest.raises(
        TypeError, match=rf"{name}: expected a tensor, got a list of 2 \(int, int\)"
    ):
        Candidates(**{**fields, name: [1, 2]})


@pytest.mark.parametrize("name", ["class_scores", "class_logits"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.complex64])
def test_scores_are_floating_point(name, dtype):
    fields = {"boxes": BOXES[None], "class_scores": torch.zeros(1, 3, 2)}
    with pytest.raises(TypeError, match=rf"{name}: expected floating point, got {dtype}"):
        Candidates(**{**fields, name: torch.zeros(1, 3, 2, dtype=dtype)})


@pytest.mark.parametrize("count", [1, 2])
def test_regions_are_those_of_all_images_or_of_each(count):
    images = image().expand(count, -1, -1, -1)
    of_one = BOXES + 1
    for regions in (of_one, of_one[None], of_one.expand(count, 3, 4)):
        detector = CandidateDetector(
            network_of(BOXES, regions=regions), score_threshold=0.0, iou_threshold=1.0
        )
        above = detector.candidates_above(detector.run(images), 0.0)
        for found in (*detector.detect(images), *above):
            assert len(found) == 3
            assert torch.equal(found.regions, of_one[found.candidates])
    boxes, scores = BOXES.expand(count, 3, 4), torch.rand(count, 3, 2)
    for shape in ((3, 3, 4), (1, 1, 3, 4), (0, 3, 4), (2, 4)):
        with pytest.raises(ValueError, match=rf"regions: expected \(3, 4\).* of {count} images"):
            Candidates(boxes, scores, regions=torch.zeros(shape))


def test_scripted_networks_have_no_layers():
    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, canvas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            boxes = torch.tensor([[[1.0, 1.0, 9.0, 9.0]]]).expand(canvas.shape[0], 1, 4)
            return boxes, self.act(canvas).mean((1, 2, 3)).reshape(-1, 1, 1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript as a whole
        script = torch.jit.script(Scripted().eval())
    detector = CandidateDetector(script, level_layers=["act"], score_threshold=0.0)
    with pytest.raises(ValueError, match="the model has no layer 'ac'"):
        CandidateDetector(script, level_layers=["ac"])
    with pytest.raises(ValueError, match="the network is TorchScript, whose layers cannot be read"):
        ssgc.explain(detector, image())
    options = {"d-rise": {"n_masks": 4}}
    assert (
        len(ssgc.explain(detector, image(), "d-rise", score_threshold=0.0, method_options=options))
        == 1
    )


def test_as_many_detections_as_images():
    detector = CandidateDetector(network_of(BOXES), score_threshold=0.0)
    found = detector.detect(image())
    with pytest.raises(ValueError, match="detections: expected those of each of 2 images"):
        detector.score(torch.cat([image(), image()]), found)


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["spot"], ("spot",)), ({1: "spot"}, ("spot",)), ({"0": "spot"}, ("spot",))],
)
def test_names_fit_the_columns(names, expected):
    detector = CandidateDetector(network_of(BOXES), label_names=names)
    detector.detect(image())
    assert detector.label_names == expected


@pytest.mark.parametrize("names", [["a", "b"], {0: "a", 1: "b"}, {2: "a"}])
def test_names_that_do_not_fit_the_columns_are_refused(names):
    detector = CandidateDetector(network_of(BOXES), label_names=names)
    with pytest.raises(ValueError, match="label_names: expected 1 names"):
        detector.detect(image())


def test_new_tensors_may_be_made_anywhere_by_default():
    """Nothing of ours takes the default device for that of the images."""
    detector = CandidateDetector(network_of(BOXES), score_threshold=0.0)
    images = image()
    expected = detector.detect(images)[0]
    with torch.device("meta"):
        found = detector.detect(images)[0]
        scores = ssgc.InstanceScoreWrapper(detector, found)(images)
        assert detector.geometry((20, 30)).canvas_size == (20, 30)
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(scores[0], expected.scores)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [(["spot"], ("spot",)), ({1: "spot"}, ("spot",)), ({"0": "dot"}, ("dot",)), (None, None)],
)
def test_names_may_be_set_later(when, names, expected):
    detector = CandidateDetector(network_of(BOXES), label_names=["first"])
    if when == "after":  # the number of classes is known by then
        detector.detect(image())
    detector.label_names = names
    detector.detect(image())
    assert detector.label_names == expected
    [explained, *_] = ssgc.explain(detector, image(), method="d-rise", method_options={
        "d-rise": {"n_masks": 2}}, score_threshold=0.0)  # fmt: skip
    assert explained.label == (expected or ("0",))[0]


def test_names_that_are_set_later_must_fit():
    detector = CandidateDetector(network_of(BOXES), label_names=["first"])
    detector.label_names = ["a", "b"]
    with pytest.raises(ValueError, match="label_names: expected 1 names"):
        detector.detect(image())
    detector.label_names = ["a"]
    detector.detect(image())
    with pytest.raises(ValueError, match="label_names: expected 1 names"):
        detector.label_names = ["a", "b"]
    assert detector.label_names == ("a",)
    with pytest.raises(TypeError, match="label_names: expected strings"):
        detector.label_names = [1]


class Grid(nn.Module):
    """A candidate in each of the 8 x 10 cells, 8 pixels long; ``change`` rewrites it."""

    def __init__(self, change) -> None:
        super().__init__()
        self.scores, self.change = nn.Conv2d(3, 2, 4, stride=4), change

    def forward(self, images):
        scores = self.scores(images).flatten(2).transpose(1, 2).sigmoid()
        y, x = torch.meshgrid(torch.arange(8), torch.arange(10), indexing="ij")
        centres = torch.stack([x, y], -1).reshape(-1, 2) * 4.0 + 2
        boxes = self.change(torch.cat([centres - 4, centres + 4], 1))
        return boxes.expand(len(images), *boxes.shape), scores


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:, [0, 2, 1, 3]], "% of the candidates end before they begin"),
        (lambda b: b[:, [1, 0, 3, 2]] * 1.2, "lie beside the canvas .* or y before x"),
        (lambda b: b * 2, "lie beside the canvas of 32 x 40 .* pixels of the image"),
        (lambda b: b * 25, "lie beside the canvas of 32 x 40 .* thousandths"),
        (lambda b: b * float("nan"), "1 of 1 reported ones hold NaN"),
    ],
    ids=["x-before-y", "y-before-x", "of-the-image", "thousandths", "nan"],
)
def test_all_candidates_tell_a_format(change, message):
    """Although the one that is reported could be a box."""
    detector = CandidateDetector(Grid(change).eval(), score_threshold=0.0, max_detections=1)
    with pytest.raises(ValueError, match=message):
        detector.detect(image())


def test_a_detection_in_the_padding_is_no_wrong_region():
    class Below(Grid):
        def forward(self, images):
            boxes, scores = super().forward(images)
            return boxes, scores * (boxes[..., 3:] > 30)

    detector = CandidateDetector(
        Below(lambda b: b).eval(),
        preprocess=ssgc.detectors.Letterbox((32, 40)),
        score_threshold=0.01,
    )
    assert len(detector.detect(torch.rand(1, 3, 7, 200))[0])


@pytest.mark.parametrize(
    "preprocess",
    [lambda images: images, lambda images: (images, None), lambda images: [images] * 3],
    ids=["canvas", "none", "three"],
)
def test_what_preprocess_may_not_return(preprocess):
    detector = CandidateDetector(network_of(BOXES), preprocess=preprocess)
    with pytest.raises(TypeError, match=r"preprocess: expected a canvas .* its ImageGeometry, got"):
        detector.detect(image())


def test_levels_are_whole_numbers():
    with pytest.raises(TypeError, match=r"levels: expected whole numbers .* got torch.float32"):
        Candidates(BOXES[None], torch.rand(1, 3, 2), levels=torch.zeros(3))
    with pytest.raises(ValueError, match="levels: expected 0 up, got -1"):
        CandidateDetector(network_of(BOXES, levels=torch.full((3,), -1))).detect(image())


def test_there_is_a_class():
    with pytest.raises(ValueError, match="class_scores: expected a class or more"):
        Candidates(BOXES[None], torch.rand(1, 3, 0))


def test_scores_may_be_rounded_beyond_one():
    def network(images):
        return BOXES.expand(len(images), 3, 4), torch.full((len(images), 3, 1), 1.0 + 1e-6)

    assert len(CandidateDetector(network).detect(image())[0]) == 3


TURNED = torch.tensor([[[16.0, 4], [24, 12], [16, 20], [8, 12]]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda corners, box: (corners[:, [0, 1, 3, 2]], box), "corners: 1 of 1 are no outline"),
        (lambda corners, box: (corners, box + 4.0), "do not enclose their corners, by up to 4.0"),
    ],
    ids=["row-by-row", "elsewhere"],
)
def test_corners_go_around_inside_their_boxes(change, message):
    def detector(corners, box):
        return CandidateDetector(
            lambda images: Candidates(box[None], torch.ones(1, 1, 1), corners=corners[None])
        )

    box = torch.tensor([[8.0, 4, 24, 20]])
    for order in (TURNED, TURNED.flip(1), TURNED.roll(1, 1)):
        assert len(detector(order, box).detect(image())[0]) == 1
    with pytest.raises(ValueError, match=message):
        detector(*change(TURNED, box)).detect(image())
