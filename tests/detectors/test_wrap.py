"""From a model to its adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

import captum_ssgc as ssgc
from captum_ssgc import detectors

ADAPTERS = [
    ("torchvision", "retinanet", "OneStageDetector"),
    ("torchvision", "fcos", "OneStageDetector"),
    ("torchvision", "ssdlite", "OneStageDetector"),
    ("transformers", "detr", "TransformersDetector"),
    ("transformers", "yolos", "TransformersDetector"),
    ("ultralytics", "yolov8n", "YoloDetector"),
    ("ultralytics", "yolo26n-seg", "YoloDetector"),
]


@pytest.mark.parametrize(("vendor", "name", "adapter"), ADAPTERS)
def test_a_vendors_model_gets_the_vendors_adapter(build_family, vendor, name, adapter):
    detector = build_family(vendor, name).detector
    assert type(detector) is getattr(detectors, adapter)
    assert type(ssgc.wrap_detector(detector.model)) is type(detector)
    assert ssgc.wrap_detector(detector) is detector


def test_a_subclass_is_recognised_by_its_ancestors(build_family):
    model = build_family("torchvision", "retinanet").detector.model
    mine = type("Mine", (type(model),), {})
    model.__class__ = mine
    try:
        assert type(ssgc.wrap_detector(model)) is detectors.OneStageDetector
    finally:
        model.__class__ = mine.__mro__[1]


def test_a_function_is_your_own_detector():
    detector = ssgc.wrap_detector(lambda images: images, label_names=["one"])
    assert type(detector) is detectors.CandidateDetector
    assert detector.label_name(0) == "one"


@pytest.mark.parametrize(
    "model", [None, "yolo11n.pt", torch.zeros(3)], ids=["none", "path", "tensor"]
)
def test_what_cannot_be_called_is_refused(model):
    with pytest.raises(TypeError, match=f"or a function, got {type(model).__name__}"):
        ssgc.wrap_detector(model)


def test_names_are_given(build_family):
    model = build_family("torchvision", "retinanet").detector.model
    detector = ssgc.wrap_detector(model, label_names=["cat", "dog", "eel", "fox", "gnu"])
    assert (detector.label_name(1), detector.label_name(5)) == ("cat", "gnu")


def compiled(model):
    return torch.compile(model, backend="eager")  # importing the usual one takes seconds


def test_a_model_inside_a_shell_is_unwrapped(build_family):
    model = build_family("torchvision", "fcos").detector.model
    for shell in (torch.nn.DataParallel(model), compiled(model)):
        detector = ssgc.wrap_detector(shell, label_names=list("abcdef"))
        assert detector.model is model
        assert detector.label_names == tuple("abcdef")


class Around(torch.nn.Module):
    """A module of its own around a model, as averages, adapters and trainers are."""

    def __init__(self, name: str, model: torch.nn.Module) -> None:
        super().__init__()
        setattr(self, name, model)

    def forward(self, images):
        raise AssertionError("the model itself is used")


class LightningModule(Around):
    pass


class MyTraining(LightningModule):
    def __init__(self, model) -> None:
        super().__init__("model", model)


class Average:
    def __init__(self, model) -> None:
        self.ema = model


class Session:
    def __init__(self, model) -> None:
        self.model = Session.Inner(model)

    class Inner:
        def __init__(self, model) -> None:
            self.model = model


def peft(model):
    own = {"forward": lambda self, *args: None}
    lora = type("LoraModel", (Around,), {"__module__": "peft.tuners.lora", **own})
    whole = type("PeftModel", (Around,), {"__module__": "peft.peft_model", **own})
    return whole("base_model", lora("model", model))


SHELLS = {
    "averaged-weights": torch.optim.swa_utils.AveragedModel,
    "compiled": compiled,
    "compiled-parallel": lambda model: compiled(torch.nn.DataParallel(model)),
    "lightning": MyTraining,
    "peft": peft,
    "ema": Average,
    "session": Session,
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
@pytest.mark.parametrize("family", [("torchvision", "fcos"), ("transformers", "yolos")], ids=str)
def test_what_holds_a_model_is_left_out(build_family, shell, family):
    inner = build_family(*family).detector
    found = ssgc.wrap_detector(shell(inner.model))
    assert type(found) is type(inner)
    assert type(found.model) is type(inner.model)
    averaged = shell is torch.optim.swa_utils.AveragedModel  # keeps a copy
    assert (found.model is inner.model) != averaged


class Parallel(torch.nn.DataParallel):
    """A framework's shell with a forward of its own."""

    def forward(self, images):
        raise AssertionError("never called")


class OfFramework(Around):
    """A framework's class that another one, with a forward of its own, is a kind of."""


OfFramework.__module__ = "timm.models"


class KindOfIt(OfFramework):
    def forward(self, images):
        raise AssertionError("never called")


NAMES = ["model", "net", "detector", "base_model", "module", "ema"]


@pytest.mark.parametrize("name", [*NAMES, "parallel", "framework"])
def test_a_module_of_yours_around_a_model_is_your_own_detector(build_family, name):
    """It may change what the model reports."""
    inner = build_family("torchvision", "fcos").detector.model
    makers = {"parallel": Parallel, "framework": lambda inner: KindOfIt("model", inner)}
    mine = (makers[name](inner) if name in makers else Around(name, inner)).eval()
    detector = ssgc.wrap_detector(mine)
    assert type(detector) is detectors.CandidateDetector
    assert detector.model is mine


def test_a_decode_makes_a_known_model_your_own(build_family):
    model = build_family("torchvision", "fcos").detector.model
    detector = ssgc.wrap_detector(model, decode=lambda output: output)
    assert type(detector) is detectors.CandidateDetector
    classifier = torchvision.models.squeezenet1_1(weights=None)
    assert ssgc.wrap_detector(classifier, decode=lambda output: output).model is classifier


def test_a_pipeline_brings_its_processor(build_family):
    transformers = pytest.importorskip("transformers")
    inner = build_family("transformers", "conditional-detr").detector
    pipeline = transformers.ObjectDetectionPipeline(
        model=inner.model, image_processor=inner.processor
    )
    detector = ssgc.wrap_detector(pipeline, score_threshold=0.0)
    assert detector.model is inner.model
    assert detector.processor.size == inner.processor.size
    other = transformers.ConditionalDetrImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 99}
    )
    assert ssgc.wrap_detector(pipeline, processor=other).processor.size == other.size


class DefaultPredictor:
    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)

    def __call__(self, image):
        raise AssertionError


class Forest:
    def __init__(self) -> None:
        self.model = torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("facebook/detr", r"got str 'facebook/detr': load the model first"),
        (
            "rtdetr.pt",
            r"got str 'rtdetr.pt': pass ultralytics.YOLO.*; for a state dict make the model",
        ),
        (Path("a/b.onnx"), r"got .*Path 'a/b.onnx': pass captum_ssgc.detectors.onnx_detector"),
        ("b.torchscript", r"got str '.*': pass captum_ssgc.detectors.torchscript_detector\(path\)"),
        (
            ".",
            r"got str '.': pass transformers.AutoModelForObjectDetection.from_pretrained\(path\)",
        ),
        (
            torch.nn.Linear(1, 1).state_dict(),
            "got OrderedDict; if it holds weights, make the model first, then",
        ),
        (
            {"epoch": 1, "model": torch.nn.Linear(1, 1)},
            r"got dict; pass the network in it, its \['model'\]",
        ),
        (torchvision.models.detection.FCOS, "got the class FCOS: make an object"),
        (
            torchvision.models.detection.fcos_resnet50_fpn,
            r"got fcos_resnet50_fpn, which takes no images: .*call it",
        ),
        (
            DefaultPredictor(),
            r"got DefaultPredictor; its \.model is a Linear: wrap that, with decode",
        ),
        (Forest(), r"got Forest; its \.model is a Linear: wrap that, with decode"),
        (Session(torch.nn.Linear(1, 1)), r"got Session; its \.model\.model is a Linear: wrap that"),
        ([torch.nn.Linear(1, 1)], "got list"),
        (
            torchvision.models.squeezenet1_1(weights=None),
            "got a SqueezeNet of torchvision, which gives no boxes: a classifier",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_detector_is_named(model, message):
    with pytest.raises(TypeError, match=f"expected a detection model or a function, {message}"):
        ssgc.wrap_detector(model)


def test_a_processor_needs_a_model_of_transformers():
    with pytest.raises(TypeError, match=r"got Forest as the model and Linear as the processor"):
        ssgc.wrap_detector(Forest(), torch.nn.Linear(1, 1))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("traced", [False, True])
def test_a_scripted_model_is_refused(traced):
    relu = torch.nn.ReLU()
    scripted = torch.jit.trace(relu, torch.zeros(1)) if traced else torch.jit.script(relu)
    with pytest.raises(TypeError, match=r"a scripted \w+, .*the Python model"):
        ssgc.wrap_detector(scripted)


COCO = [
    torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn,
    torchvision.models.detection.ssdlite320_mobilenet_v3_large,
    torchvision.models.detection.fcos_resnet50_fpn,
]


@pytest.mark.parametrize("make", COCO)
@pytest.mark.parametrize("classes", [91, 90, pytest.param(21, marks=pytest.mark.slow)])
def test_torchvision_models_know_the_names_of_coco(make, classes):
    model = make(weights=None, weights_backbone=None, num_classes=classes).eval()
    detector = ssgc.wrap_detector(model)
    if classes != 91:
        assert detector.label_names is None
        return
    assert len(detector.label_names) == 91
    assert (detector.label_name(1), detector.label_name(90)) == ("person", "toothbrush")


@pytest.mark.parametrize(
    "family",
    [
        ("torchvision", "retinanet"),
        ("torchvision", "ssdlite"),
        ("transformers", "detr"),
        ("ultralytics", "yolov8n"),
    ],
    ids=str,
)
def test_every_adapter_fits_the_names_that_it_is_given(build_family, family, tmp_path):
    detector = build_family(*family).detector
    model, background = detector.model, family[0] == "torchvision"
    count = {"torchvision": 5, "transformers": 4, "ultralytics": 80}[family[0]]
    names = [f"kind {n}" for n in range(count)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    for given in (names, dict(enumerate(names)), dict(enumerate(names, 1)), tmp_path / "names.txt"):
        found = ssgc.wrap_detector(model, label_names=given).label_names
        assert found[background:] == tuple(names)
        assert len(found) == count + background
    for wrong in (names[:2], [*names, "a", "b"]):
        with pytest.raises(ValueError, match="label_names: expected"):
            ssgc.wrap_detector(model, label_names=wrong)
