"""The interface that every detector adapter fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_ssgc._arguments import check_whole_number
from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._cell_trace import traced_lines
from captum_ssgc._channels import RGB, first_channels, shape_of
from captum_ssgc._layer_names import module_named
from captum_ssgc._norm_gradients import sound_norm_gradients
from captum_ssgc._outputs import EDGES as EDGES
from captum_ssgc._outputs import OUTPUTS as OUTPUTS
from captum_ssgc._outputs import Output as Output
from captum_ssgc._outputs import parse_output, with_label_indices
from captum_ssgc._windows import WindowGradient
from captum_ssgc.detections import Detections
from captum_ssgc.geometry import CellGrid, ImageGeometry
from captum_ssgc.images import check_images
from captum_ssgc.label_names import COCO, LabelNames, fit_label_names, own_label_names
from captum_ssgc.map_layout import ChannelsFirst, gives_channels_last

_MODES = (
    *(nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, nn.RReLU),
    *(nn.RNNBase, nn.MultiheadAttention, nn.Transformer),
    *(nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
)


@dataclass(frozen=True, eq=False)
class ClassCandidates:
    """Every candidate of one image, seen from the class of each of some detections.

    Args:
        boxes: ``(K, R, 4)`` xyxy in pixels of the original image, clipped where the vendor clips:
            the upright box of each candidate for the class of each detection.
        distributions: ``(R, D)`` scores of all classes, with the background or "no object" where
            the model has one.
        own: ``(K, D)`` the same of the detections.
    """

    boxes: Tensor
    distributions: Tensor
    own: Tensor


@dataclass(frozen=True)
class LocalGradients:
    """Values of detections and their gradients at the features that each was computed from.

    Args:
        values: ``(K,)``, without graph.
        gradients: for each detection on the window of its level outside of which it is zero.
    """

    values: Tensor
    gradients: list[WindowGradient]


class Detector(ABC):
    """One model behind one interface: run it, read what it found, score chosen candidates.

    An adapter implements :meth:`run`, :meth:`select`, :meth:`candidates_above`, :meth:`values`,
    :meth:`geometry` and :meth:`target_layers`, and :meth:`level_layers`,
    :meth:`reshape_transform_for` and :meth:`run_from` where they apply; everything else in this
    package is written against this class.

    Args:
        model: the vendor's module, unmodified; it holds the layers that can be attributed.
        label_names: class names: a list, a dictionary from label to name, or a file of either (see
            :func:`captum_ssgc.label_names.fit_label_names`); ``None``: those of ``own_names``.
        classes: how many labels there are, the background's included; ``None`` where that is only
            known from what the model gives, see :meth:`fit_names`.
        background: label 0 is the background.
        own_names: what the model itself says of its classes; left out where it does not fit.

    Raises:
        ValueError: if the names do not fit the number of classes.

    Attributes:
        window_share: where cells lie, see :meth:`cell_grid`; may be set.
        channels: how many channels images have; may be set.
    """

    window_share: float = 0.5
    _classes: int | None = None
    _background = False
    _label_names: tuple[str, ...] | None = None
    _unfitted_names: LabelNames | None = None

    def __init__(
        self,
        model: nn.Module,
        label_names: LabelNames | None = None,
        *,
        classes: int | None = None,
        background: bool = False,
        own_names: LabelNames | None = None,
    ) -> None:
        self.model = model
        self._classes, self._background = classes, background
        if label_names is None:
            self._label_names = own_label_names(own_names, classes, background=background)
        else:
            self.label_names = label_names

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Class names by label, ``None`` where they are not known.

        May be set at any time, to all that ``label_names`` takes when a detector is made.

        Raises:
            ValueError: if the names do not fit the number of classes.
        """
        return self._label_names

    @label_names.setter
    def label_names(self, names: LabelNames | None) -> None:
        fitted = None
        if names is not None:
            fitted = fit_label_names(names, self._classes, background=self._background)
        self._label_names, self._unfitted_names = fitted, None
        if self._classes is None:  # until then as given: they may begin at 0 or at 1
            open_ended = isinstance(names, Mapping) or str(names).lower() == COCO
            self._unfitted_names = names if open_ended else fitted

    def fit_names(self, classes: int) -> None:
        """Fit the given class names to the number of classes, once it is known.

        Raises:
            ValueError: if they do not fit.
        """
        if self._unfitted_names is not None:
            names = fit_label_names(self._unfitted_names, classes, background=self._background)
            self._label_names, self._unfitted_names = names, None
        self._classes = classes if self._classes is None else self._classes

    @property
    def channels(self) -> int:
        """How many channels an image has.

        What was set; else what the first convolution of :attr:`model` takes; 3 (RGB) where that
        does not tell.
        """
        stated: int | None = getattr(self, "_channels", None)
        return stated or first_channels(self.model) or RGB

    @channels.setter
    def channels(self, channels: int) -> None:
        check_whole_number("channels", channels)
        self._channels = channels

    def check_channels(self, images: Tensor) -> None:
        """Raise ``ValueError`` unless images ``(N, C, H, W)`` have as many channels as it takes."""
        if images.dim() != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"images: expected shape {shape_of(self.channels)}, got {tuple(images.shape)}: "
                f"the model takes {self.channels} channels."
            )

    #: Why no gradient passes through this detector; ``None`` where it does.
    why_black_box: str | None = None

    @abstractmethod
    def run(self, images: Tensor, detections: Sequence[Detections] | None = None) -> Any:
        """One call of the vendor's forward.

        Args:
            images: ``(N, 3, H, W)`` RGB; any range, as perturbed images leave [0, 1]. They are
                not written to.
            detections: one per image, where only their candidates are wanted; ``None`` for all.

        Returns:
            The adapter's raw output, with its graph where gradients are enabled.
        """

    def run_from(self, raw: Any, images: Tensor, detections: Sequence[Detections]) -> Any:
        """What ``run(images, detections)`` gives, from a full run of the same images.

        An adapter overrides this where the full run already holds the candidates, or most of the
        work for them; here they are run for.

        Args:
            raw: of ``run(images)``.
            images: ``(N, 3, H, W)``.
            detections: one per image.
        """
        return self.run(images, detections)

    @abstractmethod
    def select(self, raw: Any) -> list[Detections]:
        """What the vendor itself reports for each image of a ``run`` without ``detections``."""

    @abstractmethod
    def candidates_above(self, raw: Any, score_threshold: float) -> list[Detections]:
        """Every candidate above a score, before the vendor suppresses or drops any.

        What Deletion, Insertion and D-RISE look at, so that they do not depend on the thresholds
        that the vendor was given.

        Args:
            raw: of a ``run`` without ``detections``.
            score_threshold: the score has to be greater.

        Returns:
            One :class:`Detections` per image: one entry for each candidate and each class whose
            score is above the threshold, the highest score first, the best 10,000 at most; boxes
            are clipped where the vendor clips those that it reports.
        """

    def class_candidates(self, raw: Any, detections: Sequence[Detections]) -> list[ClassCandidates]:
        """Every candidate, whatever its score, with its box for the class of each detection.

        Args:
            raw: of a ``run`` without ``detections``.
            detections: ``K_n`` for each image, of the same model and class names.

        Raises:
            ValueError: if this detector does not know its candidates.
        """
        raise ValueError(
            f"{type(self).__name__} gives no candidates before its threshold and suppression: "
            "use settings with s2='above_threshold'."
        )

    @abstractmethod
    def values(self, raw: Any, detections: Sequence[Detections], output: Output) -> list[Tensor]:
        """One value per detection, ``(K_n,)`` for each image, with graph.

        See :class:`captum_ssgc.InstanceScoreWrapper` for the meaning of ``output``.
        """

    def local_outputs(self) -> tuple[str, ...]:
        """The outputs that :meth:`local_gradients` is made for; the run then needs no graph."""
        return ()

    def modules_apart(self, outputs: Collection[Output]) -> Sequence[nn.Module]:
        """Modules that none of these outputs depends on: a graph need not hold what they do.

        An adapter overrides this where it knows such modules, as a box regression for a score.

        Args:
            outputs: see :class:`captum_ssgc.InstanceScoreWrapper`; at least one.
        """
        return ()

    def run_for_gradients(self, images: Tensor, detections: Sequence[Detections] | None) -> Any:
        """:meth:`run` without gradients, where :meth:`local_gradients` will be asked for them.

        An adapter overrides this where it has to keep something of the run for that.
        """
        return self.run(images, detections)

    def head_features(self, raw: Any) -> Mapping[int, Tensor]:
        """The very tensors that the head took, by level, where others may stand before it.

        :meth:`local_gradients` is asked only if each is what the layer of its level gave.

        Args:
            raw: of :meth:`run_for_gradients` of one image.

        Returns:
            ``(1, C, h, w)`` by level; empty where nothing can stand between.
        """
        return {}

    def local_gradients(
        self, raw: Any, features: Mapping[int, Tensor], detections: Detections, output: Output
    ) -> LocalGradients | None:
        """Values and their gradients at the features, without going back through the network.

        An adapter overrides this where a score depends on a few cells of its level's features, so
        that the gradient is had for much less. It has to be the gradient that autograd gives.

        Args:
            raw: of :meth:`run_for_gradients` of one image.
            features: what the layers of :meth:`level_layers` gave, ``(1, C, h, w)`` by level; at
                least those of the detections' levels.
            detections: ``K`` of them.
            output: see :class:`captum_ssgc.InstanceScoreWrapper`.

        Returns:
            ``None`` where this detector, or this output, has no such short cut.
        """
        return None

    @abstractmethod
    def geometry(self, image_size: tuple[int, int]) -> ImageGeometry:
        """How an image of ``(H, W)`` pixels lies on the canvas that the network sees."""

    @abstractmethod
    def target_layers(self) -> dict[str, nn.Module]:
        """The layers recommended for attribution, by their name in :attr:`model`."""

    def level_layers(self) -> list[nn.Module]:
        """One layer per pyramid level, in the order of ``Detections.levels``; may be empty."""
        return []

    def covers_image(self, layer: nn.Module) -> bool:
        """Whether the layer's grid covers the image; not so in the head of single regions."""
        return True

    @property
    def cells_depend_on(self) -> object:
        """What decides where cells lie: detectors that have it in common share what was found."""
        return self.model

    def shares_network_with(self, copied: Any) -> bool:
        """Whether a copy of this detector runs the same modules, not their copies."""
        return False

    def cell_grid(
        self,
        layer: nn.Module,
        image_size: tuple[int, int],
        grid_size: tuple[int, int],
        image: Tensor | None = None,
    ) -> CellGrid:
        """Where the cells of a layer lie on the canvas.

        A stack of convolutions looks at the middle of its windows, which is not where
        ``(i + 0.5) * stride`` is, the place that most heads read a cell for; trained networks
        settle in between. :attr:`window_share` says how far on the way from the latter (0) to the
        former (1), as measured for the family, see *The method* in the documentation. The first
        call for a layer follows one forward of a copy to find strides and windows, without
        computing its convolutions. What cannot be copied, such as a function around a model, is
        run itself, to its end.

        Args:
            layer: a module of :attr:`model`.
            image_size: ``(H, W)`` of the image, in pixels.
            grid_size: ``(h, w)`` of the layer's output, after :meth:`reshape_transform_for`.
            image: ``(1, C, H, W)``, an image that the model takes, for that forward; ``None`` for
                a grey one.

        Returns:
            The grid; that of :meth:`ImageGeometry.cells` where the layer cannot be followed, or
            where its windows do not cover the canvas.
        """
        geometry = self.geometry(image_size)
        lines = traced_lines(self, layer, image_size, geometry.canvas_size, image)
        sides = zip(geometry.canvas_size, grid_size, strict=True)
        if lines is None or any(
            abs(side - count * step) >= 1.5 * step
            for (side, count), (_, step) in zip(sides, lines, strict=True)
        ):
            return geometry.cells(grid_size)
        y, x = (step / 2 + self.window_share * (start - step / 2) for start, step in lines)
        return CellGrid(grid_size, (lines[0][1], lines[1][1]), (y, x))

    def module_named(self, layer: nn.Module | str) -> nn.Module:
        """The module of :attr:`model` that has this name, or one of its modules as it is.

        Raises:
            TypeError: if ``layer`` is neither module nor name.
            ValueError: if the model has none such, with the recommended ones.
        """
        return module_named(self.model, layer, self.target_layers)

    def reshape_transform_for(
        self, layer: nn.Module, image_size: tuple[int, int]
    ) -> Callable[[Tensor], Tensor] | None:
        """What brings a layer's output, and its gradient, to ``(N, C, h, w)``.

        Args:
            layer: a module of :attr:`model`.
            image_size: ``(H, W)`` of the image, in pixels.

        Returns:
            A function for layers that give tokens ``(N, T, C)`` whose grid is known, or maps
            ``(N, h, w, C)`` of networks that are known to; ``None`` where there is nothing to do,
            or nothing known.
        """
        if gives_channels_last(self.model):
            return ChannelsFirst(self.geometry(image_size).canvas_size)
        return None

    def layer_for(self, detections: Detections, target: int) -> nn.Module:
        """The recommended layer for one detection: the pyramid level that owns it.

        Args:
            detections: from :meth:`detect`.
            target: index of the detection.

        Raises:
            IndexError: if there is no such detection.
            ValueError: if the adapter knows no recommended layer.
        """
        level = int(detections[target].levels)
        layers = self.level_layers() or list(self.target_layers().values())[:1]
        if not layers:
            raise ValueError(
                "this detector has no recommended layer: choose a module of detector.model, "
                "or name one when the detector is wrapped (level_layers=...)."
            )
        return layers[level] if len(layers) > 1 else layers[0]

    @leaves_all_as_before
    def detect(self, images: Tensor) -> list[Detections]:
        """What the model itself reports for each image: same boxes, labels, scores and order.

        Args:
            images: ``(N, 3, H, W)`` or ``(3, H, W)``, RGB float in [0, 1]; of a model for other
                images :attr:`channels` instead of 3.

        Returns:
            One :class:`Detections` per image.

        Raises:
            TypeError, ValueError: for a wrong dtype, shape or range, NaN, or a model in training
                mode.
        """
        if isinstance(images, Tensor) and images.dim() == 3:
            images = images[None]
        check_images(images, None)
        self.check_channels(images)
        with outside_inference_mode(), torch.no_grad():
            return self.select(self.run(images))

    @leaves_all_as_before
    def score(
        self,
        images: Tensor,
        detections: Detections | Sequence[Detections],
        output: Output = "score",
    ) -> Tensor:
        """Values of the same candidates on each image, chosen once: no suppression, no matching.

        Args:
            images: ``(N, 3, H, W)``; any range.
            detections: one for all images, or one per image.
            output: see :class:`captum_ssgc.InstanceScoreWrapper`.

        Returns:
            ``(N, K)``, K the largest number of detections; NaN where an image has fewer.

        Raises:
            TypeError, ValueError: for an output or label that means nothing, or detections that
                are neither one for all images nor one for each.
        """
        output = with_label_indices(parse_output(output), self.label_names)
        if isinstance(detections, Detections):
            detections = [detections] * images.shape[0]
        if len(detections) != images.shape[0]:
            raise ValueError(
                f"detections: expected those of each of {images.shape[0]} images, or one for all "
                f"of them, got a list of {len(detections)}."
            )
        with outside_inference_mode(), sound_norm_gradients(self.model):
            values = self.values(self.run(images, detections), detections, output)
        width = max((one.numel() for one in values), default=0)
        padded = [
            torch.cat([one, one.new_full((width - one.numel(),), float("nan"))]) for one in values
        ]
        return torch.stack(padded)

    def check_differentiable(self, instead: Callable[[], str] | None = None) -> None:
        """Raise ``ValueError`` if methods made of gradients cannot explain this detector.

        Args:
            instead: says which methods can; this class does not know them.
        """
        if self.why_black_box is not None:
            methods = "a method that only runs the detector" if instead is None else instead()
            raise ValueError(
                f"{self.why_black_box}: methods made of gradients cannot explain this detector. "
                f"What is left: {methods}, and all metrics that only run it."
            )
        if any(getattr(one, "_compiled_call_impl", None) for one in self.model.modules()):
            raise ValueError(
                "a part of the model is compiled in place (model.compile()), so that its layers "
                "cannot be read: pass copy.deepcopy(model), which is not compiled."
            )
        if any(parameter.is_inference() for parameter in self.model.parameters()):
            raise ValueError(
                "the model was made under torch.inference_mode(), so that no gradient can pass "
                "through it: make or load it outside, or pass copy.deepcopy(model) made outside."
            )

    def check_ready(self) -> None:
        """Raise ``ValueError`` if the model, or any part of it, is in training mode."""
        refuse_training(self.model)

    def layer_name(self, layer: nn.Module) -> str:
        """The name of ``layer`` in :attr:`model`; its class name if it is not part of it."""
        for name, module in self.model.named_modules():
            if module is layer:
                return name or type(layer).__name__
        return type(layer).__name__

    def label_name(self, label: int) -> str:
        """The class name of ``label``, or its number as text."""
        if self.label_names is not None and 0 <= label < len(self.label_names):
            return self.label_names[label]
        return str(label)


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """The caller's grad mode without inference mode.

    Vendors keep constants (anchors, means) from one call to the next, and those that were made in
    inference mode would break every later gradient.
    """
    with_gradients = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.set_grad_enabled(with_gradients):
        yield


def refuse_training(model: nn.Module) -> None:
    """Raise ``ValueError`` if a module, or a part of it that knows two modes, is in training mode.

    Others may have been put in after ``eval()``.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile's own (seen: 2.4) is always in one
    if model.training:
        part = "the model is"
    else:
        training = [module for module in model.modules() if module.training and _has_modes(module)]
        if not training:
            return
        names = [name for name, module in model.named_modules() if module in training]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        part = f"a part of the model ({names[0]}{more}) is"
    raise ValueError(f"{part} in training mode: detections and scores need model.eval().")


def _has_modes(module: nn.Module) -> bool:
    """Whether it does something else in training; of PyTorch's own only some do."""
    of_torch = type(module).__module__.startswith("torch.nn.modules.")
    return not of_torch or isinstance(module, _MODES)


def logit_of_probability(score: Tensor) -> Tensor:
    """Inverse sigmoid of a probability in [0, 1], finite at both ends."""
    info = torch.finfo(score.dtype)
    return score.clamp(min=info.tiny).log() - (1.0 - score).clamp(min=info.eps / 2).log()
