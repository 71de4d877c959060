from __future__ import annotations

import argparse
import json
import sys
import types
import urllib.error
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from captum_ssgc._vendor_versions import processor_on_tensors
from captum_ssgc.cli import torchvision_models
from captum_ssgc.cli.messages import CommandError
from captum_ssgc.cli.models import ModelChoice, load_detector
from captum_ssgc.demo import CLASS_NAMES

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
PIXELS = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def choice(name: str = SMALL, **options: Any) -> ModelChoice:
    return ModelChoice(name, **{"device": "cpu", "score_threshold": 0.0, **options})


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


class Settings:
    """What a training script keeps beside its weights."""


def _renamed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": entry for key, entry in state.items()}


def _changed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: entry * 2 for key, entry in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "epoch": 3},
        lambda state: {"state_dict": state},
        lambda state: {f"module.{key}": entry for key, entry in state.items()},
        lambda state: {
            "hyper_parameters": {"folder": Path("runs"), "settings": Settings()},
            "state_dict": {"loss.weight": torch.ones(2), **_renamed(state, "model.detector.")},
            "callbacks": {Settings: 3},
        },
        lambda state: {"epoch": 3, "ema_weights": _renamed(state, "module."), "optimizer": {0: {}}},
        lambda state: {"ema": _changed(state), "model": state},
    ],
    ids=["script", "state_dict", "parallel", "lightning", "ema", "the model first"],
)
def test_wrapped_checkpoints_load(
    wrap: Callable[[Any], Any], small_state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = save(wrap(small_state), tmp_path / "tuned.pt")
    loaded = load_detector(choice(f"torchvision:{SMALL}", checkpoint=path)).model.state_dict()
    assert loaded.keys() == small_state.keys()
    assert all(torch.equal(loaded[key], one) for key, one in small_state.items())


def test_what_is_loaded_detects_the_same(checkpoint: Path, small_model: nn.Module) -> None:
    detector = load_detector(choice(checkpoint=checkpoint))
    small_model.roi_heads.score_thresh = 0.0
    with torch.no_grad():
        expected = small_model(list(PIXELS))[0]
    found = detector.detect(PIXELS)[0]
    assert len(found) > 5
    assert torch.equal(found.scores, expected["scores"])
    assert torch.equal(found.boxes, expected["boxes"])


def test_of_a_whole_model_the_weights_are_read(small_model: nn.Module, tmp_path: Path) -> None:
    path = save({"model": small_model, "epoch": 3}, tmp_path / "whole.pt")
    may_load = set(torch.serialization.get_safe_globals())
    loaded = load_detector(choice(checkpoint=path)).model.state_dict()
    assert set(torch.serialization.get_safe_globals()) == may_load
    assert loaded.keys() == small_model.state_dict().keys()
    assert all(torch.equal(loaded[key], one) for key, one in small_model.state_dict().items())


class Opens:
    """Its pickle opens a file for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")


def test_nothing_in_a_checkpoint_is_run(small_state: dict[str, Tensor], tmp_path: Path) -> None:
    written = tmp_path / "written"
    path = save({"model": small_state, "more": Opens(written)}, tmp_path / "evil.pt")
    assert load_detector(choice(checkpoint=path)).model.roi_heads is not None
    assert not written.exists()


@pytest.mark.parametrize(
    "name",
    [
        "ssdlite320_mobilenet_v3_large",
        pytest.param("fasterrcnn_resnet50_fpn_v2", marks=pytest.mark.slow),
        pytest.param("fcos_resnet50_fpn", marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_of_another_network_says_of_which(name: str, tmp_path: Path) -> None:
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=4)
    path = save(_renamed(model.state_dict(), "model."), tmp_path / "other.pt")
    with pytest.raises(CommandError, match=rf"it fits {name}: give --model {name}\."):
        load_detector(choice(checkpoint=path))


def test_a_checkpoint_of_another_kind_says_of_which(tmp_path: Path) -> None:
    class DetectionModel(nn.Linear):
        pass

    made_up = types.ModuleType("ultralytics.made_up")
    made_up.Tiny = DetectionModel
    DetectionModel.__module__, DetectionModel.__qualname__ = made_up.__name__, "Tiny"
    path = tmp_path / "best.pt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, made_up.__name__, made_up)
        save({"model": DetectionModel(2, 2)}, path)
    with pytest.raises(
        CommandError, match=r"of Ultralytics: give it as --model ultralytics:.*best"
    ):
        load_detector(choice(checkpoint=path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(path))
    with pytest.raises(CommandError, match=r"TorchScript file: give it as --model torchscript:"):
        load_detector(choice(checkpoint=path))


def test_frozen_statistics_load(
    small_state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fine-tuned models have frozen batch norm, whose state has no counters."""
    frozen = {key: entry for key, entry in small_state.items() if "num_batches_tracked" not in key}
    assert len(frozen) < len(small_state)
    path = save(frozen, tmp_path / "frozen.pt")
    model = load_detector(choice(checkpoint=path)).model
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {module.eps for module in norms} == {1e-5}
    monkeypatch.setattr(torchvision_models, "_FROZEN_WITHOUT_EPS", (SMALL,))
    model = load_detector(choice(checkpoint=path)).model
    assert {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d)} == {0.0}


@pytest.mark.parametrize("name", torchvision_models.names())
def test_the_number_of_classes_is_read_from_the_checkpoint(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(
            name, weights=None, weights_backbone=None, num_classes=5
        )
    assert torchvision_models._classes(name, model.state_dict()) == 5


@pytest.mark.usefixtures("read_once")
def test_labels_fit_with_and_without_background(checkpoint: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    for content, expected in (
        ("ant\nbee\n", ("__background__", "ant", "bee")),
        ("nothing\nant\nbee\n", ("nothing", "ant", "bee")),
    ):
        names.write_text(content)
        assert load_detector(choice(checkpoint=checkpoint, labels=names)).label_names == expected
    names.write_text("ant\nbee\ncow\ndog\n")
    with pytest.raises(CommandError, match=r"expected 3 names.*or 2 without.*, got 4"):
        load_detector(choice(checkpoint=checkpoint, labels=names))


@pytest.mark.usefixtures("read_once")
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.json", '["ant", "bee"]'),
        ("names.json", '{"1": "ant", "2": "bee"}'),
        ("data.yaml", "nc: 2\nnames:\n  0: ant\n  1: bee\n"),
        ("names.yml", "[__background__, ant, bee]"),
    ],
)
def test_labels_of_any_form(checkpoint: Path, tmp_path: Path, file: str, content: str) -> None:
    if not file.endswith("json"):
        pytest.importorskip("yaml")
    path = tmp_path / file
    path.write_text(content)
    detector = load_detector(choice(checkpoint=checkpoint, labels=str(path)))
    assert detector.label_names == ("__background__", "ant", "bee")


def test_labels_by_the_name_of_a_data_set() -> None:
    detector = load_detector(choice(weights="none", labels="coco"))
    assert detector.label_name(1) == "person"
    assert detector.label_name(90) == "toothbrush"


def test_labels_of_other_vendors_are_fitted_and_checked(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"new {name}" for name in CLASS_NAMES[1:]))
    detector = load_detector(choice("demo", labels=str(names)))
    assert detector.label_names[1:] == tuple(f"new {name}" for name in CLASS_NAMES[1:])
    names.write_text("one\ntwo")
    with pytest.raises(CommandError, match=r"--labels .*names\.txt: expected 7 names.*got 2"):
        load_detector(choice("demo", labels=str(names)))


@pytest.mark.usefixtures("read_once")
def test_without_labels_numbers_are_shown(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_detector(choice(checkpoint=checkpoint)).label_name(2) == "2"
    (tmp_path / "names.txt").write_text("ant\nbee")
    load_detector(choice(checkpoint=checkpoint, labels=str(tmp_path / "names.txt")))
    assert capsys.readouterr().err == ""


def test_published_weights_bring_their_class_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torchvision.models.get_model(SMALL, weights=None, weights_backbone=None)
    asked = []

    def offline(self: Any, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        asked.append(self.name)
        return model.state_dict()

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", offline)
    for weights in (None, "FasterRCNN_X_Weights.coco_v1"):
        detector = load_detector(choice(weights=weights))
        assert detector.label_name(1) == "person"
        assert detector.label_name(17) == "cat"
    assert asked == ["COCO_V1"] * 2


def test_random_weights_warn(capsys: pytest.CaptureFixture[str]) -> None:
    first = load_detector(choice(weights="none"))
    assert "has random weights" in capsys.readouterr().err
    second = load_detector(choice(weights="none"))
    assert torch.equal(first.detect(PIXELS)[0].scores, second.detect(PIXELS)[0].scores)


@pytest.mark.usefixtures("read_once")
@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.0, 0.0), (0.5, 0.05)], ids=["lowered", "kept"]
)
def test_the_vendors_threshold_never_hides_what_was_asked_for(
    checkpoint: Path, threshold: float, expected: float
) -> None:
    detector = load_detector(choice(checkpoint=checkpoint, score_threshold=threshold))
    assert detector.model.roi_heads.score_thresh == expected


def test_demo_detector_has_its_class_names() -> None:
    assert load_detector(choice("demo")).label_names == tuple(CLASS_NAMES)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)


@pytest.mark.usefixtures("offline")
def test_a_failed_download_names_the_way_out() -> None:
    with pytest.raises(CommandError, match=r"not known.*download https://.*--checkpoint FILE"):
        load_detector(choice())


@pytest.mark.usefixtures("offline")
def test_a_broken_download_is_told(tmp_path: Path) -> None:
    weights = torchvision.models.get_model_weights(SMALL)["DEFAULT"]
    cached = tmp_path / "hub" / "checkpoints" / Path(weights.url).name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(CommandError, match="could not be downloaded or read"):
        load_detector(choice())


class Pickled(nn.Module):
    """A module that somebody saved as a whole."""


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path, state: path.write_bytes(b"hello"), "no readable PyTorch checkpoint"),
        (lambda path, state: path.write_bytes(b""), "no readable PyTorch checkpoint"),
        (lambda path, state: save(Pickled(), path), "expected a state dict.*got no tensors"),
        (lambda path, state: save([1, 2], path), "expected a state dict.*got no tensors"),
        (lambda path, state: save(nn.Linear(2, 2).state_dict(), path), "no class layer.*weight"),
        (
            lambda path, state: save({k: v for k, v in state.items() if "fpn" not in k}, path),
            r"does not fit .*entries missing, such as backbone\.fpn",
        ),
        (
            lambda path, state: save({**state, "extra": torch.ones(1)}, path),
            "1 entries unknown, such as extra",
        ),
        (
            lambda path, state: save({**state, "rpn.head.bbox_pred.bias": torch.ones(7)}, path),
            "1 entries of another shape, such as rpn.head.bbox_pred.bias",
        ),
    ],
    ids=["text", "empty", "pickle", "list", "foreign", "incomplete", "extra", "shape"],
)
def test_unusable_checkpoints(
    write: Callable[[Path, Any], Any],
    message: str,
    small_state: dict[str, Tensor],
    tmp_path: Path,
) -> None:
    path = tmp_path / "bad.pt"
    write(path, small_state)
    with pytest.raises(CommandError, match=message):
        load_detector(choice(checkpoint=path))


def test_a_truncated_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(CommandError, match="no readable PyTorch checkpoint"):
        load_detector(choice(checkpoint=path))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fasterrcnn_resnet50", {}, "did you mean fasterrcnn_resnet50_fpn"),
        ("torchvision:maskrcnn", {}, "did you mean maskrcnn_resnet50_fpn"),
        ("resnet50", {}, "unknown model 'resnet50'"),
        ("qqq", {}, "expected one of demo, fasterrcnn_.*onnx:FILE"),
        ("FasterRCNN-ResNet50-FPN", {}, "did you mean fasterrcnn_resnet50_fpn"),
        ("yolox_nano.onnx", {}, "did you mean onnx:yolox_nano.onnx"),
        ("yolov8n.pt", {}, "did you mean ultralytics:yolov8n.pt, or --checkpoint yolov8n.pt"),
        ("some/best.PT", {}, "did you mean ultralytics:some/best.PT"),
        ("best.torchscript", {}, "did you mean torchscript:best.torchscript"),
        ("some/last.ckpt", {}, "did you mean --checkpoint some/last.ckpt"),
        ("torchscript:none.pt", {}, "none.pt does not exist"),
        ("facebook/detr-resnet-50", {}, "did you mean transformers:facebook/detr-resnet-50"),
        ("keras:x", {}, "unknown kind 'keras'; expected torchvision:NAME"),
        ("yolo:best.pt", {}, "unknown kind 'yolo'; .*did you mean ultralytics:best.pt"),
        (r"C:\\models\\x.onnx", {}, r"unknown kind 'C'; .*did you mean onnx:C:"),
        ("onnx:none.onnx", {}, "none.onnx does not exist"),
        ("ultralytics:none.pt", {}, "none.pt does not exist"),
        ("demo", {"weights": "none"}, "do not apply to demo"),
        ("demo:x", {}, "--model demo:x: expected demo alone"),
        ("", {}, "unknown model ''; expected one of demo"),
        (
            "demo",
            {"onnx": {"size": (9, 9), "boxes": "xyxy"}},
            "--canvas, --boxes: for exported files",
        ),
        (SMALL, {"weights": "IMAGENET"}, "has COCO_V1, DEFAULT, none"),
        (SMALL, {"checkpoint": Path("none.pt")}, "none.pt does not exist"),
        (SMALL, {"device": "cuda:99"}, "--device cuda:99 cannot be used here"),
    ],
)
def test_what_cannot_be_found_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        load_detector(choice(name, **options))


def test_an_onnx_file_is_read_as_the_user_says(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnxruntime")
    from detectors.exported import Written, pyramid, save, truth

    def layout(maps: Any) -> Any:
        found = truth(maps)
        return found.boxes * 1.0, found.class_scores * 1.0

    path = save(tmp_path / "it.onnx", Written(pyramid(), layout).eval(), ["boxes", "scores"])
    detector = load_detector(choice(f"onnx:{path}", onnx={"boxes": "cxcywh", "scores": "sigmoid"}))
    assert "it.onnx: boxes-scores: " in capsys.readouterr().out
    found = detector.detect(torch.rand(1, 3, 64, 96))[0]
    assert 0.5 < float(found.scores.min()) < float(found.scores.max()) < 0.75
    with pytest.raises(CommandError, match=r"layout: expected one of heads"):
        load_detector(choice(f"onnx:{path}", onnx={"layout": "ssd"}))


def test_a_file_with_another_suffix_is_no_folder_of_transformers(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.touch()
    with pytest.raises(CommandError, match=r"did you mean --checkpoint .*model.safetensors"):
        load_detector(choice(str(weights)))
    (tmp_path / "config.json").touch()
    with pytest.raises(CommandError, match=rf"did you mean transformers:{tmp_path}\?"):
        load_detector(choice(str(weights)))
    (tmp_path / "best.engine").touch()
    with pytest.raises(CommandError, match=r"unknown model '.*best.engine'; expected one of"):
        load_detector(choice(str(tmp_path / "best.engine")))


@pytest.mark.parametrize("suffix", ["onnx", "torchscript"])
def test_exports_of_ultralytics_have_their_own_kind(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"best.{suffix}"
    file.touch()
    with pytest.raises(CommandError, match=rf"is an export; did you mean {suffix}:{file}\?"):
        load_detector(choice(f"ultralytics:{file}"))


def test_a_torchscript_file(tmp_path: Path, capsys: Any) -> None:
    from detectors.exported import Written, pyramid
    from detectors.test_onnx_detector import yolov8
    from detectors.test_torchscript import save as save_script

    path = save_script(tmp_path / "it.torchscript", Written(pyramid(), yolov8))
    detector = load_detector(choice(f"torchscript:{path}", onnx={"size": (64, 96)}))
    assert "it.torchscript: yolov8: " in capsys.readouterr().out
    assert len(detector.detect(torch.rand(1, 3, 64, 96))[0]) > 0
    with pytest.raises(CommandError, match=r"pass \(H, W\) of the canvas"):
        load_detector(choice(f"torchscript:{path}"))


def test_unusable_onnx_files(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import onnx

    path = tmp_path / "bad.onnx"
    path.write_bytes(b"no onnx file")
    with pytest.raises(CommandError, match="not a readable ONNX model"):
        load_detector(choice(f"onnx:{path}"))
    shape = (1, 3, 32, 32)
    tensors = [onnx.helper.make_tensor_value_info(name, 1, shape) for name in ("image", "same")]
    node = onnx.helper.make_node("Relu", ["image"], ["same"])
    graph = onnx.helper.make_graph([node], "foreign", tensors[:1], tensors[1:])
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with pytest.raises(CommandError, match="expected the YOLOX layout"):
        load_detector(choice(f"onnx:{path}"))


def test_transformers_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    from detectors.transformers_families import processor_of

    config = transformers.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[64, 64],
        num_detection_tokens=10,
        id2label={0: "ant", 1: "bee"},
        label2id={"ant": 0, "bee": 1},
    )
    torch.manual_seed(0)
    transformers.YolosForObjectDetection(config).save_pretrained(tmp_path)
    processor = processor_of("Yolos", size={"height": 64, "width": 64})
    processor.save_pretrained(tmp_path)
    detector = load_detector(choice(f"transformers:{tmp_path}"))
    assert detector.label_names[:2] == ("ant", "bee")
    assert len(detector.detect(PIXELS)[0]) > 0
    for name in (tmp_path / "none", "./none"):
        with pytest.raises(CommandError, match="there is no such folder"):
            load_detector(choice(f"transformers:{name}"))
    with pytest.raises(CommandError, match=rf"got the file .*did you mean transformers:{tmp_path}"):
        load_detector(choice(f"transformers:{tmp_path / 'model.safetensors'}"))
    (tmp_path / "preprocessor_config.json").unlink()
    load_detector(choice(f"transformers:{tmp_path}"))
    assert "it has no preprocessor_config.json); using the defaults" in capsys.readouterr().err
    text = json.loads((tmp_path / "config.json").read_text())
    text["id2label"]["2"], text["label2id"]["cow"] = "cow", 2
    (tmp_path / "config.json").write_text(json.dumps(text))
    with pytest.raises(CommandError, match=r"weights .* do not fit its config.json: class_labels"):
        load_detector(choice(f"transformers:{tmp_path}"))


def test_folders_of_trainings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder above the checkpoints, and a checkpoint without its head."""
    pytest.importorskip("transformers")
    from transformers import YolosConfig, YolosModel

    if processor_on_tensors("YolosImageProcessor") is None:
        pytest.skip("this version of transformers has no image processor on tensors for YOLOS")

    with pytest.raises(CommandError, match=r"has no config.json, as save_pretrained writes it\."):
        load_detector(choice(f"transformers:{tmp_path}"))
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=[64, 64], num_detection_tokens=10,
    )  # fmt: skip
    for steps in (500, 1500, 1000):
        YolosModel(config).save_pretrained(tmp_path / f"checkpoint-{steps}")
    last = tmp_path / "checkpoint-1500"
    with pytest.raises(CommandError, match=rf"did you mean transformers:{last}\?"):
        load_detector(choice(f"transformers:{tmp_path}"))
    load_detector(choice(f"transformers:{last}"))
    errors = capsys.readouterr().err
    assert "and are random, such as bbox_predictor.layers.0.bias" in errors
    assert "the model does not know its class names" in errors


def test_a_zero_shot_folder_needs_a_text(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("transformers")
    from detectors import prompts_families as families

    from captum_ssgc.cli import main

    processor, model = families.processor_and_model("owlv2")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    name = f"transformers:{tmp_path}"
    detector = load_detector(choice(name, text=families.PHRASES))
    assert detector.label_names == tuple(families.PHRASES)
    assert len(detector.detect(PIXELS)[0]) > 0
    with pytest.raises(CommandError, match=r"owlv2 looks for what --text says"):
        load_detector(choice(name))
    with pytest.raises(CommandError, match=r"--text does not apply to demo"):
        load_detector(choice("demo", text=["cat"]))
    photo = tmp_path / "photo.png"
    torchvision.utils.save_image(PIXELS, photo)
    command = ["explain", str(photo), "--model", name, "-o", str(tmp_path / "out"), "--top-k", "2"]
    texts = ["--text", "A cat, dog", "--text", "red remote", "--score-threshold", "0"]
    assert main([*command, *texts, "--device", "cpu"]) == 0
    assert "red remote" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["explain", "evaluate", "benchmark", "audit"])
def test_every_command_takes_phrases(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from captum_ssgc.cli import data_runs, each_image, main

    seen = []

    def load(choice: ModelChoice) -> None:
        seen.append(choice.text)
        raise CommandError("enough")

    for module in (data_runs, each_image):
        monkeypatch.setattr(module, "load_detector", load)
    images = [__file__] if command in ("explain", "evaluate") else ["--data", "synthetic:1"]
    texts = ["--text", "a cat, dog", "--text", "remote"]
    assert main([command, *images, *texts, "--model", "transformers:folder"]) == 2
    assert seen == [["a cat", "dog", "remote"]]


def test_a_folder_of_transformers_executes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither code beside the weights, even if ``yes`` answers all questions, nor pickles."""
    pytest.importorskip("transformers")
    monkeypatch.setattr("builtins.input", lambda *_: "yes")
    config = {"model_type": "own", "auto_map": {
        "AutoConfig": "own.Own", "AutoModelForObjectDetection": "own.Own"}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Own: pass")
    with pytest.raises(CommandError, match="trust_remote_code"):
        load_detector(choice(f"transformers:{tmp_path}"))

    class Pickled:
        def __reduce__(self) -> tuple[Any, tuple[str, str]]:
            return open, (str(tmp_path / "executed"), "w")

    kind = "yolos" if processor_on_tensors("YolosImageProcessor") else "rt_detr"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    torch.save({"weights": Pickled()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CommandError, match=r"hold Python objects, which are not|Unable to load"):
        load_detector(choice(f"transformers:{tmp_path}"))
    assert not (tmp_path / "executed").exists()


def test_ultralytics_files(tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    torch.manual_seed(0)
    path = tmp_path / "tiny.pt"
    ultralytics.YOLO("yolo11n.yaml").save(path)
    detector = load_detector(choice(f"ultralytics:{path}"))
    assert len(detector.detect(PIXELS)[0]) > 0
    path.write_bytes(b"cut")
    with pytest.raises(CommandError, match=r"tiny\.pt"):
        load_detector(choice(f"ultralytics:{path}"))
