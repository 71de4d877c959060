"""From what a user says about the model to a detector."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from captum_ssgc.cli.hints import close_names
from captum_ssgc.cli.messages import CommandError, complain, one_line, warnings_as_lines
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.cli.vendors import KINDS, VENDORS, hint

if TYPE_CHECKING:
    import torch

    from captum_ssgc.detector import Detector, Output


def load_detector(choice: ModelChoice) -> Detector:
    """The detector, with its weights, on its device.

    Raises:
        CommandError: if the name, the weights, a file or the device is not what it should be.
    """
    device = _device(choice.device)
    choice.check_labels()  # before weights are loaded
    prefix, colon, rest = choice.name.partition(":")
    if not colon and prefix != "demo":
        prefix, rest = "torchvision", choice.name
    if prefix not in VENDORS:
        raise CommandError(
            f"--model {choice.name}: unknown kind {prefix!r}; expected {KINDS}{hint(choice.name)}"
        )
    if choice.text and prefix != "transformers":
        raise CommandError(
            f"--text does not apply to {choice.name}: it is for zero-shot detectors "
            "(--model transformers:FOLDER_OR_NAME)."
        )
    if choice.onnx and prefix not in ("onnx", "torchscript"):
        given = ", ".join("--canvas" if name == "size" else f"--{name}" for name in choice.onnx)
        raise CommandError(
            f"{given}: for exported files (--model onnx:FILE), not for {choice.name}."
        )
    try:
        with warnings_as_lines(choice.name):
            detector = VENDORS[prefix](rest, choice)
            detector.model.to(device)
    except Exception as error:  # vendors raise what they like
        text = one_line(error).replace("label_names:", f"--labels {choice.labels}:")
        raise CommandError(f"--model {choice.name}: {text}") from error
    names = detector.label_names or ()  # without any, numbers are shown, and as such
    if names and all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        complain("the model does not know its class names: --labels FILE shows them", kind="note")
    return detector


def check_layers(detector: Detector, names: list[str] | None) -> None:
    """Check that the model has these layers.

    Raises:
        CommandError: if it lacks one, with the recommended ones.
    """
    for name in names or ():
        try:
            detector.module_named(name)
        except ValueError as error:
            raise CommandError(one_line(error)) from error


def check_outputs(detector: Detector, outputs: Iterable[Output]) -> None:
    """Check that the model has the classes that contrasts name.

    Raises:
        CommandError: if it lacks one, with what it may be.
    """
    from captum_ssgc._outputs import with_label_indices

    for output in outputs:
        try:
            with_label_indices(output, detector.label_names)
        except ValueError as error:
            other = output[1] if isinstance(output, tuple) else ""
            hint = close_names(str(other), detector.label_names or ())
            raise CommandError(f"--{one_line(error).rstrip('.')}{hint}") from error


def check_composite(detector: Detector, channels: Sequence[int] | None) -> None:
    """Check that images of the model have these channels.

    Raises:
        CommandError: if they lack one.
    """
    known = detector.channels
    if channels and max(channels) >= known:
        raise CommandError(
            f"--composite: expected channels from 0 to {known - 1}, as the model takes {known}, "
            f"got {','.join(map(str, channels))}"
        )


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except Exception as error:  # each kind of device has its own when it is missing
        raise CommandError(f"--device {name} cannot be used here: {one_line(error)}") from error
    return device
