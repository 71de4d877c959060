from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
import torch
from PIL import Image

from captum_ssgc import _interrupts
from captum_ssgc.benchmark import BenchmarkError, report, run_benchmark, runner
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation, image_seed
from captum_ssgc.benchmark.opening import open_source
from captum_ssgc.benchmark.record_files import read_index
from captum_ssgc.benchmark.records import ImageRecord
from captum_ssgc.benchmark.run_folder import RunFolder
from captum_ssgc.benchmark.small_maps import unpacked

IMAGES = 5


@pytest.fixture
def run(tiny, data, tmp_path):
    """Runs in a folder of its own."""

    def again(given=None, data=data, folder=tmp_path / "run", detector=None, **options):
        detector = detector or tiny.tiny_detector()
        return run_benchmark(detector, data, folder, given or tiny.settings(), **options)

    return again


@pytest.fixture
def few(tiny):
    """For what does not depend on what is measured."""
    return tiny.settings(methods="odam", metrics="pointing-game")


@pytest.fixture(autouse=True)
def no_curve_pictures(monkeypatch):
    """They take longer than all the rest; `finished` has them."""
    monkeypatch.setattr("captum_ssgc.benchmark.page.mean_curve_pictures", lambda summary: {})


@pytest.fixture
def copied(finished, tmp_path):
    """Where :func:`run` runs, the run that is finished."""
    return shutil.copytree(finished.folder, tmp_path / "run")


@pytest.fixture
def evaluated(monkeypatch):
    """The keys of all images that are evaluated; at the key in ``stop`` the user interrupts."""
    real, keys = ImageEvaluation.record, []

    def record(self, case, image):
        if image.key == keys.stop:
            keys.stop = None
            raise KeyboardInterrupt
        keys.append(image.key)
        return real(self, case, image)

    class Keys(list):
        stop = None

    keys = Keys()
    monkeypatch.setattr(ImageEvaluation, "record", record)
    return keys


@pytest.mark.parametrize("stop", ["0", "3", "4"])
def test_an_interrupted_run_goes_on_and_gives_the_same(run, evaluated, finished, numbers_of, stop):
    evaluated.stop = stop
    with pytest.raises(KeyboardInterrupt):
        run()
    assert evaluated == [str(number) for number in range(int(stop))]
    assert numbers_of(run()) == finished.numbers
    assert evaluated == [str(number) for number in range(IMAGES)]


@pytest.mark.parametrize("error", [ValueError("Invalid bounding box"), None])
def test_an_interrupt_that_someone_swallowed_stops_the_run(
    run, few, monkeypatch, stored, tmp_path, error
):
    """Or made another error of, which is no fault of the image."""
    real = ImageEvaluation.record

    def record(self, case, image):
        monkeypatch.setattr(_interrupts, "_came", True)
        if error:
            raise error
        return real(self, case, image)

    monkeypatch.setattr(ImageEvaluation, "record", record)
    with pytest.raises(KeyboardInterrupt):
        run(few)
    assert len(stored(tmp_path / "run")) == (0 if error else 1)


def test_a_finished_run_computes_nothing(run, evaluated, finished, numbers_of, tiny, data):
    summary = run(folder=finished.folder)
    assert evaluated == []
    assert numbers_of(summary) == finished.numbers


def test_a_line_that_was_cut_off_is_done_again(run, evaluated, finished, numbers_of, copied):
    file = copied / "results" / "rank-0000.jsonl"
    file.write_bytes(file.read_bytes()[:-100])
    summary = run()
    assert evaluated == [str(IMAGES - 1)]
    assert numbers_of(summary) == finished.numbers
    assert summary.damaged == 1
    assert "Damaged lines" in (copied / "report.html").read_text()


def test_a_full_disk_stops_the_run_and_loses_nothing(
    run, finished, numbers_of, stored, monkeypatch, tmp_path
):
    real, calls = os.write, []

    def write(descriptor, content):
        calls.append(1)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(BenchmarkError, match=r"image_003.*No space left.*make room and run"):
        run()
    monkeypatch.undo()
    assert [record["index"] for _, record in stored(tmp_path / "run")] == [0, 1, 2]
    assert numbers_of(run()) == finished.numbers


def test_a_report_that_cannot_be_written_says_so(run, few, monkeypatch):
    def replace(file, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("captum_ssgc.benchmark.run_folder.write_whole", replace)
    with pytest.raises(BenchmarkError, match=r"report in .* cannot be written.*results are safe"):
        run(few, limit=1)
    monkeypatch.undo()
    assert run(few, limit=1).complete


@pytest.fixture
def spoiled(own_data):
    """Image 1 is no image, image 3 is missing, image 4 makes the detector raise."""
    (own_data.parent / "image_001.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (own_data.parent / "image_003.png").unlink()
    with Image.open(own_data.parent / "image_004.png") as image:
        image.putpixel((0, 0), (255, 255, 255))
        image.save(own_data.parent / "image_004.png")
    return own_data


def test_bad_images_are_survived_and_named(run, tiny, spoiled, tmp_path):
    summary = run(data=spoiled, detector=tiny.tiny_detector(broken=True))
    assert summary.complete
    assert summary.counts["failed"] == 3
    reasons = dict(summary.failures)
    assert list(reasons) == ["image_001.png", "image_003.png", "image_004.png"]
    assert reasons["image_001.png"].startswith("cannot be read")
    assert "does not exist" in reasons["image_003.png"]
    assert reasons["image_004.png"].startswith("RuntimeError: the detector does not like this")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "3 images could not be evaluated" in page
    assert "does not like this &lt;image&gt; &amp; says so" in page


def test_bad_images_are_tried_again_only_on_request(run, few, spoiled, evaluated):
    run(few, data=spoiled)
    assert evaluated == ["0", "2", "4"]
    image = Image.new("RGB", (64, 48))
    image.save(spoiled.parent / "image_001.png")
    run(few, data=spoiled)
    assert evaluated == ["0", "2", "4"]
    summary = run(few, data=spoiled, retry_failed=True)
    assert evaluated == ["0", "2", "4", "1"]
    assert [name for name, _ in summary.failures] == ["image_003.png"]
    assert summary.counts["images"] == IMAGES


def test_one_failure_after_the_other_stops_the_run(
    run, few, monkeypatch, evaluated, own_data, stored
):
    monkeypatch.setattr(runner, "FAILURES_IN_A_ROW", 2)
    for number in (1, 3, 4):
        (own_data.parent / f"image_{number:03}.png").unlink()
    with pytest.raises(BenchmarkError, match=r"2 images in a row .*image_004.*--retry-failed"):
        run(few, data=own_data)
    assert evaluated == ["0", "2"]
    assert run(few, data=own_data).counts["failed"] == 3
    assert evaluated == ["0", "2"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "settings.seed is 0 there and 1 here"),
        ({"drise_masks": 13}, "settings.drise_masks is 12 there and 13 here"),
        ({"methods": "odam"}, r"settings.methods is .* there and \[\"odam\"\] here"),
    ],
)
def test_other_settings_are_refused(run, tiny, finished, change, difference):
    with pytest.raises(BenchmarkError, match=difference):
        run(tiny.settings(**change), folder=finished.folder)


def test_other_weights_are_refused(run, tiny, finished):
    detector = tiny.tiny_detector()
    with torch.no_grad():
        detector.model.features[0].bias += 0.01
    with pytest.raises(BenchmarkError, match=r"model\.weights is"):
        run(folder=finished.folder, detector=detector)


def test_another_threshold_of_the_detector_is_refused(run, tiny, finished):
    detector = tiny.tiny_detector()
    detector.score_threshold = 0.2
    with pytest.raises(BenchmarkError, match=r"model.options.score_threshold is 0.1 there and 0.2"):
        run(folder=finished.folder, detector=detector)


def test_other_data_are_refused(run, finished, own_data):
    with pytest.raises(BenchmarkError, match=r"data\.images is 5 there and 4 here"):
        run(folder=finished.folder, limit=4)
    content = json.loads(own_data.read_text())
    content["annotations"][0]["bbox"][0] += 1
    own_data.write_text(json.dumps(content))
    with pytest.raises(BenchmarkError, match=r"data\.sha256 is"):
        run(folder=finished.folder, data=own_data)


def test_a_limit_takes_the_first_images(run, few):
    summary = run(few, limit=2)
    assert summary.counts["images"] == 2
    assert summary.complete


def test_the_report_of_a_run_that_is_not_finished(run, few, evaluated, tmp_path):
    evaluated.stop = "3"
    with pytest.raises(KeyboardInterrupt):
        run(few)
    summary = report(tmp_path / "run")
    assert summary.counts["images"] == 3
    assert not summary.complete
    assert "Not finished: 3 of 5 images" in (tmp_path / "run" / "report.html").read_text()


def test_the_report_of_a_finished_run_needs_no_model(finished, numbers_of):
    assert numbers_of(report(finished.folder)) == finished.numbers


def test_the_threads_of_torch_are_left_as_they_were(run, tiny):
    torch.set_num_threads(2)
    run(tiny.settings(methods="odam", metrics="pointing-game"), limit=1)
    assert torch.get_num_threads() == 2


def test_only_the_first_process_draws_a_bar(run, tiny, monkeypatch, capsys):
    few = tiny.settings(methods="odam", metrics="pointing-game")
    assert run(few, show_progress=True).complete
    assert "100%" in capsys.readouterr().err
    monkeypatch.setattr(runner.World, "gather", lambda self, message: [message] * self.size)
    for name, value in (("RANK", 1), ("WORLD_SIZE", 2), ("LOCAL_RANK", 1)):
        monkeypatch.setenv(name, str(value))
    assert run(few, show_progress=True) is None
    assert capsys.readouterr().err == ""


def test_results_on_other_machines_are_asked_for(run, monkeypatch, tiny):
    monkeypatch.setattr(runner.World, "gather", lambda self, message: [message] * self.size)
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0)):
        monkeypatch.setenv(name, str(value))
    with pytest.raises(BenchmarkError, match="2 of 5 images are missing"):
        run(tiny.settings(methods="odam", metrics="pointing-game"))


def test_a_problem_of_another_process_is_told(run, monkeypatch, tiny):
    def gather(self, message):
        return [message, "the disk of the other one is full"]

    monkeypatch.setattr(runner.World, "gather", gather)
    with pytest.raises(BenchmarkError, match="the disk of the other one is full"):
        run(tiny.settings(methods="odam", metrics="pointing-game"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("synthetic:0", "synthetic:N"),
        ("synthetic:many", "synthetic:N"),
        ("synthetic:100000000000000000000", "at most 900000"),
        ("synthetic:" + "9" * 5000, "at most 900000"),
        ("a.json", "not exist"),
    ],
)
def test_data_that_do_not_exist_are_named(run, text, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(data=text)


def test_a_layer_that_does_not_exist_stops_before_anything_is_written(run, tiny, tmp_path):
    with pytest.raises(ValueError, match="no layer 'body'"):
        run(tiny.settings(layer="body"))
    assert not (tmp_path / "run").exists()


def test_masks_without_pycocotools(run, tiny, monkeypatch):
    monkeypatch.setattr("captum_ssgc.benchmark.coco_source.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'captum-ssgc\[coco\]'"):
        run()
    few = tiny.settings(methods="odam", metrics="deletion-insertion")
    assert run(few, limit=1).complete


def test_results_of_two_image_folders_do_not_mix(run, few, evaluated, own_data, tmp_path):
    """The JSON file is the same; only pixels tell the folders apart."""
    evaluated.stop = "3"
    with pytest.raises(KeyboardInterrupt):
        run(few, data=own_data)
    other = tmp_path / "other"
    shutil.copytree(own_data.parent, other)
    assert run(few, data=own_data, images=other).complete  # copies are the same images
    with Image.open(other / "image_001.png") as image:
        image.putpixel((0, 0), (1, 2, 3))
        image.save(other / "image_001.png")
    with pytest.raises(BenchmarkError, match=r"image_001\.png is not the file that the stored"):
        run(few, data=own_data, images=other)
    (other / "image_001.png").unlink()
    with pytest.raises(BenchmarkError, match=r"image_001\.png is not the file that the stored"):
        run(few, data=own_data, images=other)
    assert run(few, data=own_data).complete


@pytest.mark.parametrize("damage", ["digit", "key", "line", "schema", "folder"])
def test_a_damaged_record_is_reported_and_computed_again(
    run, evaluated, finished, numbers_of, copied, capsys, damage
):
    path = copied / "results" / "rank-0000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = {
        "digit": lines[2].replace(b'"score":0.', b'"score":0.1', 1),
        "key": lines[2].replace(b'"values"', b'"valuez"'),
        "line": b"\x00\xff" * 20 + b"\n",
        "schema": lines[2].replace(b'"schema":2', b'"schema":1'),
        "folder": lines[2].replace(b'"run":"', b'"run":"0'),
    }[damage]
    path.write_bytes(b"".join(lines))
    summary = run(show_progress=True)
    assert evaluated == ["2"]
    assert summary.damaged == 1
    assert numbers_of(summary) == finished.numbers
    assert "stored lines that are done again: 1 x" in capsys.readouterr().err
    assert "Damaged lines" in (copied / "report.html").read_text()


def test_what_is_left_out_of_the_data_set_is_said(run, few, own_data, tmp_path, capsys):
    content = json.loads(own_data.read_text())
    content["images"].append({"id": 77, "file_name": None})
    content["annotations"][0]["category_id"] = "\x1b[31mx"
    own_data.write_text(json.dumps(content))
    summary = run(few, data=own_data, show_progress=True)
    places = ["images[5].file_name: ", "annotations[0].category_id: "]
    assert [one.partition(": ")[0] + ": " for one in summary.left_out] == places
    told = capsys.readouterr().err
    page = (tmp_path / "run" / "report.html").read_text()
    for place in places:
        assert f"left out of the data set: {place}" in told
        assert place in page
    assert "\x1b" not in told


def test_a_name_does_not_steer_the_terminal(run, few, own_data, capsys):
    content = json.loads(own_data.read_text())
    content["images"][1]["file_name"] = "\x1b]0;mine\x07.png"
    own_data.write_text(json.dumps(content))
    assert run(few, data=own_data, show_progress=True).counts["failed"] == 1
    told = capsys.readouterr().err
    assert "]0;mine" in told
    assert "\x1b" not in told
    assert "\x07" not in told


def test_pointing_games_need_a_match(run, tiny, own_data, tmp_path):
    content = json.loads(own_data.read_text())
    for annotation in content["annotations"]:
        annotation["bbox"] = [0.0, 0.0, 1.0, 1.0]
    own_data.write_text(json.dumps(content))
    few = tiny.settings(methods="odam", metrics=("deletion-insertion", "pointing-game"))
    with pytest.raises(BenchmarkError, match=r"pointing-game could not be measured: none of .*IoU"):
        run(few, data=own_data)
    assert "Del s1" in (tmp_path / "run" / "table.md").read_text()
    few = tiny.settings(methods="odam", metrics="deletion-insertion")
    assert run(few, data=own_data, folder=tmp_path / "other").counts["matched"] == 0


def test_nothing_above_the_threshold_is_an_error(run, tiny):
    few = tiny.settings(methods="odam", metrics="deletion-insertion", score_above=0.999)
    with pytest.raises(BenchmarkError, match=r"nothing was measured: none of \d+ detections in 5"):
        run(few)


@pytest.mark.parametrize("metrics", ["pointing-game", "energy-pointing-game", "all"])
def test_data_without_annotations_stop_before_anything_is_written(
    run, tiny, own_data, tmp_path, metrics
):
    content = json.loads(own_data.read_text())
    for annotation in content["annotations"]:
        annotation["category_id"] = 99
    own_data.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"need annotations, .*annotations\[0\]\.category_id: exp"):
        run(tiny.settings(methods="odam", metrics=metrics), data=own_data)
    assert not (tmp_path / "run").exists()


def test_evidence_that_is_not_known_cannot_be_asked_for(run, tiny):
    with pytest.raises(ValueError, match="evidence-energy needs a data set whose evidence is"):
        run(tiny.settings(methods="odam", metrics="evidence-energy"))


def test_labels_that_do_not_fit_stop_the_run(run, tiny, evaluated, stored, tmp_path):
    detector = tiny.tiny_detector(label_names=None)
    detector.model.forward = lambda images: (
        torch.tensor([[[0.0, 0.0, 9.0, 9.0]]]).expand(len(images), 1, 4),
        torch.full((len(images), 1, 5), 0.9),
    )
    few = tiny.settings(methods="d-rise", metrics="pointing-game")
    with pytest.raises(BenchmarkError, match="5 labels and the 3 categories"):
        run(few, detector=detector)
    assert stored(tmp_path / "run") == []
    few = tiny.settings(methods="d-rise", metrics="deletion-insertion")
    summary = run(few, detector=detector, folder=tmp_path / "other", limit=1)
    assert summary.labels == ("not at all, as nothing is measured on annotations",)


def test_one_method_in_several_rows(run, tiny, tmp_path):
    methods = [
        "odam",
        ("odam", {"smoothing": 1}),
        ("odam", {"output": "logit"}),
        ("d-rise", {"n_masks": 3}),
        ("ssgrad-cam++", {"mask": None, "signed_activations": "as_is"}),
    ]
    keys = [
        "odam", "odam[smoothing=1]", "odam[output=logit]", "d-rise[n_masks=3]",
        "ssgrad-cam++[mask=none,signed_activations=as_is]",
    ]  # fmt: skip
    settings = tiny.settings(methods=methods, metrics=("all", "sensitivity"), perturbed_images=1)
    summary = run(settings, limit=2)
    assert [row.name for row in summary.rows] == [*keys, "noise", "box"]
    plain, smooth, _, masked, *_ = (row.cells["ep_b"].mean for row in summary.rows)
    assert len({plain, smooth, masked}) == 3
    assert set(summary.examples) == set(keys)
    folder = tmp_path / "run"
    assert len(list((folder / "examples").glob("*.jpg"))) == sum(
        map(len, summary.examples.values())
    )
    assert "ODAM [smoothing=1]" in (folder / "report.html").read_text()
    with pytest.raises(BenchmarkError, match=r"settings\.methods is .*smoothing.* there and"):
        run(tiny.settings(methods=methods[:1], metrics=("all", "sensitivity"), perturbed_images=1))


def test_examples_do_not_run_a_perturbation_method_again(run, tiny, monkeypatch, tmp_path):
    few = tiny.settings(methods=("d-rise", "odam"), metrics="deletion-insertion")
    run(few)
    shutil.rmtree(tmp_path / "run" / "examples")
    again = []
    real = ImageEvaluation.maps

    def maps(self, keys, *further):
        again.extend(keys)
        return real(self, keys, *further)

    monkeypatch.setattr(ImageEvaluation, "maps", maps)
    run(few)
    drawn = (tmp_path / "run" / "examples").glob("*.jpg")
    pictures = {path.name.partition("_")[0] for path in drawn}
    assert set(again) == {"odam"}
    assert pictures == {"d-rise", "odam"}


def test_a_picture_of_a_small_map_shows_the_map(tiny, data, run, tmp_path):
    few = tiny.settings(methods=("d-rise",), metrics="deletion-insertion", drise_masks=200)
    run(few, limit=2)
    source = open_source(data)
    run_print = RunFolder(tmp_path / "run").fingerprint()
    index = read_index(tmp_path / "run" / "results", run_print, ImageRecord)
    evaluation = ImageEvaluation(tiny.tiny_detector(), source.categories, few)
    for number in range(2):
        record, case = index.record(number), source.load(number)
        found = evaluation.detections(case)[1]
        whole = evaluation.maps(["d-rise"], case.image, found, image_seed(few, record.key))[0]
        for row, heat_map in enumerate(whole["d-rise"]):
            small = unpacked(record.small_maps["d-rise"][row], heat_map.shape)
            assert float((small - heat_map / heat_map.max()).abs().max()) < 0.1
