"""What a user may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def close_names(name: str, known: Iterable[str]) -> str:
    """``"; did you mean a or b?"`` for names that differ little, or in dashes and case only.

    Example:
        >>> from captum_ssgc.cli.hints import close_names
        >>> close_names("GradCAM", ["grad-cam", "odam"])
        '; did you mean grad-cam?'
        >>> close_names("lime", ["grad-cam", "odam"])
        ''
    """
    by_letters = {_letters(one): one for one in known}
    wanted = _letters(name)
    close = (
        [wanted]
        if wanted in by_letters
        else difflib.get_close_matches(wanted, by_letters, cutoff=0.5)
    )
    names = " or ".join(by_letters[one] for one in close)
    return f"; did you mean {names}?" if names else ""


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())
