from __future__ import annotations

import os
from pathlib import Path

import pytest

from captum_ssgc.cli.image_files import exists, image_files, is_folder, missing


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a folder of photos; their content does not matter here."""
    names = (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        "c.webp",
        "thermal.NPY",
        "more/d.jpg",
        "more/deep/e.jpeg",
        "odd[1].jpg",
        "._a.PNG",
        ".hidden.jpg",
    )
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos" / "folder.webp").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["photos"],
            [
                "photos/a.PNG",
                "photos/b.jpg",
                "photos/c.webp",
                "photos/odd[1].jpg",
                "photos/thermal.NPY",
            ],
        ),
        (["photos/more/"], ["photos/more/d.jpg"]),
        (["photos/*.jpg"], ["photos/b.jpg", "photos/odd[1].jpg"]),
        (["photos/**/[de].jp*g"], ["photos/more/d.jpg", "photos/more/deep/e.jpeg"]),
        (["photos/odd[1].jpg"], ["photos/odd[1].jpg"]),
        (["z.jpg", "photos/more"], ["z.jpg", "photos/more/d.jpg"]),
        (["empty", "none*.jpg"], ["empty", "none*.jpg"]),
        (["photos/notes.txt"], ["photos/notes.txt"]),
        (["photos/.hidden.jpg"], ["photos/.hidden.jpg"]),
    ],
    ids=" ".join,
)
def test_files_folders_and_patterns(photos: Path, names: list[str], expected: list[str]) -> None:
    assert image_files(names) == [Path(name) for name in expected]


def test_no_name_is_not_the_working_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert image_files([""]) == [Path()]
    assert len(image_files(["."])) == 5


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "photos/b.jpg/c"])
def test_names_that_cannot_be_are_no_files(photos: Path, name: str) -> None:
    path = Path(name)
    assert image_files([name]) == [path]
    assert not exists(path)
    assert not is_folder(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse such names")
def test_names_that_are_no_text(photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (photos / "more" / name).write_bytes(b"x")
    found = image_files(["photos/more"])
    assert sorted(path.name for path in found) == sorted([name, "d.jpg"])


def test_what_is_missing_is_said_of_files_and_patterns() -> None:
    assert missing(Path("a.jpg")) == "image file a.jpg does not exist."
    assert missing(Path("a/*.jpg")) == "no image matches the pattern a/*.jpg."
