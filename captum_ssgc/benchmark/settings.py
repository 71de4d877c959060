"""What a benchmark run measures, and how: everything that its numbers depend on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from captum_ssgc.attr import METHODS, check_mask, methods_named
from captum_ssgc.benchmark.columns import TABLE_METRICS, metrics_named
from captum_ssgc.detector import Output, check_output
from captum_ssgc.metrics import Preset, preset_named

FLOORS = {"noise": "Noise", "box": "The box itself", "centre": "Centre prior"}
REFERENCE = "ssgrad-cam++"


@dataclass(frozen=True)
class BenchmarkSettings:
    """Everything that the numbers of a run depend on, besides data and model.

    Args:
        methods: names of :data:`captum_ssgc.attr.METHODS`, or ``"all"``.
        metrics: some of ``deletion-insertion``, ``pointing-game``, ``energy-pointing-game``,
            ``evidence-energy`` (where the cause is known), ``infidelity``, ``sensitivity``;
            ``"all"`` stands for the first four, which make the paper's table.
        floors: maps that know nothing about the detector and that no method should lose to:
            ``noise``, ``box`` (the detection's own box, filled), ``centre`` (a Gaussian in the
            middle of the image).
        preset: of Deletion and Insertion, one of :data:`captum_ssgc.metrics.PRESETS`.
        layer: names of the layers to attribute; ``None``: what the detector recommends for each
            detection.
        output: what is explained, see :class:`captum_ssgc.InstanceScoreWrapper`.
        mask: ``"region"``, ``"box"`` or ``None``, for the methods that use a mask.
        score_above: detections with a higher score are evaluated, in [0, 1]; ``None``: as the
            preset says, 0.5 where it says nothing.
        iou_above: a detection whose IoU with an annotation of its class is higher is played in the
            pointing games, in [0, 1]; ``None``: as the preset says, 0.5 where it says nothing.
        max_detections: the most detections per image, best first; ``None`` for all.
        drise_masks: masks of D-RISE.
        drise_grid: cells of a mask of D-RISE, ``(h, w)``.
        perturbed_images: samples of infidelity and sensitivity for each map.
        batch_size: changed images in one forward. It bounds the memory; the numbers depend on it
            in their last digits only.
        threads: CPU threads of each process. The numbers depend on it in their last digits, so
            that it must not follow from the machine; several processes use a machine better.
        seed: of everything random; the numbers of an image depend on it and on the image alone.

    Raises:
        TypeError, ValueError: for an unknown name or a number out of range.

    Example:
        >>> from captum_ssgc.benchmark import BenchmarkSettings
        >>> settings = BenchmarkSettings(methods="odam", metrics=["pointing-game"])
        >>> settings.methods, settings.score_threshold, settings.iou_threshold
        (('odam',), 0.6, 0.7)
    """

    methods: tuple[str, ...] | str = tuple(METHODS)
    metrics: tuple[str, ...] | str = TABLE_METRICS
    floors: tuple[str, ...] = tuple(FLOORS)
    preset: str = "yamauchi2024"
    layer: tuple[str, ...] | None = None
    output: Output = "score"
    mask: str | None = "region"
    score_above: float | None = None
    iou_above: float | None = None
    max_detections: int | None = None
    drise_masks: int = 1000
    drise_grid: tuple[int, int] = (16, 16)
    perturbed_images: int = 10
    batch_size: int = 16
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        self._set("methods", tuple(entry.name for entry in methods_named(self.methods)))
        self._set("metrics", metrics_named(self.metrics))
        self._set("floors", _names("floors", self.floors, FLOORS))
        preset_named(self.preset)
        check_output(self.output)
        check_mask(self.mask, has_detections=True)
        if self.layer is not None:
            names = (self.layer,) if isinstance(self.layer, str) else tuple(self.layer)
            self._set("layer", names)
        self._set("drise_grid", tuple(self.drise_grid))
        for name in ("score_above", "iou_above"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: expected a number in [0, 1] or None, got {value!r}.")
        for name in ("drise_masks", "perturbed_images", "batch_size", "threads"):
            _check_count(name, getattr(self, name))
        if self.max_detections is not None:
            _check_count("max_detections", self.max_detections)

    @property
    def curve_preset(self) -> Preset:
        """The preset itself."""
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
    def map_names(self) -> tuple[str, ...]:
        """Methods, then floors: the rows of the table."""
        return (*self.methods, *self.floors)

    def options_of(self, method: str) -> dict[str, Any]:
        """The options of one method."""
        if method == "d-rise":
            return {"n_masks": self.drise_masks, "grid": self.drise_grid}
        return {}

    def as_json(self) -> dict[str, Any]:
        """For the file of the run."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> BenchmarkSettings:
        """What :meth:`as_json` wrote."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in content.items()
            if name in known
        }
        return cls(**values)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def row_title(name: str) -> str:
    """A method or floor as the table writes it."""
    return FLOORS[name] if name in FLOORS else METHODS[name].title


def _names(what: str, given: str | Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{what}: expected some of {', '.join(known)}, got {unknown[0]!r}.")
    return tuple(name for name in known if name in names)


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected a whole number, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name}: expected at least 1, got {value}.")
