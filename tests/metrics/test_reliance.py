from __future__ import annotations

import pytest
import torch

import captum_ssgc as ssgc
from captum_ssgc.metrics import Reliance, RelianceThresholds, reliance

BOXES = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]])
IMAGE = torch.cat([torch.full((1, 3, 8, 8), value) for value in (0.9, 0.5, 0.0)], 3)
LEFT = torch.tensor([[1.0, 0.0, 0.0]])


def looking_at(*shares):
    """A detector whose boxes are scored by the brightness of the thirds, in these shares."""
    weights = torch.tensor(shares)
    calls = []

    def network(images):
        calls.append(len(images))
        thirds = images.unflatten(3, (3, 8)).mean((1, 2, 4))
        scores = (thirds @ weights.T).clamp(0, 1)[..., None]
        return BOXES[: len(weights)].expand(len(images), -1, -1), scores

    detector = ssgc.detectors.CandidateDetector(network, score_threshold=0.0, iou_threshold=1.0)
    detector.calls = calls
    return detector


def found_by(detector):
    found = detector.detect(IMAGE)[0]
    detector.calls.clear()
    return found[found.candidates.argsort()]


def maps(*shares):
    """Uniform in each third, with these shares of the energy."""
    return torch.tensor(shares)[:, None, :, None].expand(-1, 8, -1, 8).flatten(2) / 64


def say(detector, **options):
    return reliance(detector, IMAGE, found_by(detector), fills=["zero"], **options)


def test_the_box_alone_is_enough_and_needed():
    [one] = say(looking_at((1.0, 0.0, 0.0)))
    assert one.verdict == "object"
    assert one.score == pytest.approx(0.9)
    assert one.alone == {"zero": pytest.approx(0.9)}
    assert one.without == {"zero": pytest.approx(0.0)}
    assert str(one) == "rests on the object: score 0.90, 0.90 with the box alone, 0.00 without it"


def test_the_score_stays_without_the_box():
    [one] = say(looking_at((0.0, 1.0, 0.0)))
    assert one.verdict == "surroundings"
    assert (one.alone["zero"], one.without["zero"]) == (0.0, 0.5)


def test_neither_is_enough():
    """0.36 of the object and 0.5 around it."""

    def product(images):
        thirds = images.unflatten(3, (3, 8)).mean((1, 2, 4))
        scores = (thirds[:, :1] * thirds[:, 1:2])[..., None]
        return BOXES[:1].expand(len(images), -1, -1), scores

    detector = ssgc.detectors.CandidateDetector(product, score_threshold=0.0)
    found = detector.detect(IMAGE)[0]
    [one] = reliance(detector, IMAGE, found, fills=["zero"])
    assert one.verdict == "object with surroundings"
    assert (one.alone["zero"], one.without["zero"]) == (0.0, 0.0)


def test_the_neighbour_is_where_the_map_lies():
    detector = looking_at((0.0, 1.0, 0.0))
    for energy, verdict in [((0.3, 0.7, 0.0), "neighbour"), ((0.4, 0.6, 0.0), "surroundings")]:
        [one] = say(detector, heat_maps=maps(energy), others=[BOXES[1:2]])
        assert one.verdict == verdict
        assert one.energy_in_box == pytest.approx(energy[0])
        assert one.energy_on_others == pytest.approx(energy[1])
        assert one.area_in_box == one.area_on_others == pytest.approx(1 / 3)
    [one] = say(detector, heat_maps=maps((0.0, 1.0, 0.0)), others=[BOXES[2:]])
    assert one.verdict == "surroundings"
    assert one.energy_on_others == 0.0


def test_others_are_the_other_detections_where_none_are_given():
    detector = looking_at((0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    first, second = say(detector, heat_maps=maps((0.0, 1.0, 0.0), (0.0, 1.0, 0.0)))
    assert (first.verdict, first.energy_on_others) == ("neighbour", 1.0)
    assert (second.verdict, second.energy_on_others) == ("object", 0.0)


def test_where_boxes_overlap_the_energy_is_the_objects_own():
    [one] = say(looking_at((0.0, 1.0, 0.0)), heat_maps=maps((1.0, 0.0, 0.0)), others=[BOXES[:1]])
    assert (one.energy_in_box, one.energy_on_others, one.area_on_others) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("energy", "reason"),
    [
        ((0.0, 0.0, 0.0), "the map is empty or not finite"),
        ((float("nan"), 0.0, 0.0), "the map is empty or not finite"),
        ((1 / 3, 1 / 3, 1 / 3), "the map is no better than a uniform one"),
        ((0.0, 0.5, 0.5), "the map is no better than a uniform one"),
    ],
    ids=str,
)
def test_nothing_can_be_said_by_such_a_map(energy, reason):
    [one] = say(looking_at((1.0, 0.0, 0.0)), heat_maps=maps(energy))
    assert (one.verdict, one.reason) == ("cannot say", reason)
    assert str(one).startswith(f"cannot say ({reason}): score 0.90, 0.90 with the box alone")


def test_nothing_can_be_said_of_no_score_and_no_pixels():
    [one] = say(looking_at((0.0, 0.0, 1.0)))
    assert (one.verdict, one.reason) == ("cannot say", "the score is 0")
    detector = looking_at((1.0, 0.0, 0.0))
    found = found_by(detector)
    beyond = ssgc.Detections(**{**vars(found), "boxes": torch.tensor([[-3.0, 2.6, -1.0, 3.4]])})
    [one] = reliance(detector, IMAGE, beyond, fills=["zero"])
    assert one.reason == "the box holds no pixel of the image"


def test_the_median_over_the_fills_decides():
    """Brightness stays by two of three fills."""
    detector = looking_at((0.9, 0.1, 0.0))
    [one] = reliance(detector, IMAGE, found_by(detector), fills=["zero", "mean", "noise"])
    assert list(one.alone) == list(one.without) == ["zero", "mean", "noise"]
    values = sorted(one.without.values())
    assert values[0] < 0.5 * one.score < values[1]
    assert one.verdict == "surroundings"
    [one] = reliance(detector, IMAGE, found_by(detector), fills=["zero"])
    assert one.verdict == "object"


def test_the_thresholds_say_what_counts():
    detector = looking_at((1.0, 0.0, 0.0))
    half = torch.tensor([[0.0, 0, 4, 8]])
    found = ssgc.Detections(**{**vars(found_by(detector)), "boxes": half})

    def verdict(**thresholds):
        settings = RelianceThresholds(**thresholds)
        [one] = reliance(detector, IMAGE, found, fills=["zero"], thresholds=settings)
        return one.verdict

    assert verdict(without=0.49) == "surroundings"
    assert verdict(without=0.51, alone=0.51) == "object with surroundings"
    assert verdict(without=0.51, alone=0.49) == "object"


def test_two_batches_for_all_detections():
    detector = looking_at((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 0.5, 0.0))
    say(detector)
    assert detector.calls == [6, 1]
    detector.calls.clear()
    fewer = say(detector, images_per_forward=4)
    assert detector.calls == [4, 2, 1]
    assert fewer == say(detector)


def test_the_mask_of_the_object_is_one_more_figure():
    mask = torch.zeros(1, 8, 24)
    mask[:, :, :4] = 1
    [one] = say(looking_at((1.0, 0.0, 0.0)), heat_maps=maps((1.0, 0.0, 0.0)), masks=mask)
    assert (one.energy_in_box, one.energy_in_mask) == (1.0, 0.5)


def test_masks_of_some_of_the_objects():
    detector, mask = looking_at((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), torch.zeros(8, 24)
    mask[:, :4] = 1
    heat_maps = maps((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    first, second = say(detector, heat_maps=heat_maps, masks=[mask, None])
    assert (first.energy_in_mask, second.energy_in_mask) == (0.5, None)
    assert "of the map 100% in the box (33% of the image), 50% in the mask, 0% on" in str(first)
    assert "mask" not in str(second)
    assert say(detector, heat_maps=heat_maps, masks=[None, None])[0].energy_in_mask is None
    with pytest.raises(ValueError, match="masks: expected one, or None, for each of 2"):
        say(detector, heat_maps=heat_maps, masks=[mask])
    with pytest.raises(ValueError, match=r"masks\[1\]: expected shape \(1, 8, 24\)"):
        say(detector, heat_maps=heat_maps, masks=[None, mask[:2]])


def test_no_detections():
    detector = looking_at((1.0, 0.0, 0.0))
    assert reliance(detector, IMAGE, found_by(detector)[[]]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": IMAGE[0]}, r"images: expected \(1, 3, H, W\)"),
        ({"images": IMAGE[..., :8]}, r"images: expected the size \(8, 24\)"),
        ({"images": 255 * IMAGE}, r"images: expected values in \[0, 1\]"),
        ({"images": IMAGE - 0.5}, r"images: expected values in \[0, 1\]"),
        ({"images": IMAGE / 0}, "images: expected finite values"),
        ({"heat_maps": torch.ones(2, 8, 24)}, "heat_maps: expected shape"),
        ({"masks": torch.ones(1, 8, 24)}, "masks: expected heat_maps beside them"),
        ({"others": []}, "others: expected boxes for each of 1 detections, got 0"),
        ({"fills": "zero"}, "fills: expected at least one name in a list"),
        ({"fills": []}, "fills: expected at least one name in a list"),
        ({"fills": ["grey"]}, "baseline: expected"),
        ({"images_per_forward": 0}, "images_per_forward: expected at least 1"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(options, message):
    detector = looking_at((1.0, 0.0, 0.0))
    arguments = {"images": IMAGE, "detections": found_by(detector), **options}
    with pytest.raises(ValueError, match=message):
        reliance(detector, **arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": (255 * IMAGE).byte()}, "images: expected floating point"),
        ({"images": IMAGE.numpy()}, "images: expected a tensor"),
        ({"detections": {"boxes": 1}}, "detections: expected Detections, .* got dict"),
        ({"detections": None}, "detections: expected Detections, .* got NoneType"),
    ],
    ids=["bytes", "array", "dict", "none"],
)
def test_what_is_no_image_and_no_detections(options, message):
    detector = looking_at((1.0, 0.0, 0.0))
    with pytest.raises(TypeError, match=message):
        reliance(detector, **{"images": IMAGE, "detections": found_by(detector), **options})


@pytest.mark.parametrize("name", ["alone", "without", "neighbour"])
def test_thresholds_are_shares(name):
    with pytest.raises(ValueError, match=f"{name}: expected a share"):
        RelianceThresholds(**{name: 0.0})


def test_planted_objects_are_not_accused_and_moved_boxes_are():
    """The demo detector looks at the emblem on the object; a box beside it holds no cause."""
    detector = ssgc.wrap_detector(ssgc.demo.detector())
    scene = ssgc.demo.scene(3)
    found = detector.detect(scene.image)[0].above(0.6)[:2]
    of_found = reliance(detector, scene.image[None], found)
    assert all(isinstance(one, Reliance) for one in of_found)
    assert {one.verdict for one in of_found} == {"object"}
    width = found.image_size[1]
    beside = found.boxes.clone()
    for box in beside:
        step = box[2] - box[0]
        box[[0, 2]] += step if box[2] + step <= width else -step
    moved = ssgc.Detections(**{**vars(found), "boxes": beside})
    verdicts = [one.verdict for one in reliance(detector, scene.image[None], moved)]
    assert verdicts == ["surroundings"] * 2
