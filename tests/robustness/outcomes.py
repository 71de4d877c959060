"""What may come of a call with arbitrary arguments, counted."""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum_ssgc

OURS = str(Path(captum_ssgc.__file__).parent)
DOCUMENTED = (ValueError, TypeError, IndexError, FileNotFoundError)


class Outcomes:
    """Counts results and documented errors, and keeps everything else.

    An error is one of the documented types, raised by this package, one line, and names what is
    wrong.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def of(self, call: Callable[[], Any], names: tuple[str, ...], case: object = "") -> Any:
        """What the call gives; ``None`` after an error.

        Args:
            call: to try.
            names: one of which an error has to mention; none for any.
            case: shown where something is wrong.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = call()
        except Exception as error:
            problem = self._problem(error, names)
            self.counts["error" if problem is None else "wrong"] += 1
            if problem is not None:
                self.wrong.append(f"{str(case)[:200]}: {problem}: {error!r:.300}")
            return None
        self.counts["result"] += 1
        return found

    def _problem(self, error: Exception, names: tuple[str, ...]) -> str | None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        if not isinstance(error, DOCUMENTED):
            return "of another type"
        if not place.filename.startswith(OURS):
            return f"raised in {place.filename}:{place.lineno}"
        if not str(error) or "\n" in str(error):
            return "not one line"
        if names and not any(name in str(error) for name in names):
            return f"names none of {', '.join(names)}"
        return None
