"""What the detections of an image rest on, for ``captum-ssgc explain --reliance``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.each_image import ExplainedImage

if TYPE_CHECKING:
    from captum_ssgc.metrics import Reliance

# Maps of an edge or a contrast do not say what a score rests on.
_OF_THE_SCORE = ("score", "logit")


def reliance_of(of: ExplainedImage) -> dict[int, Reliance]:
    """What each detection rests on, by its index; with the maps of the first method.

    Other detections are its neighbours, as nothing is annotated.
    """
    import torch

    from captum_ssgc.metrics import reliance

    first = [one for one in of.explanations if one.method == of.explanations[0].method]
    image = of.image.to(first[0].heat_map.device)
    indices = [one.index for one in first]
    said = reliance(
        of.detector,
        image,
        of.detector.detect(image)[0][indices],
        torch.stack([one.heat_map for one in first]) if _maps_tell(of) else None,
        images_per_forward=of.args.batch_size,
    )
    return dict(zip(indices, said, strict=True))


def record_of(one: Reliance) -> dict[str, Any]:
    """The verdict with all its figures, for a JSON file."""
    known: Mapping[str, Any] = vars(one)
    figures = {name: dict(value) if isinstance(value, Mapping) else value
               for name, value in known.items()}  # fmt: skip
    return {"words": str(one), **figures}


def _maps_tell(of: ExplainedImage) -> bool:
    own = of.options.get(of.explanations[0].method, {})
    return own.get("output", of.args.output) in _OF_THE_SCORE
