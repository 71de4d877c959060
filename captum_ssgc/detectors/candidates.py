"""Your own detector: anything that returns candidate boxes and class scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, jit, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from captum_ssgc._channels import RGB
from captum_ssgc._layer_names import modules_in_order
from captum_ssgc._polygons import suppressed
from captum_ssgc._probability import with_slopes_of
from captum_ssgc.detections import Detections
from captum_ssgc.detector import logit_of_probability, refuse_training
from captum_ssgc.detectors._candidates import (
    Candidates,
    candidates_from,
    check_boxes,
    check_candidates,
    check_corners,
)
from captum_ssgc.detectors._choice_watch import ChoiceWatch
from captum_ssgc.detectors._content import check_content, noise
from captum_ssgc.detectors._lookup import RowCandidates, rows_of_images, with_cells
from captum_ssgc.detectors._measured import MeasuredGeometries
from captum_ssgc.detectors._modules_behind import modules_behind, uncompiled
from captum_ssgc.detectors._precision import at_least_single, only_precision
from captum_ssgc.detectors._query_selection import QuerySelection, SelectedRows, SelectingDetector
from captum_ssgc.detectors.letterbox import Letterbox
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames
from captum_ssgc.map_layout import is_map

__all__ = ["CandidateDetector", "CandidateOutput", "Candidates"]

_FAR = 4.0  # canvases, beyond which a box is wild


@dataclass(frozen=True)
class CandidateOutput:
    """One forward of a :class:`CandidateDetector`.

    Args:
        candidates: of the batch.
        geometry: of its images.
        tokens: ``(N, R)`` from which token each row was made; ``None`` where none are chosen.
        ends: maps of local heads that the candidates were made of, as leaves of their graph.
    """

    candidates: Candidates
    geometry: ImageGeometry
    tokens: Tensor | None = None
    ends: Mapping[nn.Module, Tensor] = field(default_factory=dict)


class CandidateDetector(SelectingDetector):
    """A detector made of a network and a few functions of yours.

    Args:
        network: a module or function, canvas ``(N, 3, h, w)`` to anything that ``decode`` reads. A
            function is called several times for an explanation, with the same image. If it refuses
            the precision of an image, it gets the canvas in that of its parameters, if they have
            one.
        decode: what ``network`` returns to :class:`Candidates` (or to a tuple
            ``(boxes, class_scores)``); ``None`` where it already returns one of these.
        preprocess: RGB images ``(N, 3, H, W)`` in [0, 1] to ``(canvas, ImageGeometry)``, such as
            :class:`captum_ssgc.detectors.Letterbox`; differentiable. ``None``: the image as it is.
        model: the module that holds the layers, where ``network`` is a function around it;
            ``None``: the module that the function refers to.
        score_threshold: candidates below it are not reported.
        iou_threshold: of the class-wise non-maximum suppression.
        max_detections: the most detections reported for an image.
        multi_label: report every class of a candidate above the threshold, not only its best.
        level_layers: one layer (module or name) per pyramid level, in the order of ``levels``; a
            single one where the detector has no levels.
        target_layers: further layers (names) to recommend.
        reshape_transform: brings the output of layers that give tokens or ``(N, h, w, C)`` to
            ``(N, C, h, w)``; others are left alone.
        queries: how many rows the network makes from the best-scored tokens of the image, which it
            chooses with ``topk`` (DINO, RF-DETR, two-stage Deformable DETR); the tokens of
            detections stay in their places when a changed image is scored.
        label_names: class names, indexed by label: a list, a dictionary or a file.
        channels: how many channels images have; ``None``: what the first convolution of ``model``
            takes (RGB is tried as well, as the function may convert it).

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
        reshape_transform: Callable[[Tensor], Tensor] | None = None,
        queries: int | None = None,
        label_names: LabelNames | None = None,
        channels: int | None = None,
    ) -> None:
        if not callable(network):
            raise TypeError(
                f"network: expected a module or function, got {type(network).__name__}."
            )
        self._behind = modules_behind(network)
        super().__init__(_holder(self._behind) if model is None else model, label_names)
        if channels is not None:
            self.channels = channels
        if isinstance(self.model, jit.ScriptModule):
            self.why_black_box = "the network is TorchScript, whose layers cannot be read"
        self.network, self.decode, self.preprocess = network, decode, preprocess
        self.score_threshold, self.iou_threshold = score_threshold, iou_threshold
        self.max_detections, self.multi_label = max_detections, multi_label
        self.reshape_transform, self.queries = reshape_transform, queries
        self._levels = modules_in_order(self.model, "level_layers", level_layers)
        self._further = modules_in_order(self.model, "target_layers", target_layers)
        self._choice = None if queries else ChoiceWatch()
        self._casts: dict[torch.dtype, torch.dtype] = {}
        self._geometries = MeasuredGeometries()

    def check_ready(self) -> None:
        super().check_ready()
        for module in self._behind:
            refuse_training(module)

    def check_channels(self, images: Tensor) -> None:
        """Also RGB is taken, where the channels are not stated: ``run`` finds out."""
        stated = getattr(self, "_channels", None) is not None
        if stated or images.dim() != 4 or images.shape[1] != RGB:
            super().check_channels(images)

    def run(
        self, images: Tensor, detections: Sequence[Detections] | None = None
    ) -> CandidateOutput:
        self.check_ready()
        canvas, geometry = self._canvas(images)
        self._geometries.note(geometry)
        try:
            output, tokens = self._in_its_precision(canvas, detections)
        except RuntimeError:
            super().check_channels(images)  # says it better, where that is what is wrong
            raise
        if self.decode is not None:
            with self._choice or nullcontext():  # which may choose as well
                output = self.decode(output)
        candidates = candidates_from(output)
        count, row_count = candidates.boxes.shape[:2]
        if count != images.shape[0]:
            raise ValueError(
                f"the detector returned {count} rows of candidates for {images.shape[0]} images."
            )
        if tokens is not None and tokens.shape[1] != row_count:
            raise ValueError(
                f"queries: the network chose {tokens.shape[1]}, but gives {row_count} rows."
            )
        if candidates.levels is None and len(self._levels) > 1:
            raise ValueError(
                f"level_layers names {len(self._levels)} layers, but the candidates have no levels:"
                " give Candidates(..., levels=...), the level of each row, or a single layer."
            )
        if self._choice is not None:
            self._choice.warn_of(row_count)
            self._choice = None
        return CandidateOutput(candidates, geometry, tokens)

    @torch.no_grad()
    def select(self, raw: CandidateOutput) -> list[Detections]:
        canvas_size = raw.geometry.canvas_size
        check_candidates(raw.candidates, len(self._levels), canvas_size)
        self.fit_names(raw.candidates.class_scores.shape[-1])
        found = []
        for image, candidates in enumerate(self.image_candidates(raw)):
            rows, labels = self._suppressed(raw.candidates, image, canvas_size)
            boxes = candidates.reported_boxes(rows, labels)
            chosen = candidates.detections(candidates.scores(), rows, labels, boxes)
            in_image = candidates.boxes(rows, labels)
            on_canvas = raw.candidates.boxes[image, rows]
            check_boxes(on_canvas, in_image, canvas_size, chosen)
            if raw.candidates.corners is not None:
                check_corners(raw.candidates.corners[image, rows], on_canvas)
            found.append(chosen)
        return found

    def row_candidates(self, raw: CandidateOutput, image: int | None = None) -> RowCandidates:
        return _Rows(raw, image)

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        def measure() -> ImageGeometry:
            canvas, geometry = self._canvas(noise(image_size, self.model, self.channels))
            check_content(canvas, geometry, "preprocess")
            return geometry

        return self._geometries.of(image_size, "preprocess", self.preprocess, measure)

    def target_layers(self) -> dict[str, nn.Module]:
        return {self.layer_name(layer): layer for layer in [*self._levels, *self._further]}

    def level_layers(self) -> list[nn.Module]:
        return list(self._levels)

    @property
    def cells_depend_on(self) -> object:
        alone = isinstance(self.network, nn.Module) and self.reshape_transform is None
        return self.network if alone else self

    def shares_network_with(self, copied: Any) -> bool:
        behind = modules_behind(copied.network)
        shared = any(one is other for one in behind for other in self._behind)
        return shared or copied.network is self.network

    def reshape_transform_for(
        self, layer: nn.Module, image_size: tuple[int, int]
    ) -> Callable[[Tensor], Tensor] | None:
        given = self.reshape_transform
        if given is None:
            return super().reshape_transform_for(layer, image_size)
        canvas = self.geometry(image_size).canvas_size
        return lambda output: output if is_map(output.shape, canvas) else given(output)

    def _canvas(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        """In memory of its own, as functions of the user may write to what they are given."""
        if self.preprocess is None:
            return images.clone(), ImageGeometry.identity((images.shape[-2], images.shape[-1]))
        own = images if type(self.preprocess) is Letterbox else images.clone()
        made: Any = self.preprocess(own)
        pair = made if isinstance(made, (tuple, list)) and len(made) == 2 else [made, None]
        if not (isinstance(pair[0], Tensor) and isinstance(pair[1], ImageGeometry)):
            parts = made if isinstance(made, (tuple, list)) else [made]
            raise TypeError(
                "preprocess: expected a canvas (N, C, h, w) and its ImageGeometry, got "
                f"{', '.join(type(part).__name__ for part in parts)}; "
                "captum_ssgc.detectors.Letterbox gives both."
            )
        return pair[0], pair[1]

    def _in_its_precision(
        self, canvas: Tensor, detections: Sequence[Detections] | None
    ) -> tuple[Any, Tensor | None]:
        """What the network gives for the canvas, in its own precision if it refuses another.

        One that takes another one, such as a function that casts, gets the canvas as it is.
        """
        taken = canvas.to(self._casts.get(canvas.dtype, canvas.dtype))
        try:
            return self._network(taken, detections)
        except RuntimeError:
            own = only_precision(self.model)
            if own in (None, taken.dtype) or not canvas.is_floating_point():
                raise
            made = self._network(canvas.to(own), detections)
            self._casts[canvas.dtype] = own
            return made

    def _network(
        self, canvas: Tensor, detections: Sequence[Detections] | None
    ) -> tuple[Any, Tensor | None]:
        """What the network gives, and the tokens of its rows."""
        # Compiled code may free what a second way back needs, and leave out the hooks of layers.
        network = uncompiled(self.network) if torch.is_grad_enabled() else self.network
        if self.queries is None:
            if self._choice is not None:
                self._choice.follow(canvas)
            with self._choice or nullcontext():
                return network(canvas), None
        with QuerySelection(self.queries, detections) as selection:
            output = network(canvas)
        if selection.tokens is None:
            raise ValueError(
                f"queries={self.queries}: the network did not choose as many of its tokens with "
                "topk; leave queries out, or pass the number that it chooses."
            )
        return output, selection.tokens

    def _suppressed(
        self, candidates: Candidates, image: int, canvas_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Rows and labels that are reported: suppressed on the canvas, before boxes are clipped."""
        scores = candidates.class_scores[image]
        if self.multi_label:
            rows, labels = torch.where(scores >= self.score_threshold)
        else:
            rows = torch.where(scores.amax(-1) >= self.score_threshold)[0]
            labels = scores[rows].argmax(-1)
        if candidates.corners is not None:
            corners = candidates.corners[image, rows]
            kept = suppressed(corners, scores[rows, labels], labels, self.iou_threshold)
            kept = kept[: self.max_detections]
            return rows[kept], labels[kept]
        # Classes are set apart by the largest coordinate of all, however wild a single box is.
        far = _FAR * max(canvas_size)
        boxes = candidates.boxes[image, rows].float().nan_to_num(0.0).clamp(-far, far)
        with boxes.device:  # torchvision makes a tensor wherever new ones are made
            kept = batched_nms(boxes, scores[rows, labels].float(), labels, self.iou_threshold)
        kept = kept[: self.max_detections]
        return rows[kept], labels[kept]


class _Rows(SelectedRows):
    """The candidates of one image of yours, or of all."""

    def __init__(self, raw: CandidateOutput, image: int | None) -> None:
        images, count = raw.candidates.boxes.shape[:2]
        sizes = [count] * (images if image is None else 1)
        super().__init__(raw.geometry, raw.candidates.boxes.device, sizes)
        self._all, self._image = raw.candidates, image
        self.tokens = None if raw.tokens is None else self._rows_of(raw.tokens)

    def scores(self) -> Tensor:
        return self._rows_of(self._all.class_scores)

    def logits(self, rows: Tensor, labels: Tensor) -> Tensor:
        if self._all.class_logits is None:
            return logit_of_probability(self.score(rows, labels))
        return at_least_single(self._rows_of(self._all.class_logits)[rows, labels])

    def score(self, rows: Tensor, labels: Tensor) -> Tensor:
        scores, logits = self.scores(), self._all.class_logits
        if logits is None:
            return at_least_single(scores[rows, labels])
        return with_slopes_of(self._rows_of(logits), scores, rows, labels)

    def boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        return self._in_image(self._rows_of(self._all.boxes)[rows])

    def corners(self, rows: Tensor, labels: Tensor) -> Tensor | None:
        if self._all.corners is None:
            return None
        pairs = self._rows_of(self._all.corners)[rows].flatten(1).unflatten(1, (2, 4))
        return self._in_image(pairs).flatten(1).unflatten(1, (4, 2))

    def reported_boxes(self, rows: Tensor, labels: Tensor) -> Tensor:
        if self._all.corners is not None:
            return self.boxes(rows, labels)
        return clip_boxes_to_image(self.boxes(rows, labels), self.geometry.image_size)

    def regions(self, rows: Tensor, labels: Tensor) -> Tensor:
        regions, cells = self._all.regions, self._all.cells
        chosen = self._all.boxes if regions is None else regions
        if regions is not None and regions.dim() == 3 and len(regions) == 1:
            chosen = regions[0]
        of_all = chosen.dim() == 2
        chosen = chosen[self.places(rows)] if of_all else self._rows_of(chosen)[rows]
        if cells is not None:
            chosen = with_cells(chosen, cells[self.places(rows)])
        return self._in_image(chosen)

    def levels(self, rows: Tensor) -> Tensor:
        levels = self._all.levels
        return torch.zeros_like(rows) if levels is None else levels[self.places(rows)]

    def _rows_of(self, tensor: Tensor) -> Tensor:
        return rows_of_images(tensor, self._image)

    def _in_image(self, boxes: Tensor) -> Tensor:
        return self.geometry.boxes_to_image(at_least_single(boxes))


def _holder(modules: list[nn.Module]) -> nn.Module:
    """A module that holds these; the only one itself."""
    if len(modules) == 1:
        return modules[0]
    holder = nn.ModuleList(modules)
    holder.training = False  # not eval(), which would change those of the user
    return holder
