"""Heat maps the plain way: one backward through the whole network for each, on the whole grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._norm_gradients import sound_norm_gradients
from captum_ssgc.attr import METHODS, LayerMethod, Layers, recording
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector


def recorded(detector: Detector, images: Tensor, found: Detections, output: str):
    """Leaves at the recommended layers, by module, and the values with graph."""
    layers = list(dict.fromkeys(layer_of(detector, found, row) for row in range(len(found))))
    leaves: dict[Any, Tensor] = {}

    def cut(module, args, output):
        leaves[module] = output.detach().requires_grad_()
        return leaves[module].clone()

    handles = [layer.register_forward_hook(cut, prepend=True) for layer in layers]
    wanted = [p for p in detector.model.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        with sound_norm_gradients(detector.model):
            raw = detector.run(images)
        return leaves, detector.values(raw, [found], output)[0]
    finally:
        for handle in handles:
            handle.remove()
        for parameter in wanted:
            parameter.requires_grad_(True)


def layer_of(detector: Detector, found: Detections, row: int):
    return detector.layer_for(found, row)


def assert_maps_are_plain(
    detector: Detector,
    image: Tensor,
    found: Detections,
    named: Sequence[tuple[str, dict[str, Any]]],
    output: str = "score",
) -> None:
    """What a recording makes by its short cuts is what the plain way makes, for methods by name."""
    classes = [(METHODS[name], options) for name, options in named]
    expected = plain_heat_maps(detector, image, found, classes, output)
    requests = [method.request(options, output) for method, options in classes]
    with recording(detector, Layers.of_detector(detector), image) as run:
        made = run.heat_maps(requests, found)
    for plain, ours in zip(expected, made, strict=True):
        for (one, scale), mine in zip(plain, ours.heat_maps(), strict=True):
            torch.testing.assert_close(mine, one, rtol=0.0, atol=1e-5 * scale + 1e-30)


def plain_heat_maps(
    detector: Detector,
    images: Tensor,
    found: Detections,
    requests: list[tuple[type[LayerMethod], dict[str, Any]]],
    output: str = "score",
) -> list[list[tuple[Tensor, float]]]:
    """For each request and detection the map ``(H, W)``, and the size of what it is the sum of."""
    size = (images.shape[-2], images.shape[-1])
    geometry = detector.geometry(size)
    leaves, values = recorded(detector, images, found, output)
    made: list[list[tuple[Tensor, float]]] = [[] for _ in requests]
    for row, value in enumerate(values):
        layer = layer_of(detector, found, row)
        (gradient,) = torch.autograd.grad(value, leaves[layer], retain_graph=True)
        reshape = detector.reshape_transform_for(layer, size) or (lambda tensor: tensor)
        activations, slope = reshape(leaves[layer].detach()), reshape(gradient)
        cells = detector.cell_grid(layer, size, tuple(activations.shape[-2:]))
        mask = geometry.boxes_to_grid(found.regions[row : row + 1], cells)
        for (method, options), own in zip(requests, made):
            further = dict(options)
            if "mask" in method.option_names():
                further.setdefault("mask", mask)
            contributions = method.maps(activations, slope, **further)
            summed = contributions.sum(1, keepdim=True).clamp(min=0.0)
            formula = method.request(options, output).formula
            summed = formula.finished(summed, further.get("mask"))
            scale = float(contributions.abs().sum(1).amax())
            own.append((geometry.grid_to_image(summed, cells=cells)[0, 0], scale))
    return made
