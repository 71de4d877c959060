"""The layers of a model by name, and one wording of what is said of a layer that it lacks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from torch import jit, nn

from captum_ssgc._arguments import shown

Recommended = Callable[[], Iterable[str]]
_NAMED = 5  # of a model without recommended layers


def module_named(
    model: nn.Module, layer: nn.Module | str, recommended: Recommended = tuple
) -> nn.Module:
    """The module that has this name, or the module itself, if it is one of the model.

    Args:
        model: whose modules are meant, but not it itself.
        layer: a name as in ``model.named_modules()``, or a module.
        recommended: gives the names to use instead, where that is known.

    Raises:
        TypeError: if ``layer`` is neither.
        ValueError: if the model has none such.
    """
    if isinstance(layer, nn.Module):
        if any(layer is one for one in model.modules()):
            return layer
    elif not isinstance(layer, str):
        raise TypeError(f"layer: expected a module or its name, got {shown(layer)}.")
    elif layer and isinstance(model, jit.ScriptModule):  # which has no get_submodule
        named = dict(model.named_modules())
        if layer in named:
            return named[layer]
    elif layer:
        try:
            return model.get_submodule(layer)
        except AttributeError:
            pass
    raise ValueError(no_such_layer(model, layer, recommended))


def modules_in_order(
    model: nn.Module, argument: str, layers: Iterable[nn.Module | str]
) -> list[nn.Module]:
    """The modules of several layers, the place of each of which means something.

    Raises:
        TypeError: if they are a single name, have no order, or are no layers.
        ValueError: if the model has none such.
    """
    if isinstance(layers, (str, set, frozenset, Mapping)) or not isinstance(layers, Iterable):
        raise TypeError(f"{argument}: expected a list of modules or names, got {shown(layers)}.")
    return [module_named(model, layer) for layer in layers]


def no_such_layer(
    model: nn.Module, layer: nn.Module | str, recommended: Recommended = tuple
) -> str:
    """What is wrong with a layer that the model does not have, and what to do."""
    if isinstance(layer, nn.Module):
        named = f"{type(layer).__name__} (a module, but none of its own)"
    else:
        names = [name for name, _ in model.named_modules() if name]
        close = difflib.get_close_matches(layer, names, 1)
        named = f"{layer!r}" + (f" (did you mean {close[0]!r}?)" if close else "")
    return f"the model has no layer {named}; {layer_advice(model, recommended)}"


def layer_advice(model: nn.Module | None, recommended: Recommended = tuple) -> str:
    """Which layers to use instead of one that does not serve, and how to list them all."""
    fitting = "that runs once and leads to the score"
    if model is None:
        return f"use a layer of the model {fitting}."
    names = [name for name, _ in model.named_modules() if name]
    if not names:
        return "it has no modules of its own: use a method that needs no layer."
    first = ", ".join(map(repr, recommended()))
    if first:
        others = f"another of the model's {len(names)} modules (model.named_modules())"
        return f"use one of {first} (detector.target_layers()), or {others} {fitting}."
    some = ", ".join(map(repr, names[-_NAMED:]))
    listed = f"{len(names)} modules (model.named_modules()), the last of which are {some}"
    return f"use one {fitting} of the model's {listed}."
