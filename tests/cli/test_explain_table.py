"""``explain --csv``: one table of the figures of all images."""

from __future__ import annotations

import csv
import json

from captum_ssgc.cli.figures_file import COLUMNS, write_figures


def lines_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_table_says_what_the_json_file_says(explain, photo, tmp_path):
    """And a picture of each line is where it says."""
    methods = ("--method", "odam[output=contrast:1],ssgrad-cam++", "--option", "odam.smoothing=1")
    outcome = explain(photo, "-o", tmp_path, "--csv", "--top-k", "1", *methods)
    assert outcome.code == 0
    assert outcome.out.rstrip().endswith(f"-> {tmp_path / 'heat_maps.csv'}")
    lines = lines_of(tmp_path / "heat_maps.csv")
    assert tuple(lines[0]) == COLUMNS
    record = json.loads((tmp_path / "cat" / "cat.json").read_text())
    [one] = record["detections"]
    for line, drawn in zip(lines, one["maps"], strict=True):
        assert line["image"] == record["image"]
        for name in ("number", "index", "label", "label_index", "score"):
            assert line[name] == str(one[name])
        assert [float(line[name]) for name in ("x1", "y1", "x2", "y2")] == one["box"]
        for name in ("method", "layer", "maximum"):
            assert line[name] == str(drawn[name])
        energy = drawn["energy_in_box"]
        assert line["energy_in_box"] == ("" if energy is None else str(energy))
        assert (line["energy_in_mask"], line["verdict"], line["rests_on"]) == ("", "", "")
        assert (tmp_path / line["picture"]).is_file()
    asked = [(line["method"], line["output"], line["options"]) for line in lines]
    assert asked == [("odam", "contrast:1", "smoothing=1"), ("ssgrad-cam++", "score", "")]


def test_an_earlier_table_stays_where_nothing_is_explained(explain, photo, tmp_path):
    (tmp_path / "heat_maps.csv").write_text("earlier")
    assert explain(photo, "-o", tmp_path, "--csv", "--score-threshold", "1").code == 1
    assert (tmp_path / "heat_maps.csv").read_text() == "earlier"


def test_verdicts_masks_and_odd_names(tmp_path):
    """A name that is no text becomes escapes; a line break stays within its cell."""
    drawn = {"method": "odam", "options": {"grid": (3, 4)}, "layer": None, "maximum": None,
             "energy_in_box": None, "energy_in_mask": 0.25, "file": "a.png"}  # fmt: skip
    one = {"number": 1, "index": 3, "label": 'a "cat",\nblack', "label_index": 2, "score": 0.5,
           "box": [0.0, 1.0, 2.5, 3.0], "maps": [drawn],
           "rests_on": {"verdict": "object", "words": "rests on the object"}}  # fmt: skip
    record = {"image": "\udcff.png", "output": "-logit", "detections": [one]}
    write_figures(tmp_path / "t.csv", [("folder", record), ("other", record)])
    line, other = lines_of(tmp_path / "t.csv")
    assert line["image"] == "\\udcff.png"
    assert line["label"] == one["label"]
    assert (line["output"], line["options"], line["layer"]) == ("-logit", "grid=3x4", "")
    assert (line["energy_in_box"], line["energy_in_mask"]) == ("", "0.25")
    assert (line["verdict"], line["rests_on"]) == ("object", "rests on the object")
    assert (line["picture"], other["picture"]) == ("folder/a.png", "other/a.png")
