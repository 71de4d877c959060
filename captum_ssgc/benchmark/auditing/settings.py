"""What an audit looks at, and from where on a figure counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captum_ssgc.benchmark.checks import share, text, texts, whole_number
from captum_ssgc.benchmark.stored_settings import StoredSettings

# The command line makes its options of the fields, and help must not import torch.
if TYPE_CHECKING:
    from captum_ssgc.metrics import RelianceThresholds

_SHARES = (
    *("score_threshold", "foreground_iou", "background_iou"),
    *("alone", "without", "neighbour"),
)


@dataclass(frozen=True)
class AuditSettings(StoredSettings):
    """Everything that an audit depends on, besides data and model.

    Args:
        score_threshold: detections below it do not count.
        foreground_iou: from this IoU on a detection is the object.
        background_iou: up to this IoU a detection has nothing to do with an object.
        max_detections: the most detections of an image, best first, for which it is measured what
            they rest on; ``None`` for all. Each takes two forwards for every fill.
        method: of the maps, one that is made of gradients; ``None``: no maps, so that
            nothing can be said of neighbours.
        layer: names of the layers to attribute; ``None``: what the detector recommends for each
            detection.
        fills: what removed pixels become, see :func:`captum_ssgc.metrics.reliance`.
        alone, without, neighbour: see :class:`captum_ssgc.metrics.RelianceThresholds`.
        batch_size: changed images in one forward; it bounds the memory.
        threads: CPU threads of each process; the last digits of the figures depend on it.
        seed: of the intervals, from 0 to 2 ** 63 - 1.

    Raises:
        TypeError: for a setting of a wrong type.
        ValueError: for an unknown name or a number out of range.

    Example:
        >>> from captum_ssgc.benchmark import AuditSettings
        >>> AuditSettings(score_threshold=0.3).reliance_thresholds.neighbour
        0.675
    """

    score_threshold: float = field(
        default=0.5, metadata={"help": "detections with a lower score do not count"}
    )
    foreground_iou: float = field(
        default=0.5, metadata={"help": "from this IoU on a detection is the object"}
    )
    background_iou: float = field(
        default=0.1, metadata={"help": "up to this IoU it has nothing to do with the object"}
    )
    max_detections: int | None = field(
        default=10,
        metadata={
            "help": "so many detections of an image, the best ones, are tried with and without "
            "what is around them; none for all"
        },
    )
    method: str | None = "ssgrad-cam++"
    layer: tuple[str, ...] | None = field(
        default=None,
        metadata={
            "help": "modules to attribute (default: as the detector recommends for each detection)"
        },
    )
    fills: tuple[str, ...] = field(
        default=("mean", "blur", "noise"),
        metadata={"help": "what removed pixels become, some of zero, mean, blur, noise"},
    )
    alone: float = field(
        default=0.5,
        metadata={"help": "share of the score left with the box alone, to rest on the object"},
    )
    without: float = field(
        default=0.5,
        metadata={"help": "share of it left without the box, to rest on what is around"},
    )
    neighbour: float = field(
        default=0.675,
        metadata={
            "help": "share of the map on other objects, for what is around to be a neighbour"
        },
    )
    batch_size: int = field(default=8, metadata={"help": "changed images in one forward"})
    threads: int = field(default=1, metadata={"help": "CPU threads of each process"})
    seed: int = field(default=0, metadata={"help": "of the intervals"})

    def __post_init__(self) -> None:
        from captum_ssgc.diagnosis.evidence import gradient_method
        from captum_ssgc.diagnosis.thresholds import check_thresholds
        from captum_ssgc.metrics import CurveSettings

        for name in _SHARES:
            self._set(name, share(name, getattr(self, name)))
        check_thresholds(self.score_threshold, self.foreground_iou, self.background_iou)
        if self.max_detections is not None:
            self._set(
                "max_detections", whole_number("max_detections", self.max_detections, 1, 10**7)
            )
        if self.method is not None:
            gradient_method(text("method", self.method))
        for name in ("layer", "fills"):
            if getattr(self, name) is not None:
                self._set(name, texts(name, getattr(self, name)))
        if not self.fills:
            raise ValueError("fills: expected at least one name, got none.")
        for fill in self.fills:
            CurveSettings(baseline=fill)
        self._set("batch_size", whole_number("batch_size", self.batch_size, 1, 10**7))
        self._set("threads", whole_number("threads", self.threads, 1, 1024))
        self._set("seed", whole_number("seed", self.seed, 0, 2**63 - 1))
        _ = self.reliance_thresholds

    @property
    def reliance_thresholds(self) -> RelianceThresholds:
        """From where on a figure of reliance counts."""
        from captum_ssgc.metrics import RelianceThresholds

        return RelianceThresholds(self.alone, self.without, self.neighbour)
