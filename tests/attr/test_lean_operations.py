"""Operations whose way back keeps less: PyTorch's own values and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_ssgc.attr import _capture
from captum_ssgc.attr._bits import WORTH_PACKING, Bits
from captum_ssgc.attr._capture import ConstantParameters
from captum_ssgc.attr._kept_apart import LARGE


def norm(dimensions: int, affine: bool = True, dtype: torch.dtype = torch.float64) -> nn.Module:
    kind = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions]
    module = kind(6, affine=affine).to(dtype).eval()
    nn.init.normal_(module.running_mean)
    nn.init.uniform_(module.running_var, 0.2, 3.0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def in_place(operation: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda images: operation(images * 1.0)


CASES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "batch norm": (norm(2), 2),
    "batch norm, in one dimension": (norm(1), 1),
    "batch norm, in three dimensions": (norm(3), 3),
    "batch norm without parameters": (norm(2, affine=False), 2),
    "batch norm of the batch": (norm(2).train(), 2),
    "batch norm without statistics": (nn.BatchNorm2d(6, track_running_stats=False).double(), 2),
    "relu": (nn.ReLU(), 2),
    "relu in place": (in_place(nn.ReLU(inplace=True)), 2),
    "torch.relu": (torch.relu, 2),
    "torch.relu_": (in_place(torch.relu_), 2),
    "a tensor's relu": (lambda images: images.relu(), 2),
    "a tensor's relu_": (in_place(lambda images: images.relu_()), 2),
    "relu in place of a part": (in_place(lambda images: images[:, :3].relu_()), 2),
    "one after the other": (in_place(lambda images: F.relu(norm_of_all(images), inplace=True)), 2),
    "relu of many values": (lambda images: F.relu(images.repeat(1, 1, 30, 30)), 2),
    "relu with channels last": (
        lambda images: F.relu(images.repeat(1, 1, 30, 30).to(memory_format=torch.channels_last)),
        2,
    ),
    **{
        f"{operation.__name__} of {times * 240} maps": (
            partial(
                lambda images, times, operation: operation(images.repeat(1, times, 30, 30)),
                times=times,
                operation=operation,
            ),
            2,
        )
        for times in (1, 4)
        for operation in (F.silu, F.gelu, F.hardswish, F.mish)
    },
    "group norm": (lambda images: norm_of_groups(images.repeat(1, 1, 40, 40)), 2),
    "layer norm": (lambda images: F.layer_norm(images.repeat(1, 1, 40, 40), (200,)), 2),
    "silu in place": (in_place(lambda images: F.silu(images.repeat(1, 1, 40, 40), True)), 2),
    "the same input twice": (lambda images: images * F.relu(images), 2),
}
norm_of_all = norm(2)
norm_of_groups = nn.GroupNorm(2, 6).double()
PLACES = torch.rand(2, 3, 5, 2, generator=torch.Generator().manual_seed(0)).double() * 2.4 - 1.2
for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        for corners in (False, True):
            options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
            CASES[f"grid sample, {mode}, {padding}, {corners}"] = (
                partial(F.grid_sample, grid=PLACES, **options), 2
            )  # fmt: skip


@pytest.fixture(params=CASES)
def case(request) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    torch.manual_seed(0)
    operation, dimensions = CASES[request.param]
    images = torch.randn(2, 6, *range(4, 4 + dimensions), dtype=torch.float64)
    return operation, images.round(decimals=1).requires_grad_()  # some values are 0


def test_values_and_derivatives_are_pytorchs(case) -> None:
    operation, images = case
    twice_differentiable = getattr(operation, "func", None) is not F.grid_sample

    def run() -> list[Tensor]:
        output = operation(images)
        slope = torch.linspace(-1.0, 2.0, output.numel(), dtype=output.dtype).view_as(output)
        (first,) = torch.autograd.grad(
            (output * slope).sin().sum(), images, create_graph=twice_differentiable
        )
        if not twice_differentiable:
            return [output, first]
        (second,) = torch.autograd.grad(first.square().sum(), images)
        return [output, first, second]

    expected = run()
    with ConstantParameters():
        found = run()
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1:], expected[1:])


def otherwise_laid_out(values: Tensor) -> Tensor:
    return values.transpose(0, -1).contiguous().transpose(0, -1)


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 5, 7), (7, WORTH_PACKING // 4)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_is_marked_is_cleared(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    marked = torch.rand(shape) < 0.5
    values = torch.randn(shape).to(dtype)
    values.flatten()[::3] = torch.nan
    expected = torch.where(marked, torch.zeros((), dtype=dtype), values)
    for bits in (Bits(marked), Bits(otherwise_laid_out(marked))):
        for given in (values, otherwise_laid_out(values)):
            assert torch.equal(bits.cleared(given).isnan(), expected.isnan())
            assert torch.equal(bits.cleared(given).nan_to_num(0.5), expected.nan_to_num(0.5))
    spread = torch.ones((), dtype=dtype).expand(shape)  # as what goes back from a sum
    assert torch.equal(Bits(marked).cleared(spread), torch.where(marked, 0.0, spread).to(dtype))


def test_a_relu_of_many_values_keeps_a_bit_of_each() -> None:
    marked = torch.rand(8, WORTH_PACKING) < 0.5
    assert Bits(marked).entries * 8 == marked.numel()
    assert Bits(marked[0, :8]).entries == 8  # not worth the operations


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(norm(2, dtype=dtype), nn.ReLU(inplace=True))
    images = torch.randn(1, 6, 8, 8, dtype=dtype, requires_grad=True)
    slopes = []
    for mode in (torch.enable_grad(), ConstantParameters()):
        with mode:
            output = layer(images)
        slopes.append(torch.autograd.grad(output, images, torch.ones_like(output))[0])
        assert output.dtype == slopes[-1].dtype == dtype
    torch.testing.assert_close(slopes[1], slopes[0])


@pytest.mark.parametrize("times", [1, WORTH_PACKING])
def test_infinite_slopes_do_not_pass_what_is_cut_off(times: int) -> None:
    images = torch.tensor([-1.0, 2.0, torch.nan, -0.0, 0.0] * times, requires_grad=True)
    slope = torch.tensor([torch.inf, torch.inf, 1.0, torch.nan, 1.0] * times)
    expected = torch.autograd.grad(F.relu(images), images, slope)[0]
    with ConstantParameters():
        found = torch.autograd.grad(F.relu(images), images, slope)[0]
    assert torch.equal(found, expected)


def test_places_of_grid_sample_have_a_way_back_where_they_need_one() -> None:
    images, places = torch.rand(2, 3, 6, 5), PLACES.float().requires_grad_()
    expected = torch.autograd.grad(F.grid_sample(images, places, align_corners=False).sum(), places)
    with ConstantParameters():
        sampled = F.grid_sample(images, places, align_corners=False)
    assert torch.equal(torch.autograd.grad(sampled.sum(), places)[0], expected[0])


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved may be looked at: operations are PyTorch's own else, for checkpoints."""
    monkeypatch.setattr(_capture, "saving_is_watched", lambda: False)


@pytest.mark.usefixtures("looked_at")
def test_sampling_at_constant_places_keeps_the_places_alone() -> None:
    images = torch.rand(2, 3, 6, 5, requires_grad=True)
    kept: list[Tensor] = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda x: x),
        ConstantParameters(),
    ):
        F.grid_sample(images, PLACES.float(), align_corners=False)
    assert [one.shape for one in kept] == [PLACES.shape]


@pytest.mark.parametrize("size", [8, 256])
def test_large_maps_are_kept_apart_from_what_is_used_further(size: int) -> None:
    images = torch.randn(1, 4, size, size, requires_grad=True)
    expected = torch.autograd.grad(F.silu(images * 1.0).sum(), images)[0]
    with ConstantParameters():
        given = images * 1.0
        activated = F.silu(given)
        with torch.no_grad():
            given.zero_()
    if size * size * 4 * 4 >= LARGE:
        assert torch.equal(torch.autograd.grad(activated.sum(), images)[0], expected)
    else:  # PyTorch's own way
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            activated.sum().backward()


@pytest.mark.usefixtures("looked_at")
def test_a_graph_keeps_no_maps() -> None:
    """PyTorch's own keeps three: for the convolution, the normalisation, and the activation."""
    layer = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
    ).eval()  # fmt: skip
    images = torch.randn(1, 16, 40, 40, requires_grad=True)

    def kept(value: Tensor) -> Tensor:
        maps.append(value.shape == images.shape)
        return value

    counts = []
    for mode in (torch.enable_grad(), ConstantParameters()):
        maps: list[bool] = []
        with torch.autograd.graph.saved_tensors_hooks(kept, lambda value: value), mode:
            layer(images)
        counts.append(sum(maps))
    assert counts == [3, 0]
