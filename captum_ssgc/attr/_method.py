"""What every attribution method is, and the register of them."""

from __future__ import annotations

import difflib
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

from captum.attr import PerturbationAttribution
from torch import Tensor

from captum_ssgc._arguments import shown
from captum_ssgc.attr._own_functions import (
    REQUIRED,
    Keywords,
    checked_maps,
    copied,
    warn_of_empty,
)
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
    def keywords(cls) -> Keywords:
        """What the function that makes its maps takes by keyword.

        Raises:
            TypeError: if there is none, or it cannot be called.
            ValueError: for a keyword that has another meaning.
        """
        raise TypeError(
            f"{cls.__name__}: expected a subclass of LayerMethod or of PerturbationMethod."
        )

    @classmethod
    def reserved(cls) -> frozenset[str]:
        """Names that are no options of a function that takes whatever it is given."""
        return frozenset({"self", "inputs", "targets"})

    @classmethod
    def option_names(cls) -> list[str]:
        """The arguments of :meth:`attribute_instances` that this method has of its own."""
        return list(cls.keywords().defaults)

    @classmethod
    def chosen_options(cls) -> dict[str, Any]:
        """What a user chooses for a run, with defaults: all but what the run sets itself."""
        defaults, names = cls.keywords().defaults, cls.option_names()
        return {name: defaults[name] for name in names if name not in OF_THE_RUN}

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
        any_other = cls.keywords().any_other
        known = tuple(cls.option_names() if known is None else known)
        for name in options:
            if name not in known and not (any_other and name not in cls.reserved()):
                raise _unexpected(caller, name, known)

    @classmethod
    def check_complete(cls, options: Iterable[str], caller: str) -> None:
        """Raise ``TypeError`` unless ``options`` has all those that have no default."""
        for name, default in cls.keywords().defaults.items():
            if default is REQUIRED and name not in options:
                raise TypeError(f"{caller} needs the option {name!r}, which has no default.")


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
    # Of empty maps: the attribute_instances of this very class.
    warns_itself: ClassVar[bool] = False

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
    def keywords(cls) -> Keywords:
        """The arguments of :meth:`attribute_instances` that do not say what is explained."""
        function: Any = cls.attribute_instances
        expected = f"{cls.__name__}.attribute_instances: expected (self, inputs, targets=None, ...)"
        if getattr(function, "__isabstractmethod__", False):
            raise TypeError(f"{expected}, got nothing.")
        taken = Keywords.checked(function, 2, expected)
        own = dict(taken.defaults)
        if own.pop("targets", None) is REQUIRED:
            raise TypeError(f"{expected}; targets has no default.")
        return replace(taken, defaults=own)

    def heat_maps(
        self,
        inputs: Tensor,
        count: int,
        options: Mapping[str, Any],
        offered: Mapping[str, Any],
    ) -> Tensor:
        """Maps ``(K, H, W)`` of all detections, at least in single precision.

        Args:
            inputs: ``(1, 3, H, W)``.
            count: ``K``.
            options: of :meth:`attribute_instances`.
            offered: further ones, for a method that takes them.

        Raises:
            ValueError: if the method gives something else.
            TypeError: if an option is missing.
        """
        caller = f"{type(self).__name__}.attribute_instances"
        taken = self.keywords().defaults
        given = {name: value for name, value in offered.items() if name in taken} | dict(options)
        self.check_complete(given, caller)
        given_maps = self.attribute_instances(copied(inputs), **copied(given))
        expected = (count, 1, *inputs.shape[-2:])
        which = "one for each detection in pixels of the image"
        maps = checked_maps(given_maps, expected, caller, which)[:, 0]
        written = next(one for one in type(self).__mro__ if "attribute_instances" in vars(one))
        if not vars(written).get("warns_itself", False):
            peaks = maps.flatten(1).abs().amax(1).tolist()
            nothing = "the method found no pixel that matters: try other options, another method"
            broken = f"{caller} divides by zero or overflows"
            warn_of_empty(self.title, peaks, lambda: broken, lambda _: nothing)
        return maps


# What the run sets where a method takes it.
OF_THE_RUN = ("generator", "perturbations_per_eval", "show_progress")
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
        for name in (name for name in kwargs if name not in known):
            own = [option for option in self.option_names() if option in known]
            raise _unexpected(f"{type(self).__name__}.{function.__name__}", name, own)
        return function(self, *args, **kwargs)

    return cast("Function", checked)


def stands_for(call: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorates a written signature: what is given, and nothing else, is what ``call`` gets.

    The defaults that stand there are the map function's. A subclass whose own function has others,
    or further options, has those.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def passed_on(self: Method, *args: Any, **kwargs: Any) -> Any:
            return call(self, *args, **kwargs)

        # Captum calls what is wrapped, NoiseTunnel for one.
        vars(passed_on).update(__signature__=inspect.signature(function), __wrapped__=call)
        return cast("Function", passed_on)

    return decorate


def _unexpected(caller: str, name: str, known: Sequence[str]) -> TypeError:
    takes = f"it takes {', '.join(known)}" if known else "it has no options of its own"
    return TypeError(f"{caller} got an unexpected keyword argument {name!r}; {takes}.")


def register(method: SomeMethod) -> SomeMethod:
    """Offer a method class by its ``name``: to ``explain``, the commands and the benchmark.

    Args:
        method: a subclass of :class:`LayerMethod` or :class:`PerturbationMethod`; a class that has
            this name already is replaced.

    Returns:
        The class itself, so that this serves as a decorator.

    Raises:
        TypeError: if it is no such class, has no name or title, or its maps cannot be asked for:
            no map function, or one that does not take two arguments in a row; a perturbation
            method without :meth:`attribute_instances`, or made from more than the wrapper.
        ValueError: for a name that a command line could not tell from what stands around it, and
            for a keyword of a map function that is an argument of :meth:`attribute` already.

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
    method.keywords()
    if issubclass(method, PerturbationMethod):
        try:
            inspect.signature(method).bind(None)
        except TypeError as error:
            raise TypeError(
                f"register: {method.__name__} has to be made from the wrapper alone; {error}."
            ) from None
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
