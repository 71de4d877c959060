"""``explain --save-maps``: the raw maps of each image."""

from __future__ import annotations

import json

import numpy as np
import pytest

from captum_ssgc import Explanations


def test_a_file_for_each_image(explain, photo, tmp_path):
    out = tmp_path / "out"
    methods = ("--method", "odam,ssgrad-cam++", "--top-k", "1")
    outcome = explain(photo, "-o", out, "--save-maps", *methods)
    assert outcome.code == 0
    path = out / "cat" / "cat_maps.npz"
    found = Explanations.load_maps(path)
    record = json.loads((out / "cat" / "cat.json").read_text())
    assert path.name in record["files"]
    assert (found.name, found.output) == ("cat.png", "score")
    assert [one.method for one in found] == ["odam", "ssgrad-cam++"]
    assert [one.score for one in found[::2]] == [one["score"] for one in record["detections"]]
    assert np.load(path)["maps"].shape == (2, 48, 64)


@pytest.mark.slow
def test_only_when_asked_and_an_old_one_goes(explain, photo, tmp_path):
    assert explain(photo, "-o", tmp_path, "--save-maps").code == 0
    assert explain(photo, "-o", tmp_path).code == 0
    assert [path.suffix for path in (tmp_path / "cat").iterdir() if path.suffix == ".npz"] == []
