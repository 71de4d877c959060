"""Models of transformers: a folder as ``save_pretrained`` writes it, or a name of the hub."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers.utils import logging as transformers_logging

from captum_ssgc.cli.messages import CommandError, complain, on_screen, one_line
from captum_ssgc.cli.model_choice import ModelChoice
from captum_ssgc.detector import Detector
from captum_ssgc.detectors import wrap_detector
from captum_ssgc.detectors.transformers_text import is_zero_shot

_CONFIG = "config.json"


def load(name: str, choice: ModelChoice) -> Detector:
    """A detector with its weights, in evaluation mode.

    Raises:
        CommandError: if there is no such folder, or its parts do not fit together.
    """
    _check_folder(name)
    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not on_screen():
        transformers_logging.disable_progress_bar()
    # Neither code that the folder brings along nor what else it pickles is executed.
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except OSError as error:
        if Path(name).exists():
            raise
        raise CommandError(f"there is no folder {name} here, and: {one_line(error)}") from error
    zero_shot = is_zero_shot(config.model_type)
    if zero_shot != bool(choice.text):
        raise CommandError(
            f"a {config.model_type} looks for what --text says, such as --text 'a cat,a remote'."
            if zero_shot
            else f"--text does not apply: a {config.model_type} looks for its own classes."
        )
    kind = f"AutoModelFor{'ZeroShot' if zero_shot else ''}ObjectDetection"
    try:
        model, loaded = getattr(transformers, kind).from_pretrained(
            name, trust_remote_code=False, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except pickle.UnpicklingError as error:
        raise CommandError(
            f"the weights of {name} hold Python objects, which are not loaded for safety; expected "
            "model.safetensors, as save_pretrained writes it."
        ) from error
    _check_loaded(name, loaded)
    return wrap_detector(
        model.eval(),
        score_threshold=choice.lowest_reported,
        label_names=choice.labels,
        **({"text": choice.text} if zero_shot else {}),
    )


def _check_folder(name: str) -> None:
    """Raise ``CommandError`` for what is neither a model's folder nor a name of the hub."""
    path = Path(name)
    if path.is_file():
        meant = f"; did you mean transformers:{path.parent}?"
        raise CommandError(
            f"expected a folder as save_pretrained writes it, got the file {name}"
            f"{meant if (path.parent / _CONFIG).is_file() else '.'}"
        )
    if path.is_dir() and not (path / _CONFIG).is_file():
        inner = sorted((one.parent for one in path.glob(f"*/{_CONFIG}")), key=_steps)
        meant = f"; did you mean transformers:{inner[-1]}?" if inner else "."
        raise CommandError(
            f"the folder {name} has no {_CONFIG}, as save_pretrained writes it{meant}"
        )
    if not path.exists() and (name[:1] in ("", ".", "/", "~") or name.count("/") > 1):
        raise CommandError(f"there is no such folder: {name}")


def _steps(folder: Path) -> tuple[int, str]:
    """Checkpoints of a training in their order."""
    number = re.search(r"(\d+)$", folder.name)
    return int(number[1]) if number else -1, folder.name


def _check_loaded(name: str, loaded: Mapping[str, Any]) -> None:
    """What transformers fills with random numbers is said, or refused."""
    for key, stored, wanted in sorted(loaded.get("mismatched_keys", ())):
        raise CommandError(
            f"the weights of {name} do not fit its {_CONFIG}: {key} is {tuple(stored)} in the file "
            f"and {tuple(wanted)} by the configuration; id2label has to name as many classes as "
            "the model was trained for."
        )
    missing = sorted(loaded.get("missing_keys", ()))
    if missing:
        complain(
            f"{len(missing)} weights are not in {name} and are random, such as {missing[0]}: maps "
            "explain what was trained only where all are there.",
            kind="warning",
        )
