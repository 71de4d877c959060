"""RF-DETR as Roboflow's package ``rfdetr`` gives it: boxes, and masks of its RF-DETR-Seg."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
import torchvision.transforms.functional as F
from torch import Tensor, nn

from captum_ssgc._hooks import StopForward, forward_hooks
from captum_ssgc.detections import Detections
from captum_ssgc.detectors._lookup import LookupDetector, RowCandidates
from captum_ssgc.detectors._precision import cast_like
from captum_ssgc.detectors._query_selection import ClippedQueries, QuerySelection, SelectingDetector
from captum_ssgc.geometry import ImageGeometry
from captum_ssgc.label_names import LabelNames

_TRIED = (61, 83)  # pixels; neither side fits a canvas


@dataclass(frozen=True)
class RFDETROutput:
    """One forward: the network's own output, and the token of each query ``(N, Q)``."""

    vendor: dict[str, Any]
    geometry: ImageGeometry
    tokens: Tensor | None

    @property
    def size(self) -> int:
        """How many images."""
        return len(self.vendor["pred_logits"])


class RFDETRDetector(SelectingDetector, LookupDetector):
    """Adapter for RF-DETR and RF-DETR-Seg of the package ``rfdetr``.

    A candidate is a query with the token of the image that it was made from,
    ``token * queries + query``; scoring keeps that token. The score is the class sigmoid, and
    ``regions`` are the predicted boxes. Detections are those of ``predict()``, masks included.

    Args:
        model: an object such as ``rfdetr.RFDETRMedium()``; its network is put into evaluation mode
            and on its device, as ``predict()`` does.
        score_threshold: detections at or below it are not reported.
        label_names: class names, indexed by label: a list, a dictionary or a file; ``None``: the
            model's own, where they fit its classes.

    Raises:
        TypeError: if the model gives keypoints, whose scores are no longer those of its queries.
        ValueError: if ``inference()`` has replaced the network by a compiled one, or if
            ``predict()`` makes another canvas than this adapter knows.

    Notes:
        * Labels are those of ``predict()``: category numbers for the weights trained on COCO.
        * Images are stretched to the model's ``resolution``, as ``predict()`` does without
          ``shape``.

    Example:
        >>> import captum_ssgc as ssgc
        >>> from rfdetr import RFDETRMedium  # doctest: +SKIP
        >>> detector = ssgc.wrap_detector(RFDETRMedium())  # doctest: +SKIP
    """

    vendor = "rfdetr"

    def __init__(
        self,
        model: Any,
        *,
        score_threshold: float = 0.5,
        label_names: LabelNames | None = None,
    ) -> None:
        context = model.model
        network = context.model
        if network is None or getattr(model, "_is_optimized_for_inference", False):
            raise ValueError(
                "model: inference() has replaced its network by a compiled one, which has no "
                "layers to look at: call model.remove_optimized_model(), or make the model anew."
            )
        if getattr(model.model_config, "use_grouppose_keypoints", False):
            raise TypeError(
                f"model: {type(model).__name__} gives keypoints and scores detections by them; "
                "expected RF-DETR or RF-DETR-Seg."
            )
        names, classes = _names(model, network.class_embed.out_features)
        super().__init__(network, label_names, classes=classes, own_names=names)
        self.score_threshold = score_threshold
        self.resolution = int(context.resolution)
        self.antialias = False
        self._mean, self._std = list(model.means), list(model.stds)
        self._postprocess: nn.Module = context.postprocess
        self._check_canvas(model)

    def preprocess(self, images: Tensor) -> tuple[Tensor, ImageGeometry]:
        """Images ``(N, 3, H, W)`` in [0, 1] to the canvas and its geometry."""
        size = (images.shape[-2], images.shape[-1])
        canvas = (self.resolution, self.resolution)
        stretched = F.resize(images.float(), list(canvas), antialias=self.antialias)
        scale = (canvas[0] / size[0], canvas[1] / size[1])
        geometry = ImageGeometry(size, canvas, scale, binary_strides=True)
        return F.normalize(stretched, self._mean, self._std), geometry

    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> RFDETROutput:
        self.check_ready()
        canvas, geometry = self.preprocess(images)
        network: Any = self.model
        with QuerySelection(network.num_queries, detections) as selection:
            vendor = network(cast_like(canvas, network))
        return RFDETROutput(vendor, geometry, selection.tokens)

    def reported(self, raw: RFDETROutput) -> list[dict[str, Tensor]]:
        device = raw.vendor["pred_logits"].device
        sizes = torch.tensor([raw.geometry.image_size] * raw.size, device=device)
        options: dict[str, Any] = {}
        if "score_threshold" in signature(self._postprocess.forward).parameters:
            options["score_threshold"] = self.score_threshold  # masks are made of these only
        found = []
        for report in self._postprocess(raw.vendor, target_sizes=sizes, **options):
            kept = report["scores"] > self.score_threshold
            one = {name: report[name][kept] for name in ("boxes", "labels", "scores")}
            if "masks" in report:
                one["masks"] = report["masks"][kept][:, 0]
            found.append(one)
        return found

    def row_candidates(self, raw: RFDETROutput, image: int | None = None) -> RowCandidates:
        logits, boxes = raw.vendor["pred_logits"], raw.vendor["pred_boxes"]
        return ClippedQueries(raw.geometry, logits, boxes, raw.tokens, image)

    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        canvas = (self.resolution, self.resolution)
        scale = (canvas[0] / image_size[0], canvas[1] / image_size[1])
        return ImageGeometry(image_size, canvas, scale, binary_strides=True)

    def target_layers(self) -> dict[str, nn.Module]:
        network: Any = self.model
        levels = network.backbone[0].projector.stages
        return {self.layer_name(layer): layer for layer in levels}

    def _check_canvas(self, model: Any) -> None:
        """See what ``predict()`` gives the network, without running it."""
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(len(self._mean), *_TRIED, generator=generator, device="cpu")
        seen: list[Tensor] = []

        def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
            seen.append(args[0].clone())
            raise StopForward

        with suppress(StopForward), forward_hooks(before={self.model: keep}):
            model.predict(image, threshold=1.0)
        for self.antialias in (False, True):  # older versions smooth
            ours = self.preprocess(image[None])[0]
            if seen and ours.shape == seen[0].shape and _close(ours, seen[0].cpu()):
                return
        raise ValueError(
            "predict() of this version of rfdetr makes another canvas than this adapter knows: "
            "wrap its network as your own detector (captum_ssgc.detectors.CandidateDetector)."
        )


def _close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-3)


def _names(model: Any, columns: int) -> tuple[LabelNames, int]:
    """The model's own names, and how many labels they are for; the last column may be spare."""
    names = list(model.class_names)
    try:
        from rfdetr.assets.coco_classes import COCO_CLASSES
    except ImportError:  # older versions
        return names, columns - 1
    if columns == max(COCO_CLASSES) + 1 and names == list(COCO_CLASSES.values()):
        return COCO_CLASSES, columns
    return names, columns - 1
