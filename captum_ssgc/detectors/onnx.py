"""ONNX files as differentiable modules (extra ``[onnx]``)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import onnx
import torch
from torch import Tensor, fx, nn

from captum_ssgc.detectors.onnx_convert import convert
from captum_ssgc.detectors.onnx_file import OnnxFile, OnnxInput, first_line
from captum_ssgc.detectors.onnx_proof import TOLERANCE, largest_difference, sample_picture
from captum_ssgc.detectors.onnx_repair import for_one_image


class FixedBatch(nn.Module):
    """Runs a network whose batch size is fixed on any number of images, some at a time."""

    def __init__(self, network: nn.Module, batch: int = 1) -> None:
        super().__init__()
        self.network, self.batch = network, batch

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        missing = -len(images) % self.batch
        full = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)]) if missing else images
        outputs = [self.network(part) for part in full.split(self.batch)]
        if isinstance(outputs[0], Tensor):
            return self._joined(outputs)[: len(images)]
        return tuple(self._joined(one)[: len(images)] for one in zip(*outputs, strict=True))

    def _joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """Along the axis of images; a network of one image may leave that axis out."""
        without = self.batch == 1 and outputs[0].shape[:1] != (1,)
        return torch.stack(list(outputs)) if without else torch.cat(list(outputs))


class Rearranged(nn.Module):
    """A network that takes images with other axes, given ``(N, 3, H, W)``."""

    def __init__(self, network: nn.Module, channels_last: bool, unbatched: bool) -> None:
        super().__init__()
        self.network, self.channels_last, self.unbatched = network, channels_last, unbatched

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.channels_last:
            images = images.permute(0, 2, 3, 1)
        output: Tensor | tuple[Tensor, ...] = self.network(images[0] if self.unbatched else images)
        return output


def load_onnx(path: str | os.PathLike[str]) -> tuple[nn.Module, OnnxInput]:
    """Read an ONNX file into a module with gradients and hooks, in evaluation mode.

    Args:
        path: the file; its graph takes images ``(N, 3, H, W)`` or ``(N, H, W, 3)``, or
            one without the first axis.

    Returns:
        The module, which takes ``(N, 3, H, W)`` and is named after the nodes of the graph, and
        the shape of its input. A file with a fixed batch size runs on batches of any size.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ONNX model, has another input, or an operator that cannot be
            converted.
    """
    file = OnnxFile.read(path)
    fixed = file.fixed_inputs(file.canvas_size()) if file.size_inputs else {}
    try:
        return network_of(file, file.model, fixed), file.image
    except NotImplementedError as error:
        raise ValueError(f"{path} cannot be converted to torch: {first_line(error)}") from error


def network_of(file: OnnxFile, model: onnx.ModelProto, fixed: Mapping[str, Tensor]) -> nn.Module:
    """A graph of a file as a module, images ``(N, 3, H, W)`` to its outputs.

    Raises:
        NotImplementedError: for an operator, or a variant of one, that is not known.
    """
    batch = file.image.batch
    network = _as_taken(file, convert(model, fixed), batch)
    if batch is not None and batch > 1:
        single = _as_taken(file, convert(for_one_image(model, batch), fixed), 1)
        if _agree(file, single, network):
            return single
    return network


def _as_taken(file: OnnxFile, network: nn.Module, batch: int | None) -> nn.Module:
    if file.image.channels_last or file.image.unbatched:
        network = Rearranged(network, file.image.channels_last, file.image.unbatched)
    return (network if batch is None else FixedBatch(network, batch)).eval()


def _agree(file: OnnxFile, first: nn.Module, second: nn.Module) -> bool:
    """Whether two networks give the same for a picture; one that fails does not."""
    picture = sample_picture(file.canvas_size(), file.image.channels or 3)
    if file.image.integer:
        picture = (picture * 255.0).round()
    try:
        with torch.no_grad():
            outputs = [network(picture) for network in (first, second)]
    except Exception:  # shapes that do not fit, of any operator
        return False
    ours, theirs = (
        {str(i): one for i, one in enumerate([given] if isinstance(given, Tensor) else given)}
        for given in outputs
    )
    return largest_difference(ours, theirs, moved_rows=False) <= TOLERANCE


def graph_of(network: nn.Module) -> fx.GraphModule:
    """The converted graph inside what :func:`load_onnx` gives.

    Raises:
        TypeError: for another module.
    """
    *_, inner = down_to_graph(network)
    if not isinstance(inner, fx.GraphModule):
        raise TypeError(f"network: expected a converted ONNX graph, got {type(inner).__name__}.")
    return inner


def down_to_graph(network: nn.Module) -> Iterator[nn.Module]:
    """What :func:`load_onnx` gives, and what is inside of it, last the graph."""
    yield network
    while isinstance(network, (FixedBatch, Rearranged)):
        network = network.network
        yield network
