from __future__ import annotations

import json
from pathlib import Path

import pytest

from captum_ssgc.cli.folders import ResultFolders, file_name


class Picture:
    """Stands for a figure."""

    def savefig(self, path: Path, **_: object) -> None:
        path.write_text("picture")


def finish(folders: ResultFolders, name: str, source: str, *endings: str) -> Path:
    """Write results as a command does."""
    with folders.results_of(name, source) as folder:
        for ending in endings:
            folder.add_picture(ending, Picture())
        folder.add_record({"image": source})
    return folder.path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_same_image_uses_its_folder_again_without_old_pictures(tmp_path: Path) -> None:
    first = finish(ResultFolders(tmp_path), "cat", "a/cat.png", "overview", "7_dog")
    assert names_in(first) == ["cat.json", "cat_7_dog.png", "cat_overview.png"]
    (first / "notes.txt").write_text("mine")
    again = finish(ResultFolders(tmp_path), "cat", "a/../a/cat.png", "overview", "1_cow")
    assert again == first == tmp_path / "cat"
    assert names_in(first) == ["cat.json", "cat_1_cow.png", "cat_overview.png", "notes.txt"]
    assert json.loads((first / "cat.json").read_text())["image"] == "a/../a/cat.png"


def test_another_image_leaves_the_folder_alone(tmp_path: Path) -> None:
    first = finish(ResultFolders(tmp_path), "cat", "a/cat.png", "overview")
    second = finish(ResultFolders(tmp_path), "cat", "b/cat.png")
    assert second == tmp_path / "cat-2"
    assert (first / "cat_overview.png").exists()


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "again"])
@pytest.mark.parametrize("error", [OSError(28, "no space"), KeyboardInterrupt()], ids=repr)
def test_a_failed_write_leaves_all_as_it_was(
    tmp_path: Path, earlier: bool, error: BaseException
) -> None:
    folders = ResultFolders(tmp_path)
    if earlier:
        finish(ResultFolders(tmp_path), "cat", "cat.png", "overview")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    def fail() -> None:
        with folders.results_of("cat", "cat.png") as folder:
            folder.add_picture("overview", Picture())
            folder.add_picture("1_cow", Picture())
            raise error

    with pytest.raises(type(error)):
        fail()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    assert names_in(tmp_path) == (["cat"] if earlier else [])
    assert finish(folders, "cat", "cat.png") == tmp_path / "cat"


@pytest.mark.parametrize(
    "content",
    [None, "text", "[]", '{"image": 3, "files": []}', '{"image": "cat.png", "files": [3]}'],
    ids=["no record", "text", "list", "odd image", "odd files"],
)
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, content: str | None) -> None:
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "cat_overview.png").write_text("mine")
    if content is not None:
        (folder / "cat.json").write_text(content)
    assert finish(ResultFolders(tmp_path), "cat", "cat.png") == tmp_path / "cat-2"
    assert (folder / "cat_overview.png").read_text() == "mine"


def test_a_record_cannot_make_us_remove_files_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "precious.png"
    outside.write_text("mine")
    folder = tmp_path / "cat"
    folder.mkdir()
    (folder / "data.csv").write_text("mine")
    record = {"image": "cat.png", "files": ["../precious.png", str(outside), "data.csv", "..png"]}
    (folder / "cat.json").write_text(json.dumps(record))
    assert finish(ResultFolders(tmp_path), "cat", "cat.png") == folder
    assert outside.exists()
    assert (folder / "data.csv").exists()


def test_links_are_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / "precious.png"
    precious.write_text("mine")
    root = tmp_path / "root"
    root.mkdir()
    first = finish(ResultFolders(root), "cat", "cat.png", "overview")
    (first / "cat_overview.png").unlink()
    (first / "cat_overview.png").symlink_to(precious)
    (first / "cat.json").rename(outside / "cat.json")
    (first / "cat.json").symlink_to(outside / "cat.json")
    record = (outside / "cat.json").read_bytes()
    again = finish(ResultFolders(root), "cat", "cat.png", "overview", "1_cow")
    assert again == first
    assert (first / "cat_overview.png").read_text() == "picture"
    assert not (first / "cat_overview.png").is_symlink()
    assert precious.read_text() == "mine"
    assert (outside / "cat.json").read_bytes() == record

    (root / "dog").symlink_to(outside)
    assert finish(ResultFolders(root), "dog", "dog.png") == root / "dog-2"
    assert names_in(outside) == ["cat.json", "precious.png"]


def test_names_that_differ_in_case_or_look_like_numbered_ones(tmp_path: Path) -> None:
    folders = ResultFolders(tmp_path)
    names = [
        finish(folders, name, f"{place}").name
        for place, name in enumerate(["cat", "cat-2", "CAT", "cat"])
    ]
    assert names == ["cat", "cat-2", "CAT-3", "cat-4"]


def test_bytes_of_a_name_that_are_no_text_come_back(tmp_path: Path) -> None:
    source = b"caf\xe9/\xff.png".decode("utf-8", "surrogateescape")
    folder = finish(ResultFolders(tmp_path), source, source)
    assert json.loads((folder / f"{folder.name}.json").read_text())["image"] == source
    assert finish(ResultFolders(tmp_path), source, source) == folder


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
        ("犬" * 100, "犬" * 26),
        ("é" * 100, "é" * 40),
        ("x" * 79 + ".jpg", "x" * 79),
        ("nul", "_nul"),
        ("Con.tar.gz", "_Con.tar.gz"),
        ("com1", "_com1"),
        ("console", "console"),
        ("trailing. ", "trailing"),
        ("a\x1b[31m\n\udcffb", "a_31m_b"),
    ],
)
def test_file_names(text: str, expected: str) -> None:
    assert file_name(text) == expected


def test_file_names_where_the_system_knows_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    assert file_name("café 犬 1") == "caf____1"
    assert file_name("犬") == "unnamed"
