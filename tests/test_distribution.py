"""The wheel and the sdist: what they hold, that they run, and that installing breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "_build", "*.egg-info")
# What somebody with a detector has, as its metadata say.
INSTALLED = {
    "torch": ("2.6.0", ["filelock", "typing-extensions>=4.10.0", "networkx", "jinja2", "fsspec"]),
    "torchvision": ("0.21.0", ["numpy", "torch==2.6.0", "pillow!=8.3.*,>=5.3.0"]),
    "numpy": ("1.26.4", []),
}
pytestmark = pytest.mark.slow


def run(*command: object, **options: object) -> str:
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def index() -> None:
    """Skips where no package index is within reach."""
    command = [sys.executable, "-m", "pip", "index", "versions", "captum"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no package index within reach")


@pytest.fixture(scope="module")
def files(index: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist, built outside of the source."""
    pytest.importorskip("build", reason="needs the extra [lint]")
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    run(sys.executable, "-m", "build", "--outdir", folder, folder / "source")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def package_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in (folder / "captum_ssgc").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_index_shows_them(files):
    pytest.importorskip("twine", reason="needs the extra [lint]")
    run(sys.executable, "-m", "twine", "check", "--strict", *files)


def test_the_wheel_holds_the_package_and_no_more(files):
    names = {name for name in zipfile.ZipFile(files[0]).namelist() if not name.endswith("/")}
    assert {name for name in names if ".dist-info/" not in name} == package_files(ROOT)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_sdist_runs_its_tests(files, tmp_path):
    with tarfile.open(files[1]) as stored:
        stored.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    assert package_files(source) == package_files(ROOT)
    for folder in ("tests", "tools", "tutorials", "docs"):
        held = {path.relative_to(source) for path in (source / folder).rglob("*.*")}
        assert held
        assert not [path for path in held if path.suffix == ".pyc" or "_build" in path.parts]
    tests = ["tests/test_label_names.py", "tests/report", "tests/visualization/test_references.py"]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    said = run(sys.executable, "-m", "pytest", "-q", *tests, cwd=source, env=environment)
    assert " passed" in said


def test_an_installed_wheel_runs_without_the_source(files, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, files[0])
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = "import captum_ssgc; print(captum_ssgc.__file__)"
    found = run(sys.executable, "-c", where, cwd=elsewhere, env=environment)
    assert Path(found.strip()).is_relative_to(site)
    run(sys.executable, "-m", "captum_ssgc", "demo", "-o", "out", cwd=elsewhere, env=environment)
    assert list((elsewhere / "out").rglob("*_overview.png"))


def test_nothing_that_is_installed_is_changed(files, tmp_path):
    """Installing into an environment with torch 2.6 and numpy 1.26 leaves both."""
    if sys.version_info >= (3, 13):
        pytest.skip("there is no numpy 1.26 for this Python")
    venv.create(tmp_path / "theirs")
    (site,) = (tmp_path / "theirs").rglob("site-packages")
    for name, (version, needs) in INSTALLED.items():
        folder = site / f"{name}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {need}" for need in needs]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        (folder / "RECORD").write_text("")
        (folder / "INSTALLER").write_text("pip\n")
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "theirs"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asked = ["install", "-q", "--dry-run", "--report", "-", files[0]]
    report = run(*pip, *asked, cwd=tmp_path, env=environment)
    names = [entry["metadata"]["name"] for entry in json.loads(report)["install"]]
    plan = {name.lower().replace("_", "-") for name in names}
    assert {"captum-ssgc", "captum", "matplotlib"} <= plan
    assert not plan & set(INSTALLED)
