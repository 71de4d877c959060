"""Which parts of a model must be in evaluation mode."""

from __future__ import annotations

import pytest
from torch import nn

from captum_ssgc.detector import refuse_training


def model_with(part: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())).eval().append(part)


class Own(nn.Module):
    """May ask which mode it is in."""


@pytest.mark.parametrize(
    "part",
    [
        nn.BatchNorm2d(3),
        nn.SyncBatchNorm(3),
        nn.InstanceNorm2d(3, track_running_stats=True),
        nn.Dropout(),
        nn.Dropout2d(),
        nn.AlphaDropout(),
        nn.RReLU(),
        nn.LSTM(3, 3),
        nn.MultiheadAttention(4, 2),
        nn.TransformerEncoderLayer(4, 2),
        nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout()),
        Own(),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_part_with_two_modes_is_refused(part):
    with pytest.raises(ValueError, match=r"a part of the model \(1.* is in training mode"):
        refuse_training(model_with(part))
    refuse_training(model_with(part).eval())


@pytest.mark.parametrize(
    "part", [nn.ReLU(), nn.Conv2d(3, 3, 1), nn.LayerNorm(3), nn.Sequential(nn.Linear(1, 1))]
)
def test_a_part_that_is_always_the_same_may_have_been_put_in_later(part):
    refuse_training(model_with(part))


def test_all_parts_are_counted():
    model = model_with(nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3), nn.ReLU()))
    with pytest.raises(ValueError, match=r"a part of the model \(1\.0 and 1 more\) is"):
        refuse_training(model)
    with pytest.raises(ValueError, match=r"^the model is in training mode"):
        refuse_training(model.train())
