"""ONNX's Resize: one axis after the other, at the places that the specification names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from captum_ssgc.detectors.onnx_arithmetic import Axes, integers


def resize(
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Axes = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str | None = None,
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str | None = None,
    opset: int,
) -> Tensor:
    """``Resize`` of opset 10 and later; antialiasing and cropping are not converted."""
    if opset < 11:  # there the second input holds the scales
        return upsample(x, roi, mode=mode)
    if antialias or exclude_outside or keep_aspect_ratio_policy != "stretch":
        raise NotImplementedError("Resize with antialias, exclude_outside or an aspect policy")
    chosen = list(axes or range(x.dim()))
    wanted = integers(sizes)
    given = [] if scales is None else [float(one) for one in scales.tolist()]
    transform = coordinate_transformation_mode or "half_pixel"
    for place, axis in enumerate(chosen):
        size = x.shape[axis]
        scale = wanted[place] / size if wanted else given[place]
        length = wanted[place] if wanted else int(size * scale)
        if length == size and scale == 1.0:
            continue
        rounding = nearest_mode or "round_prefer_floor"
        taps = _taps(
            length, size, scale, transform, mode, rounding, cubic_coeff_a, x.dtype, x.device
        )
        shape = [-1 if one == axis % x.dim() else 1 for one in range(x.dim())]
        parts = [
            part if weight is None else part * weight.reshape(shape)
            for part, weight in ((x.index_select(axis, cells), weight) for cells, weight in taps)
        ]
        x = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
    return x


def upsample(
    x: Tensor, scales: Tensor | Sequence[float] | None, *, mode: str = "nearest"
) -> Tensor:
    """``Upsample``, and ``Resize`` of opset 10: without half pixels, rounded down."""
    return resize(
        x,
        None,
        torch.as_tensor(scales, device="cpu"),
        mode=mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        opset=11,
    )


def _points(length: int, size: int, scale: float, transform: str) -> Tensor:
    """Where the entries of the result lie on the input, ``(length,)``, in its cells."""
    index = torch.arange(length, dtype=torch.float64, device="cpu")
    if transform == "asymmetric":
        return index / scale
    if transform == "align_corners":
        return index * ((size - 1) / max(length - 1, 1))
    if transform == "tf_half_pixel_for_nn":
        return (index + 0.5) / scale
    if transform == "pytorch_half_pixel" and length == 1:
        return index
    points = (index + 0.5) / scale - 0.5
    if transform == "half_pixel_symmetric":
        return points + size / 2 * (1 - length / (size * scale))
    if transform in ("half_pixel", "pytorch_half_pixel"):
        return points
    raise NotImplementedError(f"Resize with {transform!r}")


@lru_cache(maxsize=256)  # so that a device is not sent them at every use
def _taps(
    length: int, size: int, scale: float, transform: str, mode: str, rounding: str, a: float,
    dtype: torch.dtype, device: torch.device,
) -> list[tuple[Tensor, Tensor | None]]:  # fmt: skip
    """What the result is the sum of: cells of the input and their weights, ``(length,)`` each."""
    with torch.inference_mode(False):  # what is remembered must serve later gradients, too
        points, last = _points(length, size, scale, transform), size - 1
        if mode == "nearest":
            nearest = {
                "floor": points.floor(),
                "ceil": points.ceil(),
                "round_prefer_floor": (points - 0.5).ceil(),
                "round_prefer_ceil": (points + 0.5).floor(),
            }[rounding]
            return [(nearest.long().clamp(0, last).to(device), None)]
        if mode == "linear":
            points = points.clamp(0, last)
        base = points.floor()
        t = points - base
        if mode == "linear":
            weights = {0: 1 - t, 1: t}
        else:
            near, far = (
                (lambda s: ((a + 2) * s - (a + 3)) * s * s + 1),
                (lambda s: ((a * s - 5 * a) * s + 8 * a) * s - 4 * a),
            )
            weights = {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}
        return [
            ((base.long() + step).clamp(0, last).to(device), weight.to(dtype).to(device))
            for step, weight in weights.items()
        ]
