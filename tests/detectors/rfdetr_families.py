"""RF-DETR of the package ``rfdetr``, with random weights and without downloads."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from detectors.family import Family, Report, enliven
from torch import Tensor

import captum_ssgc as ssgc

SMALL = {
    "pretrain_weights": None,
    "device": "cpu",
    "num_queries": 10,
    "num_select": 20,
    "num_classes": 4,
    "dec_layers": 2,
    "resolution": 96,
}
KINDS = {
    "rf-detr-nano": ("RFDETRNano", {"resolution": 96, "positional_encoding_size": 6}),
    "rf-detr-seg": ("RFDETRSegNano", {"resolution": 96, "positional_encoding_size": 8}),
}


def vendor() -> Any:
    """The package, which warns when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("rfdetr", reason="needs rfdetr")


def model_of(name: str, **settings: Any) -> Any:
    kind, further = KINDS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without pretrained weights
        torch.manual_seed(2)
        model = getattr(vendor(), kind)(**{**SMALL, **further, **settings})
    network = model.model.model.eval()
    enliven(network.transformer, classes=())
    enliven(network.class_embed, classes=())
    enliven(network.bbox_embed, classes=())
    return model


def as_report(found: Any) -> Report:
    report = {
        "boxes": torch.from_numpy(found.xyxy),
        "scores": torch.from_numpy(found.confidence),
        "labels": torch.from_numpy(found.class_id),
    }
    if found.mask is not None:
        report["masks"] = torch.from_numpy(found.mask)
    return report


def build(name: str) -> Family:
    model = model_of(name)

    def on_canvas(batch: Tensor) -> list[Report]:
        found = model.predict(list(batch), threshold=0.0, include_source_image=False)
        return [as_report(one) for one in found]

    detector = ssgc.wrap_detector(model, score_threshold=0.0)
    shapes = ("masks",) if name == "rf-detr-seg" else ()
    return Family(detector, on_canvas, "sigmoid", shapes=shapes)
