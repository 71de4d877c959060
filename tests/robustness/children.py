"""Runs what reads hostile files in a child process, with limits on its memory and time."""

from __future__ import annotations

import json
import os
import select
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 1 << 30
# What is tried takes a few; so many only if it hangs.
SECONDS = 1200


def in_child(work: Callable[[], Any], memory: int = MEMORY, seconds: int = SECONDS) -> Any:
    """What ``work`` gives, by way of JSON.

    Args:
        work: run in a fork of this process.
        memory: bytes that it may take beside what is there already.
        seconds: of processor time; in real time ten times as many.

    Raises:
        RuntimeError: if the child raises, is killed, or does not end.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reading)
            _limit(memory, seconds)
            answer = {"result": work()}
            code = 0
        except BaseException:
            answer = {"error": traceback.format_exc()}
        with os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        if not select.select([pipe], [], [], 10 * seconds)[0]:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    answer = json.loads(text) if text else {"error": f"exit code {code}"}
    if code or "error" in answer:
        raise RuntimeError(f"child ended with {code}: {answer['error']}")
    return answer["result"]


def _limit(memory: int, seconds: int) -> None:
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    taken = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    limit = int(taken) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
