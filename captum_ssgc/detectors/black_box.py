"""Detectors that can only be run: functions, services, exported files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from captum_ssgc._similarity import overlaps
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, Output, logit_of_probability
from captum_ssgc.detectors._candidates import check_boxes
from captum_ssgc.detectors._reports import report_of, reports_of
from captum_ssgc.detectors._rows import MOST_CANDIDATES
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames

SAME_OBJECT = 0.5
MOST_CLASSES = 1000
WITHOUT_GRADIENTS = "only methods that need no gradient explain it"


@dataclass(frozen=True)
class BlackBoxOutput:
    """What a black box reported for a batch."""

    found: list[Detections]
    geometry: ImageGeometry


class BlackBoxDetector(Detector):
    """A detector of which only the reports are known: no layers, no gradients, no candidates.

    D-RISE explains it, and every metric that only runs the detector measures it. A detection is
    found again on another image as the reported box of the same label that overlaps most, with an
    IoU of at least 0.5; its score is 0 where there is none.

    Args:
        function: images to their detections: boxes ``(K, 4)`` xyxy in pixels of what it is given,
            scores ``(K,)`` in [0, 1] or of all classes ``(K, C)``, labels ``(K,)`` (``None`` with
            the scores of all classes); tensors, arrays or lists, or a dict with these names; ``[]``
            where there is nothing. Labels may be names of ``label_names``.
        takes: ``"batch"``: the function is given ``(N, 3, H, W)`` float in [0, 1] and returns a
            list of N such reports, or one tuple of tensors with N in front; ``"array"``: one uint8
            array ``(H, W, 3)`` RGB at a time, and returns one report.
        preprocess: images to ``(canvas, ImageGeometry)``, such as
            :class:`captum_ssgc.detectors.Letterbox`, where the function is given a canvas.
        batch_size: the most images in one call; ``None`` for as many as there are.
        score_threshold: reports below it are left out of ``detect``.
        class_count: how many labels there are at most; ``None``: as many as names, else 1000.
        label_names: class names, indexed by label: a list, a dictionary or a file.
        why: why no gradient passes, for error messages.

    Raises:
        TypeError: if ``function`` cannot be called.
        ValueError: for another value of ``takes``.

    Notes:
        Of a report with one score, ``class_scores`` holds that score, zeros, and in a column more
        what is left to 1, so that the cosine of D-RISE and s2 sees a score that falls.

    Example:
        >>> import numpy as np, torch, captum_ssgc as ssgc
        >>> def service(image):   # (H, W, 3) uint8 in; boxes, scores, labels out
        ...     return [[0, 0, 4, 4]], [float(image[:4, :4].mean()) / 255], [1]
        >>> detector = ssgc.detectors.BlackBoxDetector(service, takes="array")
        >>> detector.detect(torch.ones(1, 3, 8, 8))[0].scores
        tensor([1.])
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        takes: Literal["batch", "array"] = "batch",
        preprocess: Callable[[Tensor], tuple[Tensor, ImageGeometry]] | None = None,
        batch_size: int | None = None,
        score_threshold: float = 0.05,
        class_count: int | None = None,
        label_names: LabelNames | None = None,
        why: str = "only the reports of this detector are known",
    ) -> None:
        if not callable(function):
            raise TypeError(f"function: expected a callable, got {type(function).__name__}.")
        if takes not in ("batch", "array"):
            raise ValueError(f"takes: expected 'batch' or 'array', got {takes!r}.")
        super().__init__(nn.Module().eval(), label_names)
        self.function, self.takes, self.preprocess = function, takes, preprocess
        self.batch_size, self.score_threshold = batch_size, score_threshold
        self.class_count = class_count or len(self.label_names or ()) or MOST_CLASSES
        self.why_black_box = why

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> BlackBoxOutput:
        with torch.no_grad():
            images = images.detach()
            canvas = images.clone()  # functions of the user may write to what they are given
            geometry = ImageGeometry.identity((images.shape[-2], images.shape[-1]))
            if self.preprocess is not None:
                canvas, geometry = self.preprocess(canvas)
            parts = canvas.split(self.batch_size or max(len(canvas), 1))
            # Each is read before the next call, which may answer in the same memory.
            found = [
                self._detections(report, geometry, images)
                for part in parts
                for report in self._reports(part)
            ]
            return BlackBoxOutput(found, geometry)

    def run_from(
        self, raw: BlackBoxOutput, images: Tensor, detections: Sequence[Detections]
    ) -> BlackBoxOutput:
        return raw

    def select(self, raw: BlackBoxOutput) -> list[Detections]:
        found = [one.above(self.score_threshold) for one in raw.found]
        for one in found:
            on_canvas = raw.geometry.boxes_to_canvas(one.boxes)
            check_boxes(on_canvas, one.boxes, raw.geometry.canvas_size, one)
        return found

    def candidates_above(self, raw: BlackBoxOutput, score_threshold: float) -> list[Detections]:
        found = []
        for one in raw.found:
            best = one.scores.sort(descending=True, stable=True).indices[:MOST_CANDIDATES]
            best = best[one.scores[best] > score_threshold]
            found.append(one[best])
        return found

    def values(
        self, raw: BlackBoxOutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        if output not in ("score", "logit"):
            raise ValueError(
                f"output={output!r}: a black box has no candidate whose box could be followed, nor "
                "gradients; expected 'score' or 'logit'."
            )
        values = []
        for found, chosen in zip(raw.found, detections, strict=True):
            score = _same_objects(found, chosen)
            values.append(score if output == "score" else logit_of_probability(score))
        return values

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        if self.preprocess is None:
            return ImageGeometry.identity(image_size)
        return self.preprocess(
            torch.zeros(1, self.channels, *image_size, device="cpu", dtype=torch.float32)
        )[1]

    def target_layers(self) -> dict[str, nn.Module]:
        return {}

    def _reports(self, canvas: Tensor) -> Iterator[Any]:
        if self.takes != "array":
            yield from reports_of(self.function(canvas), len(canvas))
            return
        pixels = (canvas.clamp(0.0, 1.0) * 255.0).round().byte().permute(0, 2, 3, 1)
        for one in pixels:
            yield self.function(np.ascontiguousarray(one.cpu().numpy()))

    def _detections(self, report: Any, geometry: ImageGeometry, images: Tensor) -> Detections:
        boxes, scores, labels = report_of(report, self.label_names, images.device)
        classes = scores.shape[1] if scores.dim() == 2 else self.class_count
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"labels: expected 0 to {classes - 1}, got {int(labels.min())} to "
                f"{int(labels.max())}; pass class_count=..."
            )
        if scores.dim() == 2:
            class_scores, scores = scores, scores.gather(1, labels[:, None])[:, 0]
        else:
            own = F.one_hot(labels, classes) * scores[:, None]
            class_scores = torch.cat([own, 1.0 - scores[:, None]], 1)
        boxes = clip_boxes_to_image(geometry.boxes_to_image(boxes), geometry.image_size)
        return Detections(
            boxes=boxes,
            labels=labels,
            scores=scores,
            candidates=torch.arange(len(boxes), device=boxes.device),
            regions=boxes,
            levels=torch.zeros_like(labels),
            class_scores=class_scores,
            image_size=geometry.image_size,
        )


def _same_objects(found: Detections, chosen: Detections) -> Tensor:
    """The score of each chosen detection in ``found``, ``(K,)``; 0 where it is not there."""
    if not len(found):
        return found.scores.new_zeros(len(chosen))
    same = chosen.labels.to(found.labels)[:, None] == found.labels
    iou = overlaps(chosen, found) * same
    best, place = iou.max(1)
    return torch.where(best >= SAME_OBJECT, found.scores[place], 0.0)
