"""A detector as a plain function of the pixels: images in, scores of chosen instances out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from captum_ssgc._arguments import shown, whole_numbers
from captum_ssgc._outputs import parse_output, with_label_indices
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector, Output
from captum_ssgc.images import PRECISIONS


class InstanceScoreWrapper(nn.Module):
    r"""Scores of chosen detections as a fixed, differentiable function of the image.

    The instances are chosen once, on the reference image; every image given afterwards is scored
    at those same candidates (region proposal, anchor or query). There is no non-maximum
    suppression, no matching and no state, so ``target=k`` means detection ``k`` everywhere in
    Captum.

    Args:
        detector: from :func:`captum_ssgc.wrap_detector`.
        detections: of the reference image; or a list, one per reference image.
        output: what the wrapper returns for each instance:

            * ``"score"``: the number that the model reports, in [0, 1];
            * ``"logit"``: the class logit before softmax or sigmoid; the inverse sigmoid of the
              score where a model gives only probabilities;
            * ``"left"``, ``"top"``, ``"right"``, ``"bottom"``: a box edge in pixels of the
              original image, before it is clipped to the image;
            * one of these negated, ``"-logit"``: what lowers the logit, or moves the edge back;
            * ``("logit", other)``: the logit of the detection's class less that of another one of
              the same candidate ("why truck, not car"): a class index or name, or a tuple with
              one for each detection; ``"contrast:other"`` is the same, as a command has it.

    Raises:
        ValueError: for an unknown output or class, or when there is no detection to score.
        TypeError: if the arguments are no detector and detections.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> def two_boxes(images):   # any function: images -> boxes (N, R, 4), scores (N, R, C)
        ...     boxes = torch.tensor([[0., 0., 8., 8.], [8., 0., 16., 8.]])
        ...     left, right = images[..., :8].mean((1, 2, 3)), images[..., 8:].mean((1, 2, 3))
        ...     return boxes.expand(len(images), 2, 4), torch.stack([left, right], 1)[..., None]
        >>> image = torch.cat([torch.full((1, 3, 8, 8), 0.9), torch.full((1, 3, 8, 8), 0.6)], 3)
        >>> detector = ssgc.wrap_detector(two_boxes)
        >>> wrapper = ssgc.InstanceScoreWrapper(detector, detector.detect(image)[0])
        >>> wrapper(image)
        tensor([[0.9000, 0.6000]])
    """

    def __init__(
        self,
        detector: Detector,
        detections: Detections | Sequence[Detections],
        output: Output = "score",
    ) -> None:
        super().__init__()
        if not isinstance(detector, Detector):
            raise TypeError(
                f"detector: expected a Detector, got {type(detector).__name__}; "
                "use captum_ssgc.wrap_detector(model)."
            )
        several = [detections] if isinstance(detections, Detections) else list(detections)
        if not all(isinstance(entry, Detections) for entry in several):
            raise TypeError(
                "detections: expected Detections or a list of them, as detector.detect(images) "
                f"returns, got {type(detections).__name__}."
            )
        output = parse_output(output)
        if not any(len(entry) for entry in several):
            raise ValueError("detections: there is no detection to score.")
        self.model = detector.model
        self.detector = detector
        self.detections = tuple(entry.copy() for entry in several)
        self.single_reference = isinstance(detections, Detections)
        self.output = with_label_indices(output, detector.label_names)

    if TYPE_CHECKING:
        # What a call returns; that of a module is known to type checkers as Any.
        def __call__(self, images: Tensor, image_index: Tensor | int | None = None) -> Tensor: ...

    def forward(self, images: Tensor, image_index: Tensor | int | None = None) -> Tensor:
        """Score the chosen instances.

        Args:
            images: ``(N, 3, H, W)`` of the size of the reference image; any range.
            image_index: for several reference images, int64 ``(N,)``: which one each row belongs
                to (pass it as ``additional_forward_args``).

        Returns:
            ``(N, K)``; NaN in the columns that an image's reference does not have.

        Raises:
            ValueError: for images of another size, or a missing or wrong ``image_index``.
        """
        chosen = self.detections_for(images, image_index)
        return self.detector.score(images, chosen, self.output)

    def detections_for(
        self, images: Tensor, image_index: Tensor | int | None = None
    ) -> list[Detections]:
        """The reference detections of each row of ``images``."""
        if not isinstance(images, Tensor) or images.dtype not in PRECISIONS:
            raise TypeError(
                f"images: expected a floating-point tensor (N, 3, H, W), got {shown(images)}."
            )
        self.detector.check_channels(images)
        if self.single_reference:
            if image_index is not None:
                raise ValueError("image_index is for wrappers of several reference images.")
            chosen = [self.detections[0]] * images.shape[0]
        else:
            if image_index is None:
                raise ValueError(
                    f"this wrapper has {len(self.detections)} reference images: pass "
                    "additional_forward_args=image_index, an int64 tensor with one entry per row."
                )
            index = whole_numbers("image_index", image_index)
            if len(index) != images.shape[0]:
                raise ValueError(
                    f"image_index: expected {images.shape[0]} entries, got {len(index)}."
                )
            if not all(0 <= entry < len(self.detections) for entry in index):
                raise ValueError(
                    f"image_index: expected values in 0..{len(self.detections) - 1}, got {index}."
                )
            chosen = [self.detections[entry] for entry in index]
        size = (images.shape[-2], images.shape[-1])
        for entry in chosen:
            if entry.image_size != size:
                raise ValueError(
                    f"images: expected the reference image's size {entry.image_size}, got {size}."
                )
        return chosen

    def extra_repr(self) -> str:
        counts = [len(entry) for entry in self.detections]
        return f"detections={counts}, output={self.output!r}"
