"""A page of ours as a picture, for documents that cannot hold a page. Needs a Chromium, and no network."""

import os
import shutil
from pathlib import Path

from data.dependencies import MissingGroupError, needs_group

NAMES = ("chromium", "chromium-browser", "google-chrome")
_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run")
"""What keeps a browser from talking to anybody but the page it is given."""
_START_MS = 240_000
"""It takes two seconds to start; on a machine that trains a model beside it, a minute was seen."""


def take_picture(page: Path, picture: Path, width_px: int, height_px: int) -> str | None:
    """Nothing where `picture` (PNG) now shows the top of `page`; else why there is none, and what to do."""
    try:
        with needs_group("dev", "A picture of a page"):
            from playwright.sync_api import sync_playwright
    except MissingGroupError as error:
        return str(error)
    names = (os.environ.get("CHROMIUM", NAMES[0]), *NAMES)
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        return f"No picture was taken of {page}: none of {', '.join(names)} is there. Type `make chromium`."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET), timeout=_START_MS)
        tab = browser.new_page(viewport={"width": width_px, "height": height_px})
        tab.goto(page.absolute().as_uri())
        tab.screenshot(path=picture)
        browser.close()
    return None
