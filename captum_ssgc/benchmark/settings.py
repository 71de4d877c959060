"""What a benchmark run measures, and how: everything that its numbers depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from captum_ssgc.benchmark.checks import grid_of_cells, share, text, texts, whole_number
from captum_ssgc.benchmark.columns import METRICS, TABLE_METRICS, metrics_named
from captum_ssgc.benchmark.floor_names import FLOORS
from captum_ssgc.benchmark.stored_settings import StoredSettings

# The command line makes its options of the fields, and help must not import torch.
if TYPE_CHECKING:
    from captum_ssgc.benchmark.rows import MethodRow, Methods
    from captum_ssgc.detector import Output
    from captum_ssgc.metrics import Preset

REFERENCE = "ssgrad-cam++"


@dataclass(frozen=True)
class BenchmarkSettings(StoredSettings):
    """Everything that the numbers of a run depend on, besides data and model.

    Args:
        methods: the rows of the table: names of :data:`captum_ssgc.attr.METHODS`, or ``"all"``;
            a pair ``(name, options)`` or a :class:`MethodRow` where a method has options of its
            own, so that one method may stand in several rows.
        metrics: some of ``deletion-insertion``, ``pointing-game``, ``energy-pointing-game``,
            ``evidence-energy`` (where the cause is known), ``infidelity``, ``sensitivity``,
            ``randomisation``; ``"all"`` stands for the first four, which make the paper's table.
        floors: maps that know nothing about the detector and that no method should lose to:
            ``noise``, ``box`` (the detection's own box, filled), ``centre`` (a Gaussian in the
            middle of the image).
        preset: of Deletion and Insertion, one of :data:`captum_ssgc.metrics.PRESETS`.
        layer: names of the layers to attribute; ``None``: what the detector recommends for each
            detection.
        output: what is explained where a row does not say, see
            :class:`captum_ssgc.InstanceScoreWrapper`.
        mask: ``"region"``, ``"box"``, ``"mask"`` or ``None``, for the methods that use a mask,
            where a row does not say.
        score_above: detections with a higher score are evaluated, in [0, 1]; ``None``: as the
            preset says, 0.5 where it says nothing.
        iou_above: a detection whose IoU with an annotation of its class is higher is played in the
            pointing games, in [0, 1]; ``None``: as the preset says, 0.5 where it says nothing.
        max_detections: the most detections per image, best first; ``None`` for all.
        drise_masks: masks of D-RISE, at most 10 ** 7.
        drise_grid: cells of a mask of D-RISE, ``(h, w)``, each from 1 to 1024.
        perturbed_images: samples of infidelity and sensitivity for each map.
        batch_size: changed images in one forward. It bounds the memory; the numbers depend on it
            in their last digits only.
        threads: CPU threads of each process. The numbers depend on it in their last digits, so
            that it must not follow from the machine; several processes use a machine better.
            At most 1024.
        seed: of everything random, from 0 to 2 ** 63 - 1; the numbers of an image depend on it and
            on the image alone.

    Raises:
        TypeError: for a setting of a wrong type.
        ValueError: for an unknown name or a number out of range.

    Example:
        >>> from captum_ssgc.benchmark import BenchmarkSettings
        >>> settings = BenchmarkSettings(["odam", ("odam", {"smoothing": 1})], ["pointing-game"])
        >>> [row.title for row in settings.rows]
        ['ODAM', 'ODAM [smoothing=1]']
        >>> settings.score_threshold, settings.iou_threshold
        (0.6, 0.7)
    """

    methods: Methods = "all"
    metrics: tuple[str, ...] = field(
        default=TABLE_METRICS,
        metadata={
            "help": f"{', '.join(TABLE_METRICS)}, or all of these; besides, on request, "
            f"{' and '.join(METRICS[len(TABLE_METRICS) :])}"
        },
    )
    floors: tuple[str, ...] = field(
        default=tuple(FLOORS),
        metadata={"help": f"maps that know nothing, to compare with: {', '.join(FLOORS)}, or none"},
    )
    preset: str = field(
        default="yamauchi2024",
        metadata={
            "help": "choices of a publication for deletion and insertion, and for the detections "
            "that are evaluated: yamauchi2024, drise, odam, vxcode2026, "
            "vxcode2026-patches"
        },
    )
    layer: tuple[str, ...] | None = field(
        default=None,
        metadata={
            "help": "modules to attribute (default: as the detector recommends for each detection)"
        },
    )
    output: Output = field(
        default="score",
        metadata={
            "help": "what is explained: score, logit, left, top, right, bottom, one of these "
            "negated, or contrast:NAME"
        },
    )
    mask: str | None = field(
        default="region",
        metadata={"help": "where the methods that use a mask look: region, box, mask or none"},
    )
    score_above: float | None = field(
        default=None,
        metadata={"help": "evaluate detections with a higher score (default: as the preset)"},
    )
    iou_above: float | None = field(
        default=None,
        metadata={
            "help": "play the pointing games with detections that overlap their annotation more "
            "(default: as the preset)"
        },
    )
    max_detections: int | None = field(
        default=None,
        metadata={"help": "at most so many detections of an image, the best ones (default: all)"},
    )
    drise_masks: int = field(default=1000, metadata={"help": "masked images for d-rise"})
    drise_grid: tuple[int, int] = field(
        default=(16, 16), metadata={"help": "cells of a mask of d-rise"}
    )
    perturbed_images: int = field(
        default=10, metadata={"help": "samples of infidelity and sensitivity for each map"}
    )
    batch_size: int = field(default=16, metadata={"help": "changed images in one forward"})
    threads: int = field(
        default=1,
        metadata={
            "help": "CPU threads of each process; the last digits depend on it, which is why it "
            "does not follow from the machine"
        },
    )
    seed: int = field(default=0, metadata={"help": "of all that is random"})

    def __post_init__(self) -> None:
        from captum_ssgc.attr import check_mask
        from captum_ssgc.benchmark.rows import output_for_all, rows_named
        from captum_ssgc.metrics import preset_named

        self._set("methods", rows_named(self.methods))
        self._set("metrics", metrics_named(texts("metrics", self.metrics)))
        self._set("floors", _floors(texts("floors", self.floors)))
        preset_named(text("preset", self.preset))
        self._set("output", output_for_all(self.output))
        if self.mask is not None:
            check_mask(text("mask", self.mask))
        if self.layer is not None:
            self._set("layer", texts("layer", self.layer))
        for name in ("score_above", "iou_above"):
            if getattr(self, name) is not None:
                self._set(name, share(name, getattr(self, name)))
        if self.max_detections is not None:
            self._set(
                "max_detections", whole_number("max_detections", self.max_detections, 1, 10**7)
            )
        for name, most in _MOST.items():
            self._set(name, whole_number(name, getattr(self, name), 1, most))
        self._set("seed", whole_number("seed", self.seed, 0, 2**63 - 1))
        self._set("drise_grid", grid_of_cells("drise_grid", self.drise_grid))

    @property
    def curve_preset(self) -> Preset:
        """The preset itself."""
        from captum_ssgc.metrics import preset_named

        return preset_named(self.preset)

    @property
    def score_threshold(self) -> float:
        """Detections above it are evaluated."""
        return _first(self.score_above, self.curve_preset.score_above, 0.5)

    @property
    def iou_threshold(self) -> float:
        """Detections that overlap their annotation more than this are in the pointing games."""
        return _first(self.iou_above, self.curve_preset.annotation_iou_above, 0.5)

    @property
    def rows(self) -> tuple[MethodRow, ...]:
        """The rows of the table that are methods."""
        from captum_ssgc.benchmark.rows import rows_named

        return rows_named(self.methods)

    @property
    def titles(self) -> dict[str, str]:
        """The rows of the table, methods and then floors: titles by key."""
        methods = {row.key: row.title for row in self.rows}
        return methods | {name: FLOORS[name] for name in self.floors}

    @property
    def reference(self) -> str | None:
        """Key of the row that the others are compared with; ``None`` if there is none.

        The first row of SSGrad-CAM++, that without options before others.
        """
        rows = [row for row in self.rows if row.method == REFERENCE]
        return min(rows, key=lambda row: bool(row.options)).key if rows else None

    def options_of(self, row: MethodRow) -> dict[str, Any]:
        """All options of a row: its own, and else what the run says."""
        from captum_ssgc.attr import method_named
        from captum_ssgc.benchmark.rows import options_of

        method = method_named(row.method)
        run = {name: getattr(self, field) for name, field in method.of_settings.items()}
        taken = options_of(method)
        return {**{name: value for name, value in run.items() if name in taken}, **row.options}

    def as_json(self) -> dict[str, Any]:
        """For the file of the run."""
        from captum_ssgc._outputs import stored_output

        methods = [row.as_json() for row in self.rows]
        return {**super().as_json(), "methods": methods, "output": stored_output(self.output)}


_MOST = {"drise_masks": 10**7, "perturbed_images": 10**7, "batch_size": 10**7, "threads": 1024}


def _floors(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in FLOORS]
    if unknown:
        raise ValueError(f"floors: expected some of {', '.join(FLOORS)}, got {unknown[0]!r}.")
    return tuple(name for name in FLOORS if name in names)


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
