"""The versions that the tests run with: ``nox`` for all of them, ``nox -s oldest`` for one.

Each session installs in an environment of its own. An interpreter that is missing skips its session
(``nox --error-on-missing-interpreters`` makes that an error).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import nox

nox.needs_version = ">=2026.2"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

# What a user had on that day: the last transformers 4, the first Ultralytics 8.4.
MIDDLE = "2026-01-20"


# What old versions do is deprecated by newer ones of their own dependencies.
TOLERANT = ("-W", "default::DeprecationWarning", "-W", "default::FutureWarning")
# The example has an image processor on tensors that transformers 4 has not, or has wrong.
EXAMPLE = "captum_ssgc.detectors.transformers_queries"
FILE = f"{EXAMPLE.replace('.', '/')}.py"
OLD = (*TOLERANT, f"--deselect={FILE}::{EXAMPLE}.TransformersDetector")


def run_tests(session: nox.Session, *versions: str, options: Sequence[str] = ()) -> None:
    """Install what ``pyproject.toml`` asks for, of the versions asked for, and run the tests."""
    session.install(*versions, "-r", "pyproject.toml", "--extra", "test")
    session.install("--no-deps", ".")
    session.run("uv", "pip", "list", external=True)
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    session.run("python", "-m", "pytest", *options, *session.posargs, env=threads)


@nox.session(python="3.10")
def oldest(session: nox.Session) -> None:
    """Every direct dependency at its lower bound."""
    run_tests(session, "--resolution=lowest-direct", options=OLD)


@nox.session(python="3.12")
def middle(session: nox.Session) -> None:
    """What was newest on a day in between."""
    run_tests(session, f"--exclude-newer={MIDDLE}", options=OLD)


@nox.session(python=["3.11", "3.13", "3.14"])
def newest(session: nox.Session) -> None:
    """What is newest today."""
    run_tests(session)
