"""What a detector says of a detection when only a part of the image is visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from captum_ssgc._similarity import largest_of_own_image, similarities
from captum_ssgc.attr._captum import plain
from captum_ssgc.detections import Detections
from captum_ssgc.detector import Detector


class VisibleScores:
    """Runs a detector on images of which a part is black, in batches of any detections.

    Args:
        detector: to run.
        images: ``(N, 3, H, W)``.
        score_threshold: candidates at or below it are nothing that was found.
        per_eval: the most changed images in one call of the detector.
        done: is told how many images each call had.
    """

    def __init__(
        self,
        detector: Detector,
        images: Tensor,
        score_threshold: float,
        per_eval: int,
        done: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._detector, self._images = detector, plain(images)
        self._threshold, self._per_eval, self._done = score_threshold, per_eval, done

    @torch.no_grad()
    def of(
        self, visible: Sequence[Tensor], owners: Sequence[int], instances: Sequence[Detections]
    ) -> Tensor:
        """Two scores of each changed image, ``(M, 2)``.

        Args:
            visible: ``(H, W)`` bool each, the pixels that are not black.
            owners: which of the images each belongs to.
            instances: the one detection that each is about.

        Returns:
            The score of the detection's own candidate over the reported one, and the largest
            ``IoU * cosine`` of the detection with a candidate above the threshold, 0 where there is
            none.
        """
        scores = [
            self._scores(visible[start:stop], owners[start:stop], instances[start:stop])
            for start in range(0, len(visible), self._per_eval)
            for stop in [start + self._per_eval]
        ]
        return torch.cat(scores) if scores else self._images.new_zeros(0, 2)

    def _scores(
        self, visible: Sequence[Tensor], owners: Sequence[int], instances: Sequence[Detections]
    ) -> Tensor:
        images = self._images.new_zeros(len(visible), *self._images.shape[1:])
        for image, pixels, owner in zip(images, visible, owners, strict=True):
            torch.where(pixels, self._images[owner], image, out=image)
        raw = self._detector.run(images)
        candidates = self._detector.candidates_above(raw, self._threshold)
        again = largest_of_own_image(similarities, instances, candidates)
        raw = self._detector.run_from(raw, images, list(instances))
        own = torch.cat(self._detector.values(raw, list(instances), "score"))
        reported = torch.cat([one.scores for one in instances]).to(own)
        own = own / reported.clamp(min=torch.finfo(own.dtype).tiny)
        self._done(len(images))
        return torch.stack([own, again.to(own)], 1)
