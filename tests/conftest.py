"""What holds for every test: no network beyond this machine, the same examples in every CI run, one browser."""

import os
import shutil
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # the environment that proves serving light has no playwright
    from playwright.sync_api import Browser

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

settings.register_profile("signalbox", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("signalbox")

os.environ.setdefault("SIGNALBOX_JOURNAL", "off")  # a test that wants a journal names a file of its own


def _is_loopback(host: object) -> bool:
    try:
        return host == "localhost" or ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(address[0]):
        raise RuntimeError(f"A test tried to reach {address[0]}: tests use loopback alone. Give it a fake instead.")


sys.addaudithook(_refuse_network)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that asks for a browser, so that `-m "not browser"` leaves them out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium for the tests of one module: the system's, else Playwright's, as `.ci/chromium`."""
    from playwright.sync_api import sync_playwright

    names = (os.environ.get("CHROMIUM", "chromium"), "chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, (*names, own))), None)
        if path is None:
            pytest.fail(f"No Chromium: neither {', '.join(names)} nor {own} is there. Type `make chromium`.")
        launched = playwright.chromium.launch(executable_path=path, args=list(QUIET), timeout=BROWSER_START_MS)
        yield launched
        launched.close()
