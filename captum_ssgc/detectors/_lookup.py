"""What every adapter shares: the way from candidates to detections, and back to their values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from captum_ssgc._outputs import is_contrast, other_labels
from captum_ssgc._probability import sigmoid_score
from captum_ssgc.detections import Detections
from captum_ssgc.detector import EDGES, ClassCandidates, Detector, Output
from captum_ssgc.detectors._precision import at_least_single
from captum_ssgc.detectors._rows import levels_of, reported_rows, rounding_of, rows_above
from captum_ssgc.geometry import ImageGeometry

_REPORTED = ("boxes", "labels", "scores")
_OPTIONAL = ("corners", "masks")


class RowCandidates(ABC):
    """The candidates of one image of a forward, or of all its images; what differs by adapter.

    One row for each, those of one image after those of another. Rows and labels are ``(K,)`` int64,
    boxes ``(K, 4)`` xyxy in pixels of the original image.

    Attributes:
        geometry: of the images.
        device: where the model computed them.
        sizes: how many rows each image has.
        count: how many rows there are.
        first_label: 1 where column 0 of the scores is the background.
    """

    first_label = 0

    def __init__(self, geometry: ImageGeometry, device: torch.device, sizes: Sequence[int]) -> None:
        self.geometry, self.device, self.sizes = geometry, device, list(sizes)
        self.count = sum(self.sizes)

    def places(self, rows: Tensor) -> Tensor:
        """Each row among those of its own image."""
        if len(self.sizes) == 1:
            return rows
        if len(set(self.sizes)) == 1:
            return rows % max(self.sizes[0], 1)
        return rows - self._starts()[levels_of(rows, self.sizes)]

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
        return self.places(rows)

    def places_of(self, candidates: Tensor) -> Tensor:
        """The places of :meth:`candidates`, whether or not an image has such places."""
        return candidates

    def rows_of(self, detections: Sequence[Detections]) -> Tensor:
        """The rows that detections of each image came from, those of all images in turn.

        Raises:
            ValueError: if a detection names no candidate, or one that its image does not have.
        """
        counts = [len(chosen) for chosen, _ in zip(detections, self.sizes, strict=True)]
        named = torch.cat([chosen.candidates.to(self.device) for chosen in detections])
        if not len(named):
            return named
        places = self.places_of(named)
        least, low, high = torch.stack([named.min(), *places.aminmax()]).tolist()
        if least < 0:
            raise ValueError(
                "detections: these come from elsewhere and name no candidate of the detector; "
                "explain(model, image, boxes=found.boxes, labels=found.labels) finds that of each "
                "box."
            )
        if not 0 <= low <= high < min(self.sizes):
            self._check_places(places.split(counts))
        if len(counts) == 1:
            return places
        starts = accumulate([0, *self.sizes[:-1]])
        own = [start for start, count in zip(starts, counts) for _ in range(count)]
        return places + torch.tensor(own, device=self.device)

    def _check_places(self, places: Sequence[Tensor]) -> None:
        for size, own in zip(self.sizes, places, strict=True):
            wrong = own[(own < 0) | (own >= size)]
            if len(wrong):
                low, high = (int(end) for end in own.aminmax())
                raise ValueError(
                    f"detections: expected candidates 0 to {size - 1} of this image, got {low} "
                    f"to {high}: they come from an image of another size, or from another "
                    "detector. A detector of your own has to give all candidates of every image, "
                    "before suppression and thresholds, so that row k is always the same one."
                )

    def _starts(self) -> Tensor:
        """``(N,)`` the first row of each image."""
        return torch.tensor([0, *self.sizes[:-1]], device=self.device).cumsum(0)

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
    """A detector that knows the candidates of its images as rows (:meth:`row_candidates`)."""

    @abstractmethod
    def row_candidates(self, raw: Any, image: int | None = None) -> RowCandidates:
        """The candidates of a ``run`` without ``detections``.

        Args:
            raw: of the run.
            image: the only one of its images that is wanted; ``None`` for all in turn.
        """

    def image_candidates(self, raw: Any) -> list[RowCandidates]:
        """The candidates of each image by itself."""
        images = range(len(self.row_candidates(raw).sizes))
        return [self.row_candidates(raw, image) for image in images]

    def scored_candidates(self, raw: Any, detections: Sequence[Detections]) -> RowCandidates:
        """Candidates of all images, at least those of ``detections``."""
        return self.row_candidates(raw)

    def run_from(self, raw: Any, images: Tensor, detections: Sequence[Detections]) -> Any:
        return raw

    @torch.no_grad()
    def candidates_above(self, raw: Any, score_threshold: float) -> list[Detections]:
        every = self.row_candidates(raw)
        scores = every.scores()
        rows, labels, counts = rows_above(scores, score_threshold, every.first_label, every.sizes)
        found = every.detections(scores, rows, labels, every.reported_boxes(rows, labels))
        ends = list(accumulate(counts))
        return [found[end - count : end] for end, count in zip(ends, counts, strict=True)]

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
    candidates: RowCandidates, detections: Sequence[Detections], output: Output
) -> list[Tensor]:
    """One value per detection of each image, ``(K,)``, with graph.

    Raises:
        ValueError: if a detection names no candidate, or one that its image does not have.
    """
    rows = candidates.rows_of(detections)
    labels = torch.cat([chosen.labels for chosen in detections]).to(candidates.device)
    negative = isinstance(output, str) and output.startswith("-")
    positive = cast("Output", output[1:]) if negative else output
    others = None
    if is_contrast(positive):
        others = torch.cat([other_labels(positive, chosen) for chosen in detections])
    values = _values(candidates, rows, labels, positive, others)
    return list((-values if negative else values).split([len(chosen) for chosen in detections]))


def _values(
    candidates: RowCandidates,
    rows: Tensor,
    labels: Tensor,
    output: Output,
    others: Tensor | None,
) -> Tensor:
    if others is not None:
        contrast = candidates.logits(rows, others.to(candidates.device))
        return candidates.logits(rows, labels) - contrast
    if output in EDGES:
        return at_least_single(candidates.boxes(rows, labels))[:, EDGES.index(output)]
    return candidates.logits(rows, labels) if output == "logit" else candidates.score(rows, labels)


def rows_of_images(tensor: Tensor, image: int | None) -> Tensor:
    """``(N, R, ...)`` as the rows of one image, or ``None``: of all in turn."""
    return tensor.flatten(0, 1) if image is None else tensor[image]


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


def check_geometry(image: RowCandidates, rows: Tensor, labels: Tensor, boxes: Tensor) -> None:
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
