"""From an image to one heat map per detection, in one call and one forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc.attr._gradients import capturing, gradients_of
from captum_ssgc.attr._layer_cam import MapOptions, layer_map, on_grid, warn_if_empty
from captum_ssgc.attr._masks import Mask
from captum_ssgc.attr._registry import method_named
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, Output, check_output
from captum_ssgc.detectors import wrap_detector
from captum_ssgc.images import ImageSource, load_image


class NoDetectionError(ValueError):
    """Nothing was detected above the threshold; ``highest_score`` is the best there was."""

    def __init__(self, message: str, highest_score: float | None) -> None:
        super().__init__(message)
        self.highest_score = highest_score


@dataclass(frozen=True, eq=False)
class Explanation:
    """One detection and the pixels that caused it.

    Args:
        index: of the detection, in the detector's own order.
        label: class name, or the class index as text where names are not known.
        label_index: class index.
        score: as the detector reports it, in [0, 1].
        box: ``(4,)`` x1, y1, x2, y2 in pixels of the original image.
        heat_map: ``(H, W)`` at image size, >= 0, not normalised.
        method: name of the attribution method.
        layer: name of the attributed layer.
    """

    index: int
    label: str
    label_index: int
    score: float
    box: Tensor
    heat_map: Tensor
    method: str
    layer: str

    def energy_in_box(self) -> float:
        """Share of the heat map's energy inside the box, in [0, 1]; 0 for an all-zero map."""
        total = float(self.heat_map.sum())
        if total == 0.0:
            return 0.0
        height, width = self.heat_map.shape
        x1, y1, x2, y2 = self.box.round().long().tolist()
        inside = self.heat_map[max(y1, 0) : min(y2, height), max(x1, 0) : min(x2, width)]
        return float(inside.sum()) / total


def explain(
    model: Any,
    image: ImageSource,
    method: str | Sequence[str] = "ssgrad-cam++",
    *,
    layer: nn.Module | str | Sequence[nn.Module | str] | None = None,
    score_threshold: float = 0.5,
    top_k: int | None = None,
    output: Output = "score",
    mask: Mask = "region",
) -> list[Explanation]:
    """Every detection of an image with its heat map, from one forward of the model.

    Args:
        model: a detection model (see :func:`captum_ssgc.wrap_detector`) or a
            :class:`captum_ssgc.Detector`.
        image: a path, Pillow image, uint8 array ``(H, W, 3)``, or float tensor ``(3, H, W)`` or
            ``(1, 3, H, W)`` in [0, 1].
        method: name of a method, or several (see :data:`captum_ssgc.attr.METHODS`).
        layer: a module or its name; several are joined by their maximum in image pixels. ``None``:
            the detector's recommended layer for each detection.
        score_threshold: detections below it are left out.
        top_k: the most detections, best first; ``None`` for all.
        output: what is explained, see :class:`captum_ssgc.InstanceScoreWrapper`.
        mask: as in :meth:`captum_ssgc.SSGradCAMPlusPlus.attribute`, for methods that use one.

    Returns:
        One :class:`Explanation` per detection and method, best detection first.

    Raises:
        NoDetectionError: if no detection reaches ``score_threshold``; says the highest score.
        ValueError, TypeError, FileNotFoundError: for a bad image, model, layer or option.

    Example:
        >>> import torch, torchvision, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> model = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        ...     weights=None, weights_backbone=None, box_score_thresh=0.0).eval()
        >>> found = ssgc.explain(model, torch.rand(3, 64, 96), score_threshold=0.0, top_k=2)
        >>> len(found), found[0].heat_map.shape
        (2, torch.Size([64, 96]))
    """
    check_output(output)
    names = [method] if isinstance(method, str) else list(method)
    methods = [method_named(name) for name in names]
    detector = wrap_detector(model)
    device = next((p.device for p in detector.model.parameters()), torch.device("cpu"))
    images = load_image(image).to(device)
    chosen_layers, by_level = _layers(detector, layer)
    advice = _advice(detector)
    explanations: list[Explanation] = []
    with capturing(detector.model, chosen_layers) as capture:
        raw = detector.run(images)
        found = detector.select(raw)[0]
        order = _choose(found, score_threshold, top_k)
        detections = found[order]
        values = detector.values(raw, [detections], output)[0]
        tensors = capture.tensors(detector.layer_name, advice)
        geometry = detector.geometry((images.shape[-2], images.shape[-1]))
        for row, index in enumerate(order):
            instance = detections[row]
            layers, used = chosen_layers, tensors
            if by_level is not None:
                place = by_level[int(instance.levels)]
                layers, used = [chosen_layers[place]], [tensors[place]]
            gradients = gradients_of(values[row], used, {"retain_graph": True})
            if all(gradient is None for gradient in gradients):
                name = detector.layer_name(layers[0])
                raise ValueError(
                    f"layer {name!r} is not on the path to the score; {_advice(detector)}"
                )
            for entry in methods:
                options = MapOptions(mask=mask if entry.uses_mask else None)
                maps: list[Tensor] = []
                for one_layer, tensor, gradient in zip(layers, used, gradients, strict=True):
                    slope = torch.zeros_like(tensor) if gradient is None else gradient
                    name = detector.layer_name(one_layer)
                    one = layer_map(
                        entry.maps,
                        options,
                        on_grid(tensor.detach(), 1, name, advice),
                        on_grid(slope, 1, name, advice),
                        lambda: geometry,
                        [instance],
                    )
                    maps.append(geometry.grid_to_image(one))
                warn_if_empty(maps, values[row : row + 1].detach())
                explanations.append(
                    Explanation(
                        index=index,
                        label=detector.label_name(int(instance.labels)),
                        label_index=int(instance.labels),
                        score=float(instance.scores),
                        box=instance.boxes[0],
                        heat_map=torch.stack(maps).amax(0)[0, 0],
                        method=entry.name,
                        layer=", ".join(detector.layer_name(one) for one in layers),
                    )
                )
    return explanations


def _choose(found: Detections, score_threshold: float, top_k: int | None) -> list[int]:
    order = found.scores.argsort(descending=True, stable=True)
    kept = [int(index) for index in order if float(found.scores[index]) >= score_threshold]
    if not kept:
        highest = float(found.scores.max()) if len(found) else None
        best = "nothing at all" if highest is None else f"the highest score is {highest:.3f}"
        raise NoDetectionError(
            f"no detection with a score of at least {score_threshold:g} ({best}); "
            "lower score_threshold, or check the image and the weights.",
            highest,
        )
    return kept[:top_k]


def _layers(
    detector: Detector, layer: nn.Module | str | Sequence[nn.Module | str] | None
) -> tuple[list[nn.Module], list[int] | None]:
    """The layers to record, and for each pyramid level the place of its own layer among them."""
    if layer is not None:
        wanted = [layer] if isinstance(layer, (nn.Module, str)) else list(layer)
        return [_module(detector, entry) for entry in wanted], None
    levels = detector.level_layers()
    if len(levels) < 2:
        layers = levels or list(detector.target_layers().values())[:1]
        if not layers:
            raise ValueError(
                "this detector has no recommended layer: pass layer=..., a module of its model."
            )
        return layers, None
    distinct = list(dict.fromkeys(levels))
    return distinct, [distinct.index(entry) for entry in levels]


def _module(detector: Detector, layer: nn.Module | str) -> nn.Module:
    modules = dict(detector.model.named_modules())
    if isinstance(layer, str):
        if layer not in modules or not layer:
            raise ValueError(f"the model has no layer {layer!r}; {_advice(detector)}")
        return modules[layer]
    if layer not in modules.values():
        raise ValueError(
            f"layer {type(layer).__name__} is no module of the model; {_advice(detector)}"
        )
    return layer


def _advice(detector: Detector) -> str:
    names = ", ".join(map(repr, detector.target_layers()))
    return f"use one of {names}." if names else "choose a layer that leads to the score."
