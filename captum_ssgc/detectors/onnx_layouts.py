"""Which layout a detector file writes its candidates in, from names, shapes and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from captum_ssgc.detectors.candidates import Candidates
from captum_ssgc.detectors.onnx_boxes import BoxDecoder, Cells, cells_of_sizes

# Strides of the levels that a number of rows may belong to, the most usual first.
_PYRAMIDS = (
    (8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (4, 8, 16), (8, 16), (8,), (16,),
    (32,), (4,), (8, 16, 32, 64, 128), (4, 8, 16, 32, 64), (64,), (2,),
)  # fmt: skip
ORIENTED = "obb"  # taken where the metadata or the user say so: numbers cannot tell an angle
_DFL_BINS = 16
_DECODED = 0.9
_MANY_ROWS = 50
Parts = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class Outputs:
    """What a network gave for the test picture.

    Args:
        tensors: by name, in the file's order.
        size: ``(H, W)`` of the canvas, in pixels.
        class_count: as the metadata or the user say; ``None`` where nobody does.
        boxes: what the user says about boxes, ``None`` for nothing.
        scores: what the user says about scores.
        attends_to_points: the graph chooses tokens or samples maps, as the kin of Deformable DETR
            do, which are trained with a sigmoid.
    """

    tensors: Mapping[str, Tensor]
    size: tuple[int, int]
    class_count: int | None = None
    boxes: str | None = None
    scores: str | None = None
    attends_to_points: bool = False

    def described(self) -> str:
        """Names with shapes."""
        return ", ".join(f"{name} {tuple(one.shape)}" for name, one in self.tensors.items())

    def scores_of(self, values: Tensor) -> str:
        """What is still to be done to make scores of these."""
        low, high = (float(one) for one in torch.aminmax(values))
        return self.scores or ("none" if low >= 0.0 and high <= 1.0 + 1e-4 else "sigmoid")

    def cells_of(self, rows: int, repeats: Sequence[int] = (1, 3)) -> Cells | None:
        """The grids that have this many rows together."""
        for strides in _PYRAMIDS:
            for each in repeats:
                cells = Cells(self.size, strides, each)
                if sum(cells.sizes()) == rows and min(cells.sizes()) > 0:
                    return cells
        return None


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
    found = _with_objectness(outputs)
    if found is None or (outputs.boxes is None and _raw_offsets(found[1], found[2])):
        return None
    take, boxes, _ = found
    _, classes, _ = take(list(outputs.tensors.values()))
    decoder = _decoder(outputs, boxes, classes)
    return Layout("yolov5", "YOLOv5 and v7, (N, R, 5 + C)", take, decoder)


def _yolox(outputs: Outputs) -> Layout | None:
    """YOLOX: ``(N, R, 5 + C)`` with raw offsets."""
    found = _with_objectness(outputs)
    if found is None or found[2] is None or found[2].repeats != 1:
        return None
    take, _, cells = found
    _, classes, _ = take(list(outputs.tensors.values()))
    decoder = BoxDecoder("grid", outputs.scores_of(classes), outputs.size, cells=cells)
    title = "YOLOX, (N, R, 5 + C) with raw offsets"
    return Layout("yolox", title, take, decoder, YOLOX_CANVAS, window_share=0.0)


def _pair(outputs: Outputs) -> Layout | None:
    """Boxes and scores as two outputs: SSD, DETR and its kin, PP-YOLOE, YOLO-NAS."""
    tensors = {name: _three_axes(one) for name, one in outputs.tensors.items()}
    names = list(tensors)
    boxes = [name for name in names if _is_boxes(tensors[name])]
    boxes.sort(key=lambda name: ("box" not in name.lower(), _within_one(tensors[name])))
    for box in boxes:
        rows = tensors[box].shape[1]
        others = [name for name in names if name != box and rows in tensors[name].shape[1:]]
        others.sort(key=lambda name: outputs.class_count not in tensors[name].shape[1:])
        if others:
            return _pair_layout(outputs, names.index(box), names.index(others[0]))
    return None


def _pair_layout(outputs: Outputs, box: int, score: int) -> Layout:
    tensors = [_three_axes(one) for one in outputs.tensors.values()]
    transposed = tensors[score].shape[1] != tensors[box].shape[1]

    def take(given: Sequence[Tensor]) -> Parts:
        scores = _three_axes(given[score])
        return _three_axes(given[box]), scores.mT if transposed else scores, None

    boxes, classes, _ = take(list(outputs.tensors.values()))
    logits = "logits" in list(outputs.tensors)[score].lower()
    decoder = _decoder(outputs, boxes, classes, last=logits)
    title = "boxes and scores as two outputs"
    queries = logits or decoder.background == "last"
    iou = 1.0 if queries else 0.5
    return Layout("boxes-scores", title, take, decoder, STRETCHED, iou, multi_label=True)


def _heads(outputs: Outputs) -> Layout | None:
    """Raw maps of one or several heads, ``(N, K, h, w)`` or ``(N, A, h, w, K)``."""
    maps = [one for one in outputs.tensors.values() if one.dim() in (4, 5)]
    if not maps or len(maps) != len(outputs.tensors):
        return None
    grids = [tuple(one.shape[2:4]) for one in maps]
    by_grid = {grid: [i for i, own in enumerate(grids) if own == grid] for grid in grids}
    ordered = sorted(by_grid, reverse=True)
    strides = [round(outputs.size[0] / grid[0]) for grid in ordered]
    places = [_box_object_class(maps, by_grid[grid]) for grid in ordered]
    columns = sum(maps[i].shape[4 if maps[i].dim() == 5 else 1] for i in places[0])
    kind, anchors = _head_kind(outputs, maps[places[0][0]], columns)
    cells = Cells(outputs.size, strides, anchors)
    first = 4 * _DFL_BINS if kind == "dfl" else 4

    def take(tensors: Sequence[Tensor]) -> Parts:
        levels = [
            torch.cat([_flat(tensors[i], anchors) for i in places_of], -1) for places_of in places
        ]
        rows = torch.cat(levels, 1)
        if kind == "dfl":
            return rows[..., :first], rows[..., first:], None
        if _is_count(outputs, columns - 4):
            return rows[..., :4], rows[..., 4:], None
        return rows[..., :4], rows[..., 5:], rows[..., 4:5]

    boxes, classes, _ = take(list(outputs.tensors.values()))
    if classes.shape[-1] < 1 or boxes.shape[1] != sum(cells.sizes()):
        return None
    decoder = BoxDecoder(kind, outputs.scores_of(classes), outputs.size, cells=cells)
    if kind == "grid" and not _raw_offsets(boxes, cells):
        decoder = replace(decoder, boxes=_box_format(boxes, outputs), normalised=_within_one(boxes))
    canvas = YOLOX_CANVAS if kind == "grid" else YOLO_CANVAS
    return Layout("heads", f"raw maps of heads, boxes as {kind}", take, decoder, canvas)


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
    told = [find for known, find in LAYOUTS.items() if known != ORIENTED]
    chosen = told if name is None else [LAYOUTS[name]]
    return next((found for find in chosen if (found := find(outputs)) is not None), None)


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
    kind = outputs.boxes or _box_format(boxes, outputs)
    scores, background = outputs.scores_of(classes), None
    if last is not None and classes.shape[-1] > 1:
        scores, background = _competition(outputs, classes, scores, last)
    return BoxDecoder(kind, scores, outputs.size, _within_one(boxes), background)


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
    maps = [one for one in outputs.tensors.values() if one.dim() == 4]
    return maps[0].shape[1] if len(maps) == 1 else 0


def _raw_offsets(boxes: Tensor, cells: Cells | None) -> bool:
    """Whether the first two columns are offsets from the cell rather than places on the canvas."""
    if cells is None:
        return False
    middles = (cells.corners() + 0.5) * cells.row_strides()
    pair = torch.stack([boxes[0, :, 0], middles[:, 0].to(boxes)])
    return not float(torch.corrcoef(pair)[0, 1]) > _DECODED


def _box_format(boxes: Tensor, outputs: Outputs) -> str:
    """By the cells that centres lie near, or by the order of corners where there are no cells."""
    cells = outputs.cells_of(boxes.shape[1])
    if cells is None:
        return "xyxy" if bool((boxes[..., 2:4] >= boxes[..., :2]).all()) else "cxcywh"
    height, width = outputs.size
    scale = boxes.new_tensor([width, height]) if _within_one(boxes) else boxes.new_ones(2)
    middles = ((cells.corners() + 0.5) * cells.row_strides()).to(boxes) / scale
    as_centre = (boxes[..., :2] - middles).abs().mean()
    as_corner = ((boxes[..., :2] + boxes[..., 2:4]) / 2 - middles).abs().mean()
    return "cxcywh" if as_centre <= as_corner else "xyxy"


def _within_one(boxes: Tensor) -> bool:
    return bool(boxes.abs().amax() <= 2.0)


def _three_axes(one: Tensor) -> Tensor:
    """``(R, K)`` and ``(N, R, 1, K)`` as ``(N, R, K)``."""
    if one.dim() == 4 and one.shape[2] == 1:
        return one.squeeze(2)
    return one[None] if one.dim() == 2 else one


def _is_boxes(one: Tensor) -> bool:
    return one.dim() == 3 and one.shape[2] == 4


def _box_object_class(maps: Sequence[Tensor], places: Sequence[int]) -> list[int]:
    """The maps of one grid in the order box, objectness, classes."""
    if len(places) == 1:
        return list(places)
    boxes = [i for i in places if maps[i].shape[1] in (4, 4 * _DFL_BINS)][:1]
    objects = [i for i in places if maps[i].shape[1] == 1 and i not in boxes][: len(places) - 2]
    return [*boxes, *objects, *(i for i in places if i not in boxes and i not in objects)]


def _head_kind(outputs: Outputs, first: Tensor, columns: int) -> tuple[str, int]:
    """How boxes are written, and the anchors of a cell."""
    count = outputs.class_count
    if first.dim() == 5:
        return "anchors", first.shape[1]
    if outputs.boxes in ("grid", "dfl"):
        return outputs.boxes, 1
    if outputs.boxes == "anchors" or columns == 255 or (count and columns == 3 * (5 + count)):
        return "anchors", 3
    if first.shape[1] == 4 * _DFL_BINS or (count and columns == 4 * _DFL_BINS + count):
        return "dfl", 1
    return "grid", 1


def _flat(one: Tensor, anchors: int) -> Tensor:
    """A map as rows ``(N, A h w, K)``."""
    if one.dim() == 4:
        one = one.unflatten(1, (anchors, -1)).permute(0, 1, 3, 4, 2)
    return one.flatten(1, 3)
