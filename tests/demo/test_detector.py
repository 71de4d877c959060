from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from emblem_hint import STRIDES, EmblemHint, emblem_cells
from measure_demo_detector import FIRST_HELD_OUT_SEED, HELD_OUT_SCENES, MODEL_CARD
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.detection import FasterRCNN
from torchvision.ops import box_iou
from train_demo_detector import FIRST_TRAINING_SEED

from captum_ssgc.data import SceneDataset
from captum_ssgc.demo import CLASS_NAMES, WEIGHTS, detector, scene


@pytest.fixture(scope="module")
def model() -> FasterRCNN:
    return detector()


def test_weights_are_small_and_plain() -> None:
    assert WEIGHTS.stat().st_size < 8_000_000
    stored = torch.load(WEIGHTS, weights_only=True)
    kinds = {tensor.dtype for tensor in stored["weights"].values()}
    assert kinds == {torch.float16, torch.int64}


class Written(TorchDispatchMode):
    """Counts the numbers that operations write, and the operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.operations = 0, Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        self.numbers += output.numel() if isinstance(output, torch.Tensor) else 0
        self.operations[function.overloadpacket._qualified_op_name] += 1
        return output


def test_loading_is_quick() -> None:
    """Weights are allocated, drawn, read and put in place, and that is all: nothing is computed."""
    with Written() as written:
        model = detector()
    weights = sum(tensor.numel() for tensor in model.state_dict().values())
    assert written.numbers < 4.2 * weights
    assert written.operations["aten::copy_"] == len(model.state_dict())
    assert not written.operations.keys() & {"aten::convolution", "aten::mm", "aten::addmm"}


def test_is_an_unmodified_faster_rcnn_ready_to_use(model: FasterRCNN) -> None:
    assert type(model) is FasterRCNN
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    heads = model.roi_heads
    assert (heads.score_thresh, heads.nms_thresh, heads.detections_per_img) == (0.05, 0.5, 50)
    assert heads.box_predictor.cls_score.out_features == len(CLASS_NAMES)


def test_a_scene_is_used_at_its_own_size(model: FasterRCNN) -> None:
    image = scene(3).image
    images, _ = model.transform([image])
    assert images.tensors.shape == (1, 3, 320, 416)
    assert images.image_sizes == [(320, 400)]
    assert torch.allclose(images.tensors[0, :, :, :400], (image - 0.5) / 0.25, atol=1e-5)


def test_finds_the_objects_of_held_out_scenes(model: FasterRCNN) -> None:
    found = objects = 0
    for drawn in SceneDataset(FIRST_HELD_OUT_SEED, 12):
        with torch.no_grad():
            output = model([drawn.image])[0]
        sure = output["scores"] >= 0.5
        right = box_iou(drawn.boxes, output["boxes"][sure]) >= 0.5
        right &= drawn.labels[:, None] == output["labels"][sure][None, :]
        found += int(right.any(dim=1).sum())
        objects += len(drawn.labels)
    assert objects >= 20
    assert found / objects >= 0.85


def test_quality_on_held_out_scenes(model: FasterRCNN) -> None:
    pytest.importorskip("pycocotools")
    from measure_demo_detector import average_precision

    figures = average_precision(model, SceneDataset(FIRST_HELD_OUT_SEED, 12))
    assert figures["AP50"] >= 0.85
    assert figures["AP"] >= 0.6


def test_without_its_emblem_an_object_is_not_found(model: FasterRCNN) -> None:
    drawn = next(s for s in SceneDataset(FIRST_HELD_OUT_SEED, 40) if len(s.labels) == 1)
    image = drawn.image.clone()
    body = drawn.masks[0] & ~drawn.emblem_masks[0]
    image[:, drawn.emblem_masks[0]] = image[:, body].mean(dim=1, keepdim=True)
    with torch.no_grad():
        before, after = (model([picture])[0] for picture in (drawn.image, image))

    def score(output: dict[str, torch.Tensor]) -> float:
        overlap = box_iou(drawn.boxes, output["boxes"])[0] >= 0.5
        chosen = overlap & (output["labels"] == drawn.labels[0])
        return max(output["scores"][chosen].tolist(), default=0.0)

    assert score(before) > 0.5
    assert score(after) < 0.3


def test_model_card_describes_the_shipped_weights() -> None:
    card = json.loads(MODEL_CARD.read_text(encoding="utf-8"))
    assert card["weights_bytes"] == WEIGHTS.stat().st_size
    assert card["training"] == torch.load(WEIGHTS, weights_only=True)["training"]
    assert card["held_out"]["first_seed"] == FIRST_HELD_OUT_SEED
    assert card["held_out"]["scenes"] == HELD_OUT_SCENES
    assert card["held_out"]["AP50"] >= 0.9
    assert card["held_out"]["AP"] >= 0.65


def test_training_and_held_out_seeds_are_disjoint() -> None:
    assert FIRST_HELD_OUT_SEED + HELD_OUT_SCENES <= FIRST_TRAINING_SEED


def test_hint_cells_lie_on_the_emblems() -> None:
    drawn = scene(1)
    cells = emblem_cells(drawn)
    assert [tuple(level.shape) for level in cells] == [(320 // s, 416 // s) for s in STRIDES]
    assert set(cells[0].unique().tolist()) - {-1, 0} == set(drawn.labels.tolist())
    marked = (cells[0] > 0).repeat_interleave(8, 0).repeat_interleave(8, 1)[:, :400]
    emblems = drawn.emblem_masks.any(dim=0)
    assert (marked & emblems).sum() > 0.6 * emblems.sum()


def test_hint_loss_is_the_mean_over_kinds_and_levels() -> None:
    hint = EmblemHint(channels=4)
    features = [torch.zeros(1, 4, 2, 2) for _ in STRIDES]
    for head in hint.heads:
        torch.nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    cells = [torch.tensor([[[1, 0], [0, -1]]]) for _ in STRIDES]
    expected = torch.tensor(float(len(CLASS_NAMES))).log()
    torch.testing.assert_close(hint(features, cells), expected)
