from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow, image_evaluation
from captum_ssgc.benchmark.captum_metrics import infidelities, sensitivities
from captum_ssgc.benchmark.floors import floor_maps
from captum_ssgc.benchmark.image_evaluation import ImageEvaluation, image_seed
from captum_ssgc.benchmark.opening import open_source
from captum_ssgc.benchmark.records import ImageRecord, as_line, from_line
from captum_ssgc.data import SceneDataset
from captum_ssgc.metrics import (
    deletion,
    energy_pointing_game,
    insertion,
    left_of_map,
    pointing_game,
    randomised_copy,
)

SQUARES = 2  # the image with three squares, one of them a crowd


@pytest.fixture
def source(data):
    return open_source(data)


@pytest.fixture
def evaluate(tiny, source):
    """The record of one image, with changed settings; without the times."""

    def record(index=SQUARES, detector=None, source=source, **changes):
        detector = detector or tiny.tiny_detector()
        images = ImageEvaluation(detector, source.categories, tiny.settings(**changes))
        image = ImageRecord(index, source.key(index), source.name(index))
        measured = images.record(source.load(index), image)
        assert measured.total_seconds > 0
        return replace(measured, total_seconds=0.0)

    return record


def without_time(record):
    return replace(record, seconds={}, total_seconds=0.0)


def test_values_are_those_of_the_metrics(tiny, source, evaluate):
    record = evaluate(methods=("ssgrad-cam++", "odam"))
    detector, case = tiny.tiny_detector(), source.load(SQUARES)
    found = detector.detect(case.image)[0]
    explained = ssgc.explain(detector, case.image, ["odam", "ssgrad-cam++"], score_threshold=0.6)
    maps = {
        name: torch.stack([one.heat_map for one in explained if one.method == name])
        for name in ("odam", "ssgrad-cam++")
    }
    order = [one.index for one in explained if one.method == "odam"]
    matched = [row for row in range(3) if record.detections[row].annotation is not None]
    annotations = [record.detections[row].annotation for row in matched]
    assert len(order) == 3
    assert len(matched) == 2
    masks = torch.stack([case.mask(row) for row in annotations])
    for name, heat_maps in maps.items():
        values = record.values[name]
        for score in ("s1", "s2"):
            settings = replace(BenchmarkSettings().curve_preset.deletion, score=score)
            areas = deletion(detector, case.image, found[order], heat_maps, settings).area
            assert values[f"del_{score}"] == pytest.approx(areas.tolist(), rel=1e-6)
            areas = insertion(detector, case.image, found[order], heat_maps, settings).area
            assert values[f"ins_{score}"] == pytest.approx(areas.tolist(), rel=1e-6)
        boxes = {"boxes": case.boxes[annotations]}
        for key, game, region in (
            ("p_b", pointing_game, boxes),
            ("p_m", pointing_game, {"masks": masks}),
            ("ep_b", energy_pointing_game, boxes),
            ("ep_m", energy_pointing_game, {"masks": masks}),
        ):
            expected = game(heat_maps[matched], **region).values.tolist()
            known = [value for value in values[key] if value is not None]
            assert [row for row in range(3) if values[key][row] is not None] == matched
            assert known == pytest.approx(expected, rel=1e-6)


def test_what_is_counted(evaluate):
    record = evaluate()
    counted = {
        k: getattr(record, k) for k in ("reported", "above", "annotations", "crowd", "labels")
    }
    assert counted == {
        "reported": 3, "above": 3, "annotations": 3, "crowd": 1, "labels": "by name"
    }  # fmt: skip
    assert evaluate(score_above=0.79).above < 3
    assert len(evaluate(max_detections=2).detections) == 2


def test_labels_without_names_are_called_by_their_category(tiny, evaluate):
    names = [one.label for one in evaluate(detector=tiny.tiny_detector()).detections]
    record = evaluate(detector=tiny.tiny_detector(label_names=None))
    assert record.labels.startswith("by position")
    assert [one.label for one in record.detections] == names
    assert set(names) <= {"red", "green", "blue"}


def test_a_record_is_json_that_comes_back(evaluate):
    record = evaluate(metrics=("all", "infidelity", "sensitivity"), perturbed_images=2)
    assert from_line(as_line(record, "run"), "run", ImageRecord) == record
    assert record.values["odam"]["evidence"] == (None,) * 3


def test_an_image_without_detections_has_no_values(evaluate):
    record = evaluate(score_above=0.95)
    assert record.detections == ()
    assert record.values == {}


def test_an_image_depends_on_nothing_but_itself(tiny, source, evaluate):
    images = ImageEvaluation(tiny.tiny_detector(), source.categories, tiny.settings())
    torch.manual_seed(11)
    for index in (4, 0, SQUARES):
        image = ImageRecord(index, source.key(index), source.name(index))
        after_others = images.record(source.load(index), image)
    assert without_time(after_others) == without_time(evaluate())


def test_groups_of_detections_change_nothing(evaluate, monkeypatch):
    whole = without_time(evaluate())
    monkeypatch.setattr(image_evaluation, "GROUP", 2)
    grouped = without_time(evaluate())
    assert grouped.values == whole.values
    for name, curves in whole.curves.items():
        for key, curve in curves.items():
            other = grouped.curves[name][key]
            assert other.count == curve.count == 3
            assert other.sum == pytest.approx(curve.sum, abs=1e-7)


def test_the_seed_of_an_image_follows_from_the_run_and_the_image():
    seeds = {
        image_seed(BenchmarkSettings(seed=seed), key) for seed in (0, 1) for key in ("7", "70")
    }
    assert len(seeds) == 4
    assert image_seed(BenchmarkSettings(), "7") == image_seed(BenchmarkSettings(), "7")


def test_seeds_reach_the_noise_and_the_masks(evaluate):
    one, other = evaluate().values, evaluate(seed=1).values
    assert one["odam"] == other["odam"]
    assert one["noise"]["ep_b"] != other["noise"]["ep_b"]
    assert one["d-rise"]["ep_b"] != other["d-rise"]["ep_b"]


def test_only_what_is_asked_for_is_measured(evaluate):
    record = evaluate(methods="odam", metrics="pointing-game", floors=())
    assert set(record.values) == {"odam"}
    assert set(record.values["odam"]) == {"zero", "p_b", "p_m"}
    assert record.curves == {}
    assert set(record.seconds) == {"odam"}


def test_evidence_is_known_in_scenes(tiny, evaluate):
    scenes = open_source(SceneDataset(3, 1, (64, 96)))

    def emblem_of_the_first(images):
        scene = scenes.scenes[0]
        red = images[:, 0] * scene.emblem_masks[0]
        score = red.sum((1, 2)) / red.sum().clamp(min=1e-6) * len(images)
        scores = torch.nn.functional.one_hot(scene.labels[0] - 1, 6)[None, None] * 0.9
        return scene.boxes[None, :1].expand(len(images), -1, -1), scores * score[:, None, None]

    detector = ssgc.wrap_detector(
        emblem_of_the_first, label_names=tuple(scenes.categories.values()), score_threshold=0.1
    )
    options = {"methods": "d-rise", "metrics": "evidence-energy"}
    record = evaluate(0, detector, scenes, **options)
    values = record.values["box"]["evidence"]
    scene = scenes.scenes[0]
    x1, y1, x2, y2 = scene.boxes[0].int().tolist()
    share = scene.emblem_masks[0].sum() / ((x2 - x1) * (y2 - y1))
    assert values == pytest.approx([float(share)])


def test_a_mask_that_cannot_be_read_costs_the_mask_only(tiny, own_data, evaluate):
    content = json.loads(own_data.read_text())
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[0, 0, 1, 1]]
    own_data.write_text(json.dumps(content))
    record = evaluate(source=open_source(own_data))
    assert [text.partition(".")[2] for text in record.problems] == [
        "segmentation: expected polygons of at least three corners, got [[0, 0, 1, 1]]."
    ] * 2
    assert record.values["odam"]["p_m"] == (None,) * 3
    assert record.values["odam"]["p_b"].count(None) == 1


@pytest.mark.parametrize("name", ["noise", "box", "centre"])
def test_floors_depend_on_the_place_of_a_detection_only(tiny, source, name):
    found = tiny.tiny_detector().detect(source.load(SQUARES).image)[0]
    maps = floor_maps(name, found, seed=5)
    assert maps.shape == (3, *found.image_size)
    assert torch.equal(floor_maps(name, found[1:], seed=5, first=1), maps[1:])
    assert bool((maps.flatten(1).amax(1) > 0).all())


def test_the_box_floor_is_the_box(tiny, source):
    found = tiny.tiny_detector().detect(source.load(SQUARES).image)[0]
    for heat_map, (x1, y1, x2, y2) in zip(floor_maps("box", found, 0), found.boxes.int().tolist()):
        assert heat_map.sum() == 256
        assert bool((heat_map[y1:y2, x1:x2] == 1).all())


def test_infidelity_and_sensitivity_are_captums(tiny, source, evaluate):
    from captum.metrics import sensitivity_max

    metrics = ("infidelity", "sensitivity")
    record = evaluate(methods="odam", metrics=metrics, perturbed_images=3)
    values = record.values
    assert values["noise"].keys() == {"zero", "infidelity"}
    # The map of the box is constant where the score comes from: it predicts its changes well.
    assert sum(values["box"]["infidelity"]) < 1e-4 < sum(values["noise"]["infidelity"])
    detector, case = tiny.tiny_detector(), source.load(SQUARES)
    found = detector.detect(case.image)[0].above(0.6)
    order = found.scores.argsort(descending=True, stable=True)
    cam = ssgc.ODAM(ssgc.InstanceScoreWrapper(detector, found[order]), detector.level_layers()[0])
    torch.manual_seed(0)
    for row, value in enumerate(values["odam"]["sensitivity"]):
        expected = sensitivity_max(
            cam.attribute, case.image, target=row, n_perturb_samples=3, interpolate_mode="bilinear"
        )
        assert 0.3 * float(expected) < value < 3.0 * float(expected)


@pytest.mark.filterwarnings("error")
def test_randomisation_is_what_is_left_of_the_maps(tiny, source, evaluate):
    record = evaluate(methods=("odam", "grad-cam"), metrics="randomisation", seed=3)
    assert record.values["noise"].keys() == {"zero"}
    detector, case = tiny.tiny_detector(), source.load(SQUARES)
    found = detector.detect(case.image)[0].above(0.6)
    found = found[found.scores.argsort(descending=True, stable=True)]
    maps = []
    for one in (detector, randomised_copy(detector, seed=3)):
        cam = ssgc.ODAM(ssgc.InstanceScoreWrapper(one, found), one.level_layers())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a random detector's map is empty; above, none is said
            options = {"fuse_layers": "max", "interpolate_mode": "bilinear"}
            maps.append(cam.attribute_instances(case.image, **options))
    expected = left_of_map(*maps).values
    assert record.values["odam"]["randomised"] == pytest.approx(expected.tolist(), abs=1e-5)


def test_all_detections_at_once_is_each_by_itself(tiny, source):
    images = ImageEvaluation(tiny.tiny_detector(), source.categories, tiny.settings())
    image = source.load(SQUARES).image
    found = images.detections(source.load(SQUARES))[1]
    maps = images.maps(["odam"], image, found, 0)[0]["odam"]
    errors = infidelities(images.detector, image, found, maps, samples=5, seed=2)
    changes = sensitivities(images.maker, MethodRow("odam"), image, found, samples=3, seed=2)
    for row in range(len(found)):
        one = found[row]
        alone = infidelities(images.detector, image, one, maps[row : row + 1], samples=5, seed=2)
        torch.testing.assert_close(errors[row : row + 1], alone, rtol=1e-3, atol=1e-7)
        alone = sensitivities(images.maker, MethodRow("odam"), image, one, samples=3, seed=2)
        torch.testing.assert_close(changes[row : row + 1], alone)


def test_a_rows_options_reach_its_maps(tiny, source):
    rows = (
        ("odam", {"smoothing": 1}),
        ("odam", {"output": "logit"}),
        ("ssgrad-cam++", {"mask": "box", "signed_activations": "as_is"}),
        ("d-rise", {"n_masks": 5, "grid": (2, 2)}),
    )
    settings = tiny.settings(methods=("odam", *rows))
    images = ImageEvaluation(tiny.tiny_detector(), source.categories, settings)
    case = source.load(SQUARES)
    found = images.detections(case)[1]
    keys = [row.key for row in settings.rows]
    maps, seconds = images.maps(keys, case.image, found, 7)
    assert set(maps) == set(seconds) == set(keys)
    score = ssgc.InstanceScoreWrapper(images.detector, found)
    logit = ssgc.InstanceScoreWrapper(images.detector, found, output="logit")
    layer = images.detector.level_layers()[0]
    generator = torch.Generator().manual_seed(7)
    for key, cam, options in (
        (keys[1], ssgc.ODAM(score, layer), {"smoothing": 1}),
        (keys[2], ssgc.ODAM(logit, layer), {}),
        (
            keys[3],
            ssgc.SSGradCAMPlusPlus(score, layer),
            {"mask": "box", "signed_activations": "as_is"},
        ),
        (
            keys[4],
            ssgc.DRISE(score),
            {
                "n_masks": 5,
                "grid": (2, 2),
                "generator": generator,
                "perturbations_per_eval": settings.batch_size,
            },
        ),
    ):
        if not key.startswith("d-rise"):
            options = options | {"interpolate_mode": "bilinear"}
        expected = cam.attribute_instances(case.image, **options)[:, 0].detach()
        torch.testing.assert_close(maps[key], expected, rtol=1e-4, atol=1e-6)


def test_a_contrast_is_a_row(tiny, source):
    rows = [("odam", {"output": "contrast:blue"}), ("odam", {"output": "contrast:2"}), "odam"]
    images = ImageEvaluation(tiny.tiny_detector(), source.categories, tiny.settings(methods=rows))
    case, keys = source.load(0), [row.key for row in images.settings.rows]
    assert keys[0] == "odam[output=contrast:blue]"
    maps, _ = images.maps(keys, case.image, images.detections(case)[1], 0)
    named, numbered, plain = maps.values()
    assert torch.equal(named, numbered)
    assert not torch.equal(named, plain)
    unknown = tiny.settings(methods=[("odam", {"output": "contrast:pink"})])
    with pytest.raises(ValueError, match="the detector knows no 'pink'"):
        ImageEvaluation(tiny.tiny_detector(), source.categories, unknown)
