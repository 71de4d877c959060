"""How ``--help`` looks."""

from __future__ import annotations

import argparse
import shutil
import textwrap


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions as written, options in two columns; method names are not hyphenated."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns - 2, 98)
        super().__init__(prog, max_help_position=26, width=width)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)
