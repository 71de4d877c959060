"""Mutated COCO files: a data set or one of the documented errors, never a crash.

What is tried runs in a child process, as a crash inside compiled code ends a process.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st

from captum_ssgc.data import CocoDataset

HEIGHT, WIDTH = 6, 8
SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]
GOOD = {
    "images": [
        {"id": 5, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
        {"id": "b", "file_name": "b.png"},
    ],
    "annotations": [
        {"id": 1, "image_id": 5, "category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 0,
         "segmentation": [SQUARE, [5, 5, 7, 5, 7, 6]]},
        {"id": 2, "image_id": 5, "category_id": 7, "bbox": [0.5, 0, 3, 4], "iscrowd": 1,
         "segmentation": {"size": [HEIGHT, WIDTH], "counts": [7, 3, 3, 3, 32]}},
        {"id": 3, "image_id": "b", "category_id": 7, "bbox": [0, 0, 8, 6],
         "segmentation": {"size": [HEIGHT, WIDTH], "counts": "7330m0"}},
    ],
    "categories": [{"id": 2, "name": "cat"}, {"id": 7, "name": "dog"}],
}  # fmt: skip

NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 5, 2**31, 2**63, 10**30, 1e9, -1e9, 1e308, 1e-320, -0.0]),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.integers(),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6), st.sampled_from("25")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(st.sampled_from(["size", "counts", "id", "name"]), inner, max_size=3),
        st.lists(st.lists(NUMBERS, min_size=6, max_size=9), max_size=3),
        st.fixed_dictionaries({"size": inner, "counts": inner}),
    ),
    max_leaves=12,
)


def places(value, path=()):
    """All places in a JSON value."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in entries:
        if isinstance(one, (dict, list)):
            yield from places(one, (*path, name))
        else:
            yield (*path, name)


PLACES = [path for path in places(GOOD) if path]


@st.composite
def files(draw):
    """A data set with up to three places replaced, left out or doubled."""
    content = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(PLACES))
        part = content
        try:
            for name in path:
                part = part[name]
            action = draw(st.sampled_from(["replace", "replace", "replace", "drop", "double"]))
            if action == "drop":
                del part[last]
            elif action == "double" and isinstance(part, list):
                part.append(part[last])
            else:
                part[last] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # a mutation before took the place away
    return content


def opened(path: Path) -> str:
    """What becomes of a file: every box, mask and message of it is asked for."""
    try:
        data = CocoDataset(path)
    except ValueError:
        return "refused"
    for problem in data.problems:
        assert problem.endswith("."), problem
        assert problem.split(":")[0].startswith(("images[", "annotations[")), problem
    assert data.ignored.total() <= len(data.problems)
    masks = 0
    for image in data:
        assert bool(image.boxes.isfinite().all())
        assert set(image.category_ids.tolist()) <= set(data.categories)
        for row in range(len(image.boxes)):
            try:
                mask = image.mask(row, (HEIGHT, WIDTH))
            except ValueError:
                continue
            assert mask is None or mask.shape == (HEIGHT, WIDTH)
            masks += mask is not None
    return f"{len(data)} images, {masks} masks, {len(data.problems)} problems"


def try_many(folder: Path, cases: int, start: int) -> dict[str, int]:
    """Tries ``cases`` files; counts what became of them."""
    outcomes: dict[str, int] = {}

    @seed(start)
    @settings(
        max_examples=cases, deadline=None, database=None, derandomize=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @example(GOOD)
    @given(files())
    def one(content):
        path = folder / "instances.json"
        path.write_text(json.dumps(content))
        kind = opened(path)
        outcomes[kind] = outcomes.get(kind, 0) + 1

    one()
    return outcomes


def in_a_child(folder: Path, cases: int, start: int) -> dict[str, int]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, str(folder), str(cases), str(start)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=7200, env=environment, check=False
    )
    assert result.returncode == 0, f"{result.returncode}: {result.stderr[-3000:]}"
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("cases", "start"),
    [
        pytest.param(120, 0, marks=pytest.mark.slow),
        pytest.param(4_000, 1, marks=pytest.mark.slow),
    ],
    ids=["some", "many"],
)
def test_no_mutated_file_crashes(tmp_path, cases, start):
    outcomes = in_a_child(tmp_path, cases, start)
    assert outcomes["2 images, 3 masks, 0 problems"] >= 1
    assert outcomes["refused"] > cases // 100
    assert len(outcomes) >= 5
    assert sum(outcomes.values()) >= cases // 2


if __name__ == "__main__":
    print(json.dumps(try_many(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
