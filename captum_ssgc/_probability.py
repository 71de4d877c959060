"""Probabilities whose gradients survive saturation.

``p (1 - p)`` is 0 in float32 once ``p`` rounds to 1, at a logit of about 17, and inexact long
before. Beyond a logit of about 100 it underflows itself, although the way to the logit is known as
well as ever: a map, whose scale says nothing, needs no more.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SLOPE = 1e-30


def sigmoid_score(logits: Tensor) -> Tensor:
    """``sigmoid(logits)``, with an exact gradient also where it rounds to 1.

    :data:`LEAST_SLOPE` is added to ``p (1 - p)``, less than float32 can tell before a logit of 53.
    """
    score = torch.where(logits > 0, 1.0 - torch.sigmoid(-logits), torch.sigmoid(logits))
    finite = logits.nan_to_num()
    return score + LEAST_SLOPE * (finite - finite.detach())


def softmax_score(logits: Tensor, labels: Tensor) -> Tensor:
    """The softmax of ``logits (R, C)`` at ``labels (R,)``, with an exact gradient.

    It is the sigmoid of the log-odds against all other classes.
    """
    place = labels[:, None]
    others = logits.scatter(1, place, float("-inf")).logsumexp(1)
    return sigmoid_score(logits.gather(1, place)[:, 0] - others)
