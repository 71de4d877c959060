"""ODAM: Object Detector Activation Maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._outputs import parse_output
from captum_ssgc.attr import _maps
from captum_ssgc.attr._captum import like_inputs
from captum_ssgc.attr._method import register, stands_for
from captum_ssgc.attr._smoothed_method import SmoothedMethod
from captum_ssgc.attr._targets import Targets, asked_of_image
from captum_ssgc.detector import Output

UNION: tuple[Output, ...] = ("score", "left", "top", "right", "bottom")


@register
class ODAM(SmoothedMethod):
    r"""ODAM: activations times gradients, cell by cell.

    .. math::

        L = \mathrm{ReLU}\Big(\sum_k g^k A^k\Big)

    with activations :math:`A` and gradients :math:`g` of the instance's class score, or of a box
    edge: ``InstanceScoreWrapper(detector, detections, output="left")`` and so on.
    :meth:`attribute_union` joins the maps of the score and of all four edges.

    Args:
        forward_func: :class:`captum_ssgc.InstanceScoreWrapper`, or any forward function that
            Captum takes.
        layer: the module to attribute, or a list of modules (the levels of a feature pyramid).
        reshape_transform: brings layer outputs (and gradients) of another shape to
            ``(N, C, h, w)``.

    Raises:
        ValueError: if ``layer`` is no module of the model.

    Notes:
        The source smooths the gradient and gives no size; here ``smoothing`` is 0 by default. Its
        training method (Odam-Train) and its suppression (Odam-NMS) are no attribution methods and
        are left out.

    References:
        C. Zhao, A. B. Chan, ODAM: Gradient-based Instance-Specific Visual Explanations for Object
        Detection, ICLR 2023, arXiv:2304.06354.

    Example:
        >>> import torch, captum_ssgc as ssgc
        >>> _ = torch.manual_seed(0)
        >>> features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        >>> classifier = torch.nn.Sequential(
        ...     features, torch.nn.Flatten(), torch.nn.Linear(4 * 6 * 6, 5))
        >>> ssgc.ODAM(classifier, features).attribute(torch.rand(1, 3, 8, 8), target=3).shape
        torch.Size([1, 1, 6, 6])
    """

    name, title = "odam", "ODAM"
    maps = staticmethod(_maps.odam)

    @leaves_all_as_before
    def _union(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        *,
        outputs: Iterable[Output] = UNION,
        attribute_to_layer_input: bool = False,
        interpolate_mode: str | None = None,
        **options: Any,
    ) -> Tensor | tuple[Tensor, ...]:
        if isinstance(outputs, str) or not isinstance(outputs, Iterable):
            raise TypeError(f"outputs: expected a list of outputs, got {shown(outputs)}.")
        joined = [parse_output(output) for output in outputs]
        if not joined:
            raise ValueError("outputs: expected at least one, got none.")
        caller = f"{type(self).__name__}.attribute_union"
        requests = [self.request(options, output, caller=caller) for output in joined]
        asked = asked_of_image(self._wrapper, inputs, targets)
        per_output = self._of_instances(requests, asked, attribute_to_layer_input)
        normalised = [_normalised(made.on_grids()) for made in per_output]
        union = [torch.stack(of_layer).amax(0) for of_layer in zip(*normalised, strict=True)]
        first = per_output[0]
        first.replace_maps(union)
        first.warn(refused=True)
        result = self._result(first, interpolate_mode, None)
        given: Tensor | tuple[Tensor, ...] = like_inputs(inputs, result)
        return given

    @stands_for(_union)
    def attribute_union(  # type: ignore[empty-body]
        self,
        inputs: Tensor | tuple[Tensor, ...],
        targets: Targets = None,
        *,
        outputs: Iterable[Output] = UNION,
        attribute_to_layer_input: bool = False,
        smoothing: float = 0.0,
        interpolate_mode: str | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        r"""What the whole prediction, class and box, was made from: the union of several maps.

        .. math::

            L = \max_o \frac{L_o}{\max_{ij} L_{o,ij}}

        over the maps :math:`L_o` of the class score and of each box edge, all from one call of
        the vendor's forward. The ``output`` of the wrapper does not matter here.

        Args:
            inputs: ``(1, 3, H, W)``, the reference image; in a tuple, so is what comes back.
            targets: index of a detection, or a list or 1-D tensor of several; ``None`` for all.
            outputs: what to join, see :class:`captum_ssgc.InstanceScoreWrapper`.
            attribute_to_layer_input: use what the layer takes instead of what it gives.
            smoothing: standard deviation, in cells, of a Gaussian applied to the gradient.
            interpolate_mode: as in :meth:`attribute`; the maps are normalised before.

        Returns:
            ``(K, 1, h, w)``, or ``(K, 1, H, W)`` with ``interpolate_mode``, in [0, 1]; a tuple of
            them for a list of layers, each map normalised by its maximum over all of these.

        Raises:
            IndexError, TypeError, ValueError: as :meth:`attribute`.
        """


def _normalised(maps: Sequence[Tensor]) -> list[Tensor]:
    """The maps of all layers divided by their joint maximum, per instance; zero stays zero."""
    peak = torch.stack([one.flatten(1).amax(1) for one in maps]).amax(0)
    scale = torch.where(peak > 0, peak, torch.ones_like(peak)).view(-1, 1, 1, 1)
    return [one / scale for one in maps]
