"""What is written and printed for one image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

import captum_ssgc
from captum_ssgc._printable import printable
from captum_ssgc.cli.folders import ResultFolder, file_name
from captum_ssgc.cli.messages import say, table
from captum_ssgc.cli.minimal import minimal_records
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.reliance_texts import record_of
from captum_ssgc.composites import Composite
from captum_ssgc.explanations import Explanation, Explanations
from captum_ssgc.metrics import MinimalSets, Reliance
from captum_ssgc.visualization import BOX_COLORS, comparison_grid, minimal_grid, overlay, overview

Shares = Mapping[str, Sequence["float | None"]]
"""For each region the share of every explanation's energy that lies in it."""


@dataclass(frozen=True)
class ImageResult:
    """All explanations of one image.

    Args:
        name: title of the pictures.
        source: where the image came from, for the record.
        image: ``(1, 3, H, W)`` in [0, 1].
        explanations: ordered by detection, then by method.
        model: as the user chose it.
        output: what was explained.
        shares: for each region, such as ``"box"``, one share per explanation.
        chance: for some of these regions, the shares of maps that know nothing.
        options: of the methods, as the user chose them.
        reliance: what detections rest on, by their index, where that was asked for.
        composite: what pictures show of an image, see :func:`captum_ssgc.visualization.overview`.
    """

    name: str
    source: str
    image: Tensor
    explanations: Explanations[Explanation]
    model: ModelChoice
    output: str
    shares: Shares = field(default_factory=dict)
    chance: Shares = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reliance: Mapping[int, Reliance] = field(default_factory=dict)
    composite: Composite | None = None

    @property
    def by_detection(self) -> list[list[int]]:
        """Places in :attr:`explanations`, those of one detection together."""
        groups: dict[int, list[int]] = {}
        for place, one in enumerate(self.explanations):
            groups.setdefault(one.index, []).append(place)
        return list(groups.values())

    @property
    def title(self) -> str:
        what = "" if self.output == "score" else f", {self.output} explained"
        return printable(f"{self.name} · {self.model.title}{what}")


def energy_in_boxes(explanations: Sequence[Explanation]) -> list[float | None]:
    """The share of each map's energy in its box; ``None`` for an all-zero map."""
    return [one.energy_in_box() if _shows_something(one) else None for one in explanations]


def energy_in_masks(explanations: Sequence[Explanation]) -> Shares:
    """The same of masks, as a region of :class:`ImageResult`; empty where there are none."""
    if any(one.mask is None for one in explanations):
        return {}
    return {
        "mask": [one.energy_in_mask() if _shows_something(one) else None for one in explanations]
    }


def _shows_something(one: Explanation) -> bool:
    return bool((one.heat_map > 0).any())


def write_result(
    result: ImageResult,
    folder: ResultFolder,
    *,
    raw_maps: bool = False,
    minimal: MinimalSets | None = None,
) -> dict[str, Any]:
    """Write the pictures and the record of one image.

    Args:
        result: what was found.
        folder: where to.
        raw_maps: write the maps as they are, too.
        minimal: the smallest sets of patches for each detection, where they are wanted.

    Returns:
        The record.
    """
    groups = result.by_detection
    first = [result.explanations[places[0]] for places in groups]
    image, composite = result.image, result.composite
    folder.add_picture("overview", overview(image, first, title=result.title, composite=composite))
    if len(groups[0]) > 1:
        rows = [[result.explanations[place] for place in places] for places in groups]
        captions = [[_caption(result, place) for place in places] for places in groups]
        title = f"{result.title} · share of energy in the {', '.join(result.shares)}"
        figure = comparison_grid(image, rows, captions=captions, title=title, composite=composite)
        folder.add_picture("comparison", figure)
    pictures = _write_overlays(result, folder)
    if raw_maps:
        folder.add_maps(result.explanations)
    record = _record(result, pictures)
    if minimal is not None:
        figure = minimal_grid(image, first, minimal, title=result.title, composite=composite)
        folder.add_picture("minimal", figure)
        for entry, sets in zip(record["detections"], minimal_records(minimal), strict=True):
            entry["minimal"] = sets
    folder.add_record(record)
    return record


def print_result(result: ImageResult, folder: ResultFolder) -> None:
    """Print one table line for each map, and where the files are."""
    height, width = result.image.shape[-2:]
    groups = result.by_detection
    count = "1 detection" if len(groups) == 1 else f"{len(groups)} detections"
    head = ["#", "label", "score", "box", "method"]
    numbers = [f"in {region}" for region in result.shares]
    rows = []
    for number, places in enumerate(groups, start=1):
        for place in places:
            one = result.explanations[place]
            box = " ".join(f"{corner:.0f}" for corner in one.box.tolist())
            known = [str(number), one.label, f"{one.score:.3f}", box]
            shares = [_percent(result, region, place) for region in result.shares]
            cells = known if place == places[0] else [""] * len(known)
            rows.append([*cells, one.method, *shares, one.layer or "-"])
    shown = table([*head, *numbers, "layer"], rows, right=["#", "score", "box", *numbers])
    say(f"{result.name}: {width} x {height}, {count}")
    say("\n".join(f"  {line}" for line in shown.splitlines()))
    for number, places in enumerate(groups, start=1):
        relies = result.reliance.get(result.explanations[places[0]].index)
        if relies is not None:
            say(f"  {number} {result.explanations[places[0]].label} {relies}")
    say(f"  -> {folder.path / folder.files[0]} and {len(folder.files) - 1} more files\n")


def _write_overlays(result: ImageResult, folder: ResultFolder) -> list[str]:
    """The names of one picture for each explanation."""
    names = []
    groups = result.by_detection
    digits = len(str(len(groups)))
    for number, places in enumerate(groups, start=1):
        for place in places:
            one = result.explanations[place]
            name = f"{number:0{digits}}_{file_name(one.label, 40)}"
            if len(places) > 1:
                name += f"_{file_name(one.method, 40)}"
            color = BOX_COLORS[(number - 1) % len(BOX_COLORS)]
            figure = overlay(
                result.image,
                one.heat_map,
                one.box,
                one.label,
                one.score,
                number=number,
                method=one.method,
                layer=one.layer,
                source=result.name,
                box_color=color,
                corners=one.corners,
                mask=one.mask,
                composite=result.composite,
            )
            names.append(folder.add_picture(name, figure))
    return names


def _record(result: ImageResult, pictures: list[str]) -> dict[str, Any]:
    picture = iter(pictures)
    height, width = result.image.shape[-2:]
    detections = []
    for number, places in enumerate(result.by_detection, start=1):
        one = result.explanations[places[0]]
        records = [_map_record(result, place, next(picture)) for place in places]
        relies = result.reliance.get(one.index)
        detections.append(
            {
                "number": number,
                "index": one.index,
                "label": one.label,
                "label_index": one.label_index,
                "score": one.score,
                "box": [float(corner) for corner in one.box],
                **({} if one.corners is None else {"corners": one.corners.tolist()}),
                "maps": records,
                **({"rests_on": record_of(relies)} if relies is not None else {}),
            }
        )
    return {
        "image": result.source,
        "width": width,
        "height": height,
        "model": result.model.name,
        "weights": result.model.weights,
        "checkpoint": None if result.model.checkpoint is None else str(result.model.checkpoint),
        "output": result.output,
        "score_threshold": result.model.score_threshold,
        "captum_ssgc": captum_ssgc.__version__,
        "detections": detections,
    }


def _map_record(result: ImageResult, place: int, file: str) -> dict[str, Any]:
    one = result.explanations[place]
    maximum = float(one.heat_map.max())
    return {
        "method": one.method,
        "options": dict(result.options.get(one.method, {})),
        "layer": one.layer or None,
        "maximum": maximum if math.isfinite(maximum) else None,
        **{f"energy_in_{region}": shares[place] for region, shares in result.shares.items()},
        **{f"chance_in_{region}": shares[place] for region, shares in result.chance.items()},
        "file": file,
    }


def _caption(result: ImageResult, place: int) -> str:
    """Such as ``box 95, emblem 11 %``."""
    known = [(region, shares[place]) for region, shares in result.shares.items()]
    texts = [f"{region} {100 * share:.0f}" for region, share in known if share is not None]
    return f"{', '.join(texts)} %" if texts else "all zero"


def _percent(result: ImageResult, region: str, place: int) -> str:
    """Such as ``8.3 %``, or with what chance gives ``8.3 % (7.1)``."""
    share = result.shares[region][place]
    if share is None:
        return "-"
    floor = result.chance[region][place] if region in result.chance else None
    return f"{100 * share:.1f} %" + ("" if floor is None else f" ({100 * floor:.1f})")
