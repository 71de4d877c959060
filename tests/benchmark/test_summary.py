from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest

from captum_ssgc.benchmark import BenchmarkSettings
from captum_ssgc.benchmark.columns import columns_of, metrics_named
from captum_ssgc.benchmark.comparisons import PairedSums
from captum_ssgc.benchmark.records import DetectionRecord, ImageRecord
from captum_ssgc.benchmark.summary import summarise
from captum_ssgc.benchmark.tables import as_csv, comparisons_csv, lost_to_floors, markdown
from captum_ssgc.benchmark.uncertainty import holm

METHODS = ("odam", "ssgrad-cam", "ssgrad-cam++")


def describe(images, **changes):
    options = {"methods": METHODS, "metrics": "energy-pointing-game", "floors": ("noise", "centre")}
    settings = BenchmarkSettings(**(options | changes))
    data = {"images": images, "left_out": [], "ignored_annotations": {}}
    return {"settings": settings.as_json(), "data": data}


def record(index, values, seconds=1.0):
    """An image with these energies in the box; ``None`` for an unmatched detection."""
    first = next(iter(values.values()))
    unknown = (None,) * len(first)
    return ImageRecord(
        index, str(index), f"{index}.jpg", reported=len(first) + 1, above=len(first),
        annotations=5, crowd=1, unknown_class=2, labels="by name",
        detections=tuple(
            DetectionRecord("a", 0.9, (0.0,) * 4, None if one is None else 0) for one in first
        ),
        values={
            name: {"zero": (0.0,) * len(first), "ep_b": tuple(row), "ep_m": unknown}
            for name, row in values.items()
        },
        seconds=dict.fromkeys(METHODS, seconds), total_seconds=2.0,
    )  # fmt: skip


def energies(odam, plain, ours, noise=0.1, centre=0.2):
    return dict(zip((*METHODS, "noise", "centre"), (odam, plain, ours, [noise] * len(ours),
                                                   [centre] * len(ours))))  # fmt: skip


def test_means_are_over_detections_and_marks_follow():
    records = [
        record(0, energies([0.8, 0.6], [0.1, 0.1], [0.9, 0.5])),
        record(1, energies([0.7], [0.3], [0.7])),
        ImageRecord(2, "2", "bad.jpg", failed="why"),
    ]
    summary = summarise(records, describe(4))
    cells = {row.name: row.cells["ep_b"] for row in summary.rows}
    assert [row.name for row in summary.rows] == [*METHODS, "noise", "centre"]
    assert cells["odam"].mean == pytest.approx(0.7)
    assert cells["ssgrad-cam"].mean == pytest.approx(0.5 / 3)
    assert cells["odam"].best
    assert cells["ssgrad-cam++"].best
    assert not cells["ssgrad-cam"].best
    assert cells["ssgrad-cam"].loses_to == ("centre",)
    assert cells["noise"].loses_to == ()
    assert cells["odam"].count == 3
    assert summary.row("odam").cells["seconds"].mean == pytest.approx(2 / 3)
    assert "seconds" not in summary.row("noise").cells
    assert [column.key for column in summary.columns] == ["ep_b", "zero", "seconds"]
    assert summary.failures == (("bad.jpg", "why"),)
    assert not summary.complete
    assert summary.counts == {
        "images": 3, "failed": 1, "reported": 5, "above": 3, "evaluated": 3, "matched": 3,
        "annotations": 10, "crowd": 2, "unknown_class": 4,
    }  # fmt: skip


def test_differences_are_tested_image_by_image():
    records = [
        record(index, energies([0.5 + 0.01 * (-1) ** index] * 2, [0.2] * 2, [0.5] * 2))
        for index in range(12)
    ]
    summary = summarise(records, describe(12))
    cells = {row.name: row.cells["ep_b"] for row in summary.rows}
    assert cells["odam"].p == 1.0
    assert cells["odam"].tied
    assert cells["ssgrad-cam"].p == 2 / 2**12
    assert cells["ssgrad-cam"].p_holm == 4 * 2 / 2**12
    assert not cells["ssgrad-cam"].tied
    assert cells["ssgrad-cam++"].p is None
    assert not cells["ssgrad-cam++"].tied
    assert summary.row("odam").cells["zero"].p is None


def test_pairs_need_both_values():
    records = [record(0, energies([0.5, 0.9], [0.2, None], [0.5, None])) for _ in range(3)]
    summary = summarise(records, describe(3))
    assert summary.row("odam").cells["ep_b"].p == 1.0
    one = summary.comparisons.of("ep_b", "odam", "ssgrad-cam")
    assert (one.count, one.difference) == (3, pytest.approx(0.3))
    assert (one.low, one.high) == pytest.approx((0.3, 0.3))


def test_any_two_rows_are_compared_image_by_image():
    values = [(0.5, 0.2, 0.8), (0.6, 0.2, 0.6), (0.9, 0.2, 0.8), (0.7, 0.2, 0.9)] * 3
    records = [record(at, energies(*([one] for one in three))) for at, three in enumerate(values)]
    summary = summarise(records, describe(len(values)))
    rows = [row.name for row in summary.rows]
    for a, b in itertools.product(rows, rows):
        one = summary.comparisons.of("ep_b", a, b)
        if a == b:
            assert one is None
            continue
        other = summary.comparisons.of("ep_b", b, a)
        assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
        gap = [dict(zip(METHODS, three)) | {"noise": 0.1, "centre": 0.2} for three in values]
        gap = np.array([each[a] - each[b] for each in gap])
        assert one.difference == pytest.approx(gap.mean())
        assert one.low - 1e-9 <= one.difference <= one.high + 1e-9
        signs = itertools.product((-1, 1), repeat=len(gap))
        reached = sum(abs(np.dot(each, gap)) >= abs(gap.sum()) - 1e-9 for each in signs)
        assert one.p == reached / 2 ** len(gap)
        if {a, b} == {"ssgrad-cam", "centre"}:  # no difference, from neither side
            assert f"{one.difference:+.1f} {one.low:+.1f} {one.high:+.1f}" == "+0.0 +0.0 +0.0"
    each = [one.p for one in summary.comparisons.each]
    assert len(each) == 5 * 4 // 2
    adjusted = [one.p_holm for one in summary.comparisons.each]
    np.testing.assert_allclose(adjusted, holm(np.array(each)))


def test_what_cannot_be_told_from_the_best_is_marked():
    """Of 12 images one is 2 in 4096 at the least, and 10 pairs make it 0.005."""
    wobble = [0.1 * (-1) ** index for index in range(12)]
    records = [record(i, energies([0.55 + w], [0.2], [0.5])) for i, w in enumerate(wobble)]
    summary = summarise(records, describe(12))
    cells = {row.name: row.cells["ep_b"] for row in summary.rows}
    assert {name for name, cell in cells.items() if cell.best} == {"odam"}
    assert {name for name, cell in cells.items() if cell.as_best} == {"ssgrad-cam++"}
    lines = markdown(summary).splitlines()
    assert lines[2].startswith("| ODAM | **0.550** ≈ |")
    assert lines[3].startswith("| SSGrad-CAM | 0.200 |")
    assert lines[4].startswith("| SSGrad-CAM++ | 0.500 • |")
    assert any("adjusted for all 10 pairs of rows" in line for line in lines)
    assert not any("too few" in line for line in lines)


def test_too_few_images_are_said():
    records = [record(index, energies([0.9], [0.2], [0.5])) for index in range(8)]
    assert "8 images are too few to tell 5 rows apart." in markdown(summarise(records, describe(8)))


def test_any_two_rows_as_csv():
    records = [record(0, energies([0.8], [0.1], [0.9])), record(1, energies([0.7], [0.1], [0.9]))]
    head, first, *more = comparisons_csv(summarise(records, describe(2))).splitlines()
    assert head == "column,row,other,n,difference,low,high,p,p_holm"
    assert first == "ep_b,odam,ssgrad-cam,2,0.65,0.6,0.7,0.5,1"
    assert len(more) == 9


def test_many_rows_can_still_be_told_apart():
    """With 10,000 signs and 820 pairs nothing would ever be significant."""
    pairs = PairedSums([str(row) for row in range(41)], ["ep_b"])
    for _ in range(40):
        pairs.add(np.linspace(0, 1, 41)[:, None, None])
    assert pairs.comparisons(0).of("ep_b", "40", "0").distinguishable


def test_without_the_reference_nothing_is_tested():
    records = [record(0, energies([0.5], [0.2], [0.5]))]
    summary = summarise(records, describe(1, methods=("odam", "ssgrad-cam")))
    assert all(cell.p is None for row in summary.rows for cell in row.cells.values())
    assert "≈" not in markdown(summary)
    assert summary.comparisons.of("ep_b", "odam", "ssgrad-cam").difference == pytest.approx(0.3)


def test_an_equal_column_has_no_best():
    summary = summarise([record(0, energies([0.5], [0.5], [0.5]))], describe(1))
    assert not any(row.cells["ep_b"].best for row in summary.rows)


def test_the_examples_are_best_median_and_worst():
    values = [0.3, 0.9, None, 0.1, 0.5]
    records = [
        record(0, energies(values[:2], values[:2], values[:2])),
        record(7, energies(values[2:], values[2:], values[2:])),
    ]
    summary = summarise(records, describe(2))
    places = [(place.index, place.row, place.merit) for place in summary.examples["odam"]]
    assert places == [(0, 1, 0.9), (0, 0, 0.3), (7, 1, 0.1)]
    assert summary.merit == "energy in the annotated box"
    assert set(summary.examples) == set(METHODS)


def test_records_are_read_once_and_not_kept():
    alive = []

    def records():
        for index in range(30):
            one = record(index, energies([0.5], [0.2], [0.5]))
            alive.append(weakref.ref(one))
            yield one
            del one
            assert sum(reference() is not None for reference in alive) <= 1

    assert summarise(records(), describe(30)).counts["evaluated"] == 30


def test_no_images_make_an_empty_table():
    summary = summarise([], describe(5))
    assert summary.columns == ()
    assert "0 images" in markdown(summary)
    assert as_csv(summary).count("\n") == 6


def test_markdown_and_csv():
    records = [record(0, energies([0.8], [0.1], [0.9])), record(1, energies([0.7], [0.1], [0.9]))]
    summary = summarise(records, describe(2))
    lines = markdown(summary).splitlines()
    assert lines[0] == "|  | eP(b) ↑ | Zero ↓ | s / det. ↓ |"
    assert lines[2] == "| ODAM | 0.750 ≈ • | 0.0 % | 1 |"
    assert lines[4] == "| SSGrad-CAM++ | **0.900** | 0.0 % | 1 |"
    assert lines[6] == "| *Centre prior* | 0.200 | 0.0 % | – |"
    assert lost_to_floors(summary) == ["▾ SSGrad-CAM loses to “Centre prior” in eP(b)."]
    head, first, *_ = (line.split(",") for line in as_csv(summary).splitlines())
    assert dict(zip(head, first))["ep_b"] == "0.75"
    assert dict(zip(head, first))["ep_b_n"] == "2"
    assert dict(zip(head, first))["ep_b_p_holm"] == "1"


def test_all_metrics_are_the_table_and_more_is_named():
    assert metrics_named("all") == metrics_named(
        ["evidence-energy", "pointing-game", "deletion-insertion", "energy-pointing-game"]
    )
    assert metrics_named(["infidelity", "all"])[-1] == "infidelity"
    assert [column.title for column in columns_of(metrics_named("all"))][:9] == [
        "Del s1", "Ins s1", "Del s2", "Ins s2", "P(b)", "P(m)", "eP(b)", "eP(m)", "Evidence"
    ]  # fmt: skip


@pytest.mark.parametrize("names", ["pointing", [], ["all", "x"]])
def test_unknown_metrics_are_refused(names):
    with pytest.raises(ValueError, match="metrics: expected all or some of deletion-insertion"):
        metrics_named(names)


def test_one_method_stands_in_several_rows():
    methods = ["odam", ("ssgrad-cam++", {"output": "logit"}), "ssgrad-cam++"]
    keys = ("odam", "ssgrad-cam++[output=logit]", "ssgrad-cam++")
    values = dict(zip((*keys, "noise", "centre"), ([0.5], [0.9], [0.7], [0.1], [0.8])))
    summary = summarise([record(0, values)], describe(1, methods=methods))
    assert [row.name for row in summary.rows] == [*keys, "noise", "centre"]
    assert [row.title for row in summary.rows][:3] == [
        "ODAM", "SSGrad-CAM++ [output=logit]", "SSGrad-CAM++"
    ]  # fmt: skip
    assert summary.row(keys[1]).cells["ep_b"].best
    assert summary.settings.reference == "ssgrad-cam++"
    assert summary.row("ssgrad-cam++").cells["ep_b"].p is None
    assert summary.row(keys[1]).cells["ep_b"].p == 1.0
    assert "not distinguishable from SSGrad-CAM++:" in markdown(summary)
    assert "▾ SSGrad-CAM++ loses to “Centre prior” in eP(b)." in lost_to_floors(summary)
    assert "SSGrad-CAM++ [output=logit]" in as_csv(summary)


def test_the_reference_may_have_options():
    settings = BenchmarkSettings(methods=["odam", ("ssgrad-cam++", {"smoothing": 1.0})])
    assert settings.reference == "ssgrad-cam++[smoothing=1]"
    assert BenchmarkSettings(methods="odam").reference is None
