"""What stops a run."""

from __future__ import annotations


class BenchmarkError(RuntimeError):
    """The run cannot go on; the message says why, and what to do."""
