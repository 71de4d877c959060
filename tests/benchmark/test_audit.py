"""Whole audits of detectors made by hand, in which every mechanism is forced."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch
from browsing import needs_chromium, opened_page, started, wait_for
from PIL import Image
from torch import nn

import captum_ssgc as ssgc
from captum_ssgc.benchmark import AuditSettings, BenchmarkError, report_audit, run_benchmark, runner
from captum_ssgc.benchmark.auditing.image_audit import ImageAudit
from captum_ssgc.data import CocoDataset
from captum_ssgc.detectors import CandidateDetector

NAMES = ("cat", "dog", "owl")
WIDTH, HEIGHT = 60, 20
QUICK = AuditSettings(method=None, fills="zero")
# Objects (x1, x2, class), candidates (x1, x2, scores of cat, dog, owl), what becomes of the first.
CASES = {
    "found": ([(0, 20, 0)], [(0, 20, 0.9, 0, 0)]),
    "suppressed": (
        [(0, 19, 0), (9, 31, 0)],
        [(0, 30, 0.9, 0, 0), (0, 20, 0.8, 0, 0), (11, 30, 0.7, 0, 0)],
    ),
    "under the threshold": ([(0, 20, 0)], [(0, 20, 0.35, 0.1, 0)]),
    "another class wins": ([(0, 20, 0)], [(0, 20, 0.6, 0.7, 0.1)]),
    "badly placed": ([(0, 20, 0)], [(12, 40, 0.9, 0, 0), (15, 60, 0, 0.9, 0)]),
    "no candidate": ([(0, 20, 0)], [(40, 60, 0, 0, 0.9)]),
    "covered by another object's detection": ([(2, 20, 0), (0, 20, 0)], [(0, 20, 0.9, 0, 0)]),
    "dropped": ([(40, 60, 1)], [(40, 60, 0, 0.55, 0), (0, 20, 0.9, 0, 0)]),
}
ROWS = 3


class ByCode(nn.Module):
    """Candidates that depend on a code in the image's last pixel; none of them without a code."""

    def __init__(self) -> None:
        super().__init__()
        boxes, scores = torch.zeros(len(CASES) + 1, ROWS, 4), torch.zeros(len(CASES) + 1, ROWS, 3)
        for number, (_, candidates) in enumerate(CASES.values()):
            for row, (left, right, *known) in enumerate(candidates):
                boxes[number, row] = torch.tensor([left, 0.0, right, HEIGHT])
                scores[number, row] = torch.tensor(known)
        self.register_buffer("boxes", boxes)
        self.register_buffer("scores", scores)

    def forward(self, images):
        codes = (images[:, 0, -1, -1] * 255).round().long() - 100
        codes[(codes < 0) | (codes >= len(CASES))] = len(CASES)
        return self.boxes[codes], self.scores[codes]


def by_code(**options):
    return CandidateDetector(ByCode().eval(), label_names=NAMES, **options)


def write_coco(folder, images):
    """``images``: pairs of pixels ``(H, W, 3)`` or code and objects ``(x1, x2, class)``."""
    entries, annotations = [], []
    for number, (pixels, objects) in enumerate(images):
        if isinstance(pixels, int):
            code, pixels = pixels, torch.full((HEIGHT, WIDTH, 3), 90, dtype=torch.uint8)
            pixels[-1, -1] = code
        Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")
        size = {"height": pixels.shape[0], "width": pixels.shape[1]}
        entries.append({"id": number + 7, "file_name": f"{number}.png", **size})
        for left, right, label in objects:
            annotations.append({
                "id": len(annotations) + 1, "image_id": number + 7, "category_id": label + 1,
                "bbox": [left, 0, right - left, pixels.shape[0]], "iscrowd": 0,
            })  # fmt: skip
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(NAMES)]
    content = {"images": entries, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder / "instances.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    images = [(100 + place, objects) for place, (objects, _) in enumerate(CASES.values())]
    return write_coco(tmp_path_factory.mktemp("cases"), images)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audits") / "run"
    # The limit makes the detector drop what is second best.
    detector = by_code(max_detections=1)
    return SimpleNamespace(folder=folder, summary=ssgc.audit(detector, data, folder, QUICK))


@pytest.fixture
def run(data, tmp_path):
    def again(settings=QUICK, data=data, folder=tmp_path / "run", detector=None, **options):
        return ssgc.audit(detector or by_code(max_detections=1), data, folder, settings, **options)

    return again


@pytest.fixture
def audited(monkeypatch):
    """The keys of all images that are audited; at the key in ``stop`` the user interrupts."""
    real = ImageAudit.record

    class Keys(list):
        stop = None

    keys = Keys()

    def record(self, case, image):
        if image.key == keys.stop:
            keys.stop = None
            raise KeyboardInterrupt
        keys.append(image.key)
        return real(self, case, image)

    monkeypatch.setattr(ImageAudit, "record", record)
    return keys


def numbers_of(summary):
    return summary.all, summary.classes, summary.worth_a_look, summary.counts, summary.failures


def counted(shares):
    return {name: int(share.count) for name, share in shares.items() if share.count}


def test_every_mechanism_is_counted(finished):
    found = finished.summary.all
    assert counted(found.mechanisms) == {name: 1 for name in CASES if name != "found"}
    assert counted(found.objects) == {
        "found": 3, "wrong class": 1, "badly placed": 1, "missed": 5,
    }  # fmt: skip
    assert counted(found.false_alarms) == {"background": 2}
    assert (found.object_count, found.detection_count) == (10, 7)
    assert found.mechanisms["suppressed"].share == pytest.approx(1 / 7)


def test_classes_are_counted_by_what_they_are_and_are_taken_for(finished):
    cat, dog, owl = (finished.summary.of(name) for name in NAMES)
    assert counted(cat.objects) == {"found": 3, "wrong class": 1, "badly placed": 1, "missed": 4}
    assert counted(dog.objects) == {"missed": 1}
    assert (cat.detection_count, dog.detection_count, owl.detection_count) == (5, 1, 1)
    assert counted(owl.false_alarms) == {"background": 1}
    assert owl.objects == {}
    with pytest.raises(KeyError, match=r"expected one of .*, got 'cow'"):
        finished.summary.of("cow")


def test_intervals_contain_their_shares(finished):
    summary = finished.summary
    shares = [
        share
        for one in (summary.all, *summary.classes)
        for group in (one.objects, one.mechanisms, one.false_alarms, one.verdicts)
        for share in group.values()
    ]
    assert len(shares) > 40
    assert all(0.0 <= one.low <= one.share <= one.high <= 1.0 for one in shares)
    assert all(one.low < one.high for one in shares if one.share in (0.0, 1.0))


def test_groups_take_turns_in_what_is_worth_a_look(finished):
    looks = finished.summary.worth_a_look
    first = [one.group for one in looks]
    # The candidates' scores are constants where the code is seen: everything leans on context
    # whose box does not hold it.
    assert first[0] == "leans on context"
    assert first[1] == "missed"
    for group in set(first):
        weights = [one.weight for one in looks if one.group == group]
        assert weights == sorted(weights, reverse=True)
    assert len({(one.index, one.place) for one in looks}) == len(looks)


@pytest.mark.parametrize("stop", ["7", "10", "14"])
def test_an_interrupted_audit_goes_on_and_gives_the_same(run, audited, finished, stop):
    audited.stop = stop
    with pytest.raises(KeyboardInterrupt):
        run()
    assert audited == [str(key) for key in range(7, int(stop))]
    assert numbers_of(run()) == numbers_of(finished.summary)
    assert audited == [str(key) for key in range(7, 7 + len(CASES))]


@pytest.mark.parametrize("damage", [b'"kind":"found"', b'"words":"cat'])
def test_a_damaged_record_is_made_again(run, audited, finished, tmp_path, damage):
    run()
    path = tmp_path / "run" / "results" / "rank-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert damage in lines[0]
    lines[0] = lines[0].replace(damage, damage[:-1] + b"x")
    path.write_bytes(b"".join(lines))
    del audited[:]
    summary = run()
    assert audited == ["7"]
    assert summary.damaged == 1
    assert numbers_of(summary) == numbers_of(finished.summary)


def test_two_processes_give_the_same(run, audited, finished, monkeypatch, tmp_path):
    monkeypatch.setattr(runner.World, "gather", lambda self, message: [message] * self.size)
    for rank in (1, 0):
        for name, value in (("RANK", rank), ("WORLD_SIZE", 2), ("LOCAL_RANK", rank)):
            monkeypatch.setenv(name, str(value))
        summary = run()
        assert (summary is None) == (rank == 1)
    assert audited == ["8", "10", "12", "14", "7", "9", "11", "13"]
    assert numbers_of(summary) == numbers_of(finished.summary)
    assert len(list((tmp_path / "run" / "results").glob("*.jsonl"))) == 2


def test_a_detector_of_grey_images(run, finished):
    """The images are as many channels as it takes; these are grey, and give the same."""
    detector = by_code(max_detections=1)
    detector.channels = 1
    seen = []
    detector.model.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    assert numbers_of(run(detector=detector)) == numbers_of(finished.summary)
    assert set(seen) == {1}


def test_an_image_that_cannot_be_read_is_named(run, data, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for path in data.parent.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    (own / "2.png").write_bytes(b"nothing")
    summary = run(data=own / "instances.json")
    assert summary.counts["failed"] == 1
    assert dict(summary.failures).keys() == {"2.png"}
    assert "1 images could not be audited" in (tmp_path / "run" / "audit.html").read_text()


def test_other_settings_and_other_tasks_are_refused(run, finished, tiny):
    with pytest.raises(BenchmarkError, match=r"settings\.alone is 0\.5 there and 0\.6 here"):
        run(AuditSettings(method=None, fills="zero", alone=0.6), folder=finished.folder)
    with pytest.raises(BenchmarkError, match='holds a run of "audit", not of "benchmark"'):
        run_benchmark(tiny.tiny_detector(), "synthetic:1", finished.folder)


def test_a_report_needs_no_model(finished):
    before = {path.name: path.read_bytes() for path in finished.folder.glob("*.*")}
    assert numbers_of(report_audit(finished.folder)) == numbers_of(finished.summary)
    assert {path.name: path.read_bytes() for path in finished.folder.glob("*.*")} == before


def test_data_without_annotations_are_named_before_anything_is_written(run, tmp_path):
    with pytest.raises(ValueError, match=r"an audit needs annotations, and instances\.json has no"):
        run(data=write_coco(tmp_path, [(100, [])]))
    assert not (tmp_path / "run").exists()


def test_classes_that_do_not_fit_stop_the_audit(run, data):
    def of_classes(count):
        box = torch.tensor([[[0.0, 0.0, WIDTH, HEIGHT]]])
        return CandidateDetector(lambda images: (
            box.expand(len(images), -1, -1), torch.full((len(images), 1, count), 0.1),
        ))  # fmt: skip

    summary = run(detector=of_classes(9), limit=1)
    assert summary.failures == ()
    assert summary.labels == ("by id: label n is category n",)
    assert [one.name for one in summary.classes] == ["cat"]
    with pytest.raises(BenchmarkError, match="2 labels and the 3 categories"):
        run(detector=of_classes(2), folder=data.parent / "narrow")


def lines_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_csv_files_have_everything(finished):
    shares = lines_of(finished.folder / "classes.csv")
    whole = {(line["group"], line["item"]): line["count"] for line in shares if not line["class"]}
    assert whole["objects", "missed"] == "5"
    assert whole["mechanisms", "dropped"] == "1"
    findings = lines_of(finished.folder / "findings.csv")
    assert Counter(line["kind"] for line in findings) == {
        "found": 3, "wrong class": 1, "badly placed": 1, "missed": 5, "background": 2,
    }  # fmt: skip
    ranked = {int(line["worth_a_look"]): line["image"] for line in findings if line["worth_a_look"]}
    first = finished.summary.worth_a_look[0]
    assert ranked[1] == f"{first.index}.png"
    assert sorted(ranked) == list(range(1, len(ranked) + 1))


def test_the_json_file_is_a_data_set(finished, data):
    """COCO's readers take it; every finding is in it once."""
    content = json.loads((finished.folder / "audit.json").read_text())
    assert len(content["annotations"]) == 10
    assert [one["kind"] for one in content["detections"]] == ["background"] * 2
    again, before = CocoDataset(finished.folder / "audit.json", data.parent), CocoDataset(data)
    assert again.problems == []
    assert again.categories == before.categories
    for mine, theirs in zip(again, before, strict=True):
        assert (mine.id, mine.size) == (theirs.id, theirs.size)
        assert torch.equal(mine.boxes, theirs.boxes)
        assert torch.equal(mine.category_ids, theirs.category_ids)


class Parsed(HTMLParser):
    """Tags that are open, links, scripts by their id, and addresses that would be fetched."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.data, self.fetched, self.ids = [], [], {}, [], []
        self._script = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(known["href"])
        elif known.get("src") or known.get("href"):
            self.fetched.append(known.get("src") or known["href"])
        self.ids += [known["id"]] if "id" in known else []
        self._script = known.get("id", "") if tag == "script" else ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self._script:
            self.data[self._script] = self.data.get(self._script, "") + data


def test_the_page_is_whole_and_its_links_lead_to_boxes(finished):
    text = (finished.folder / "audit.html").read_text()
    page = Parsed(text)
    assert page.open == []
    assert page.fetched == ["data:,"]
    assert len(page.ids) == len(set(page.ids))
    index = json.loads(page.data["index"])
    looks = finished.summary.worth_a_look
    assert len(page.links) == len(looks)
    for link, look in zip(page.links, looks, strict=True):
        _, place, number = link.split("-")
        shown = index[int(place)]
        assert shown["name"] == f"{look.index}.png"
        entry = shown["entries"][int(number)]
        on_context = ("rests on the surroundings", "rests on a neighbour")
        assert (look.group == entry["kind"]) or entry["verdict"] in on_context
    assert "3 of 10 annotated objects were found" in text
    assert "its candidate is in place, and its score too low" in text


def test_the_number_of_images_on_the_page_is_bounded(run, tmp_path):
    run(examples=2)
    page = Parsed((tmp_path / "run" / "audit.html").read_text())
    assert len(json.loads(page.data["index"])) == 2
    assert len(page.links) < len(lines_of(tmp_path / "run" / "findings.csv"))
    run(examples=0)
    assert "index" not in Parsed((tmp_path / "run" / "audit.html").read_text()).data
    with pytest.raises(ValueError, match="examples: expected at least 0, got -1"):
        run(examples=-1)


def test_names_do_not_become_markup(run, tmp_path):
    path = write_coco(tmp_path, [(100, [(0, 20, 0)]), (102, [(0, 20, 0)])])
    evil = "<img src=x onerror=alert(1)>"
    path.write_text(path.read_text().replace('"cat"', json.dumps(evil)))
    detector = CandidateDetector(ByCode().eval(), label_names=(evil, *NAMES[1:]))
    assert run(data=path, detector=detector).all.object_count == 2
    text = (tmp_path / "run" / "audit.html").read_text()
    assert evil not in text
    assert "&lt;img src=x onerror" in text


class Leaning(nn.Module):
    """Two boxes of 32 pixels: a cat scored by its own brightness, an owl by that of the cat."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.AvgPool2d(4))
        with torch.no_grad():
            self.features[0].weight.fill_(0.3)
            self.features[0].bias.fill_(0.0)

    def forward(self, images):
        left = self.features(images)[:, 0, :, :8].mean((1, 2))
        zero = torch.zeros_like(left)
        boxes = torch.tensor([[0.0, 0.0, 32.0, 32.0], [40.0, 0.0, 72.0, 32.0]])
        rows = [torch.stack([left, zero, zero], 1), torch.stack([zero, zero, left], 1)]
        return boxes.expand(len(images), 2, 4), torch.stack(rows, 1)


@pytest.fixture(scope="module")
def leaning(tmp_path_factory):
    """An audit with maps of a detector that cheats with one of its classes."""
    folder = tmp_path_factory.mktemp("leaning")
    pixels = torch.full((32, 80, 3), 40, dtype=torch.uint8)
    pixels[:, :32] = 240
    path = write_coco(folder, [(pixels, [(0, 32, 0), (40, 72, 2)]), (pixels, [(40, 72, 2)])])
    model = Leaning().eval()
    detector = CandidateDetector(model, level_layers=[model.features], label_names=NAMES)
    settings = AuditSettings(method="odam", fills="zero")
    return folder, ssgc.audit(detector, path, folder / "run", settings, model_name="cheat")


def test_the_class_that_leans_on_context_comes_first(leaning):
    _, summary = leaning
    owl, cat = summary.classes
    assert (owl.name, cat.name) == ("owl", "cat")
    assert (owl.on_context.count, owl.on_context.total) == (2, 2)
    assert (cat.on_context.count, cat.on_context.total) == (0, 2)
    assert (owl.beyond_object.count, owl.beyond_object.total) == (2, 2)
    assert (cat.beyond_object.count, cat.beyond_object.total) == (0, 2)
    assert owl.leans
    assert not cat.leans
    # Where the cat is annotated it is a neighbour; where it is not, something around.
    assert counted(owl.verdicts) == {"neighbour": 1, "surroundings": 1}
    assert counted(cat.verdicts) == {"object": 2}
    assert owl.left_without.share == pytest.approx(1.0)
    assert cat.left_without.share == 0.0
    assert [one.group for one in summary.worth_a_look] == [
        "leans on context", "background", "leans on context",
    ]  # fmt: skip


def test_the_page_shows_the_maps_that_answer(leaning):
    folder, _ = leaning
    page = Parsed((folder / "run" / "audit.html").read_text())
    for place, shown in enumerate(json.loads(page.data["index"])):
        maps = json.loads(page.data[f"content-{place}"])["maps"]
        kinds = [entry["kind"] for entry in shown["entries"]]
        outputs = [[one["output"] for one in own] for own in maps]
        for kind, own in zip(kinds, outputs, strict=True):
            expected = ["for its class"]
            expected += [] if kind == "found" else ["against its class"]
            assert own == expected
    text = (folder / "run" / "audit.html").read_text()
    assert "most of all owl (2 of 2)" in text


def halves(path, **changes):
    """Give the annotations of a file masks: the left half of each box, unless said otherwise."""
    content = json.loads(path.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for one in content["annotations"]:
        height, width = sizes[one["image_id"]]
        left, _, across, _ = one["bbox"]
        counts = [left * height, across // 2 * height, (width - left - across // 2) * height]
        one["segmentation"] = changes.get(
            str(one["id"]), {"size": [height, width], "counts": counts}
        )
    file = path.with_name("masks.json")
    file.write_text(json.dumps(content))
    return file


def test_the_energy_in_annotated_masks(leaning, run, tmp_path):
    folder, _ = leaning
    model = Leaning().eval()
    detector = CandidateDetector(model, level_layers=[model.features], label_names=NAMES)
    path = halves(folder / "instances.json")
    summary = run(AuditSettings(method="odam", fills="zero"), data=path, detector=detector)
    first, *_ = explained = ssgc.explain(detector, folder / "0.png", "odam")
    energy = first.heat_map.clamp(min=0)
    cat, owl = (float(energy[:, x : x + 16].sum() / energy.sum()) for x in (0, 40))
    assert cat == pytest.approx(0.5, abs=0.05)
    assert torch.equal(explained[0].heat_map, explained[1].heat_map)
    lines = {
        (line["image"], line["detected_as"]): line
        for line in lines_of(tmp_path / "run" / "findings.csv")
    }
    assert float(lines["0.png", "cat"]["energy_in_mask"]) == pytest.approx(cat)
    assert float(lines["0.png", "owl"]["energy_in_mask"]) == pytest.approx(owl)
    assert lines["1.png", "cat"]["kind"] == "background"
    assert lines["1.png", "cat"]["energy_in_mask"] == ""
    assert f"{cat:.0%} in the mask, " in lines["0.png", "cat"]["rests_on"]
    assert summary.of("cat").in_mask.total == 1
    assert summary.of("cat").in_mask.share == pytest.approx(cat)
    assert (summary.of("cat").in_box.total, summary.of("owl").in_mask.total) == (2, 2)
    found = json.loads((tmp_path / "run" / "audit.json").read_text())["annotations"][0]
    assert found["energy_in_mask"] == pytest.approx(cat)
    text = (tmp_path / "run" / "audit.html").read_text()
    assert '<th scope="col">in the mask</th>' in text
    shares = {
        (line["class"], line["group"]): line for line in lines_of(tmp_path / "run" / "classes.csv")
    }
    assert float(shares["cat", "in_mask"]["share"]) == pytest.approx(cat, abs=1e-5)


def test_without_masks_there_is_no_such_column(leaning):
    folder, summary = leaning
    assert summary.all.in_mask is None
    assert {line["energy_in_mask"] for line in lines_of(folder / "run" / "findings.csv")} == {""}
    text = (folder / "run" / "audit.html").read_text()
    assert '<th scope="col" class="starts">in the box</th>' in text
    assert "in the mask" not in text


def test_masks_that_cannot_be_read_cost_their_figure_alone(leaning, run, monkeypatch, tmp_path):
    """Polygons need a package, which nobody asked for."""
    folder, _ = leaning
    model = Leaning().eval()
    detector = CandidateDetector(model, level_layers=[model.features], label_names=NAMES)
    path = halves(folder / "instances.json", **{"1": [[0, 0, 16, 0, 16, 32, 0, 32]]})
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    summary = run(AuditSettings(method="odam", fills="zero"), data=path, detector=detector)
    [(name, why)] = summary.problems
    assert (name, "need pycocotools" in why) == ("0.png", True)
    assert summary.of("cat").in_mask is None
    assert summary.of("owl").in_mask.total == 2
    text = (tmp_path / "run" / "audit.html").read_text()
    assert "<h3>Masks that could not be read</h3>" in text


def test_the_most_detections_are_tried_best_first(leaning, run):
    folder, _ = leaning
    model = Leaning().eval()
    detector = CandidateDetector(model, label_names=NAMES)
    settings = AuditSettings(method=None, fills="zero", max_detections=1)
    summary = run(settings, data=folder / "instances.json", detector=detector)
    assert sum(share.count for share in summary.all.verdicts.values()) == 2
    assert summary.all.detection_count == 4


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"score_threshold": 2}, ValueError, r"score_threshold: expected a number in \[0, 1\]"),
        ({"background_iou": 0.6}, ValueError, "background_iou: expected more than 0"),
        ({"max_detections": 0}, ValueError, "max_detections: expected at least 1"),
        ({"method": "d-rise"}, ValueError, "cannot tell what speaks for"),
        ({"method": 3}, TypeError, "method: expected a text"),
        ({"fills": "pink"}, ValueError, "baseline: expected"),
        ({"fills": ()}, ValueError, "fills: expected at least one"),
        ({"without": 0}, ValueError, "without: expected a share"),
        ({"threads": 0}, ValueError, "threads: expected at least 1"),
    ],
    ids=str,
)
def test_bad_settings_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        AuditSettings(**changes)


def test_settings_survive_the_file_of_the_run():
    settings = AuditSettings(layer="a", fills=("zero", "blur"), max_detections=None)
    assert AuditSettings.from_json(json.loads(json.dumps(settings.as_json()))) == settings


def test_many_detections_make_a_page(run, tmp_path):
    boxes = torch.tensor([[x, y, x + 9.0, y + 9.0] for x in range(0, 250, 10)
                          for y in range(0, 200, 10)])  # fmt: skip
    scores = torch.linspace(0.6, 0.9, len(boxes))[:, None].repeat(1, 3) * torch.eye(3)[0]

    def network(images):
        return boxes.expand(len(images), -1, 4), scores.expand(len(images), -1, 3)

    path = write_coco(tmp_path, [(torch.full((200, 250, 3), 9, dtype=torch.uint8), [(0, 9, 0)])])
    detector = CandidateDetector(network, label_names=NAMES, max_detections=1000)
    settings = AuditSettings(method=None, fills="zero", max_detections=2)
    summary = run(settings, data=path, detector=detector)
    assert summary.all.detection_count == 500
    page = Parsed((tmp_path / "run" / "audit.html").read_text())
    [shown] = json.loads(page.data["index"])
    assert len(shown["entries"]) == 501
    assert len(page.links) == 24


def test_a_share_of_all_or_nothing_has_wilson_s_interval(finished):
    """Nothing to draw from: the images are the trials."""
    owl = finished.summary.of("owl").false_alarms
    assert (owl["background"].low, owl["background"].high) == pytest.approx((0.2065, 1.0), abs=1e-3)
    assert (owl["both"].low, owl["both"].high) == pytest.approx((0.0, 0.7935), abs=1e-3)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1366, 390])
def test_the_page_in_a_browser(leaning, width):
    path = leaning[0] / "run" / "audit.html"
    size = {"width": width, "height": 800}
    with started() as browser, opened_page(browser, path, size) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        # Keys belong to the page until the viewer has the focus.
        page.keyboard.press("ArrowDown")
        assert page.locator('#list [aria-selected="true"]').count() == 0
        link = page.locator(".looks a").first
        _, place, number = link.get_attribute("href").split("-")
        link.click()
        drawn = f"entry-{place}-{number} odam for its class"
        wait_for(page, drawn)
        assert page.evaluate("document.activeElement.tagName") == "MAIN"
        assert "rests on" in page.locator("#about").inner_text()
        top = page.evaluate("document.getElementById('stage').getBoundingClientRect().top")
        assert 0 <= top < 300
        page.keyboard.press("ArrowUp")
        assert page.locator('#list [aria-selected="true"]').count() == 1
        page.select_option("#scope", "all", force=True)
        if width < 820:
            page.locator("#filters summary").click()
        page.select_option("#kind", label="background")
        names = page.locator("#list li small").all_inner_texts()
        assert len(names) == 1
        assert " background " in names[0]
