"""What Windows and macOS lack is neither imported nor called."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import write_image

import captum_ssgc

PHOTO = "x" * 250 + ".png"
PACKAGE = Path(captum_ssgc.__file__).parent
MODULES = {"crypt", "fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
CALLS = {
    "os": {
        "fork", "forkpty", "geteuid", "getpgid", "getuid", "killpg", "mkfifo", "nice", "pread",
        "pwrite", "sched_getaffinity", "setsid", "statvfs", "O_DIRECTORY", "O_NOFOLLOW",
    },
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "alarm", "pthread_sigmask"},
}  # fmt: skip
PROGRAM = f"""
import importlib, sys
for name in {sorted(MODULES)}:
    sys.modules[name] = None
for module, names in {CALLS}.items():
    for name in names:
        vars(importlib.import_module(module)).pop(name, None)
from captum_ssgc.__main__ import start
sys.exit(start())
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        pytest.param(("demo", "--seed", "26", "-o", "out"), marks=pytest.mark.slow),
        pytest.param(
            ("explain", PHOTO, "--model", "demo", "--score-threshold", "0", "-o", "out"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda arguments: arguments[0].strip("-"),
)
def test_the_command_line_without_what_other_systems_lack(arguments, tmp_path):
    write_image(tmp_path / PHOTO)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    if "-o" in arguments:
        written = [path.name for path in (tmp_path / "out").rglob("*.*")]
        assert written
        assert max(map(len, written)) < 255


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_asks_for_what_other_systems_lack(path):
    """But where ``hasattr`` has asked first whether it is there."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert not {alias.name for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            assert node.module not in MODULES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            guarded = f'hasattr({module}, "{name}")' in text
            assert guarded or name not in CALLS.get(module, ())
