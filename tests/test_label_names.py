"""Class names from whatever holds them, fitted to the labels of a detector."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from captum_ssgc.label_names import BACKGROUND, fit_label_names, own_label_names

ANIMALS = ("cat", "dog", "eel")
CATEGORIES = [{"id": at, "name": name} for at, name in enumerate(ANIMALS, 1)]


@pytest.mark.parametrize(
    "names",
    [
        list(ANIMALS),
        iter(ANIMALS),
        dict(enumerate(ANIMALS)),
        {str(label): name for label, name in enumerate(ANIMALS)},
        dict(enumerate(ANIMALS, 1)),
        {3: "eel", 1: "cat", 2: "dog"},
        dict(zip(np.arange(3), np.array(ANIMALS), strict=True)),
        ["background", *ANIMALS],
    ],
    ids=[
        "list",
        "iterator",
        "dict",
        "text-keys",
        "from-1",
        "any-order",
        "numpy",
        "with-background",
    ],
)
def test_names_of_a_detector_without_background(names):
    assert fit_label_names(names, 3) == ANIMALS


@pytest.mark.parametrize(
    "names",
    [
        list(ANIMALS),
        [BACKGROUND, *ANIMALS],
        dict(enumerate(ANIMALS)),
        dict(enumerate(ANIMALS, 1)),
        dict(enumerate([BACKGROUND, *ANIMALS])),
        dict(enumerate([BACKGROUND, *ANIMALS], 1)),
    ],
    ids=["list", "list-with", "dict", "from-1", "dict-with", "from-1-with"],
)
def test_names_of_a_detector_with_background(names):
    assert fit_label_names(names, 4, background=True) == (BACKGROUND, *ANIMALS)


def test_category_numbers_with_gaps_keep_their_places():
    assert fit_label_names({1: "a", 2: "b", 4: "d"}, 5, background=True) == (
        BACKGROUND,
        "a",
        "b",
        "3",
        "d",
    )


@pytest.mark.parametrize(
    ("names", "classes", "background"),
    [
        (["a", "b"], 80, False),
        (["a"] * 79, 80, False),
        (["a"] * 82, 80, False),
        (["a"] * 80, 80 + 2, True),
        ({0: "a", 79: "b"}, 80, False),
        ({2: "a", 3: "b"}, 2, False),
        (dict(enumerate(ANIMALS, 1)), 3, True),
    ],
)
def test_names_that_do_not_fit_are_refused(names, classes, background):
    message = rf"expected {classes} names, one for each label.*got {len(names)} for the labels"
    with pytest.raises(ValueError, match=message):
        fit_label_names(names, classes, background=background)


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ([1, 2], TypeError),
        ({0: "a", 1: None}, TypeError),
        ({"a", "b"}, TypeError),
        (b"ab", TypeError),
        (3, TypeError),
        ({"cat": 0}, ValueError),
        ({-1: "a", 0: "b"}, ValueError),
        ({"10000000000": "a"}, ValueError),
        ([], ValueError),
        ({}, ValueError),
        ({123456: "a"}, ValueError),
        ({0: "a", "0": "b"}, ValueError),
        ({"1": "a", "01": "b"}, ValueError),
    ],
    ids=str,
)
def test_what_is_no_names_is_refused(names, error):
    with pytest.raises(error, match="label_names: "):
        fit_label_names(names)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.txt", "cat\ndog\n eel \n\n"),
        ("names.txt", "0: cat\n1: dog\n2: eel"),
        ("names.txt", "cat,0\ndog,1\neel,2\n"),
        ("names.csv", "id,name\n0,cat\n1,dog\n2,eel\n"),
        ("names.tsv", "2\teel\n1\tdog\n0\tcat\n"),
        ("names.csv", "cat\ndog\neel\n"),
        ("names", "\ufeffcat\r\ndog\r\neel"),
        ("names.txt", "# animals\ncat\ndog\neel\n"),
        ("config.json", json.dumps({"id2label": dict(enumerate(ANIMALS)), "label2id": {"cat": 0}})),
        ("instances.json", json.dumps({"images": [], "categories": CATEGORIES})),
        ("categories.json", json.dumps(CATEGORIES[::-1])),
        ("names.json", json.dumps(ANIMALS)),
        ("names.JSON", json.dumps({"1": "cat", "2": "dog", "3": "eel"})),
        ("data.json", json.dumps({"names": ANIMALS, "nc": 3})),
        ("data.yaml", "# a data set\npath: x\nnames:\n  0: cat\n  1: dog\n  2: eel\n"),
        ("data.YML", "{names: [cat, dog, eel], nc: 3}"),
        ("names.yaml", "- cat\n- dog\n- eel\n"),
        ("names.yaml", "1: cat\n2: dog\n3: eel\n"),
    ],
)
def test_names_from_a_file(tmp_path, file, content):
    if file.lower().endswith(("yaml", "yml")):
        pytest.importorskip("yaml")
    (tmp_path / file).write_text(content, encoding="utf-8")
    assert fit_label_names(tmp_path / file, 3) == ANIMALS
    assert fit_label_names(str(tmp_path / file), 4, background=True)[1:] == ANIMALS


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("names.txt", b"\xff\xfe\x00"),
        ("names.json", b"{"),
        ("names.json", b"[" * 100_000),
        ("names.json", b"3"),
        ("names.yaml", b"a: [b"),
        ("names.yaml", b"[" * 100_000),
        ("names.yaml", b"text"),
        ("names.yaml", b"!!python/object/apply:os.abort []"),
        ("names.txt", b"\n" * (1 << 23)),
        ("names.txt", b""),
    ],
    ids=(
        "binary",
        "cut",
        "nested",
        "number",
        "yaml cut",
        "yaml nested",
        "yaml text",
        "yaml code",
        "huge",
        "empty",
    ),
)
def test_a_file_of_something_else_is_refused(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match="label_names: "):
        fit_label_names(tmp_path / file)


def test_an_empty_line_is_a_label_without_a_name(tmp_path):
    (tmp_path / "names.txt").write_text("\ncat\n\ndog\n")
    assert fit_label_names(tmp_path / "names.txt", 4) == ("0", "cat", "2", "dog")
    names = fit_label_names(tmp_path / "names.txt", 4, background=True)
    assert names == (BACKGROUND, "cat", "2", "dog")


def test_the_background_comes_first():
    for name in ("background", "__background__", "BG"):
        with pytest.raises(ValueError, match=f"expected the background first, .*{name}.* label 2"):
            fit_label_names(["cat", "dog", name], 3, background=True)
    assert fit_label_names(["cat", "background"], 2) == ("cat", "background")


def test_words_of_yaml_are_names(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "names.yaml").write_text("names: [yes, no, 1.0, null, 2020-01-01]")
    assert fit_label_names(tmp_path / "names.yaml") == ("yes", "no", "1.0", "null", "2020-01-01")


def test_without_pyyaml_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "names.yaml").write_text("[cat]")
    with pytest.raises(ValueError, match="needs PyYAML: pip install pyyaml"):
        fit_label_names(tmp_path / "names.yaml")


def test_only_files_are_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file cat;"):
        fit_label_names("cat")
    with pytest.raises(ValueError, match="is no file of names"):
        fit_label_names(tmp_path)
    if Path("/dev/zero").exists():
        with pytest.raises(ValueError, match="is no file of names"):
            fit_label_names("/dev/zero")


@pytest.mark.parametrize(
    ("classes", "background", "places"),
    [
        (91, True, {0: BACKGROUND, 1: "person", 90: "toothbrush"}),
        (91, False, {1: "person", 90: "toothbrush"}),
        (81, True, {0: BACKGROUND, 1: "person", 80: "toothbrush"}),
        (80, False, {0: "person", 79: "toothbrush"}),
        (90, False, {0: "person", 89: "toothbrush"}),
        (None, False, {0: "person", 79: "toothbrush"}),
    ],
)
def test_coco_by_name(classes, background, places):
    names = fit_label_names("coco", classes, background=background)
    assert len(names) == (classes or 80)
    assert {place: names[place] for place in places} == places


def test_what_a_model_says_of_itself_may_not_fit():
    assert own_label_names({0: "a", 1: "b"}, 2) == ("a", "b")
    assert own_label_names(["a"], 80) is None
    assert own_label_names(None, 80) is None


@pytest.mark.parametrize(
    "names", [["1 euro", "2 euro", "1 cent"], ["1,5 litres", "2,0 litres", "cup"]]
)
def test_numbers_in_names_are_no_labels(tmp_path, names):
    (tmp_path / "names.txt").write_text("\n".join(names))
    assert fit_label_names(tmp_path / "names.txt") == tuple(names)
