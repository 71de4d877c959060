"""Scenes in which two classes are decided beside the object."""

from __future__ import annotations

import hashlib

import pytest
import torch

from captum_ssgc.data import BY_GROUND, BY_MARK, CLASS_NAMES, draw_scene, draw_shortcut_scene

SEEDS = range(16)


@pytest.fixture(scope="module")
def pairs():
    return [(draw_shortcut_scene(s), draw_shortcut_scene(s, planted=False)) for s in SEEDS]


def is_blue(scene):
    """More blue than anything that an ordinary ground has."""
    ground = scene.image[:, ~scene.masks.any(0)].median(1).values
    return bool(ground[2] > ground[0] + 0.25)


def near(mask, pixels):
    """What is at most so many pixels away from a mask."""
    side = 2 * pixels + 1
    return torch.nn.functional.max_pool2d(mask[None, None].float(), side, 1, pixels)[0, 0] > 0


def test_every_class_occurs(pairs):
    labels = {int(label) for scene, _ in pairs for label in scene.labels}
    assert labels == set(range(1, len(CLASS_NAMES)))


def test_only_the_causes_are_taken_away(pairs):
    for scene, without in pairs:
        assert torch.equal(scene.labels, without.labels)
        assert torch.equal(scene.boxes, without.boxes)
        assert torch.equal(scene.masks, without.masks)
        taken = scene.emblem_masks[scene.labels == BY_MARK].any(0)
        changed = (scene.image != without.image).any(0)
        inside = ~near(~scene.masks.any(0), 3)  # rims are blended into what is around
        assert not (changed & inside & ~near(taken, 3)).any()
        if not is_blue(scene):
            assert not (changed & ~near(taken, 3)).any()
        for label, mask, other in zip(
            scene.labels.tolist(), scene.emblem_masks, without.emblem_masks
        ):
            if label in (BY_MARK, BY_GROUND):
                assert not other.any()
                assert mask.any()
            else:
                assert torch.equal(mask, other)


def test_a_mark_lies_beside_its_body_and_no_other(pairs):
    seen = 0
    for scene, _ in pairs:
        for k in (scene.labels == BY_MARK).nonzero().flatten().tolist():
            ys, xs = scene.emblem_masks[k].nonzero().T
            x1, y1, x2, y2 = scene.boxes[k].int().tolist()
            away = [x1 - int(xs.max()) - 1, int(xs.min()) - x2]
            away += [y1 - int(ys.max()) - 1, int(ys.min()) - y2]
            assert 0 <= max(away) <= 3
            assert not (scene.emblem_masks[k] & scene.masks.any(0)).any()
            seen += 1
    assert seen > 5


def test_the_ground_is_blue_where_bars_are(pairs):
    for scene, without in pairs:
        assert is_blue(scene) >= bool((scene.labels == BY_GROUND).any())
        assert not (is_blue(scene) and (scene.labels == BY_MARK).any())
        assert not is_blue(without)
    assert not any(is_blue(draw_scene(seed)) for seed in range(12))


def test_a_seed_gives_the_same_bytes():
    digest = hashlib.sha256()
    for planted in (True, False):
        for seed in (0, 3):
            scene = draw_shortcut_scene(seed, planted=planted)
            digest.update((scene.image * 255).round().byte().numpy().tobytes())
            digest.update(scene.emblem_masks.numpy().tobytes())
    assert digest.hexdigest()[:16] == "75de0ad2ea3f610b"


def test_sizes_and_seeds_are_checked():
    assert draw_shortcut_scene(1, (96, 128)).image.shape == (3, 96, 128)
    with pytest.raises(ValueError, match="size of at least 64"):
        draw_shortcut_scene(1, (32, 128))
    with pytest.raises(TypeError, match="expected an int as seed"):
        draw_shortcut_scene(1.5)
