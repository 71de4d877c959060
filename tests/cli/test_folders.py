from __future__ import annotations

import json
from pathlib import Path

import pytest

from captum_ssgc.cli.folders import ResultFolders, file_name


def finish(folder: Path, source: str, *pictures: str) -> None:
    """What a finished run leaves."""
    for picture in pictures:
        (folder / picture).write_text("picture")
    content = {"image": source, "files": list(pictures)}
    (folder / f"{folder.name}.json").write_text(json.dumps(content))


def test_the_same_image_uses_its_folder_again_without_old_pictures(tmp_path: Path) -> None:
    first = ResultFolders(tmp_path).folder_for("cat", "a/cat.png")
    finish(first, "a/cat.png", "cat_overview.png", "cat_7_dog.png")
    (first / "notes.txt").write_text("mine")
    again = ResultFolders(tmp_path).folder_for("cat", "a/../a/cat.png")
    assert again == first == tmp_path / "cat"
    assert sorted(path.name for path in first.iterdir()) == ["cat.json", "notes.txt"]


def test_another_image_leaves_the_folder_alone(tmp_path: Path) -> None:
    first = ResultFolders(tmp_path).folder_for("cat", "a/cat.png")
    finish(first, "a/cat.png", "cat_overview.png")
    second = ResultFolders(tmp_path).folder_for("cat", "b/cat.png")
    assert second == tmp_path / "cat-2"
    assert (first / "cat_overview.png").exists()


@pytest.mark.parametrize(
    "content",
    [None, "text", "[]", '{"image": 3, "files": []}'],
    ids=["no record", "text", "list", "odd"],
)
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "cat_overview.png").write_text("mine")
    if content is not None:
        (folder / "cat.json").write_text(content)
    assert ResultFolders(tmp_path).folder_for("cat", "cat.png") == tmp_path / "cat-2"
    assert (folder / "cat_overview.png").read_text() == "mine"


def test_a_record_cannot_make_us_remove_files_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "precious.png"
    outside.write_text("mine")
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "data.csv").write_text("mine")
    finish(folder, "cat.png")
    record = {"image": "cat.png", "files": ["../precious.png", str(outside), "data.csv"]}
    (folder / "cat.json").write_text(json.dumps(record))
    assert ResultFolders(tmp_path).folder_for("cat", "cat.png") == folder
    assert outside.exists()
    assert (folder / "data.csv").exists()


def test_names_that_differ_in_case_or_look_like_numbered_ones(tmp_path: Path) -> None:
    folders = ResultFolders(tmp_path)
    names = [
        folders.folder_for(name, f"{place}").name
        for place, name in enumerate(["cat", "cat-2", "CAT", "cat"])
    ]
    assert names == ["cat", "cat-2", "CAT-3", "cat-4"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IMG 001", "IMG_001"),
        ("a/b\\c:d", "a_b_c_d"),
        ("ssgrad-cam++", "ssgrad-cam++"),
        ("..", "unnamed"),
        (".hidden", "hidden"),
        ("犬 1", "犬_1"),
        ("x" * 300, "x" * 80),
    ],
)
def test_file_names(text: str, expected: str) -> None:
    assert file_name(text) == expected
