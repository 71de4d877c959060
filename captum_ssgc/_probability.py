"""Probabilities whose gradients survive saturation.

``p (1 - p)`` is 0 in float32 once ``p`` rounds to 1, at a logit of about 17, and inexact long
before. Beyond a logit of about 100 it underflows itself, although the way to the logit is known as
well as ever: a map, whose scale says nothing, needs no more.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SLOPE = 1e-30
_FAR = 1e30
_ROUNDINGS = 4


def sigmoid_score(logits: Tensor) -> Tensor:
    """``sigmoid(logits)``, with an exact gradient also where it rounds to 1.

    :data:`LEAST_SLOPE` is added to ``p (1 - p)``, less than float32 can tell before a logit of 53.
    """
    score = torch.where(logits > 0, 1.0 - torch.sigmoid(-logits), torch.sigmoid(logits))
    if not (torch.is_grad_enabled() and logits.requires_grad):
        return score
    finite = logits.nan_to_num()
    return score + LEAST_SLOPE * (finite - finite.detach())


def softmax_score(logits: Tensor, labels: Tensor) -> Tensor:
    """The softmax of ``logits (R, C)`` at ``labels (R,)``, with an exact gradient.

    It is the sigmoid of the log-odds against all other classes.
    """
    place = labels[:, None]
    others = logits.scatter(1, place, float("-inf")).logsumexp(1)
    return sigmoid_score(logits.gather(1, place)[:, 0] - others)


def with_slopes_of(logits: Tensor, scores: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """Scores as they are, with an exact gradient where they are a function of logits that is known.

    Args:
        logits: ``(R, C)``.
        scores: ``(R, C)``; if all of them are the sigmoid, or the softmax, of the logits, that is
            what they are taken for. Otherwise, as with an objectness, their own gradient is kept.
        rows: ``(K,)`` of those that are wanted.
        labels: ``(K,)``.

    Returns:
        ``(K,)``, in float32 at least.
    """
    single = torch.promote_types(scores.dtype, torch.float32)
    wanted = scores[rows, labels].to(single)
    if not (torch.is_grad_enabled() and logits.requires_grad):
        return wanted
    plain = logits.to(single).nan_to_num(nan=0.0, posinf=_FAR, neginf=-_FAR)
    makers = {"sigmoid": sigmoid_score(plain[rows, labels])}
    if plain.shape[1] > 1:
        makers["softmax"] = softmax_score(plain[rows], labels)
    result, tolerance = wanted, _ROUNDINGS * torch.finfo(scores.dtype).eps
    for name, made in makers.items():
        with torch.no_grad():
            all_scores = plain.sigmoid() if name == "sigmoid" else plain.softmax(-1)
            known = ((all_scores - scores).abs() <= tolerance).all()  # the host need not know
        exact = wanted.detach() + (made - made.detach())
        result = torch.where(known, exact, result)
    return result
