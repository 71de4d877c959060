"""What a run says while it goes on, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from captum_ssgc._printable import printable
from captum_ssgc.benchmark.distributed import World

_TOLD = 10


def progress_bar(what: str, todo: int, total: int, world: World | None) -> tqdm[Any]:
    """A bar for the images of this process; only the first process draws one."""
    hidden = world is None or not world.leads
    several = "" if world is None or world.size == 1 else f" (process 1 of {world.size})"
    return tqdm(
        total=total,
        initial=total - todo,
        desc=f"{what}{several}",
        unit="image",
        file=sys.stderr,
        disable=hidden,
        # In a log file a line now and then is enough.
        mininterval=0.2 if sys.stderr.isatty() else 30.0,
    )


def tell(lines: Sequence[str], what: str) -> None:
    """A few lines on stderr."""
    for line in lines[:_TOLD]:
        tqdm.write(printable(f"{what}: {line}"), file=sys.stderr)
    if len(lines) > _TOLD:
        tqdm.write(f"{what}: {len(lines) - _TOLD} more, see the report", file=sys.stderr)
