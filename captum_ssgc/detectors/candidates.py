"""Your own detector: anything that returns candidate boxes and class scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, Detector, Output, logit_of_probability
from captum_ssgc.detectors._rows import ChosenRows, rows_above
from captum_ssgc.geometry import ImageGeometry


@dataclass(frozen=True)
class Candidates:
    """All candidates of a batch, before non-maximum suppression.

    Args:
        boxes: ``(N, R, 4)`` xyxy in pixels of the canvas (the network's input).
        class_scores: ``(N, R, C)`` in [0, 1]; column ``c`` is label ``c``.
        class_logits: ``(N, R, C)`` before softmax or sigmoid, where the model has them.
        regions: ``(R, 4)`` or ``(N, R, 4)`` xyxy on the canvas, the anchors; ``None`` where there
            are none, then a candidate's region is its box.
        levels: ``(R,)`` int64 pyramid level of each candidate; ``None`` for a single level.
    """

    boxes: Tensor
    class_scores: Tensor
    class_logits: Tensor | None = None
    regions: Tensor | None = None
    levels: Tensor | None = None

    def __post_init__(self) -> None:
        boxes, scores = self.boxes, self.class_scores
        if boxes.dim() != 3 or boxes.shape[-1] != 4:
            raise ValueError(f"boxes: expected shape (N, R, 4), got {tuple(boxes.shape)}.")
        if scores.dim() != 3 or scores.shape[:2] != boxes.shape[:2]:
            expected = (*boxes.shape[:2], "C")
            raise ValueError(f"class_scores: expected shape {expected}, got {tuple(scores.shape)}.")
        if self.class_logits is not None and self.class_logits.shape != scores.shape:
            raise ValueError(
                f"class_logits: expected shape {tuple(scores.shape)}, as class_scores, "
                f"got {tuple(self.class_logits.shape)}."
            )
        if self.regions is not None and self.regions.shape[-2:] != boxes.shape[1:]:
            raise ValueError(
                f"regions: expected ({boxes.shape[1]}, 4), got {tuple(self.regions.shape)}."
            )
        if self.levels is not None and self.levels.shape != boxes.shape[1:2]:
            raise ValueError(
                f"levels: expected ({boxes.shape[1]},), got {tuple(self.levels.shape)}."
            )


@dataclass(frozen=True)
class CandidateOutput:
    """One forward of a :class:`CandidateDetector`."""

    candidates: Candidates
    geometry: ImageGeometry


class CandidateDetector(Detector):
    """A detector made of a network and a few functions of yours.

    Args:
        network: a module or function, canvas ``(N, 3, h, w)`` to anything that ``decode`` reads.
        decode: what ``network`` returns to :class:`Candidates` (or to a tuple
            ``(boxes, class_scores)``); ``None`` where it already returns one of these.
        preprocess: RGB images ``(N, 3, H, W)`` in [0, 1] to ``(canvas, ImageGeometry)``, such as
            :class:`captum_ssgc.detectors.Letterbox`; differentiable. ``None``: the image as it is.
        model: the module that holds the layers, where ``network`` is a function around it.
        score_threshold: candidates below it are not reported.
        iou_threshold: of the class-wise non-maximum suppression.
        max_detections: the most detections reported for an image.
        multi_label: report every class of a candidate above the threshold, not only its best.
        level_layers: one layer (module or name) per pyramid level, in the order of ``levels``; a
            single one where the detector has no levels.
        target_layers: further layers (names) to recommend.
        label_names: class names, indexed by label.

    Raises:
        ValueError: for a layer name that the model does not have.
        TypeError: if ``network`` cannot be called.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> from captum_ssgc.detectors import CandidateDetector
        >>> def network(canvas):   # one candidate, the whole image, scored by its brightness
        ...     height, width = canvas.shape[-2:]
        ...     boxes = torch.tensor([[[0.0, 0.0, width, height]]]).expand(len(canvas), 1, 4)
        ...     return boxes, canvas.mean((1, 2, 3)).reshape(-1, 1, 1)
        >>> detector = CandidateDetector(network)
        >>> detector.detect(torch.full((1, 3, 6, 8), 0.75))[0].scores
        tensor([0.7500])
    """

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        decode: Callable[[Any], Candidates | tuple[Tensor, Tensor]] | None = None,
        *,
        preprocess: Callable[[Tensor], tuple[Tensor, ImageGeometry]] | None = None,
        model: nn.Module | None = None,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        multi_label: bool = False,
        level_layers: Sequence[nn.Module | str] = (),
        target_layers: Sequence[str] = (),
        label_names: Sequence[str] | None = None,
    ) -> None:
        if not callable(network):
            raise TypeError(
                f"network: expected a module or function, got {type(network).__name__}."
            )
        if model is None:
            model = network if isinstance(network, nn.Module) else nn.Module().eval()
        super().__init__(model, label_names)
        self.network, self.decode, self.preprocess = network, decode, preprocess
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        self.max_detections, self.multi_label = max_detections, multi_label
        self._levels = [self.module_named(layer) for layer in level_layers]
        self._further = [self.module_named(layer) for layer in target_layers]

    def run(
        self, images: Tensor, detections: Sequence[Detections] | None = None
    ) -> CandidateOutput:
        self.check_ready()
        canvas, geometry = self._canvas(images)
        output = self.network(canvas)
        if self.decode is not None:
            output = self.decode(output)
        if not isinstance(output, Candidates):
            if not (isinstance(output, tuple) and len(output) == 2):
                raise TypeError(
                    "the detector must give Candidates or a tuple (boxes (N, R, 4), class_scores "
                    f"(N, R, C)), got {type(output).__name__}: pass decode=... that makes them "
                    "from the network's output."
                )
            output = Candidates(*output)
        if output.boxes.shape[0] != images.shape[0]:
            raise ValueError(
                f"the detector returned {output.boxes.shape[0]} rows of candidates for "
                f"{images.shape[0]} images."
            )
        return CandidateOutput(output, geometry)

    def run_from(
        self, raw: CandidateOutput, images: Tensor, detections: Sequence[Detections]
    ) -> CandidateOutput:
        return raw

    @torch.no_grad()
    def select(self, raw: CandidateOutput) -> list[Detections]:
        _check_scores(raw.candidates.class_scores)
        found = []
        for image, scores in enumerate(raw.candidates.class_scores):
            boxes = raw.geometry.boxes_to_image(raw.candidates.boxes[image])
            if self.multi_label:
                rows, labels = torch.where(scores >= self.score_threshold)
            else:
                rows = torch.where(scores.amax(-1) >= self.score_threshold)[0]
                labels = scores[rows].argmax(-1)
            kept = batched_nms(
                boxes[rows].float(), scores[rows, labels].float(), labels, self.iou_threshold
            )[: self.max_detections]
            boxes = self._boxes(raw, image)  # clipped after suppression, as YOLO's tools do
            found.append(self._detections(raw, image, boxes, rows[kept], labels[kept]))
        return found

    @torch.no_grad()
    def candidates_above(self, raw: CandidateOutput, score_threshold: float) -> list[Detections]:
        return [
            self._detections(
                raw, image, self._boxes(raw, image), *rows_above(scores, score_threshold)
            )
            for image, scores in enumerate(raw.candidates.class_scores)
        ]

    def values(
        self, raw: CandidateOutput, detections: Sequence[Detections], output: Output
    ) -> list[Tensor]:
        candidates = raw.candidates
        values = []
        for image, chosen in enumerate(detections):
            rows = chosen.candidates.to(candidates.boxes.device)
            labels = chosen.labels.to(rows.device)
            if output == "score":
                values.append(candidates.class_scores[image, rows, labels])
            elif output == "logit" and candidates.class_logits is not None:
                values.append(candidates.class_logits[image, rows, labels])
            elif output == "logit":
                values.append(logit_of_probability(candidates.class_scores[image, rows, labels]))
            else:
                boxes = raw.geometry.boxes_to_image(candidates.boxes[image, rows])
                values.append(boxes[:, EDGES.index(output)])
        return values

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        return self._canvas(torch.zeros(1, 3, *image_size))[1]

    def target_layers(self) -> dict[str, nn.Module]:
        return {self.layer_name(layer): layer for layer in [*self._levels, *self._further]}

    def level_layers(self) -> list[nn.Module]:
        return list(self._levels)

    def _canvas(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        if self.preprocess is None:
            return images, ImageGeometry.identity((images.shape[-2], images.shape[-1]))
        return self.preprocess(images)

    @staticmethod
    def _boxes(raw: CandidateOutput, image: int) -> Tensor:
        """``(R, 4)`` in pixels of the image, clipped to it."""
        boxes = raw.geometry.boxes_to_image(raw.candidates.boxes[image])
        return clip_boxes_to_image(boxes, raw.geometry.image_size)

    def _detections(
        self, raw: CandidateOutput, image: int, boxes: Tensor, rows: Tensor, labels: Tensor
    ) -> Detections:
        scores = raw.candidates.class_scores[image]
        chosen = ChosenRows(rows, labels, scores[rows, labels], boxes[rows], scores[rows])
        return chosen.detections(
            candidates=rows,
            regions=self._regions(raw, image, rows),
            levels=self._levels_of(raw, rows),
            image_size=raw.geometry.image_size,
        )

    def _regions(self, raw: CandidateOutput, image: int, rows: Tensor) -> Tensor:
        regions = raw.candidates.regions
        if regions is None:
            regions = raw.candidates.boxes
        regions = regions[image] if regions.dim() == 3 else regions
        return raw.geometry.boxes_to_image(regions[rows])

    def _levels_of(self, raw: CandidateOutput, rows: Tensor) -> Tensor:
        if raw.candidates.levels is None:
            return torch.zeros_like(rows)
        return raw.candidates.levels[rows]


def _check_scores(scores: Tensor) -> None:
    if not scores.numel():
        return
    low, high = (float(value) for value in torch.aminmax(scores))
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(
            f"class_scores: expected probabilities in [0, 1], got values from {low:.4g} to "
            f"{high:.4g}; apply sigmoid or softmax in decode, and pass class_logits beside them."
        )
