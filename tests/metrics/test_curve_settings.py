from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from captum_ssgc.metrics import PRESETS, CurveSettings, deletion, insertion, preset_named


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "s3"}, "score: expected one of s1, s2"),
        ({"match": "box"}, "match: expected one of candidate, iou"),
        ({"budget": "half"}, "budget: expected one of image, box"),
        ({"ties": "none"}, "ties: expected one of random, reading"),
        ({"baseline": "black"}, "baseline: expected one of zero, mean, blur, noise, a number"),
        ({"steps": 0}, "steps: expected an integer of at least 1"),
        ({"steps": 2.5}, "steps: expected an integer"),
        ({"steps": True}, "steps: expected an integer"),
        ({"baseline": 114}, r"baseline: expected values in \[0, 1\].* got 114; divide"),
        ({"baseline": (0.5, float("nan"), 0.5)}, "baseline: expected values"),
        ({"baseline": ("r", "g", "b")}, "baseline: expected values"),
        ({"iou_threshold": 1.5}, r"iou_threshold: expected a value in \[0, 1\]"),
        ({"score_threshold": float("nan")}, "score_threshold: expected a value"),
        ({"blur_sigma": 0.0}, "blur: expected blur_sigma > 0"),
        ({"blur_radius": 0}, "blur_radius >= 1"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        CurveSettings(**change)


def test_presets_hold_what_is_known_of_their_sources():
    assert list(PRESETS) == [
        "yamauchi2024", "drise", "odam", "vxcode2026", "vxcode2026-patches"
    ]  # fmt: skip
    ours = PRESETS["yamauchi2024"]
    assert (ours.deletion.steps, ours.deletion.normalize, ours.insertion.normalize) == (
        10,
        True,
        True,
    )
    assert (ours.score_above, ours.annotation_iou_above) == (0.6, 0.7)
    drise = PRESETS["drise"]
    assert (drise.deletion.score, drise.deletion.steps, drise.insertion.baseline) == (
        "s2",
        224,
        "blur",
    )
    odam = PRESETS["odam"]
    assert (odam.deletion.budget, odam.deletion.baseline, odam.deletion.normalize) == (
        "box", "noise", True,
    )  # fmt: skip
    assert (odam.insertion.match, odam.insertion.baseline, odam.insertion.normalize) == (
        "iou", "zero", False,
    )  # fmt: skip
    later = PRESETS["vxcode2026"]
    assert (later.deletion.score, later.deletion.s2, later.deletion.resolution) == (
        "s2", "own_class", "network",
    )  # fmt: skip
    assert (later.score_above, later.deletion.baseline, later.deletion.patches) == (
        0.7, "zero", None,
    )  # fmt: skip
    assert PRESETS["vxcode2026-patches"].insertion.patches == "by_box"
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert min(map(len, (preset.source, preset.stated, preset.assumed))) > 40


def test_an_unknown_preset_names_the_known_ones(strip):
    with pytest.raises(
        ValueError, match=r"expected one of yamauchi2024, drise, odam, vxcode2026.*, got 'rise'"
    ):
        preset_named("rise")
    detector, image, found = strip
    with pytest.raises(ValueError, match="got 'rise'"):
        deletion(detector, image, found, torch.ones(1, 2, 10), "rise")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_by_name_is_its_settings(strip, name):
    detector, image, found = strip
    maps = torch.rand(1, 2, 10, generator=torch.Generator().manual_seed(0))
    for measure, kind in ((deletion, "deletion"), (insertion, "insertion")):
        chosen = getattr(preset_named(name), kind)
        by_name = measure(detector, image, found, maps, name)
        by_preset = measure(detector, image, found, maps, preset_named(name))
        assert torch.equal(by_name.scores, by_preset.scores)
        assert torch.equal(by_name.scores, measure(detector, image, found, maps, chosen).scores)
        assert by_name.scores.shape == (1, chosen.steps + 1)


def test_what_is_no_settings_is_refused(strip):
    detector, image, found = strip
    with pytest.raises(TypeError, match="settings: expected CurveSettings, a preset or its name"):
        deletion(detector, image, found, torch.ones(1, 2, 10), {"steps": 10})


@pytest.mark.parametrize("number", [np.float32(0.25), np.array([0.25, 0.25, 0.25])], ids=repr)
def test_numbers_of_numpy_are_numbers(strip, number):
    detector, image, found = strip
    maps, chosen = torch.ones(1, 2, 10), CurveSettings(steps=np.int64(4), baseline=number)
    plain = deletion(detector, image, found, maps, CurveSettings(steps=4, baseline=0.25))
    assert torch.equal(deletion(detector, image, found, maps, chosen).scores, plain.scores)


def test_yamauchi_curves_start_at_one(pair):
    detector, image, found = pair
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    down = deletion(detector, image, found, maps)
    assert down.scores[:, 0].tolist() == [1.0, 1.0]
    up = insertion(detector, image, found, maps)
    assert up.scores[:, -1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("zero", lambda image: torch.zeros_like(image)),
        (0.5, lambda image: torch.full_like(image, 0.5)),
        (1, lambda image: torch.ones_like(image)),
        ((0.1, 0.2, 0.3), lambda image: torch.tensor([0.1, 0.2, 0.3])[None, :, None, None]),
        (torch.tensor([0.1, 0.2, 0.3]), lambda image: torch.tensor([0.1, 0.2, 0.3])[:, None, None]),
        ("mean", lambda image: image.mean((-2, -1), keepdim=True)),
        (torch.full((1, 3, 6, 8), 0.25), lambda image: torch.full_like(image, 0.25)),
        (
            torch.arange(48.0).reshape(6, 8) / 48,
            lambda image: torch.arange(48.0).reshape(6, 8) / 48,
        ),
    ],
    ids=["zero", "number", "integer", "colour", "colour-tensor", "mean", "image", "plane"],
)
def test_baselines(pair, baseline, expected):
    """With one step, Deletion ends on the baseline and Insertion starts there."""
    detector, image, found = pair
    image = image * torch.tensor([1.0, 0.7, 0.4])[None, :, None, None]
    maps = torch.ones(2, 6, 8)
    chosen = CurveSettings(steps=1, baseline=baseline)
    filled = expected(image).expand_as(image)
    wanted = detector.score(filled, found)[0]
    down = deletion(detector, image, found, maps, chosen)
    torch.testing.assert_close(down.scores[:, 1], wanted)
    up = insertion(detector, image, found, maps, chosen)
    torch.testing.assert_close(up.scores[:, 0], wanted)


def test_blur_of_a_point_is_the_kernel(make_pixel_detector):
    """The white pixel keeps the centre weight of the truncated, normalised Gaussian."""
    centre = torch.zeros(1, 15, 15, dtype=torch.bool)
    centre[0, 7, 7] = True
    detector = make_pixel_detector(torch.tensor([[0.0, 0.0, 15.0, 15.0]]), centre, [0])
    image = centre.float()[None].expand(1, 3, 15, 15)
    found = detector.detect(image)[0]
    for sigma, radius in ((1.5, 3), (0.8, None)):
        reach = range(-3, 4) if radius else range(-2, 3)
        weights = [2.718281828459045 ** (-0.5 * (d / sigma) ** 2) for d in reach]
        chosen = CurveSettings(steps=1, baseline="blur", blur_sigma=sigma, blur_radius=radius)
        down = deletion(detector, image, found, torch.ones(1, 15, 15), chosen)
        assert float(down.scores[0, 1]) == pytest.approx((1.0 / sum(weights)) ** 2, rel=1e-5)


def test_blur_leaves_a_flat_image_alone_up_to_its_edges(pair):
    detector, _, _ = pair
    image = torch.full((1, 3, 6, 8), 0.7)
    found = detector.detect(image)[0]
    chosen = CurveSettings(baseline="blur", blur_sigma=5.0)
    down = deletion(detector, image, found, torch.rand(2, 6, 8), chosen)
    torch.testing.assert_close(down.scores, torch.full((2, 11), 0.7))


def test_noise_is_seeded(pair):
    detector, image, found = pair
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    chosen = CurveSettings(baseline="noise")

    def run(seed=None):
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return deletion(detector, image, found, maps, chosen, generator=generator).scores

    state = torch.random.get_rng_state()
    assert torch.equal(run(), run())
    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_noise_is_the_same_for_all_maps_and_differs_between_images(pair):
    detector, image, found = pair
    flat = torch.ones(2, 6, 8)
    chosen = CurveSettings(steps=1, baseline="noise")
    twice = deletion(detector, torch.cat([image, image]), [found, found], [flat, flat], chosen)
    assert not torch.equal(twice.scores[:2, 1], twice.scores[2:, 1])
    one = deletion(detector, image, found[[0, 0]], flat, chosen)
    assert float(one.scores[0, 1]) == float(one.scores[1, 1])


@pytest.mark.parametrize(
    ("baseline", "error", "words"),
    [
        (torch.zeros(3, 5, 5), ValueError, r"broadcasts to \(1, 3, 6, 8\), got \(3, 5, 5\)"),
        ((0.1, 0.2), ValueError, r"broadcasts to \(1, 3, 6, 8\)"),
        ({"r": 1.0}, TypeError, "a name, a number, a colour"),
        (True, TypeError, "a name, a number, a colour"),
    ],
    ids=["size", "two-channels", "type", "bool"],
)
def test_a_baseline_that_does_not_fit(pair, baseline, error, words):
    detector, image, found = pair
    with pytest.raises(error, match=words):
        deletion(detector, image, found, torch.ones(2, 6, 8), CurveSettings(baseline=baseline))


def test_a_curve_without_an_initial_score_is_not_valid(pair):
    """A detection that is not among the outputs of its own image cannot be normalised."""
    detector, image, found = pair
    elsewhere = replace(found, boxes=torch.tensor([[0.0, 0.0, 1.0, 1.0], [4.0, 2.0, 8.0, 6.0]]))
    elsewhere = replace(elsewhere, labels=torch.tensor([0, 1]))
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    chosen = CurveSettings(match="iou", normalize=True)
    result = deletion(detector, image, elsewhere, maps, chosen)
    assert result.valid.tolist() == [False, True]
    assert result.scores.isnan().all(1).tolist() == [True, False]
    absolute = deletion(detector, image, elsewhere, maps, CurveSettings(match="iou"))
    assert absolute.scores[0].tolist() == [0.0] * 11


def test_thresholds_decide_what_counts(pair):
    detector, image, found = pair
    maps = torch.ones(2, 6, 8)
    for settings, expected in (
        (CurveSettings(score="s2", score_threshold=0.05), 1.0),
        (CurveSettings(score="s2", score_threshold=1.0), 0.0),
        (CurveSettings(match="iou", iou_threshold=1.0), None),
    ):
        first = deletion(detector, image, found, maps, settings).scores[:, 0]
        wanted = found.scores if expected is None else torch.full((2,), expected)
        torch.testing.assert_close(first, wanted)
