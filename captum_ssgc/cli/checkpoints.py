"""Checkpoint files: the tensors in them, whatever a training script has put around these.

Nothing that a file names is run. Objects beside the tensors, and a whole model, are made of classes
that do nothing, so that the parameters in them can be read as well.
"""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from captum_ssgc._vendor_versions import loadable_classes
from captum_ssgc.cli.messages import CommandError

# Of several state dicts in one file these are taken before others.
_FIRST = ("model", "state_dict", "model_state_dict")
_DEEPEST = 3


class _Closed:
    """Stands for an object of a class that is not imported."""

    def __new__(cls, *_: object, **__: object) -> _Closed:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint file holds.

    Raises:
        CommandError: if there is no such file, or it is none.
    """
    if not path.is_file():
        raise CommandError(f"--checkpoint {path} does not exist.")
    if _holds(path, "constants.pkl"):
        raise CommandError(
            f"--checkpoint {path} is a TorchScript file: give it as --model torchscript:{path}."
        )
    foreign = _classes_in(path)
    try:
        with loadable_classes(*foreign):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise unrelated types
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            raise CommandError(
                f"--checkpoint {path} holds Python objects that cannot be left out; save "
                "model.state_dict() instead."
            ) from error
        raise CommandError(
            f"--checkpoint {path} is no readable PyTorch checkpoint (truncated?)."
        ) from error
    if any(one.__module__.startswith("ultralytics.") for one in foreign):
        raise CommandError(
            f"--checkpoint {path} is a file of Ultralytics: give it as --model ultralytics:{path}."
        )
    return content


def state_dicts(content: Any) -> Iterator[dict[str, Tensor]]:
    """The tensors of each dictionary and module in a checkpoint, the outer ones first."""
    level = [content]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for thing in level:
            tensors = dict(_tensors_in(thing))
            if tensors:
                yield tensors
            if isinstance(thing, Mapping):
                below += sorted(thing.items(), key=lambda item: item[0] not in _FIRST)
        level = [value for _, value in below]


def _tensors_in(thing: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """``thing`` as a state dict; a module that stayed closed is read like an open one."""
    if isinstance(thing, Mapping):
        yield from ((str(key), one) for key, one in thing.items() if isinstance(one, Tensor))
    elif isinstance(thing, _Closed):
        own = vars(thing)
        passing = own.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            for name, one in (own.get(kind) or {}).items():
                if isinstance(one, Tensor) and name not in passing:
                    yield f"{prefix}{name}", one.detach()
        for name, module in (own.get("_modules") or {}).items():
            yield from _tensors_in(module, f"{prefix}{name}.")


def _classes_in(path: Path) -> list[type]:
    """A closed class for everything that the pickle of the file names; torch's own come first."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            codes = list(pickletools.genops(archive.read(name)))
    except Exception:  # another format, or damaged: torch says so
        return []
    named = {str(argument) for code, argument, _ in codes if code.name == "GLOBAL"}
    return [_closed_class(*one.split(" ", 1)) for one in sorted(named)]


def _closed_class(module: str, name: str) -> type:
    # The names of Python 2, in which torch.save writes.
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    if (module, name) == ("builtins", "set"):  # of names, in modules; PyTorch 2.4 does not know it
        return set
    return type(name, (_Closed,), {"__module__": module, "__qualname__": name})


def _holds(path: Path, file: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(f"/{file}") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):  # another format, or damaged
        return False
