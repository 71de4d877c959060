"""What is computed for each detection: score, logit, an edge, or the contrast of two classes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
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


def kind_of(output: Output) -> str:
    """One of :data:`OUTPUTS`: what a negated one negates; a contrast is made of logits."""
    return output[0] if isinstance(output, tuple) else output.removeprefix("-")


def parse_output(value: object) -> Output:
    """What is to be explained, however it is written.

    Args:
        value: one of :data:`OUTPUTS`, or one negated; a contrast is ``("logit", other label)``, or
            ``"contrast:NAME"`` with the name of the other label or its index, as a command or a
            file has it. A pair may be a list.

    Raises:
        TypeError: if it is neither a text nor a pair.
        ValueError: if it means nothing.

    Example:
        >>> from captum_ssgc._outputs import parse_output
        >>> parse_output("-logit"), parse_output("contrast:traffic light")
        ('-logit', ('logit', 'traffic light'))
    """
    if isinstance(value, str):
        kind, colon, name = value.partition(":")
        if value.removeprefix("-") in OUTPUTS:
            return cast("Output", value)
        if kind == _CONTRAST and colon:
            if not name.strip():
                raise ValueError(
                    "output: expected contrast:NAME with the name or index of a label."
                )
            return ("logit", name.strip())
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        first, other = value
        others = other if isinstance(other, (tuple, list)) else (other,)
        if first == "logit" and all(_is_label(one) for one in others):
            labels = tuple(one if isinstance(one, str) else int(one) for one in others)
            return ("logit", labels[0] if others is not other else labels)
    elif not isinstance(value, tuple):
        raise TypeError(
            f"output: expected a text, got {shown(value)}; a contrast is ('logit', other label)."
        )
    raise ValueError(
        f"output: expected one of {', '.join(OUTPUTS)}, one of these negated ('-logit'), or a "
        f"contrast, ('logit', other label) or '{_CONTRAST}:NAME' with the name or index of the "
        f"other label, got {shown(value)}."
    )


def _is_label(value: object) -> bool:
    return isinstance(value, (Integral, str)) and not isinstance(value, bool)


def written_output(output: Output) -> str:
    """For readers, and on the command line: the ``contrast:NAME`` of a contrast, else the same."""
    if isinstance(output, str):
        return output
    others = output[1] if isinstance(output[1], tuple) else (output[1],)
    return f"{_CONTRAST}:{','.join(map(str, others))}"


def stored_output(output: Output) -> str | list[Any]:
    """For a file, from which :func:`parse_output` reads the very same."""
    text = written_output(output)
    return text if parse_output(text) == output else list(output)


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
