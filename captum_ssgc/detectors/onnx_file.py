"""An ONNX detector file: its graph, its input, what it says about itself, and ONNX Runtime."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

try:
    import onnx
except ImportError as error:
    raise ImportError("ONNX detectors need onnx: pip install 'captum-ssgc[onnx]'") from error

from captum_ssgc.detectors.onnx_repair import in_order
from captum_ssgc.detectors.onnx_white import white_of
from captum_ssgc.label_names import own_label_names

_DEFAULT_SIDE = 640
# Inputs beside the image that say how large it was; the canvas is what boxes shall refer to.
_MOST_CHANNELS = 16  # an input of more is no image
_WIDTH_FIRST, _HEIGHT_FIRST = ("orig_target_sizes", "orig_size"), ("target_sizes", "im_shape")


@dataclass(frozen=True)
class OnnxInput:
    """The image input of an ONNX graph: ``(N, channels, height, width)``.

    Args:
        batch: images in one call; this and the next two are ``None`` where the file leaves it open.
        height: of the canvas, in pixels.
        width: likewise.
        name: of the input.
        channels_last: the graph takes ``(N, height, width, channels)``.
        unbatched: the graph takes one image without the axis of images.
        integer: the graph takes bytes.
        channels: how many; ``None`` where the file leaves it open.
        white: the value of white, 255 or 1, where the graph shows it; ``None`` where it does not.
    """

    batch: int | None
    height: int | None
    width: int | None
    name: str = ""
    channels_last: bool = False
    unbatched: bool = False
    integer: bool = False
    channels: int | None = None
    white: float | None = None


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """One file that was read and checked.

    Args:
        path: of the file.
        model: the graph with its weights.
        image: its image input.
        size_inputs: names of inputs that say how large the image was.
        metadata: what the exporter wrote into the file.
    """

    path: Path
    model: onnx.ModelProto
    image: OnnxInput
    size_inputs: Sequence[str]
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> OnnxFile:
        """Read and check a file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no ONNX model, or takes something else than one image.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"ONNX file {path} does not exist.")
        try:
            model = onnx.load(str(path))
            in_order(model.graph)
            onnx.checker.check_model(model)
        except Exception as error:  # protobuf and onnx raise several unrelated types
            raise ValueError(f"{path} is not a readable ONNX model: {first_line(error)}") from None
        weights = {entry.name for entry in model.graph.initializer}
        inputs = [entry for entry in model.graph.input if entry.name not in weights]
        known = (*_WIDTH_FIRST, *_HEIGHT_FIRST, "scale_factor")
        sizes = [one.name for one in inputs if one.name in known]
        images = [image for one in inputs if (image := _image_input(one)) is not None]
        if len(images) != 1 or len(images) + len(sizes) != len(inputs):
            shapes = [(one.name, len(one.type.tensor_type.shape.dim)) for one in inputs]
            described = ", ".join(f"{name} ({axes}-D)" for name, axes in shapes)
            raise ValueError(f"{path}: expected one image input (N, 3, H, W), got {described}.")
        image = images[0]
        white = 255.0 if image.integer else white_of(model, image.name)
        metadata = {entry.key: _parsed(entry.value) for entry in model.metadata_props}
        return cls(path, model, replace(image, white=white), sizes, metadata)

    def canvas_size(self, wanted: tuple[int, int] | int | None = None) -> tuple[int, int]:
        """``(H, W)``: as the file fixes it, else as asked for, else as its metadata say, else 640.

        Raises:
            ValueError: if the file fixes another size than the one asked for.
        """
        fixed = (self.image.height, self.image.width)
        for choice in (wanted, self.metadata.get("imgsz"), _DEFAULT_SIDE):
            if choice is None:
                continue
            sides = [choice] * 2 if isinstance(choice, int) else list(choice)
            height, width = (own or int(side) for own, side in zip(fixed, sides, strict=True))
            if choice is wanted and [height, width] != sides:
                raise ValueError(f"size: {self.path.name} takes {fixed} only, got {choice}.")
            break
        return height, width

    def fixed_inputs(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """The values of :attr:`size_inputs` for a canvas of ``(H, W)``."""
        types = {one.name: one.type.tensor_type.elem_type for one in self.model.graph.input}
        values = {}
        for name in self.size_inputs:
            pair = size if name in _HEIGHT_FIRST else size[::-1]
            given = torch.tensor([(1, 1) if name == "scale_factor" else pair], device="cpu")
            values[name] = given.to(torch.int64 if types[name] == 7 else torch.float32)
        return values

    def label_names(self) -> list[str] | None:
        """Class names by label, where the exporter wrote them."""
        names = self.metadata.get("names")
        if isinstance(names, dict):
            known = own_label_names({key: str(name) for key, name in names.items()})
            return None if known is None else list(known)
        return [str(name) for name in names] if isinstance(names, (list, tuple)) else None


class Runtime:
    """ONNX Runtime on a graph, on the CPU.

    Args:
        file: where the graph comes from.
        size: ``(H, W)`` of the canvas.
        model: the graph, or a part of it; ``None``: the file's own.

    Raises:
        ImportError: if ONNX Runtime is not installed.
        ValueError: if ONNX Runtime cannot run the graph.
    """

    def __init__(
        self, file: OnnxFile, size: tuple[int, int], model: onnx.ModelProto | None = None
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "checking or running an ONNX file needs onnxruntime: pip install onnxruntime "
                "(part of 'captum-ssgc[onnx]'), or pass check=False to go without the proof"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        model = model or file.model
        try:
            self.session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # types of its own
            raise ValueError(
                f"{file.path}: ONNX Runtime cannot run it ({first_line(error)}), so that its "
                "conversion cannot be proved; pass check=False to go without."
            ) from None
        self.image, self.size = file.image, size
        self.taken = {entry.name: entry.type for entry in self.session.get_inputs()}
        self.fixed = {
            name: value.numpy()
            for name, value in file.fixed_inputs(size).items()
            if name in self.taken
        }

    def __call__(self, canvas: Tensor) -> dict[str, Tensor]:
        """Outputs by name for one canvas ``(1, 3, H, W)``; half precision becomes single.

        A fixed batch is filled with the same image, and the first one's outputs are returned.

        Raises:
            ValueError: if the file fails on this canvas.
        """
        count = self.image.batch or 1
        given = canvas.detach().cpu().repeat(count, 1, 1, 1)
        if self.image.channels_last:
            given = given.permute(0, 2, 3, 1)
        if self.image.unbatched:
            given = given[0]
        if self.image.integer:
            given = given.round().clamp(0, 255).to(torch.uint8)
        precision = self.taken[self.image.name]
        if "float16" in precision or "double" in precision:
            given = given.half() if "float16" in precision else given.double()
        feeds = {self.image.name: given.contiguous().numpy(), **self.fixed}
        names = [entry.name for entry in self.session.get_outputs()]
        try:
            arrays = self.session.run(names, feeds)
        except Exception as error:  # types of its own
            raise ValueError(f"ONNX Runtime cannot run the file: {first_line(error)}") from None
        first = slice(1) if count > 1 else slice(None)
        return {
            name: torch.from_numpy(array.astype("float32") if array.dtype == "float16" else array)[
                first
            ]
            for name, array in zip(names, arrays, strict=True)
        }

    def batch(self, canvas: Tensor) -> list[Tensor]:
        """Outputs in the file's order for any number of images, one after the other."""
        outputs = [list(self(one[None]).values()) for one in canvas]
        return [torch.cat(parts).to(canvas.device) for parts in zip(*outputs, strict=True)]


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return (str(error) or type(error).__name__).strip().splitlines()[0][:200]


def _image_input(entry: onnx.ValueInfoProto) -> OnnxInput | None:
    kind = entry.type.tensor_type
    dims = [one.dim_value if one.dim_value > 0 else None for one in kind.shape.dim]
    unbatched = len(dims) == 3 and 3 in (dims[0], dims[2])
    dims = [1, *dims] if unbatched else dims
    if len(dims) != 4:
        return None
    last = dims[3] == 3 and dims[1] != 3
    last = last or bool(dims[3] and dims[1] and dims[3] <= 4 and dims[1] > _MOST_CHANNELS)
    channels, height, width = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    if channels is not None and channels > _MOST_CHANNELS:
        return None
    integer = kind.elem_type == onnx.TensorProto.UINT8
    return OnnxInput(dims[0], height, width, entry.name, last, unbatched, integer, channels)


def _parsed(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
