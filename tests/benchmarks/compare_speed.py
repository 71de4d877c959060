"""Seconds for one image, side by side in one process: this package and what one would pick instead.

    python tests/benchmarks/compare_speed.py [--repeats 5] [--detections 10] [--masks 100]

A Faster R-CNN (ResNet-50, FPN, random weights) at 320 x 416. Methods take turns, and ratios are
medians over the repeats. Needs the extra ``[compare]``.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
import torchvision
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor

import captum_ssgc as ssgc
from captum_ssgc.attr import DRISE


def build(count: int) -> tuple[torch.nn.Module, Tensor]:
    torch.manual_seed(0)
    model = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=21,
        min_size=320,
        max_size=416,
        box_score_thresh=0.0,
        box_detections_per_img=count,
    ).eval()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.normal_(0.0, 0.05)
    return model, torch.rand(1, 3, 320, 416)


def gradient_contestants(model: torch.nn.Module, image: Tensor) -> dict[str, Callable[[], object]]:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import FasterRCNNBoxScoreTarget

    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)
    levels = detector.level_layers()

    def ours() -> object:
        return ssgc.explain(detector, image, score_threshold=0.0)

    def all_gradient_methods() -> object:
        names = ["grad-cam", "grad-cam++", "odam", "ssgrad-cam", "ssgrad-cam++"]
        return ssgc.explain(detector, image, names, score_threshold=0.0)

    def captum() -> object:
        maps = []
        for target in range(len(detections)):
            cam = LayerGradCam(wrapper, levels[int(detections.levels[target])])
            grid = cam.attribute(image, target=target)
            maps.append(LayerAttribution.interpolate(grid, (320, 416), "bilinear"))
        return maps

    def grad_cam() -> object:
        maps = []
        cam = GradCAM(model, [model.backbone.body.layer4])
        for target in range(len(detections)):
            wanted = FasterRCNNBoxScoreTarget(
                labels=[int(detections.labels[target])],
                bounding_boxes=[detections.boxes[target].numpy()],
            )
            maps.append(cam(image, targets=[wanted]))
        cam.activations_and_grads.release()
        return maps

    def forward() -> object:
        with torch.no_grad():
            return model([image[0]])

    return {
        "explain, SSGrad-CAM++, all detections": ours,
        "explain, all five gradient methods": all_gradient_methods,
        "Captum LayerGradCam on our wrapper, one by one": captum,
        "pytorch-grad-cam GradCAM, one by one": grad_cam,
        "the model's own forward": forward,
    }


def mask_contestants(
    model: torch.nn.Module, image: Tensor, masks: int
) -> dict[str, Callable[[], object]]:
    from smqtk_detection import DetectImageObjects
    from smqtk_image_io import AxisAlignedBoundingBox
    from xaitk_saliency.impls.gen_object_detector_blackbox_sal.drise import DRISEStack

    detector = ssgc.wrap_detector(model)
    detections = detector.detect(image)[0]
    wrapper = ssgc.InstanceScoreWrapper(detector, detections)

    class Blackbox(DetectImageObjects):
        def detect_objects(self, img_iter):
            for picture in img_iter:
                tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
                found = detector.detect(tensor)[0]
                yield [
                    (
                        AxisAlignedBoundingBox(box[:2], box[2:]),
                        dict(enumerate(scores)),
                    )
                    for box, scores in zip(
                        found.boxes.tolist(), found.class_scores.tolist(), strict=True
                    )
                ]

        def get_config(self):
            return {}

    picture = (image[0] * 255).byte().permute(1, 2, 0).numpy()

    def ours() -> object:
        return DRISE(wrapper).attribute_instances(image, n_masks=masks, perturbations_per_eval=4)

    def xaitk() -> object:
        stack = DRISEStack(masks, 16, 0.5, seed=0, threads=1)
        return stack.generate(
            picture,
            np.asarray(detections.boxes),
            np.asarray(detections.class_scores),
            Blackbox(),
        )

    return {f"D-RISE, {masks} masks": ours, f"xaitk DRISEStack, {masks} masks": xaitk}


def race(contestants: dict[str, Callable[[], object]], repeats: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    names = list(contestants)
    for name in names:
        ratios = [a / b for a, b in zip(seconds[name], seconds[names[0]], strict=True)]
        print(f"{name:50} {statistics.median(ratios):7.2f} times the first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--detections", type=int, default=10)
    parser.add_argument("--masks", type=int, default=100)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model, image = build(options.detections)
    race(gradient_contestants(model, image), options.repeats)
    race(mask_contestants(model, image, options.masks), options.repeats)


if __name__ == "__main__":
    main()
