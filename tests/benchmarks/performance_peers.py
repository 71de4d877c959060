"""What one would take instead of this package, on the same detector: see measure_performance.py.

Needs the extra ``[compare]``; a package that is not installed is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice

import numpy as np
import torch
import torchvision
from captum.attr import LayerAttribution, LayerGradCam
from performance_cases import DETECTIONS
from torch import Tensor, nn

import captum_ssgc as ssgc

FIVE = ["grad-cam", "grad-cam++", "odam", "ssgrad-cam", "ssgrad-cam++"]
SIZE = (320, 416)
MASKS = 20
AT_ONCE = 4  # masked images in one forward
Runs = dict[str, Callable[[], object]]


def faster_rcnn(device: torch.device) -> tuple[nn.Module, Tensor]:
    """Random weights, which give as many detections as there are to be."""
    torch.manual_seed(0)
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=21,
        min_size=min(SIZE),
        max_size=max(SIZE),
        box_score_thresh=0.0,
        box_detections_per_img=DETECTIONS,
    )
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.normal_(0.0, 0.05)
    return model.eval().to(device), torch.rand(1, 3, *SIZE).to(device)


def gradient_runs(model: nn.Module, image: Tensor) -> Runs:
    """Heat maps of all detections, each the way that its package means it."""
    detector = ssgc.wrap_detector(model)
    runs: Runs = {
        "explain, SSGrad-CAM++, all detections": lambda: ssgc.explain(
            detector, image, score_threshold=0.0
        ),
        "explain, all five gradient methods": lambda: ssgc.explain(
            detector, image, FIVE, score_threshold=0.0
        ),
        "Captum LayerGradCam on our wrapper, one by one": _captum(detector, image),
    }
    if _installed("pytorch_grad_cam"):
        runs["pytorch-grad-cam GradCAM, one by one"] = _grad_cam(detector, image)
    return runs


def mask_runs(model: nn.Module, image: Tensor) -> Runs:
    """D-RISE with as many masks, as many at once."""
    detector = ssgc.wrap_detector(model)
    drise = ssgc.DRISE(ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0]))
    runs: Runs = {
        f"D-RISE, {MASKS} masks": lambda: drise.attribute_instances(
            image, n_masks=MASKS, perturbations_per_eval=AT_ONCE
        )
    }
    if _installed("xaitk_saliency") and _installed("smqtk_detection"):
        runs[f"xaitk-saliency DRISEStack, {MASKS} masks"] = _xaitk(detector, image)
    return runs


def _installed(package: str) -> bool:
    found = find_spec(package) is not None
    if not found:
        print(f"{package} is left out: pip install 'captum-ssgc[compare]'", flush=True)
    return found


def _captum(detector: ssgc.Detector, image: Tensor) -> Callable[[], object]:
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    levels = detector.level_layers()

    def run() -> object:
        maps = []
        for target in range(len(detections)):
            cam = LayerGradCam(wrapper, levels[int(detections.levels[target])])
            with torch.enable_grad():
                grid = cam.attribute(image, target=target)
            maps.append(LayerAttribution.interpolate(grid, SIZE, "bilinear"))
        return maps

    return run


def _grad_cam(detector: ssgc.Detector, image: Tensor) -> Callable[[], object]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import FasterRCNNBoxScoreTarget

    model, detections = detector.model, detector.detect(image)[0].to(torch.device("cpu"))

    def run() -> object:
        maps = []
        cam = GradCAM(model, [model.backbone.body.layer4])
        for target in range(len(detections)):
            wanted = FasterRCNNBoxScoreTarget(
                labels=[int(detections.labels[target])],
                bounding_boxes=[detections.boxes[target].numpy()],
            )
            with torch.enable_grad():
                maps.append(cam(image, targets=[wanted]))
        cam.activations_and_grads.release()
        return maps

    return run


def _xaitk(detector: ssgc.Detector, image: Tensor) -> Callable[[], object]:
    from smqtk_detection import DetectImageObjects
    from smqtk_image_io import AxisAlignedBoundingBox
    from xaitk_saliency.impls.gen_object_detector_blackbox_sal.drise import DRISEStack

    detections = detector.detect(image)[0].to(torch.device("cpu"))
    pixels = (image[0] * 255).byte().permute(1, 2, 0).cpu().numpy()

    class Blackbox(DetectImageObjects):
        def detect_objects(self, img_iter):
            pictures = iter(img_iter)
            while several := list(islice(pictures, AT_ONCE)):
                stack = torch.from_numpy(np.stack(several)).permute(0, 3, 1, 2)
                for found in detector.detect(stack.to(image) / 255):
                    pairs = zip(found.boxes.tolist(), found.class_scores.tolist(), strict=True)
                    yield [
                        (AxisAlignedBoundingBox(box[:2], box[2:]), dict(enumerate(scores)))
                        for box, scores in pairs
                    ]

        def get_config(self):
            return {}

    def run() -> object:
        stack = DRISEStack(MASKS, 16, 0.5, seed=0, threads=1)
        return stack.generate(
            pixels, detections.boxes.numpy(), detections.class_scores.numpy(), Blackbox()
        )

    return run
