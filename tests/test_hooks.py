"""Whether somebody has set anything on modules, and what does not count."""

from __future__ import annotations

import copy
import functools
import threading
import types

import pytest
import torch
from setting_on_modules import SETTINGS
from torch import fx, nn

from captum_ssgc._hooks import forward_hooks, left_alone


class Fused(nn.Module):
    """As Ultralytics' convolutions, whose forward is another one of their methods when fused."""

    def __init__(self):
        super().__init__()
        self.scale = float  # a callable that is no method
        self.forward = self.forward_fused

    def forward(self, values):
        return values

    def forward_fused(self, values):
        return 2.0 * values


def network():
    return nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.ReLU(), Fused()))


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("kind", SETTINGS)
def test_whatever_is_set_is_seen(kind, inside):
    module = network()
    assert left_alone(module.modules())
    with SETTINGS[kind](module[0] if inside else module):
        assert not left_alone(module.modules())
        if kind not in ("hook_of_all", "forward_of_its_class"):
            assert left_alone(module[1].modules())
    assert left_alone(module.modules())


def test_methods_that_a_forward_calls_are_seen():
    module = nn.Conv2d(1, 1, 1)
    module._conv_forward = lambda *args: torch.zeros(1)
    assert not left_alone([module])
    module = nn.Conv2d(1, 1, 1)
    module.forward = types.MethodType(lambda self, values: values, module)
    assert not left_alone([module])
    module = nn.Conv2d(1, 1, 1)
    module.forward = nn.Conv2d(1, 1, 1).forward  # of another one
    assert not left_alone([module])


def test_decorators_hide_nothing(monkeypatch):
    old = nn.ReLU.forward

    @functools.wraps(old)
    def forward(self, values):
        return old(self, values).sin()

    monkeypatch.setattr(nn.ReLU, "forward", torch.no_grad()(forward))
    assert not left_alone([nn.ReLU()])
    monkeypatch.setattr(nn.ReLU, "forward", torch.no_grad()(old))
    assert left_alone([nn.ReLU()])
    monkeypatch.setattr(nn.ReLU, "forward", functools.partialmethod(old))
    assert not left_alone([nn.ReLU()])
    monkeypatch.setattr(nn.ReLU, "forward", old)
    assert left_alone([nn.ReLU()])
    monkeypatch.setattr(nn.ReLU, "__call__", forward, raising=False)
    assert not left_alone([nn.ReLU()])


def test_classes_of_users_and_traced_graphs_are_as_they_are():
    module = network()
    module[1][1] = nn.Identity()
    assert left_alone(fx.symbolic_trace(module).modules())
    assert left_alone(copy.deepcopy(network()).modules())


def test_hooks_of_this_package_do_not_count_in_any_thread():
    module, ready, done = network(), threading.Event(), threading.Event()

    def elsewhere():
        with forward_hooks({module[0]: lambda *args: None}):
            ready.set()
            done.wait(60)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    try:
        assert ready.wait(60)
        with forward_hooks(before={module: lambda *args: None}):
            assert left_alone(module.modules())
    finally:
        done.set()
        thread.join()
    for one in module.modules():
        assert not one._forward_pre_hooks
        assert not one._forward_hooks
