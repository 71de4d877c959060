"""What every adapter shares: the way from candidates to detections, and back to their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from captum_ssgc._outputs import is_contrast, other_labels
from captum_ssgc._probability import sigmoid_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, ClassCandidates, Detector, Output
from captum_ssgc.detectors._precision import at_least_single
from captum_ssgc.detectors._rows import reported_rows, rounding_of, rows_above
from captum_ssgc.geometry import ImageGeometry

_REPORTED = ("boxes", "labels", "scores")
_OPTIONAL = ("corners", "masks")


class ImageCandidates(ABC):
    """The candidates of one image of one forward, one row for each; what differs by adapter.

    Rows and labels are ``(K,)`` int64, boxes ``(K, 4)`` xyxy in pixels of the original image.

    Attributes:
        geometry: of the image.
        device: where the model computed them.
        count: how many rows there are.
        first_label: 1 where column 0 of the scores is the background.
    """

    first_label = 0

    def __init__(self, geometry: ImageGeometry, device: torch.device, count: int) -> None:
        self.geometry, self.device, self.count = geometry, device, count

    @abstractmethod
    def scores(self) -> Tensor:
        """``(R, C)`` by the vendor's own operations, so that reported ones are found in them."""

    @abstractmethod
    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        """``(K,)`` before softmax or sigmoid, with graph."""

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        """``(K,)``, with a graph that survives saturation."""
        return sigmoid_score(self.logits(rows, labels))

    @abstractmethod
    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Where the geometry puts the boxes, not clipped, with graph."""

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Boxes as the vendor reports them, by its own operations."""
        return self.boxes(rows, labels)

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        """What the scores were computed from."""
        return self.boxes(rows, labels)

    def corners(self, rows: Tensor, labels: Tensor) -> Tensor | None:
        """``(K, 4, 2)`` of oriented boxes as the vendor reports them; ``None`` for upright ones."""
        return None

    def with_rest(self, class_scores: Tensor) -> Tensor:
        """Class scores ``(K, C)``, with that of "no object" where they lack it."""
        return class_scores

    def levels(self, rows: Tensor) -> Tensor:
        """Pyramid level of each row."""
        return torch.zeros_like(rows)

    def candidates(self, rows: Tensor) -> Tensor:
        """What says on another image which candidate this is."""
        return rows

    def rows(self, candidates: Tensor) -> Tensor:
        """The rows of :meth:`candidates`, whether or not there are such rows."""
        return candidates

    def detections(
        self,
        scores: Tensor,
        rows: Tensor,
        labels: Tensor,
        boxes: Tensor,
        corners: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Detections:
        """These rows with these labels and boxes; ``scores`` as :meth:`scores` gives them."""
        corners = self.corners(rows, labels) if corners is None else corners
        return Detections(
            boxes=at_least_single(boxes),
            labels=labels,
            scores=at_least_single(scores[rows, labels]),
            candidates=self.candidates(rows),
            regions=at_least_single(self.regions(rows, labels)),
            levels=self.levels(rows),
            class_scores=at_least_single(scores[rows]),
            image_size=self.geometry.image_size,
            corners=None if corners is None else at_least_single(corners),
            masks=masks,
        )


class RowDetector(Detector):
    """A detector that knows the candidates of each image as rows (:meth:`image_candidates`)."""

    @abstractmethod
    def image_candidates(self, raw: Any) -> list[ImageCandidates]:
        """The candidates of each image of a ``run`` without ``detections``."""

    def scored_candidates(
        self, raw: Any, detections: Sequence[Detections]
    ) -> list[ImageCandidates]:
        """Candidates of each image, at least those of ``detections``."""
        return self.image_candidates(raw)

    def run_from(self, raw: Any, images: Tensor, detections: Sequence[Detections]) -> Any:
        return raw

    @torch.no_grad()
    def candidates_above(self, raw: Any, score_threshold: float) -> list[Detections]:
        found = []
        for image in self.image_candidates(raw):
            scores = image.scores()
            rows, labels = rows_above(scores, score_threshold, image.first_label)
            boxes = image.reported_boxes(rows, labels)
            found.append(image.detections(scores, rows, labels, boxes))
        return found

    @torch.no_grad()
    def class_candidates(self, raw: Any, detections: Sequence[Detections]) -> list[ClassCandidates]:
        found = []
        for image, chosen in zip(self.image_candidates(raw), detections, strict=True):
            scores = at_least_single(image.scores())
            rows = torch.arange(len(scores), device=image.device)
            labels = chosen.labels.to(image.device)[:, None].expand(-1, len(rows))
            boxes = [image.reported_boxes(rows, of_class) for of_class in labels]
            size = image.geometry.image_size
            found.append(
                ClassCandidates(
                    clip_boxes_to_image(at_least_single(_stacked(boxes, scores)), size),
                    image.with_rest(scores),
                    image.with_rest(chosen.class_scores.to(scores)),
                )
            )
        return found

    def values(self, raw: Any, detections: Sequence[Detections], output: Output) -> list[Tensor]:
        return values_of(self.scored_candidates(raw, detections), detections, output)


class LookupDetector(RowDetector):
    """A detector whose reported detections (:meth:`reported`) are looked up among its candidates.

    Attributes:
        vendor: whose post-processing the reports follow, for error messages.
    """

    vendor = "the vendor"

    @abstractmethod
    def reported(self, raw: Any) -> list[dict[str, Tensor]]:
        """The model's final output: ``boxes``, ``labels`` and ``scores`` of each image.

        Where the model gives them also ``corners`` and ``masks``, see :class:`Detections`.
        Whatever came after the head, in whatever order: each is looked up by box, label and score.
        """

    @torch.no_grad()
    def select(self, raw: Any) -> list[Detections]:
        found = []
        pairs = zip(self.image_candidates(raw), self.reported(raw), strict=True)
        for image, reported in pairs:
            scores = image.scores()
            self.fit_names(scores.shape[1])
            reported = {
                name: reported[name].detach().to(image.device)
                for name in (*_REPORTED, *_OPTIONAL)
                if name in reported
            }
            rows = reported_rows(scores, reported, image.reported_boxes, self.vendor)
            labels, boxes = reported["labels"], reported["boxes"]
            check_geometry(image, rows, labels, boxes)
            further = {name: reported[name] for name in _OPTIONAL if name in reported}
            found.append(image.detections(scores, rows, labels, boxes, **further))
        return found


def values_of(
    images: Sequence[ImageCandidates], detections: Sequence[Detections], output: Output
) -> list[Tensor]:
    """One value per detection of each image, ``(K,)``, with graph.

    Raises:
        ValueError: if a detection names no candidate, or one that its image does not have.
    """
    rows = _known_rows(images, detections)
    if isinstance(output, str) and output.startswith("-"):
        positive = cast("Output", output[1:])
        return [-_values(*one, positive) for one in zip(images, detections, rows)]
    return [_values(*one, output) for one in zip(images, detections, rows)]


def _known_rows(
    images: Sequence[ImageCandidates], detections: Sequence[Detections]
) -> list[Tensor]:
    """The rows of the detections of each image; the host waits once for all images."""
    pairs = zip(images, detections, strict=True)
    named = [chosen.candidates.to(image.device) for image, chosen in pairs]
    rows = [image.rows(candidates) for image, candidates in zip(images, named)]
    some = [place for place, own in enumerate(rows) if len(own)]
    ends = [torch.stack([named[place].min(), *rows[place].aminmax()]) for place in some]
    found = torch.stack(ends).tolist() if ends else []
    for image, (least, low, high) in zip((images[place] for place in some), found):
        if least < 0:
            raise ValueError(
                "detections: these come from elsewhere and name no candidate of the detector; "
                "explain(model, image, boxes=found.boxes, labels=found.labels) finds that of each "
                "box."
            )
        if not 0 <= low <= high < image.count:
            raise ValueError(
                f"detections: expected candidates 0 to {image.count - 1} of this image, got {low} "
                f"to {high}: they come from an image of another size, or from another detector. A "
                "detector of your own has to give all candidates of every image, before "
                "suppression and thresholds, so that row k is always the same one."
            )
    return rows


def _values(image: ImageCandidates, chosen: Detections, rows: Tensor, output: Output) -> Tensor:
    labels = chosen.labels.to(image.device)
    if is_contrast(output):
        others = other_labels(output, chosen).to(image.device)
        return image.logits(rows, labels) - image.logits(rows, others)
    if output in EDGES:
        return at_least_single(image.boxes(rows, labels))[:, EDGES.index(output)]
    return image.logits(rows, labels) if output == "logit" else image.score(rows, labels)


def _stacked(boxes: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(boxes) if boxes else like.new_zeros(0, len(like), 4)


def with_cells(boxes: Tensor, cells: Tensor) -> Tensor:
    """Boxes ``(K, 4)`` that also hold the cells ``(K, 4)`` that predicted them.

    A cell may predict a box beside itself: the gradient of a small object is in that cell then,
    and a mask of the box alone would miss it.
    """
    low = torch.minimum(boxes[:, :2], cells[:, :2])
    high = torch.maximum(boxes[:, 2:], cells[:, 2:])
    return torch.cat([low, high], 1)


def check_geometry(image: ImageCandidates, rows: Tensor, labels: Tensor, boxes: Tensor) -> None:
    """Raise ``ValueError`` unless reported boxes are where the geometry puts them.

    Vendors round where they resize, so that a pixel of the canvas is not worth a word.
    """
    if not len(rows):
        return
    size = image.geometry.image_size
    expected = clip_boxes_to_image(at_least_single(image.boxes(rows, labels)), size)
    away = float((expected - clip_boxes_to_image(at_least_single(boxes), size)).abs().max())
    if not away <= 1.0 / min(image.geometry.scale) + float(rounding_of(boxes)):
        raise ValueError(
            f"reported boxes lie up to {away:.1f} pixels from where the geometry of the image puts "
            f"them ({image.geometry}): the model resizes or pads in a way of its own; wrap it as "
            "your own detector, with a preprocess that says so "
            "(captum_ssgc.detectors.CandidateDetector)."
        )
