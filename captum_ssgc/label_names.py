"""Class names from a list, a dictionary or a file, as one tuple that is indexed by label."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Set
from numbers import Integral
from pathlib import Path
from typing import Any

BACKGROUND = "__background__"
COCO = "coco"
_BACKGROUNDS = (BACKGROUND, "background", "__bg__", "bg")
# A data set of Ultralytics, the configuration of a model of transformers, a data set of COCO.
_BELOW = ("names", "id2label", "categories")
_MOST_BYTES = 1 << 22
_MOST_LABELS = 100_000

_NUMBERED = {
    1: re.compile(r"(\d{1,5})\s*[,;:\t]\s*(\S.*)"),
    2: re.compile(r"(.*\S)\s*[,;\t]\s*(\d{1,5})"),
}

LabelNames = Iterable[str] | Mapping[Any, str] | str | os.PathLike[str]


def fit_label_names(
    names: LabelNames, classes: int | None = None, *, background: bool = False
) -> tuple[str, ...]:
    """Class names, indexed by the labels of one detector.

    Args:
        names: one of

            * a list of names, the first for label 0, with or without the background's;
            * a dictionary from label to name, such as ``model.names`` or ``config.id2label``;
              labels are integers, or strings of digits, and may begin at 1;
            * a file: a text file with one name per line (an empty line is a label without a name,
              one that begins with ``#`` and a space is a comment), also with the label beside each
              (``1,cat``), or a JSON or YAML file with a list or a dictionary, also below ``names``
              or ``id2label``, or ``categories`` as COCO has them;
            * ``"coco"``: the names of the 80 COCO classes, or of its 91 category numbers.
        classes: how many labels the detector has, the background's included where it has one;
            ``None`` where it is not known.
        background: label 0 is the background.

    Returns:
        ``classes`` names. The background's is added or left out where that is what is missing; a
        label that a dictionary leaves out has its number for a name.

    Raises:
        ValueError: if the names do not fit the number of labels, or a file holds none.
        TypeError: if they are no strings.
        FileNotFoundError: if there is no such file.

    Example:
        >>> from captum_ssgc.label_names import fit_label_names
        >>> fit_label_names(["cat", "dog"], 3, background=True)
        ('__background__', 'cat', 'dog')
        >>> fit_label_names({1: "cat", 2: "dog"}, 2)
        ('cat', 'dog')
    """
    known = _by_label(names, classes)
    if not known:
        raise ValueError("label_names: expected at least one name, got none.")
    if max(known) >= _MOST_LABELS:
        raise ValueError(f"label_names: expected labels below {_MOST_LABELS}, got {max(known)}.")
    shift = 0 if classes is None else _shift(known, classes, background)
    classes = classes or max(known) + 1
    known = {label + shift: name for label, name in known.items()}
    if background:
        known.setdefault(0, BACKGROUND)
    return tuple(known.get(label, str(label)) for label in range(classes))


def own_label_names(
    names: LabelNames | None, classes: int | None = None, *, background: bool = False
) -> tuple[str, ...] | None:
    """:func:`fit_label_names` for what a model says itself: ``None`` where that does not fit."""
    try:
        return None if names is None else fit_label_names(names, classes, background=background)
    except (ValueError, TypeError):
        return None


def _shift(known: Mapping[int, str], classes: int, background: bool) -> int:
    """What to add to the labels of the names so that they are the detector's."""
    first, last = min(known), max(known)
    named = known[first].strip().lower() in _BACKGROUNDS
    elsewhere = [label for label in known if known[label].strip().lower() in _BACKGROUNDS]
    if background and not named and elsewhere:
        raise ValueError(
            "label_names: expected the background first, as label 0 of the model, got "
            f"{known[elsewhere[0]]!r} for label {elsewhere[0]}."
        )
    if last == classes - 1 and len(known) >= classes / 2:  # category numbers have gaps
        return 0
    if background and not named and (first, last) == (0, classes - 2):
        return 1
    if (first, last) == (1, classes) and background == named:
        return -1
    if not background and named and (first, last) == (0, classes):
        return -1  # which leaves the background's name out
    without = f", or {classes - 1} without the background" if background else ""
    raise ValueError(
        f"label_names: expected {classes} names, one for each label of the model{without}, got "
        f"{len(known)} for the labels {first} to {last}."
    )


def _by_label(names: LabelNames, classes: int | None) -> dict[int, str]:
    if isinstance(names, str) and names.lower() == COCO:
        names = _coco(classes)
    if isinstance(names, (str, os.PathLike)):
        names = _read(Path(names))
    if isinstance(names, Mapping):
        pairs = [(_label(key), name) for key, name in names.items()]
    elif isinstance(names, Iterable) and not isinstance(names, (Set, bytes)):
        pairs = list(enumerate(names))
    else:
        raise TypeError(
            "label_names: expected a list of names, a dictionary from label to name, or a file, "
            f"got {type(names).__name__}."
        )
    for label, name in pairs:
        if not isinstance(name, str):
            raise TypeError(
                f"label_names: expected strings, got {type(name).__name__} for label {label}."
            )
    known = dict(pairs)
    if len(known) < len(pairs):
        twice = next(label for label in known if [one for one, _ in pairs].count(label) > 1)
        raise ValueError(f"label_names: expected each label once, got label {twice} twice.")
    return known


def _is_category(entry: Any) -> bool:
    return isinstance(entry, dict) and {"id", "name"} <= set(entry)


def _label(key: Any) -> int:
    if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < 10:
        return int(key)
    if isinstance(key, Integral) and not isinstance(key, bool) and int(key) >= 0:
        return int(key)
    raise ValueError(f"label_names: expected labels 0, 1, ... as keys, got {str(key)[:40]!r}.")


def _coco(classes: int | None) -> list[str]:
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names: list[str] = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    numbered = classes in (90, 91)
    return names if numbered else [name for name in names[1:] if name != "N/A"]


def _read(path: Path) -> list[str] | dict[Any, Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise FileNotFoundError(
            f"label_names: there is no file {path}; expected a file with one name per line, a "
            "list of names, or a dictionary from label to name."
        ) from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ValueError(f"label_names: {path} is no file of names (4 MiB at most).")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"label_names: {path} is no text in UTF-8.") from None
    kind = path.suffix.lower()
    if kind not in _PARSERS:
        lines = [line.strip() for line in text.rstrip().splitlines()]
        names = [line for line in lines if not line.startswith("# ")]
        numbered = _numbered(list(filter(None, names)), header=kind in (".csv", ".tsv"))
        return numbered or {label: name for label, name in enumerate(names) if name}
    content = _PARSERS[kind](text, path)
    if isinstance(content, dict):
        content = next(
            (content[key] for key in _BELOW if isinstance(content.get(key), (list, dict))), content
        )
    if isinstance(content, list) and content and all(_is_category(one) for one in content):
        content = {_label(one["id"]): one["name"] for one in content}
    if not isinstance(content, (list, dict)):
        raise ValueError(
            f"label_names: {path}: expected a list of names, or an object from label to name."
        )
    return content


def _numbered(lines: list[str], header: bool) -> dict[int, str]:
    """Names by label where every line has both, as ``1,cat``, ``cat,1`` or ``1: cat``; else none.

    Args:
        lines: of a text file.
        header: the first line may say what the columns are.
    """
    for number, name in ((1, 2), (2, 1)):
        matches = [_NUMBERED[number].fullmatch(line) for line in lines]
        if header and len(matches) > 1 and matches[0] is None:
            matches = matches[1:]
        known = [(int(one[number]), one[name]) for one in matches if one is not None]
        if known and len(known) == len(matches) == len(dict(known)):
            return dict(known)
    return {}


def _from_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"label_names: {path} is not valid JSON: {error}") from None


def _from_yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError(
            f"label_names: {path} needs PyYAML: pip install pyyaml; or pass a text or JSON file."
        ) from None
    try:
        # All values stay texts: a class may be called "no" or "1.0".
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"label_names: {path} is not valid YAML: {why}") from None


_PARSERS = {".json": _from_json, ".yaml": _from_yaml, ".yml": _from_yaml}
