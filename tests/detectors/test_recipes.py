"""Every recipe of the documentation runs as written, but for what would be downloaded.

mmdetection and detectron2 are not here: what stands in for them has their documented interface.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from detectors.family import enliven, scene
from PIL import Image
from torch import nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator

import captum_ssgc as ssgc

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.rst"
RECIPE = r"\.\. recipe (\w+)\n\n\.\. code-block:: python\n\n(.*?)\n(?=\S)"
RECIPES = dict(re.findall(RECIPE, PAGE.read_text(encoding="utf-8"), re.DOTALL))
MOST_LINES = 25
STEP = 64  # canvas pixels of the stand-ins' finest cells


def test_recipes_are_short():
    blocks = PAGE.read_text(encoding="utf-8").count(".. code-block:: python")
    assert len(RECIPES) == blocks == 7
    for name, text in RECIPES.items():
        lines = [line for line in text.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, name


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a recipe beside a photo, and gives what it has made; the two best of any score."""
    monkeypatch.chdir(tmp_path)
    pixels = (scene(3, (96, 130))[0].permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save("photo.jpg")
    found = []

    def explain(model, image, **options):
        wrapped = ssgc.wrap_detector(model)
        wrapped.score_threshold = 0.0
        options = {**options, "score_threshold": 0.0, "top_k": 2}
        found.append(ssgc.explanation.explain(wrapped, image, output="logit", **options))
        return found[-1]

    monkeypatch.setattr(ssgc, "explain", explain, raising=False)

    def run_named(name):
        names = {"found_by_explain": found}
        exec("\n".join(line[3:] for line in RECIPES[name].splitlines()), names)
        assert all(bool(one.heat_map.any()) for one in found[0])
        for picture in re.findall(r'savefig\("(.*?)"\)', RECIPES[name]):
            with Image.open(picture) as opened:
                assert np.asarray(opened.convert("L")).std() > 5
        return SimpleNamespace(**{key: value for key, value in names.items() if key[0] != "_"})

    return run_named


def photo():
    with Image.open("photo.jpg") as opened:
        return torch.from_numpy(np.array(opened)).permute(2, 0, 1)[None] / 255


def assert_levels(detector):
    """Several levels have candidates, and the wrapper and each level's layer know them."""
    assert len(detector.detect(photo())[0]) >= 5
    with torch.no_grad():
        raw = detector.run(photo())
    image, levels = detector.image_candidates(raw)[0], raw.candidates.levels
    scores = image.scores()
    best = [int(scores.amax(1).where(levels == one, -1.0).argmax()) for one in levels.unique()]
    assert len(best) >= 2
    rows = torch.tensor(best)
    labels = scores[rows].argmax(1)
    found = image.detections(scores, rows, labels, image.boxes(rows, labels))
    wrapper = ssgc.InstanceScoreWrapper(detector, found)
    with torch.no_grad():
        torch.testing.assert_close(wrapper(photo())[0], found.scores)
    for target in range(len(best)):
        layer = detector.layer_for(found, target)
        maps = ssgc.ODAM(wrapper, layer).attribute(photo(), target=target, relu_attributions=False)
        assert bool(maps.any())


def level_maps(count, width):
    """Convolutions that each halve the grid of the one before."""
    return nn.ModuleList(nn.Conv2d(width, width, 3, 1 + (n > 0), 1) for n in range(count))


def head_of(kinds):
    torch.manual_seed(0)
    logits, deltas = nn.Conv2d(8, kinds, 1), nn.Conv2d(8, 4, 1)
    with torch.no_grad():
        logits.weight.mul_(4.0)
        deltas.weight.mul_(0.05)
    return logits, deltas


def anchors_of(maps):
    sizes = tuple((96 * 2**level,) for level in range(len(maps)))
    grids = AnchorGenerator(sizes, ((1.0,),) * len(maps))
    places = [one.shape[-2:] for one in maps]
    strides = [[torch.tensor(STEP * 2**level)] * 2 for level in range(len(maps))]
    grids.set_cell_anchors(torch.float32, torch.device("cpu"))
    return grids.grid_anchors(places, strides)


def decoded(anchors, deltas):
    return BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(deltas, anchors)


class MMDetection(nn.Module):
    """A one-stage detector as mmdetection 3 documents it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Conv2d(3, 8, STEP, STEP)
        self.neck = nn.Module()
        self.neck.fpn_convs = level_maps(5, 8)
        self.bbox_head = nn.Module()
        self.bbox_head.cls_out_channels = 3
        self.bbox_head.logits, self.bbox_head.deltas = head_of(3)
        self.bbox_head.bbox_coder = SimpleNamespace(decode=decoded)
        self.bbox_head.prior_generator = SimpleNamespace(grid_priors=self._priors)
        self.dataset_meta = {"classes": ("ant", "bee", "cat")}

    @staticmethod
    def _priors(featmap_sizes, dtype=torch.float32, device="cuda"):
        return anchors_of([torch.empty(1, 1, *size, device=device) for size in featmap_sizes])

    def forward(self, inputs, data_samples=None, mode="tensor"):
        assert mode == "tensor"
        levels, maps = [], self.backbone(inputs)
        for layer in self.neck.fpn_convs:
            maps = layer(maps).relu()
            levels.append(maps)
        head = self.bbox_head
        return [head.logits(one) for one in levels], [head.deltas(one) for one in levels]


def test_mmdetection(run, monkeypatch):
    apis = ModuleType("mmdet.apis")
    apis.init_detector = lambda config, checkpoint, device: MMDetection().eval()
    monkeypatch.setitem(sys.modules, "mmdet", ModuleType("mmdet"))
    monkeypatch.setitem(sys.modules, "mmdet.apis", apis)
    detector = run("mmdetection").detector
    assert detector.label_names == ("ant", "bee", "cat")
    assert_levels(detector)


class Detectron2(nn.Module):
    """A RetinaNet as detectron2 documents it."""

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, layers = nn.Conv2d(3, 8, STEP, STEP), level_maps(5, 8)
            self.fpn_output3, self.fpn_output4, self.fpn_output5 = layers[:3]
            self.top_block = nn.Module()
            self.top_block.p6, self.top_block.p7 = layers[3:]

        def forward(self, images):
            layers = [self.fpn_output3, self.fpn_output4, self.fpn_output5]
            maps, found = self.stem(images), {}
            for number, layer in enumerate([*layers, self.top_block.p6, self.top_block.p7], 3):
                maps = layer(maps).relu()
                found[f"p{number}"] = maps
            return found

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits, self.deltas = head_of(80)

        def forward(self, maps):
            return [self.logits(one) for one in maps], [self.deltas(one) for one in maps]

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone, self.head, self.num_classes = self.Backbone(), self.Head(), 80
        self.head_in_features = ["p3", "p4", "p5", "p6", "p7"]
        self.box2box_transform = SimpleNamespace(
            apply_deltas=lambda deltas, boxes: decoded(boxes, deltas)
        )

    def anchor_generator(self, maps):
        return [SimpleNamespace(tensor=one) for one in anchors_of(maps)]


def test_detectron2(run, monkeypatch):
    package = ModuleType("detectron2")
    package.model_zoo = SimpleNamespace(get=lambda config, trained: Detectron2())
    monkeypatch.setitem(sys.modules, "detectron2", package)
    detector = run("detectron2").detector
    assert detector.detect(photo())[0].class_scores.shape[1] == 80
    assert detector.label_names[:2] == ("person", "bicycle")
    assert_levels(detector)


def test_pipelines(run, build_family, monkeypatch):
    transformers = pytest.importorskip("transformers")
    closed = build_family("transformers", "yolos").detector
    opened = build_family("prompts", "owlv2").detector
    made = {
        "object-detection": transformers.ObjectDetectionPipeline(
            model=closed.model, image_processor=closed.processor
        ),
        "zero-shot-object-detection": transformers.ZeroShotObjectDetectionPipeline(
            model=opened.model,
            tokenizer=opened.text_processor.tokenizer,
            image_processor=opened.processor,
        ),
    }
    for module in (transformers.pipelines, transformers):  # which looks there again
        monkeypatch.setattr(module, "pipeline", lambda task, model: made[task])
    names = run("pipeline")
    assert names.detector.label_names == ("a cat", "a dog")
    assert {one.label for one in names.found_by_explain[1]} <= {"a cat", "a dog"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_effdet(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "attr", None)  # a folder of tests has this name
    effdet = pytest.importorskip("effdet", reason="needs effdet")
    torch.manual_seed(0)
    network = effdet.create_model(
        "tf_efficientdet_d0", bench_task="", pretrained=False, pretrained_backbone=False,
        image_size=(128, 128)
    ).eval()  # fmt: skip
    nn.init.normal_(network.class_net.predict.conv_pw.weight, std=0.5)
    monkeypatch.setattr(effdet, "create_model", lambda *args, **options: network)
    detector = run("effdet").detector
    assert_levels(detector)
    found = detector.detect(photo())[0]
    assert detector.label_names[:2] == ("person", "bicycle")
    canvas, geometry = detector.preprocess(photo())
    with torch.no_grad():
        theirs = effdet.DetBenchPredict(network).eval()(canvas)[0]
    torch.testing.assert_close(found.scores[0], theirs[0, 4])
    assert int(found.labels[0]) == int(theirs[0, 5]) - 1
    expected = geometry.boxes_to_image(theirs[:1, :4])
    inside = torchvision.ops.clip_boxes_to_image(expected, (96, 130))
    torch.testing.assert_close(found.boxes[:1], inside, atol=1e-3, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_yolov5(run, monkeypatch):
    yolov5 = pytest.importorskip("yolov5", reason="needs yolov5")
    from yolov5.models.yolo import DetectionModel
    from yolov5.utils.general import non_max_suppression

    torch.manual_seed(0)
    file = Path(yolov5.__file__).parent / "models" / "yolov5n.yaml"
    network = DetectionModel(str(file)).eval()
    for layer in network.model[-1].m:
        nn.init.normal_(layer.weight, std=0.3)
    loaded = SimpleNamespace(model=network)
    monkeypatch.setattr(yolov5, "load", lambda name, autoshape: loaded)
    detector = run("yolov5").detector
    assert_levels(detector)
    detector.score_threshold = 0.05
    found = detector.detect(photo())[0]
    canvas = detector.preprocess(photo())[0]
    with torch.no_grad():
        theirs = non_max_suppression(network(canvas), 0.05, 0.45, max_det=100)[0]
    torch.testing.assert_close(found.scores, theirs[:, 4])
    assert torch.equal(found.labels, theirs[:, 5].long())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lightning(run):
    lightning = pytest.importorskip("lightning", reason="needs lightning")
    torch.manual_seed(0)
    build = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn
    state = build(weights_backbone=None, num_classes=3).state_dict()
    checkpoint = {
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
        "hyper_parameters": {"classes": 3},
    }
    torch.save(checkpoint, "last.ckpt")
    names = run("lightning")
    assert names.detector.model is names.training.model
    assert names.detector.label_names == ("__background__", "cat", "dog")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_peft(run, vendor_settings, monkeypatch):
    peft = pytest.importorskip("peft", reason="needs peft")
    import transformers
    from detectors.transformers_families import detr

    torch.manual_seed(0)
    model = detr("Detr")
    enliven(model, classes=(4, 5))
    config = peft.LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(detr("Detr"), config).save_pretrained("my_adapter")
    size = {"shortest_edge": 96, "longest_edge": 200}
    transformers.DetrImageProcessor(size=size).save_pretrained("processor")
    model.config.name_or_path = "processor"
    plain = ssgc.wrap_detector(model.eval(), score_threshold=0.0).detect(photo())[0]
    monkeypatch.setattr(
        transformers.AutoModelForObjectDetection, "from_pretrained", lambda name: model
    )
    names = run("peft")
    with_adapter = ssgc.wrap_detector(names.model, score_threshold=0.0).detect(photo())[0]
    assert not torch.equal(with_adapter.scores, plain.scores)
