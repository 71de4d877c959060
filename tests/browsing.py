"""Pages in a browser, from a file and without network; whatever they complain of fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
# Milliseconds, so long only if something hangs.
PATIENCE = 600_000
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@contextmanager
def started() -> Iterator[Any]:
    """A browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=arguments, timeout=PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def new_tab(browser: Any, size: dict[str, int], **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """An empty page, and what the pages that it goes to complain of."""
    context = browser.new_context(viewport=size, device_scale_factor=1, **options)
    context.set_default_timeout(PATIENCE)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.extend(_fetched(request.url)))
    yield page, complaints
    context.close()


@contextmanager
def opened_page(browser: Any, path: Path, size: dict[str, int], **options: Any) -> Iterator[Any]:
    """The page of a file."""
    with new_tab(browser, size, **options) as (page, complaints):
        page.goto(path.as_uri())
        yield page
    assert complaints == []


def _fetched(address: str) -> list[str]:
    return [] if address.startswith(("file:", "data:")) else [address]


def chosen(page: Any) -> str:
    """The chosen row of the viewer, and that it is marked once."""
    rows = page.locator('#list [aria-selected="true"]')
    if not rows.count():
        return ""
    assert rows.count() == 1
    assert page.locator("#list").get_attribute("aria-activedescendant") == rows.get_attribute("id")
    return rows.locator(".name").evaluate("node => node.firstChild.textContent")


def wait_for(page: Any, drawn: str) -> None:
    """Until the viewer shows a map."""
    page.wait_for_selector(f'#heat[data-drawn="{drawn}"]', state="attached")
