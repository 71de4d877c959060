from __future__ import annotations

import numpy as np
import pytest

from captum_ssgc.visualization._views import View, smoothed, view_of, whole

SIZE = (480, 640)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((300, 200, 320, 220), View(277, 191, 343, 229)),
        ((0, 0, 20, 20), View(0, 0, 66, 38)),
        ((620, 460, 640, 480), View(574, 442, 640, 480)),
        ((300, 200, 400, 220), View(225, 138, 475, 282)),
        ((-500, 200, 20, 220), View(0, 191, 66, 229)),
        ((300, 200, 300, 200), View(286, 192, 314, 208)),
    ],
    ids=["middle", "first corner", "last corner", "wide", "beyond the image", "empty"],
)
def test_a_small_box_has_its_surroundings(box: tuple[float, ...], expected: View) -> None:
    view = view_of(tuple(map(float, box)), SIZE, 1.75)
    assert view.width == pytest.approx(1.75 * view.height, rel=0.05)
    assert 0 <= view.left <= max(box[0], 0)
    assert min(box[2], 640) <= view.right <= 640
    assert 0 <= view.top <= box[1]
    assert box[3] <= view.bottom <= 480
    assert abs(np.array(view) - np.array(expected)).max() <= 22


def test_a_large_box_has_the_whole_image() -> None:
    assert view_of((50.0, 50.0, 400.0, 300.0), SIZE, 4 / 3) == whole(SIZE)


def test_a_part_of_a_panorama_is_shown() -> None:
    view = view_of((1000.0, 0.0, 1200.0, 200.0), (200, 4000), 1.8)
    assert (view.top, view.bottom) == (0, 200)
    assert 500 <= view.width <= 1000


def test_parts_of_a_map_make_the_map() -> None:
    values = np.random.default_rng(0).random((11, 13))
    view = View(3, 2, 9, 7)
    total = view.of(values).sum() + sum(part.sum() for part in view.around(values))
    assert total == pytest.approx(values.sum())


def test_smoothing_keeps_energy_and_place() -> None:
    heat = np.zeros((41, 61))
    heat[20, 30] = 1.0
    smooth = smoothed(heat, 3.0)
    assert smooth.sum() == pytest.approx(1.0)
    assert np.unravel_index(smooth.argmax(), smooth.shape) == (20, 30)
    expected = np.exp(-0.5 * (5 / 3.0) ** 2)
    assert smooth[20, 35] / smooth[20, 30] == pytest.approx(expected)
    np.testing.assert_allclose(smoothed(np.ones((4, 5)), 50.0), 1.0)
