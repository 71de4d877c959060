"""Networks that do more than multiply by parameters: their gradients are PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from captum_ssgc import _vendor_versions
from captum_ssgc.attr._capture import capturing

WEIGHT = torch.randn(16, 16, 3, 3, generator=torch.Generator().manual_seed(0))
MEAN, VARIANCE = torch.linspace(-1.0, 1.0, 16), torch.linspace(0.5, 2.0, 16)


class Merged(Tensor):
    """A weight that is not what lies in its memory, as low-rank adapters make it."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.conv2d, F.conv2d):
            plain = args[1].as_subclass(Tensor)
            return func(args[0], plain + 0.5 * plain.flip(0), *args[2:], **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs or {})


def means(images: Tensor) -> Tensor:
    return images.mean((0, 2, 3))


def without_hooks(images: Tensor) -> Tensor:
    with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
        return F.silu(F.group_norm(images.repeat(1, 1, 12, 12), 4))


CHOOSING = nn.Parameter(WEIGHT.clone())


def by_its_parameter(images: Tensor) -> Tensor:
    values = F.conv2d(images, CHOOSING)
    return values if CHOOSING.requires_grad and CHOOSING.is_leaf else values.tanh()


def again(images: Tensor) -> Tensor:
    """Of all that is saved, PyTorch looks at the shapes alone, and at the first ones."""
    return F.relu(images).square().sigmoid() * F.silu(F.conv2d(images, CHOOSING, padding=1))


MERGED = nn.Parameter(WEIGHT.as_subclass(Merged), requires_grad=False)  # type: ignore[arg-type]
NETWORKS: dict[str, Callable[[Tensor], Tensor]] = {
    "computed weight": lambda x: F.conv2d(x, WEIGHT * means(x).sigmoid()[:, None, None, None]),
    "computed bias": lambda x: F.conv2d(x, WEIGHT, means(x)),
    "weight of a subclass": lambda x: F.conv2d(x, MERGED),
    "computed scale": lambda x: F.batch_norm(x, MEAN, VARIANCE, means(x)),
    "computed shift": lambda x: F.batch_norm(x, MEAN, VARIANCE, None, means(x)),
    "computed scale of groups": lambda x: F.group_norm(x.repeat(1, 1, 12, 12), 4, means(x)),
    "computed places": lambda x: F.grid_sample(
        x, means(x)[:8].reshape(1, 2, 2, 2).tanh(), align_corners=False
    ),
    "gradient of a convolution": torch.func.grad(lambda x: F.conv2d(x, WEIGHT).square().sum()),
    "gradient of a normalisation": torch.func.grad(
        lambda x: F.batch_norm(x, MEAN, VARIANCE).pow(3).sum()
    ),
    "gradient of a ReLU": torch.func.grad(lambda x: F.relu(x).square().sum()),
    "mapped": torch.func.vmap(lambda one: F.relu(F.conv2d(one[None], WEIGHT))[0]),
    "without hooks for what is saved": without_hooks,
    "chosen by a parameter": by_its_parameter,
    "run again": lambda x: checkpoint(again, x, use_reentrant=False),
    "run again, shapes alike": lambda x: checkpoint(
        lambda maps: F.relu(maps).square().sigmoid(), x, use_reentrant=False
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_is_pytorchs(name):
    network = NETWORKS[name]
    images = torch.rand(1, 16, 9, 10, generator=torch.Generator().manual_seed(1)) - 0.3
    layer = nn.Identity()
    with capturing(layer, [layer]) as capture:
        given = network(layer(images)).square().sum()
    [leaf] = capture.tensors(lambda module: "it", lambda: "")
    plain = images.clone().requires_grad_()
    expected = network(plain).square().sum()
    torch.testing.assert_close(given, expected)
    [slope] = torch.autograd.grad(given, leaf)
    [wanted] = torch.autograd.grad(expected, plain)
    assert bool(wanted.any())
    torch.testing.assert_close(slope, wanted)


def test_what_a_network_sets_of_a_parameter_is_set() -> None:
    layer, behind = nn.Identity(), nn.Conv2d(16, 2, 1)
    with capturing(layer, [layer]) as capture:
        behind.weight.data = torch.renorm(behind.weight.data, 2, 0, 0.1)
        given = behind(layer(torch.ones(1, 16, 2, 2))).sum()
    [leaf] = capture.tensors(lambda module: "it", lambda: "")
    assert bool((behind.weight.flatten(1).norm(dim=1) < 0.101).all())
    [slope] = torch.autograd.grad(given, leaf)
    torch.testing.assert_close(slope[0, :, 0, 0], behind.weight.detach().sum((0, 2, 3)))


def test_a_view_of_a_parameter_is_constant() -> None:
    layer = nn.Identity()
    with capturing(layer, [layer]):
        assert not CHOOSING.flatten(1).mT.requires_grad
        assert not CHOOSING.mT.requires_grad
        assert CHOOSING.requires_grad


@pytest.mark.parametrize("old", [False, True])
def test_who_looks_at_what_is_saved(old, monkeypatch) -> None:
    if old:
        name = "_top_saved_tensors_default_hooks"
        monkeypatch.delattr(torch._C._autograd, name, raising=False)
    assert not _vendor_versions.saving_is_watched()
    with torch.autograd.graph.saved_tensors_hooks(lambda one: one, lambda one: one):
        assert _vendor_versions.saving_is_watched()
        assert _vendor_versions.saving_is_watched()
    with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
        assert not _vendor_versions.saving_is_watched()
    assert not _vendor_versions.saving_is_watched()
