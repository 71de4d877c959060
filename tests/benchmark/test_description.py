from __future__ import annotations

import pytest
import torch
from torch import nn

from captum_ssgc.benchmark.description import describe
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation
from captum_ssgc.benchmark.opening import open_source


class Odd(nn.Module):
    """Weights as converted and quantised models have them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scalar", torch.tensor(2.0))
        self.register_buffer("expanded", torch.tensor(3.0).expand(1))
        self.register_buffer("brain", torch.ones(3, dtype=torch.bfloat16))
        self.register_buffer("flags", torch.tensor([True, False]))
        self.register_buffer("nothing", torch.zeros(0, 4))
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).T)


@pytest.fixture
def fingerprint(tiny, data):
    def of(detector):
        source = open_source(data)
        evaluation = ImageEvaluation(detector, source.categories, tiny.settings())
        return describe(evaluation, source, "")["model"]["weights"]

    return of


def test_every_kind_of_weight_counts(tiny, fingerprint):
    def detector(name=None):
        made = tiny.tiny_detector()
        made.model.odd = Odd()
        if name is not None:
            changed = getattr(made.model.odd, name).clone()
            changed.view(-1)[0] = 0
            setattr(made.model.odd, name, changed)
        return made

    assert fingerprint(detector()) == fingerprint(detector())
    changes = [None, "scalar", "expanded", "brain", "flags"]
    assert len({fingerprint(detector(name)) for name in changes}) == len(changes)


def test_a_description_names_what_the_numbers_depend_on(tiny, data):
    source = open_source(data)
    evaluation = ImageEvaluation(tiny.tiny_detector(), source.categories, tiny.settings())
    found = describe(evaluation, source, "my model")
    assert set(found) == {"task", "settings", "data", "model", "device", "versions"}
    assert found["model"]["name"] == "my model"
    assert found["model"]["layers"] == ["features"]
    assert found["model"]["options"]["score_threshold"] == 0.1
    assert found["device"] == "cpu"
    assert found["settings"]["seed"] == 0
    assert found["versions"]["torch"] == torch.__version__
