"""What may stand before and after the colon of ``--model PREFIX:NAME``.

To add a vendor: a function from what follows ``PREFIX:`` to a detector, and a line in
:data:`VENDORS` and in :data:`KINDS`.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from captum_ssgc.cli.messages import CommandError, on_screen

if TYPE_CHECKING:
    from captum_ssgc.cli.models import ModelChoice
    from captum_ssgc.detector import Detector

KINDS = "torchvision:NAME, onnx:FILE, transformers:FOLDER_OR_NAME, ultralytics:FILE or demo"
# Low enough to tell how close an image was where nothing reached the user's threshold.
_LOWEST_REPORTED = 0.05


def _torchvision(name: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.cli import torchvision_models

    if name not in torchvision_models.names():
        raise CommandError(f"unknown model {name!r}{_hint(name)}")
    return torchvision_models.load(name, choice)


def _onnx(file: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors import onnx_detector

    choice.refuse_weights("the file holds the weights")
    return onnx_detector(
        file,
        score_threshold=min(_LOWEST_REPORTED, choice.score_threshold),
        label_names=choice.label_names(),
    )


def _demo(rest: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.demo import CLASS_NAMES, detector
    from captum_ssgc.detectors import wrap_detector

    choice.refuse_weights("it comes with its weights")
    return wrap_detector(detector(), label_names=choice.label_names() or CLASS_NAMES)


def _transformers(name: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors.transformers_queries import TransformersDetector

    choice.refuse_weights("the folder or hub entry holds the weights")
    from transformers import AutoModelForObjectDetection
    from transformers.utils import logging as transformers_logging

    if not Path(name).exists() and (name[:1] in ("", ".", "/", "~") or name.count("/") > 1):
        raise CommandError(f"--model transformers:{name}: there is no such folder.")
    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not on_screen():
        transformers_logging.disable_progress_bar()
    model = AutoModelForObjectDetection.from_pretrained(name).eval()
    return TransformersDetector(
        model,
        score_threshold=min(_LOWEST_REPORTED, choice.score_threshold),
        label_names=choice.label_names(),
    )


def _ultralytics(file: str, choice: ModelChoice) -> Detector:
    from captum_ssgc.detectors import wrap_detector

    choice.refuse_weights("the file holds the weights")
    # ultralytics downloads what it does not find, under any name that it knows.
    if not Path(file).is_file():
        raise CommandError(f"ultralytics file {file} does not exist.")
    try:
        from ultralytics import YOLO
    except ImportError as error:
        raise CommandError(
            "models of ultralytics need ultralytics: pip install 'captum-ssgc[ultralytics]'"
        ) from error
    return wrap_detector(
        YOLO(file),
        score_threshold=min(_LOWEST_REPORTED, choice.score_threshold),
        label_names=choice.label_names(),
    )


def _hint(name: str) -> str:
    """What the user may have meant."""
    from captum_ssgc.cli import torchvision_models

    if name.lower().endswith(".onnx"):
        return f"; did you mean onnx:{name.rpartition(':')[2]}?"
    known = ["demo", *torchvision_models.names()]
    close = difflib.get_close_matches(name.rpartition(":")[2].lower(), known, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; expected one of {', '.join(known)}, or {KINDS}."


VENDORS: dict[str, Callable[[str, ModelChoice], Detector]] = {
    "torchvision": _torchvision,
    "onnx": _onnx,
    "transformers": _transformers,
    "ultralytics": _ultralytics,
    "demo": _demo,
}
