"""Refined CAM: the additive model, the patches, the search, and what it costs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import references
import torch

import captum_ssgc as ssgc
from captum_ssgc._patch_grid import PatchGrid
from captum_ssgc.attr._additive_model import AdditiveModel, drawn
from captum_ssgc.attr._cell_maps import nearness, ranks
from captum_ssgc.attr._growing_order import TRIES
from captum_ssgc.attr._growing_orders import GrowingOrders
from captum_ssgc.benchmark import BenchmarkSettings, MethodRow
from captum_ssgc.benchmark.heat_maps import MapMaker
from captum_ssgc.metrics import deletion_insertion

CPU = torch.device("cpu")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_model_is_the_literal_posterior():
    generator = seeded(1)
    mean = torch.rand(5, generator=generator, dtype=torch.float64)
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT + torch.eye(5, dtype=torch.float64)
    rows = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    values = torch.randn(7, generator=generator, dtype=torch.float64)
    model = AdditiveModel(mean, covariance)
    np.testing.assert_allclose(model.posterior()[0], mean)
    model.observe(rows[:3], values[:3], 0.5)
    model.observe(rows[3:], values[3:], 0.2)
    expected = references.gaussian_posterior(
        mean.numpy(), covariance.numpy(), rows.numpy(), values.numpy(), [0.5] * 3 + [0.2] * 4
    )
    for ours, literal in zip(model.posterior(), expected, strict=True):
        np.testing.assert_allclose(ours, literal, rtol=1e-9, atol=1e-12)


def test_draws_have_the_mean_and_the_covariance():
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    generator = seeded()
    many = torch.stack([drawn(mean, covariance, generator) for _ in range(4000)])
    np.testing.assert_allclose(many.mean(0), mean, atol=0.08)
    np.testing.assert_allclose(torch.cov(many.mT), covariance, atol=0.12)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ((20.0, 30.0, 44.0, 50.0), (100, 160)),
        ((0.0, 0.0, 160.0, 100.0), (100, 160)),
        ((-30.0, 90.0, -5.0, 130.0), (100, 160)),
        ((3.2, 1.0, 3.3, 1.1), (7, 9)),
        ((0.0, 0.0, 1.0, 1.0), (1, 1)),
    ],
    ids=["inside", "whole", "outside", "point", "one cell"],
)
def test_patches_cover_every_cell_once(box, size):
    patches = PatchGrid(box, size, 4, CPU)
    assert patches.index.shape == size
    counted = torch.bincount(patches.index.flatten(), minlength=len(patches)).double()
    assert torch.equal(counted, patches.areas)
    assert counted.min() > 0
    assert torch.equal(patches.sums(torch.ones(1, *size))[0], patches.areas)
    constant = patches.spread(torch.full((len(patches),), 2.5, dtype=torch.float64))
    torch.testing.assert_close(constant, torch.full(size, 2.5, dtype=torch.float64))
    kinship = patches.kinship()
    assert torch.equal(kinship.diagonal(), torch.ones(len(patches), dtype=torch.float64))
    assert torch.linalg.eigvalsh(kinship).min() > -1e-9


def test_patches_are_small_in_the_box_and_grow_outwards():
    patches = PatchGrid((20.0, 30.0, 44.0, 50.0), (100, 160), 4, CPU)
    rows, columns = patches.edges
    assert [place for place in columns if 20 <= place <= 44] == [20, 26, 32, 38, 44]
    assert [place for place in rows if 30 <= place <= 50] == [30, 35, 40, 45, 50]
    widths = [after - before for before, after in itertools.pairwise(columns) if before >= 44]
    assert widths == sorted(widths)
    assert len(patches) < 200


def test_spread_is_linear_between_the_middles():
    patches = PatchGrid((0.0, 0.0, 12.0, 4.0), (4, 12), 4, CPU)
    middles = [(a + b) / 2 for a, b in zip(patches.edges[1], patches.edges[1][1:])]
    spread = patches.spread(torch.tensor(middles, dtype=torch.float64).repeat(patches.shape[0]))
    cells = torch.arange(12, dtype=torch.float64) + 0.5
    expected = cells.clamp(middles[0], middles[-1]).expand(4, 12)
    torch.testing.assert_close(spread, expected)


def additive(weights):
    """The score of a set of cells for which each cell adds something: both scores are alike."""

    def values(sets):
        alone = torch.stack([(weights * one).sum() for one in sets])
        without = torch.stack([(weights * ~one).sum() for one in sets])
        return torch.stack([alone, alone, -without, -without], 1)

    return values


def searched(values, prior, box, shares, count):
    growing = GrowingOrders([prior], [box], 3, [seeded()])
    for share in shares:
        proposed = []
        for _ in range(2):
            [sets] = growing.propose(share, count // 2)
            assert len(sets) <= count // 2
            growing.learn([values(sets).double()])
            proposed += [one.numpy().tobytes() for one in sets]
        assert len(set(proposed)) == len(proposed)
        growing.choose(1.0)
    return growing.orders()[0]


def one_after_the_other(one, share, count, generator):
    """What is proposed if each offer is compared with all sets before the next one is drawn."""
    one._share, orders, most = share, [], len(one._sets) + count
    if not one._sets:
        one._sets = [one._of_share(one._reference)]
        orders = [one._reference, one._last, *one._fixed]

    def add(order):
        proposal = one._of_share(order + 2.0 * one._kept) | one._kept
        if len(one._sets) < most and not any(torch.equal(proposal, other) for other in one._sets):
            one._sets.append(proposal)

    mean, covariance = one._model.posterior()
    for order in [*orders, one._by_model(mean)]:
        add(order)
    for _ in range(TRIES * count):
        if len(one._sets) >= most:
            break
        add(one._by_model(drawn(mean, covariance, generator)))
    return torch.stack(one._sets)


@pytest.mark.parametrize("side", [3, 12])
@pytest.mark.parametrize("count", [1, 3, 9, 20])
def test_proposals_are_those_of_one_after_the_other(side, count):
    """Asked all at once, and of several detections; on few cells most offers are no new ones."""
    priors = [torch.rand(side, side, generator=seeded(number)) ** 3 for number in range(3)]
    boxes = [(0.0, 0.0, 2.0, 3.0), (1.0, 0.0, 3.0, 2.0), (0.0, 1.0, 2.0, 2.0)]
    generators, others = ([seeded(number) for number in range(3)] for _ in range(2))
    growing = GrowingOrders(priors, boxes, 3, generators)
    alone = GrowingOrders(priors, boxes, 3, others)._each
    found = [torch.zeros(0, side, side, dtype=torch.bool)] * 3
    for _ in range(2):
        further = growing.propose(0.4, count)
        found = [torch.cat(pair) for pair in zip(found, further, strict=True)]
        for sets, one, generator, other in zip(found, alone, generators, others, strict=True):
            assert torch.equal(sets, one_after_the_other(one, 0.4, count, other))
            assert torch.equal(generator.get_state(), other.get_state())


def test_the_search_comes_close_to_the_best_of_all_sets():
    """Only the box is known, and that is everything: compared with every set of three of nine."""
    worth = torch.tensor([[0.02, 0.3, 0.02], [0.01, 0.05, 0.25], [0.3, 0.03, 0.02]])
    weights = worth.repeat_interleave(4, 0).repeat_interleave(4, 1) / 16
    prior = torch.zeros(12, 12)
    values = additive(weights)
    best = references.best_set(worth.flatten().numpy(), 3)
    assert best == pytest.approx(0.85)
    order = searched(values, prior, (0.0, 0.0, 12.0, 12.0), [1 / 9, 2 / 9, 3 / 9], 40)
    found = float((weights * (ranks(order) >= 2 / 3)).sum())
    of_prior = float((weights * (ranks(prior) >= 2 / 3)).sum())
    assert of_prior < 0.5 * best < 0.66 * best < found <= best + 1e-6


def test_sets_are_nested_and_every_choice_is_the_rule():
    generator = seeded(3)
    prior = torch.rand(10, 12, generator=generator)
    box = (3.0, 2.0, 9.0, 8.0)
    growing, total = GrowingOrders([prior], [box], 3, [seeded()]), np.zeros(4)
    kept = np.asarray(prior / prior.max() >= 0.9)
    for share in (0.1, 0.3, 0.6):
        [sets] = growing.propose(share, 8)
        given = torch.rand(len(sets), 4, generator=generator)
        growing.learn([given.double()])
        growing.choose(0.5)
        best, total = references.refined_choice(sets.numpy(), given.numpy(), kept, total)
        kept = kept | sets[best].numpy()
        assert int(kept.sum()) == pytest.approx(share * 120, abs=1.5)
        first = ranks(growing.orders()[0]) >= 1 - kept.sum() / 120 + 1e-6
        assert np.array_equal(first.numpy(), kept) or (first.numpy() & ~kept).sum() <= 1


def test_without_forwards_the_order_is_the_maps_own_and_then_by_nearness(wrapper, image):
    prior = torch.zeros(1, 8, 8)
    prior[0, 1, 1], prior[0, 2, 2] = 3.0, 2.0
    heat_map = ssgc.RefinedCAM(wrapper).attribute_instances(
        image, [0], forwards=0, prior_maps=prior
    )[0, 0]
    order = heat_map.flatten().argsort(descending=True).tolist()
    assert order[:2] == [9, 18]
    near = nearness(wrapper.detections[0].boxes[0].tolist(), (8, 8), heat_map).flatten()[order[2:]]
    assert (near.diff() <= 2e-3).all()
    assert near[0] == 1.0 > near[-1]
    assert len(heat_map.unique()) == 64
    torch.testing.assert_close(heat_map.sum(), torch.tensor(5.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("forwards", [0, 7, 20, 64])
def test_a_forward_is_one_image_through_the_detector(wrapper, image, forwards):
    sizes = []
    hook = wrapper.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    try:
        ssgc.RefinedCAM(wrapper).attribute_instances(
            image, [0, 1, 4], perturbations_per_eval=5, forwards=forwards
        )
    finally:
        hook.remove()
    prior, *changed = sizes
    assert prior == 1
    assert sum(changed) <= 3 * forwards
    assert forwards < 20 or sum(changed) > 3 * forwards / 3
    assert max(changed, default=0) <= 5
    # Of several detections in one batch, but for the last one of each of seven rounds.
    assert len(changed) <= sum(changed) / 5 + 7


def test_neither_the_batch_nor_the_other_detections_matter(wrapper, image):
    cam = ssgc.RefinedCAM(wrapper)
    together = cam.attribute_instances(image, perturbations_per_eval=7, forwards=30)
    for target, expected in enumerate(together):
        alone = cam.attribute(image, target=target, forwards=30)
        torch.testing.assert_close(alone[0], expected)
    two = cam.attribute(image.expand(2, -1, -1, -1), target=[1, 0], forwards=30)
    torch.testing.assert_close(two, together[[1, 0]])
    assert isinstance(cam.attribute((image,), target=0, forwards=0), tuple)


def test_values_and_peak_are_those_of_the_map(wrapper, image):
    prior = ssgc.SSGradCAMPlusMinus(wrapper, wrapper.detector.level_layers()).attribute_instances(
        image, interpolate_mode="bilinear", fuse_layers="max"
    )[:, 0]
    found = ssgc.RefinedCAM(wrapper).attribute_instances(image, forwards=40)[:, 0]
    for one, refined in zip(prior, found, strict=True):
        expected = one.flatten().sort().values
        off = (refined.flatten().sort().values - expected).abs().max()
        assert off <= 1.01e-5 * one.max()
        assert one.flatten()[refined.argmax()] == one.max()


def test_it_helps_where_the_prior_is_wrong():
    """The score needs the right half; the box, and so the prior, is all of the image."""

    def network(pixels):
        box = torch.tensor([[[0.0, 0.0, 24.0, 24.0]]]).expand(len(pixels), 1, 4)
        return box, pixels[..., 12:].mean((1, 2, 3)).reshape(-1, 1, 1)

    image = torch.ones(1, 3, 24, 24)
    detector = ssgc.wrap_detector(network)
    found = detector.detect(image)[0]
    cam = ssgc.RefinedCAM(ssgc.InstanceScoreWrapper(detector, found))
    maps = {
        forwards: cam.attribute_instances(image, prior=None, forwards=forwards)
        for forwards in (0, 100)
    }
    areas = deletion_insertion(detector, image, found, maps)
    assert areas[100].deletion["s1"].mean() < areas[0].deletion["s1"].mean() - 0.1
    assert areas[100].insertion["s1"].mean() > areas[0].insertion["s1"].mean() + 0.1


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf], ids=str)
def test_a_map_that_says_nothing_leaves_the_box(wrapper, image, value):
    prior = torch.full((1, 8, 8), value)
    heat_map = ssgc.RefinedCAM(wrapper).attribute_instances(
        image, [0], forwards=0, prior_maps=prior
    )[0, 0]
    assert heat_map.isfinite().all()
    assert len(heat_map.unique()) == 64
    box = wrapper.detections[0].boxes[0].round().long().tolist()
    inside = heat_map[box[1] : box[3], box[0] : box[2]]
    assert inside.min() > heat_map.flatten().sort(descending=True).values[inside.numel() + 8]


def test_explain_and_benchmark_make_the_prior_in_their_own_recording(detector, image):
    sizes = []
    hook = detector.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    options = {"refined-cam": {"forwards": 20, "prior": "odam", "perturbations_per_eval": 16}}
    try:
        found = ssgc.explain(
            detector, image, ["odam", "refined-cam"], top_k=2, method_options=options
        )
        assert (sizes[0], len(sizes)) == (1, 1 + sum(size > 1 for size in sizes))
        sizes.clear()
        rows = ["odam", ("refined-cam", {"forwards": 0, "prior": "odam"})]
        settings = BenchmarkSettings(methods=rows, floors=())
        maps, seconds = MapMaker(detector, settings).maps(
            settings.rows, image, detector.detect(image)[0][:2], 0
        )
        assert sizes == [1, 1]  # what is evaluated, and the recording
    finally:
        hook.remove()
    assert [(one.method, one.layer) for one in found[:2]] == [
        ("odam", "fine"), ("refined-cam", "fine"),
    ]  # fmt: skip
    wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
    expected = ssgc.RefinedCAM(wrapper).attribute(
        image, target=found[1].index, prior="odam", forwards=20, perturbations_per_eval=16
    )
    torch.testing.assert_close(found[1].heat_map, expected[0, 0])
    assert list(maps) == list(seconds) == ["odam", "refined-cam[forwards=0,prior=odam]"]
    assert not torch.equal(*maps.values())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"forwards": -1}, ValueError, "forwards: expected at least 0, got -1"),
        ({"forwards": 1.5}, TypeError, "forwards: expected a whole number, got 1.5"),
        ({"patches": 0}, ValueError, "patches: expected at least 1"),
        ({"prior": "d-rise"}, ValueError, "prior: expected a method made of gradients or None"),
        ({"prior": "odum"}, ValueError, "did you mean 'odam'"),
    ],
    ids=str,
)
def test_wrong_options(wrapper, image, options, error, message):
    with pytest.raises(error, match=message):
        ssgc.RefinedCAM(wrapper).attribute(image, target=0, **options)
    with pytest.raises(error, match=f"options of refined-cam: .*{message}"):
        MethodRow("refined-cam", options)


def test_wrong_maps_and_generator(wrapper, image):
    cam = ssgc.RefinedCAM(wrapper)
    with pytest.raises(ValueError, match=r"prior_maps: expected \(1, 8, 8\), got \(1, 4, 4\)"):
        cam.attribute_instances(image, [0], prior_maps=torch.ones(1, 4, 4))
    with pytest.raises(TypeError, match=r"generator: expected a torch.Generator or None, got 3"):
        cam.attribute_instances(image, [0], generator=3)
    with pytest.raises(ValueError, match="score_threshold"):
        ssgc.RefinedCAM(wrapper, score_threshold=2.0)
