"""The image processor of a transformers model as a differentiable function of the image."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor, nn

from captum_ssgc._vendor_versions import (
    processor_name,
    processor_on_tensors,
    tensor_processors,
)
from captum_ssgc._warnings import warn_user
from captum_ssgc.detectors._content import check_content, noise
from captum_ssgc.detectors._measured import MeasuredGeometries
from captum_ssgc.geometry import ImageGeometry

_SPREAD = 3.0
_PROCESSOR_FILE = "preprocessor_config.json"
_UNLISTED = {
    "conditional_detr": "ConditionalDetrImageProcessor",
    "d_fine": "RTDetrImageProcessor",
    "dab-detr": "ConditionalDetrImageProcessor",
    "pp_doclayout_v3": "PPDocLayoutV3ImageProcessor",
    "rt_detr_v2": "RTDetrImageProcessor",
}


class ProcessorCanvas:
    """Runs the vendor's own resizing, normalising and padding on floats, keeping the graph.

    The processors of transformers work on tensors. Given bytes they round after resizing; given
    floats they do not, so that the canvas agrees with theirs within one byte value.

    Args:
        processor: an image processor, or a processor that holds one.

    Attributes:
        geometries: of images of each size, compared with those of runs.

    Raises:
        TypeError: if it is no image processor.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = _on_tensors(getattr(processor, "image_processor", processor))
        self.geometries = MeasuredGeometries()

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None, ImageGeometry]:
        """Images ``(N, 3, H, W)`` in [0, 1] to pixel values, pixel mask and geometry."""
        white = 255.0 if self.processor.do_rescale else 1.0
        batch = self.processor(
            images=list((images.float() * white).unbind(0)),
            input_data_format="channels_first",
            return_tensors="pt",
        )
        pixels, mask = batch["pixel_values"], batch.get("pixel_mask")
        canvas = (pixels.shape[-2], pixels.shape[-1])
        content, offset = canvas, (0, 0)
        if mask is not None:
            rows, columns = (mask[0].any(axis).nonzero()[:, 0] for axis in (1, 0))
            content, offset = (len(rows), len(columns)), (int(rows[0]), int(columns[0]))
        size = (images.shape[-2], images.shape[-1])
        whole = self.whole(size) if mask is None else size
        scale = (content[0] / whole[0], content[1] / whole[1])
        return pixels, mask, ImageGeometry(size, canvas, scale, offset, binary_strides=True)

    def whole(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """``(H, W)`` in pixels of the image, with what is added to it before it is resized."""
        if type(self.processor).__name__.startswith("Owlv2") and self.processor.do_pad:
            return (max(image_size), max(image_size))
        return image_size

    def geometry(self, image_size: tuple[int, int], channels: int = 3) -> ImageGeometry:
        """How an image of ``(H, W)`` lies on the canvas."""

        def measure() -> ImageGeometry:
            canvas, _, geometry = self(noise(image_size, nn.Identity(), channels))
            # What is padded before it is smoothed and resized spreads into the padding.
            within = 1.0 if self.whole(image_size) == image_size else _SPREAD
            check_content(canvas, geometry, name, within)
            return geometry

        name = type(self.processor).__name__
        state = f"{channels} {self.processor.to_json_string()}"
        return self.geometries.of(image_size, name, state, measure)


def processor_for(model: nn.Module) -> Any:
    """The processor saved with a model, else the default one of its family.

    Raises:
        ValueError: if transformers knows no processor for this family.
    """
    config: Any = model.config
    saved = config._name_or_path
    family = _family_processor(config.model_type)
    if saved:
        try:
            # Code that the folder brings along is not executed.
            return transformers.AutoImageProcessor.from_pretrained(saved, trust_remote_code=False)
        except (OSError, ValueError) as error:
            if family is not None:
                missing = Path(saved).is_dir() and not (Path(saved) / _PROCESSOR_FILE).is_file()
                reason = str(error).strip().splitlines()[0]
                if missing:
                    reason = f"it has no {_PROCESSOR_FILE}"
                warn_user(
                    f"no image processor could be loaded from {saved!r} ({reason}); using the "
                    f"defaults of {family.__name__}, which may not be what it was trained with: "
                    "save the right one there (processor.save_pretrained), or pass processor=..."
                )
    if family is None:
        raise ValueError(
            f"transformers {transformers.__version__} has no image processor on tensors for the "
            f"family {config.model_type!r}: pass processor=..., the one that the model was trained "
            "with, or install a newer transformers."
        )
    return family()


def _family_processor(model_type: str) -> Any:
    name = processor_name(model_type) or _UNLISTED.get(model_type)
    return None if name is None else processor_on_tensors(name)


def _on_tensors(processor: Any) -> Any:
    """A copy that works on tensors; a copy, so that what it remembers is not shared."""
    if isinstance(processor, tensor_processors()[0]):
        return copy.copy(processor)
    twin = processor_on_tensors(type(processor).__name__)
    if twin is None:
        raise TypeError(
            "processor: expected an image processor of transformers that works on tensors or has "
            "such a twin, as DetrImageProcessor does, got "
            f"{type(processor).__name__} (transformers {transformers.__version__})."
        )
    return twin.from_dict(processor.to_dict())
