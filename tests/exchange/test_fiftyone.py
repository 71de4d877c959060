"""Fields of a FiftyOne sample, against the package itself where it is installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest


class Label(SimpleNamespace):
    """Stands for a label of FiftyOne: its keywords as attributes."""


@pytest.fixture(params=["installed", "stand-in"])
def fiftyone(request, monkeypatch):
    if request.param == "installed":
        return pytest.importorskip("fiftyone")
    labels = dict.fromkeys(("Detection", "Detections", "Heatmap"), Label)
    monkeypatch.setitem(sys.modules, "fiftyone", SimpleNamespace(**labels))
    return None


def test_fields(explained, fiftyone):
    fields = explained.to_fiftyone("odam", field="found")
    assert list(fields) == ["found", *(f"found_heat_map_{number}" for number in (1, 2, 3))]
    for row, (label, one) in enumerate(zip(fields["found"].detections, explained[1::2])):
        left, top, right, bottom = one.box.tolist()
        size = [(right - left) / 400, (bottom - top) / 320]
        assert label.bounding_box == pytest.approx([left / 400, top / 320, *size])
        assert (label.label, label.method, label.layer) == (one.label, "odam", one.layer)
        assert label.confidence == pytest.approx(one.score)
        assert label.energy_in_box == one.energy_in_box()
        assert label.detected is True
        assert label.heat_map == f"found_heat_map_{row + 1}"
        heat = fields[label.heat_map]
        assert np.array_equal(heat.map, one.heat_map)
        assert heat.range == [0.0, float(one.heat_map.max())]


def test_a_sample_takes_them(explained, tmp_path):
    fiftyone = pytest.importorskip("fiftyone")
    sample = fiftyone.Sample(filepath=str(tmp_path / "photo.png"))
    for name, label in explained.to_fiftyone().items():
        sample[name] = label
    assert len(sample["explanations"].detections) == 3
    assert sample["explanations_heat_map_2"].map.shape == (320, 400)
    assert sample["explanations"].detections[0].energy_in_box == explained[0].energy_in_box()
