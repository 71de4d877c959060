"""The files of examples."""

from __future__ import annotations

import re

import pytest

from captum_ssgc.attr import METHODS
from captum_ssgc.benchmark.examples import picture_path
from captum_ssgc.benchmark.floor_names import FLOORS
from captum_ssgc.benchmark.tally import Place


@pytest.mark.parametrize(
    "key",
    [
        *("odam", "ssgrad-cam++", "odam[smoothing=1]", "a/b", "../up", "ODAM", "a" * 300, "con"),
        *("a\\b", "<b>", "a\0b", "a:b", "é", "row-1", "..", "-x", 'a"b', "a.", "a*?"),
    ],
    ids=ascii,
)
def test_the_picture_of_any_row_has_a_name_of_its_own_everywhere(tmp_path, key):
    path = picture_path(tmp_path, key, Place(3, 1, 0.5))
    assert path.parent == tmp_path
    assert re.fullmatch(r"[a-z0-9][a-z0-9+_-]{0,90}_3_1\.jpg", path.name)
    assert path != picture_path(tmp_path, key + "x", Place(3, 1, 0.5))
    path.touch()


def test_pictures_of_published_methods_are_named_after_them(tmp_path):
    for name in [*METHODS, *FLOORS]:
        assert picture_path(tmp_path, name, Place(3, 1, 0.5)).name == f"{name}_3_1.jpg"
