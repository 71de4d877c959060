"""What thresholds can be."""

from __future__ import annotations

from captum_ssgc._arguments import check_share


def check_thresholds(score: float, foreground_iou: float, background_iou: float) -> None:
    """Raise ``ValueError`` or ``TypeError`` for thresholds that mean nothing."""
    named = {
        "score_threshold": score,
        "foreground_iou": foreground_iou,
        "background_iou": background_iou,
    }
    for name, value in named.items():
        check_share(name, value)
    if not 0.0 < background_iou <= foreground_iou:
        raise ValueError(
            "background_iou: expected more than 0 and foreground_iou at most "
            f"({foreground_iou:g}), got {background_iou:g}."
        )
