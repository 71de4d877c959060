"""What every attribution method is, and the register of them."""

from __future__ import annotations

import difflib
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

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
        of_settings: options that follow a field of the settings of a benchmark, or of a command,
            unless they are given: the field of each.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    gradient_based: ClassVar[bool]
    of_settings: ClassVar[Mapping[str, str]] = {}

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
    def options_without_layer(cls) -> Mapping[str, Any] | None:
        """Options with which it needs neither layer nor gradient; ``None`` where none are known."""
        return {} if cls.recorded({}) is None else None

    @classmethod
    def check_values(cls, options: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` or ``ValueError`` for values of options that can be told alone."""

    @classmethod
    def check_options(
        cls, options: Iterable[str], caller: str, known: Iterable[str] | None = None
    ) -> None:
        """Raise ``TypeError`` unless all ``options`` are ``known``; ``None``: the method's own."""
        known = tuple(cls.option_names() if known is None else known)
        for name in options:
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it has no options of its own"
                raise TypeError(f"{caller} got an unexpected keyword argument {name!r}; {takes}.")


class PerturbationMethod(Method, PerturbationAttribution):
    """A method that needs neither layer nor gradient: it runs the detector on changed images.

    A subclass writes :meth:`attribute_instances` with its own options as keyword arguments. One
    called ``generator`` (a ``torch.Generator``) makes its runs repeatable in a benchmark;
    ``perturbations_per_eval`` and ``show_progress`` are told how many images a call of the detector
    may have, and whether to show how far it is.

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
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(cls.attribute_instances).parameters.values()
        names = [entry.name for entry in parameters if entry.kind in named]
        return [name for name in names if name not in ("self", "inputs", "targets")]

    def heat_maps(
        self,
        inputs: Tensor,
        count: int,
        options: Mapping[str, Any],
        offered: Mapping[str, Any],
    ) -> Tensor:
        """Maps ``(K, H, W)`` of all detections.

        Args:
            inputs: ``(1, 3, H, W)``.
            count: ``K``.
            options: of :meth:`attribute_instances`.
            offered: further ones, for a method that takes them.

        Raises:
            ValueError: if the method gives something else.
        """
        taken = inspect.signature(self.attribute_instances).parameters
        further = {name: value for name, value in offered.items() if name in taken}
        maps = self.attribute_instances(inputs, **{**further, **options})
        expected = (count, 1, *inputs.shape[-2:])
        if not (isinstance(maps, Tensor) and tuple(maps.shape) == expected):
            raise ValueError(
                f"{type(self).__name__}.attribute_instances: expected maps of shape {expected}, "
                f"one for each detection in pixels of the image, got {shown(maps)}."
            )
        return maps[:, 0]


METHODS: dict[str, type[Method]] = {}

SomeMethod = TypeVar("SomeMethod", bound=type[Method])
Function = TypeVar("Function", bound=Callable[..., Any])


def names_its_options(function: Function) -> Function:
    """Decorates what maps are asked of: an option that the method lacks is answered as everywhere.

    Python itself would name the class that wrote the function, and no option.
    """
    known = inspect.signature(function).parameters

    @wraps(function)
    def checked(self: Method, *args: Any, **kwargs: Any) -> Any:
        unknown = [name for name in kwargs if name not in known]
        self.check_options(unknown, f"{type(self).__name__}.{function.__name__}")
        return function(self, *args, **kwargs)

    return cast("Function", checked)


def register(method: SomeMethod) -> SomeMethod:
    """Offer a method class by its ``name``: to ``explain``, the commands and the benchmark.

    Args:
        method: a subclass of :class:`LayerMethod` or :class:`PerturbationMethod`; a class that has
            this name already is replaced.

    Returns:
        The class itself, so that this serves as a decorator.

    Raises:
        TypeError: if it is no such class, or has no name or title.
        ValueError: for a name that a command line could not tell from what stands around it.

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
    if method.name == "all" or not method.name or set(method.name) & set("[],= \t\n"):
        raise ValueError(
            f"register: {method.__name__}.name: expected a name without blanks, commas, brackets "
            f"and equals signs, and not 'all', got {method.name!r}."
        )
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


def methods_without_layer() -> str:
    """Those that need neither layer nor gradient, as an error advises them."""
    texts = []
    for name, method in METHODS.items():
        options = method.options_without_layer()
        if options is not None:
            given = ", ".join(f"{option}={value!r}" for option, value in options.items())
            texts.append(f"method={name!r}" + (f" with {given}" if given else ""))
    return " or ".join(texts) or "a method that only runs the detector"


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
