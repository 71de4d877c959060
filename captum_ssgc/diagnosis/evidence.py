"""Heat maps that answer what a diagnosis leaves open, from the recorded forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor

from captum_ssgc.attr import LayerMethod, Recording, method_named
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Output
from captum_ssgc.diagnosis.diagnosis import Diagnosis


@dataclass(frozen=True, eq=False)
class Question:
    """One map that is wanted.

    Args:
        of: place of the diagnosis.
        name: of the question.
        instance: what is explained (``K = 1``).
        output: of it; of a contrast ``"logit"``.
        other: the label that a contrast is with.
    """

    of: int
    name: str
    instance: Detections
    output: Output
    other: int | None = None


def gradient_method(name: str) -> type[LayerMethod]:
    """The method of this name.

    Raises:
        ValueError: if there is none, or it is not made of gradients.
    """
    method = method_named(name)
    if not issubclass(method, LayerMethod):
        raise ValueError(
            f"method: {name!r} explains a detection as a whole, and cannot tell what speaks for "
            "and against a class; expected one that is made of gradients, such as 'ssgrad-cam++'."
        )
    return method


def with_maps(
    diagnoses: Sequence[Diagnosis], labels: Tensor, method: str, record: Recording
) -> list[Diagnosis]:
    """The same diagnoses with their maps.

    Args:
        diagnoses: those of the recorded image.
        labels: ``(G,)`` of the annotated objects.
        method: name of a method.
        record: of the run.
    """
    chosen = gradient_method(method)
    questions = [
        question
        for place, one in enumerate(diagnoses)
        for question in _questions(place, one, labels.tolist())
    ]
    groups: dict[tuple[Output, bool], list[Question]] = {}
    for question in questions:
        groups.setdefault((question.output, question.other is None), []).append(question)
    maps: list[dict[str, Tensor]] = [{} for _ in diagnoses]
    for (output, plain), group in groups.items():
        if not plain:
            output = ("logit", tuple(cast("int", question.other) for question in group))
        instances = Detections.cat([question.instance for question in group])
        device = record.images.device
        [made] = record.of_instances([chosen.request({}, output)], instances.to(device))
        for question, heat_map in zip(group, made.heat_maps(), strict=True):
            maps[question.of][question.name] = heat_map
    return [replace(one, maps=own) for one, own in zip(diagnoses, maps, strict=True)]


def _questions(place: int, one: Diagnosis, labels: Sequence[int]) -> list[Question]:
    """What a diagnosis leaves open; ``labels`` are those of the annotated objects."""
    if one.kind in ("found", "ignored"):
        return []
    asked = []
    best = one.candidate if one.object_index is not None else one.detection
    if best is not None:
        asked += [Question(place, "for", best, "logit"), Question(place, "against", best, "-logit")]
    about = one.mistaken_for if one.object_index is None else one.object_index
    other = None if about is None else labels[about]
    winner = one.by if one.detection is None else one.detection
    if winner is not None and other is not None and int(winner.labels) != other:
        asked.append(Question(place, "contrast", winner, "logit", other))
    placed = one.candidate if one.detection is None else one.detection
    if one.edge is not None and one.edge_off_by is not None and placed is not None:
        sign = "" if one.edge_off_by > 0 else "-"
        asked.append(Question(place, "edge", placed, cast("Output", sign + one.edge)))
    return asked
