"""Which layout a detector file writes its candidates in, from names, shapes and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detectors.candidates import Candidates
from captum_ssgc.detectors.onnx_boxes import BoxDecoder, Cells, cells_of_sizes
from captum_ssgc.detectors.onnx_head_maps import head_maps_of
from captum_ssgc.detectors.onnx_outputs import Outputs, within_one
from captum_ssgc.detectors.onnx_roles import roles_of

ORIENTED = "obb"  # taken where the metadata or the user say so: numbers cannot tell an angle
_DECODED = 0.9
_MANY_ROWS = 50
_LARGEST = 10  # canvases, the side of a box
Parts = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Layout:
    """One way to read a network's outputs.

    Args:
        name: as the user writes it.
        title: as the literature calls it.
        take: outputs, in the file's order, to raw boxes, classes and objectness.
        decoder: of these.
        preprocess: options of :class:`captum_ssgc.detectors.Letterbox`.
        iou_threshold: of the suppression that the layout's own tools use; 1 for none.
        multi_label: whether these tools report every class of a candidate.
        window_share: where cells lie, see :meth:`captum_ssgc.Detector.cell_grid`; measured.
    """

    name: str
    title: str
    take: Callable[[Sequence[Tensor]], Parts]
    decoder: BoxDecoder
    preprocess: Mapping[str, Any] = field(default_factory=lambda: YOLO_CANVAS)
    iou_threshold: float = 0.45
    multi_label: bool = False
    window_share: float = 0.5

    def __call__(self, output: Tensor | Sequence[Tensor]) -> Candidates:
        """What the network returns to candidates."""
        return self.decoder(*self.take([output] if isinstance(output, Tensor) else output))

    def with_levels(self, sizes: Sequence[int]) -> Layout:
        """The same, with the rows of each level."""
        cells = cells_of_sizes(self.decoder.size, sizes)
        return replace(self, decoder=replace(self.decoder, level_sizes=tuple(sizes), cells=cells))

    def without(self, background: str | None) -> Layout:
        """The same, where the first or last class is none."""
        return replace(self, decoder=replace(self.decoder, background=background))


YOLO_CANVAS: Mapping[str, Any] = {"centred": True, "nearest": True}
YOLOX_CANVAS: Mapping[str, Any] = {"bgr": True, "value_range": 255.0}
STRETCHED: Mapping[str, Any] = {"stretch": True}


def canvas_options(layout: Layout | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """How the canvas is made, of :class:`captum_ssgc.detectors.Letterbox`.

    Args:
        layout: of the candidates; ``None`` where the file reports detections only.
        metadata: what the exporter wrote into the file. Ultralytics always writes a stride, and
            its RT-DETR takes stretched images.
    """
    if "stride" in metadata and (layout is None or layout.name == "boxes-scores"):
        stretches = "rtdetr" in str(metadata.get("description", "")).lower()
        return dict(STRETCHED if stretches else YOLO_CANVAS)
    return dict(STRETCHED if layout is None else layout.preprocess)


def _yolov8(outputs: Outputs) -> Layout | None:
    """Ultralytics' export, ``(N, 4 + C, R)``; further columns of masks or keypoints are left."""
    place, table, transposed = _table(outputs)
    if table is None or (not transposed and not _columns_are(outputs, table, 4)):
        return None
    if transposed and _columns_are(outputs, table, 5):
        return None
    extra = _mask_columns(outputs)
    count = outputs.class_count or table.shape[2] - 4 - extra
    if count < 1 or table.shape[2] < 4 + count:
        return None

    def take(tensors: Sequence[Tensor]) -> Parts:
        rows = tensors[place].mT if transposed else tensors[place]
        return rows[..., :4], rows[..., 4 : 4 + count], None

    boxes, classes, _ = take(list(outputs.tensors.values()))
    if not outputs.are_scores(classes):
        return None
    decoder = _decoder(outputs, boxes, classes)
    return Layout("yolov8", "Ultralytics, (N, 4 + C, R)", take, decoder, iou_threshold=0.7)


def _oriented(outputs: Outputs) -> Layout | None:
    """Ultralytics' export of oriented boxes: ``(N, 4 + C + 1, R)``, the angle last."""
    place, table, transposed = _table(outputs)
    if table is None or table.shape[2] < 6:
        return None
    count = table.shape[2] - 5
    if outputs.class_count not in (None, count):
        return None

    def take(tensors: Sequence[Tensor]) -> Parts:
        rows = tensors[place].mT if transposed else tensors[place]
        return torch.cat([rows[..., :4], rows[..., -1:]], -1), rows[..., 4 : 4 + count], None

    _, classes, _ = take(list(outputs.tensors.values()))
    cells = outputs.cells_of(table.shape[1], repeats=(1,))
    decoder = BoxDecoder("cxcywhr", outputs.scores_of(classes), outputs.size, cells=cells)
    title = "Ultralytics' oriented boxes, (N, 4 + C + 1, R)"
    return Layout(ORIENTED, title, take, decoder, iou_threshold=0.7)


def _yolov5(outputs: Outputs) -> Layout | None:
    """YOLOv5, v6 and v7: ``(N, R, 5 + C)`` with decoded boxes; YOLOX where it decodes itself."""
    split = _with_objectness(outputs)
    if split is None or (outputs.boxes is None and outputs.are_offsets(split[1])):
        return None
    take, boxes, _ = split
    _, classes, _ = take(list(outputs.tensors.values()))
    if not outputs.are_scores(classes):
        return None
    decoder = _decoder(outputs, boxes, classes)
    return Layout("yolov5", "YOLOv5 and v7, (N, R, 5 + C)", take, decoder)


def _yolox(outputs: Outputs) -> Layout | None:
    """YOLOX: ``(N, R, 5 + C)`` with raw offsets."""
    split = _with_objectness(outputs)
    if split is None or split[2] is None or split[2].repeats != 1:
        return None
    take, _, cells = split
    _, classes, _ = take(list(outputs.tensors.values()))
    decoder = BoxDecoder("grid", outputs.scores_of(classes), outputs.size, cells=cells)
    title = "YOLOX, (N, R, 5 + C) with raw offsets"
    return Layout("yolox", title, take, decoder, YOLOX_CANVAS, window_share=0.0)


def _pair(outputs: Outputs) -> Layout | None:
    """Boxes and scores as outputs of their own: SSD, DETR and its kin, PP-YOLOE, YOLO-NAS."""
    roles = roles_of(outputs)
    if roles is None:
        return None
    boxes, classes, objectness = roles.take(list(outputs.tensors.values()))
    logits = "logits" in list(outputs.tensors)[roles.scores].lower()
    competing = None if objectness is not None else logits
    decoder = _decoder(outputs, boxes, classes, last=competing)
    title = "boxes and scores as two outputs"
    if objectness is not None:
        title = "boxes, objectness and class scores as three outputs"
    queries = logits or decoder.background == "last"
    iou = 1.0 if queries else 0.5
    return Layout("boxes-scores", title, roles.take, decoder, STRETCHED, iou, multi_label=True)


def _heads(outputs: Outputs) -> Layout | None:
    """Raw maps of one or several heads, ``(N, K, h, w)``, ``(N, h, w, K)``, ``(N, A, h, w, K)``."""
    heads = head_maps_of(outputs)
    if heads is None:
        return None
    boxes, classes, _ = heads.take(list(outputs.tensors.values()))
    if classes.shape[-1] < 1 or boxes.shape[1] != sum(heads.cells.sizes()):
        return None
    kind = heads.kind
    decoder = BoxDecoder(kind, outputs.scores_of(classes), outputs.size, cells=heads.cells)
    if kind == "grid" and not outputs.are_offsets(boxes):
        decoder = replace(decoder, boxes=outputs.box_format(boxes), normalised=within_one(boxes))
    elif kind == "grid" and outputs.boxes is None and bool((boxes >= 0).all()):
        return None  # distances to the four sides, whose unit numbers do not tell
    canvas = YOLOX_CANVAS if kind == "grid" else YOLO_CANVAS
    return Layout("heads", f"raw maps of heads, boxes as {kind}", heads.take, decoder, canvas)


LAYOUTS: dict[str, Callable[[Outputs], Layout | None]] = {
    "heads": _heads,
    "boxes-scores": _pair,
    "yolov8": _yolov8,
    "yolov5": _yolov5,
    "yolox": _yolox,
    ORIENTED: _oriented,
}


def layout_of(outputs: Outputs, name: str | None = None) -> Layout | None:
    """The layout called ``name``, or the first that fits; ``None`` where none does.

    Raises:
        ValueError: if there is no layout of this name.
    """
    if name is not None and name not in LAYOUTS:
        raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {name!r}.")
    if name is not None:
        return LAYOUTS[name](outputs)
    told = [find for known, find in LAYOUTS.items() if known != ORIENTED]
    fitting = (layout for find in told if (layout := find(outputs)) is not None)
    return next((layout for layout in fitting if _gives_boxes(layout, outputs)), None)


def _gives_boxes(layout: Layout, outputs: Outputs) -> bool:
    """Whether what it reads has the order and size of boxes, for most rows of the test picture."""
    boxes = layout(list(outputs.tensors.values())).boxes
    sides = boxes[..., 2:] - boxes[..., :2]
    fit = (sides >= 0) & (sides <= _LARGEST * max(outputs.size))  # not so NaN
    return float(fit.all(-1).float().mean()) > 0.5


def _decoder(
    outputs: Outputs, boxes: Tensor, classes: Tensor, last: bool | None = None
) -> BoxDecoder:
    """What the user says, else what the numbers say.

    Args:
        outputs: of the test picture.
        boxes: ``(N, R, 4)``.
        classes: ``(N, R, C)``.
        last: whether a background stands in the last column, where classes compete, whatever the
            numbers say; ``None`` for a layout without background.
    """
    kind = outputs.boxes or outputs.box_format(boxes)
    scores, background = outputs.scores_of(classes), None
    if last is not None and classes.shape[-1] > 1:
        scores, background = _competition(outputs, classes, scores, last)
    return BoxDecoder(kind, scores, outputs.size, within_one(boxes), background)


def _competition(
    outputs: Outputs, classes: Tensor, scores: str, last: bool
) -> tuple[str, str | None]:
    """What is still to be done to scores, and the column of the background.

    Classes compete where a softmax is asked for, or was applied. Many logits are taken for those
    of a softmax where their first or last class is above zero nearly everywhere: what a sigmoid
    was trained for is below.
    """
    best = classes.argmax(-1)
    wins = [float((best == column).float().mean()) for column in (0, classes.shape[-1] - 1)]
    open_question = scores == "sigmoid" and outputs.scores is None and not outputs.attends_to_points
    if open_question and max(wins) > _DECODED and classes.shape[1] >= _MANY_ROWS:
        positive = float((classes.amax(-1) > 0).float().mean())
        scores = "softmax" if positive > _DECODED else scores
    applied = scores == "none" and bool(((classes.sum(-1) - 1).abs() < 1e-3).all())
    if scores != "softmax" and not applied:
        return scores, None
    return scores, "last" if last or wins[1] > max(wins[0], 0.5) else "first"


def _table(outputs: Outputs) -> tuple[int, Tensor | None, bool]:
    """The largest output ``(N, R, K)``, its place, and whether it was written ``(N, K, R)``."""
    tables = [(i, one) for i, one in enumerate(outputs.tensors.values()) if one.dim() == 3]
    if not tables:
        return 0, None, False
    place, table = max(tables, key=lambda pair: pair[1].numel())
    shared = (set(one.shape[1:]) & set(table.shape[1:]) for i, one in tables if i != place)
    if any(max(sides, default=0) >= _MANY_ROWS for sides in shared):
        return 0, None, False  # its rows have more to them, in another output
    rows_first, columns_first = (outputs.cells_of(side) for side in table.shape[1:])
    if (rows_first is None) != (columns_first is None):
        transposed = columns_first is not None
    elif outputs.class_count is not None and table.shape[1] != table.shape[2]:
        transposed = table.shape[1] - outputs.class_count in (4, 5)
    else:
        transposed = table.shape[1] <= table.shape[2]
    return place, table.mT if transposed else table, transposed


def _columns_are(outputs: Outputs, table: Tensor, more: int) -> bool:
    return _is_count(outputs, table.shape[2] - more)


def _is_count(outputs: Outputs, classes: int) -> bool:
    """Whether somebody said that there are this many classes."""
    return outputs.class_count is not None and outputs.class_count == classes


def _with_objectness(
    outputs: Outputs,
) -> tuple[Callable[[Sequence[Tensor]], Parts], Tensor, Cells | None] | None:
    place, table, transposed = _table(outputs)
    if table is None or table.shape[2] < 6:
        return None
    if transposed and not _columns_are(outputs, table, 5):
        return None
    count = outputs.class_count or table.shape[2] - 5 - _mask_columns(outputs)

    def take(tensors: Sequence[Tensor]) -> Parts:
        rows = tensors[place].mT if transposed else tensors[place]
        return rows[..., :4], rows[..., 5 : 5 + count], rows[..., 4:5]

    return take, table[..., :4], outputs.cells_of(table.shape[1])


def _mask_columns(outputs: Outputs) -> int:
    """How many columns belong to the prototypes of masks, a second output ``(N, M, h, w)``."""
    prototypes = [one for one in outputs.tensors.values() if one.dim() == 4]
    return prototypes[0].shape[1] if len(prototypes) == 1 else 0
