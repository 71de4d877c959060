"""Text that every reader sees: in a font that has its letters, else spelled out."""

from __future__ import annotations

import unicodedata
from functools import cache

from matplotlib import font_manager

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that pictures are the same on every machine."""

# Fonts without shapes of their own: boxes for everything, or colours that are not drawn.
_NO_TEXT = ("last resort", "emoji")


def legible(text: str) -> str:
    """``text`` on one line, letters that no font here has spelled out between ‹ ›.

    A byte of a file name that is no UTF-8 becomes ``\\xff``; control characters become spaces.

    Example:
        >>> from captum_ssgc.visualization import legible
        >>> legible("two" + chr(10) + "lines" + chr(0xDCFF))
        'two lines\\\\xff'
    """
    shown = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    spelled, unknown = "", ""
    for letter in " ".join(unicodedata.normalize("NFC", shown).split()):
        if "\udc80" <= letter <= "\udcff":
            byte = f"\\x{ord(letter) - 0xDC00:02x}"
            spelled, unknown = _closed(spelled, unknown) + byte, ""
        elif unicodedata.category(letter) == "Cf":  # marks of direction, joiners: nothing to see
            continue
        elif _family_with(letter) is not None:
            spelled, unknown = _closed(spelled, unknown) + letter, ""
        else:
            unknown += _spelling(letter, first=not unknown)
    return _closed(spelled, unknown)


def families(line: str) -> list[str]:
    """The font families for a :func:`legible` line: the usual one, then those it needs besides."""
    if line.isascii():
        return [FONT]
    further = (_family_with(letter) for letter in line)
    return list(dict.fromkeys([FONT, *(name for name in further if name is not None)]))


def _closed(spelled: str, unknown: str) -> str:
    return f"{spelled}‹{unknown}›" if unknown else spelled


def _spelling(letter: str, first: bool) -> str:
    """The sound of a letter or syllable, the name of a sign, the number of an ideograph."""
    name = unicodedata.name(letter, "")
    for kind in ("SYLLABLE ", "LETTER ", "SIGN "):
        if kind in name:
            return name.split(kind)[1].lower()
    number = not name or "IDEOGRAPH" in name
    sign = f"U+{ord(letter):04X}" if number else name.lower()
    return sign if first else f" {sign}"


@cache
def _family_with(letter: str) -> str | None:
    """The first installed font family that has ``letter``."""
    if _has(font_manager.findfont(FONT), letter):
        return FONT
    for entry in font_manager.fontManager.ttflist:
        if not any(word in entry.name.lower() for word in _NO_TEXT) and _has(entry.fname, letter):
            return entry.name
    return None


def _has(file: str, letter: str) -> bool:
    try:
        return bool(font_manager.get_font(file).get_char_index(ord(letter)))
    except (OSError, RuntimeError, UnicodeError):  # not a font that can be read
        return False
