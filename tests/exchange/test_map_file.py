"""Raw maps in a file: read by NumPy, and back."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc import Explanation, Explanations

COLUMNS = {
    *("maps", "boxes", "labels", "names", "scores", "method", "layer", "index", "detected"),
    *("asked_iou", "image", "image_name", "output"),
}


@pytest.fixture
def path(explained, tmp_path):
    explained.save_maps(tmp_path / "maps")
    return tmp_path / "maps"


def test_what_numpy_reads(explained, path):
    with np.load(path, allow_pickle=False) as file:
        columns = dict(file)
    assert {*columns} == COLUMNS
    assert columns["maps"].dtype == np.float32
    assert np.array_equal(columns["maps"], torch.stack([one.heat_map for one in explained]))
    assert np.array_equal(columns["boxes"], torch.stack([one.box for one in explained]))
    assert columns["names"].tolist() == [one.label for one in explained]
    assert columns["labels"].tolist() == [one.label_index for one in explained]
    assert columns["scores"].tolist() == [one.score for one in explained]
    assert columns["method"].tolist() == ["ssgrad-cam++", "odam"] * 3
    assert np.isnan(columns["asked_iou"]).all()


def test_back(explained, path):
    again = Explanations.load_maps(path)
    assert (again.name, again.output) == (explained.name, explained.output)
    assert torch.equal(again.image, explained.image)
    for one, expected in zip(again, explained, strict=True):
        for field in fields(Explanation):
            got, wanted = getattr(one, field.name), getattr(expected, field.name)
            same = torch.equal if isinstance(wanted, torch.Tensor) else lambda a, b: a == b
            assert same(got, wanted), field.name
            assert type(got) is type(wanted)
    assert again.overview().axes


def test_corners_and_masks_where_all_have_them(explained, tmp_path):
    size = explained.image.shape[-2:]
    shapes = {"corners": torch.rand(4, 2), "mask": torch.rand(size) > 0.5}
    shaped = explained.with_entries([replace(one, **shapes) for one in explained[:2]])
    shaped.save_maps(tmp_path / "maps.npz")
    for one in Explanations.load_maps(tmp_path / "maps.npz"):
        assert torch.equal(one.corners, shapes["corners"])
        assert torch.equal(one.mask, shapes["mask"])
    some = explained.with_entries([shaped[0], explained[1]])
    some.save_maps(tmp_path / "some.npz")
    assert Explanations.load_maps(tmp_path / "some.npz")[0].mask is None


def test_candidates_that_were_asked_for(detector, explained, tmp_path):
    box = explained[0].box[None] + 3.0
    found = ssgc.explain(detector, explained.image, boxes=box, labels=[explained[0].label_index])
    found = found.with_entries([replace(found[0], label="naïve \udcff cat", detected=False)])
    found.save_maps(tmp_path / "maps.npz")
    [one] = Explanations.load_maps(tmp_path / "maps.npz")
    assert (one.label, one.detected, one.asked_iou) == (
        "naïve \udcff cat", False, found[0].asked_iou,
    )  # fmt: skip


def test_no_explanation(explained, tmp_path):
    explained[:0].save_maps(tmp_path / "none.npz")
    again = Explanations.load_maps(tmp_path / "none.npz")
    assert list(again) == []
    assert torch.equal(again.image, explained.image)


def test_what_is_no_such_file(explained, path, tmp_path):
    with pytest.raises(FileNotFoundError):
        Explanations.load_maps(tmp_path / "no.npz")
    other = tmp_path / "other"
    for content in (b"", b"PK\x03\x04 no zip", path.read_bytes()[:500]):
        other.write_bytes(content)
        with pytest.raises(ValueError, match="other: expected a file of heat maps"):
            Explanations.load_maps(other)
    with other.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="other: expected a file of heat maps"):
        Explanations.load_maps(other)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("boxes", np.zeros((5, 4))),
        ("names", np.arange(6)),
        ("maps", np.zeros((6, 4), dtype=np.float32)),
        ("names", np.array([None] * 6, dtype=object)),
        ("boxes", None),
    ],
    ids=["rows", "kind", "dimensions", "objects", "missing"],
)
def test_damaged_columns(path, name, column, tmp_path):
    with np.load(path) as file:
        columns = dict(file)
    if column is None:
        del columns[name]
    else:
        columns[name] = column
    np.savez(tmp_path / "damaged.npz", **columns)
    with pytest.raises(ValueError, match=r"damaged\.npz: .*expected"):
        Explanations.load_maps(tmp_path / "damaged.npz")


def test_an_interrupted_write_leaves_what_was_there(explained, path, monkeypatch):
    before = path.read_bytes()

    def fails(file, **columns):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", fails)
    with pytest.raises(KeyboardInterrupt):
        explained.save_maps(path)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
