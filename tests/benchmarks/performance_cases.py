"""The detectors of the performance page: each with an image and the vendor's own forward.

Random weights, but for the demo detector and YOLOX-nano, and as many detections as asked for.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc import demo
from captum_ssgc.detectors import onnx_detector

DETECTION = torchvision.models.detection
METHOD = "ssgrad-cam++"
DETECTIONS = 10  # where nothing else is said
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CAPTUM_SSGC_DATA", ROOT.parent / "shared" / "data"))
YOLOX_FILE = DATA / "yolox_nano_coco.onnx"
PHOTOS = DATA / "coco_val_50"
Size = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A detector, an image ``(1, 3, H, W)`` and the forward with post-processing as vendors do."""

    detector: ssgc.Detector
    image: Tensor
    plain: Callable[[], object]

    def explained(self, methods: str | list[str], count: int) -> Callable[[], object]:
        return lambda: ssgc.explain(
            self.detector, self.image, methods, score_threshold=0.0, top_k=count
        )


def of_torchvision(name: str, side: Size, count: int, device: torch.device) -> Case:
    two_stage = "rcnn" in name
    limits = {"box_score_thresh": 0.0} if two_stage else {"score_thresh": 0.0}
    limits["box_detections_per_img" if two_stage else "detections_per_img"] = count
    if two_stage:
        limits["box_nms_thresh"] = 0.9
    if not name.startswith("ssd"):
        limits |= {"min_size": min(side), "max_size": max(side)}
    torch.manual_seed(0)
    model = getattr(DETECTION, name)(weights=None, weights_backbone=None, **limits)
    model.eval().to(device)
    image = torch.rand(1, 3, *side).to(device)
    return Case(ssgc.wrap_detector(model), image, lambda: model(list(image)))


def of_ultralytics(name: str, side: Size, count: int, device: torch.device) -> Case:
    """Sides of other sizes than whole cells of the coarsest level are made larger."""
    from ultralytics import YOLO
    from ultralytics.utils.nms import non_max_suppression

    torch.manual_seed(0)
    model: Any = YOLO(f"{name}.yaml").model.eval().to(device)
    side = (-(-side[0] // 32) * 32, -(-side[1] // 32) * 32)
    image = torch.rand(1, 3, *side).to(device)
    detector = ssgc.wrap_detector(model, image_size=side, score_threshold=0.0, max_detections=count)
    return Case(
        detector, image, lambda: non_max_suppression(model(image)[0], 0.0, 0.7, max_det=count)
    )


def of_onnx(name: str, side: Size, count: int, device: torch.device) -> Case:
    """What Ultralytics exports, converted again; its own forward is that of the converted graph."""
    from ultralytics import YOLO

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = YOLO(f"{name}.yaml")
        model.model.pt_path = str(Path(folder) / "it.pt")
        path = model.export(format="onnx", imgsz=side, simplify=False, verbose=False)
        detector = onnx_detector(path, score_threshold=0.0, max_detections=count)
    detector.model.to(device)
    image = torch.rand(1, 3, *side).to(device)
    return Case(detector, image, lambda: detector.detect(image))


def of_yolox(name: str, side: Size, count: int, device: torch.device) -> Case:
    """A trained file, on a photo: in noise it sees nothing."""
    detector = onnx_detector(DATA / name, "yolox", score_threshold=0.0, max_detections=count)
    detector.model.to(device)
    photo = Image.open(min((PHOTOS / "images").iterdir())).convert("RGB").resize(side[::-1])
    image = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].to(device) / 255
    return Case(detector, image, lambda: detector.detect(image))


def of_transformers(name: str, side: Size, count: int, device: torch.device) -> Case:
    """A detector with an own ResNet, as vendors build it from its configuration."""
    import transformers

    torch.manual_seed(0)
    if name == "detr":
        config = transformers.DetrConfig(
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            backbone_config=transformers.ResNetConfig(out_features=["stage4"]),
        )
        model: Any = transformers.DetrForObjectDetection(config).eval()
        size = {"shortest_edge": min(side), "longest_edge": max(side)}
        processor: Any = transformers.DetrImageProcessor(size=size)
    else:
        backbone = transformers.RTDetrResNetConfig(
            depths=[2, 2, 2, 2],
            hidden_sizes=[64, 128, 256, 512],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        )
        config = transformers.RTDetrConfig(
            backbone_config=backbone, encoder_in_channels=[128, 256, 512], decoder_layers=3
        )
        model = transformers.RTDetrForObjectDetection(config).eval()
        processor = transformers.RTDetrImageProcessor(size=dict(zip(("height", "width"), side)))
    model.to(device)
    image = torch.rand(1, 3, *side).to(device)
    detector = ssgc.wrap_detector(model, processor=processor, score_threshold=0.0)

    def plain() -> object:
        sizes = torch.tensor([side])
        outputs = model(pixel_values=image)
        return processor.post_process_object_detection(outputs, 0.0, sizes)

    return Case(detector, image, plain)


def of_demo(name: str, side: Size, count: int, device: torch.device) -> Case:
    model = demo.detector().to(device)
    image = demo.scene(3).image[None].to(device)
    return Case(ssgc.wrap_detector(model), image, lambda: model(list(image)))


Maker = Callable[[str, Size, int, torch.device], Case]
ROWS: dict[str, tuple[Maker, str, Size]] = {
    "Faster R-CNN R50-FPN": (of_torchvision, "fasterrcnn_resnet50_fpn", (512, 512)),
    "Faster R-CNN MobileNet": (
        of_torchvision,
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        (320, 320),
    ),
    "the demo detector": (of_demo, "demo", (320, 400)),
    "RetinaNet R50-FPN": (of_torchvision, "retinanet_resnet50_fpn", (512, 512)),
    "RetinaNet R50-FPN v2": (of_torchvision, "retinanet_resnet50_fpn_v2", (512, 512)),
    "FCOS R50-FPN": (of_torchvision, "fcos_resnet50_fpn", (512, 512)),
    "SSD300": (of_torchvision, "ssd300_vgg16", (300, 300)),
    "DETR R50": (of_transformers, "detr", (512, 512)),
    "RT-DETR R18": (of_transformers, "rtdetr", (640, 640)),
    "YOLO11n": (of_ultralytics, "yolo11n", (640, 640)),
    "YOLO11s": (of_ultralytics, "yolo11s", (640, 640)),
    "YOLO11n as an ONNX file": (of_onnx, "yolo11n", (640, 640)),
}
HAS_DATA = YOLOX_FILE.exists() and (PHOTOS / "instances.json").exists()
if HAS_DATA:
    ROWS["YOLOX-nano as an ONNX file"] = (of_yolox, YOLOX_FILE.name, (416, 416))
GROWING = ("Faster R-CNN R50-FPN", "RetinaNet R50-FPN", "YOLO11n")
PERTURBED = ("Faster R-CNN MobileNet", "the demo detector", "YOLO11n")


def case_of(row: str, device: torch.device, count: int, side: Size | None = None) -> Case:
    """The detector of a row, at the size that the row names or at another one."""
    make, model, usual = ROWS[row]
    return make(model, side or usual, count, device)
