"""The columns of the benchmark's table: what is measured, and which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "digits", "number"]


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        key: in records and files.
        title: as the paper writes it.
        metric: what the user names to get it; empty for the ones that are always there.
        higher_is_better: the direction.
        explanation: one sentence for readers of the report.
        unit: how it is written.
    """

    key: str
    title: str
    metric: str
    higher_is_better: bool
    explanation: str
    unit: Unit = "number"

    @property
    def group(self) -> str:
        """What kind of question it answers, for the head of the table."""
        return _GROUPS.get(self.metric, "Practice")

    @property
    def arrow(self) -> str:
        """``↑`` where higher is better, ``↓`` where lower is."""
        return "↑" if self.higher_is_better else "↓"

    def better(self, one: float, other: float) -> bool:
        """Whether ``one`` is better than ``other``."""
        return one > other if self.higher_is_better else one < other

    def text(self, value: float) -> str:
        """``value`` as the table writes it."""
        if self.unit == "share":
            return f"{100 * value:.1f} %"
        return f"{value:.2g}" if self.unit == "digits" else f"{value:.3f}"


_GROUPS = {
    "deletion-insertion": "Faithful to the detector",
    "pointing-game": "On the annotated object",
    "energy-pointing-game": "On the annotated object",
    "evidence-energy": "On the cause",
    "infidelity": "Captum's own",
    "sensitivity": "Captum's own",
    "randomisation": "Sanity",
}

COLUMNS = (
    Column(
        "del_s1",
        "Del s1",
        "deletion-insertion",
        False,
        "Deletion: area under the detection's class score while pixels are removed, hottest first.",
    ),
    Column(
        "ins_s1",
        "Ins s1",
        "deletion-insertion",
        True,
        "Insertion: area under the detection's class score while pixels are added, hottest first.",
    ),
    Column(
        "del_s2",
        "Del s2",
        "deletion-insertion",
        False,
        "Deletion of the detection as a whole: s2 is the largest IoU × cosine of the class scores "
        "among all candidates above 0.05.",
    ),
    Column(
        "ins_s2",
        "Ins s2",
        "deletion-insertion",
        True,
        "Insertion of the detection as a whole, with the same s2.",
    ),
    Column(
        "p_b",
        "P(b)",
        "pointing-game",
        True,
        "Pointing game: how often the hottest pixel lies in the annotated box.",
    ),
    Column(
        "p_m",
        "P(m)",
        "pointing-game",
        True,
        "Pointing game with the annotated mask.",
    ),
    Column(
        "ep_b",
        "eP(b)",
        "energy-pointing-game",
        True,
        "Share of the map's energy in the annotated box.",
    ),
    Column(
        "ep_m",
        "eP(m)",
        "energy-pointing-game",
        True,
        "Share of the map's energy on the annotated mask.",
    ),
    Column(
        "evidence",
        "Evidence",
        "evidence-energy",
        True,
        "Share of the map's energy on the emblem that alone decides the object's class.",
    ),
    Column(
        "infidelity",
        "Infidelity",
        "infidelity",
        False,
        "Captum's infidelity, normalised: squared error of the score's change as the map predicts "
        "it when random squares are removed.",
        "digits",
    ),
    Column(
        "sensitivity",
        "Sensitivity",
        "sensitivity",
        False,
        "Captum's sensitivity: the largest relative change of the map under invisible noise.",
    ),
    Column(
        "randomised",
        "Randomised",
        "randomisation",
        False,
        "What is left of the map when the detector has forgotten all that it has learnt: its SSIM "
        "with the map of a copy whose parameters are in a random order.",
    ),
    Column(
        "zero",
        "Zero",
        "",
        False,
        "Share of detections whose map is zero everywhere (or not finite).",
        "share",
    ),
    Column(
        "seconds",
        "s / det.",
        "",
        False,
        "Seconds for one detection's map, as if the method ran alone.",
        "digits",
    ),
)
SECONDS = "seconds"

METRICS = (
    "deletion-insertion",
    "pointing-game",
    "energy-pointing-game",
    "evidence-energy",
    "infidelity",
    "sensitivity",
    "randomisation",
)
TABLE_METRICS = METRICS[:4]
"""What ``"all"`` stands for; the others are asked for by name: infidelity and sensitivity cost more
than all others, randomisation needs every map a second time and a copy of the model."""

ON_ANNOTATIONS = frozenset({"pointing-game", "energy-pointing-game", "evidence-energy"})
"""Metrics of detections that are matched to an annotation."""

CURVES = ("del_s1", "ins_s1", "del_s2", "ins_s2")


def metrics_named(names: str | Iterable[str]) -> tuple[str, ...]:
    """The metrics of one name or several, in the order of :data:`METRICS`.

    Raises:
        ValueError: if one is not known, or there is none.
    """
    given = [names] if isinstance(names, str) else list(names)
    wanted = {one for name in given for one in (TABLE_METRICS if name == "all" else (name,))}
    unknown = sorted(wanted - set(METRICS))
    if unknown or not wanted:
        got = ", ".join(map(repr, unknown)) or "none"
        raise ValueError(f"metrics: expected all or some of {', '.join(METRICS)}, got {got}.")
    return tuple(name for name in METRICS if name in wanted)


def columns_of(metrics: Sequence[str]) -> list[Column]:
    """The columns that these metrics fill, with those that are always there."""
    return [column for column in COLUMNS if not column.metric or column.metric in metrics]
