"""What is computed for each detection: score, logit, an edge, or the contrast of two classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeGuard, cast, get_args

import torch
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc.detections import Detections

NamedOutput = Literal["score", "logit", "left", "top", "right", "bottom"]
NegatedOutput = Literal["-score", "-logit", "-left", "-top", "-right", "-bottom"]
Other = int | str
Contrast = tuple[Literal["logit"], Other | tuple[Other, ...]]
Output = NamedOutput | NegatedOutput | Contrast
OUTPUTS: tuple[str, ...] = get_args(NamedOutput)
EDGES = ("left", "top", "right", "bottom")
_CONTRAST = "contrast"
_LONGEST_INDEX = 9


def check_output(output: object) -> None:
    """Raise ``ValueError`` unless ``output`` is one of the known ones."""
    if isinstance(output, str) and output.removeprefix("-") in OUTPUTS:
        return
    if isinstance(output, tuple) and len(output) == 2 and output[0] == "logit":
        others = output[1] if isinstance(output[1], tuple) else (output[1],)
        if all(isinstance(one, (int, str)) and not isinstance(one, bool) for one in others):
            return
    raise ValueError(
        f"output: expected one of {', '.join(OUTPUTS)}, one of these negated ('-logit'), or "
        f"('logit', other label), got {shown(output)}."
    )


def kind_of(output: Output) -> str:
    """One of :data:`OUTPUTS`: what a negated one negates; a contrast is made of logits."""
    return output[0] if isinstance(output, tuple) else output.removeprefix("-")


def parse_output(text: str) -> Output:
    """What a command or a file calls an output: ``contrast:NAME`` for a contrast, else the same.

    Args:
        text: ``NAME`` is the name of the other label, or its index.

    Raises:
        ValueError: if it is none.

    Example:
        >>> from captum_ssgc._outputs import parse_output
        >>> parse_output("-logit"), parse_output("contrast:traffic light")
        ('-logit', ('logit', 'traffic light'))
    """
    kind, colon, other = text.partition(":")
    output: Any = ("logit", other.strip()) if kind == _CONTRAST and colon else text
    if output == ("logit", ""):
        raise ValueError("output: expected contrast:NAME with the name or index of a label.")
    if isinstance(output, str) and output.removeprefix("-") not in OUTPUTS:
        raise ValueError(
            f"output: expected one of {', '.join(OUTPUTS)}, one of these negated ('-logit'), or "
            f"'{_CONTRAST}:NAME' with the name or index of another label, got {shown(text)}."
        )
    return cast("Output", output)


def is_contrast(output: Output) -> TypeGuard[Contrast]:
    """Whether it is the difference of two classes' logits."""
    return isinstance(output, tuple)


def with_label_indices(output: Output, names: Sequence[str] | None) -> Output:
    """The same, with class indices for class names; digits that are no name are an index.

    Raises:
        ValueError: for a name that is not among ``names``.
    """
    if not is_contrast(output):
        return output
    known, other = list(names or ()), output[1]

    def index(one: Other) -> Other:
        if not isinstance(one, str):
            return one
        if one in known:
            return known.index(one)
        if one.isascii() and one.isdecimal() and len(one) < _LONGEST_INDEX:
            return int(one)
        expected = f"one of {', '.join(known)}" if known else "a class index: it has no names"
        raise ValueError(f"output: the detector knows no {one!r}; expected {expected}.")

    if isinstance(other, tuple):
        return ("logit", tuple(index(one) for one in other))
    return ("logit", index(other))


def of_rows(output: Output, rows: Sequence[int]) -> Output:
    """The same for some of the detections, where there is an other label for each."""
    if is_contrast(output) and isinstance(output[1], tuple):
        return ("logit", tuple(output[1][row] for row in rows))
    return output


def other_labels(output: Contrast, chosen: Detections) -> Tensor:
    """The other label of each detection, ``(K,)``.

    Raises:
        ValueError: for a label that the detector does not have, or too few or many of them.
    """
    count, classes = chosen.class_scores.shape
    others = output[1] if isinstance(output[1], tuple) else (output[1],) * count
    if len(others) != count:
        raise ValueError(
            f"output: expected one other label, or one for each of {count} detections, got "
            f"{len(others)}."
        )
    wrong = [one for one in others if not (isinstance(one, int) and 0 <= one < classes)]
    if wrong:
        raise ValueError(
            f"output: expected an other label from 0 to {classes - 1}, got {wrong[0]}."
        )
    return torch.tensor(others, dtype=torch.int64, device=chosen.labels.device)
