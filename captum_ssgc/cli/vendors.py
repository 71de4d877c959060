"""What may stand before and after the colon of ``--model PREFIX:NAME``.

To add a vendor: a function from what follows ``PREFIX:`` to a detector, and a line in
:data:`VENDORS` and in :data:`KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from captum_ssgc.cli.hints import close_names
from captum_ssgc.cli.messages import CommandError, say

if TYPE_CHECKING:
    from captum_ssgc.cli.model_choice import ModelChoice
    from captum_ssgc.detector import Detector

KINDS = (
    "torchvision:NAME, onnx:FILE, torchscript:FILE, transformers:FOLDER_OR_NAME, ultralytics:FILE "
    "or demo"
)


def _torchvision(name: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.cli import torchvision_models

    if name not in torchvision_models.names():
        known = ", ".join(["demo", *torchvision_models.names()])
        advice = hint(name) or f"; expected one of {known}, or {KINDS}."
        raise CommandError(f"unknown model {name!r}{advice}")
    return torchvision_models.load(name, choice)


def _onnx(file: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors import onnx_detector

    return _from_file(onnx_detector, file, choice)


def _torchscript(file: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors import torchscript_detector

    return _from_file(torchscript_detector, file, choice)


def _from_file(read: Callable[..., Detector], file: str, choice: ModelChoice) -> Detector:
    choice.refuse_weights("the file holds the weights")
    detector: Any = read(
        file,
        score_threshold=choice.lowest_reported,
        label_names=choice.labels,
        **choice.onnx,
    )
    say(f"{Path(file).name}: {detector.description}")
    return detector


def _transformers(name: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.cli import transformers_folders

    choice.refuse_weights("the folder or hub entry holds the weights")
    return transformers_folders.load(name, choice)


def _demo(rest: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.demo import CLASS_NAMES, detector
    from captum_ssgc.detectors import wrap_detector

    choice.refuse_weights("it comes with its weights")
    if rest:
        raise CommandError(f"expected demo alone, got {choice.name}{hint(rest)}")
    return wrap_detector(detector(), label_names=choice.labels or CLASS_NAMES)


def _ultralytics(file: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors import wrap_detector

    choice.refuse_weights("the file holds the weights")
    # ultralytics downloads what it does not find, under any name that it knows.
    if not Path(file).is_file():
        raise CommandError(f"ultralytics file {file} does not exist.")
    if PurePath(file).suffix.lower() in (".onnx", ".torchscript"):
        raise CommandError(f"{file} is an export{hint(file)}")
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise CommandError(
            "models of ultralytics need ultralytics: pip install 'captum-ssgc[ultralytics]'"
        ) from error
    return wrap_detector(
        YOLO(file),
        score_threshold=choice.lowest_reported,
        label_names=choice.labels,
    )


def hint(name: str) -> str:
    """What the user may have meant by ``--model NAME``, for the end of a message, or nothing."""
    from captum_ssgc.cli import torchvision_models

    prefix, _, rest = name.rpartition(":")
    file = name if len(prefix) == 1 else rest  # C:\\model.onnx
    path, suffix = Path(file), PurePath(file).suffix.lower()
    meant = _MEANT_BY_SUFFIX.get(suffix, "")
    if suffix in _WEIGHTS and (path.parent / "config.json").is_file():
        file, meant = str(path.parent), "transformers:{0}"
    elif not meant and file and ("/" in file or path.is_dir()) and not path.is_file():
        meant = "transformers:{0}"
    if meant:
        return f"; did you mean {meant.format(file)}?"
    return close_names(rest, ["demo", *torchvision_models.names()])


_WEIGHTS = (".safetensors", ".bin")
_MEANT_BY_SUFFIX = {
    ".onnx": "onnx:{0}",
    ".torchscript": "torchscript:{0}",
    ".pt": "ultralytics:{0}, or --checkpoint {0} for a state dict",
    ".pth": "ultralytics:{0}, or --checkpoint {0} for a state dict",
    ".ckpt": "--checkpoint {0}",
    ".safetensors": "--checkpoint {0}",
}

VENDORS: dict[str, Callable[[str, ModelChoice], Detector]] = {
    "torchvision": _torchvision,
    "onnx": _onnx,
    "torchscript": _torchscript,
    "transformers": _transformers,
    "ultralytics": _ultralytics,
    "demo": _demo,
}
