"""Which parts of a model must be in evaluation mode."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import captum_ssgc as ssgc
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


def own_detector(model: nn.Module) -> ssgc.Detector:
    def decode(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        boxes = torch.tensor([[[0.0, 0, 8, 8]]]).expand(len(output), 1, 4)
        return boxes, output.mean((2, 3)).sigmoid()[:, None]

    return ssgc.detectors.CandidateDetector(
        model.eval(), decode, level_layers=["0"], score_threshold=0.0
    )


def test_what_was_made_in_inference_mode_is_named():
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(3, 2, 1))
        model[0].weight.fill_(0.5)
    image = torch.rand(3, 8, 8)
    with pytest.raises(ValueError, match=r"made under torch.inference_mode\(\).*deepcopy"):
        ssgc.explain(own_detector(model), image)
    assert len(own_detector(model).detect(image)[0])
    copied = own_detector(copy.deepcopy(model))
    assert len(ssgc.explain(copied, image, "odam", score_threshold=0.0))


def test_what_is_compiled_in_place_is_named():
    model = nn.Sequential(nn.Conv2d(3, 2, 1))
    model[0]._compiled_call_impl = model[0]._call_impl  # as compile() sets it
    with pytest.raises(ValueError, match=r"compiled in place .*deepcopy"):
        ssgc.explain(own_detector(model), torch.rand(3, 8, 8))


def test_activation_checkpointing():
    class Checkpointed(nn.Sequential):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            run = super().forward
            found: torch.Tensor = checkpoint(run, images, use_reentrant=False)
            return found

    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    model = Checkpointed(nn.Conv2d(3, 2, 1), nn.Sigmoid())
    plain = own_detector(nn.Sequential(*model))
    options = {"method": "odam", "layer": "0", "score_threshold": 0.0}
    [expected] = ssgc.explain(plain, image, **options)
    [found] = ssgc.explain(own_detector(model), image, **options)
    assert bool(expected.heat_map.any())
    torch.testing.assert_close(found.heat_map, expected.heat_map)
    model.requires_grad_(False)  # so that what is run again has no graph
    with pytest.raises(ValueError, match=r"activation checkpointing.*switch it off"):
        ssgc.explain(own_detector(model), image, score_threshold=0.0)
