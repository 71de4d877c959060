from __future__ import annotations

import base64
import copy
import dataclasses
import io
import json
import pickle
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

import captum_ssgc as ssgc
from captum_ssgc import Explanations, demo


@pytest.fixture(scope="module")
def found() -> Explanations:
    methods = ["ssgrad-cam++", "odam"]
    return ssgc.explain(demo.detector(), demo.scene(26).image, methods, output="logit")


def contents(page: str) -> list[dict]:
    """What the page lists, photo by photo."""
    return json.loads(re.search(r'id="index"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def test_it_is_a_list(found):
    assert isinstance(found, list)
    assert len(found) == 6
    assert found == list(found)
    assert [one.method for one in found] == ["ssgrad-cam++", "odam"] * 3


@pytest.mark.parametrize(
    "again",
    [
        lambda one: one[:],
        lambda one: one.copy(),
        copy.copy,
        copy.deepcopy,
        lambda one: pickle.loads(pickle.dumps(one)),
    ],
    ids=["slice", "copy method", "copy", "deepcopy", "pickle"],
)
def test_it_stays_what_it_is(found, again):
    other = again(found)
    assert type(other) is Explanations
    assert torch.equal(other.image, found.image)
    assert (other.name, other.output) == (found.name, found.output) == ("image", "logit")
    for one, two in zip(other, found, strict=True):
        assert (one.label, one.score, one.method) == (two.label, two.score, two.method)
        assert torch.equal(one.heat_map, two.heat_map)


def test_parts_of_it(found):
    assert list(found[::2]) == [one for one in found if one.method == "ssgrad-cam++"]
    assert found[-1].method == "odam"
    assert found[4:].overview().texts[0].get_text() == found.name


def test_energy_in_what_is_known_of_the_object():
    heat_map = torch.tensor([[4.0, 1.0, 0.0], [2.0, 3.0, 0.0]])
    one = ssgc.Explanation(0, "ship", 0, 0.9, torch.tensor([0.0, 0.0, 2.0, 2.0]), heat_map, "m", "")
    assert one.energy_in_box() == 1.0
    triangle = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    assert replace(one, corners=triangle).energy_in_box() == pytest.approx(0.7)
    soft = torch.tensor([[0.5, 0.49, 1.0], [0.0, 0.6, 0.0]])
    assert replace(one, mask=soft).energy_in_mask() == pytest.approx(0.7)
    assert replace(one, mask=soft > 0.55).energy_in_mask() == pytest.approx(0.3)
    with pytest.raises(ValueError, match="mask: expected a mask, got None"):
        one.energy_in_mask()


def test_named_after_its_file(tmp_path):
    pixels = (demo.scene(26).image * 255).byte().permute(1, 2, 0).numpy()
    path = tmp_path / "a & b.png"
    Image.fromarray(pixels).save(path)
    for source in (path, str(path)):
        assert ssgc.explain(demo.detector(), source, top_k=1).name == "a & b.png"
    assert ssgc.explain(demo.detector(), pixels, top_k=1).name == "image"


def test_in_a_notebook(found):
    shown = found[:2]._repr_html_()
    picture = re.fullmatch(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)" .*>', shown)
    assert picture[2] == "image: 2 heat maps"
    with Image.open(io.BytesIO(base64.b64decode(picture[1]))) as drawn:
        assert drawn.width >= 1600
    named = Explanations([], image=found.image, name="<b>.png")
    assert named._repr_html_() == "<p>&lt;b&gt;.png: no explanation</p>"


def test_a_page(found, tmp_path):
    found.save_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    [photo] = contents(page)
    assert (photo["name"], photo["width"], photo["height"]) == ("image", 400, 320)
    assert [entry["label"] for entry in photo["entries"]] == [one.label for one in found[::2]]
    assert page.count('"output": "logit"') == 6
    found.save_html(tmp_path / "page.html", title="Scenes <1>")
    assert "<title>Scenes &lt;1&gt;</title>" in (tmp_path / "page.html").read_text()


def test_nothing_to_draw(found):
    with pytest.raises(ValueError, match="explanation"):
        found[:0].overview()


def test_a_map_is_the_same_whenever_it_is_looked_at():
    image = demo.scene(26).image
    early = ssgc.explain(demo.detector(), image, ["odam", "ssgrad-cam++"])
    late = pickle.loads(pickle.dumps(early[1]))  # before anybody has looked at it
    maps = [one.heat_map for one in early]
    with torch.inference_mode():
        of_late = late.heat_map
    assert torch.equal(of_late, maps[1])
    assert not of_late.is_inference()
    assert early[1].heat_map is maps[1]  # what a user changes in place stays changed
    assert dataclasses.replace(late, index=7).heat_map is of_late
    with pytest.raises(dataclasses.FrozenInstanceError):
        late.heat_map = of_late


def test_a_result_is_small_until_it_is_looked_at():
    found, [alone] = (
        ssgc.explain(demo.detector(), demo.scene(26).image, top_k=count) for count in (None, 1)
    )
    size, of_alone = (len(pickle.dumps(one)) for one in (found[0], alone))
    assert size < 1.1 * of_alone  # the maps of the other ones are not in it
    assert size < alone.heat_map.numel()


def test_it_is_one_line_in_a_session(found):
    layer = "backbone.fpn.layer_blocks"
    one = found[0]
    assert repr(one) == f"<Explanation 0: '3' 1.000, box 276 87 352 166, ssgrad-cam++ at {layer}.0>"
    assert repr(found).count("\n") == 0
    assert "d-rise>" in repr(dataclasses.replace(one, method="d-rise", layer=""))


@pytest.mark.parametrize(
    "write",
    [
        lambda found, path: found.save_html(path),
        lambda found, path: found.save_maps(path),
        lambda found, path: found.overview().savefig(path),
    ],
    ids=["page", "maps", "picture"],
)
def test_a_folder_that_is_missing_is_named(found, tmp_path, write):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*none; make it first"):
        write(found, tmp_path / "none" / "it.png")
