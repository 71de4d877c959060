"""What holds for the package as a whole."""

from __future__ import annotations

import configparser
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import captum_ssgc

ROOT = Path(captum_ssgc.__file__).parent
PACKAGES = [
    f"captum_ssgc{suffix}"
    for suffix in (
        "",
        ".attr",
        ".detectors",
        ".diagnosis",
        ".metrics",
        ".visualization",
        ".data",
        ".demo",
        ".report",
    )
]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_resolves(package):
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.slow
def test_names_of_subpackages_resolve_in_a_new_process():
    program = (
        "import captum_ssgc as ssgc\n"
        "print(len(ssgc.demo.scene(3).labels), ssgc.metrics.pointing_game.__name__,\n"
        "      ssgc.detectors.Letterbox.__name__, 'attr' in dir(ssgc))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["3", "pointing_game", "Letterbox", "True"]


def test_importing_is_cheap_and_gives_subpackages():
    program = (
        "import sys, captum_ssgc as ssgc\n"
        "print(ssgc.detectors.__name__, ssgc.benchmark.__name__, 'attr' in dir(ssgc))\n"
        "heavy = {'torch', 'captum', 'torchvision', 'matplotlib', 'transformers', 'ultralytics'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [
        "captum_ssgc.detectors", "captum_ssgc.benchmark", "True", "[]",
    ]  # fmt: skip


def test_importing_the_module_does_not_hide_the_function():
    importlib.import_module("captum_ssgc.explanation")
    assert callable(captum_ssgc.explain)


def test_private_captum_helpers_are_touched_in_one_module_only():
    users = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if re.search(r"captum\._utils|captum\.\w+\._core", path.read_text())
    ]
    assert users == ["attr/_captum.py"]


def test_the_import_contract_protects_every_private_module():
    """import-linter knows no pattern for them, so ``setup.cfg`` lists them."""
    contract = configparser.ConfigParser()
    contract.read(ROOT.parent / "setup.cfg")
    protected = {
        module
        for section in contract.values()
        for module in section.get("protected_modules", "").split()
    }
    private = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in ROOT.glob("*/_[a-z]*.py")
    }
    assert protected == private


def test_the_repository_has_one_address():
    """It is ``Source`` in ``pyproject.toml``; what cannot read it there says the same."""
    root = ROOT.parent
    (address,) = re.findall(r'^Source = "(.+)"$', (root / "pyproject.toml").read_text(), re.M)
    said = r"""https?://[^\s"'`<>()]+(?=/(?:blob|raw)/main/([^\s"'`<>()#]+)|/issues"|\.git\b)"""
    said += r"|(?<=^repository-code: )()\S+"
    others, count = [], 0
    kinds = (".md", ".toml", ".cff", ".rst", ".py")
    for page in [*root.glob("*"), *root.glob("docs/*")]:
        if page.suffix not in kinds:
            continue
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for found in re.finditer(said, line):
                ours = not found[1] or (root / found[1]).exists()
                count += ours
                if ours and found[0] != address:
                    others.append(f"{page.relative_to(root)}:{number} says {found[0]}")
    assert not others, "\n".join([*others, f"put {address} in their place"])
    assert count > 20
    pages = [page.read_text(encoding="utf-8") for page in root.glob("docs/*.rst")]
    assert not any(address in page for page in pages)
