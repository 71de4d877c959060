"""What every attribution method is, and the register of them."""

from __future__ import annotations

import difflib
import inspect
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from captum.attr import PerturbationAttribution
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc.instance_score import InstanceScoreWrapper


class Method:
    """A method that explains single detections: a class with a name, registered once.

    A method made of activations and gradients derives from
    :class:`captum_ssgc.attr.LayerMethod`, one that runs the detector on changed images from
    :class:`captum_ssgc.attr.PerturbationMethod`.

    Attributes:
        name: as users type it.
        title: as the literature writes it.
        gradient_based: whether its maps are made of activations and gradients of a layer.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    gradient_based: ClassVar[bool]

    @classmethod
    def option_names(cls) -> list[str]:
        """The arguments of :meth:`attribute_instances` that this method has of its own."""
        raise NotImplementedError

    @classmethod
    def recorded(cls, options: Mapping[str, Any]) -> type[Method] | None:
        """The method whose maps of a recorded forward these are, or are made from.

        Args:
            options: of this method.

        Returns:
            A :class:`LayerMethod`; ``None`` for a method that needs no layer. A
            :class:`PerturbationMethod` that gives one takes its maps as ``prior_maps``.
        """
        return None

    @classmethod
    def check_values(cls, options: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` or ``ValueError`` for values of options that can be told alone."""

    @classmethod
    def check_options(cls, options: Mapping[str, Any], caller: str) -> None:
        """Raise ``TypeError`` unless the method takes all ``options``."""
        known = cls.option_names()
        for name in options:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it has no options of its own"
                raise TypeError(f"{caller} got an unexpected keyword argument {name!r}; {takes}.")


class PerturbationMethod(Method, PerturbationAttribution):
    """A method that needs neither layer nor gradient: it runs the detector on changed images.

    A subclass writes :meth:`attribute_instances` with its own options as keyword arguments. One
    called ``generator`` (a ``torch.Generator``) makes its runs repeatable in a benchmark.

    Args:
        forward_func: the wrapper, whose detector runs on the changed images.

    Raises:
        TypeError: if ``forward_func`` is no :class:`captum_ssgc.InstanceScoreWrapper`.
    """

    gradient_based = False

    def __init__(self, forward_func: InstanceScoreWrapper) -> None:
        if not isinstance(forward_func, InstanceScoreWrapper):
            raise TypeError(
                f"forward_func: {self.title} needs captum_ssgc.InstanceScoreWrapper, whose "
                f"detector it runs on changed images, got {type(forward_func).__name__}."
            )
        super().__init__(forward_func)

    @abstractmethod
    def attribute_instances(
        self,
        inputs: Tensor,
        targets: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
    ) -> Tensor:
        """Maps ``(K, 1, H, W)`` in image pixels of many detections of one image."""

    @classmethod
    def option_names(cls) -> list[str]:
        """The arguments of :meth:`attribute_instances` that do not say what is explained."""
        parameters = inspect.signature(cls.attribute_instances).parameters.values()
        own = [entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY]
        return ["perturbations_per_eval", "show_progress", *own]


METHODS: dict[str, type[Method]] = {}

SomeMethod = TypeVar("SomeMethod", bound=type[Method])


def register(method: SomeMethod) -> SomeMethod:
    """Offer a method class by its ``name``: to ``explain``, the commands and the benchmark.

    Args:
        method: a subclass of :class:`LayerMethod` or :class:`PerturbationMethod`; a class that has
            this name already is replaced.

    Returns:
        The class itself, so that this serves as a decorator.

    Raises:
        TypeError: if it is no such class, or has no name or title.

    Example:
        >>> from captum_ssgc.attr import METHODS, LayerMethod, register
        >>> @register
        ... class Activations(LayerMethod):
        ...     name, title = "activations", "Mean activation"
        ...     @staticmethod
        ...     def maps(activations, gradients, power=1.0):
        ...         return activations.abs() ** power
        >>> METHODS.pop("activations").option_names()
        ['power']
    """
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise TypeError(f"register: expected a subclass of Method, got {method!r}.")
    for attribute in ("name", "title"):
        if not isinstance(getattr(method, attribute, None), str):
            raise TypeError(f"register: {method.__name__}.{attribute} has to be a string.")
    METHODS[method.name] = method
    return method


def method_named(name: str) -> type[Method]:
    """The method called ``name``.

    Raises:
        TypeError: if ``name`` is no string.
        ValueError: if there is none, with the names there are.
    """
    if not isinstance(name, str):
        raise TypeError(f"method: expected a name, got {shown(name)}.")
    if name not in METHODS:
        close = difflib.get_close_matches(name.lower(), METHODS, 1)
        meant = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {shown(name)}{meant}")
    return METHODS[name]


def methods_named(names: str | Iterable[str]) -> list[type[Method]]:
    """The methods of one name, of several, or all of them for ``"all"``, each once.

    Raises:
        TypeError: if ``names`` are no strings.
        ValueError: if one is not known, or there is none.
    """
    if isinstance(names, str):
        names = list(METHODS) if names == "all" else [names]
    try:
        chosen = [method_named(name) for name in names]
    except TypeError:
        raise TypeError(f"method: expected a name or several, got {shown(names)}.") from None
    if not chosen:
        raise ValueError(f"method: expected at least one of {', '.join(METHODS)}, got none.")
    return list(dict.fromkeys(chosen))
