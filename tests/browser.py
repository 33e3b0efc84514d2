"""Chromium, driven by Playwright, for tests of the page; they skip where either is not installed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that talks to nobody but the pages under test.

    Keep it to one module: Playwright holds an event loop on the thread, beside which ``asyncio.run`` of other tests fails.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as driver:
        path = _find() or driver.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("needs Chromium: install the package chromium, or run `playwright install chromium`")
        browser = driver.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def _find() -> str | None:
    given = os.environ.get("CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
