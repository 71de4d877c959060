"""The command line as a process: ``captum-ssgc``, ``python -m captum_ssgc``.

Interrupts are handled before anything heavy is imported and until the process is gone, so that one
at any time after Python's own start ends it with one line and code 130. This module must not
import more than it needs for that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from captum_ssgc._interrupts import interrupted, note_interrupt

INTERRUPTED = 130


class _Interrupts:
    """What Ctrl-C and SIGTERM do.

    While the command runs, the first one raises ``KeyboardInterrupt``, so that the command cleans
    up. At any other time there is nothing to clean up, and the process ends at once: the modules
    of vendors catch what is raised while they are imported, or turn it into other errors.
    """

    def __init__(self) -> None:
        self.running = False
        self.code: int | None = None

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Who started us may have asked for them to be ignored, as nohup does.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        sys.unraisablehook = self._unraisable
        # The first that is registered is the last that is called.
        atexit.register(self._end)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if interrupted() or not self.running or _imports(frame):
            _leave()
        note_interrupt()
        raise KeyboardInterrupt

    def _unraisable(self, ignored: Any) -> None:
        """Python drops what is raised in finalizers, and goes on."""
        if issubclass(ignored.exc_type, KeyboardInterrupt):
            _leave()
        sys.__unraisablehook__(ignored)

    def _end(self) -> None:
        """End with the command's code before Python takes itself apart.

        Interrupts have their default effect while it does, and threads of libraries abort the
        process. Other threads have ended here, and what was registered for the exit has been done.
        """
        if self.code is None:  # an exception that Python reports
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(self.code)


def start() -> int:
    """Run the command line of this process.

    Returns:
        The exit code, see :func:`captum_ssgc.cli.main`.
    """
    interrupts = _Interrupts()
    interrupts.install()
    from captum_ssgc.cli import main

    try:
        interrupts.running = True
        code = main()
        interrupts.running = False
        if interrupted() and code != INTERRUPTED:
            _leave()
    except KeyboardInterrupt:
        _leave()
    interrupts.code = code
    return code


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported in ``frame``."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave() -> NoReturn:
    """End at once, with one line; of several processes that torchrun started the first has it."""
    if os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(OSError):
            # The cursor may be behind a progress bar.
            line = "\n" * os.isatty(2) + "captum-ssgc: error: interrupted\n"
            os.write(2, line.encode())
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(start())
