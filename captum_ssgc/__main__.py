"""``python -m captum_ssgc``: the command line."""

from __future__ import annotations

import sys

from captum_ssgc.cli import main

if __name__ == "__main__":
    sys.exit(main())
