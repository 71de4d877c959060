"""What other systems need: nothing of the benchmark is tied to POSIX."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from captum_ssgc.benchmark import report
from captum_ssgc.benchmark.distributed import usable_cores

HIDDEN = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix_ipc")
PROGRAM = """
import os, sys, warnings
for name in {hidden}:
    sys.modules[name] = None
for name in ("sched_getaffinity", "fork", "pread", "getuid", "geteuid", "O_NOFOLLOW"):
    if hasattr(os, name):
        delattr(os, name)
warnings.simplefilter("ignore")
import runpy
import captum_ssgc.cli
for command in captum_ssgc.cli.COMMANDS:
    __import__(f"captum_ssgc.cli.{{command}}")
sys.argv = [{script!r}, {data!r}, {run!r}]
runpy.run_path({script!r}, run_name="__main__")
assert not {{"fcntl", "resource", "pwd", "grp"}} & {{n for n, m in sys.modules.items() if m}}
print("done")
"""


@pytest.mark.slow
def test_a_whole_run_without_what_other_systems_lack(tiny, data, tmp_path, finished, numbers_of):
    run = tmp_path / "run"
    program = PROGRAM.format(hidden=HIDDEN, script=tiny.__file__, data=str(data), run=str(run))
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-1] == "done"
    assert numbers_of(report(run)) == finished.numbers


def test_the_cores_that_may_be_used_are_counted_everywhere(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
