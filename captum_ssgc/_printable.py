"""Text from elsewhere, such as names of files and classes, for terminals and pictures."""

from __future__ import annotations

import unicodedata

# Categories of characters that move the cursor, hide or reorder text, or cannot be encoded.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    r"""``text`` with all that a terminal would obey, rather than show, as escapes.

    Example:
        >>> from captum_ssgc._printable import printable
        >>> print(printable("red \x1b[31m car"))
        red \x1b[31m car
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _UNSEEN
        else character
        for character in text
    )
