"""Where the cells of a layer lie on the canvas, followed through one forward of the network."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdRef

from captum_ssgc._as_before import leaves_all_as_before
from captum_ssgc._cell_places import Line, Places
from captum_ssgc._channels import RGB
from captum_ssgc._hooks import forward_hooks
from captum_ssgc._place_trace import PlaceTrace

_Lines = list[Line] | None

# By what the places depend on, by layer, and by the kind of detector and of images.
_OfLayers = WeakKeyDictionary[nn.Module, dict[Hashable, _Lines]]
_traced: WeakKeyDictionary[Any, _OfLayers] = WeakKeyDictionary()
_failed: WeakKeyDictionary[nn.Module, Hashable] = WeakKeyDictionary()


def traced_lines(
    detector: Any,
    layer: nn.Module,
    image_size: tuple[int, int],
    canvas_size: tuple[int, int],
    image: Tensor | None = None,
) -> list[Line] | None:
    """Where the rows and the columns of a layer's grid lie; remembered for each module.

    Args:
        detector: a :class:`captum_ssgc.Detector`. A copy that shares its parameters runs, once;
            where it cannot be copied, itself.
        layer: a module of its model.
        image_size: ``(H, W)`` of an image that it takes, in pixels.
        canvas_size: ``(H, W)`` of the network's input for that image, in pixels.
        image: ``(1, C, H, W)``, such an image that it has taken; ``None`` for a grey one.

    Returns:
        For ``(y, x)``; ``None`` where it cannot be followed, through code of a kind not known here.
    """
    owner: Any = detector.cells_depend_on
    kind: Any = type(detector)
    weight = next(detector.model.parameters(), torch.empty(0, device="cpu"))
    if image is None:
        size = (1, detector.channels, *image_size)
        image = torch.full(size, 0.5, device=weight.device, dtype=torch.float32)
    here: Hashable = (kind, canvas_size, image.shape[1], image.dtype, image.device, weight.dtype)
    attempt = (kind, ref(owner), WeakIdRef(image))
    of_layers = _traced.setdefault(owner, WeakKeyDictionary())
    known = of_layers.setdefault(layer, {})
    if not (kind in known or here in known or _failed.get(layer) == attempt):
        wanted = {layer, *detector.target_layers().values()}
        found = _Follower(detector, wanted, image, canvas_size).follow()
        for module, (lines, fitted) in found.items():
            everywhere = lines is not None and not fitted
            of_layers.setdefault(module, {})[kind if everywhere else here] = lines
        for module in wanted - set(found):  # it did not come to them: with the next image it may
            _failed[module] = attempt
    return known.get(kind, known.get(here))


class _Follower:
    """Follows one forward of a detector.

    What it runs it runs in this thread and with what the caller has set, as the network may depend
    on either, and on locks that the caller holds.

    Args:
        detector: a :class:`captum_ssgc.Detector`.
        wanted: the layers.
        image: ``(1, C, H, W)``.
        canvas_size: ``(H, W)`` in pixels.
    """

    def __init__(
        self, detector: Any, wanted: set[nn.Module], image: Tensor, canvas_size: tuple[int, int]
    ) -> None:
        self._detector, self._wanted, self._image = detector, wanted, image.detach()
        self._canvas_size = canvas_size
        self._found: dict[nn.Module, tuple[_Lines, bool]] = {}

    @leaves_all_as_before
    def follow(self) -> dict[nn.Module, tuple[_Lines, bool]]:
        """Of the layers that have run, and whether they hold for this size of the canvas alone."""
        itself = (self._detector, {module: module for module in self._wanted})
        attempts = [(*itself, True)]
        with torch.inference_mode(False):  # else the copy could not write to its buffers
            twin = _twin(self._detector, self._wanted)
        if twin:
            # The copy may not get along with zeros, nor without hooks that are its own.
            attempts = [(*twin, False), (*twin, True), *attempts]
        any(self._ends(*attempt) for attempt in attempts)
        return self._found

    def _ends(self, runs: Any, modules: dict[nn.Module, nn.Module], computed: bool) -> bool:
        """Run; whether that came to its end, or to that of the last layer."""
        channels = {self._image.shape[1], self._detector.channels, RGB}
        trace = PlaceTrace(self._canvas_size, channels, computed)
        image_size = (self._image.shape[2], self._image.shape[3])

        def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            original = modules.get(module)
            if original is not None and original not in self._found:
                self._found[original] = (None, False)
                with suppress(Exception):  # of a reshape_transform: no concern of the network
                    if places := trace.places(output) if isinstance(output, Tensor) else None:
                        reshape = self._detector.reshape_transform_for(original, image_size)
                        self._found[original] = (_lines(places, reshape), places.fitted)
            # What comes after the model, such as a function of the user's, need not see zeros.
            ended = module is runs.model or len(self._found) == len(self._wanted)
            if ended and not computed:
                raise _Ended

        hooks = forward_hooks(dict.fromkeys([*modules, runs.model], keep))
        device = self._image.device
        drawn = torch.random.fork_rng([device] if device.type == "cuda" else [])
        try:
            with drawn, torch.inference_mode(False), torch.no_grad(), trace, hooks:
                runs.run(self._image)
        except _Ended:
            return True
        except Exception:  # of whatever kind, such as of what follows the layers, given zeros
            return len(self._found) == len(self._wanted)
        return True


def _twin(detector: Any, wanted: set[nn.Module]) -> tuple[Any, dict[nn.Module, nn.Module]] | None:
    """A copy without hooks that shares the parameters, and what each module in it is to follow.

    The detector itself thus sees no forward, and keeps whatever it remembers. ``None`` where a
    copy cannot be made, or would run what the detector runs, such as a function around its model.
    """
    memo: dict[int, Any] = {}
    try:
        for module in detector.model.modules():
            memo |= {id(hooks): OrderedDict() for hooks in _hooks_of(module)}
            for entry in (*module._buffers.values(), *vars(module).values()):
                if isinstance(entry, Tensor):
                    memo[id(entry)] = entry.detach().clone()
            memo |= {id(entry): entry for entry in module._parameters.values() if entry is not None}
        twin = copy.deepcopy(detector, memo)
    except Exception:  # of whatever kind
        return None
    copies = {memo[id(module)]: module for module in wanted if id(module) in memo}
    if len(copies) < len(wanted) or detector.shares_network_with(twin):
        return None
    return twin, copies


def _hooks_of(module: nn.Module) -> list[Any]:
    return [module._forward_hooks, module._forward_pre_hooks]


class _Ended(Exception):
    """Of a forward of a copy: there is nothing more to find."""


def _lines(places: Places, reshape: Callable[[Tensor], Tensor] | None) -> _Lines:
    if reshape is None:
        return places.lines() or places.spread()
    return places.each(lambda axis: reshape(axis)[:, :1]).lines()  # the finest level comes first
