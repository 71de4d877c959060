from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from captum_ssgc.cli.demo import _known_shares
from captum_ssgc.data import Scene
from captum_ssgc.explanations import Explanation


def test_writes_what_explain_writes_and_the_known_shares(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = run("demo", "-o", tmp_path, "--device", "cpu")
    assert outcome.code == 0
    assert outcome.err == ""
    (folder,) = tmp_path.iterdir()
    written = json.loads((folder / f"{folder.name}.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*written["files"], f"{folder.name}.json"}
    matched = [entry["maps"][0] for entry in written["detections"]]
    matched = [drawn for drawn in matched if drawn["energy_in_object"] is not None]
    assert len(matched) >= 2
    for drawn in matched:
        assert 0 < drawn["energy_in_emblem"] < drawn["energy_in_object"] <= 1
        assert drawn["energy_in_object"] > 0.3
        assert drawn["energy_in_object"] > drawn["chance_in_object"]
        assert drawn["energy_in_emblem"] > drawn["chance_in_emblem"]
        for region in ("box", "object", "emblem"):
            share, floor = drawn[f"energy_in_{region}"], drawn[f"chance_in_{region}"]
            shown = f"{100 * share:.1f} % ({100 * floor:.1f})"
            assert shown in outcome.out
    assert "in emblem" in outcome.out
    assert "In brackets: what chance gives" in outcome.out


def test_a_seed_gives_its_own_scene(run: Callable[..., Any], tmp_path: Path) -> None:
    assert run("demo", "--seed", "12", "--top-k", "1", "-o", tmp_path).code == 0
    assert (tmp_path / "scene_12" / "scene_12_overview.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "expected a seed from 0"),
        (("--seed", "x"), "argument --seed: invalid int value: 'x'"),
        (("--layer", "nope"), "no layer 'nope'; use one of 'backbone.fpn"),
    ],
    ids=["negative", "word", "layer"],
)
def test_errors(
    run: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = run("demo", "-o", tmp_path, *arguments)
    assert outcome.code == 2
    (line,) = outcome.lines
    assert message in line


def test_shares_belong_to_the_object_that_was_found() -> None:
    masks = torch.zeros(2, 10, 20, dtype=torch.bool)
    masks[0, 2:6, 2:6] = True
    masks[1, 2:8, 10:16] = True
    emblems = torch.zeros_like(masks)
    emblems[1, 4:6, 12:14] = True
    scene = Scene(
        image=torch.zeros(3, 10, 20),
        boxes=torch.tensor([[2.0, 2.0, 6.0, 6.0], [10.0, 2.0, 16.0, 8.0]]),
        labels=torch.tensor([1, 2]),
        masks=masks,
        emblem_masks=emblems,
        seed=0,
    )
    heat_map = torch.zeros(10, 20)
    heat_map[4:6, 12:14] = 1.0
    heat_map[2, 10:14] = 1.0
    heat_map[0, :2] = 1.0

    def found(label: int, box: list[float]) -> Explanation:
        return Explanation(0, "x", label, 0.9, torch.tensor(box), heat_map, "odam", "layer")

    right = found(2, [10.0, 2.0, 16.0, 8.0])
    other_class = found(1, [10.0, 2.0, 16.0, 8.0])
    elsewhere = found(2, [2.0, 2.0, 6.0, 6.0])
    shares, chance = _known_shares(scene, [right, other_class, elsewhere])
    assert shares["object"] == [pytest.approx(0.8), None, None]
    assert shares["emblem"] == [pytest.approx(0.4), None, None]
    assert chance["box"] == pytest.approx([36 / 200, 36 / 200, 16 / 200])
    assert chance["object"] == [pytest.approx(36 / 200), None, None]
    assert chance["emblem"] == [pytest.approx(4 / 36), None, None]
