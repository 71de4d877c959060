"""TorchScript files: gradients of the pixels, but no layers."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detector import Detector
from captum_ssgc.detectors.black_box import WITHOUT_GRADIENTS, BlackBoxDetector
from captum_ssgc.detectors.candidates import CandidateDetector
from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.detectors.onnx_layouts import LAYOUTS, ORIENTED, canvas_options, layout_of
from captum_ssgc.detectors.onnx_outputs import Outputs
from captum_ssgc.detectors.onnx_proof import sample_picture
from captum_ssgc.detectors.onnx_reports import ReportReader
from captum_ssgc.detectors.torchscript_network import ScriptNetwork
from captum_ssgc.label_names import LabelNames, fit_label_names

_ULTRALYTICS = "config.txt"


def torchscript_detector(
    path: str | os.PathLike[str],
    size: tuple[int, int] | int | None = None,
    layout: str | None = None,
    boxes: str | None = None,
    scores: str | None = None,
    *,
    preprocess: Letterbox | None = None,
    label_names: LabelNames | None = None,
    **options: Any,
) -> Detector:
    """A detector from a TorchScript file, which runs one image after the other.

    Its layers cannot be read, so that of the methods D-RISE is left, beside those of Captum that
    only need the gradient of the pixels.

    Args:
        path: the file; load only what you trust.
        size: ``(H, W)`` of the canvas, or its side; ``None``: as Ultralytics wrote into the file.
        layout: as for :func:`captum_ssgc.detectors.onnx_detector`; so are the next two.
        boxes: how boxes are written.
        scores: what is still to be done to scores.
        preprocess: from images to the canvas; ``None``: as the layout's own tools do it.
        label_names: class names, indexed by label; ``None``: those in the file.
        **options: of :class:`captum_ssgc.detectors.CandidateDetector`, or of
            :class:`captum_ssgc.detectors.BlackBoxDetector` where the file reports detections.

    Returns:
        The detector. Its ``description`` says which layout was taken.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no TorchScript file, of no known layout, or its size is not known.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"TorchScript file {path} does not exist.")
    extra = {_ULTRALYTICS: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript as a whole
            script = torch.jit.load(str(path), "cpu", _extra_files=extra).eval()
    except RuntimeError as error:
        raise ValueError(f"{path} is not a TorchScript file: {str(error)[:200]}") from None
    own = json.loads(extra[_ULTRALYTICS] or "{}")
    wanted = size or own.get("imgsz")
    if wanted is None:
        raise ValueError(f"size: {path.name} does not say it; pass (H, W) of the canvas.")
    height, width = (wanted, wanted) if isinstance(wanted, int) else wanted
    if own.get("task") == "obb":
        layout = layout or ORIENTED
    names = own.get("names") if label_names is None else label_names
    network = ScriptNetwork(script).eval()
    with torch.no_grad():
        tensors = network(sample_picture((height, width)))
    named = _named(tensors)
    counted = own.get("names") or names  # the file's own cannot be wrong
    count = None if counted is None else len(fit_label_names(counted))
    outputs = Outputs(named, (height, width), count, boxes, scores)
    read = ReportReader((height, width), oriented=layout == ORIENTED)
    if layout in (None, ORIENTED) and read(named) is not None:
        reporting: Any = BlackBoxDetector(
            lambda canvas: [read(_named(network(one[None]))) for one in canvas],
            preprocess=preprocess or Letterbox((height, width), **canvas_options(None, own)),
            label_names=names,
            why=f"{path.name} reports detections only",
            **options,
        )
        reporting.model = network  # so that it is sent to a device
        reporting.description = f"detections: {outputs.described()}; {WITHOUT_GRADIENTS}"
        return reporting
    fitted = layout_of(outputs, layout)
    if fitted is None:
        raise ValueError(
            f"{path}: the outputs are {outputs.described()}, which is no known layout; choose with "
            f"layout= ({', '.join(LAYOUTS)}), boxes= and scores=, or pass your own decode to "
            "captum_ssgc.detectors.CandidateDetector."
        )
    detector: Any = CandidateDetector(
        network,
        fitted,
        preprocess=preprocess or Letterbox((height, width), **canvas_options(fitted, own)),
        multi_label=fitted.multi_label,
        label_names=names,
        **{"iou_threshold": fitted.iou_threshold, **options},
    )
    detector.fit_names(fitted(tensors).class_scores.shape[-1])
    detector.why_black_box = f"{path.name} is TorchScript, whose layers cannot be read"
    detector.description = (
        f"{fitted.name}: {fitted.title}: {outputs.described()}; canvas {detector.preprocess}; "
        f"{WITHOUT_GRADIENTS}"
    )
    wrapped: Detector = detector
    return wrapped


def _named(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"output {place}": one for place, one in enumerate(tensors)}
