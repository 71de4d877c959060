"""The page *Quickstart* runs as written, block after block."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "quickstart.rst"


@pytest.mark.slow
def test_the_blocks_run_in_the_order_of_the_page(folder, no_download, capsys):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
    assert len(blocks) == 4
    torch.manual_seed(0)
    names: dict[str, object] = {}
    for block in blocks:
        exec(dedent(block), names)
    assert no_download == ["DEFAULT"]
    assert (folder / "heat_maps.png").is_file()
    assert (folder / "heat_maps.html").is_file()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    of_map, at_random = (float(one) for one in re.findall(r"tensor\(\[(.*?)\]\)", lines[-1]))
    assert of_map < 0.5 * at_random
