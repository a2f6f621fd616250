"""A headless Chromium that talks to nobody but the pages it is given: the system's, else Playwright's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # the environment that proves serving light has no playwright
    from playwright.sync_api import Browser, Page

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""What keeps a browser from talking to anybody but the pages it is given."""
BROWSER_START_MS = 240_000
"""It takes two seconds to start; on a machine that trains a model beside it, a minute was seen."""


every_width = pytest.mark.parametrize("width", [390, 1280])
every_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])
_NIGHT = "rgb(20, 23, 26)"
"""The ground of our files' pages by night."""


def show(page: "Page", width: int, scheme: str) -> None:
    """Nothing; the page is shown on a screen of that width by day or night, fits it, and has the ground of the time."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
    assert (ground == _NIGHT) == (scheme == "dark")


class NoBrowserError(RuntimeError):
    """There is none on this machine; says what to type."""


@contextmanager
def launched_browser() -> Iterator["Browser"]:
    """A browser, closed afterwards, as `.ci/chromium` makes sure of one.

    Raises:
        NoBrowserError: when there is none.
    """
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("CHROMIUM", "chromium"), "chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, (*names, own))), None)
        if path is None:
            raise NoBrowserError(f"No Chromium: neither {', '.join(names)} nor {own} is there. Type `make chromium`.")
        launched = playwright.chromium.launch(executable_path=path, args=list(QUIET), timeout=BROWSER_START_MS)
        yield launched
        launched.close()
