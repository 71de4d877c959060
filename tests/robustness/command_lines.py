"""Draws command lines with hostile values, and judges what comes of one."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from PIL import Image

import captum_ssgc
from captum_ssgc import cli
from captum_ssgc.cli import COMMANDS, _parse, _parser, main, messages
from captum_ssgc.cli.messages import DONE, FAILED, INTERRUPTED, NOTHING_DETECTED
from captum_ssgc.data import draw_scene

# Every command begins with what works and is quick; what is drawn comes after it, and wins.
ON_IMAGES = ("photo.png", "--model", "demo", "--method", "odam", "--masks", "2", "--top-k", "1")
BASES = {
    "demo": ("--method", "odam", "--masks", "2", "--top-k", "1"),
    "benchmark": (
        *("--data", "instances.json", "--model", "demo", "--methods", "odam", "--masks", "2"),
        *("--metrics", "pointing-game", "--floors", "box", "-o", "run"),
    ),
    "audit": (
        *("--data", "instances.json", "--model", "demo", "--method", "odam", "--fills", "zero"),
        *("--max-detections", "1", "--examples", "1", "-o", "run"),
    ),
}
WORDS = (
    *("", " ", "-", "--", "0", "1", "-1", "2", "1.5", "1e9", "1e400", "nan", "-inf", "10" * 11),
    *("٣", "²", "0x10", "1_0", "1,1", "1,", ",", ",,,", "True", "none", "all", "auto", "null"),
    *("\x00", "\x1b[31mred\x1b[0m", "a\nb", "a\rb", "é" * 90, "\udcff", "x" * 300, "y" * 5000),
    *("../up", "/dev/null", "/dev/zero", "/dev/full", "/nonexistent/file", "~", "*", "**", "[!"),
    *("pipe", "folder", "notes.txt", "half.png", "instances.json", "photo.png", "linked"),
    *("odam[", "odam[smoothing=1e9]", "odam[smoothing=nan]", "odam[smoothing=-1]", "odam,odam"),
    *("d-rise", "d-rise[grid=1x]", "d-rise[n_masks=0]", "smoothing=1e400", "odam.smoothing=x"),
    *("=", "x=", "=1", ".=", "odam.=1", "smoothing=[[", "grad-cam", "ssgrad-cam++,layer-cam"),
    *("onnx:notes.txt", "onnx:", "onnx:/dev/zero", "ultralytics:notes.txt", "ultralytics:"),
    *("transformers:folder", "transformers:", "torchvision:", "torchvision:os.system", "demo:x"),
    *("synthetic:1", "synthetic:0", "synthetic:-1", "synthetic:" + "9" * 21, "synthetic:x"),
    *("cuda:99", "hpu", "meta", "cpu:7", "coco", "DEFAULT", "box", "region", "mask", "logit"),
    *("-score", "left", "yolov8", "heads", "cxcywh", "sigmoid", "act", "backbone", "%s%n", "{0}"),
)
# Of processor time, for what takes one: so many only if it hangs.
SECONDS = 300
_SIGNALS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)


class HungError(BaseException):
    """Raised after so many seconds; not an ``Exception``, so that nothing turns it into a line."""


@dataclass(frozen=True)
class CommandLine:
    """Arguments, and what may be named where something is wrong with them."""

    arguments: tuple[str, ...]
    names: tuple[str, ...]
    interrupted_after: float | None = None


def options_of() -> dict[str, list[argparse.Action]]:
    """What each command takes, read off its parser; so a new option takes part by itself."""
    [subparsers] = [
        action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)
    ]
    left_out = (argparse._HelpAction,)
    return {
        name: [action for action in parser._actions if not isinstance(action, left_out)]
        for name, parser in subparsers.choices.items()
    }


def draw(count: int, seed: int) -> Iterator[CommandLine]:
    """Command lines of all commands in turn, each with one to three hostile options."""
    drawn, known = random.Random(seed), options_of()
    assert set(known) == set(COMMANDS)
    for number in range(count):
        command = COMMANDS[number % len(COMMANDS)]
        arguments, names = [command, *BASES.get(command, ON_IMAGES)], [command]
        for _ in range(drawn.choice((1, 1, 1, 2, 3))):
            action, word = drawn.choice(known[command]), drawn.choice(WORDS)
            flags = action.option_strings
            if not flags:
                arguments.append(word)
            elif action.nargs == 0:
                arguments.append(drawn.choice(flags))
            elif drawn.random() < 0.5:
                arguments.append(f"{flags[-1]}={word}")
            else:
                arguments += [drawn.choice(flags), word]
            same = [one for one in known[command] if one.dest == action.dest]
            names += [flag for one in same for flag in one.option_strings]
            names += [action.dest, action.dest.replace("_", "-"), word]
            names += re.findall(r"\w{3,}", word) if flags else [str(action.metavar)]
        if drawn.random() < 0.05:
            arguments.append(drawn.choice(("--nonsense", "-z", "--")))
            names.append(arguments[-1])
        late = drawn.uniform(0.001, 0.3) if drawn.random() < 0.1 else None
        yield CommandLine(tuple(arguments), tuple(names), late)


def prepare(folder: Path) -> None:
    """What the words name: files that are good, bad or elsewhere, and links to lead away."""
    outside, inside = folder / "outside", folder / "inside"
    for place in (outside, inside, inside / "folder"):
        place.mkdir(parents=True)
    (outside / "precious.txt").write_text("precious")
    scene = draw_scene(3, (96, 96))
    pixels = scene.image.mul(255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(inside / "photo.png")
    (inside / "half.png").write_bytes((inside / "photo.png").read_bytes()[:900])
    (inside / "notes.txt").write_text("person\ncar\n\x1b[31m\n")
    x1, y1, x2, y2 = scene.boxes[0].tolist()
    objects = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]},
    ]
    content = {
        "images": [{"id": 1, "file_name": "photo.png", "height": 96, "width": 96}],
        "categories": [{"id": 1, "name": "lightning"}],
        "annotations": objects,
    }
    (inside / "instances.json").write_text(json.dumps(content))
    os.mkfifo(inside / "pipe")
    (inside / "linked").symlink_to(outside / "precious.txt")
    for results in ("explanations", "evaluation", "run", "benchmark", "audit"):
        (inside / results).mkdir()
        for name in (
            *("table.csv", "table.md", "report.html", "heat_maps.html", "examples.html"),
            *("audit.html", "audit.json", "classes.csv", "findings.csv"),
        ):
            (inside / results / name).symlink_to(outside / "precious.txt")
        (inside / results / "photo").symlink_to(outside)


class Judge:
    """Runs command lines in a folder of their own, and counts how they end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, int] = {}
        self.wrong: list[str] = []

    def run(self, line: CommandLine) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        prepare(self.folder)
        out, err = io.StringIO(), io.StringIO()
        with (
            _in(self.folder / "inside"),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            _alarm(line.interrupted_after),
        ):
            try:
                code: object = main(line.arguments)
            except BaseException as error:
                code = f"{type(error).__name__}: {error}"
                if line.interrupted_after is not None and _came_at_the_edge(error):
                    messages.complain("interrupted")  # as the process does, see __main__
                    code = INTERRUPTED
        self.counts[str(code)] = self.counts.get(str(code), 0) + 1
        problem = self._problem(line, code, err.getvalue()) or self._damage()
        if problem:
            shown = [argument[:60] for argument in line.arguments]
            self.wrong.append(f"{shown}: {code}: {problem}: {err.getvalue()[-400:]!r}")

    def _problem(self, line: CommandLine, code: object, text: str) -> str:
        if "Traceback" in text and "--traceback" not in line.arguments:
            return "a traceback"
        if code == INTERRUPTED and line.interrupted_after is not None:
            return "" if "interrupted" in text else "no word of the interrupt"
        if code == FAILED:
            errors = [one for one in text.split("\n") if "error: " in one]
            if "--traceback" in line.arguments:
                errors = errors[-1:]
            elif not errors:
                return "no line that says why"
            return "" if all(_names(one, line.names) for one in errors) else "names no argument"
        return "" if code in (DONE, NOTHING_DETECTED) else "no exit code of ours"

    def _damage(self) -> str:
        """What is left half done, or was written where it should not."""
        outside = sorted(path.name for path in (self.folder / "outside").rglob("*"))
        if outside != ["precious.txt"]:
            return f"files outside: {outside}"
        if (self.folder / "outside" / "precious.txt").read_text() != "precious":
            return "a file outside was overwritten"
        for path in (self.folder / "inside").rglob("*"):
            if path.is_symlink() or not path.is_file() or path.name in ("half.png", "notes.txt"):
                continue
            problem = _broken(path)
            if problem:
                return f"{path.name}: {problem}"
        return ""


def _names(error: str, names: tuple[str, ...]) -> bool:
    """Whether one of them stands in the line, as far as it can be printed."""
    shown = (" ".join(name.split())[:20] or shlex.quote(name) for name in (*names, "photo.png"))
    return any(name in error or repr(name)[1:-1] in error for name in shown)


def _broken(path: Path) -> str:
    if path.suffix == ".part":
        return "left over"
    try:
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".html" and "</html>" not in path.read_text()[-20:]:
            return "no whole page"
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _came_at_the_edge(error: BaseException) -> bool:
    """Whether it is an interrupt of ``main`` while that did not run the command yet, or no more."""
    package = Path(captum_ssgc.__file__).parent
    frames = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
    ours = {code.co_filename for code in frames if package in Path(code.co_filename).parents}
    return (
        isinstance(error, KeyboardInterrupt)
        and ours <= {cli.__file__, messages.__file__}
        and _parse.__code__ not in frames
    )


@contextmanager
def _in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _alarm(interrupted_after: float | None) -> Iterator[None]:
    """An interrupt of ``main`` at its time, and the end of a call that hangs."""

    def ring(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGVTALRM:
            raise HungError
        while frame is not None:
            if frame.f_code is main.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    before = {one: signal.signal(one, ring) for one in _SIGNALS}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)  # waits for something, if it is that long
    if interrupted_after is not None:
        signal.setitimer(signal.ITIMER_VIRTUAL, interrupted_after)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
