"""What a detector reports for one image, with the way back to the candidates it came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._exact import sent
from captum_ssgc.exchange.coco_results import CategoryIds, from_coco, to_coco
from captum_ssgc.exchange.fiftyone import from_fiftyone, to_fiftyone
from captum_ssgc.exchange.supervision import from_supervision, to_supervision
from captum_ssgc.exchange.table import DetectionTable, array, names_of
from captum_ssgc.exchange.torchmetrics import from_torchmetrics, to_torchmetrics


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections of one image, in the detector's own order.

    Args:
        boxes: ``(K, 4)`` float, ``x1, y1, x2, y2`` in pixels of the original image.
        labels: ``(K,)`` int64 class indices as the detector numbers them; they index
            ``class_scores``.
        scores: ``(K,)`` float in [0, 1], the number the detector reports.
        candidates: ``(K,)`` int64 rows of the detector's candidates before non-maximum
            suppression (proposal, anchor, grid point or query); -1 where they come from elsewhere
            and name none, see :meth:`from_supervision`.
        regions: ``(K, 4)`` float, ``x1, y1, x2, y2`` in pixels of the original image: what each
            score was computed from (region proposal or anchor; the box where a head has neither).
        levels: ``(K,)`` int64 pyramid level that owns each detection, 0 where there is one level.
        class_scores: ``(K, C)`` float, the scores of all classes of each candidate.
        image_size: ``(H, W)`` of the original image, in pixels.
        corners: ``(K, 4, 2)`` float, x and y of the corners of oriented boxes, in order around
            each, in pixels of the original image; ``boxes`` are the upright boxes that enclose
            them. ``None`` for a detector of upright boxes.
        masks: ``(K, H, W)`` at the size of the image, as the detector reports them: bool, or float
            in [0, 1] where they are soft. ``None`` for a detector without masks, and for candidates
            that it does not report.

    Raises:
        ValueError: if the fields do not describe the same number of detections.

    Example:
        >>> import torch
        >>> from captum_ssgc import Detections
        >>> found = Detections(
        ...     boxes=torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 8.0, 6.0]]),
        ...     labels=torch.tensor([1, 0]), scores=torch.tensor([0.9, 0.4]),
        ...     candidates=torch.tensor([7, 3]),
        ...     regions=torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 2.0, 8.0, 6.0]]),
        ...     levels=torch.tensor([0, 1]), class_scores=torch.tensor([[0.1, 0.9], [0.4, 0.2]]),
        ...     image_size=(8, 10))
        >>> len(found), len(found.above(0.5))
        (2, 1)
        >>> found[1].candidates
        tensor([3])
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    candidates: Tensor
    regions: Tensor
    levels: Tensor
    class_scores: Tensor
    image_size: tuple[int, int]
    corners: Tensor | None = None
    masks: Tensor | None = None

    def __post_init__(self) -> None:
        count = self.boxes.shape[0]
        expected = {
            "boxes": (count, 4),
            "labels": (count,),
            "scores": (count,),
            "candidates": (count,),
            "regions": (count, 4),
            "levels": (count,),
        }
        for name, shape in expected.items():
            got = tuple(getattr(self, name).shape)
            if got != shape:
                raise ValueError(f"Detections.{name}: expected shape {shape}, got {got}.")
        if self.class_scores.dim() != 2 or self.class_scores.shape[0] != count:
            got = tuple(self.class_scores.shape)
            raise ValueError(f"Detections.class_scores: expected shape ({count}, C), got {got}.")
        optional = {"corners": (count, 4, 2), "masks": (count, *self.image_size)}
        for name, shape in optional.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(
                    f"Detections.{name}: expected shape {shape} or None, got {tuple(value.shape)}."
                )

    def __len__(self) -> int:
        return self.boxes.shape[0]

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Detections:
        """The chosen detections, always as ``Detections`` (one index gives ``K = 1``)."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"detection {index} does not exist: there are {len(self)}.")
            start = index % len(self)
            index = slice(start, start + 1)  # a number would have to be sent to the device
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.boxes.device)
            if index.dim() == 0:
                return self[int(index)]
            if index.numel() == 0:
                index = index.long()
        chosen: dict[str, Any] = {name: tensor[index] for name, tensor in self._tensors()}
        return replace(self, **chosen)

    def mask_pixels(self) -> Tensor:
        """``masks`` as bool ``(K, H, W)``: of soft ones the pixels of at least one half.

        Raises:
            ValueError: if there are no masks.
        """
        if self.masks is None:
            raise ValueError("Detections.masks: expected masks, got None.")
        return self.masks >= 0.5 if self.masks.is_floating_point() else self.masks != 0

    def above(self, score_threshold: float) -> Detections:
        """The detections whose score is at least ``score_threshold``, in the same order."""
        return self[self.scores >= score_threshold]

    @classmethod
    def cat(cls, several: Sequence[Detections]) -> Detections:
        """Those of several images of one size, or several choices of one image, as one.

        Corners and masks are kept where all of them have these.

        Raises:
            ValueError: if there is none.
        """
        if not several:
            raise ValueError("Detections.cat: expected at least one, got none.")
        joined: dict[str, Any] = {}
        for name, _ in several[0]._tensors():
            values = [getattr(entry, name) for entry in several]
            missing = any(value is None for value in values)
            joined[name] = None if missing else torch.cat(values)
        return replace(several[0], **joined)

    def copy(self) -> Detections:
        """The same detections in tensors of their own, which autograd may keep.

        Tensors that were made in inference mode cannot take part in a graph.
        """
        with torch.inference_mode(False):
            copied: dict[str, Any] = {name: tensor.clone() for name, tensor in self._tensors()}
        return replace(self, **copied)

    def to(self, device: torch.device | str) -> Detections:
        """The same detections with every tensor on ``device``."""
        moved: dict[str, Any] = {
            name: sent(tensor, torch.device(device)) for name, tensor in self._tensors()
        }
        return replace(self, **moved)

    def to_supervision(
        self, label_names: Sequence[str] | None = None, heat_maps: Tensor | None = None
    ) -> Any:
        """As ``supervision.Detections``, with what is given in ``data``.

        Args:
            label_names: for ``data["class_name"]``, indexed by label, such as the detector's.
            heat_maps: ``(K, H, W)`` or ``(K, 1, H, W)`` for ``data["heat_map"]``.

        Raises:
            ImportError: if supervision is not installed.
            ValueError: for another number of heat maps.
        """
        columns = {}
        if label_names is not None:
            columns["class_name"] = names_of(self.labels, label_names)
        if heat_maps is not None:
            columns["heat_map"] = array(heat_maps[:, 0] if heat_maps.dim() == 4 else heat_maps)
        return to_supervision(replace(self._table(), columns=columns))

    @classmethod
    def from_supervision(
        cls, found: Any, image_size: tuple[int, int], class_count: int | None = None
    ) -> Detections:
        """Detections that come from elsewhere, and name no candidate of a detector.

        Gradients need candidates: ``explain(model, image, boxes=found.boxes, labels=found.labels)``
        finds the one of each box. What only runs a detector (D-RISE, Deletion and Insertion with
        s2) takes them as they are.

        Args:
            found: ``supervision.Detections`` with class ids and confidences.
            image_size: ``(H, W)`` in pixels.
            class_count: how many classes the detector has (``C`` of ``class_scores``, in which all
                but the detection's own are 0); ``None``: one more than the highest label.

        Raises:
            ValueError: if there are no confidences or class ids, or labels are not below
                ``class_count``.
        """
        return cls._of_table(from_supervision(found), image_size, class_count)

    def to_fiftyone(self, label_names: Sequence[str] | None = None) -> Any:
        """As ``fiftyone.Detections``, for a field of a sample; masks within their boxes.

        Args:
            label_names: indexed by label, such as the detector's; numbers stand for what has none.

        Raises:
            ImportError: if FiftyOne is not installed.
        """
        names = names_of(self.labels, label_names or ())
        return to_fiftyone(self._table().with_column("class_name", names), self.image_size)

    @classmethod
    def from_fiftyone(
        cls,
        found: Any,
        image_size: tuple[int, int],
        label_names: Sequence[str] | None = None,
        class_count: int | None = None,
    ) -> Detections:
        """Those of a FiftyOne sample; see :meth:`from_supervision` for what they are good for.

        Args:
            found: ``fiftyone.Detections`` with confidences, such as ``sample["predictions"]``.
            image_size: ``(H, W)`` in pixels.
            label_names: which label each name is, such as the detector's; ``None`` where the
                sample's names are numbers.
            class_count: as in :meth:`from_supervision`; ``None``: one for each name, if any.

        Raises:
            TypeError: if it is something else.
            ValueError: if there are no confidences or boxes, or a label is not among the names.
        """
        classes = len(label_names) if label_names and class_count is None else class_count
        return cls._of_table(from_fiftyone(found, image_size, label_names), image_size, classes)

    def to_torchmetrics(self) -> dict[str, Tensor]:
        """As the dictionary of torchmetrics and of torchvision's own detectors.

        Returns:
            ``boxes``, ``scores``, ``labels``, and ``masks`` (bool) where there are any.

        Example:
            >>> from captum_ssgc import Detections
            >>> one = torch.ones(1)
            >>> parts = {"boxes": torch.ones(1, 4), "scores": one, "labels": one}
            >>> found = Detections.from_torchmetrics(parts, image_size=(8, 8), class_count=3)
            >>> sorted(found.to_torchmetrics()), found.class_scores
            (['boxes', 'labels', 'scores'], tensor([[0., 1., 0.]]))
        """
        return to_torchmetrics(self._table())

    @classmethod
    def from_torchmetrics(
        cls,
        found: Mapping[str, Tensor],
        image_size: tuple[int, int],
        class_count: int | None = None,
    ) -> Detections:
        """Of such a dictionary; see :meth:`from_supervision` for what they are good for.

        Raises:
            ValueError: if ``boxes``, ``scores`` or ``labels`` are missing or do not fit.
        """
        return cls._of_table(from_torchmetrics(found), image_size, class_count)

    def to_coco(self, image_id: int | str, category_ids: CategoryIds) -> list[dict[str, Any]]:
        """As results in the COCO format, ready for ``json.dump``; masks as run-length codes.

        Args:
            image_id: of the image in the data set.
            category_ids: the category id of each label, in a dictionary or a list: ``range(91)``
                for torchvision's COCO models, whose labels are the ids.

        Raises:
            ValueError: if a label has no category.
            ImportError: if there are masks and pycocotools is not installed.

        Example:
            >>> from captum_ssgc import Detections
            >>> parts = {"boxes": torch.tensor([[2., 3., 6., 8.]]), "scores": torch.tensor([0.5]),
            ...          "labels": torch.tensor([1])}
            >>> found = Detections.from_torchmetrics(parts, image_size=(8, 8))
            >>> found.to_coco(image_id=7, category_ids={0: 1, 1: 18})
            [{'image_id': 7, 'category_id': 18, 'bbox': [2.0, 3.0, 4.0, 5.0], 'score': 0.5}]
        """
        return to_coco(self._table(), image_id, category_ids)

    @classmethod
    def from_coco(
        cls,
        results: Iterable[Mapping[str, Any]],
        image_id: int | str,
        category_ids: CategoryIds,
        image_size: tuple[int, int],
        class_count: int | None = None,
    ) -> Detections:
        """Those of one image; see :meth:`from_supervision` for what they are good for.

        Ids are compared as those of a data set, where ``"5"`` and ``5.0`` are ``5``. Masks are kept
        where all entries have a segmentation.

        Args:
            results: what the JSON file holds.
            image_id: of the image in the data set.
            category_ids: as in :meth:`to_coco`; one label for each category.
            image_size: ``(H, W)`` in pixels.
            class_count: as in :meth:`from_supervision`.

        Raises:
            TypeError: if the results are no list of dictionaries.
            ValueError: if an entry lacks something or holds what cannot be meant, or a category has
                no label or more than one.
            ImportError: if there are polygons and pycocotools is not installed.
        """
        table = from_coco(results, image_id, category_ids, image_size)
        return cls._of_table(table, image_size, class_count)

    def _table(self) -> DetectionTable:
        return DetectionTable(self.boxes, self.labels, self.scores, self.corners, self.masks)

    @classmethod
    def _of_table(
        cls, table: DetectionTable, image_size: tuple[int, int], class_count: int | None
    ) -> Detections:
        sides = list(image_size) if isinstance(image_size, Iterable) else []
        if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
            raise TypeError(
                f"image_size: expected height and width in pixels, (H, W), got {image_size!r}."
            )
        labels, classes = table.class_indices(class_count)
        own = torch.arange(classes, device=labels.device) == labels[:, None]
        found = cls(
            boxes=table.boxes,
            labels=labels,
            scores=table.scores,
            candidates=torch.full_like(labels, -1),
            regions=table.boxes,
            levels=torch.zeros_like(labels),
            class_scores=own * table.scores[:, None],
            image_size=(int(sides[0]), int(sides[1])),
            corners=table.corners,
            masks=table.masks,
        )
        table.check_plausible(image_size)
        return found

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                yield field.name, value
