"""The images of a JSON file are found beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from captum_ssgc.benchmark.opening import coco_dataset, open_source
from captum_ssgc.data import CocoDataset
from captum_ssgc.data.image_folder import find_image_folder, sampled

NAMES = ["a.png", "b.png", "c.png"]


def laid_out(root: Path, file: str, folder: str, names=NAMES) -> Path:
    """A JSON file and its images, empty ones, below ``root``."""
    path, images = root / file, root / folder
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    entries = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    content = {"images": entries, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("instances.json", "."),
        ("instances.json", "images"),
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_default.json", "images/default"),
        ("annotations/instances_default.json", "images"),
        ("train/_annotations.coco.json", "train"),
        ("labels.json", "data"),
        ("coco/train.json", "coco/train"),
        ("coco/train.json", "train/images"),
        ("Annotations/all.json", "JPEGImages"),
        ("a/labels/all.json", "a/pictures of 2024/images"),
    ],
)
def test_common_layouts(tmp_path, file, folder):
    data = coco_dataset(laid_out(tmp_path, file, folder))
    assert data.folder.resolve() == (tmp_path / folder).resolve()


def test_names_may_have_folders(tmp_path):
    path = laid_out(tmp_path, "annotations/all.json", ".", ["val/1.png", "val/2.png"])
    assert CocoDataset(path).folder.resolve() == tmp_path.resolve()


def test_the_folder_with_most_of_them_is_taken(tmp_path):
    path = laid_out(tmp_path, "annotations/instances_val.json", "val")
    laid_out(tmp_path, "other.json", "images", NAMES[:1])
    assert CocoDataset(path).folder.name == "val"


def test_a_folder_that_is_named_is_not_looked_for(tmp_path):
    path = laid_out(tmp_path, "instances.json", "images")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"such as a\.png, were not found; looked in .*empty"
    ):
        open_source(path, tmp_path / "empty")
    assert CocoDataset(path, tmp_path / "images").folder == tmp_path / "images"


def test_what_was_looked_at_is_said(tmp_path):
    path = laid_out(tmp_path, "annotations/instances_val.json", "nowhere/near/here")
    with pytest.raises(FileNotFoundError) as error:
        open_source(path)
    text = str(error.value)
    for folder in ("annotations,", "annotations/images", "images/val", "--images DIR"):
        assert folder in text
    assert CocoDataset(path).folder == path.parent


def test_a_file_in_the_working_folder(tmp_path, monkeypatch):
    laid_out(tmp_path / "here", "all.json", "../images")
    monkeypatch.chdir(tmp_path / "here")
    assert CocoDataset("all.json").folder.resolve() == (tmp_path / "images").resolve()


def test_a_name_that_cannot_be_a_file_is_none(tmp_path):
    assert find_image_folder(tmp_path / "a.json", ["\0", "x" * 5000])[0] is None


def test_a_sample_reaches_from_the_first_to_the_last():
    names = [str(number) for number in range(1000)]
    assert sampled(names) == [str(number) for number in range(0, 1000, 50)]
    assert sampled(names[:3]) == ["0", "1", "2"]
