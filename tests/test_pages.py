"""What the pages of the documentation show is complete, and runs in the order of each page.

A comment before a block says why it is not run: ``.. not run: REASON``. Its commands still have to
be understood. *Quickstart* and *Recipes* have tests of their own.
"""

from __future__ import annotations

import json
import re
import shlex
import warnings
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest
import torch

from captum_ssgc import demo

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^(?:\.\. not run: (?P<reason>.+)\n\n)?"
    r"\.\. code-block:: (?P<language>\w+)\n\n(?P<text>(?:   .*\n|\n)+)",
    re.MULTILINE,
)
REASONS = ("the network", "another package", "several GPUs", "a data set", "half an hour", "hours")
SLOW = ("audit", "benchmark", "command_line", "exchange", "metrics", "refinement")
ELSEWHERE = ("quickstart", "recipes")


class Block(NamedTuple):
    reason: str | None
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    every = [Block(one["reason"], one["language"], dedent(one["text"])) for one in found]
    return [one for one in every if one.language in ("python", "console", "bash", "shell")]


PAGES = {page.stem: blocks(page) for page in sorted((ROOT / "docs").glob("*.rst"))}
RUN = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name, found in PAGES.items()
    if name not in ELSEWHERE and any(one.reason is None for one in found)
]


def commands(text: str) -> list[list[str]]:
    """The lines of a shell, without what they say to the reader."""
    joined = re.sub(r"\\\n *", " ", text)
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def test_every_block_is_found():
    for page in (ROOT / "docs").glob("*.rst"):
        shown = re.findall(
            r"code-block:: (?:python|console|bash|shell)\n", page.read_text(encoding="utf-8")
        )
        assert len(PAGES[page.stem]) == len(shown), page.name


def test_what_is_not_run_says_why():
    reasons = {one.reason for found in PAGES.values() for one in found} - {None}
    assert [one for one in reasons if one.removeprefix("needs ") not in REASONS] == []


def test_no_line_of_a_program_is_cut():
    """The column of the pages is as wide as this on a screen of 1366 pixels."""
    lines = [
        line
        for found in PAGES.values()
        for one in found
        if one.language == "python"
        for line in one.text.splitlines()
    ]
    assert [line for line in lines if len(line) > 108] == []


def test_every_command_is_understood():
    from captum_ssgc.cli import _parser

    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    optional = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = ", optional, re.MULTILINE))
    for found in PAGES.values():
        for words in (words for one in found if one.language == "console"
                      for words in commands(one.text)):  # fmt: skip
            if words[0] == "captum-ssgc":
                assert callable(_parser().parse_args(words[1:]).run)
            elif words[:2] == ["pip", "install"]:
                (what,) = [word for word in words[2:] if not word.startswith("-")]
                names = re.fullmatch(r"\.(?:\[(.+)\])?", what)[1]
                assert set((names or "onnx").split(",")) <= extras
            else:
                assert words[0] in ("torchrun", "$", "python"), words


@pytest.fixture
def reader(folder: Path, no_download: list[str]) -> Path:
    """The folder of a reader with a small data set, whose detector needs no download."""
    scene = demo.scene(26)
    images = [
        {"id": at, "file_name": name, "width": 400, "height": 320}
        for at, name in enumerate(("a.jpg", "b.jpg"))
    ]
    annotations = []
    for image in images:
        for box, label in zip(scene.boxes.tolist(), scene.labels.tolist(), strict=True):
            x1, y1, x2, y2 = box
            place = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
            known = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": label}
            annotations.append({**known, **place, "iscrowd": 0})
    names = enumerate(demo.CLASS_NAMES)
    categories = [{"id": label, "name": name} for label, name in names if label]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(data))
    return folder


@pytest.mark.parametrize("name", RUN)
def test_a_page_runs(name, reader, capsys):
    from captum_ssgc.cli import main

    torch.manual_seed(0)
    names: dict[str, object] = {}
    for one in PAGES[name]:
        if one.reason is not None:
            continue
        if one.language == "python":
            exec(compile(one.text, f"{name}.rst", "exec"), names)
            continue
        for words in commands(one.text):
            if words[0] == "captum-ssgc":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # they are lines of the command
                    assert main(words[1:]) == 0, (words, capsys.readouterr().err)
            else:
                assert words[:2] == ["pip", "install"], words
