from __future__ import annotations

import pytest
import torch

from captum_ssgc.metrics import CurveSettings, deletion, deletion_insertion, insertion

MAPS = torch.ones(2, 6, 8)


def test_one_channel_one_image_and_one_list_are_the_same(pair):
    detector, image, found = pair
    maps = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(0))
    expected = deletion(detector, image, found, maps).scores
    assert torch.equal(deletion(detector, image[0], found, maps[:, None]).scores, expected)
    assert torch.equal(deletion(detector, image, [found], [maps]).scores, expected)


@pytest.mark.parametrize("measure", [deletion, insertion])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"heat_maps": torch.ones(2, 3, 4)}, ValueError, r"expected shape \(2, 6, 8\).*interpol"),
        ({"heat_maps": torch.ones(3, 6, 8)}, ValueError, r"expected shape \(2, 6, 8\)"),
        ({"heat_maps": torch.ones(6, 8)}, ValueError, r"\(K, H, W\) or \(K, 1, H, W\)"),
        ({"heat_maps": [MAPS, MAPS]}, ValueError, r"expected \[2\] maps, .* got \[2, 2\]"),
        ({"heat_maps": MAPS * 1j}, TypeError, "expected real numbers"),
        ({"heat_maps": [[1.0]]}, TypeError, "expected a tensor"),
        ({"images": torch.ones(1, 6, 8, 3)}, ValueError, r"\(N, 3, H, W\), RGB"),
        ({"images": torch.ones(1, 3, 6, 8).byte()}, TypeError, r"images.float\(\) / 255"),
        ({"images": "image.png"}, TypeError, "expected a tensor"),
        ({"images": torch.ones(1, 3, 8, 8)}, ValueError, "image_size"),
        ({"images": torch.ones(2, 3, 6, 8)}, ValueError, "one for each of the 2 images, got 1"),
        ({"images": torch.full((1, 3, 6, 8), 255.0)}, ValueError, r"in \[0, 1\], .*divide by 255"),
        ({"images": torch.full((1, 3, 6, 8), -0.5)}, ValueError, "before normalisation"),
        ({"detections": [torch.ones(2, 4)]}, TypeError, "detector.detect"),
        ({"detections": None}, TypeError, "detector.detect"),
        ({"detections": {"boxes": 1}}, TypeError, "detector.detect"),
        ({"detector": torch.nn.Identity()}, TypeError, "wrap_detector"),
        ({"perturbations_per_eval": 0}, ValueError, "expected at least 1, got 0"),
    ],
    ids=["grid", "count", "2-d", "list", "complex", "no-tensor", "channels", "bytes", "path",
         "size", "images", "0-to-255", "normalised", "boxes", "none", "dict", "module", "batch"],
)  # fmt: skip
def test_errors_say_what_was_expected(pair, measure, change, error, words):
    detector, image, found = pair
    given = {
        "detector": detector,
        "images": image,
        "detections": found,
        "heat_maps": MAPS,
        **change,
    }
    with pytest.raises(error, match=words):
        measure(**given)


def test_several_methods_need_names(pair):
    detector, image, found = pair
    with pytest.raises(TypeError, match="dictionary from the name of a method"):
        deletion_insertion(detector, image, found, MAPS)


@pytest.mark.parametrize("scores", ["s1", ("s1", "s3")])
def test_unknown_scores(pair, scores):
    detector, image, found = pair
    with pytest.raises(ValueError, match="scores: expected some of"):
        deletion_insertion(detector, image, found, {"a": MAPS}, scores=scores)


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((0.0, 0.0, 8.0, 6.0), 48),
        ((-3.0, -2.0, 2.0, 1.0), 2),
        ((7.0, 5.0, 20.0, 20.0), 1),
        ((2.4, 1.4, 4.6, 3.6), 9),
        ((3.1, 3.1, 3.2, 3.2), 1),
    ],
    ids=["whole", "top-left", "bottom-right", "fractions", "less-than-a-pixel"],
)
def test_budget_counts_the_pixels_of_the_box_in_the_image(make_pixel_detector, box, pixels):
    detector = make_pixel_detector(torch.tensor([box]), torch.ones(1, 6, 8, dtype=torch.bool), [0])
    image = torch.ones(1, 3, 6, 8)
    found = detector.select(detector.run(image))[0]
    chosen = CurveSettings(steps=1, budget="box")
    down = deletion(detector, image, found, torch.ones(1, 6, 8), chosen)
    assert float(down.scores[0, 1]) == pytest.approx(1 - pixels / 48)
