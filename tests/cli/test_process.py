"""What only a process of its own can show: interrupts, imports, streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from captum_ssgc.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = "captum-ssgc: error: interrupted\n"
Run = Callable[..., "subprocess.CompletedProcess[str]"]

# The program as the console script starts it. Signals are as a shell sets them in the foreground.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
from captum_ssgc.__main__ import start
sys.exit(start())
"""
# Imports of {module} end in {what}; a signal that comes there is what an impatient user sends.
AT_IMPORT = """
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            {what}
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def start(tmp_path: Path) -> Run:
    """Runs the command line on its arguments in a new process, after the statements ``before``."""

    def run(
        *arguments: object, before: str = "", **options: object
    ) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", START.format(before=before), *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(
            program, cwd=tmp_path, env=environment, text=True, timeout=600, check=False, **streams
        )

    return run


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "module", ["captum_ssgc.cli", "argparse", "captum_ssgc.cli.explain", "torch", "torch.version"]
)
def test_an_interrupt_during_any_import_is_one_line_and_130(
    start: Run, module: str, number: str
) -> None:
    signals = f"signal.raise_signal(signal.{number})"
    before = AT_IMPORT.format(module=module, what=signals)
    done = start("demo", before=before)
    assert (done.returncode, done.stderr, done.stdout) == (130, INTERRUPTED, "")


def test_an_interrupt_that_the_imported_module_would_swallow(start: Run, tmp_path: Path) -> None:
    """Vendors have ``except:`` around what they can do without."""
    (tmp_path / "swallowing.py").write_text(
        "import signal\ntry: signal.raise_signal(signal.SIGINT)\nexcept BaseException: pass\n"
    )
    before = AT_IMPORT.format(module="captum_ssgc.attr", what="import swallowing")
    done = start("demo", before=before)
    assert (done.returncode, done.stderr) == (130, INTERRUPTED)


DURING = """
import captum_ssgc.cli.demo as demo
class Last:
    def __del__(self): signal.raise_signal(signal.SIGINT)
def interrupt(*_):
    {what}
    return explain_arguments(*_)
explain_arguments, demo.explain_arguments = demo.explain_arguments, interrupt
"""


@pytest.mark.parametrize(
    "what",
    [
        "signal.raise_signal(signal.SIGINT)",
        "signal.raise_signal(signal.SIGTERM)",
        "Last()",
        "try: signal.raise_signal(signal.SIGINT)\n    except BaseException: pass\n"
        "    signal.raise_signal(signal.SIGINT)",
        "import atexit; atexit.register(signal.raise_signal, signal.SIGINT); sys.exit(0)",
        "try: signal.raise_signal(signal.SIGINT)\n    except BaseException: pass\n    sys.exit(0)",
        "try: signal.raise_signal(signal.SIGINT)\n"
        "    except BaseException: raise ValueError('Invalid bounding box')",
    ],
    ids=[
        *("SIGINT", "SIGTERM", "finalizer", "swallowed, then again", "at exit", "swallowed"),
        "made another error",
    ],
)
def test_an_interrupt_while_the_command_runs(start: Run, what: str) -> None:
    done = start("demo", before=DURING.format(what=what))
    assert (done.returncode, done.stderr) == (130, INTERRUPTED)


AT_THE_END = """
class Late:
    def __del__(self, signals=signal.raise_signal, number=signal.{number}): signals(number)
sys.late = Late()
from captum_ssgc import cli
def main():
    import atexit, threading
    atexit.register(print, "registered for the exit")
    work = threading.Thread(target=lambda: threading.main_thread().join() or print("a thread"))
    work.start()
    print("not flushed", end=" ")
    return 1
cli.main = main
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_python_does_not_take_itself_apart(start: Run, number: str) -> None:
    """Signals have their default effect then; all that is to be done at the exit is done before."""
    done = start(before=AT_THE_END.format(number=number))
    expected = "not flushed a thread\nregistered for the exit\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, "")


@pytest.mark.slow
def test_an_ignored_interrupt_stays_ignored(start: Run) -> None:
    """As under ``nohup``, or behind ``&`` in a script."""
    ignore = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    during = DURING.format(what="signal.raise_signal(signal.SIGINT)")
    done = start("demo", "--layer", "nope", before=ignore + during)
    assert done.returncode == 2
    assert "no layer 'nope'" in done.stderr


def test_only_the_first_of_many_processes_speaks(start: Run) -> None:
    before = AT_IMPORT.format(module="torch", what="signal.raise_signal(signal.SIGTERM)")
    world = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    done = start("benchmark", "--data", "synthetic:1", before=before, env=world)
    assert (done.returncode, done.stderr) == (130, "")


WITHOUT = """
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "matplotlib", "numpy", "PIL"):
            raise ImportError(f"{name} is imported")
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize(
    "arguments",
    [(), ("--help",), ("--version",), *((name, "--help") for name in COMMANDS)],
    ids=" ".join,
)
def test_help_imports_nothing_that_takes_long(start: Run, arguments: Sequence[str]) -> None:
    done = start(*arguments, before=WITHOUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "captum-ssgc" in done.stdout


def test_importing_the_package_is_cheap(start: Run) -> None:
    before = WITHOUT + "import captum_ssgc, captum_ssgc.cli; sys.exit(len(captum_ssgc.__all__) < 9)"
    assert start(before=before).returncode == 0


@pytest.mark.parametrize("arguments", [("--help",), ("explain", "--help"), ("--version",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_one_line(
    start: Run, arguments: Sequence[str], unbuffered: str
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    with Path("/dev/full").open("w") as full:
        done = start(*arguments, stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 2
    expected = "captum-ssgc: error: standard output cannot be written: No space left on device."
    assert done.stderr == expected + "\n"


def test_a_reader_that_has_gone_is_no_error_to_speak_of(start: Run) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = start("--help", stdout=pipe)
    assert (done.returncode, done.stderr) == (2, "")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="other systems refuse such names")
def test_an_odd_environment_and_an_odd_name(start: Run, tmp_path: Path) -> None:
    """A locale without letters, a backend that does not exist, a name that is no text."""
    from PIL import Image

    from captum_ssgc import demo

    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9 \xe7\x8a\xac.png")  # noqa: PTH118
    pixels = (demo.scene(3).image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "scene.png")
    os.rename(tmp_path / "scene.png", name)  # noqa: PTH104
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = start(
        *("explain", tmp_path, "--model", "demo", "--top-k", "1", "-o", "out"),
        env={**locale, "MPLBACKEND": "no such backend"},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.isascii()
    assert len(list(folder.glob("*.png"))) == 2
    written = json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))
    assert os.fsencode(written["image"]) == name
