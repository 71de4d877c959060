"""Scripts that are sent to another device."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn

from captum_ssgc.detectors.torchscript_network import ScriptNetwork, sent


class Cells(nn.Module):
    """Numbers its columns, on the device of the map: the trace keeps the device's name."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps + torch.arange(maps.shape[-1], device=maps.device)


class Grid(nn.Module):
    """A tensor that is no buffer; the trace keeps it as a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = torch.arange(8.0)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.anchors


def traced(*parts: nn.Module) -> torch.jit.ScriptModule:
    module = nn.Sequential(*parts).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(module, torch.zeros(1, 3, 8, 8))


def convolution() -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3, padding=1)


def constants(script: torch.jit.ScriptModule) -> list[Tensor]:
    nodes = [
        node
        for part in script.modules()
        for node in part.graph.findAllNodes("prim::Constant")  # type: ignore[operator]
    ]
    given = [node for node in nodes if "value" in node.attributeNames()]
    return [node.t("value") for node in given if node.kindOf("value") == "t"]


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_each_image_is_run_alone():
    script = traced(convolution(), Cells(), Grid())
    network = ScriptNetwork(script)
    expected = torch.cat([script(image[None]) for image in IMAGES])
    assert torch.equal(network(IMAGES)[0], expected)


def test_what_the_trace_keeps_goes_along():
    network = ScriptNetwork(traced(convolution(), Cells(), Grid())).eval()
    network(IMAGES)  # compiles it
    assert [one.device.type for one in constants(network.script)] == ["cpu"]
    network.to("meta")
    assert [one.device.type for one in constants(network.script)] == ["meta"]
    assert {one.device.type for one in network.parameters()} == {"meta"}
    assert not network.script.training


def test_the_device_in_the_code_is_the_new_one():
    network = ScriptNetwork(traced(Cells())).eval()
    network(IMAGES)
    network.to("meta")
    [found] = network(IMAGES.to("meta"))
    assert found.device.type == "meta"
    assert found.shape == (2, 3, 8, 8)


def test_weights_that_were_changed_go_along():
    network = ScriptNetwork(traced(convolution(), Cells(), Grid())).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
    [expected] = network(IMAGES)
    again = ScriptNetwork(sent(network.script, torch.device("cpu")))
    assert torch.equal(again(IMAGES)[0], expected)


def test_the_kind_of_numbers_may_change_on_the_spot():
    network = ScriptNetwork(traced(convolution(), Grid())).eval()
    before = network.script
    [found] = network.double()(IMAGES.double())
    assert network.script is before
    assert found.dtype == torch.float64


def test_a_copy_is_sent_alone():
    network = ScriptNetwork(traced(convolution(), Cells(), Grid())).eval()
    [expected] = network(IMAGES)
    copy.deepcopy(network).to("meta")
    assert network.here.device.type == "cpu"
    torch.testing.assert_close(network(IMAGES)[0], expected)
