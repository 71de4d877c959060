"""Figures show themselves, look the same under any settings, and are written in full or not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from rendering import rendered
from torch import Tensor

from captum_ssgc.visualization import comparison_grid, curves, overlay, overview

STEPS = torch.linspace(0, 1, 11)
OWN_SETTINGS = {
    "text.usetex": True,
    "font.family": "serif",
    "font.size": 30.0,
    "axes.facecolor": "black",
    "figure.facecolor": "red",
    "savefig.dpi": 10,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "image.interpolation": "nearest",
    "image.origin": "lower",
    "lines.linewidth": 20.0,
    "axes.titlelocation": "right",
    "figure.constrained_layout.use": True,
    "path.sketch": (1.0, 100.0, 2.0),
}
KINDS = ["overlay", "overview", "comparison", "curves"]


def drawn(kind: str, picture: Tensor, explained: list[Any]) -> Figure:
    one = explained[0]
    if kind == "overlay":
        return overlay(picture, one.heat_map, one.box, "a_$cat", 0.5, source="50% of_it.jpg")
    if kind == "overview":
        return overview(picture, explained, title="a_{$")
    if kind == "comparison":
        return comparison_grid(picture, [[one, one]], captions=[["50 %", "a_$b"]])
    return curves(STEPS, {"a_$b": STEPS, "odam": 1 - STEPS}, title="50 %")


def saved(figure: Figure) -> np.ndarray:
    content = io.BytesIO()
    figure.savefig(content, format="png", pil_kwargs={"compress_level": 1})
    with Image.open(content) as image:
        return np.asarray(image.convert("RGBA"))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_of_the_user_do_not_matter(
    kind: str, picture: Tensor, explained: list[Any]
) -> None:
    plain = saved(drawn(kind, picture, explained))
    with matplotlib.rc_context(OWN_SETTINGS):
        before = dict(matplotlib.rcParams)
        under_settings = drawn(kind, picture, explained)
        np.testing.assert_array_equal(saved(under_settings), plain)
        np.testing.assert_array_equal(rendered(under_settings) * 255, plain[..., :3])
        assert dict(matplotlib.rcParams) == before


def test_settings_are_restored_by_threads(picture: Tensor, explained: list[Any]) -> None:
    with matplotlib.rc_context({"font.size": 17.0}):
        threads = [
            threading.Thread(target=lambda: saved(drawn("overlay", picture, explained)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert matplotlib.rcParams["font.size"] == 17.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_line_of_a_cell_shows_the_picture(
    kind: str, picture: Tensor, explained: list[Any]
) -> None:
    figure = drawn(kind, picture, explained)
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGBA")), saved(figure))


def test_ipython_shows_it_without_a_backend() -> None:
    pytest.importorskip("IPython")
    program = (
        "import torch\n"
        "from IPython.core.formatters import DisplayFormatter\n"
        "from captum_ssgc.visualization import overlay\n"
        "figure = overlay(torch.rand(3, 8, 8), torch.rand(8, 8))\n"
        "print(sorted(DisplayFormatter().format(figure)[0]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "image/png" in done.stdout


def test_a_file_name_without_a_suffix_gets_one(
    picture: Tensor, heat_map: Tensor, tmp_path: Path
) -> None:
    figure = overlay(picture, heat_map)
    figure.savefig(tmp_path / "plain")
    figure.savefig(str(tmp_path / "lines.svg"))
    figure.savefig(tmp_path / "told", format="pdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lines.svg",
        "plain.png",
        "told.pdf",
    ]
    assert (tmp_path / "lines.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".png", "missing/picture.png"], ids=["long", "folder"]
)
def test_a_failed_write_leaves_nothing(
    name: str, picture: Tensor, heat_map: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(OSError) as raised:
        overlay(picture, heat_map).savefig(tmp_path / name)
    assert len(str(raised.value)) < 800
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_what_was_there(
    picture: Tensor, heat_map: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"before")

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        overlay(picture, heat_map).savefig(path)
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_utf8_are_shown_and_written(
    picture: Tensor, heat_map: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    overlay(picture, heat_map, label=path.stem, source=path.name).savefig(path)
    assert [os.fsencode(one.name) for one in tmp_path.iterdir()] == [b"caf\xe9.png"]
